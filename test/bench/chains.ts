/**
 * `chains`: long lists of five-tuple rules, first match wins, counters on. An XDP program of the list, a module of its own, runs over a
 * batch of 64-byte frames, which within the time is filled with where the next ones are; a match counts the packet and passes it, so that a
 * batch is as before when it has run. Beside it rte_acl, in turn within one run, over frames in the same places (peers/acl.c says what it is
 * spared). Each packet's rule is verified first, by the counter that moved, against linear search, and its verdict. With `--drop` a seeded half
 * of the rules drop, so `entry` is put back within the time too; rte_acl knows no verdicts, and still finds the rule and counts, no more. With `--family 6`
 * rules and frames have IPv6 addresses in place of theirs (rule-sets6.ts).
 * nftables' plain rules are beside them too, of IPv4, one after the other as the kernel tries them, where that can be had (peers/nft.c): what they take
 * above a list of one, as a packet comes to them by a device and a system call.
 *
 *   mixed    the set's traffic                late    only packets whose rule is among the last tenth
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES } from "../../runtime/abi/netfilter.ts";
import type { PacketBatch } from "../../runtime/batch.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { loadProgram, type Program } from "../../runtime/links/manifest.ts";
import { Runner } from "../../runtime/links/running.ts";
import { ETHERNET_HEADER_BYTES, EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { type Family, formatIp } from "../../runtime/net/ip.ts";
import { IPV4_HEADER_BYTES, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES, ipv6Packet } from "../../runtime/net/ipv6.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Image } from "../../runtime/routes/image.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { ImageWriter } from "../../src/image-writer.ts";
import { layoutClassifiers } from "../../src/netfilter/classifier/layout.ts";
import { compileProgram } from "../../src/program.ts";
import { type Measurement, median, type Racer, race, racerOf, type Variant, WrongAnswer } from "./harness.ts";
import { buildNft, countedBy, NFT, NFT_FROM, startNft } from "./nft-peer.ts";
import { buildPeer, checksum, Peer } from "./peer.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { type FiveTupleRule, type RuleSet, ruleSet, SHAPES, type Traffic } from "./rule-sets.ts";
import { length6, mapped6, words6 } from "./rule-sets6.ts";

const SIZES = [1, 10, 100, 1000, 10000];
const BATCH = 256;
const SLOT = 128;
const FRAME = 64;
const PACKETS = { full: 65536, quick: 4096 };
/** Built again, by us and by rte_acl, for so long, and so many times at least: what the last of them take, when the engine has compiled the builder. */
const AGAIN_MS = 500;
const AGAIN = 5;
const OURS = `vrfc, batches of ${BATCH}`;

export async function chains(options: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "vrfc-chains-"));
  try {
    const built = buildPeer("acl", folder);
    const { family, drop } = options;
    const nft = family === 4 ? buildNft(folder) : ({ ok: false, why: "only beside IPv4 rules" } as const);
    const programs = { acl: built.ok ? built.program : null, nft: nft.ok ? nft.program : null };
    const notes = new Set([
      ...(built.ok ? [] : [`rte_acl: ${built.why}`]),
      ...(nft.ok ? [] : [`nftables: ${nft.why}`]),
    ]);
    const groups: Group[] = [];
    const sizes = options.sizes.length > 0 ? options.sizes : options.quick ? [10, 100] : SIZES;
    for (const size of sizes)
      for (const shape of SHAPES) {
        const set = ruleSet(shape, size, options.rules, options.seed);
        groups.push(...(await compare(set, programs, folder, options, notes)));
      }
    const unit = `64-byte frames classified and counted${drop ? ", half of the rules drop" : ""}`;
    return { bench: "chains", unit, groups, notes: [...notes] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compare(
  set: RuleSet,
  programs: { readonly acl: string | null; readonly nft: string | null },
  folder: string,
  options: BenchOptions,
  notes: Set<string>,
): Promise<Group[]> {
  options.progress(`${set.name}: compiling`);
  const { family } = options;
  const rig = await ChainRig.of(set, options);
  const peer = programs.acl === null ? null : await startPeer(programs.acl, set, options.family, folder);
  const nft =
    programs.nft === null || set.rules.length < NFT_FROM
      ? null
      : await startNft(
          programs.nft,
          set.rules.map((rule) => matchText(rule, options.family)),
          folder,
        );
  try {
    for (const note of peer?.skipped ?? []) notes.add(note);
    const groups: Group[] = [];
    const count = options.quick ? PACKETS.quick : PACKETS.full;
    const mixed = set.traffic(count);
    for (const [stream, traffic] of [
      ["mixed", mixed],
      ["late", late(mixed, set.rules.length)],
    ] as const) {
      options.progress(`${set.name}, ${stream}`);
      const frames = framesOf(traffic, family);
      const racers: Racer[] = [await racerOf(rig.variant(frames, traffic.expected))];
      const expected = checksum(traffic.expected.map((rule) => rule + 1));
      const theirs = (await peer?.racers(frames, expected, join(folder, "frames"))) ?? [];
      const baseline = theirs.length > 0 ? theirs.map(({ name }) => name) : [OURS];
      const kernel = (await nft?.racers(frames, countedBy(traffic.expected), join(folder, "frames"))) ?? [];
      const ofKernel = kernel.map((racer) => ({ ...racer, name: NFT }));
      const results = await race([...racers, ...theirs, ...ofKernel], { rounds: options.rounds, baseline });
      const what = theirs.length > 0 ? "the fastest rte_acl" : OURS;
      const table = `${set.name}: ${set.rules.length} rules${family === 6 ? ", IPv6" : ""}`;
      const theirBuild = peer?.methods[0];
      const build =
        theirBuild === undefined ? "" : `; rte_acl ${theirBuild.buildMs} ms, again ${theirBuild.againMs} ms`;
      const loaded = nft === null ? "" : `; nft -f ${nft.methods[0].buildMs} ms`;
      const remarks = [`built: ${rig.built}${build}${loaded}`, ...timesOurs(results)];
      groups.push({ table, family, prefixes: set.rules.length, stream, baseline: what, results, remarks });
    }
    return groups;
  } finally {
    await peer?.end();
    await nft?.end();
  }
}

/** Ratios of the report are to rte_acl. */
function timesOurs(results: readonly Measurement[]): string[] {
  const nsOf = (name: string) => results.find(({ variant }) => variant === name)?.ns.median;
  const [ours, kernel] = [nsOf(OURS), nsOf(NFT)];
  return ours === undefined || kernel === undefined
    ? []
    : [`nftables' plain rules: ${(kernel / ours).toFixed(0)} times ours`];
}

/** The same packets over and over, where there are few of them. */
function late(traffic: Traffic, rules: number): Traffic {
  const from = Math.floor(0.9 * rules);
  const chosen = [...traffic.expected.keys()].filter((i) => traffic.expected[i] >= from);
  const pick = <T extends Uint8Array | Uint16Array | Uint32Array>(column: T): T =>
    column.map((_, i) => column[chosen[i % chosen.length]]) as T;
  const { src, dst, sport, dport, protocol, expected } = traffic;
  return {
    ...{ src: pick(src), dst: pick(dst), sport: pick(sport), dport: pick(dport) },
    ...{ protocol: pick(protocol), expected: pick(expected) },
  };
}

// ---- ours

type Word = "PASS" | "DROP";

const programText = (rules: readonly FiveTupleRule[], words: readonly Word[], family: Family): string =>
  `interface eth0 {}\nprogram list on xdp eth0 {\n${rules.map((rule, i) => `${matchText(rule, family)} counter ${words[i]}`.trimStart()).join("\n")}\n}\n`;

function wordsOf(rules: readonly FiveTupleRule[], { drop, seed }: BenchOptions): Word[] {
  const random = new Random(seed);
  return rules.map(() => (drop && random.chance(0.5) ? "DROP" : "PASS"));
}

/** What it tests, in nft's words. */
function matchText({ src, srcLength, dst, dstLength, sport, dport, protocol }: FiveTupleRule, family: Family): string {
  const ipv6 = family === 6;
  const prefix = (network: number, length: number): string =>
    ipv6 ? `${formatIp(mapped6(network))}/${length6(length)}` : `${formatIp(network)}/${length}`;
  const address = (side: string, network: number, length: number) =>
    length === 0 ? [] : [`${ipv6 ? "ip6" : "ip"} ${side} ${prefix(network, length)}`];
  const port = (side: string, [first, last]: readonly [number, number]) =>
    first === 0 && last === 65535 ? [] : [`th ${side} ${first === last ? first : `${first}-${last}`}`];
  return [
    ...address("saddr", src, srcLength),
    ...address("daddr", dst, dstLength),
    ...(protocol === null ? [] : [`${ipv6 ? "ip6 nexthdr" : "ip protocol"} ${protocol}`]),
    ...port("sport", sport),
    ...port("dport", dport),
  ].join(" ");
}

const withoutPrograms = (model: Model): Model => ({
  ...model,
  nets: model.nets.map((net) => ({ ...net, netfilter: { ...net.netfilter, programs: [] } })),
});

type XdpExport = (batch: number, count: number, device: number) => void;

class ChainRig {
  readonly #dataplane: Dataplane;
  readonly #process: XdpExport;
  readonly #device: number;
  /** Where the first counter is. */
  readonly #counters: number;
  readonly #bytes: number;
  /** Of each rule. */
  readonly #words: readonly Word[];
  /** How long what took. */
  readonly built: string;

  static async of({ rules }: RuleSet, options: BenchOptions): Promise<ChainRig> {
    const words = wordsOf(rules, options);
    const start = performance.now();
    const { model, diagnostics } = checkText(programText(rules, words, options.family));
    if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
    const checked = performance.now();
    const build = () => layoutClassifiers(new ImageWriter(), "", model.nets[0].netfilter);
    const classifiers = build();
    const tables = performance.now();
    const again: number[] = [];
    while (again.length < AGAIN || performance.now() - tables < AGAIN_MS) {
      const from = performance.now();
      build();
      again.push(performance.now() - from);
    }
    const warm = performance.now();
    const { artifact } = await compileProgram(model, "list");
    const compiled = performance.now();
    const dataplane = await load((await compileModel(withoutPrograms(model))).artifact);
    const ms = (from: number, to: number): string => (to - from).toFixed(to - from < 1 ? 2 : to - from < 10 ? 1 : 0);
    const built =
      `tables ${ms(checked, tables)} ms, again ${ms(0, median(again.slice(-AGAIN)))} ms; ` +
      `text to model ${ms(start, checked)} ms, model to module ${ms(warm, compiled)} ms`;
    const bytes = [...classifiers.values()].flat().reduce((sum, one) => sum + one.bytes, 0);
    return new ChainRig(dataplane, await loadProgram(artifact), { bytes, words, built });
  }

  private constructor(
    dataplane: Dataplane,
    program: Program,
    { bytes, words, built }: { readonly bytes: number; readonly words: readonly Word[]; readonly built: string },
  ) {
    const { manifest, exports, state } = new Runner(dataplane, new Image(dataplane), []).start(program);
    this.#dataplane = dataplane;
    this.#process = exports[EXPORTS.process] as XdpExport;
    this.#device = manifest.devices[0];
    this.#counters = state + manifest.state.counters;
    this.#bytes = bytes;
    this.#words = words;
    this.built = built;
  }

  /** @throws WrongAnswer */
  variant(frames: Uint8Array, expected: Uint32Array): Variant {
    const engine = this.#dataplane.net(0);
    const device = this.#device;
    const process = this.#process;
    const put = (batch: PacketBatch, i: number): void => {
      batch.put(frames.subarray(FRAME * i, FRAME * (i + 1)), { entry: Entry.RECEIVE, device });
    };
    const batches = Array.from({ length: expected.length / BATCH }, (_, b) => {
      const batch = engine.createBatch(BATCH, SLOT);
      for (let i = 0; i < BATCH; i++) put(batch, b * BATCH + i);
      return batch;
    });
    const single = engine.createBatch(1, SLOT);
    for (const i of expected.keys()) {
      single.count = 0;
      put(single, i);
      this.#verify(single, expected.subarray(i, i + 1));
    }
    for (const [b, batch] of batches.entries()) this.#verify(batch, expected.subarray(BATCH * b, BATCH * (b + 1)));
    const [{ base }] = batches;
    const [entry, data] = [batches[0].column("entry"), batches[0].column("data")];
    const places = batches.map((batch) => batch.column("data").slice());
    const drops = this.#words.includes("DROP");
    const run = (): void => {
      for (const place of places) {
        data.set(place);
        if (drops) entry.fill(Entry.RECEIVE);
        process(base, BATCH, device);
      }
    };
    return { name: OURS, operations: expected.length, bytes: this.#bytes, run };
  }

  /**
   * Runs a batch once.
   * @param expected the rules of its frames, whose counters move, and whose verdicts the frames have
   * @throws WrongAnswer
   */
  #verify(batch: PacketBatch, expected: Uint32Array): void {
    const view = new DataView(this.#dataplane.memory.buffer, this.#counters);
    const packets = (rule: number): number =>
      view.getUint32(rule * FILTER_COUNTER_BYTES + FILTER_COUNTER.packets, true);
    const counted = new Map<number, number>();
    for (const rule of expected) counted.set(rule, (counted.get(rule) ?? packets(rule)) + 1);
    this.#process(batch.base, expected.length, this.#device);
    for (const [rule, count] of counted)
      if (packets(rule) !== count)
        throw new WrongAnswer(`${OURS}: rule ${rule} has counted ${packets(rule)} packets in place of ${count}`);
    const [entry, verdict] = [batch.column("entry"), batch.column("verdict")];
    for (const [i, rule] of expected.entries()) {
      const dropped = entry[i] === Entry.JUDGED && verdict[i] === Verdict.DROP;
      if (this.#words[rule] === "DROP" ? !dropped : entry[i] !== Entry.RECEIVE)
        throw new WrongAnswer(`${OURS}: a packet of rule ${rule} has entry ${entry[i]} and verdict ${verdict[i]}`);
    }
  }
}

/** UDP's ports stand where every other protocol's bytes do. */
function framesOf({ src, dst, sport, dport, protocol }: Traffic, family: Family): Uint8Array {
  const frames = new Uint8Array(FRAME * src.length);
  const ipv6 = family === 6;
  const payload = new Uint8Array(FRAME - ETHERNET_HEADER_BYTES - (ipv6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES));
  for (let i = 0; i < src.length; i++) {
    writeU16(payload, 0, sport[i]);
    writeU16(payload, 2, dport[i]);
    const ethernet = {
      ...{ destination: 0x0200_0000_0001, source: 0x0200_0000_0002 },
      type: ipv6 ? EtherType.IPV6 : EtherType.IPV4,
    };
    const header4 = { tos: 0, identification: i & 0xffff, dontFragment: true, ttl: 64, protocol: protocol[i] };
    const header6 = { trafficClass: 0, flowLabel: 0, hopLimit: 64, nextHeader: protocol[i] };
    const packet = ipv6
      ? ipv6Packet({ ...header6, source: mapped6(src[i]), destination: mapped6(dst[i]) }, payload)
      : ipv4Packet({ ...header4, source: src[i], destination: dst[i] }, payload);
    frames.set(ethernetFrame(ethernet, packet), FRAME * i);
  }
  return frames;
}

// ---- theirs

const RECORD = 44;

function startPeer(program: string, { rules }: RuleSet, family: Family, folder: string): Promise<Peer> {
  const bytes = Buffer.alloc(RECORD * rules.length);
  for (const [i, { src, srcLength, dst, dstLength, sport, dport, protocol }] of rules.entries()) {
    const at = RECORD * i;
    for (const [side, address] of [src, dst].entries())
      for (const [w, word] of (family === 6 ? words6(mapped6(address)) : [address]).entries())
        bytes.writeUInt32LE(word, at + 16 * side + 4 * w);
    for (const [k, port] of [...sport, ...dport].entries()) bytes.writeUInt16LE(port, at + 32 + 2 * k);
    const lengths = [srcLength, dstLength].map((length) => (family === 6 ? length6(length) : length));
    bytes.set([...lengths, protocol ?? 0, protocol === null ? 0 : 255], at + 40);
  }
  const file = join(folder, "rules");
  writeFileSync(file, bytes);
  return Peer.start(program, [String(family), file]);
}
