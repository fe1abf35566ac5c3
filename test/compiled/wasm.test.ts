/**
 * The compiled engine agrees with the reference, at every optimisation level and with every look-up structure forced; it
 * never traps and never touches a byte outside of the packet's slot, whatever the packet.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { deviceOf } from "../../dsl/model.ts";
import { IMAGE_BYTES } from "../../runtime/abi/image.ts";
import { COUNTERS_BYTES } from "../../runtime/abi/net.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { type BackEndOptions, compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement, fill, judged, SLOT_SIZE } from "./agree.ts";
import { anyModel } from "./random-model.ts";
import { anyPacket, type DrawnPacket } from "./random-packets.ts";

const packets = fc.array(anyPacket, { minLength: 1, maxLength: 24, size: "max" });
const RUNS = Number(process.env.FC_RUNS ?? 40);

/** Some networks, always the same: compiling one costs more than judging a thousand packets. */
const MODELS = fc.sample(anyModel(), { seed: 20241, numRuns: 2 });

const VARIANTS: readonly BackEndOptions[] = [
  { level: 0 },
  { level: 1 },
  { level: 2 },
  ...(Object.keys(LpmKind) as LpmKind[]).map((lpm) => ({ level: 0 as const, lpm })),
];

describe.each(VARIANTS.map((options) => [JSON.stringify(options), options] as const))("wasm %s", (_, options) => {
  // DIR-24-8 is 16 MiB a table.
  const models = options.lpm === "dir24" ? MODELS.slice(0, 1) : MODELS;
  test("does what the reference does", async () => {
    for (const model of models) {
      const dataplane = await load((await compileModel(model, options)).artifact);
      const engines = [referenceEngine(model.nets[0], model.kernel), dataplane.net(0)];
      fc.assert(
        fc.property(packets, (drawn) => expectAgreement(engines, drawn)),
        { numRuns: RUNS },
      );
    }
  }, 300_000);
});

describe("one module", () => {
  const policy = `
    sysctl net.ipv4.ip_forward = 1
    vrf red { table 10 }
    interface a { index 4; master red; address 10.0.0.1/24; peer other x }
    interface b { index 5; master red; address 10.0.1.1/24 }
    interface d { index 7; address 10.0.2.1/24 }
    namespace other { interface x { address 10.0.0.7/24 } }`;
  const model = checkText(policy).model!;
  let dataplane: Dataplane;
  beforeAll(async () => {
    dataplane = await load((await compileModel(model, { level: 0 })).artifact);
  }, 60_000);

  const wire = (address: number): Uint8Array => {
    const field = new Uint8Array(16);
    new DataView(field.buffer).setUint32(0, address);
    return field;
  };
  function ipPacket(destination: number): Uint8Array {
    const header = {
      tos: 0,
      identification: 0,
      dontFragment: true,
      ttl: 64,
      protocol: 17,
      source: 0x0a000007,
      destination,
    };
    return ipv4Packet(header, new Uint8Array(8));
  }
  /** From a's neighbour to b's: forwarded. */
  const frame: DrawnPacket = {
    ...{ entry: Entry.RECEIVE, device: 4, mark: 0, uid: 0, flags: 0, nextHop: wire(0) },
    bytes: ethernetFrame(
      { destination: deviceOf(model.nets[0], 4)!.mac, source: 0x02aa, type: EtherType.IPV4 },
      ipPacket(0x0a000107),
    ),
  };

  test("names its namespaces", () => {
    expect(dataplane.net("other")).toBe(dataplane.net(1));
    expect(() => dataplane.net("third")).toThrow(RangeError);
  });

  test("any bytes are judged, and nothing outside their slot is touched", () => {
    const engine = dataplane.net(0);
    const batch = engine.createBatch(3, SLOT_SIZE);
    const { layout } = dataplane.manifest.nets[0];
    fc.assert(
      fc.property(anyPacket, fc.boolean(), (packet, traced) => {
        // The slots before and behind the packet's hold no entry.
        const idle = { ...packet, entry: 99, bytes: new Uint8Array(60).fill(0xa5) };
        fill(batch, [idle, packet, idle]);
        const before = dataplane.bytes.slice();
        if (traced) engine.trace(batch);
        else engine.process(batch);
        expect(Object.values(Verdict)).toContain(batch.column("verdict")[1]);
        const after = dataplane.bytes;
        const same = (start: number, end: number) =>
          Buffer.compare(before.subarray(start, end), after.subarray(start, end)) === 0;
        expect(same(batch.slot(0), batch.slot(1)), "the slot before").toBe(true);
        expect(same(batch.slot(2), batch.slot(2) + SLOT_SIZE), "the slot behind").toBe(true);
        // Of the image, a trace moves its cursor, and verdicts are counted.
        expect(same(IMAGE_BYTES, layout.counters), "the image").toBe(true);
        expect(same(layout.counters + COUNTERS_BYTES, dataplane.manifest.memory.heap), "the image").toBe(true);
      }),
      { numRuns: RUNS * 5 },
    );
  });

  test("a trace that outgrows its region is taken again, with the same effects", () => {
    const engine = dataplane.net(0);
    const many = engine.createBatch(2000, 256);
    const one = engine.createBatch(1, 256);
    fill(one, [frame]);
    const [expected] = engine.trace(one);
    fill(many, Array(2000).fill(frame));
    const size = dataplane.memory.buffer.byteLength;
    const traces = engine.trace(many);
    expect(dataplane.memory.buffer.byteLength).toBeGreaterThan(size);
    expect(traces.every((trace) => trace.length === expected.length)).toBe(true);
    expect(traces.at(-1)).toEqual(expected);
    expect(judged(many).at(-1)).toEqual(judged(one)[0]);
  });

  test("learns more neighbours than its table holds, and forgets them", () => {
    const engine = dataplane.net(0);
    const addresses = Array.from({ length: 500 }, (_, i) => 0x0a640000 + i);
    for (const address of addresses) engine.setNeighbour(7, address, address);
    engine.setNeighbour(7, 0xfe800000000000000000000000000001n, 0x0200000000ff);
    const batch = engine.createBatch(1, 256);
    const macTo = (address: number): number[] => {
      fill(batch, [
        { ...frame, entry: Entry.NEIGHBOUR, device: 7, flags: 0, bytes: ipPacket(address), nextHop: wire(address) },
      ]);
      engine.process(batch);
      return [batch.column("verdict")[0], batch.bytes[batch.column("data")[0] + 5]];
    };
    for (const address of addresses) expect(macTo(address)).toEqual([Verdict.TRANSMIT, address & 0xff]);
    engine.setNeighbour(7, addresses[3], null);
    expect(macTo(addresses[3])[0]).toBe(Verdict.UNRESOLVED);
    expect(macTo(addresses[4])[0]).toBe(Verdict.TRANSMIT);
  });

  test("counts verdicts and reasons, each packet once", async () => {
    const fresh = await load((await compileModel(model, { level: 0 })).artifact);
    const engine = fresh.net(0);
    const batch = engine.createBatch(40, SLOT_SIZE);
    const drawn = fc.sample(anyPacket, { seed: 3, numRuns: 40 });
    fill(batch, drawn);
    engine.process(batch);
    const { verdicts, reasons } = fresh.counters(0);
    const counted = Array.from(batch.column("verdict").subarray(0, 40));
    for (const [name, n] of Object.entries(Verdict))
      expect(Number(verdicts[name])).toBe(counted.filter((v) => v === n).length);
    const dropped = Object.values(reasons).reduce((sum, n) => sum + n, 0n);
    expect(dropped).toBe(verdicts.DROP);
  });

  test("refuses a batch of another memory", () => {
    const other = referenceEngine(model.nets[0], model.kernel).createBatch(1);
    expect(() => dataplane.net(0).process(other)).toThrow(TypeError);
    expect(() => dataplane.net(0).trace(other)).toThrow(TypeError);
  });

  test("refuses what is no module of ours", async () => {
    await expect(load(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))).rejects.toThrow("was not made by vrfc");
    await expect(load(Uint8Array.of(1, 2, 3))).rejects.toThrow();
  });
});
