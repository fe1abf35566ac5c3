/**
 * `updates`: route changes on a loaded module, in the table of a VRF: how many a second, and what they leave of the packets' rate while
 * 100,000 a second arrive between batches (IPv6: 10,000).
 *
 *   stream    a file of `A PREFIX NUMBER` and `W PREFIX` (--updates; a number behind the latter is passed over), or drawn: of a hundred changes 97 announce a route, most of
 *             them one that is there with another next hop, and 3 withdraw one, in bursts around the same prefixes
 *
 * First the table is filled by the same door, and after the whole stream every prefix of it and many other addresses are looked
 * up in the structure and compared with a table that is built anew of the routes that there should be.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { FIB_ALIAS, FIB_ENTRY_BYTES, NEXT_HOP, TABLE, TABLE_BYTES } from "../../runtime/abi/fib.ts";
import { NET } from "../../runtime/abi/net.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { key6 } from "../../runtime/lpm/prefix-trie6.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { type Family, familyOf, formatIp, type Ip, parseIp, readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import type { RouteUpdates } from "../../runtime/routes/updates.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { generateAddresses, prefixAt } from "./generate.ts";
import { measure, type Variant, WrongAnswer } from "./harness.ts";
import { addressReader, referenceAnswers } from "./reference.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { RoutesError } from "./routes.ts";
import { tablesOf } from "./tables.ts";

const TABLE_ID = 100;
const BATCH = 256;

export async function updates(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  for (const side of [IPV4, IPV6]) {
    const { family } = side;
    for (const { name, columns } of tablesOf(family, options.quick ? [4096] : [65536], options)) {
      const table = withoutOwn(side, columns);
      const drawn = () => drawStream(table, options.quick ? 20_000 : 500_000, options.seed);
      const read = options.updates.map((file) => ({ file, stream: readStream(file) }));
      const streams = read.length > 0 ? read : [{ file: "drawn", stream: drawn() }];
      for (const { file, stream } of streams.filter((each) => each.stream.family === family)) {
        options.progress(`${name}: compiling`);
        const rig = await Rig.of(side, table, stream);
        options.progress(`${name}: verifying`);
        rig.replay();
        rig.verify(options.seed);
        options.progress(`${name}: updates`);
        const baseline = "packets at rest";
        const variants = [rig.replayVariant(), ...rig.packetVariants(options.seed, options.quick ? 4096 : 65536)];
        const results = await measure(variants, { rounds: options.rounds, baseline });
        groups.push({ table: name, family, prefixes: table.lengths.length, stream: file, baseline, results });
      }
    }
  }
  const unit = "route changes (a stream replayed) and packets of 64 bytes, batches of 256";
  return { bench: "updates", unit, groups };
}

/** Without what the VRF's own subnets and what is nobody's are in. */
function withoutOwn({ words: width, isOwn }: Side, columns: PrefixColumns): PrefixColumns {
  const places = Array.from(columns.lengths.keys()).filter(
    (i) => columns.lengths[i] > 0 && !isOwn(prefixAt(columns, i).address),
  );
  return {
    ...columns,
    words: Uint32Array.from(
      { length: places.length * width },
      (_, i) => columns.words[places[Math.floor(i / width)] * width + (i % width)],
    ),
    lengths: Uint8Array.from(places, (i) => columns.lengths[i]),
    values: Uint32Array.from(places, (i) => columns.values[i]),
  };
}

/** Next hop 0: withdrawn. */
function drawStream(table: PrefixColumns, count: number, seed: number): RouteUpdates {
  const random = new Random(seed);
  const hops = table.values.reduce((a, b) => Math.max(a, b), 1);
  const { family } = table;
  const width = family === 4 ? 1 : 4;
  const [address, length, nextHop] = [new Uint32Array(count * width), new Uint8Array(count), new Uint32Array(count)];
  let place = 0;
  for (let i = 0; i < count; i++) {
    place = random.chance(0.1) ? random.below(table.lengths.length) : (place + random.below(3)) % table.lengths.length;
    address.set(table.words.subarray(place * width, (place + 1) * width), i * width);
    length[i] = table.lengths[place];
    nextHop[i] = random.chance(0.03) ? 0 : 1 + random.below(hops);
  }
  return { count, family, address, length, nextHop };
}

/** Of the family of its first line. @throws RoutesError with the line */
function readStream(path: string): RouteUpdates {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString("latin1");
  const lines = text.split("\n").filter((line) => line !== "");
  const count = lines.length;
  const family = lines[0]?.includes(":") ? 6 : 4;
  const width = family === 4 ? 1 : 4;
  const [address, length, nextHop] = [new Uint32Array(count * width), new Uint8Array(count), new Uint32Array(count)];
  for (const [i, line] of lines.entries()) {
    const [, sign, ip, bits, hop] = /^([AW]) ([0-9a-f.:]+)\/(\d+)(?: (\d+))?$/.exec(line) ?? [];
    const network = ip === undefined ? null : parseIp(ip);
    if (network === null || familyOf(network) !== family || (sign === "A" && hop === undefined))
      throw new RoutesError(`${path}:${i + 1}: not A PREFIX NUMBER or W PREFIX of IPv${family}: ${line}`);
    if (typeof network === "number") address[i] = network;
    else address.set(key6(network), 4 * i);
    length[i] = Number(bits);
    nextHop[i] = sign === "A" ? Number(hop) : 0;
  }
  return { count, family, address, length, nextHop };
}

/** A module whose VRF holds the table, and the stream. */
class Rig {
  readonly #side: Side;
  readonly #dataplane: Dataplane;
  readonly #table: PrefixColumns;
  readonly #stream: RouteUpdates;
  /** Where the arriving changes are in the stream. */
  #at = 0;

  static async of(side: Side, table: PrefixColumns, stream: RouteUpdates): Promise<Rig> {
    const hops = Math.max(
      ...[table.values, stream.nextHop].map((column) => column.reduce((a, b) => Math.max(a, b), 1)),
    );
    const { artifact } = await compileModel(modelOf(hops));
    const rig = new Rig(side, await load(artifact), table, stream);
    const routes = rig.#dataplane.routes(0);
    for (let hop = 1; hop <= hops; hop++) routes.nextHop(`via ${side.gateway(hop)} dev out table ${TABLE_ID}`);
    const { words: address, lengths: length, values: nextHop } = table;
    routes.update(TABLE_ID, { count: length.length, family: side.family, address, length, nextHop });
    return rig;
  }

  private constructor(side: Side, dataplane: Dataplane, table: PrefixColumns, stream: RouteUpdates) {
    this.#side = side;
    this.#dataplane = dataplane;
    this.#table = table;
    this.#stream = stream;
  }

  replay(): void {
    this.#dataplane.routes(0).update(TABLE_ID, this.#stream);
  }

  replayVariant(): Variant {
    const { structures } = this.#dataplane.routes(0).bytesInUse;
    return {
      name: "changes, one after the other",
      operations: this.#stream.count,
      bytes: structures,
      run: () => this.replay(),
    };
  }

  /** @throws WrongAnswer */
  verify(seed: number): void {
    const { family, words: width, isOwn } = this.#side;
    const left = new Map<string, number>();
    const put = ({ address, length, nextHop }: Omit<RouteUpdates, "count">, i: number): void => {
      const key = `${address.subarray(i * width, (i + 1) * width).join()},${length[i]}`;
      if (nextHop[i] === 0) left.delete(key);
      else left.set(key, nextHop[i]);
    };
    const { words: address, lengths: length, values: nextHop } = this.#table;
    for (let i = 0; i < length.length; i++) put({ address, length, nextHop }, i);
    for (let i = 0; i < this.#stream.count; i++) put(this.#stream, i);
    const keys = Array.from(left.keys(), (key) => key.split(",").map(Number));
    const routes: PrefixColumns = {
      family,
      words: Uint32Array.from(keys.flatMap((key) => key.slice(0, width))),
      lengths: Uint8Array.from(keys, (key) => key[width]),
      values: Uint32Array.from(left.values()),
    };
    for (const stream of ["in-prefix", "uniform"] as const) {
      const bytes = generateAddresses(routes, stream, 1 << 16, seed);
      const ipAt = addressReader(routes, bytes);
      for (const [i, expected] of referenceAnswers(routes, bytes).entries()) {
        const ip = ipAt(i);
        if (isOwn(ip)) continue;
        const found = this.#nextHopOf(ip);
        if (found !== expected) throw new WrongAnswer(`updates: address ${formatIp(ip)}: ${found}, not ${expected}`);
      }
    }
  }

  /** What the structure says, as the number of a next hop; 0: none. */
  #nextHopOf(ip: Ip): number {
    const plane = this.#dataplane;
    const { family, tables, tableCount, numberOf } = this.#side;
    const record = plane.netRecord(0);
    const first = plane.word(record + tables);
    const offsets = Array.from({ length: plane.word(record + tableCount) }, (_, i) => first + i * TABLE_BYTES);
    const table = offsets.find((offset) => plane.word(offset + TABLE.id) === TABLE_ID)!;
    const kind = (Object.keys(LpmKind) as LpmKind[]).find((k) => LpmKind[k] === plane.word(table + TABLE.kind))!;
    const bytes = plane.bytes.subarray(plane.word(table + TABLE.image));
    const entry = LPM_STRUCTURES[kind].lookup({ kind, family, bytes, prefixes: 0 }, ip);
    if (entry === 0) return 0;
    const hop = plane.word(entry + FIB_ENTRY_BYTES + FIB_ALIAS.nextHops);
    const isOnLink = hop === 0 || plane.word(hop + NEXT_HOP.family) === 0;
    return isOnLink ? 0 : numberOf(plane.bytes, hop + NEXT_HOP.gateway);
  }

  /** The same packets at rest, and with changes between batches as they arrive. */
  packetVariants(seed: number, count: number): Variant[] {
    const engine = this.#dataplane.net(0);
    const ipAt = addressReader(this.#table, generateAddresses(this.#table, "in-prefix", count, seed));
    const frames = Array.from({ length: count }, (_, i) => this.#side.frameTo(ipAt(i)));
    const batches = Array.from({ length: count / BATCH }, () => engine.createBatch(BATCH, 128));
    const restore = () => {
      for (const [b, batch] of batches.entries()) {
        batch.count = 0;
        for (const frame of frames.slice(b * BATCH, (b + 1) * BATCH))
          batch.put(frame, { entry: Entry.RECEIVE, device: IN });
      }
    };
    restore();
    let runs = 0;
    const life = () => {
      if (++runs % LIVES === 0) restore();
    };
    const rest = () => {
      life();
      for (const batch of batches) engine.process(batch);
    };
    rest();
    const sent = batches[0].column("verdict").filter((v) => v === Verdict.TRANSMIT).length;
    if (sent < BATCH / 2) throw new WrongAnswer(`updates: only ${sent} of ${BATCH} packets were forwarded`);
    const { arriving } = this.#side;
    let before = performance.now();
    const busy = () => {
      life();
      // Not what arrived while others ran.
      before = performance.now();
      let owed = 0;
      for (const batch of batches) {
        engine.process(batch);
        const now = performance.now();
        owed += ((now - before) * arriving) / 1000;
        before = now;
        const due = Math.floor(owed);
        owed -= due;
        if (due > 0) this.#arrive(due);
      }
    };
    return [
      { name: "packets at rest", operations: count, run: rest },
      { name: `packets, ${arriving.toLocaleString("en")} changes a second`, operations: count, run: busy },
    ];
  }

  #arrive(due: number): void {
    const { count, family = 4, address, length, nextHop } = this.#stream;
    if (this.#at + due > count) this.#at = 0;
    const cut = <T extends Uint32Array | Uint8Array>(column: T, width = 1) =>
      column.subarray(this.#at * width, (this.#at + due) * width) as T;
    const columns = { address: cut(address, this.#side.words), length: cut(length), nextHop: cut(nextHop) };
    const part = { count: Math.min(due, count), family, ...columns };
    this.#dataplane.routes(0).update(TABLE_ID, part);
    this.#at += due;
  }
}

const IN = 11;
const IN_MAC = 0x0200_0000_1000;
/** Runs until frames are put back; they start with a TTL of 255. */
const LIVES = 250;

/** What differs between the families. */
interface Side {
  readonly family: Family;
  /** Of an address in columns. */
  readonly words: 1 | 4;
  /** Fields of NET. */
  readonly tables: number;
  readonly tableCount: number;
  /** Changes a second between batches; IPv6 does not keep up with as many. */
  readonly arriving: number;
  /** In the VRF's own subnets, or nobody's. */
  isOwn(ip: Ip): boolean;
  gateway(hop: number): string;
  /** The number of the next hop whose gateway stands there. */
  numberOf(bytes: Uint8Array, at: number): number;
  frameTo(destination: Ip): Uint8Array;
}

const [FIRST_GATEWAY, FIRST_GATEWAY6] = [parseIp("10.0.4.1") as number, parseIp("2001:db8:b::1") as bigint];
const HOPS_LEFT = 255;
const [PORTS_AND_MORE, PORTS] = [new Uint8Array(26), new Uint8Array(8)];

const frame = (type: number, packet: Uint8Array): Uint8Array =>
  ethernetFrame({ destination: IN_MAC, source: 0x0200_0000_0002, type }, packet);

const IPV4: Side = {
  family: 4,
  words: 1,
  tables: NET.tables,
  tableCount: NET.tableCount,
  arriving: 100_000,
  isOwn: (ip) => [10, 127].includes((ip as number) >>> 24),
  gateway: (hop) => formatIp(FIRST_GATEWAY + hop),
  numberOf: (bytes, at) => readIpv4(bytes, at) - FIRST_GATEWAY,
  frameTo: (ip) => {
    const [source, destination] = [parseIp("10.0.0.9") as number, ip as number];
    const header = { tos: 0, identification: 1, dontFragment: true, ttl: HOPS_LEFT, protocol: 17, source, destination };
    return frame(EtherType.IPV4, ipv4Packet(header, PORTS_AND_MORE));
  },
};

const IPV6: Side = {
  family: 6,
  words: 4,
  tables: NET.tables6,
  tableCount: NET.tableCount6,
  arriving: 10_000,
  isOwn: (ip) => [0x2001_0db8n, 0n].includes((ip as bigint) >> 96n) || (ip as bigint) >> 121n === 0x7fn,
  gateway: (hop) => formatIp(FIRST_GATEWAY6 + BigInt(hop)),
  numberOf: (bytes, at) => Number(readIpv6(bytes, at) - FIRST_GATEWAY6),
  frameTo: (ip) => {
    const [source, destination] = [parseIp("2001:db8:a::9") as bigint, ip as bigint];
    const header = { trafficClass: 0, flowLabel: 0, nextHeader: 17, hopLimit: HOPS_LEFT, source, destination };
    return frame(EtherType.IPV6, ipv6Packet(header, PORTS));
  },
};

/** In by `in`, out by `out` and one of its next hops, whose link-layer address is that of `in`: frames can be sent again. */
function modelOf(hops: number): Model {
  const neighbours = Array.from({ length: hops }, (_, hop) =>
    [IPV4, IPV6].map((side) => `neighbour ${side.gateway(hop + 1)} dev out lladdr ${formatMac(IN_MAC)}`).join("\n"),
  );
  const { model, diagnostics } = checkText(`sysctl net.ipv4.ip_forward = 1
    sysctl net.ipv6.conf.all.forwarding = 1
    vrf red { table ${TABLE_ID} }
    interface in { index ${IN}; master red; address 10.0.0.1/24; address 2001:db8:a::1/64; lladdr ${formatMac(IN_MAC)} }
    interface out { index 12; master red; address 10.0.4.1/22; address 2001:db8:b::1/64 }
    ${neighbours.join("\n")}`);
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}
