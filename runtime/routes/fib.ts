/**
 * One IPv4 table of a loaded module as something that changes: fib_table_insert and fib_table_delete of k:net/ipv4/fib_trie.c over
 * the records of abi/fib.ts.
 *
 *   trie      prefix -> number of its FIB_ENTRY, route      what is around and inside a prefix
 *   entries   number -> FIB_ENTRY                           entries.ts: aliases in the order in which they are tried, TOS descending,
 *                                                           metric ascending, as added; prefixes that say the same share one
 *   table     address -> number                             the program's: lpm/table.ts
 *
 * A change makes the new entry, lets the structure point to it, and takes the old one back when no prefix has it any more. Until
 * the first change programs read what was compiled; then all three are published at once.
 */
import { FIB_ENTRY, FIB_NODE, FIB_NODE_BYTES, NEXT_HOP, NEXT_HOP_BYTES, type TABLE } from "../abi/fib.ts";
import { blockShape } from "../lpm/blocks.ts";
import { LpmKind } from "../lpm/lpm.ts";
import { type Node, PrefixTrie } from "../lpm/prefix-trie.ts";
import { isSameShape, rangesShape } from "../lpm/ranges.ts";
import { UpdatableTable, type UpdatableTableOptions } from "../lpm/table.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { inBulk } from "./bulk.ts";
import { A, ALIAS_WORDS, aliasWord, entryBytes, FibEntries } from "./entries.ts";
import { type HopLists, sameHops } from "./hops.ts";
import { type Image, tableWord } from "./image.ts";
import type { RecordPool } from "./pool.ts";

/** The netlink flags of `ip route`'s commands. */
export interface InsertMode {
  /** NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_APPEND */
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly replace: boolean;
  readonly append: boolean;
}

/** What fib_table_delete compares; null: no matter. */
export interface DeleteMatch {
  readonly tos: number;
  readonly type: number | null;
  readonly scope: number | null;
  readonly protocol: number | null;
  readonly prefsrc: number | null;
  /** 0: no matter. */
  readonly metric: number;
  readonly mtu: number | null;
  /** fib_nh_match; undefined field: no matter. Empty: no matter what. */
  readonly hops: readonly { readonly device?: number; readonly gateway?: number; readonly weight?: number }[];
}

const exists = (): never => {
  throw new RouteError(Errno.EEXIST, "RTNETLINK answers: File exists");
};

/** Word of a field in a node. */
const N = Object.fromEntries(Object.entries(FIB_NODE).map(([field, at]) => [field, at / 4])) as Readonly<
  Record<keyof typeof FIB_NODE, number>
>;

/** Fields in which two fib_infos differ, but for their next hops. */
const COMPARED = [A.type, A.error, A.tos, A.hopCount, A.prefsrc, A.scope, A.metric, A.mtu, A.protocol];

/** A route without its prefix, as streams have it. */
export interface PreparedRoute {
  /** ALIAS_WORDS; no TOS. */
  readonly alias: Uint32Array;
  /** By prefix length: number of the entry, 0: not asked for yet. Their uses are kept. */
  readonly numbers: Uint32Array;
}

export class FibTable {
  /** Values are numbers of entries, notes the routes of those that are shared. */
  readonly trie: PrefixTrie;
  readonly entries: FibEntries;
  readonly #image: Image;
  /** Of the TABLE. */
  readonly #offset: number;
  #structure: UpdatableTable | null = null;

  /** @param classOf as FibEntries has it */
  constructor(
    image: Image,
    pool: RecordPool,
    hops: HopLists,
    { offset, classOf }: { readonly offset: number; readonly classOf: (length: number) => number },
  ) {
    this.#image = image;
    this.#offset = offset;
    this.entries = new FibEntries(image, pool, hops, offset, classOf);
    let trie: PrefixTrie | null = null;
    try {
      trie = new PrefixTrie(image);
      this.trie = trie;
      this.#read();
    } catch (error) {
      trie?.dispose();
      this.entries.dispose();
      throw error;
    }
  }

  /** Entries as they stand in the image: offsets, until the table changes. */
  #read(): void {
    if (this.#word("trie") !== 0) this.#readTrie(this.#word("root"));
    else this.#readRow();
  }

  /** Of a table that was compiled with shared entries. */
  #readTrie(node: number): void {
    if (node === 0) return;
    const { words } = this.#image;
    const at = (this.#word("trie") + node * FIB_NODE_BYTES) >>> 2;
    const [key, length, number] = [words[at + N.key], words[at + N.length], words[at + N.result]];
    const [zero, one, route] = [words[at + N.below], words[at + N.below + 1], words[at + N.route]];
    if (number !== 0) {
      const made = this.trie.set(key, length, words[(this.#word("results") >>> 2) + number]);
      this.trie.setNote(made, route);
    }
    this.#readTrie(zero);
    this.#readTrie(one);
  }

  #readRow(): void {
    const { words } = this.#image;
    const [networks, prefixes] = [this.#word("networks") >>> 2, this.#word("prefixes")];
    const [addresses, lengths, entries] = [
      new Uint32Array(prefixes),
      new Uint8Array(prefixes),
      new Uint32Array(prefixes),
    ];
    let entry = words[networks];
    for (let i = 0; i < prefixes; i++) {
      addresses[i] = words[networks + 1 + i];
      lengths[i] = words[(entry + FIB_ENTRY.prefixLength) >>> 2];
      entries[i] = entry;
      entry += entryBytes(words[(entry + FIB_ENTRY.aliases) >>> 2]);
    }
    for (let i = 0; i < prefixes; i++) this.trie.set(addresses[i], lengths[i], entries[i]);
  }

  /** Offset of the entry of a node that has routes. */
  entryOf(node: Node): number {
    const value = this.trie.valueOf(node);
    return this.#structure === null ? value : this.entries.at(value);
  }

  /** Bytes that its structure and trie hold, once it has changed. */
  get bytes(): number {
    return this.#structure === null ? 0 : this.#structure.bytes + this.trie.bytes;
  }

  /**
   * fib_table_insert.
   * @param alias ALIAS_WORDS; on success its list of next hops has a use more
   * @throws RouteError EEXIST, ENOENT; MemoryError; nothing has changed then
   */
  insert(address: number, length: number, alias: Uint32Array, mode: InsertMode): void {
    const node = this.trie.find(address, length);
    const entry = node === 0 ? 0 : this.entryOf(node);
    const { words } = this.#image;
    const count = entry === 0 ? 0 : words[(entry + FIB_ENTRY.aliases) >>> 2];
    const [tos, metric] = [alias[A.tos], alias[A.metric]];
    let at = findAlias(words, entry, count, tos, metric);
    let replaced = 0;
    if (isTwin(words, entry, count, at, tos, metric)) {
      if (mode.exclusive) exists();
      let end = at;
      let match = -1;
      for (; match < 0 && isTwin(words, entry, count, end, tos, metric); end++)
        if (isSameRoute(words, aliasWord(entry, end), alias)) match = end;
      if (mode.replace && match === at) return;
      if (match >= 0) exists();
      if (mode.replace) replaced = 1;
      else if (mode.append) at = end;
    }
    if (replaced === 0 && !mode.create)
      throw new RouteError(Errno.ENOENT, "RTNETLINK answers: No such file or directory");
    const aliases = new Uint32Array((count + 1 - replaced) * ALIAS_WORDS);
    const old = this.#aliasesOf(node);
    aliases.set(old.subarray(0, at * ALIAS_WORDS));
    aliases.set(alias, at * ALIAS_WORDS);
    aliases.set(old.subarray((at + replaced) * ALIAS_WORDS), (at + 1) * ALIAS_WORDS);
    this.#put(node, address, length, aliases);
  }

  /**
   * `insert` of `replace`, quick: what update streams do.
   * @param id RouteId + 1
   */
  put(address: number, length: number, route: PreparedRoute, id: number): void {
    const { entries, trie } = this;
    const structure = this.#structureToChange();
    const node = trie.find(address, length);
    const number = route.numbers[length] || this.#prepare(length, route);
    if (node === 0) {
      this.#widen(address, length);
      trie.setNote(
        this.#publishing(() => structure.set(address, length, number)),
        id,
      );
      entries.use(number);
      return;
    }
    const { words } = this.#image;
    const old = trie.valueOf(node);
    if (old === number) return;
    const entry = entries.at(old);
    const at = aliasWord(entry, 0);
    const isAlone = words[(entry + FIB_ENTRY.aliases) >>> 2] === 1;
    if (isAlone && words[at + A.tos] === 0 && words[at + A.metric] === route.alias[A.metric]) {
      if (isSameRoute(words, at, route.alias)) return;
      structure.change(node, number);
      entries.use(number);
      trie.setNote(node, id);
      entries.release(old);
      return;
    }
    route.alias[A.route] = id;
    this.insert(address, length, route.alias, REPLACE);
  }

  #prepare(length: number, { alias, numbers }: PreparedRoute): number {
    numbers[length] = this.#publishing(() => this.entries.take(length, alias));
    return numbers[length];
  }

  /** Runs so many changes: where the table is small beside them, with one new structure behind the last; then all or none. */
  inBulk(count: number, changes: () => void): void {
    const { trie, entries } = this;
    const structure = () => this.#structureToChange();
    inBulk(count, changes, { trie, entries, structure, publish: () => this.#publishRecords() });
  }

  /**
   * fib_table_delete.
   * @throws RouteError ESRCH
   */
  delete(address: number, length: number, match: DeleteMatch): void {
    if (!this.remove(address, length, match)) throw new RouteError(Errno.ESRCH, "RTNETLINK answers: No such process");
  }

  /** @returns false when there is no such route */
  remove(address: number, length: number, match: DeleteMatch): boolean {
    const node = this.trie.find(address, length);
    if (node === 0) return false;
    const entry = this.entryOf(node);
    const { words } = this.#image;
    const count = words[(entry + FIB_ENTRY.aliases) >>> 2];
    for (let at = findAlias(words, entry, count, match.tos, 0); at < count; at++) {
      const alias = aliasWord(entry, at);
      if (words[alias + A.tos] !== match.tos) break;
      if (!matches(words, alias, match)) continue;
      if (count === 1) this.#removeEntry(node);
      else this.#removeAlias(node, at);
      return true;
    }
    return false;
  }

  #removeAlias(node: Node, at: number): void {
    const old = this.#aliasesOf(node);
    const aliases = new Uint32Array(old.length - ALIAS_WORDS);
    aliases.set(old.subarray(0, at * ALIAS_WORDS));
    aliases.set(old.subarray((at + 1) * ALIAS_WORDS), at * ALIAS_WORDS);
    this.#put(node, this.trie.keyOf(node), this.trie.lengthOf(node), aliases);
  }

  #removeEntry(node: Node): void {
    const structure = this.#structureToChange();
    const number = this.trie.valueOf(node);
    this.#publishing(() => structure.delete(node));
    this.entries.release(number);
  }

  /** A copy of a node's aliases, each with its route; none for node 0. */
  #aliasesOf(node: Node): Uint32Array {
    if (node === 0) return new Uint32Array(0);
    const entry = this.entryOf(node);
    const { words } = this.#image;
    const aliases = words.slice(aliasWord(entry, 0), aliasWord(entry, words[(entry + FIB_ENTRY.aliases) >>> 2]));
    if (aliases.length === ALIAS_WORDS) aliases[A.route] ||= this.trie.noteOf(node);
    return aliases;
  }

  /** Gives a prefix these routes. */
  #put(node: Node, address: number, length: number, aliases: Uint32Array): void {
    const structure = this.#structureToChange();
    const number = this.#publishing(() => this.entries.take(length, aliases));
    const route = aliases.length === ALIAS_WORDS ? aliases[A.route] : 0;
    const old = node === 0 ? 0 : this.trie.valueOf(node);
    if (node === 0) this.#widen(address, length);
    try {
      const changed = node === 0 ? structure.set(address, length, number) : node;
      if (old !== 0 && old !== number) structure.change(node, number);
      this.trie.setNote(changed, route);
    } catch (error) {
      this.entries.release(number);
      throw error;
    } finally {
      this.#publishRecords();
    }
    if (old !== 0) this.entries.release(old);
  }

  /** A change, whatever comes of it: trie and entries may have moved. */
  #publishing<T>(change: () => T): T {
    try {
      return change();
    } finally {
      this.#publishRecords();
    }
  }

  #word = (field: keyof typeof TABLE): number => this.#image.words[tableWord(this.#offset, field)];

  /** Where trie and entries are: they move when they grow. */
  #publishRecords(): void {
    const { words } = this.#image;
    const { trie, entries } = this;
    words[tableWord(this.#offset, "prefixes")] = trie.size;
    words[tableWord(this.#offset, "trie")] = trie.offset;
    words[tableWord(this.#offset, "root")] = trie.root;
    if (words[tableWord(this.#offset, "results")] === entries.offset) return;
    words[tableWord(this.#offset, "results")] = entries.offset;
    this.#structure?.moveValues();
  }

  /** `TABLE.mask` as much shorter as a new prefix needs. */
  #widen(address: number, length: number): void {
    const { words } = this.#image;
    const [network, mask] = [this.#word("network"), this.#word("mask")];
    const common = Math.min(length, Math.clz32(~mask), Math.clz32(network ^ address));
    const shorter = common === 0 ? 0 : -1 << (32 - common);
    words[tableWord(this.#offset, "mask")] = shorter;
    words[tableWord(this.#offset, "network")] = network & shorter;
  }

  /** The structure in a form that can change. The first time it is built beside that of the image. */
  #structureToChange(): UpdatableTable {
    return this.#structure ?? this.#adopt();
  }

  /** Entries of the image become shared ones. @returns what makes that undone */
  #share(): () => void {
    const { trie, entries } = this;
    const shared: { readonly node: Node; readonly entry: number; readonly note: number }[] = [];
    const undo = (): void => {
      for (const { node, entry, note } of shared) {
        entries.release(trie.valueOf(node));
        trie.setValue(node, entry);
        trie.setNote(node, note);
      }
    };
    try {
      trie.forEach((node) => {
        const { words } = this.#image;
        const [entry, note] = [trie.valueOf(node), trie.noteOf(node)];
        const first = aliasWord(entry, 0);
        const count = words[(entry + FIB_ENTRY.aliases) >>> 2];
        trie.setValue(node, entries.take(trie.lengthOf(node), words.slice(first, aliasWord(entry, count))));
        trie.setNote(node, count === 1 ? words[first + A.route] || note : 0);
        shared.push({ node, entry, note });
      });
    } catch (error) {
      undo();
      throw error;
    }
    return undo;
  }

  #adopt(): UpdatableTable {
    const [kind, image, shapeId] = [this.#word("kind"), this.#word("image"), this.#word("shape")];
    for (const fixed of ["dir24", "poptrie"] as const)
      if (kind === LpmKind[fixed])
        throw new RouteError(Errno.EOPNOTSUPP, `the table was compiled as ${fixed}, which cannot change`);
    const at = (offset: number) => ({ bytes: new Uint8Array(this.#image.buffer as ArrayBuffer, offset) });
    const prefer = kind === LpmKind.blocks && this.trie.size <= PREFERRED_UP_TO ? blockShape(at(image)) : null;
    const small = kind === LpmKind.linear ? "linear" : kind === LpmKind.ranges ? "ranges" : undefined;
    const ranges = small === "ranges" ? rangesShape(at(image)) : null;
    /** Whether the code that was compiled for the table's structure reads the one that it has now. */
    const keepsShape = (table: UpdatableTable): boolean =>
      table.kind === "ranges"
        ? ranges !== null && isSameShape(ranges, rangesShape(at(table.image)))
        : prefer !== null && table.shape === prefer;
    const unshare = this.#share();
    const { entries } = this;
    const options: UpdatableTableOptions = {
      get maxValue() {
        return entries.greatest;
      },
      values: entries,
      prefer,
      ...(small === undefined ? {} : { small }),
      publish: (table) => {
        const now = this.#image.words;
        now[tableWord(this.#offset, "shape")] = keepsShape(table) ? shapeId : 0;
        now[tableWord(this.#offset, "kind")] = LpmKind[table.kind];
        now[tableWord(this.#offset, "image")] = table.image;
      },
    };
    try {
      this.#structure = new UpdatableTable(this.#image, this.trie, options);
    } catch (error) {
      unshare();
      throw error;
    }
    this.#publishRecords();
    return this.#structure;
  }
}

/** Prefixes of a table whose shape stays as it was compiled: code of its own counts more than how narrow cells are. */
const PREFERRED_UP_TO = 4096;

const REPLACE: InsertMode = { create: true, exclusive: false, replace: true, append: false };

/** fib_find_alias: the first that is not before (TOS, metric). */
function findAlias(words: Uint32Array, entry: number, count: number, tos: number, metric: number): number {
  let at = 0;
  for (; at < count; at++) {
    const alias = aliasWord(entry, at);
    if (words[alias + A.tos] > tos) continue;
    if (words[alias + A.tos] < tos || words[alias + A.metric] >= metric) break;
  }
  return at;
}

function isTwin(words: Uint32Array, entry: number, count: number, at: number, tos: number, metric: number): boolean {
  const alias = aliasWord(entry, at);
  return at < count && words[alias + A.tos] === tos && words[alias + A.metric] === metric;
}

/** The same type and fib_info. */
function isSameRoute(words: Uint32Array, at: number, alias: Uint32Array): boolean {
  for (let i = 0; i < COMPARED.length; i++) if (words[at + COMPARED[i]] !== alias[COMPARED[i]]) return false;
  return sameHops(words, words[at + A.nextHops], alias[A.nextHops], alias[A.hopCount]);
}

function matches(words: Uint32Array, at: number, match: DeleteMatch): boolean {
  const same = (field: number, wanted: number | null): boolean => wanted === null || words[at + field] === wanted;
  const fits =
    same(A.type, match.type) &&
    same(A.scope, match.scope) &&
    same(A.protocol, match.protocol) &&
    same(A.prefsrc, match.prefsrc) &&
    same(A.mtu, match.mtu) &&
    (match.metric === 0 || words[at + A.metric] === match.metric);
  if (!fits || match.hops.length === 0) return fits;
  const count = words[at + A.hopCount];
  if (count === 0 || (match.hops.length > 1 && count !== match.hops.length)) return false;
  return match.hops.every((hop, i) => matchesHop(words, words[at + A.nextHops] + i * NEXT_HOP_BYTES, hop));
}

/** fib_nh_match */
function matchesHop(words: Uint32Array, at: number, { device, gateway, weight }: DeleteMatch["hops"][number]): boolean {
  const field = (name: keyof typeof NEXT_HOP): number => words[(at + NEXT_HOP[name]) >>> 2];
  const own = new DataView(words.buffer).getUint32(at + NEXT_HOP.gateway, false);
  return (
    (device === undefined || field("device") === device) &&
    (gateway === undefined || (field("family") === 4 && own === gateway)) &&
    (weight === undefined || field("weight") === weight)
  );
}
