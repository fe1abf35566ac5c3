/**
 * One IPv6 table of a loaded module as something that changes: fib6_add_rt2node of k:net/ipv6/ip6_fib.c and ip6_route_del of
 * net/ipv6/route.c over the records of abi/fib.ts.
 *
 *   trie    prefix -> FIB_ENTRY      the host's: where an entry is, what is around and inside it
 *   entry   routes by metric, as added; every next hop is a route of its own, those with gateways of one metric are siblings
 *   table   address -> FIB_ENTRY     the program's: lpm/table.ts
 *
 * Prefixes of a length whose routes say the same, and which are inside of the same entry, share one (entries6.ts). So a prefix that changes
 * gets another entry, those inside it too, whose `cover` it is, and the structure is mended once around them all.
 */
import {
  FIB_ALIAS,
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
} from "../abi/fib.ts";
import { MAX_VALUE } from "../lpm/columns.ts";
import { LpmKind } from "../lpm/lpm.ts";
import { type Key6, PrefixTrie6 } from "../lpm/prefix-trie6.ts";
import { UpdatableTable } from "../lpm/table.ts";
import type { Node } from "../lpm/trie.ts";
import { readIpv6 } from "../net/ip.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { inBulk } from "./bulk.ts";
import { areSiblings, entryBytes, FibEntries6, hasGateway, type Route6 } from "./entries6.ts";
import type { InsertMode } from "./fib.ts";
import type { Hop, HopLists } from "./hops.ts";
import { type Image, tableWord } from "./image.ts";
import type { RecordPool } from "./pool.ts";

/** What ip6_route_del compares; null: no matter. */
export interface DeleteMatch6 {
  /** Offset of the DEVICE. */
  readonly device: number | null;
  readonly gateway: bigint | null;
  readonly metric: number | null;
  readonly protocol: number | null;
}

const isSameHop = (a: Hop, b: Hop): boolean => a.device === b.device && a.gateway === b.gateway;

export class FibTable6 {
  /** Values are offsets of FIB_ENTRYs. */
  readonly trie = new PrefixTrie6();
  readonly #image: Image;
  readonly #entries: FibEntries6;
  /** Of the TABLE. */
  readonly #offset: number;
  #structure: UpdatableTable<Key6> | null = null;

  constructor(image: Image, pool: RecordPool, hops: HopLists, offset: number) {
    this.#image = image;
    this.#entries = new FibEntries6(image, pool, hops);
    this.#offset = offset;
    const { words } = image;
    const networks = words[tableWord(offset, "networks")] >>> 2;
    let entry = words[networks];
    for (let i = 0; i < words[tableWord(offset, "prefixes")]; i++) {
      const key = words.subarray(networks + 1 + 4 * i, networks + 5 + 4 * i);
      this.trie.set(key, words[(entry + FIB_ENTRY.prefixLength) >>> 2], entry);
      this.#entries.use(entry);
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
    const structure = () => this.#structureToChange();
    const publish = (): void => {
      this.#image.words[tableWord(this.#offset, "prefixes")] = this.trie.size;
    };
    inBulk(count, changes, { trie: this.trie, entries: this.#entries, structure, publish });
  }

  /** What `put` takes, for one route; null for others. Its next hop has a use more. */
  recordOf(routes: readonly Route6[]): Uint32Array | null {
    return routes.length === 1 ? this.#entries.recordOf({ length: 0, cover: 0, routes }) : null;
  }

  /**
   * `insert` of `replace` where it is the prefix's only route, before and afterwards.
   * @param record of an entry with one alias, as FibEntries6 has it
   * @returns false when it is not: nothing has changed then
   * @throws MemoryError; nothing has changed then
   */
  put(key: Key6, length: number, record: Uint32Array): boolean {
    const structure = this.#structureToChange();
    const { words } = this.#image;
    const node = this.trie.find(key, length);
    const old = node === 0 ? 0 : this.trie.valueOf(node);
    const isAlone =
      old === 0 ||
      (words[(old + FIB_ENTRY.aliases) >>> 2] === 1 &&
        words[(old + FIB_ENTRY_BYTES + FIB_ALIAS.metric) >>> 2] === record[(FIB_ENTRY_BYTES + FIB_ALIAS.metric) >>> 2]);
    if (!isAlone) return false;
    record[FIB_ENTRY.cover >>> 2] = this.#coverOf(node, key, length);
    record[FIB_ENTRY.prefixLength >>> 2] = length;
    this.#exchange(structure, node, key, length, this.#entries.take(record));
    return true;
  }

  /** Gives a prefix these routes. @param node that has its old ones, 0: there are none @throws MemoryError; nothing has changed then */
  #write(node: Node, key: Key6, length: number, routes: readonly Route6[]): void {
    const structure = this.#structureToChange();
    const record = { length, cover: this.#coverOf(node, key, length), routes };
    const made = routes.length === 0 ? 0 : this.#entries.takeOf(record);
    this.#exchange(structure, node, key, length, made);
  }

  #coverOf(node: Node, key: Key6, length: number): number {
    const above = node === 0 ? this.trie.covering(key, length - 1) : this.trie.coverOf(node);
    return above === 0 ? 0 : this.trie.valueOf(above);
  }

  /** Gives a prefix an entry, of which it takes over a use; 0: takes it away. */
  #exchange(structure: UpdatableTable<Key6>, node: Node, key: Key6, length: number, made: number): void {
    const old = node === 0 ? 0 : this.trie.valueOf(node);
    const moved = this.#moved;
    moved.length = 0;
    try {
      if (made === 0) structure.delete(node);
      else if (old === 0) structure.set(key, length, made);
      else if (made !== old) structure.change(node, made);
    } catch (error) {
      for (const { node: inside, entry } of moved) {
        this.#entries.release(this.trie.valueOf(inside));
        this.trie.setValue(inside, entry);
      }
      if (made !== 0) this.#entries.release(made);
      throw error;
    }
    for (const { entry } of moved) this.#entries.release(entry);
    if (old !== 0) this.#entries.release(old);
    this.#image.words[tableWord(this.#offset, "prefixes")] = this.trie.size;
  }

  /** Prefixes inside one that changes, with the entries that they had. */
  readonly #moved: { readonly node: Node; readonly entry: number }[] = [];

  /** What is next around the prefixes inside of a node, or of the node's own, is another entry now. */
  readonly #cover = (node: Node, cover: number): void => {
    if (node === 0) return;
    if (this.trie.valueOf(node) === cover || this.trie.valueOf(node) === 0)
      this.trie.forEachInside(node, (inside) => this.#coverOne(inside, cover));
    else this.#coverOne(node, cover);
  };

  #coverOne(node: Node, cover: number): void {
    const entry = this.trie.valueOf(node);
    if (this.#image.words[(entry + FIB_ENTRY.cover) >>> 2] === cover) return;
    const made = this.#entries.withCover(entry, cover);
    this.#moved.push({ node, entry });
    this.trie.setValue(node, made);
    this.trie.forEachInside(node, (inside) => this.#coverOne(inside, made));
  }

  /** The structure in a form that can change. The first time it is built beside that of the image. */
  #structureToChange(): UpdatableTable<Key6> {
    this.#structure ??= new UpdatableTable<Key6>(this.#image, this.trie, {
      maxValue: MAX_VALUE,
      around: this.#cover,
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
