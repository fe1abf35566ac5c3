/**
 * One IPv4 table of a loaded module as something that changes: fib_table_insert and fib_table_delete of k:net/ipv4/fib_trie.c over
 * the records of abi.ts.
 *
 *   trie      prefix -> FIB_ENTRY       the host's: where an entry is, what is around and inside it
 *   entry     aliases in the order in which they are tried: TOS descending, metric ascending, as added
 *   table     address -> FIB_ENTRY      the program's: lpm/table.ts
 *
 * A change writes the new entry beside the old one, lets the structure point to it, mends the `cover` of the entries inside it,
 * and takes the old one back. One that keeps its place (a route replaced by another) is written over.
 */
import { FIB_ALIAS, FIB_ALIAS_BYTES, FIB_ENTRY, FIB_ENTRY_BYTES, FibEntryFlag, NEXT_HOP, NextHopFlag } from "../abi.ts";
import { blockShape } from "../lpm/blocks.ts";
import { MAX_VALUE } from "../lpm/columns.ts";
import { LpmKind } from "../lpm/lpm.ts";
import { type Node, PrefixTrie } from "../lpm/prefix-trie.ts";
import { UpdatableTable } from "../lpm/table.ts";
import { Errno } from "../verdict.ts";
import { RouteError } from "./error.ts";
import { type HopLists, sameHops } from "./hops.ts";
import { type Image, tableWord } from "./image.ts";
import type { RecordPool } from "./pool.ts";

export const ALIAS_WORDS = FIB_ALIAS_BYTES / 4;
/** Word of a field in an alias. */
export const A = Object.fromEntries(Object.entries(FIB_ALIAS).map(([field, at]) => [field, at / 4])) as Readonly<
  Record<keyof typeof FIB_ALIAS, number>
>;

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

/** Fields in which two fib_infos differ, but for their next hops. */
const COMPARED = [A.type, A.error, A.tos, A.hopCount, A.prefsrc, A.scope, A.metric, A.mtu, A.protocol];

export class FibTable {
  /** Values are offsets of FIB_ENTRYs. */
  readonly trie = new PrefixTrie();
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #hops: HopLists;
  /** Of the TABLE. */
  readonly #offset: number;
  #structure: UpdatableTable | null = null;

  constructor(image: Image, pool: RecordPool, hops: HopLists, offset: number) {
    this.#image = image;
    this.#pool = pool;
    this.#hops = hops;
    this.#offset = offset;
    this.#read();
  }

  /** Entries as they stand in the image. */
  #read(): void {
    const { words } = this.#image;
    const networks = words[tableWord(this.#offset, "networks")];
    const prefixes = words[tableWord(this.#offset, "prefixes")];
    let entry = words[networks >>> 2];
    for (let i = 0; i < prefixes; i++) {
      this.trie.set(words[(networks >>> 2) + 1 + i], words[(entry + FIB_ENTRY.prefixLength) >>> 2], entry);
      entry += entryBytes(words[(entry + FIB_ENTRY.aliases) >>> 2]);
    }
  }

  /** How many of lpm/table.ts' structures' bytes it holds. */
  get structure(): UpdatableTable | null {
    return this.#structure;
  }

  /**
   * fib_table_insert.
   * @param alias ALIAS_WORDS; on success its list of next hops has a use more
   * @throws RouteError EEXIST, ENOENT; nothing has changed then
   */
  insert(address: number, length: number, alias: Uint32Array, mode: InsertMode): void {
    const node = this.trie.find(address, length);
    const entry = node === 0 ? 0 : this.trie.valueOf(node);
    const { words } = this.#image;
    const count = entry === 0 ? 0 : words[(entry + FIB_ENTRY.aliases) >>> 2];
    const [tos, metric] = [alias[A.tos], alias[A.metric]];
    let at = findAlias(words, entry, count, tos, metric);
    if (isTwin(words, entry, count, at, tos, metric)) {
      if (mode.exclusive) exists();
      let end = at;
      let match = -1;
      for (; match < 0 && isTwin(words, entry, count, end, tos, metric); end++)
        if (isSameRoute(words, aliasWord(entry, end), alias)) match = end;
      if (mode.replace) {
        if (match === at) return;
        if (match >= 0) exists();
        this.#overwrite(entry, at, alias);
        return;
      }
      if (match >= 0) exists();
      if (mode.append) at = end;
    }
    if (!mode.create) throw new RouteError(Errno.ENOENT, "RTNETLINK answers: No such file or directory");
    this.#resize(address, length, entry, count, at, alias);
  }

  /** `insert` of `replace` for a route without TOS, quick: what update streams do. */
  put(address: number, length: number, alias: Uint32Array): void {
    const node = this.trie.find(address, length);
    if (node !== 0) {
      const { words } = this.#image;
      const entry = this.trie.valueOf(node);
      const at = aliasWord(entry, 0);
      const isAlone = words[(entry + FIB_ENTRY.aliases) >>> 2] === 1;
      if (isAlone && words[at + A.tos] === 0 && words[at + A.metric] === alias[A.metric]) {
        if (words[at + A.nextHops] === alias[A.nextHops] && isSameRoute(words, at, alias)) return;
        this.#overwrite(entry, 0, alias);
        return;
      }
    }
    this.insert(address, length, alias, REPLACE);
  }

  /** Runs so many changes: where the table is small beside them, with one new structure behind the last. */
  inBulk(count: number, changes: () => void): void {
    if (count > FEW && count > MANY_TIMES * this.trie.size) this.#adopt().inBulk(changes);
    else changes();
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
    const entry = this.trie.valueOf(node);
    const { words } = this.#image;
    const count = words[(entry + FIB_ENTRY.aliases) >>> 2];
    for (let at = findAlias(words, entry, count, match.tos, 0); at < count; at++) {
      const alias = aliasWord(entry, at);
      if (words[alias + A.tos] !== match.tos) break;
      if (!matches(words, alias, match)) continue;
      if (count === 1) this.#removeEntry(node, entry);
      else this.#resize(address, length, entry, count, at, null);
      return true;
    }
    return false;
  }

  /** Puts an alias into an entry of the same prefix (null: takes one out), in a place of its own. */
  #resize(address: number, length: number, entry: number, count: number, at: number, alias: Uint32Array | null): void {
    const structure = this.#adopt();
    const cover = entry === 0 && length > 0 ? this.trie.covering(address, length - 1) : 0;
    const size = count + (alias === null ? -1 : 1);
    const made = this.#pool.allocate(entryBytes(size));
    const { words } = this.#image;
    words[(made + FIB_ENTRY.cover) >>> 2] =
      entry === 0 ? this.trie.valueOf(cover) : words[(entry + FIB_ENTRY.cover) >>> 2];
    words[(made + FIB_ENTRY.prefixLength) >>> 2] = length;
    words[(made + FIB_ENTRY.aliases) >>> 2] = size;
    const [from, to] = [aliasWord(entry, 0), aliasWord(made, 0)];
    words.copyWithin(to, from, from + at * ALIAS_WORDS);
    if (alias === null) {
      this.#hops.release(words[from + at * ALIAS_WORDS + A.nextHops]);
      words.copyWithin(to + at * ALIAS_WORDS, from + (at + 1) * ALIAS_WORDS, from + count * ALIAS_WORDS);
    } else {
      words.set(alias, to + at * ALIAS_WORDS);
      this.#hops.use(alias[A.nextHops]);
      words.copyWithin(to + (at + 1) * ALIAS_WORDS, from + at * ALIAS_WORDS, from + count * ALIAS_WORDS);
    }
    settle(words, made);
    if (entry === 0) this.#widen(address, length);
    const node = structure.set(address, length, made);
    this.#coverInside(node, made);
    if (entry !== 0) this.#pool.free(entry, entryBytes(count));
    this.#countPrefixes();
  }

  #removeEntry(node: Node, entry: number): void {
    const structure = this.#adopt();
    const { words } = this.#image;
    this.#coverInside(node, words[(entry + FIB_ENTRY.cover) >>> 2]);
    structure.delete(node);
    this.#hops.release(this.#image.words[aliasWord(entry, 0) + A.nextHops]);
    this.#pool.free(entry, entryBytes(1));
    this.#countPrefixes();
  }

  #overwrite(entry: number, at: number, alias: Uint32Array): void {
    const { words } = this.#image;
    const word = aliasWord(entry, at);
    this.#hops.use(alias[A.nextHops]);
    this.#hops.release(words[word + A.nextHops]);
    for (let i = 0; i < ALIAS_WORDS; i++) words[word + i] = alias[i];
    settle(words, entry);
  }

  #coverInside(node: Node, cover: number): void {
    const { words } = this.#image;
    this.trie.forEachInside(node, (inside) => {
      words[(this.trie.valueOf(inside) + FIB_ENTRY.cover) >>> 2] = cover;
    });
  }

  #countPrefixes(): void {
    this.#image.words[tableWord(this.#offset, "prefixes")] = this.trie.size;
  }

  /** `TABLE.mask` as much shorter as a new prefix needs. */
  #widen(address: number, length: number): void {
    const { words } = this.#image;
    const [network, mask] = [words[tableWord(this.#offset, "network")], words[tableWord(this.#offset, "mask")]];
    const common = Math.min(length, Math.clz32(~mask), Math.clz32(network ^ address));
    const shorter = common === 0 ? 0 : -1 << (32 - common);
    words[tableWord(this.#offset, "mask")] = shorter;
    words[tableWord(this.#offset, "network")] = network & shorter;
  }

  /** The structure in a form that can change. The first time it is built beside that of the image. */
  #adopt(): UpdatableTable {
    if (this.#structure !== null) return this.#structure;
    const { words, buffer } = this.#image;
    const kind = words[tableWord(this.#offset, "kind")];
    const image = words[tableWord(this.#offset, "image")];
    const shapeId = words[tableWord(this.#offset, "shape")];
    if (kind === LpmKind.dir24)
      throw new RouteError(Errno.EOPNOTSUPP, "the table was compiled as dir24, which cannot change");
    const prefer =
      kind === LpmKind.blocks
        ? blockShape({ kind: "blocks", family: 4, bytes: new Uint8Array(buffer as ArrayBuffer, image), prefixes: 0 })
        : null;
    this.#structure = new UpdatableTable(this.#image, this.trie, {
      maxValue: MAX_VALUE,
      prefer,
      blocksAlone: kind === LpmKind.blocks,
      publish: (table) => {
        const now = this.#image.words;
        now[tableWord(this.#offset, "shape")] = prefer !== null && table.shape === prefer ? shapeId : 0;
        now[tableWord(this.#offset, "kind")] = LpmKind[table.kind];
        now[tableWord(this.#offset, "image")] = table.image;
      },
    });
    return this.#structure;
  }
}

/** Changes that are never worth a new structure, and how many times the routes they must be. */
const FEW = 64;
const MANY_TIMES = 4;

const REPLACE: InsertMode = { create: true, exclusive: false, replace: true, append: false };

const entryBytes = (aliases: number): number => FIB_ENTRY_BYTES + aliases * FIB_ALIAS_BYTES;
export const aliasWord = (entry: number, at: number): number => (entry + FIB_ENTRY_BYTES + at * FIB_ALIAS_BYTES) >>> 2;

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
  return match.hops.every((hop, i) => matchesHop(words, words[at + A.nextHops] + i * 48, hop));
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

/** FibEntryFlag.SETTLED, as fib/build.ts says it. */
function settle(words: Uint32Array, entry: number): void {
  const first = aliasWord(entry, 0);
  const hop = words[first + A.nextHops];
  const isAlive = words[first + A.hopCount] > 0 && (words[(hop + NEXT_HOP.flags) >>> 2] & NextHopFlag.DEAD) === 0;
  const isSettled = words[first + A.tos] === 0 && (words[first + A.error] !== 0 || isAlive);
  words[(entry + FIB_ENTRY.flags) >>> 2] = isSettled ? FibEntryFlag.SETTLED : 0;
}
