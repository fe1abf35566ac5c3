/**
 * Long lists as classifiers: every engine says what the reference says, whatever the rules do and whatever structure they are looked up in;
 * as a program in the packet path, as one of its own that looks ahead, and as a chain.
 */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { placeState } from "../../runtime/links/running.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import type { Family, Ipv6 } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { Entry } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import type { ClassifierOptions } from "../../src/netfilter/classifier/layout.ts";
import { LOOK_AHEAD } from "../../src/plan/build/netfilter/look_ahead.ts";
import { interpret } from "../../src/plan/interpret.ts";
import { withoutTrace } from "../../src/plan/optimize.ts";
import { compileProgram, type ProgramOptions } from "../../src/program.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import type { DrawnPacket } from "./random-packets.ts";

/** With sets of bits where the rules are few, with tables of all fields, of some, of none. */
const STRUCTURES: readonly ClassifierOptions[] = [{}, { budget: 1 << 22 }, { budget: 20_000 }, { budget: 0 }];
const MAC = 0x0200_0000_0001;
const DEVICE = 4;

const of = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)];

function condition(random: Random): string {
  const address = `10.0.${random.below(3)}.${random.below(8)}`;
  const port = 50 + random.below(12);
  const op = of(random, ["", "", "", "!= "]);
  return of(random, [
    ...[
      `ip saddr ${op}${address}`,
      `ip saddr ${address}/${28 + random.below(4)}`,
      `ip daddr 10.0.${random.below(4)}.0/24`,
    ],
    ...[`ip daddr ${address}`, `ip daddr ${op}{ 10.0.0.1, 10.0.1.0/30, 10.0.2.4-10.0.2.9 }`, `th dport ${op}${port}`],
    ...[`th sport ${port}-${port + random.below(9)}`, `udp dport { ${port}, ${port + 2}-${port + 5} }`],
    ...[`ip protocol ${of(random, ["tcp", "udp", "icmp"])}`, `th dport >= ${port}`, `ip ttl < ${60 + random.below(8)}`],
    ...[`ip dscp ${random.below(3)}`, `meta length > ${40 + random.below(20)}`, "ip frag-off & 0x1fff != 0"],
    ...[
      `ip6 nexthdr ${of(random, ["tcp", "udp", "ah"])}`,
      `ip6 daddr 2001:db8:${random.below(2)}::${random.below(4)}`,
      `ip6 saddr 2001:db8:${random.below(2)}::/${of(random, [48, 64, 125, 126])}`,
      `ip6 daddr ${op}{ 2001:db8::1, 2001:db8:1::/64, 2001:db8::4-2001:db8::9 }`,
      `ip6 hoplimit < ${60 + random.below(8)}`,
      `ether type ${of(random, ["ip", "ip6"])}`,
    ],
    ...["meta l4proto != tcp", `tcp flags & (syn | ack) == ${of(random, ["syn", "ack", "0"])}`],
  ]);
}

type Words = readonly string[];

/** @param apart conditions that begin so are left out */
function rules(random: Random, count: number, words: Words, apart: readonly string[] = []): string[] {
  return Array.from({ length: count }, () => {
    const drawn = Array.from({ length: 1 + random.below(3) }, () => condition(random));
    const conditions = drawn.filter((one) => !apart.some((start) => one.startsWith(start)));
    return `${conditions.join(" ")} ${of(random, words)}`;
  });
}

/** What is left are fields that every plain frame has at one place, few enough for one look-up. */
const APART: readonly (readonly string[])[] = [
  ["meta length", "ip6"],
  ["meta length", "ip ttl", "ip dscp", "ip frag-off", "ip6 hoplimit", "tcp flags"],
  ["meta length", "ip "],
];

const XDP: Words = ["counter PASS", "counter PASS", "counter DROP", "PASS", "DROP", "counter TX"];
const XDP_ON: Words = [
  ...XDP,
  "counter",
  "counter jump apart",
  'log prefix "seen"',
  "limit rate 3/second counter DROP",
  "goto apart",
];
const CHAIN: Words = ["counter accept", "counter drop", "drop", "reject", "counter return", "goto apart"];
const CHAIN_ON: Words = [
  ...CHAIN,
  "counter",
  "jump apart",
  "ip saddr @some counter drop",
  "counter name shared",
  "meta mark set 7",
];

const head = (device = "") =>
  `sysctl net.ipv4.ip_forward = 1\ninterface a { index ${DEVICE}; address 10.0.0.1/24; lladdr 02:00:00:00:00:01; ${device} }\n` +
  "interface b { index 5; address 10.0.3.1/24 }\n";
/** A veth takes frames up to its MTU and 18 bytes, a dummy any. */
const MTU = 80;
const LONG = MTU + 19;

/** Without the rules that the checker refuses: conditions are drawn without a look at what fits together. */
function network(body: string, device?: string): Model {
  const lines = `${head(device)}${body}`.split("\n");
  const text = lines.join("\n");
  const { diagnostics } = checkText(text);
  for (const { severity, primary } of diagnostics)
    if (severity === "error") lines[text.slice(0, primary.span.start).split("\n").length - 1] = "";
  return checkText(lines.join("\n")).model!;
}
const program = (lines: readonly string[], device?: string): Model =>
  network(
    `chain apart {\nudp dport 53 counter DROP\ncounter\n}\nprogram p on xdp a {\n${lines.join("\n")}\n}\n`,
    device,
  );
const chain = (lines: readonly string[]): Model =>
  network(
    `table inet t {\nset some { type ipv4_addr; elements = { 10.0.0.3, 10.0.1.1 } }\ncounter shared {}\n` +
      `chain apart {\ntcp dport 55 counter drop\ncounter\n}\n` +
      `chain pre { type filter hook prerouting priority 0; policy accept;\n${lines.join("\n")}\n}\n}\n`,
  );

/** IPv4 and IPv6 by turns, most of them plain; some cut short or too long for a veth, with options, fragments, other headers, tags, bytes. */
function packets(random: Random, count: number): DrawnPacket[] {
  let ipv6 = false;
  return Array.from({ length: count }, () => {
    if (random.chance(0.1)) ipv6 = !ipv6;
    const bytes = ipv6 ? frame6(random) : frame4(random);
    const odd = random.below(28);
    if (odd === 0) bytes[14] ^= of(random, [3, 0x20, 0x50]);
    if (odd === 1) bytes[21] = 3;
    if (odd === 2) bytes[ipv6 ? 19 : 17] += 9;
    if (odd === 3) bytes.set(ipv6 ? [0x08, 0x00] : [0x86, 0xdd], 12);
    if (odd === 4) bytes.set([0x81, 0x00], 12);
    if (odd === 5) bytes.set([0x08, 0x06], 12);
    if (odd === 9) bytes[14 + random.below(bytes.length - 14)] = random.below(256);
    const device = odd === 6 ? 5 : DEVICE;
    const frame = odd === 7 ? bytes.slice(0, 14 + random.below(50)) : odd === 8 ? padded(bytes, LONG) : bytes;
    return received(frame, device);
  });
}

const received = (bytes: Uint8Array, device = DEVICE): DrawnPacket => ({
  ...{ entry: Entry.RECEIVE, device, mark: 0, uid: 0, flags: 0 },
  ...{ nextHop: new Uint8Array(16), bytes },
});

const MACS = { destination: MAC, source: 0x0200_0000_0707 };

/** Some are shorter than their ports, some than their flags. */
function transport(random: Random): Uint8Array {
  const payload = new Uint8Array(random.chance(0.1) ? random.below(8) : 20);
  const view = new DataView(payload.buffer);
  if (payload.length >= 4) view.setUint32(0, ((48 + random.below(16)) << 16) | (48 + random.below(16)));
  if (payload.length >= 14) payload[13] = of(random, [2, 16, 18, 0]);
  return payload;
}

function frame4(random: Random): Uint8Array {
  const payload = transport(random);
  const header = {
    ...{ tos: 4 * random.below(4), identification: 1, dontFragment: true, ttl: 58 + random.below(12) },
    protocol: of(random, [6, 17, 17, 1, 50]),
    source: 0x0a000000 + 256 * random.below(3) + random.below(10),
    destination: 0x0a000000 + 256 * random.below(4) + random.below(10),
  };
  return ethernetFrame({ ...MACS, type: EtherType.IPV4 }, ipv4Packet(header, payload));
}

/** Some with an extension header, what is behind it, and "none". */
function frame6(random: Random): Uint8Array {
  const address = (): Ipv6 => (0x20010db8n << 96n) | (BigInt(random.below(3)) << 80n) | BigInt(random.below(10));
  const next = of(random, [6, 17, 17, 58]);
  const odd = random.chance(0.1) ? of(random, [0, 43, 44, 51, 59, 60]) : null;
  const payload = transport(random);
  const header = { trafficClass: 0, flowLabel: random.below(2), hopLimit: 58 + random.below(12) };
  const packet = ipv6Packet(
    { ...header, nextHeader: odd ?? next, source: address(), destination: address() },
    odd === null || random.chance(0.3) ? payload : Uint8Array.of(next, 0, 0, 0, 0, 0, 0, 0, ...payload),
  );
  return ethernetFrame({ ...MACS, type: EtherType.IPV6 }, packet);
}

function udpFrame(family: Family, port: number, bytes: number): Uint8Array {
  const payload = Uint8Array.of(0, 1, port >> 8, port & 0xff, ...new Uint8Array(bytes - 4));
  if (family === 4) {
    const header = { tos: 0, identification: 1, dontFragment: true, ttl: 64, protocol: 17 };
    const packet = ipv4Packet({ ...header, source: 0x0a000003, destination: 0x0a000303 }, payload);
    return ethernetFrame({ ...MACS, type: EtherType.IPV4 }, packet);
  }
  const header = { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader: 17 };
  const packet = ipv6Packet({ ...header, source: 3n, destination: 0x303n }, payload);
  return ethernetFrame({ ...MACS, type: EtherType.IPV6 }, packet);
}

function padded(frame: Uint8Array, bytes: number): Uint8Array {
  const longer = new Uint8Array(bytes);
  longer.set(frame);
  return longer;
}

function expectSame(reference: Engine, others: readonly Engine[], batches: readonly DrawnPacket[][]): void {
  const all = [reference, ...others].map((engine) => ({ engine, batch: engine.createBatch(128, SLOT_SIZE) }));
  for (const [round, drawn] of batches.entries()) {
    const answers = all.map(({ engine, batch }, i) => {
      engine.setTime(BigInt(round) * 200_000_000n);
      fill(batch, drawn);
      const traces = i === 0 || round % 2 === 0 ? engine.trace(batch) : null;
      if (traces === null) engine.process(batch);
      return { traces, judged: judged(batch), counters: engine.readCounters() };
    });
    for (const [i, { traces, ...answer }] of answers.entries()) {
      const { traces: expected, ...first } = answers[0];
      if (traces !== null) expect(traces, all[i].engine.name).toEqual(expected);
      expect(answer, all[i].engine.name).toEqual(first);
    }
  }
}

/** Program p as a module of its own, attached, beside the reference that has it in the packet path. */
async function attachedBeside(model: Model, options: ProgramOptions) {
  const [net] = model.nets;
  const bare = { ...model, nets: [{ ...net, netfilter: { ...net.netfilter, programs: [] } }] };
  const dataplane = await load((await compileModel(bare, { level: 0 })).artifact);
  const { artifact, plan } = await compileProgram(model, "p", options);
  const link = dataplane.links(0).attach(await loadProgram(artifact));
  const [engine, reference] = [dataplane.net(0), referenceEngine(net, model.kernel)];
  const expectAlike = (drawn: readonly DrawnPacket[], traced: boolean, time = 0n): void => {
    const [batch, own] = [engine, reference].map((one) => {
      one.setTime(time);
      const made = one.createBatch(128, SLOT_SIZE);
      fill(made, drawn);
      return made;
    });
    const expected = reference.trace(own);
    if (traced) expect(engine.trace(batch)).toEqual(expected);
    else engine.process(batch);
    const entries = batch.column("entry");
    for (let k = 0; k < batch.count; k++) if (entries[k] === Entry.JUDGED) entries[k] = Entry.RECEIVE;
    expect(judged(batch)).toEqual(judged(own));
    expect(link.readCounters()).toEqual(reference.readCounters());
  };
  return { plan, expectAlike };
}

const LISTS: readonly (readonly [string, (random: Random) => Model])[] = [
  ["a program whose rules all decide", (random) => program(rules(random, 90, XDP))],
  ["a program with rules that go on", (random) => program(rules(random, 120, XDP_ON))],
  ["a chain whose rules all decide", (random) => chain(rules(random, 90, CHAIN))],
  ["a chain with rules that go on", (random) => chain(rules(random, 120, CHAIN_ON))],
  ["a chain of many rules", (random) => chain(rules(random, 400, CHAIN))],
];

describe("long lists", () => {
  test.each(LISTS)(
    "%s",
    async (_, drawn) => {
      const random = new Random(7);
      const model = drawn(random);
      const engines = STRUCTURES.flatMap((classifiers) => planEngines(model, { level: 0, classifiers }));
      for (const [level, classifiers] of [
        [0, STRUCTURES[0]],
        [1, STRUCTURES[2]],
        [0, STRUCTURES[1]],
      ] as const)
        engines.push((await load((await compileModel(model, { level, classifiers })).artifact)).net(0));
      const batches = Array.from({ length: 4 }, () => packets(random, 100));
      expectSame(referenceEngine(model.nets[0], model.kernel), engines, batches);
    },
    120_000,
  );

  const lengths = [400, 100, 100, 400, 100, 100, 400, 100, 100, 400, 100, 100, 1, 3, 40];
  test.each(lengths.map((_, seed) => [seed, ["veth", "dummy"][seed % 2]] as const))(
    "a program of its own, that looks ahead: %i, on a %s",
    async (seed, kind) => {
      const random = new Random(100 + seed);
      const words = seed % 4 < 2 ? XDP : XDP_ON;
      const lines = rules(random, lengths[seed], words, APART[(seed >> 2) % APART.length]);
      const model = program(lines, `type ${kind}; mtu ${MTU}`);
      const { plan, expectAlike } = await attachedBeside(model, {
        level: seed % 5 === 0 ? 2 : 0,
        classifiers: lengths[seed] < 64 ? {} : STRUCTURES[1 + (seed % 3)],
      });
      expect(plan.procs.some(({ name }) => name.startsWith("look_ahead"))).toBe(true);
      for (let round = 0; round < 6; round++)
        expectAlike(packets(random, 64 + round), round % 2 === 0, BigInt(round) * 200_000_000n);
    },
    60_000,
  );

  /** Frames of which the first is too long for a veth are given up at once. */
  test.each((["veth", "dummy"] as const).flatMap((kind) => ([4, 6] as const).map((family) => [kind, family] as const)))(
    "frames on a %s are looked up ahead: IPv%i",
    async (kind, family) => {
      const model = program(rules(new Random(100), 100, XDP, APART[1]), `type ${kind}; mtu ${MTU}`);
      const [net] = model.nets;
      const bare = { ...model, nets: [{ ...net, netfilter: { ...net.netfilter, programs: [] } }] };
      const dataplane = await load((await compileModel(bare, { level: 0 })).artifact);
      const { plan, manifest, state: initial } = await compileProgram(model, "p", { level: 0 });
      const state = dataplane.allocate(initial.length);
      const instructions = (first: number): number => {
        const batch = dataplane.net(0).createBatch(4, SLOT_SIZE);
        const bytes = udpFrame(family, 7, 6);
        for (const length of [first, 60, 60, 60])
          batch.put(padded(bytes, length), { entry: Entry.RECEIVE, device: DEVICE });
        batch.writeCount();
        const memory = new Uint8Array(dataplane.memory.buffer.slice(0));
        placeState(new Uint32Array(memory.buffer), state, manifest, initial);
        let taken = 0;
        const onCall = (name: string, count: number): void => {
          if (name === `${LOOK_AHEAD}.0`) taken += count;
        };
        interpret(withoutTrace(plan), { memory, state, onCall }).call(EXPORTS.process, [batch.base, 4, DEVICE]);
        return taken;
      };
      const plain = instructions(60);
      expect(plain).toBeGreaterThan(100);
      if (kind === "veth") expect(5 * instructions(LONG)).toBeLessThan(plain);
      else expect(instructions(LONG)).toBe(plain);
    },
  );

  /** Four frames at a time: rules of one action, of several, and some that do more. */
  test.each([
    ["one rule's action as the other's", ["counter PASS"]],
    ["all drop", ["counter DROP"]],
    ["actions that differ", ["counter PASS", "counter DROP", "counter PASS", "drop", "counter TX", "ABORTED"]],
    ["nothing counted", ["accept", "counter PASS"]],
    [
      "some do more",
      ["counter PASS", "counter DROP", "counter PASS", "counter DROP", "counter DROP", "log counter DROP"],
    ],
  ])("frames that are judged ahead: %s", async (_, words) => {
    const lines = Array.from({ length: 100 }, (_, i) => `udp dport ${i} ${words[(i >> 3) % words.length]}`);
    // Some of the next four, in the same place of theirs or another.
    for (let i = 40; i < 100; i++) lines[i] = `udp dport ${i} ${words[((7 * i) % 11) % words.length]}`;
    const model = program(lines, "type veth");
    const { expectAlike } = await attachedBeside(model, { level: 0 });
    // The last two have no rule.
    const frames = [...Array(98).keys(), 700, 700].map((port) =>
      received(padded(udpFrame((port & 32) === 0 ? 4 : 6, port, 20), 80 + (port & 3))),
    );
    for (const traced of [true, false]) expectAlike(frames, traced);
  });

  /** What is an extension header, and how many bytes are there for the transport's. */
  test("IPv6 frames as short as can be, looked up ahead or not", async () => {
    const lines = Array.from({ length: 66 }, (_, i) => `meta l4proto ${i} counter ${i % 3 === 0 ? "PASS" : "DROP"}`);
    const { expectAlike } = await attachedBeside(program(lines), { level: 0 });
    for (const nextHeader of [0, 17, 43, 44, 51, 58, 59, 60])
      for (let bytes = 0; bytes < 12; bytes++) {
        const header = { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader, source: 3n, destination: 4n };
        const frame = ethernetFrame({ ...MACS, type: EtherType.IPV6 }, ipv6Packet(header, new Uint8Array(bytes)));
        expectAlike(Array(4).fill(received(frame)), true);
      }
  });

  /** A program of its own counts as the reference does. */
  async function countsAlike(random: Random, lines: readonly string[], how: string, budget: number): Promise<void> {
    const { model } = checkText(`${head()}program p on xdp a {\n${lines.join("\n")}\ncounter DROP\n}\n`);
    const [net] = model!.nets;
    const { artifact, plan } = await compileProgram(model!, "p", { level: 0, classifiers: { budget } });
    expect(plan.procs.some(({ comment }) => comment.includes(how))).toBe(true);
    const bare = { ...model!, nets: [{ ...net, netfilter: { ...net.netfilter, programs: [] } }] };
    const dataplane = await load((await compileModel(bare, { level: 0 })).artifact);
    const link = dataplane.links(0).attach(await loadProgram(artifact));
    const [engine, reference] = [dataplane.net(0), referenceEngine(net, model!.kernel)];
    for (let round = 0; round < 4; round++) {
      const drawn = packets(random, 100);
      for (const one of [engine, reference]) {
        const batch = one.createBatch(128, SLOT_SIZE);
        fill(batch, drawn);
        one.process(batch);
      }
      expect(link.readCounters()).toEqual(reference.readCounters());
    }
  }

  test("more rules than one sum of vectors speaks for", async () => {
    const random = new Random(9);
    const lines = Array.from({ length: 4200 }, () => {
      const [from, to] = [random.below(16), random.below(16)];
      const length = 24 + random.below(9);
      const port = 48 + random.below(16);
      return `ip saddr 10.0.${from % 3}.${from}/${length} ip daddr 10.0.${to % 4}.${to} th dport ${port} counter PASS`;
    });
    await countsAlike(random, lines, "4201 rules, 3 fields: 3 vectors", 0);
  }, 60_000);

  /** Of many hosts, so that tables are of shared blocks. */
  test.each([
    ["each by tables", 500_000, "narrow and narrow: tables of"],
    ["some by vectors", 150_000, "narrow and narrow: 2 vectors"],
  ] as const)(
    "wide rules apart, %s",
    async (_, budget, how) => {
      const random = new Random(10);
      const host = (sites: number): string => `10.0.${random.below(sites)}.${random.below(250)}`;
      const lines = Array.from({ length: 3000 }, (_, i) => {
        const source = i % 6 === 0 ? `ip saddr ${random.below(2) * 128}.0.0.0/1` : `ip saddr ${host(3)}`;
        const destination = i % 6 === 1 ? "" : `ip daddr ${host(4)}`;
        return `${source} ${destination} th dport ${48 + random.below(16)} counter PASS`;
      });
      await countsAlike(random, lines, how, budget);
    },
    60_000,
  );
});
