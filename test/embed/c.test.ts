/** The C side of the binary interface: the header is what the runtime says, and the example forwards. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { load } from "../../runtime/dataplane.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { cHeader } from "../../src/c-header.ts";
import { compile } from "../../src/compile.ts";

const HEADER = "runtime/c/vrfc.h";
const EXAMPLE = "examples/embed-c";

test("runtime/c/vrfc.h is made of the runtime's own tables (`npm run header`)", () => {
  if (process.env.BLESS === "1") writeFileSync(HEADER, cHeader());
  expect(readFileSync(HEADER, "utf8")).toBe(cHeader());
});

const missing = ["cc", "make", "wasm2c"].find((tool) => spawnSync(tool, ["--version"]).error !== undefined);
const implementation = "/usr/share/wabt/wasm2c/wasm-rt-impl.c";

describe.skipIf(missing !== undefined || !existsSync(implementation))(
  `examples/embed-c${missing === undefined ? "" : ` (no ${missing} here)`}`,
  () => {
    test("forwards as the same module does under JavaScript", async () => {
      const { artifact } = await compile(
        { name: "router.vrf", text: readFileSync(`${EXAMPLE}/router.vrf`, "utf8") },
        { level: 0 },
      );
      const folder = mkdtempSync(join(tmpdir(), "vrfc-embed-c-"));
      try {
        cpSync(EXAMPLE, folder, { recursive: true });
        writeFileSync(join(folder, "router.wasm"), artifact!);
        const runtime = join(process.cwd(), "runtime/c");
        execFileSync("make", ["-s", "CC=cc", `RUNTIME=${runtime}`, "CFLAGS=-O1 -Wall -Wextra -Wno-unused -Werror"], {
          cwd: folder,
        });
        const lines = execFileSync(join(folder, "router"), { encoding: "utf8" }).trimEnd().split("\n");
        expect(lines).toEqual([
          "ask for the link-layer address of the next hop on device 4",
          "send 34 bytes out of device 4 to 02:00:00:00:00:b2, ttl 63",
          "sent 1",
        ]);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
      const engine = (await load(artifact!)).net("router");
      const batch = engine.createBatch(1);
      engine.setNeighbour(4, 0x0a000102, 0x0200000000b2);
      const frame = readFileSync(`${EXAMPLE}/main.c`, "utf8").match(/frame\[\] = \{([\s\S]*?)\};/)![1];
      const bytes = frame
        .replace(/\/\*.*?\*\//g, "")
        .split(",")
        .filter((each) => each.trim() !== "")
        .map(Number);
      batch.put(Uint8Array.from(bytes), { entry: Entry.RECEIVE, device: 3 });
      engine.process(batch);
      expect(batch.column("verdict")[0]).toBe(Verdict.TRANSMIT);
      expect(batch.packet(0)[22]).toBe(63);
    }, 120_000);
  },
);
