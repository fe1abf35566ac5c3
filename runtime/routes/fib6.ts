/**
 * One IPv6 table of a loaded module as something that changes: fib6_add_rt2node of k:net/ipv6/ip6_fib.c and ip6_route_del of
 * net/ipv6/route.c over the records of abi.ts.
 *
 *   trie    prefix -> FIB_ENTRY      the host's: where an entry is, what is around and inside it
 *   entry   routes by metric, as added; every next hop is a route of its own, those with gateways of one metric are siblings
 *   table   address -> FIB_ENTRY     the program's: lpm/table.ts
 *
 * A prefix whose routes change in number gets a new entry beside the old one; then the structure points to it, the `cover` of the
 * entries inside it is mended, and the old one is taken back. One whose number of routes stays is written over.
 */
import {
  FIB_ALIAS,
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
} from "../abi.ts";
import { MAX_VALUE } from "../lpm/columns.ts";
import { LpmKind } from "../lpm/lpm.ts";
import { type Key6, PrefixTrie6 } from "../lpm/prefix-trie6.ts";
import { UpdatableTable } from "../lpm/table.ts";
import type { Node } from "../lpm/trie.ts";
import { NEVER_PICKED, upperBounds } from "../multipath.ts";
import { readIpv6 } from "../net/ip.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import type { InsertMode } from "./fib.ts";
import type { Hop, HopLists } from "./hops.ts";
import { type Image, tableWord } from "./image.ts";
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

/** What ip6_route_del compares; null: no matter. */
export interface DeleteMatch6 {
  /** Offset of the DEVICE. */
  readonly device: number | null;
  readonly gateway: bigint | null;
  readonly metric: number | null;
  readonly protocol: number | null;
}

/** Entries that many changes have made, and those that prefixes had before: one of both is given back behind the last change. */
interface Bulk {
  readonly made: number[];
  readonly gone: number[];
}

/** Changes that are never worth a new structure, and how many times the routes they must be. */
const FEW = 64;
const MANY_TIMES = 4;

const hasGateway = ({ hop }: Route6): boolean => hop.gateway !== 0n;
const isSameHop = (a: Hop, b: Hop): boolean => a.device === b.device && a.gateway === b.gateway;
const entryBytes = (routes: number): number => FIB_ENTRY_BYTES + routes * FIB_ALIAS6_BYTES;

export class FibTable6 {
  /** Values are offsets of FIB_ENTRYs. */
  readonly trie = new PrefixTrie6();
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #hops: HopLists;
  /** Of the TABLE. */
  readonly #offset: number;
  #structure: UpdatableTable<Key6> | null = null;
  /** While a structure is built for many changes at once. */
  #bulk: Bulk | null = null;

  constructor(image: Image, pool: RecordPool, hops: HopLists, offset: number) {
    this.#image = image;
    this.#pool = pool;
    this.#hops = hops;
    this.#offset = offset;
    const { words } = image;
    const networks = words[tableWord(offset, "networks")] >>> 2;
    let entry = words[networks];
    for (let i = 0; i < words[tableWord(offset, "prefixes")]; i++) {
      const key = words.subarray(networks + 1 + 4 * i, networks + 5 + 4 * i);
      this.trie.set(key, words[(entry + FIB_ENTRY.prefixLength) >>> 2], entry);
      entry += entryBytes(words[(entry + FIB_ENTRY.aliases) >>> 2]);
    }
  }

  /** Bytes that its structure holds, once it has changed. */
  get bytes(): number {
    return this.#structure?.bytes ?? 0;
  }

  /** The routes of a node, each next hop by itself; none for node 0. */
  routesOf(node: Node): Route6[] {
    if (node === 0) return [];
    const { words } = this.#image;
    const bytes = new Uint8Array(words.buffer);
    const entry = this.trie.valueOf(node);
    const routes: Route6[] = [];
    for (let i = 0; i < words[(entry + FIB_ENTRY.aliases) >>> 2]; i++) {
      const alias = entry + FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES;
      const field = (name: keyof typeof FIB_ALIAS): number => words[(alias + FIB_ALIAS[name]) >>> 2];
      const [type, error, metric, mtu] = [field("type"), field("error"), field("metric"), field("mtu")];
      const [flags, protocol, route] = [field("flags"), field("protocol"), field("route")];
      const common = { type, error, metric, mtu, flags, protocol, route };
      const prefsrc = readIpv6(bytes, alias + FIB_ALIAS.prefsrc6);
      for (let k = 0; k < field("hopCount"); k++)
        routes.push({ ...common, prefsrc, hop: readHop(words, bytes, field("nextHops") + k * NEXT_HOP_BYTES) });
    }
    return routes;
  }

  /**
   * ip6_route_multipath_add: one after the other, all or none.
   * @param added of one prefix and metric
   * @throws RouteError EEXIST, ENOENT; MemoryError; nothing has changed then
   */
  insert(key: Key6, length: number, added: readonly Route6[], mode: InsertMode): void {
    const node = this.trie.find(key, length);
    if (node === 0 && !mode.create)
      throw new RouteError(Errno.ENOENT, "Error: Can not replace route - no match found.");
    let routes = this.routesOf(node);
    for (const [i, route] of added.entries()) routes = addRoute(routes, route, i === 0 ? mode : APPEND);
    this.#write(node, key, length, routes);
  }

  /**
   * ip6_route_del: the first route that is as said; with its siblings, unless its gateway is said.
   * @returns false when there is none
   */
  remove(key: Key6, length: number, match: DeleteMatch6): boolean {
    const node = this.trie.find(key, length);
    const routes = this.routesOf(node);
    const found = routes.find(
      ({ hop, metric, protocol }) =>
        (match.device === null || match.device === hop.device) &&
        (match.gateway === null || match.gateway === hop.gateway) &&
        (match.metric === null || match.metric === metric) &&
        (match.protocol === null || match.protocol === protocol),
    );
    if (found === undefined) return false;
    const goes = (route: Route6): boolean => route === found || (match.gateway === null && areSiblings(route, found));
    this.#write(
      node,
      key,
      length,
      routes.filter((route) => !goes(route)),
    );
    return true;
  }

  /** Runs so many changes: where the table is small beside them, with one new structure behind the last; then all or none. */
  inBulk(count: number, changes: () => void): void {
    if (count <= FEW || count <= MANY_TIMES * this.trie.size) {
      changes();
      return;
    }
    const structure = this.#structureToChange();
    const bulk: Bulk = { made: [], gone: [] };
    this.#bulk = bulk;
    try {
      structure.inBulk(changes);
      for (const entry of bulk.gone) this.#free(entry);
    } catch (error) {
      for (const entry of bulk.made) this.#free(entry);
      this.trie.forEach((node) => {
        this.#coverInside(node, this.trie.valueOf(node));
      });
      throw error;
    } finally {
      this.#bulk = null;
      this.#image.words[tableWord(this.#offset, "prefixes")] = this.trie.size;
    }
  }

  /** Gives a prefix these routes. @param node that has its old ones, 0: there are none @throws MemoryError; nothing has changed then */
  #write(node: Node, key: Key6, length: number, routes: readonly Route6[]): void {
    const structure = this.#structureToChange();
    const old = node === 0 ? 0 : this.trie.valueOf(node);
    const above = old === 0 ? this.trie.covering(key, length - 1) : this.trie.coverOf(node);
    const cover = above === 0 ? 0 : this.trie.valueOf(above);
    const lists = this.#intern(routes);
    if (this.#bulk === null && old !== 0 && this.#aliases(old) === routes.length) {
      this.#releaseHops(old);
      this.#writeEntry(old, cover, length, routes, lists);
      return;
    }
    try {
      if (routes.length > 0) this.#put(structure, key, routes, { cover, length, lists });
      else this.#remove(structure, node, cover);
    } catch (error) {
      for (const list of lists) this.#hops.release(list);
      throw error;
    }
    if (this.#bulk !== null && old !== 0) this.#bulk.gone.push(old);
    else if (old !== 0) this.#free(old);
    this.#image.words[tableWord(this.#offset, "prefixes")] = this.trie.size;
  }

  /** A new entry, and the structure points to it. */
  #put(
    structure: UpdatableTable<Key6>,
    key: Key6,
    routes: readonly Route6[],
    { cover, length, lists }: { readonly cover: number; readonly length: number; readonly lists: readonly number[] },
  ): void {
    const made = this.#pool.allocate(entryBytes(routes.length));
    this.#writeEntry(made, cover, length, routes, lists);
    try {
      this.#coverInside(structure.set(key, length, made), made);
    } catch (error) {
      this.#pool.free(made, entryBytes(routes.length));
      throw error;
    }
    this.#bulk?.made.push(made);
  }

  #remove(structure: UpdatableTable<Key6>, node: Node, cover: number): void {
    const inside: Node[] = [];
    this.trie.forEachInside(node, (one) => {
      inside.push(one);
    });
    structure.delete(node);
    for (const one of inside) this.#setCover(one, cover);
  }

  /** A use of each next hop's list. */
  #intern(routes: readonly Route6[]): number[] {
    const lists: number[] = [];
    try {
      for (const [i, bound] of boundsOf(routes).entries()) lists.push(this.#hops.intern([routes[i].hop], [bound]));
    } catch (error) {
      for (const list of lists) this.#hops.release(list);
      throw error;
    }
    return lists;
  }

  #aliases(entry: number): number {
    return this.#image.words[(entry + FIB_ENTRY.aliases) >>> 2];
  }

  #releaseHops(entry: number): void {
    const { words } = this.#image;
    for (let i = 0; i < this.#aliases(entry); i++)
      this.#hops.release(words[(entry + FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES + FIB_ALIAS.nextHops) >>> 2]);
  }

  #free(entry: number): void {
    this.#releaseHops(entry);
    this.#pool.free(entry, entryBytes(this.#aliases(entry)));
  }

  #writeEntry(entry: number, cover: number, length: number, routes: readonly Route6[], lists: readonly number[]): void {
    const { words } = this.#image;
    words.fill(0, entry >>> 2, (entry + entryBytes(routes.length)) >>> 2);
    const put = (at: number, value: number): void => {
      words[at >>> 2] = value;
    };
    put(entry + FIB_ENTRY.cover, cover);
    put(entry + FIB_ENTRY.prefixLength, length);
    put(entry + FIB_ENTRY.aliases, routes.length);
    put(entry + FIB_ENTRY.flags, routes.length === 1 && !routes[0].hop.dead ? FibEntryFlag.SETTLED : 0);
    for (const [i, { type, error, metric, mtu, flags, protocol, route, prefsrc }] of routes.entries()) {
      const alias = entry + FIB_ENTRY_BYTES + i * FIB_ALIAS6_BYTES;
      const fields = { type, error, metric, mtu, flags, protocol, route, nextHops: lists[i], hopCount: 1 };
      for (const [name, value] of Object.entries(fields)) put(alias + FIB_ALIAS[name as keyof typeof fields], value);
      for (let word = 0; word < 4; word++) {
        const part = Number(BigInt.asUintN(32, prefsrc >> BigInt(96 - 32 * word)));
        new DataView(words.buffer).setUint32(alias + FIB_ALIAS.prefsrc6 + 4 * word, part, false);
      }
    }
  }

  #coverInside(node: Node, cover: number): void {
    this.trie.forEachInside(node, (inside) => this.#setCover(inside, cover));
  }

  #setCover(node: Node, cover: number): void {
    this.#image.words[(this.trie.valueOf(node) + FIB_ENTRY.cover) >>> 2] = cover;
  }

  /** The structure in a form that can change. The first time it is built beside that of the image. */
  #structureToChange(): UpdatableTable<Key6> {
    this.#structure ??= new UpdatableTable<Key6>(this.#image, this.trie, {
      maxValue: MAX_VALUE,
      publish: (table) => {
        const { words } = this.#image;
        words[tableWord(this.#offset, "shape")] = 0;
        words[tableWord(this.#offset, "kind")] = LpmKind.blocks;
        words[tableWord(this.#offset, "image")] = table.image;
      },
    });
    return this.#structure;
  }
}

/** ip6_route_multipath_add: behind the first next hop, the others are appended. */
const APPEND: InsertMode = { create: true, exclusive: false, replace: false, append: true };

/** rt6_qualify_for_ecmp */
const areSiblings = (a: Route6, b: Route6): boolean => a.metric === b.metric && hasGateway(a) && hasGateway(b);

/** fib6_add_rt2node */
function addRoute(routes: readonly Route6[], added: Route6, mode: InsertMode): Route6[] {
  const twins = routes.filter(({ metric }) => metric === added.metric);
  const behind = routes.filter(({ metric }) => metric <= added.metric).length;
  if (twins.length > 0 && mode.exclusive) throw new RouteError(Errno.EEXIST, "RTNETLINK answers: File exists");
  if (!mode.replace) {
    if (twins.some(({ hop }) => isSameHop(hop, added.hop)))
      throw new RouteError(Errno.EEXIST, "RTNETLINK answers: File exists");
    return routes.toSpliced(behind, 0, added);
  }
  const replaced = twins.find((twin) => hasGateway(twin) === hasGateway(added)) ?? twins[0];
  if (replaced === undefined) {
    if (!mode.create) throw new RouteError(Errno.ENOENT, "RTNETLINK answers: No such file or directory");
    return routes.toSpliced(behind, 0, added);
  }
  return routes.flatMap((route) => (route === replaced ? [added] : areSiblings(route, replaced) ? [] : [route]));
}

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

function readHop(words: Uint32Array, bytes: Uint8Array, at: number): Hop {
  const field = (name: keyof typeof NEXT_HOP): number => words[(at + NEXT_HOP[name]) >>> 2];
  const flags = field("flags");
  return {
    device: field("device"),
    gateway: field("family") === 0 ? 0n : readIpv6(bytes, at + NEXT_HOP.gateway),
    weight: field("weight"),
    onlink: (flags & NextHopFlag.ONLINK) !== 0,
    scope: field("scope"),
    dead: (flags & NextHopFlag.DEAD) !== 0,
    source: 0,
  };
}
