/**
 * The short way (src/plan/build/fast_forward.ts) says what the long way says, and takes a packet only as a whole: what it gives back
 * is untouched.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model, Net } from "../../dsl/model.ts";
import { IMAGE } from "../../runtime/abi/image.ts";
import { BATCH_HEADER_BYTES, batchBytes, COLUMN, PacketBatch } from "../../runtime/batch.ts";
import { imageOffset, routeId, ruleId } from "../../runtime/brand.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { buildFib } from "../../src/fib/build.ts";
import { layout } from "../../src/layout.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import { interpret } from "../../src/plan/interpret.ts";
import { withoutTrace } from "../../src/plan/optimize.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import { anyModel, macOf, UNICAST } from "./random-model.ts";
import { anyPacket, type DrawnPacket } from "./random-packets.ts";

const RUNS = Number(process.env.FC_RUNS ?? 40);
const SLOT_SIZE = 512;

/** The hot plan of a namespace over memory of its own, for one packet at a time. */
function shortWay(model: Model) {
  const image = layout(model, buildFib(model));
  const plan = withoutTrace(buildPlan(model, image, { fast: true }));
  if (!plan.procs.some(({ name }) => name === "fast_forward.0")) return null;
  const base = Math.ceil(image.heap / 64) * 64;
  const memory = new Uint8Array(base + batchBytes(1, SLOT_SIZE));
  const program = interpret(plan, { memory });
  return (device: number, bytes: Uint8Array): { taken: boolean; untouched: boolean; verdict: number } => {
    memory.fill(0);
    memory.set(image.image);
    const batch = new PacketBatch(() => memory.buffer, imageOffset(base), 1, SLOT_SIZE);
    const call = () => program.call("fast_forward.0", [base + BATCH_HEADER_BYTES, 4, 1]);
    const put = () => {
      memory.fill(0, base + BATCH_HEADER_BYTES);
      batch.count = 0;
      batch.put(bytes, { device, entry: Entry.RECEIVE });
    };
    // The first call of two finds the neighbour, and the next hop remembers it (NEXT_HOP.changes).
    put();
    call();
    put();
    const before = memory.slice();
    const taken = call() === 1;
    // What the result columns held is not asked of a packet that the long way judges: it begins with clearing them.
    const [first, behind] = [base + BATCH_HEADER_BYTES + 4 * COLUMN("verdict"), batch.slot(0)];
    const same = (from: number, to: number) =>
      Buffer.compare(memory.subarray(from, to), before.subarray(from, to)) === 0;
    const untouched = same(IMAGE.any, first) && same(behind, memory.length);
    return { taken, untouched, verdict: batch.column("verdict")[0] };
  };
}

/** As the short way needs it: the kernel's rules, devices that are up and forward, and every neighbour known. */
const ready = (net: Net): Net => ({
  ...net,
  devices: net.devices.map((device) => ({ ...device, up: true, conf: { ...device.conf, forwarding4: true } })),
  rules: kernelsRules(net),
  neighbours: everyNeighbour(net),
});
/** Without routes that make it look up each source (src/source-filter.ts). */
const withSourceFilter = (net: Net): Net => ({
  ...net,
  routes: net.routes
    .filter(
      ({ type, prefix }) => prefix.length === 32 || !["local", "broadcast", "anycast", "multicast"].includes(type),
    )
    .map((route, id) => ({ ...route, id: routeId(id) })),
});
const everyNeighbour = ({ devices }: Net): Net["neighbours"] =>
  devices.flatMap(({ ifindex }) =>
    UNICAST.map((address, i) => ({ address, mac: 0x020000000700 + i, device: ifindex, origin: {} })),
  );
const kernelsRules = (net: Net): Net["rules"] =>
  net.rules.filter(({ origin }) => origin.kernel !== undefined).map((rule, id) => ({ ...rule, id: ruleId(id) }));

/** A good frame between hosts near the addresses that networks are drawn with. */
const nearby = fc.tuple(fc.constantFrom(...UNICAST), fc.integer({ min: 2, max: 0x3fe })).map(([a, b]) => (a ^ b) >>> 0);
const anyGoodFrame: fc.Arbitrary<DrawnPacket> = fc
  .record({
    ...{ device: fc.constantFrom(4, 5, 6, 7), source: nearby, destination: nearby },
    ...{ ttl: fc.constantFrom(2, 64), tos: fc.constantFrom(0, 0x10, 0xb8), payload: fc.constantFrom(0, 8, 100) },
  })
  .map(({ device, source, destination, ttl, tos, payload }) => {
    const header = { tos, identification: 7, dontFragment: true, ttl, protocol: 17, source, destination };
    const packet = ipv4Packet(header, new Uint8Array(payload));
    const bytes = ethernetFrame({ destination: macOf(device), source: 0x02aa, type: EtherType.IPV4 }, packet);
    return { entry: Entry.RECEIVE, device, mark: 0, uid: 0, flags: 0, bytes, nextHop: new Uint8Array(16) };
  });
const anyDrawn = fc.oneof(anyGoodFrame, anyPacket);

const models = fc
  .sample(anyModel(), { seed: 77, numRuns: 16 })
  .map((model, i) => ({ ...model, nets: model.nets.map(ready).map(i % 2 === 0 ? withSourceFilter : (net) => net) }))
  .filter((model) => shortWay(model) !== null);

describe("drawn networks with the kernel's rules alone", () => {
  test("there are some", () => {
    expect(models.length).toBeGreaterThan(6);
  });

  test.each(models.map((model, i) => [i, model] as const))("%i: as the reference", (_, model) => {
    const plans = ([{}, { lpm: "ranges" }] as const).map((lpm) => planEngines(model, { level: 0, ...lpm }, 1 << 23)[0]);
    const engines = [referenceEngine(model.nets[0], model.kernel), ...plans];
    fc.assert(
      fc.property(fc.array(anyDrawn, { minLength: 1, maxLength: 150, size: "max" }), (drawn) =>
        expectAgreement(engines, drawn),
      ),
      { numRuns: RUNS },
    );
  });

  test("packets that the short way gives back are untouched, and it takes some", () => {
    let taken = 0;
    for (const model of models) {
      const run = shortWay(model)!;
      for (const packet of fc.sample(anyDrawn, { seed: 5, numRuns: 300 })) {
        if (packet.entry !== Entry.RECEIVE) continue;
        const answer = run(packet.device, packet.bytes);
        if (answer.taken) expect(answer.verdict).toBe(Verdict.TRANSMIT);
        else expect(answer.untouched).toBe(true);
        taken += Number(answer.taken);
      }
    }
    expect(taken).toBeGreaterThan(50);
  });
});

describe("one network", () => {
  const text = (more = "") => `
    sysctl net.ipv4.ip_forward = 1
    ${more}
    vrf red { table 10 }
    interface a { index 4; master red; address 10.0.0.1/24 }
    interface b { index 5; master red; address 10.0.1.1/24 }
    interface lone { index 6; address 10.0.2.1/24 }
    table 10 {
      route 20.0.0.0/8 via 10.0.1.2
      route 21.0.0.0/8 via 10.0.0.2
      route 22.0.0.0/8 nexthop via 10.0.0.2 nexthop via 10.0.1.2
      route 23.0.0.0/8 via 10.0.1.3
      route 24.0.0.0/8 via 10.0.1.2 mtu 100
      route blackhole 25.0.0.0/8
      route 26.0.0.0/8 via 10.0.1.2
      route 26.0.0.0/8 via 10.0.1.2 tos 0x10
      route unreachable default metric 4278198272
    }
    neighbour 10.0.0.2 dev a lladdr 02:00:00:00:00:a2
    neighbour 10.0.1.2 dev b lladdr 02:00:00:00:00:b2
    neighbour 10.0.1.7 dev b lladdr 02:00:00:00:00:b7`;
  const modelOf = (source: string): Model => {
    const { model, diagnostics } = checkText(source);
    if (model === null) throw new Error(JSON.stringify(diagnostics));
    return model;
  };
  const model = modelOf(text());
  const run = shortWay(model)!;

  interface Spoilt {
    readonly device?: number;
    readonly source?: number;
    readonly destination?: number;
    readonly ttl?: number;
    readonly type?: number;
    readonly mac?: number;
    readonly payload?: number;
    readonly spoil?: (frame: Uint8Array) => void;
  }
  const ip = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  function frameOf(of: Model, spoilt: Spoilt): Uint8Array {
    const { device = 4, source = ip(10, 0, 0, 9), destination = ip(20, 1, 2, 3), ttl = 64, type = 0x0800 } = spoilt;
    const own = of.nets[0].devices.find(({ ifindex }) => ifindex === device)!.mac;
    const header = { tos: 0, identification: 0, dontFragment: true, ttl, protocol: 17, source, destination };
    const packet = ipv4Packet(header, new Uint8Array(spoilt.payload ?? 8));
    const frame = ethernetFrame({ destination: spoilt.mac ?? own, source: 0x02aa, type }, packet);
    spoilt.spoil?.(frame);
    return frame;
  }
  /** Says another total length, in a header that sums up. */
  const sumUp = (frame: Uint8Array, totalLength: number): void => {
    writeU16(frame, 16, totalLength);
    writeU16(frame, 24, 0);
    writeU16(frame, 24, checksum(frame.subarray(14, 34)));
  };

  test.each<[string, Spoilt]>([
    ["by a gateway", {}],
    ["to a neighbour", { destination: ip(10, 0, 1, 7) }],
    ["from nowhere that there is a way to", { source: ip(99, 0, 0, 1) }],
    ["with bytes behind the packet", { spoil: (frame) => sumUp(frame, 25) }],
    ["as large as the route lets it be", { destination: ip(24, 0, 0, 1), payload: 80 }],
  ])("takes a packet %s", (_, spoilt) => {
    expect(run(spoilt.device ?? 4, frameOf(model, spoilt))).toMatchObject({ taken: true, verdict: Verdict.TRANSMIT });
  });

  test.each<[string, Spoilt]>([
    ["for another host's address", { mac: 0x02ffffffffff }],
    ["for everyone", { mac: 0xffffffffffff }],
    ["of ARP", { type: 0x0806 }],
    ["with a VLAN tag", { type: 0x8100 }],
    ["with a wrong checksum", { spoil: (frame) => writeU16(frame, 24, 1) }],
    ["with options", { spoil: (frame) => frame.set([0x46], 14) }],
    ["that says it is longer", { spoil: (frame) => sumUp(frame, 200) }],
    ["that says it is shorter than a header", { spoil: (frame) => sumUp(frame, 19) }],
    ["whose time is over", { ttl: 1 }],
    ["from 127/8", { source: ip(127, 0, 0, 1) }],
    ["from a multicast group", { source: ip(224, 0, 0, 1) }],
    ["from 0.0.0.0", { source: 0 }],
    ["from an address of this host", { source: ip(10, 0, 1, 1) }],
    ["from a broadcast address", { source: ip(10, 0, 1, 255) }],
    ["to 127/8", { destination: ip(127, 0, 0, 1) }],
    ["to a multicast group", { destination: ip(239, 0, 0, 1) }],
    ["to everyone", { destination: 0xffffffff }],
    ["to this host", { destination: ip(10, 0, 1, 1) }],
    ["to a subnet's broadcast address", { destination: ip(10, 0, 1, 255) }],
    ["back out of its device", { destination: ip(21, 0, 0, 1) }],
    ["by several next hops", { destination: ip(22, 0, 0, 1) }],
    ["to a neighbour that is not known", { destination: ip(23, 0, 0, 1) }],
    ["larger than its route's MTU", { destination: ip(24, 0, 0, 1), payload: 81 }],
    ["to a black hole", { destination: ip(25, 0, 0, 1) }],
    ["by a route that asks for its TOS", { destination: ip(26, 0, 0, 1) }],
    ["without a way", { destination: ip(30, 0, 0, 1) }],
    ["of a device that is not there", { spoil: () => {}, device: 6, destination: ip(20, 0, 0, 1) }],
  ])("gives back a packet %s, untouched", (_, spoilt) => {
    expect(run(spoilt.device ?? 4, frameOf(model, spoilt))).toMatchObject({ taken: false, untouched: true });
  });

  test.each([
    ["a rule that selects", "rule 500 from 10.0.0.0/8 lookup 10", true],
    ["a rule that refuses", "rule 500 unreachable", true],
    ["a chain that looks at IPv4", "chain c { type filter hook forward priority 0; counter }", true],
    [
      "a chain that looks at frames",
      "table netdev t { chain c { type filter hook ingress device a priority 0; counter } }",
      true,
    ],
    ["a chain that looks at IPv6", "table ip6 t { chain c { type filter hook forward priority 0; counter } }", false],
    ["a rule for every packet", "table 77 { route 99.0.0.0/8 dev lone } rule 500 lookup 77", false],
  ])("with %s: is there none? (%s)", (_, statement, none) => {
    expect(shortWay(modelOf(text(statement))) === null).toBe(none);
  });

  test("rp_filter takes a source by its own device alone", () => {
    const strict = modelOf(text("sysctl net.ipv4.conf.a.rp_filter = 1"));
    const judge = shortWay(strict)!;
    expect(judge(4, frameOf(strict, {})).taken).toBe(true);
    for (const source of [ip(10, 0, 1, 9), ip(99, 0, 0, 1)])
      expect(judge(4, frameOf(strict, { source }))).toMatchObject({ taken: false, untouched: true });
  });
});
