/**
 * `packets`: whole packets through `process`, from the Ethernet header of one slave to that of another: link-layer address, IPv4
 * checks with checksum, VRF, rules, longest match, source validation, TTL, checksum, addresses, counters.
 *
 * A frame that was forwarded is good to be forwarded again: the next hop's link-layer address is that of the device where the
 * frame came in, so only its TTL runs down. Every LIVES runs all frames' bytes are put back as they were; that is within the time, and a
 * fraction of a nanosecond. With `--peers` XDP programs with the same duties run in turn (xdp-peer.ts).
 *
 *   hot     4,096 slots of 128 bytes          cold     65,536 slots of 2 KiB: none is in a cache when its turn comes
 *
 * By the short way, by the long one, and by the long one with a chain at forward that counts: compiled in, or attached.
 *
 * With `--routes FILE` the first VRF has the file's table, and all frames come by it; the others are as small as ever. As it takes a while to
 * compile such a table only both ways run, and no peers.
 */
import { rmSync } from "node:fs";
import { basename } from "node:path";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import type { PacketBatch } from "../../runtime/batch.ts";
import { HEADROOM } from "../../runtime/batch.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp, parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { type BackEndOptions, compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { translationObstacle } from "../embed/translated.ts";
import { generateAddresses, generateTable, prefixAt } from "./generate.ts";
import { type Racer, race, racerOf, type Variant, WrongAnswer } from "./harness.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { readRoutes } from "./routes.ts";
import { Translated } from "./translated.ts";
import { buildXdp, checksumOf, LOCAL, type XdpNetwork, XdpPeer, type XdpPrograms } from "./xdp-peer.ts";

export const VRFS = 4;
const NEXT_HOPS = 16;
export const BATCH = 256;
/** Runs until frames are put back; they start with a TTL of 255. */
export const LIVES = 250;
/** 64 bytes with the frame check sequence. */
export const PAYLOAD = 60 - 14 - 20;
/** Packets of a batch that the reference judges too. */
const VERIFIED = 64;

const PLACES = [
  { name: "hot", slots: 4096, slotSize: 128 },
  { name: "cold", slots: 65536, slotSize: 2048 },
] as const;

const COUNTS = "chain counts { type filter hook forward priority 0; counter }";

interface Way {
  readonly name: string;
  readonly options: BackEndOptions;
  readonly chain?: "compiled in" | "attached";
}
const BOTH_WAYS: readonly Way[] = [
  { name: "wasm", options: {} },
  { name: "wasm, the long way", options: { fast: false } },
];
const VARIANTS: readonly Way[] = [
  ...BOTH_WAYS,
  { name: "wasm, a chain compiled in", options: {}, chain: "compiled in" },
  { name: "wasm, a chain attached", options: {}, chain: "attached" },
];

/** What is measured: the tables of the VRFs, and by how many of them frames come. */
interface Policy {
  readonly name: string;
  readonly tables: readonly PrefixColumns[];
  readonly senders: number;
  readonly ways: readonly Way[];
}

function policiesOf({ routes: files, seed, quick }: BenchOptions): Policy[] {
  const drawn = (routes: number) => Array.from({ length: VRFS }, (_, vrf) => tableOf(routes, seed + vrf));
  if (files.length > 0)
    return files.map((path) => ({
      name: `${VRFS} VRFs, the first with ${basename(path)}`,
      tables: [withoutOwn(readRoutes(path, 4)), ...drawn(16).slice(1)],
      senders: 1,
      ways: BOTH_WAYS,
    }));
  return (quick ? [16] : [16, 4096]).map((routes) => ({
    name: `${VRFS} VRFs of ${routes} routes`,
    tables: drawn(routes),
    senders: VRFS,
    ways: VARIANTS,
  }));
}

export async function packets(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  const noC = options.routes.length > 0 ? "not with a file of routes" : translationObstacle();
  const notes = new Set(["uniform addresses: most have no route in a small table, and an ICMP error is no forwarding"]);
  const programs: XdpPrograms | null = options.peers && options.routes.length === 0 ? buildXdp() : null;
  if (programs !== null && !programs.ok) notes.add(programs.why);
  for (const { name: policy, tables, senders, ways } of policiesOf(options)) {
    const model = modelOf(tables);
    const dataplanes: { name: string; dataplane: Dataplane }[] = [];
    const counting = ways === VARIANTS ? modelOf(tables, COUNTS) : model;
    let translated: Translated | null = null;
    for (const { name, options: backEnd, chain } of ways) {
      options.progress(`${policy}: compiling ${name}`);
      const compiled = await compileModel(chain === "compiled in" ? counting : model, backEnd);
      const dataplane = await load(compiled.artifact);
      if (chain === "attached")
        dataplane.attach("forward", await loadProgram((await compileProgram(counting, "counts")).artifact));
      dataplanes.push({ name, dataplane });
      if (noC === null) translated ??= new Translated(model, compiled.artifact);
    }
    for (const { name: place, slots, slotSize } of options.quick ? PLACES.slice(0, 1) : PLACES)
      for (const stream of options.streams.filter((each) => each !== "uniform")) {
        options.progress(`${policy}, ${place}, ${stream}`);
        const frames = framesOf(tables.slice(0, senders), stream, slots, options.seed);
        const variants = dataplanes.map(({ name, dataplane }) => variant(name, dataplane, model, frames, slotSize));
        const racers: Racer[] = [];
        for (const each of variants) racers.push(await racerOf(each));
        const run = { frames, batch: BATCH, slotSize, lives: LIVES };
        if (translated !== null) racers.push(await translated.racer(run, dataplanes[0].dataplane.net(0)));
        const peer = programs?.ok ? await XdpPeer.start(programs, xdpNetwork(tables, model), frames, slotSize) : null;
        const theirs = (await peer?.racers(forwardedSum(dataplanes[0].dataplane, frames, slotSize))) ?? [];
        const results = await race([...racers, ...theirs], { rounds: options.rounds, baseline: "wasm, the long way" });
        await peer?.end();
        const table = `${policy}, ${place}`;
        const prefixes = tables.reduce((sum, { lengths }) => sum + lengths.length, 0);
        groups.push({ table, family: 4, prefixes, stream, baseline: "wasm, the long way", results });
      }
    await translated?.close();
  }
  if (noC !== null) notes.add(`C by wasm2c: ${noC}`);
  if (programs?.ok) rmSync(programs.folder, { recursive: true });
  return { bench: "packets", unit: "64-byte frames forwarded, batches of 256", groups, notes: [...notes] };
}

export const tableOf = (prefixes: number, seed: number): PrefixColumns =>
  withoutOwn(generateTable({ family: 4, prefixes, nextHops: NEXT_HOPS, seed }));

/** Without what the devices' own subnets, the loopback, or no hosts are in; of as many next hops as a VRF has. */
function withoutOwn(table: PrefixColumns): PrefixColumns {
  const isKept = Array.from(table.words, (word, i) => {
    const first = word >>> 24;
    return table.lengths[i] > 0 && first > 0 && first < 224 && first !== 10 && first !== 127;
  });
  const pick = <T extends Uint32Array | Uint8Array>(column: T) => column.filter((_, i) => isKept[i]) as T;
  const values = pick(table.values).map((hop) => 1 + ((hop - 1) % NEXT_HOPS));
  return { ...table, words: pick(table.words), lengths: pick(table.lengths), values };
}

/** In by `inV`, out by `outV` and one of its next hops. */
export function modelOf(tables: readonly PrefixColumns[], chains = ""): Model {
  const files = tables.map((table, v) => {
    const routes = Array.from(table.values, (hop, i) => {
      const { address, length } = prefixAt(table, i);
      return `${formatIp(address)}/${length} via 10.${v}.1.${1 + hop}`;
    });
    return routes.join("\n");
  });
  const vrfs = tables.map((_, v) => {
    return `vrf red${v} { table ${100 + v} }
      interface in${v} { index ${11 + 2 * v}; master red${v}; address 10.${v}.0.1/24; lladdr ${formatMac(inMac(v))} }
      interface out${v} { index ${12 + 2 * v}; master red${v}; address 10.${v}.1.1/24 }
      table ${100 + v} { routes from "${v}"
        route unreachable default metric 4278198272 }
      ${Array.from({ length: NEXT_HOPS }, (_, hop) => `neighbour 10.${v}.1.${2 + hop} dev out${v} lladdr ${formatMac(inMac(v))}`).join("\n")}`;
  });
  const { model, diagnostics } = checkText(`sysctl net.ipv4.ip_forward = 1\n${vrfs.join("\n")}\n${chains}`, "policy", {
    readFile: (path) => files[Number(path)],
  });
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}
const inMac = (vrf: number): number => 0x0200_0000_1000 + vrf;

export interface Frame {
  readonly device: number;
  readonly bytes: Uint8Array;
}

export function framesOf(
  tables: readonly PrefixColumns[],
  stream: "in-prefix" | "zipf" | "uniform",
  count: number,
  seed: number,
): Frame[] {
  const each = Math.ceil(count / tables.length);
  const addresses = tables.map((table) => new Uint32Array(generateAddresses(table, stream, each, seed).buffer));
  return Array.from({ length: count }, (_, i): Frame => {
    const vrf = i % tables.length;
    const source = (parseIp(`10.${vrf}.0.0`) as number) + 2 + (i % 200);
    const destination = addresses[vrf][Math.floor(i / tables.length)];
    const header = {
      tos: 0,
      identification: i & 0xffff,
      dontFragment: true,
      ttl: 255,
      protocol: 17,
      source,
      destination,
    };
    const ethernet = { destination: inMac(vrf), source: 0x0200_0000_0002, type: EtherType.IPV4 };
    return { device: 11 + 2 * vrf, bytes: ethernetFrame(ethernet, ipv4Packet(header, new Uint8Array(PAYLOAD))) };
  });
}

/** Forwards all frames, a batch after the other, of the first namespace. @throws WrongAnswer when one of them is not forwarded */
export function variant(
  name: string,
  dataplane: Dataplane,
  model: Model,
  frames: readonly Frame[],
  slotSize: number,
): Variant {
  const engine = dataplane.net(0);
  const batches = Array.from({ length: frames.length / BATCH }, () => engine.createBatch(BATCH, slotSize));
  for (const [b, batch] of batches.entries()) put(batch, frames.slice(b * BATCH, (b + 1) * BATCH));
  // Nothing else of a batch changes.
  const restore = () => {
    const { bytes } = batches[0];
    for (let i = 0; i < frames.length; i++)
      bytes.set(frames[i].bytes, batches[Math.floor(i / BATCH)].slot(i % BATCH) + HEADROOM);
  };
  const reference = referenceEngine(model.nets[0], model.kernel);
  for (const [b, batch] of batches.entries()) check(name, engine, reference, batch, b === 0);
  let runs = 1;
  const run = () => {
    if (++runs % LIVES === 0) restore();
    for (const batch of batches) engine.process(batch);
  };
  return { name, operations: frames.length, run };
}

export function put(batch: PacketBatch, frames: readonly Frame[]): void {
  batch.count = 0;
  for (const { device, bytes } of frames) batch.put(bytes, { entry: Entry.RECEIVE, device });
}

/** Every packet is forwarded, the first ones as the reference forwards them. @throws WrongAnswer */
export function check(name: string, engine: Engine, reference: Engine, batch: PacketBatch, deep: boolean): void {
  const twin = reference.createBatch(VERIFIED, batch.slotSize);
  if (deep)
    for (let i = 0; i < VERIFIED; i++)
      twin.put(batch.packet(i), { entry: Entry.RECEIVE, device: batch.column("device")[i] });
  engine.process(batch);
  const verdicts = batch.column("verdict").subarray(0, batch.count);
  const lost = verdicts.findIndex((verdict) => verdict !== Verdict.TRANSMIT);
  if (lost >= 0) throw new WrongAnswer(`${name}: packet ${lost} has verdict ${verdicts[lost]}`);
  reference.process(twin);
  for (let i = 0; i < twin.count; i++)
    if (
      Buffer.compare(twin.packet(i), batch.packet(i)) !== 0 ||
      twin.column("outDevice")[i] !== batch.column("outDevice")[i]
    )
      throw new WrongAnswer(`${name}: packet ${i} is not what the reference makes of it`);
}

/** What the frames are once each was forwarded. */
function forwardedSum(dataplane: Dataplane, frames: readonly Frame[], slotSize: number): number {
  const engine = dataplane.net(0);
  const batch = engine.createBatch(frames.length, slotSize);
  put(batch, frames);
  engine.process(batch);
  return checksumOf(frames.map((_, i) => batch.packet(i)));
}

/** The model's network for the XDP programs: hops 1 to 16 of each VRF, then what is on the link of each receiving device. */
function xdpNetwork(tables: readonly PrefixColumns[], model: Model): XdpNetwork {
  const macOf = (ifindex: number) => model.nets[0].devices.find((device) => device.ifindex === ifindex)!.mac;
  const [inOf, outOf] = [(v: number) => 11 + 2 * v, (v: number) => 12 + 2 * v];
  const vrfs = tables.map((_, v) => v);
  const hop = (v: number, number: number) => v * NEXT_HOPS + number;
  const onLink = (v: number) => VRFS * NEXT_HOPS + 1 + v;
  const subnet = (v: number, which: number) => (10 << 24) | (v << 16) | (which << 8);
  const own = (v: number, which: number) =>
    [0, 1, 255].map((host) => ({ network: subnet(v, which) + host, length: 32 }));
  const routes = tables.flatMap((table, v) => [
    ...Array.from(table.values, (value, i) => {
      const { address, length } = prefixAt(table, i);
      return { vrf: v, network: address as number, length, hop: hop(v, value) };
    }),
    { vrf: v, network: subnet(v, 0), length: 24, hop: onLink(v) },
    ...[0, 1].flatMap((which) => own(v, which).map((address) => ({ vrf: v, ...address, hop: LOCAL }))),
  ]);
  return {
    devices: vrfs.flatMap((v) => [
      { name: `in${v}`, ifindex: inOf(v), mac: inMac(v), vrf: v, address: `10.${v}.0.1/24` },
      { name: `out${v}`, ifindex: outOf(v), mac: macOf(outOf(v)), vrf: v, address: `10.${v}.1.1/24` },
    ]),
    hops: [
      ...vrfs.flatMap((v) =>
        Array.from({ length: NEXT_HOPS }, (_, i) => {
          const address = `10.${v}.1.${2 + i}`;
          return { ifindex: outOf(v), mac: macOf(outOf(v)), neighbour: inMac(v), address };
        }),
      ),
      ...vrfs.map((v) => ({ ifindex: inOf(v), mac: inMac(v), neighbour: 0, address: "" })),
    ],
    routes: routes.sort((a, b) => a.length - b.length),
  };
}
