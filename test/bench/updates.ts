/**
 * `updates`: route changes on a loaded module, in the table of a VRF: how many a second, and what they leave of the packets' rate while
 * 100,000 a second arrive between batches.
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
import { FIB_ALIAS, FIB_ENTRY_BYTES, NET, NEXT_HOP, TABLE, TABLE_BYTES } from "../../runtime/abi.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { LPM_STRUCTURES } from "../../runtime/lpm/choose.ts";
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { LpmKind } from "../../runtime/lpm/lpm.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { parseIp, readIpv4 } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import type { RouteUpdates } from "../../runtime/routes/routes.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { generateAddresses } from "./generate.ts";
import { measure, type Variant, WrongAnswer } from "./harness.ts";
import { referenceAnswers } from "./reference.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { RoutesError } from "./routes.ts";
import { tablesOf } from "./tables.ts";

const TABLE_ID = 100;
const BATCH = 256;
const ARRIVING = 100_000;

export async function updates(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  for (const { name, columns } of tablesOf(4, options.quick ? [4096] : [65536], options)) {
    const table = withoutOwn(columns);
    const streams = options.updates.length > 0 ? options.updates : [null];
    for (const file of streams) {
      const stream =
        file === null ? drawStream(table, options.quick ? 20_000 : 500_000, options.seed) : readStream(file);
      options.progress(`${name}: compiling`);
      const rig = await Rig.of(table, stream);
      options.progress(`${name}: verifying`);
      rig.replay();
      rig.verify(options.seed);
      options.progress(`${name}: updates`);
      const baseline = "packets at rest";
      const variants = [rig.replayVariant(), ...rig.packetVariants(options.seed, options.quick ? 4096 : 65536)];
      const results = await measure(variants, { rounds: options.rounds, baseline });
      groups.push({
        table: name,
        family: 4,
        prefixes: table.lengths.length,
        stream: file ?? "drawn",
        baseline,
        results,
      });
    }
  }
  const unit = "route changes (a stream replayed) and packets of 64 bytes, batches of 256";
  return { bench: "updates", unit, groups };
}

/** Without what the VRF's own subnets and the loopback are in. */
function withoutOwn(columns: PrefixColumns): PrefixColumns {
  const isKept = (i: number): boolean => ![10, 127].includes(columns.words[i] >>> 24) && columns.lengths[i] > 0;
  const pick = <T extends Uint32Array | Uint8Array>(column: T) => column.filter((_, i) => isKept(i)) as T;
  return { ...columns, words: pick(columns.words), lengths: pick(columns.lengths), values: pick(columns.values) };
}

/** Next hop 0: withdrawn. */
function drawStream(table: PrefixColumns, count: number, seed: number): RouteUpdates {
  const random = new Random(seed);
  const hops = table.values.reduce((a, b) => Math.max(a, b), 1);
  const [address, length, nextHop] = [new Uint32Array(count), new Uint8Array(count), new Uint32Array(count)];
  let place = 0;
  for (let i = 0; i < count; i++) {
    place = random.chance(0.1) ? random.below(table.lengths.length) : (place + random.below(3)) % table.lengths.length;
    address[i] = table.words[place];
    length[i] = table.lengths[place];
    nextHop[i] = random.chance(0.03) ? 0 : 1 + random.below(hops);
  }
  return { count, address, length, nextHop };
}

/** @throws RoutesError with the line */
function readStream(path: string): RouteUpdates {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString("latin1");
  const lines = text.split("\n").filter((line) => line !== "");
  const count = lines.length;
  const [address, length, nextHop] = [new Uint32Array(count), new Uint8Array(count), new Uint32Array(count)];
  for (const [i, line] of lines.entries()) {
    const [, sign, ip, bits, hop] = /^([AW]) ([0-9.]+)\/(\d+)(?: (\d+))?$/.exec(line) ?? [];
    const network = ip === undefined ? null : parseIp(ip);
    if (typeof network !== "number" || (sign === "A" && hop === undefined))
      throw new RoutesError(`${path}:${i + 1}: not A PREFIX NUMBER or W PREFIX: ${line}`);
    address[i] = network;
    length[i] = Number(bits);
    nextHop[i] = sign === "A" ? Number(hop) : 0;
  }
  return { count, address, length, nextHop };
}

/** A module whose VRF holds the table, and the stream. */
class Rig {
  readonly #dataplane: Dataplane;
  readonly #table: PrefixColumns;
  readonly #stream: RouteUpdates;
  /** Where the arriving changes are in the stream. */
  #at = 0;

  static async of(table: PrefixColumns, stream: RouteUpdates): Promise<Rig> {
    const hops = Math.max(
      ...[table.values, stream.nextHop].map((column) => column.reduce((a, b) => Math.max(a, b), 1)),
    );
    const { artifact } = await compileModel(modelOf(hops));
    const rig = new Rig(await load(artifact), table, stream);
    const routes = rig.#dataplane.routes(0);
    for (let hop = 1; hop <= hops; hop++) routes.nextHop(`via ${gateway(hop)} dev out table ${TABLE_ID}`);
    const { words: address, lengths: length, values: nextHop } = table;
    routes.update(TABLE_ID, { count: length.length, address, length, nextHop });
    return rig;
  }

  private constructor(dataplane: Dataplane, table: PrefixColumns, stream: RouteUpdates) {
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
    const left = new Map<number, number>();
    const key = (address: number, length: number): number => address * 64 + length;
    const { words, lengths, values } = this.#table;
    for (let i = 0; i < lengths.length; i++) left.set(key(words[i], lengths[i]), values[i]);
    const { count, address, length, nextHop } = this.#stream;
    for (let i = 0; i < count; i++) {
      if (nextHop[i] === 0) left.delete(key(address[i], length[i]));
      else left.set(key(address[i], length[i]), nextHop[i]);
    }
    const routes: PrefixColumns = {
      family: 4,
      words: Uint32Array.from(left.keys(), (k) => Math.floor(k / 64)),
      lengths: Uint8Array.from(left.keys(), (k) => k % 64),
      values: Uint32Array.from(left.values()),
    };
    for (const stream of ["in-prefix", "uniform"] as const) {
      const bytes = generateAddresses(routes, stream, 1 << 16, seed);
      const asked = new Uint32Array(bytes.buffer);
      const expected = referenceAnswers(routes, bytes);
      for (const [i, ip] of asked.entries()) {
        if (ip >>> 24 === 10 || ip >>> 24 === 127) continue;
        const found = this.#nextHopOf(ip);
        if (found !== expected[i]) throw new WrongAnswer(`updates: address ${ip}: ${found}, not ${expected[i]}`);
      }
    }
  }

  /** What the structure says, as the number of a next hop; 0: none. */
  #nextHopOf(ip: number): number {
    const plane = this.#dataplane;
    const record = plane.netRecord(0);
    const count = plane.word(record + NET.tableCount);
    const first = plane.word(record + NET.tables);
    const offsets = Array.from({ length: count }, (_, i) => first + i * TABLE_BYTES);
    const table = offsets.find((offset) => plane.word(offset + TABLE.id) === TABLE_ID)!;
    const kind = (Object.keys(LpmKind) as LpmKind[]).find((k) => LpmKind[k] === plane.word(table + TABLE.kind))!;
    const entry = LPM_STRUCTURES[kind].lookup(
      { kind, family: 4, bytes: plane.bytes.subarray(plane.word(table + TABLE.image)), prefixes: 0 },
      ip,
    );
    if (entry === 0) return 0;
    const hop = plane.word(entry + FIB_ENTRY_BYTES + FIB_ALIAS.nextHops);
    return hop === 0 ? 0 : readIpv4(plane.bytes, hop + NEXT_HOP.gateway) - FIRST_GATEWAY;
  }

  /** The same packets at rest, and with changes between batches as they arrive. */
  packetVariants(seed: number, count: number): Variant[] {
    const engine = this.#dataplane.net(0);
    const addresses = new Uint32Array(generateAddresses(this.#table, "in-prefix", count, seed).buffer);
    const frames = Array.from(addresses, (destination) => frameTo(destination));
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
    let before = performance.now();
    const busy = () => {
      life();
      // Not what arrived while others ran.
      before = performance.now();
      let owed = 0;
      for (const batch of batches) {
        engine.process(batch);
        const now = performance.now();
        owed += ((now - before) * ARRIVING) / 1000;
        before = now;
        const due = Math.floor(owed);
        owed -= due;
        if (due > 0) this.#arrive(due);
      }
    };
    return [
      { name: "packets at rest", operations: count, run: rest },
      { name: "packets, 100,000 changes a second", operations: count, run: busy },
    ];
  }

  #arrive(due: number): void {
    const { count, address, length, nextHop } = this.#stream;
    if (this.#at + due > count) this.#at = 0;
    const cut = <T extends Uint32Array | Uint8Array>(column: T) => column.subarray(this.#at, this.#at + due) as T;
    const part = { count: Math.min(due, count), address: cut(address), length: cut(length), nextHop: cut(nextHop) };
    this.#dataplane.routes(0).update(TABLE_ID, part);
    this.#at += due;
  }
}

const IN = 11;
const IN_MAC = 0x0200_0000_1000;
/** Runs until frames are put back; they start with a TTL of 255. */
const LIVES = 250;
const FIRST_GATEWAY = parseIp("10.0.4.1") as number;
const gateway = (hop: number): string => `10.0.${4 + ((hop + 1) >>> 8)}.${(hop + 1) & 255}`;

function frameTo(destination: number): Uint8Array {
  const source = parseIp("10.0.0.9") as number;
  const header = { tos: 0, identification: 1, dontFragment: true, ttl: 255, protocol: 17, source, destination };
  const ethernet = { destination: IN_MAC, source: 0x0200_0000_0002, type: EtherType.IPV4 };
  return ethernetFrame(ethernet, ipv4Packet(header, new Uint8Array(26)));
}

/** In by `in`, out by `out` and one of its next hops, whose link-layer address is that of `in`: frames can be sent again. */
function modelOf(hops: number): Model {
  const neighbours = Array.from(
    { length: hops },
    (_, hop) => `neighbour ${gateway(hop + 1)} dev out lladdr ${formatMac(IN_MAC)}`,
  );
  const { model, diagnostics } = checkText(`sysctl net.ipv4.ip_forward = 1
    vrf red { table ${TABLE_ID} }
    interface in { index ${IN}; master red; address 10.0.0.1/24; lladdr ${formatMac(IN_MAC)} }
    interface out { index 12; master red; address 10.0.4.1/22 }
    ${neighbours.join("\n")}`);
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}
