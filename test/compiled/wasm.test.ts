/**
 * The compiled engine agrees with the reference, at every optimisation level and with every look-up structure forced; it
 * never traps and never touches a byte outside of the packet's slot, whatever the packet.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { type BackEndOptions, compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement, fill, judged, SLOT_SIZE } from "./agree.ts";
import { anyModel, macOf } from "./random-model.ts";
import { anyPacket, type DrawnPacket } from "./random-packets.ts";

const packets = (maxLength: number) => fc.array(anyPacket, { minLength: 1, maxLength, size: "max" });
const RUNS = Number(process.env.FC_RUNS ?? 60);

/** Some networks, always the same: compiling one costs more than judging a thousand packets. */
const MODELS = fc.sample(anyModel(2), { seed: 20241, numRuns: 3 });

const VARIANTS: readonly BackEndOptions[] = [
  { level: 0 },
  { level: 1 },
  { level: 2 },
  ...(Object.keys(LpmKind) as LpmKind[]).map((lpm) => ({ level: 0 as const, lpm })),
];

describe.each(VARIANTS)("wasm, $level $lpm", (options) => {
  // DIR-24-8 is 16 MiB a table.
  const models = options.lpm === "dir24" ? MODELS.slice(0, 1) : MODELS;
  test("does what the reference does", async () => {
    for (const model of models) {
      const dataplane = await load((await compileModel(model, options)).artifact);
      fc.assert(
        fc.property(packets(24), fc.nat(1), (drawn, i) => {
          expectAgreement([referenceEngine(model.nets[i], model.kernel), dataplane.net(i)], drawn);
        }),
        { numRuns: RUNS },
      );
    }
  }, 300_000);
});

describe("one module", () => {
  const [model] = MODELS;
  let dataplane: Dataplane;
  beforeAll(async () => {
    dataplane = await load((await compileModel(model, { level: 0 })).artifact);
  }, 60_000);

  /** A frame for device `a`, for this host: it needs look-ups, whatever the network. */
  const frame: DrawnPacket = fc.sample(
    anyPacket.filter(
      ({ entry, device, bytes }) =>
        entry === Entry.RECEIVE && device === 4 && bytes.length > 34 && bytes[5] === (macOf(4) & 0xff),
    ),
    { seed: 5, numRuns: 1 },
  )[0];

  test("names its namespaces", () => {
    expect(dataplane.net("net1")).toBe(dataplane.net(1));
    expect(() => dataplane.net("net2")).toThrow(RangeError);
  });

  test("any bytes are judged, and nothing outside their slot is touched", () => {
    const engine = dataplane.net(0);
    const batch = engine.createBatch(3, SLOT_SIZE);
    const { heap } = dataplane.manifest.memory;
    fc.assert(
      fc.property(anyPacket, fc.boolean(), (packet, traced) => {
        // The slots before and behind the packet's hold no entry.
        const idle = { ...packet, entry: 99, bytes: new Uint8Array(60).fill(0xa5) };
        fill(batch, [idle, packet, idle]);
        const before = dataplane.bytes.slice(0);
        if (traced) engine.trace(batch);
        else engine.process(batch);
        expect(Object.values(Verdict)).toContain(batch.column("verdict")[1]);
        const [start, end] = [batch.slot(1), batch.slot(2)];
        const outside = (bytes: Uint8Array) => [
          bytes.subarray(batch.slot(0), start),
          bytes.subarray(end, end + SLOT_SIZE),
        ];
        expect(outside(dataplane.bytes)).toEqual(outside(before));
        if (!traced) expect(imageWithoutCounters(dataplane.bytes, heap)).toEqual(imageWithoutCounters(before, heap));
      }),
      { numRuns: RUNS * 5 },
    );
  });

  function imageWithoutCounters(bytes: Uint8Array, heap: number): Uint8Array {
    const image = bytes.slice(0, heap);
    for (const { layout } of dataplane.manifest.nets) image.fill(0, layout.counters, layout.counters + 640);
    return image;
  }

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
    for (const address of addresses) engine.setNeighbour(7, address, 0x020000000000 + address);
    engine.setNeighbour(7, 0xfe800000000000000000000000000001n, 0x0200000000ff);
    const batch = engine.createBatch(1, 256);
    const macTo = (address: number): number[] => {
      fill(batch, [
        { ...frame, entry: Entry.NEIGHBOUR, device: 7, flags: 0, bytes: ipHeader(address), nextHop: wire(address) },
      ]);
      engine.process(batch);
      return [batch.column("verdict")[0], batch.bytes[batch.column("data")[0] + 5]];
    };
    for (const address of addresses) expect(macTo(address)).toEqual([Verdict.TRANSMIT, address & 0xff]);
    engine.setNeighbour(7, addresses[3], null);
    expect(macTo(addresses[3])[0]).toBe(Verdict.UNRESOLVED);
    expect(macTo(addresses[4])[0]).toBe(Verdict.TRANSMIT);
  });

  const wire = (address: number): Uint8Array => {
    const field = new Uint8Array(16);
    new DataView(field.buffer).setUint32(0, address);
    return field;
  };
  function ipHeader(destination: number): Uint8Array {
    const bytes = new Uint8Array(28);
    bytes.set([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17]);
    bytes.set(wire(destination).subarray(0, 4), 16);
    return bytes;
  }

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
