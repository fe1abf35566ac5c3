/** Parts of the oracle that need no kernel: the archive it boots from, and what becomes a recording. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cpioOf } from "./cpio.ts";
import { loadOrder } from "./modules.ts";
import { recorded } from "./recorded.ts";

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "vrfc-test-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Names, contents and modes of a newc archive. */
function readCpio(archive: Buffer): { name: string; mode: number; content: string }[] {
  const entries = [];
  for (let at = 0; at < archive.length; ) {
    const field = (i: number) => Number.parseInt(archive.toString("latin1", at + 6 + i * 8, at + 14 + i * 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    expect(archive.toString("latin1", at, at + 6)).toBe("070701");
    const name = archive.toString("utf8", at + 110, at + 110 + nameSize - 1);
    const content = (at + 110 + nameSize + 3) & ~3;
    entries.push({ name, mode, content: archive.toString("utf8", content, content + size) });
    at = (content + size + 3) & ~3;
  }
  return entries;
}

test("an archive holds files, folders and links, and ends with its trailer", () =>
  inFolder((folder) => {
    mkdirSync(join(folder, "bin"), { mode: 0o755 });
    writeFileSync(join(folder, "bin/tool"), "12345", { mode: 0o755 });
    symlinkSync("bin/tool", join(folder, "link"));
    const entries = readCpio(cpioOf(folder)).map(({ name, mode, content }) => [name, mode.toString(8), content]);
    expect(entries).toEqual([
      ["bin", "40755", ""],
      ["bin/tool", "100755", "12345"],
      ["link", "120777", "bin/tool"],
      ["TRAILER!!!", "0", ""],
    ]);
  }));

test("modules are loaded behind those they depend on; built-in ones are left out", () =>
  inFolder((tree) => {
    const modules = {
      vrf: "",
      nft_ct: "nf-tables,nf_conntrack",
      nf_tables: "",
      nf_conntrack: "libcrc32c",
      libcrc32c: "",
    };
    for (const [name, depends] of Object.entries(modules))
      writeFileSync(join(tree, `${name.replace("_", "-")}.ko`), `ELF\0license=GPL\0depends=${depends}\0name=${name}\0`);
    const order = loadOrder(tree, ["nft_ct", "ext4", "vrf"]).map((file) => file.slice(tree.length + 1, -3));
    expect(order).toEqual(["nf-tables", "libcrc32c", "nf-conntrack", "nft-ct", "vrf"]);
  }));

test("what the kernel refused is no part of the recording", () => {
  const setup = [
    { cmd: "ip link add red type vrf table 10", rc: 0 },
    { cmd: "ip link add red type vrf table 20", rc: 2, err: "RTNETLINK answers: File exists" },
  ];
  const scenario = { name: "s", setup: setup.map(({ cmd }) => cmd), queries: [{ dst: "1.1.1.1" }] };
  expect(recorded(scenario, { name: "s", setup, answers: [{ error: "ENETUNREACH" }] })).toEqual({
    ...scenario,
    setup: ["ip link add red type vrf table 10"],
    expect: { answers: [{ error: "ENETUNREACH" }] },
  });
});
