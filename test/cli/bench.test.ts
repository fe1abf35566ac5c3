/** `vrfc bench`: what it reports, of drawn frames and of captures, and what it refuses. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { spread, Workers } from "../../src/bench/workers.ts";
import { main } from "../../src/cli/cli.ts";
import { staleBuild } from "../stale-build.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vrfc-bench-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function bench(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  vi.spyOn(console, "log").mockImplementation((text) => {
    out += `${text}\n`;
  });
  vi.spyOn(console, "error").mockImplementation((text) => {
    err += `${text}\n`;
  });
  const status = await main(["bench", ...argv, "--seconds", "1"]);
  return { status, out, err };
}
const SEED = "examples/seed.vrf";

function capture(linkType: number, frames: readonly Uint8Array[], cut = 0): string {
  const bytes = [Buffer.from("d4c3b2a1020004000000000000000000ffff0000", "hex"), Buffer.from([linkType, 0, 0, 0])];
  for (const frame of frames) {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    bytes.push(record, Buffer.from(frame));
  }
  const path = join(folder, `${linkType}-${frames.length}-${cut}.pcap`);
  const whole = Buffer.concat(bytes);
  writeFileSync(path, whole.subarray(0, whole.length - cut));
  return path;
}
const header = { tos: 0, identification: 0, dontFragment: true, ttl: 64, protocol: 17, source: 0x0a000007 };
const packetTo = (destination: number): Uint8Array => ipv4Packet({ ...header, destination }, new Uint8Array(20));
const frameTo = (destination: number): Uint8Array =>
  ethernetFrame({ destination: 0x00aabbccddee, source: 0x02, type: EtherType.IPV4 }, packetTo(destination));

describe("vrfc bench", () => {
  test("draws frames from the routes, and reports them as JSON", async () => {
    const { status, out } = await bench(SEED, "-j", "--device", "vethr1", "--frames", "300", "--traffic", "zipf:1.1");
    expect(status).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      schema: "vrfc.bench/1",
      namespace: "host",
      devices: ["vethr1"],
      frames: 300,
      threads: 1,
    });
    expect(report.verified).toBe(300);
    const verdicts: number[] = Object.values(report.verdicts);
    expect(verdicts.reduce((a, b) => a + b)).toBe(300);
    expect(report.nsPerPacket).toBeGreaterThan(0);
    expect(report.batchLatencyMicroseconds.p99).toBeGreaterThanOrEqual(report.batchLatencyMicroseconds.p50);
  });

  test("receives a capture's frames, addressed to the device; unknown neighbours answer", async () => {
    const path = capture(1, [frameTo(0x0a000107), frameTo(0x0a000108), frameTo(0x0a000001), new Uint8Array(5)]);
    const { status, out } = await bench(SEED, "-j", "--device", "vethr1", "--pcap", path);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      verdicts: { TRANSMIT: 2, LOCAL: 1 },
      frames: 3,
      skipped: { "cut off": 1 },
    });
  });

  test("takes what stands before the damage, and says so", async () => {
    const path = capture(101, [packetTo(0x0a000107), packetTo(0x0a000107)], 3);
    const { status, out, err } = await bench(SEED, "--device", "vethr1", "--pcap", path);
    expect(status).toBe(0);
    expect(err).toContain("it ends within frame 2, at byte 80; what stands before is taken");
    expect(out).toMatch(
      /1 frames of .*received by vethr1\n {2}1 of them judged as the reference judges them\n {2}TRANSMIT +1 +100.0 %/,
    );
  });

  test.each([
    [["--threads", "0"], "--threads 0: expected a number from 1 to 63"],
    [["--threads", "64"], "--threads 64: expected a number from 1 to 63"],
    [["--traffic", "zipf"], "--traffic zipf: expected uniform, in-prefix or zipf:S, with S from 0 to 10"],
    [["--traffic", "zipf:11"], "expected uniform, in-prefix or zipf:S"],
    [["--device", "eth9"], "namespace host has no device `eth9`; there are lo, "],
    [["--pcap", "/nowhere.pcap"], "cannot read /nowhere.pcap: no such file"],
    [["--pcap", SEED], `${SEED} is no capture: neither pcap nor pcapng`],
    [["--frames", "0"], "--frames 0: expected a number from 1 to 65536"],
  ])("%j is wrong use", async (argv, message) => {
    const { status, err } = await bench(SEED, ...argv);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });

  test("a capture of another link alone has nothing to receive", async () => {
    const { status, err } = await bench(SEED, "--pcap", capture(10, [new Uint8Array(60)]));
    expect(status).toBe(2);
    expect(err).toContain("has no frame to receive: 1 of link type 10 (FDDI)");
  });
});

/** Worker threads are started from what is built. */
const stale = staleBuild();
describe.skipIf(stale !== null)(`vrfc bench --threads${stale === null ? "" : ` (${stale})`}`, () => {
  const built = (...argv: string[]) => {
    const words = ["dist/src/cli/main.js", "bench", SEED, "--device", "vethr1", "--seconds", "1", "--threads", "2"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [...words, ...argv], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    return stdout;
  };

  test("spreads the flows over two workers, and measures them together", () => {
    const report = JSON.parse(built("-j", "--frames", "4096"));
    expect(report).toMatchObject({ frames: 4096, threads: 2, verified: 512 });
    const { workers, nsPerPacket, millionPerSecond, batchLatencyMicroseconds } = report;
    expect(workers).toHaveLength(2);
    expect(workers[0].frames + workers[1].frames).toBe(4096);
    for (const { frames, nsPerPacket: ns } of workers) {
      expect(frames).toBeGreaterThan(1024);
      // All together need at least as long as each worker's share.
      expect(nsPerPacket * 4096).toBeGreaterThanOrEqual(ns * frames);
    }
    expect(millionPerSecond).toBeCloseTo(1000 / nsPerPacket);
    expect(batchLatencyMicroseconds.p99).toBeGreaterThanOrEqual(batchLatencyMicroseconds.p50);
  });

  test("a single flow is one worker's", () => {
    const out = built("--pcap", capture(1, [frameTo(0x0a000107)]));
    expect(out).toMatch(/ns a packet, .* M\/s, 2 threads together, \d+ packets/);
    expect(out).toMatch(/worker \d: no flow/);
    expect(out).toMatch(/worker \d: \d+\.\d ns a packet, 2048 frames a round/);
  });
});

describe("workers", () => {
  const running = (script: string, count: number) =>
    new Workers<number>(
      new URL(`data:text/javascript,import { parentPort, workerData } from "node:worker_threads"; ${script}`),
      Array.from({ length: count }, (_, k) => k),
    );
  const others = "if (workerData === 0) setInterval(() => {}, 1000); else";

  test("frames of a flow stay with one, in their order", () => {
    const frames = Array.from({ length: 64 }, (_, i) => ({ bytes: frameTo(0x0a000100 + (i % 16)), i }));
    const shares = spread(frames, 3);
    expect(shares.flat().length).toBe(64);
    for (const share of shares) {
      expect(share.map(({ i }) => i)).toEqual(share.map(({ i }) => i).sort((a, b) => a - b));
      for (const { i } of share) expect(share.filter((other) => other.i % 16 === i % 16)).toHaveLength(4);
    }
  });

  test.each([
    [`${others} throw new Error("no more")`, "worker 2: no more"],
    [`${others} process.exit(3)`, "worker 2 has ended, with status 3"],
  ])("%s: whoever waits for all is told", async (script, message) => {
    await expect(running(script, 2).next()).rejects.toThrow(message);
  });

  test("say something each", async () => {
    expect(await running("parentPort.postMessage(workerData)", 3).next()).toEqual([0, 1, 2]);
  });
});
