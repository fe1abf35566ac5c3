/**
 * The FIB entries of one IPv4 table that changes. Prefixes whose one route says the same share an entry: a full table has as many
 * as it has next hops, or a few times that, so the look-up structure's cells are numbers of a byte or two, its blocks are shared, and
 * a route that is replaced by another costs no record.
 *
 *   number -> entry     in memory (`TABLE.results`): the structure's values, counted, used again
 *   route numbers       with the prefixes, in the trie (`FIB_NODE.route`)
 *
 *   10.1.0.0/16 via 10.0.0.2  route 7 ---- 3 ----> FIB_ENTRY of one alias, route 0
 *   10.2.0.0/16 via 10.0.0.2  route 8 ----'
 *   10.3.0.0/16 via 10.0.0.2  route 9 ---- 4 ----> FIB_ENTRY of two aliases, routes 9 and 10
 *                  and tos 0x10  10
 *
 * What of a prefix a program reads besides: rules that suppress_prefixlength, and output to groups, ask for its length. So entries
 * are shared by lengths that these treat alike.
 */
import {
  FIB_ALIAS,
  FIB_ALIAS_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NextHopFlag,
} from "../abi/fib.ts";
import type { ValueTable } from "../lpm/blocks-update.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import type { HopLists } from "./hops.ts";
import type { Image } from "./image.ts";
import type { RecordPool } from "./pool.ts";

export const ALIAS_WORDS = FIB_ALIAS_BYTES / 4;
/** Word of a field in an alias. */
export const A = Object.fromEntries(Object.entries(FIB_ALIAS).map(([field, at]) => [field, at / 4])) as Readonly<
  Record<keyof typeof FIB_ALIAS, number>
>;

export const entryBytes = (aliases: number): number => FIB_ENTRY_BYTES + aliases * FIB_ALIAS_BYTES;
export const aliasWord = (entry: number, at: number): number => (entry + FIB_ENTRY_BYTES + at * FIB_ALIAS_BYTES) >>> 2;

/** Output to a group takes no shorter routes (k:net/ipv4/route.c __mkroute_output). */
const GROUPS_LENGTH = 4;

/**
 * By prefix length: the greatest up to it from which on rules or packets treat prefixes otherwise.
 * @param suppressed suppress_prefixlength of the rules, -1: off
 */
export function lengthClasses(suppressed: readonly number[]): Uint8Array {
  const from = [GROUPS_LENGTH, ...suppressed.map((length) => length + 1)];
  return Uint8Array.from({ length: 33 }, (_, length) => Math.max(0, ...from.filter((f) => f <= length)));
}

/** First room for numbers. */
const FIRST_NUMBERS = 64;

export class FibEntries implements ValueTable {
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #hops: HopLists;
  /** Of the TABLE. */
  readonly #table: number;
  readonly #classOf: (length: number) => number;
  #offset: number;
  #room = FIRST_NUMBERS;
  /** By number. */
  #users = new Uint32Array(FIRST_NUMBERS);
  #free: number[] = [];
  #end = 1;
  /** Of those that are shared: hash -> number, and from each the next with that hash, 0: none. */
  readonly #byHash = new Map<number, number>();
  #next = new Uint32Array(FIRST_NUMBERS);

  /** @param classOf the same for lengths that nothing treats otherwise */
  constructor(image: Image, pool: RecordPool, hops: HopLists, table: number, classOf: (length: number) => number) {
    this.#image = image;
    this.#pool = pool;
    this.#hops = hops;
    this.#table = table;
    this.#classOf = classOf;
    this.#offset = image.allocate(FIRST_NUMBERS * 4);
  }

  /** Where the entries' offsets stand; moves when there are more. */
  get offset(): number {
    return this.#offset;
  }

  /** Greatest number that is or was in use. */
  get greatest(): number {
    return this.#end - 1;
  }

  /** The entry of a number. */
  at(number: number): number {
    return this.#image.words[(this.#offset >>> 2) + number];
  }

  /**
   * A use of the entry of routes of one prefix. May move where offsets stand, whatever comes of it.
   * @param aliases in their order, ALIAS_WORDS each
   * @throws MemoryError; it has no use more then
   */
  take(length: number, aliases: Uint32Array): number {
    const count = aliases.length / ALIAS_WORDS;
    if (count > 1) return this.#create(length, aliases);
    const alias = aliases.slice();
    alias[A.route] = 0;
    const shared = this.#classOf(length);
    const hash = hashOf(shared, alias);
    const first = this.#byHash.get(hash) ?? 0;
    for (let number = first; number !== 0; number = this.#next[number])
      if (this.#holds(number, shared, alias)) {
        this.#users[number]++;
        return number;
      }
    const made = this.#create(shared, alias);
    this.#next[made] = first;
    this.#byHash.set(hash, made);
    return made;
  }

  use(number: number): void {
    this.#users[number]++;
  }

  release(number: number): void {
    if (--this.#users[number] > 0) return;
    const entry = this.at(number);
    const { words } = this.#image;
    const count = words[(entry + FIB_ENTRY.aliases) >>> 2];
    const aliases = words.slice(aliasWord(entry, 0), aliasWord(entry, count));
    for (let i = 0; i < count; i++) this.#hops.release(aliases[i * ALIAS_WORDS + A.nextHops]);
    if (count === 1) this.#forget(number, hashOf(words[(entry + FIB_ENTRY.prefixLength) >>> 2], aliases));
    this.#pool.free(entry, entryBytes(count));
    this.#free.push(number);
  }

  #holds(number: number, length: number, alias: Uint32Array): boolean {
    const { words } = this.#image;
    const entry = this.at(number);
    if (words[(entry + FIB_ENTRY.prefixLength) >>> 2] !== length) return false;
    const at = aliasWord(entry, 0);
    for (let i = 0; i < ALIAS_WORDS; i++) if (words[at + i] !== alias[i]) return false;
    return true;
  }

  /** Takes a shared entry out of its hash's chain. */
  #forget(number: number, hash: number): void {
    const first = this.#byHash.get(hash)!;
    const next = this.#next[number];
    if (first !== number) {
      let before = first;
      while (this.#next[before] !== number) before = this.#next[before];
      this.#next[before] = next;
    } else if (next === 0) this.#byHash.delete(hash);
    else this.#byHash.set(hash, next);
  }

  #create(length: number, aliases: Uint32Array): number {
    const count = aliases.length / ALIAS_WORDS;
    if (this.#free.length === 0 && this.#end === this.#room) this.#grow();
    const entry = this.#pool.allocate(entryBytes(count));
    const number = this.#free.pop() ?? this.#end++;
    const { words } = this.#image;
    words[(entry + FIB_ENTRY.cover) >>> 2] = this.#table;
    words[(entry + FIB_ENTRY.prefixLength) >>> 2] = length;
    words[(entry + FIB_ENTRY.aliases) >>> 2] = count;
    words.set(aliases, aliasWord(entry, 0));
    words[(entry + FIB_ENTRY.flags) >>> 2] = FibEntryFlag.IN_TRIE | flagsOf(words, entry);
    words[(this.#offset >>> 2) + number] = entry;
    this.#users[number] = 1;
    for (let i = 0; i < count; i++) this.#hops.use(aliases[i * ALIAS_WORDS + A.nextHops]);
    return number;
  }

  /** Gives the numbers' place back: no prefix has one. */
  dispose(): void {
    this.#image.free(this.#offset, this.#room * 4);
  }

  #grow(): void {
    const [offset, room] = [this.#offset, this.#room];
    this.#offset = this.#image.allocate(2 * room * 4);
    this.#room = 2 * room;
    this.#image.words.copyWithin(this.#offset >>> 2, offset >>> 2, (offset >>> 2) + room);
    this.#image.free(offset, room * 4);
    const [users, next] = [new Uint32Array(this.#room), new Uint32Array(this.#room)];
    users.set(this.#users);
    next.set(this.#next);
    [this.#users, this.#next] = [users, next];
  }
}

/** FNV-1a over words. */
function hashOf(length: number, alias: Uint32Array): number {
  let hash = 0x811c9dc5 ^ length;
  for (let i = 0; i < alias.length; i++) hash = Math.imul(hash ^ alias[i], 0x01000193) ^ (hash >>> 15);
  return hash;
}

/** SETTLED and FORWARDS, as fib/build.ts says them. */
function flagsOf(words: Uint32Array, entry: number): number {
  const first = aliasWord(entry, 0);
  const hop = words[first + A.nextHops];
  const hops = words[first + A.hopCount];
  const isAlive = hops > 0 && (words[(hop + NEXT_HOP.flags) >>> 2] & NextHopFlag.DEAD) === 0;
  if (words[first + A.tos] !== 0 || (words[first + A.error] === 0 && !isAlive)) return 0;
  const isUnicast = words[first + A.type] === RouteTypeCode.unicast;
  const forwards = isUnicast && hops === 1 && words[(hop + NEXT_HOP.family) >>> 2] !== 6;
  return FibEntryFlag.SETTLED | (forwards ? FibEntryFlag.FORWARDS : 0);
}
