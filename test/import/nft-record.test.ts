/** Asks nft anew what it lists of each row; needs root, `nft`, `unshare` and `ip`: npm run nft:record */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { DEVICES, recordingUrl, rows } from "./nft-rows.ts";

/** In the directory: each NUMBER.nft is loaded, and what nft says is in NUMBER.text and NUMBER.json, or in NUMBER.error. */
const SCRIPT = `
ip link add ${DEVICES[0]} type veth peer name ${DEVICES[1]} && ip tuntap add dev ${DEVICES[2]} mode tap || exit 1
for f in *.nft; do
  n=\${f%.nft}
  if nft -f $f 2>$n.error; then nft list ruleset >$n.text; nft -j list ruleset >$n.json; rm $n.error; fi
  nft flush ruleset
done
`;

test.skipIf(process.env.VRFC_RECORD === undefined)("recording", { timeout: 300_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), "vrfc-nft-"));
  const all = rows();
  for (const [i, { text }] of all.entries()) writeFileSync(join(directory, `${i}.nft`), text);
  execFileSync("unshare", ["-n", "sh", "-c", SCRIPT], { cwd: directory, stdio: "inherit" });
  const listed = all.map(({ text }, i): [string, unknown] => {
    const read = (ending: string): string => readFileSync(join(directory, `${i}.${ending}`), "utf8").trimEnd();
    try {
      return [
        text,
        {
          refused: read("error")
            .split("\n")[0]
            .replace(/^\S+nft:/, ""),
        },
      ];
    } catch {
      return [text, { text: read("text"), json: read("json") }];
    }
  });
  rmSync(directory, { recursive: true });
  writeFileSync(recordingUrl, gzipSync(JSON.stringify(Object.fromEntries(listed)), { level: 9 }));
  expect(listed.length).toBe(all.length);
});
