/** The C side of the binary interface: the header is what the runtime says, and the example forwards. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { load } from "../../runtime/dataplane.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { cHeader } from "../../src/c-header.ts";
import { cProgram } from "../../src/c-program.ts";
import { compile } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { expectGolden } from "../golden.ts";

const HEADER = "runtime/c/vrfc.h";
const EXAMPLE = "examples/embed-c";

test("runtime/c/vrfc.h is made of the runtime's own tables (`npm run header`)", () => {
  expectGolden(HEADER, cHeader());
});

const port = fc.constantFrom(22, 53, 80);
/** Of IPv4 to the router, most to where it forwards; some cut off. */
const anyFrame = fc
  .record({
    protocol: fc.constantFrom(6, 17, 17, 1),
    destination: fc.oneof(fc.integer({ min: 0xc0000200, max: 0xc00002ff }), fc.constantFrom(0x0a000001, 0x08080808)),
    ttl: fc.constantFrom(1, 2, 64, 64, 64),
    ports: fc.tuple(port, port),
    cut: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) }),
  })
  .map(({ protocol, destination, ttl, ports, cut }) => {
    const payload = new Uint8Array(24);
    new DataView(payload.buffer).setUint32(0, (ports[0] << 16) | ports[1]);
    payload[12] = 0x50;
    const header = { tos: 0, identification: 0, dontFragment: true, ttl, protocol, source: 0x0a000002, destination };
    const ethernet = { destination: 0x020000000003, source: 0x020000000002, type: EtherType.IPV4 };
    const frame = ethernetFrame(ethernet, ipv4Packet(header, payload));
    return frame.subarray(0, frame.length - cut);
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

    test("programs translated by themselves and attached give what they give attached under JavaScript", async () => {
      const text = readFileSync(`${EXAMPLE}/router.vrf`, "utf8");
      const guarded = text + readFileSync(`${EXAMPLE}/programs.vrf`, "utf8");
      const { artifact } = await compile({ name: "router.vrf", text }, { level: 1 });
      const { model } = checkText(guarded);
      const [scrub, guard] = await Promise.all(
        ["scrub", "guard"].map((name) => compileProgram(model!, name, { level: 1 })),
      );
      const frames = fc.sample(anyFrame, { seed: 11, numRuns: 3000 });
      const folder = mkdtempSync(join(tmpdir(), "vrfc-attached-c-"));
      const lines: string[] = [];
      try {
        cpSync(EXAMPLE, folder, { recursive: true });
        writeFileSync(join(folder, "guarded.vrf"), guarded);
        writeFileSync(join(folder, "router.wasm"), artifact!);
        for (const { artifact: wasm, manifest, state } of [scrub, guard]) {
          writeFileSync(join(folder, `${manifest.name}.wasm`), wasm);
          writeFileSync(join(folder, `${manifest.name}-program.h`), cProgram(manifest, state));
        }
        const parts = frames.flatMap((frame) => [new Uint8Array(Uint32Array.of(3, frame.length).buffer), frame]);
        writeFileSync(join(folder, "frames"), Buffer.concat(parts));
        const runtime = join(process.cwd(), "runtime/c");
        const flags = "CFLAGS=-O1 -Wall -Wextra -Wno-unused -Werror";
        execFileSync("make", ["-s", "CC=cc", "VRFC=false", `RUNTIME=${runtime}`, flags, "attached"], { cwd: folder });
        lines.push(...execFileSync("./attached", ["frames"], { cwd: folder, encoding: "utf8" }).trimEnd().split("\n"));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
      const dataplane = await load(artifact!);
      const engine = dataplane.net("router");
      engine.setNeighbour(4, 0x0a000102, 0x0200000000b2);
      const links = [scrub, guard].map(async ({ artifact: wasm, manifest }) =>
        dataplane.attach(manifest.hook, await loadProgram(wasm)),
      );
      const [ofScrub, ofGuard] = await Promise.all(links);
      const batch = engine.createBatch(1);
      const verdicts = frames.map((frame) => {
        batch.count = 0;
        batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
        engine.process(batch);
        return ["verdict", "reason", "outDevice"].map((column) => batch.column(column as "verdict")[0]).join(" ");
      });
      const counters = [ofScrub, ofGuard].flatMap((link) =>
        link.readCounters().map(({ packets }, i) => `${link.program.name} ${i} ${packets}`),
      );
      expect(lines).toEqual([...verdicts, ...counters]);
      // Every rule of both has met frames, so has each verdict: sent, dropped, rejected.
      expect(new Set(verdicts).size).toBeGreaterThan(4);
      expect(counters.filter((line) => !line.endsWith(" 0"))).toHaveLength(6);
    }, 120_000);
  },
);
