/**
 * Tables in the image: a TABLE for each, its next hops, its FIB entries with their aliases, the structure that finds them, and what the host alone
 * reads of it: its networks, or its trie where prefixes share entries (shared-table.ts).
 *
 *   layoutTables = { TABLE }, { next hops }, { entries }, { structure }, { networks | trie, numbers of entries }       each of all tables together
 */
import type { Route } from "../dsl/model.ts";
import type { SaidRoute } from "../dsl/route-columns.ts";
import * as abi from "../runtime/abi/fib.ts";
import { CACHE_LINE } from "../runtime/abi/image.ts";
import type { IfIndex, TableId } from "../runtime/brand.ts";
import { commonStrides } from "../runtime/lpm/blocks.ts";
import { buildLpm, buildLpmOf, chooseLpm, LPM_STRUCTURES, longestOf, MANY_TABLES } from "../runtime/lpm/choose.ts";
import { columnsOf, type PrefixColumns } from "../runtime/lpm/columns.ts";
import { type LpmImage, LpmKind } from "../runtime/lpm/lpm.ts";
import * as in6 from "../runtime/net/in6.ts";
import { familyOf, type Ipv6, mask4 } from "../runtime/net/ip.ts";
import { RouteTypeCode } from "../runtime/net/route-types.ts";
import { protocolNumber } from "../runtime/net/rt-protos.ts";
import { type Fib, type FibAlias, type FibHop, type FibRows, prefixCount } from "./fib/fib.ts";
import type { ImageWriter } from "./image-writer.ts";
import { type LpmShape, shapeOf } from "./lpm/emit.ts";
import { entryFlags, lookupColumns, type SharedEntry, type SharedTable, shareEntries } from "./shared-table.ts";

export interface TableLayout {
  readonly offset: number;
  readonly kind: LpmKind;
  /** Of its structure as it was built; null: not worth code of its own. */
  readonly shape: LpmShape | null;
  /** Nodes of its trie one above the other, at the most; 0: it has none. */
  readonly depth: number;
}

export type Tables = ReadonlyMap<TableId, TableLayout>;

export function layoutTables(
  image: ImageWriter,
  name: string,
  fibs: readonly Fib[],
  { lpm, suppressed }: { readonly lpm?: LpmKind; readonly suppressed: readonly number[] },
  devices: ReadonlyMap<IfIndex, number>,
): { readonly first: number; readonly byId: Tables } {
  const first = image.reserve(`${name}s`, fibs.length * abi.TABLE_BYTES, CACHE_LINE);
  const byId = new Map<TableId, TableLayout>();
  const isOfMany = fibs.filter(isSmall).length >= MANY_TABLES;
  const strides = isOfMany ? sharedStrides(fibs.filter(isSmall)) : null;
  // What packets read of one kind of record stands together for all tables: many small ones then share pages, and the TLB has them.
  const nameOf = (fib: Fib, what: string): string => `${name} ${fib.table} ${what}`;
  const lists = fibs.map((fib) => layoutHops(image, nameOf(fib, "next hops"), fib.hopLists, devices));
  const shared = fibs.map((fib) => fib.rows && shareEntries(fib, fib.rows, suppressed));
  const entries = fibs.map((fib, i) => {
    const [title, own] = [nameOf(fib, "entries"), shared[i]];
    if (own === null) return layoutEntries(image, title, fib, lists[i]);
    return layoutSharedEntries(image, title, { ...fib, rows: fib.rows! }, own, lists[i], first + i * abi.TABLE_BYTES);
  });
  for (const [i, fib] of fibs.entries()) {
    const forced = lpm !== undefined && LPM_STRUCTURES[lpm].families.includes(fib.family) ? lpm : undefined;
    const kind = forced ?? chosenFor(fib, isOfMany);
    const own = shared[i];
    const split = isSmall(fib) ? strides : null;
    const found =
      own === null
        ? buildLpm(fib.family, prefixesOf(fib, entries[i]), kind, split)
        : buildLpmOf(lookupColumns(own, entries[i]), kind, split);
    const table = writeTable(image, `${name} ${fib.table}`, first + i * abi.TABLE_BYTES, fib.table, found);
    byId.set(fib.table, { ...table, depth: own?.trie.depth ?? 0 });
  }
  for (const [i, fib] of fibs.entries()) {
    const own = shared[i];
    const words =
      own === null
        ? {
            ...(fib.family === 4 ? commonPrefix(...networksOf(fib)) : {}),
            networks: layoutNetworks(image, nameOf(fib, "networks"), fib, entries[i]),
          }
        : {
            ...commonPrefix(own.prefixes.addresses, own.prefixes.lengths),
            trie: image.reserveWords(nameOf(fib, "trie"), own.trie.nodes),
            root: own.trie.root,
            results: image.reserveWords(nameOf(fib, "numbers of entries"), Uint32Array.of(0, ...entries[i])),
          };
    image.words(first + i * abi.TABLE_BYTES, abi.TABLE, words);
  }
  return { first, byId };
}

const SMALL_TABLE = 4096;
const prefixesOf = ({ entries }: Fib, offsets: readonly number[]) =>
  entries.map(({ prefix }, i) => ({ ...prefix, value: offsets[i] }));
const longestOfFib = ({ entries, rows }: Fib): number => {
  const ofRows = rows === null ? 0 : rows.columns.lengths.reduce((a, b) => Math.max(a, b), 0);
  return Math.max(ofRows, longestOf(entries.map(({ prefix }) => prefix)));
};
const chosenFor = (fib: Fib, isOfMany: boolean): LpmKind =>
  chooseLpm(fib.family, prefixCount(fib), longestOfFib(fib), isOfMany);
const isSmall = (fib: Fib): boolean => prefixCount(fib) <= SMALL_TABLE;
const SAMPLES = 8;

/** One split for all small tables that are blocks, where there are many: they share the caches, and the code that reads them. */
function sharedStrides(fibs: readonly Fib[]): number[] | null {
  const small = fibs.filter((fib) => chosenFor(fib, true) === "blocks");
  if (small.length < MANY_TABLES) return null;
  const bits = Math.max(...small.map(longestOfFib));
  const samples = Array.from({ length: SAMPLES }, (_, i) => small[Math.floor((i * small.length) / SAMPLES)]);
  return commonStrides(samples.map(sampleOf), small.length, bits);
}

/** Prefixes with numbers for offsets: that entries have offsets of their own, or share them, is what matters of them. */
function sampleOf(fib: Fib): PrefixColumns {
  const own = fib.entries.map(({ prefix }, i) => ({ ...prefix, value: i + 1 }));
  if (fib.rows === null) return columnsOf(fib.family, own);
  const { columns } = fib.rows;
  const rows = Array.from(columns.lengths, (length, i) => {
    return { address: columns.addresses[i], length, value: own.length + columns.said[i] + 1 };
  });
  return columnsOf(4, [...own, ...rows]);
}

/** @returns the offset of each entry */
function layoutEntries(image: ImageWriter, name: string, fib: Fib, lists: readonly number[]): number[] {
  const aliasBytes = fib.family === 4 ? abi.FIB_ALIAS_BYTES : abi.FIB_ALIAS6_BYTES;
  const counts = fib.entries.map(({ aliases }) => aliases.length);
  const entries = reserveEntries(image, name, counts, aliasBytes);
  for (const [i, entry] of fib.entries.entries()) {
    image.words(entries[i], abi.FIB_ENTRY, {
      cover: entry.cover === null ? 0 : entries[entry.cover],
      prefixLength: entry.prefix.length,
      aliases: entry.aliases.length,
      flags: fib.family === 4 ? entryFlags(entry.aliases[0]) : entry.settled ? abi.FibEntryFlag.SETTLED : 0,
    });
    for (const [k, alias] of entry.aliases.entries())
      writeAlias(image, entries[i] + abi.FIB_ENTRY_BYTES + k * aliasBytes, alias, fib, lists);
  }
  return entries;
}

/** Entries that prefixes share (shared-table.ts). @param table the TABLE */
function layoutSharedEntries(
  image: ImageWriter,
  name: string,
  fib: Fib & { readonly rows: FibRows },
  shared: SharedTable,
  lists: readonly number[],
  table: number,
): number[] {
  const aliasesOf = ({ entry, saying }: SharedEntry): readonly (FibAlias | FibAlias<SaidRoute>)[] =>
    entry === null ? [fib.rows.aliases[saying!]] : fib.entries[entry].aliases;
  const counts = shared.entries.map((one) => aliasesOf(one).length);
  const offsets = reserveEntries(image, name, counts, abi.FIB_ALIAS_BYTES);
  for (const [i, entry] of shared.entries.entries()) {
    const { prefixLength } = entry;
    const aliases = aliasesOf(entry);
    const flags = abi.FibEntryFlag.IN_TRIE | entryFlags(aliases[0]);
    image.words(offsets[i], abi.FIB_ENTRY, { cover: table, prefixLength, aliases: counts[i], flags });
    for (const [k, alias] of aliases.entries())
      writeAlias(image, offsets[i] + abi.FIB_ENTRY_BYTES + k * abi.FIB_ALIAS_BYTES, alias, fib, lists);
  }
  return offsets;
}

/** For whoever changes the table: where its entries are, and for which networks. */
function layoutNetworks(image: ImageWriter, name: string, fib: Fib, offsets: readonly number[]): number {
  const words = fib.family === 4 ? 1 : 4;
  const bytes = 4 + 4 * words * fib.entries.length;
  const offset = image.reserve(name, bytes);
  image.view(offset, bytes, (at) => {
    const view = new DataView(at.buffer, at.byteOffset, at.length);
    view.setUint32(0, offsets[0] ?? 0, true);
    for (const [i, { prefix }] of fib.entries.entries()) {
      const first = 4 + 4 * i * words;
      if (typeof prefix.address === "number") view.setUint32(first, prefix.address, true);
      else
        for (let word = 0; word < words; word++) {
          const value = BigInt.asUintN(32, prefix.address >> BigInt(32 * (words - 1 - word)));
          view.setUint32(first + 4 * word, Number(value), true);
        }
    }
  });
  return offset;
}

const networksOf = ({ entries }: Fib): [addresses: number[], lengths: number[]] => [
  entries.map(({ prefix }) => prefix.address as number),
  entries.map(({ prefix }) => prefix.length),
];

/** The longest prefix that contains all of a table's. */
function commonPrefix(addresses: ArrayLike<number>, lengths: ArrayLike<number>): { network: number; mask: number } {
  const network = addresses[0] ?? 0;
  let [differ, shortest] = [0, 32];
  for (let i = 0; i < addresses.length; i++) {
    differ |= addresses[i] ^ network;
    shortest = Math.min(shortest, lengths[i]);
  }
  const mask = mask4(Math.min(shortest, Math.clz32(differ)));
  return { network: (network & mask) >>> 0, mask };
}

export function writeTable(image: ImageWriter, name: string, offset: number, id: number, lpm: LpmImage): TableLayout {
  const structure = image.reserve(
    `${name} ${lpm.kind}`,
    lpm.bytes.length,
    lpm.kind === "blocks" ? CACHE_LINE : undefined,
  );
  image.view(structure, lpm.bytes.length, (bytes) => bytes.set(lpm.bytes));
  image.words(offset, abi.TABLE, { id, kind: LpmKind[lpm.kind], image: structure, prefixes: lpm.prefixes });
  return { offset, kind: lpm.kind, shape: shapeOf(lpm), depth: 0 };
}

/**
 * @param counts of aliases
 * @returns the offset of each entry; its aliases follow it
 */
function reserveEntries(image: ImageWriter, name: string, counts: readonly number[], aliasBytes: number): number[] {
  const bytesOf = (aliases: number) => abi.FIB_ENTRY_BYTES + aliases * aliasBytes;
  // An IPv4 entry with one alias is a cache line.
  let next = image.reserve(
    name,
    counts.reduce((sum, aliases) => sum + bytesOf(aliases), 0),
    CACHE_LINE,
  );
  return counts.map((aliases) => {
    const offset = next;
    next += bytesOf(aliases);
    return offset;
  });
}

function writeAlias(
  image: ImageWriter,
  offset: number,
  alias: FibAlias | FibAlias<SaidRoute>,
  fib: Fib,
  lists: readonly number[],
): void {
  const { route, error, hops } = alias;
  image.words(offset, abi.FIB_ALIAS, {
    type: RouteTypeCode[route.type],
    error,
    tos: route.tos,
    route: "id" in route ? route.id + 1 : 0,
    nextHops: lists[hops],
    hopCount: fib.hopLists[hops].length,
    prefsrc: typeof route.prefsrc === "number" ? route.prefsrc : 0,
    flags: route.family === 6 && "prefix" in route ? route6Flags(route) : 0,
    scope: route.scope,
    metric: route.metric,
    mtu: route.mtu ?? 0,
    protocol: protocolNumber(route.protocol),
  });
  if (typeof route.prefsrc === "bigint") image.address(offset + abi.FIB_ALIAS.prefsrc6, route.prefsrc);
}

function route6Flags({ type, prefix, origin }: Route): number {
  const { OWN_ADDRESS, NEED_STRICT, MULTICAST } = abi.Route6Flag;
  const address = prefix.address as Ipv6;
  const ownAddress = type === "local" || (type === "anycast" && origin.kernel !== undefined);
  return (
    (ownAddress ? OWN_ADDRESS : 0) |
    (in6.rt6_need_strict(address) ? NEED_STRICT : 0) |
    (in6.ipv6_addr_is_multicast(address) ? MULTICAST : 0)
  );
}

/** @returns the offset of each list, 0 for the empty one */
function layoutHops(
  image: ImageWriter,
  name: string,
  lists: readonly (readonly FibHop[])[],
  devices: ReadonlyMap<IfIndex, number>,
): number[] {
  let next = image.reserve(name, lists.flat().length * abi.NEXT_HOP_BYTES, CACHE_LINE);
  return lists.map((hops) => {
    const first = next;
    for (const hop of hops) {
      writeHop(image, next, hop, devices);
      next += abi.NEXT_HOP_BYTES;
    }
    return hops.length === 0 ? 0 : first;
  });
}

function writeHop(
  image: ImageWriter,
  offset: number,
  { hop, upperBound }: FibHop,
  devices: ReadonlyMap<IfIndex, number>,
): void {
  image.words(offset, abi.NEXT_HOP, {
    device: devices.get(hop.device) ?? 0,
    ifindex: hop.device,
    flags: (hop.dead ? abi.NextHopFlag.DEAD : 0) | (hop.onlink ? abi.NextHopFlag.ONLINK : 0),
    scope: hop.scope,
    upperBound,
    family: hop.gateway === null ? 0 : familyOf(hop.gateway),
    source: typeof hop.source === "number" ? hop.source : 0,
    weight: hop.weight,
  });
  if (hop.gateway !== null) image.address(offset + abi.NEXT_HOP.gateway, hop.gateway);
}
