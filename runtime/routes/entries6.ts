/**
 * The FIB entries of one IPv6 table that changes. What a program reads of a prefix is all in its entry: its length, the entry of the next
 * shorter prefix (`cover`), its routes with their numbers. Prefixes that agree in all of it share an entry, whole chains of covers too:
 *
 *   2001:db8::/32  via A ----- 1 -----> FIB_ENTRY /32, A, cover 0
 *   2001:dba::/32  via A -----'
 *   2001:db8:1::/48  via B --- 2 -----> FIB_ENTRY /48, B, cover 1
 *   2001:dba:7::/48  via B ---'
 *
 * A real table of 246,175 prefixes and 16 next hops has 4,699 such entries. So blocks of the look-up structure are shared, as IPv4's are
 * (entries.ts), and no flow needs to know which prefix it was. Only routes of a stream share a number (`Routes.nextHop`), so only they share.
 */
import { FIB_ALIAS, FIB_ALIAS6_BYTES, FIB_ENTRY, FIB_ENTRY_BYTES, FibEntryFlag } from "../abi/fib.ts";
import { NEVER_PICKED, upperBounds } from "../multipath.ts";
import type { Hop, HopLists } from "./hops.ts";
import type { Image } from "./image.ts";
import type { RecordPool } from "./pool.ts";

/** A fib6_info: a route with one next hop. */
export interface Route6 {
  readonly type: number;
  readonly error: number;
  readonly metric: number;
  readonly mtu: number;
  readonly flags: number;
  readonly protocol: number;
  /** RouteId + 1. */
  readonly route: number;
  /** 0n: none. */
  readonly prefsrc: bigint;
  readonly hop: Hop;
}

export const entryBytes = (routes: number): number => FIB_ENTRY_BYTES + routes * FIB_ALIAS6_BYTES;
export const hasGateway = ({ hop }: Route6): boolean => hop.gateway !== 0n;

/** Routes of one prefix, and what is around it: the entry of the next shorter one, 0: none. */
export interface Record6 {
  readonly length: number;
  readonly cover: number;
  readonly routes: readonly Route6[];
}

const COVER = FIB_ENTRY.cover >>> 2;
const aliasWord = (i: number, field: keyof typeof FIB_ALIAS): number =>
  (FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES + FIB_ALIAS[field]) >>> 2;

export class FibEntries6 {
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #hops: HopLists;
  /** Prefixes and others that have it, by entry. */
  readonly #users = new Map<number, number>();
  /** Of those that were made here, by a hash of their words. */
  readonly #byHash = new Map<number, number[]>();

  constructor(image: Image, pool: RecordPool, hops: HopLists) {
    this.#image = image;
    this.#pool = pool;
    this.#hops = hops;
  }

  /** One use more of an entry, perhaps of the image: then its first. */
  use(entry: number): void {
    this.#users.set(entry, (this.#users.get(entry) ?? 0) + 1);
  }

  /** A use of the entry of these routes. @throws MemoryError; it has no use more then */
  takeOf(of: Record6): number {
    const record = this.recordOf(of);
    try {
      return this.take(record);
    } finally {
      this.releaseHops(record);
    }
  }

  /** A use of the entry with these words, which may be changed afterwards. @throws MemoryError; it has no use more then */
  take(record: Uint32Array): number {
    const hash = hashOf(record, 0, record.length);
    const alike = this.#byHash.get(hash);
    const known = alike?.find((entry) => this.#holds(entry, record));
    if (known !== undefined) {
      this.use(known);
      return known;
    }
    const entry = this.#pool.allocate(record.length * 4);
    this.#image.words.set(record, entry >>> 2);
    for (let i = 0; i < record[FIB_ENTRY.aliases >>> 2]; i++) this.#hops.use(record[aliasWord(i, "nextHops")]);
    this.use(entry);
    if (alike === undefined) this.#byHash.set(hash, [entry]);
    else alike.push(entry);
    return entry;
  }

  /** A use of the entry that is like this one but for its cover. @throws MemoryError; it has no use more then */
  withCover(entry: number, cover: number): number {
    const record = this.#image.words.slice(entry >>> 2, this.#endOf(entry));
    record[COVER] = cover;
    return this.take(record);
  }

  release(entry: number): void {
    const users = this.#users.get(entry)! - 1;
    if (users > 0) {
      this.#users.set(entry, users);
      return;
    }
    this.#users.delete(entry);
    const { words } = this.#image;
    const [first, end] = [entry >>> 2, this.#endOf(entry)];
    const hash = hashOf(words, first, end);
    const alike = this.#byHash.get(hash)?.filter((other) => other !== entry) ?? [];
    if (alike.length > 0) this.#byHash.set(hash, alike);
    else this.#byHash.delete(hash);
    this.releaseHops(words.subarray(first, end));
    this.#pool.free(entry, (end - first) * 4);
  }

  /** The words of an entry; each of its next hops has a use more. @throws MemoryError; none has then */
  recordOf({ length, cover, routes }: Record6): Uint32Array {
    const record = new Uint32Array(entryBytes(routes.length) / 4);
    const bounds = boundsOf(routes);
    try {
      for (const [i, { hop }] of routes.entries()) {
        record[aliasWord(i, "nextHops")] = this.#hops.intern([hop], [bounds[i]]);
        record[FIB_ENTRY.aliases >>> 2] = i + 1;
      }
    } catch (error) {
      this.releaseHops(record);
      throw error;
    }
    record[COVER] = cover;
    record[FIB_ENTRY.prefixLength >>> 2] = length;
    record[FIB_ENTRY.flags >>> 2] = routes.length === 1 && !routes[0].hop.dead ? FibEntryFlag.SETTLED : 0;
    const view = new DataView(record.buffer);
    for (const [i, { type, error, metric, mtu, flags, protocol, route, prefsrc }] of routes.entries()) {
      const fields = { type, error, metric, mtu, flags, protocol, route, hopCount: 1 };
      for (const [name, value] of Object.entries(fields)) record[aliasWord(i, name as keyof typeof fields)] = value;
      view.setBigUint64(aliasWord(i, "prefsrc6") * 4, prefsrc >> 64n, false);
      view.setBigUint64(aliasWord(i, "prefsrc6") * 4 + 8, BigInt.asUintN(64, prefsrc), false);
    }
    return record;
  }

  releaseHops(record: Uint32Array): void {
    for (let i = 0; i < record[FIB_ENTRY.aliases >>> 2]; i++) this.#hops.release(record[aliasWord(i, "nextHops")]);
  }

  #endOf(entry: number): number {
    return (entry + entryBytes(this.#image.words[(entry + FIB_ENTRY.aliases) >>> 2])) >>> 2;
  }

  #holds(entry: number, record: Uint32Array): boolean {
    const { words } = this.#image;
    const first = entry >>> 2;
    for (let i = 0; i < record.length; i++) if (words[first + i] !== record[i]) return false;
    return true;
  }
}

/** FNV-1a over words. */
function hashOf(words: Uint32Array, first: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = first; i < end; i++) hash = Math.imul(hash ^ words[i], 0x01000193) ^ (hash >>> 15);
  return hash;
}

/** rt6_qualify_for_ecmp */
export const areSiblings = (a: Route6, b: Route6): boolean => a.metric === b.metric && hasGateway(a) && hasGateway(b);

/** Of each next hop; the bounds are those of all siblings, whatever their routes. */
function boundsOf(routes: readonly Route6[]): number[] {
  const bounds = new Map<Route6, number>();
  for (const route of routes) {
    if (!hasGateway(route) || bounds.has(route)) continue;
    const siblings = routes.filter((other) => areSiblings(other, route));
    for (const [i, bound] of upperBounds(siblings.map(({ hop }) => hop)).entries()) bounds.set(siblings[i], bound);
  }
  return routes.map((route) => bounds.get(route) ?? NEVER_PICKED);
}
