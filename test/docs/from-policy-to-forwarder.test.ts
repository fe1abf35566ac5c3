/**
 * docs/from-policy-to-forwarder.md, followed: its shell commands in one shell, and what each block prints beside what the page says. The
 * clone and `npm ci` are .ci/run's; the shell starts in a folder as they leave it.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { staleBuild } from "../stale-build.ts";

const PAGE = "docs/from-policy-to-forwarder.md";

interface Block {
  readonly commands: string;
  /** What they print; null: the page does not say. */
  readonly output: string | null;
}

function blocksOf(page: string): Block[] {
  const fence = /^```sh\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm;
  return [...page.matchAll(fence)].map(([, commands, output]) => ({ commands, output: output ?? null }));
}

/** What the clean clone of .ci/run has done. */
const done = /^npm ci$/gm;
const MARK = "---- next block ----";
const hasC = ["cc", "make", "wasm2c"].every((tool) => spawnSync(tool, ["--version"]).error === undefined);
const stale = staleBuild();

test.skipIf(stale !== null)(
  `${PAGE}${stale === null ? "" : ` (${stale})`}`,
  () => {
    const all = blocksOf(readFileSync(PAGE, "utf8"));
    const blocks = all.filter(({ commands }) => hasC || !/^(make|examples\/embed-c)/.test(commands));
    expect(all.length).toBe(readFileSync(PAGE, "utf8").match(/^```sh$/gm)!.length);
    const folder = mkdtempSync(join(tmpdir(), "vrfc-docs-"));
    try {
      for (const name of ["dist", "node_modules", "runtime", "package.json"])
        symlinkSync(resolve(name), join(folder, name));
      cpSync("examples", join(folder, "examples"), {
        recursive: true,
        filter: (path) => !/\.wasm$|router(\.[ch])?$/.test(path),
      });
      const script = blocks.map(({ commands }) => `${commands.replace(done, "")}\necho '${MARK}'`).join("\n");
      const { stdout, stderr, status } = spawnSync(
        "bash",
        ["-euo", "pipefail", "-c", `trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n${script}`],
        {
          cwd: folder,
          encoding: "utf8",
          timeout: 120_000,
        },
      );
      expect(status, stderr).toBe(0);
      const printed = stdout.split(`${MARK}\n`);
      for (const [i, { output }] of blocks.entries()) if (output !== null) expect(printed[i]).toBe(output);
      expect(existsSync(join(folder, "my/threads.wasm"))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  150_000,
);
