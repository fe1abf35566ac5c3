/**
 * Routing tables and address streams from a seed, when no real table is at hand.
 *
 * A table imitates a full table of 2026 (RIPE RIS, 1,042,325 IPv4 and 246,175 IPv6 prefixes) in what look-up structures
 * feel: its length histogram; half of the prefixes inside another; more than half right behind one of their own length;
 * next hops by Zipf, inherited from the covering or neighbouring prefix as often as there (measured: 83 % and 90 %).
 *
 *   uniform     any address (IPv6: of 2000::/3)
 *   in-prefix   a prefix of the table, any address in it
 *   zipf        65,536 such addresses, drawn by Zipf with s = 1, each draw by itself
 */
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { columnsOf } from "../../runtime/lpm/columns.ts";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { bitsOf, type Family, type Ip, network, writeIpv6 } from "../../runtime/net/ip.ts";
import { Random, Weighted, zipf } from "../../src/bench/random.ts";

/** Prefixes of each length in the full tables. */
const LENGTHS: Readonly<Record<Family, Readonly<Record<number, number>>>> = {
  4: {
    8: 16, 9: 14, 10: 39, 11: 95, 12: 297, 13: 584, 14: 1201, 15: 2129, 16: 13635, 17: 8347, 18: 13387, 19: 25516,
    20: 45627, 21: 52463, 22: 113741, 23: 107869, 24: 657365,
  },
  6: {
    20: 14, 24: 42, 26: 17, 28: 161, 29: 5435, 30: 827, 31: 341, 32: 26740, 33: 5407, 34: 5197, 35: 1837, 36: 9424,
    37: 1208, 38: 2677, 39: 1829, 40: 23096, 41: 1697, 42: 2924, 43: 1453, 44: 24860, 45: 4511, 46: 5640, 47: 8925,
    48: 111866,
  },
}; // biome-ignore format: a histogram reads better in rows
const BEHIND_ANOTHER = 0.56;
const INSIDE_ANOTHER = 0.5;
const SAME_HOP_BEHIND = 0.9;
const SAME_HOP_INSIDE = 0.83;
/** A draw that lands on a prefix that is there already is repeated; this often, then the table is full. */
const MAX_ATTEMPTS = 100;

export interface TableOptions {
  readonly family: Family;
  readonly prefixes: number;
  /** Values are 1 .. nextHops. */
  readonly nextHops: number;
  readonly seed: number;
}

/** @throws RangeError when the family has no room for so many prefixes of these lengths */
export function generateTable({ family, prefixes, nextHops, seed }: TableOptions): PrefixColumns {
  const random = new Random(seed);
  const lengths = drawLengths(family, prefixes, random);
  const hops = zipf(nextHops, 1);
  const entries: LpmEntry[] = [];
  const taken = new Set<Ip>();
  let firstOfLength = 0;
  for (const [i, length] of lengths.entries()) {
    if (i > 0 && length !== lengths[i - 1]) {
      firstOfLength = i;
      taken.clear();
    }
    let entry = drawEntry(family, length, entries, firstOfLength, hops, random);
    for (let attempt = 0; taken.has(entry.address); attempt++) {
      if (attempt === MAX_ATTEMPTS) throw new RangeError(`no room for ${prefixes} prefixes`);
      entry = drawEntry(family, length, entries, firstOfLength, hops, random);
    }
    taken.add(entry.address);
    entries.push(entry);
  }
  return columnsOf(family, entries);
}

/** Ascending, so that what can cover a prefix is there before it. */
function drawLengths(family: Family, count: number, random: Random): number[] {
  const lengths = Object.keys(LENGTHS[family]).map(Number);
  const histogram = new Weighted(Object.values(LENGTHS[family]));
  return Array.from({ length: count }, () => lengths[histogram.draw(random)]).sort((a, b) => a - b);
}

function drawEntry(
  family: Family,
  length: number,
  shorter: readonly LpmEntry[],
  firstOfLength: number,
  hops: Weighted,
  random: Random,
): LpmEntry {
  const hop = (inherited: number, probability: number) =>
    random.chance(probability) ? inherited : 1 + hops.draw(random);
  if (shorter.length > firstOfLength && random.chance(BEHIND_ANOTHER)) {
    const other = shorter[firstOfLength + random.below(shorter.length - firstOfLength)];
    return { address: behind(other.address, length), length, value: hop(other.value, SAME_HOP_BEHIND) };
  }
  if (firstOfLength > 0 && random.chance(INSIDE_ANOTHER)) {
    const cover = shorter[random.below(firstOfLength)];
    const address = network(randomHost(cover, random), length);
    return { address, length, value: hop(cover.value, SAME_HOP_INSIDE) };
  }
  return { address: network(randomUnicast(family, random), length), length, value: 1 + hops.draw(random) };
}

/** The next network of the same length, round the corner at the end of the space. */
function behind(address: Ip, length: number): Ip {
  return typeof address === "number"
    ? (address + 2 ** (32 - length)) % 2 ** 32
    : BigInt.asUintN(128, address + (1n << BigInt(128 - length)));
}

/** Any address of a prefix. */
export function randomHost({ address, length }: { address: Ip; length: number }, random: Random): Ip {
  return typeof address === "number"
    ? address + Math.floor(random.unit() * 2 ** (32 - length))
    : address | random.bits(128 - length);
}

/** 1.0.0.0 .. 223.255.255.255, or one of the blocks of 2000::/3 that are in use. */
function randomUnicast(family: Family, random: Random): Ip {
  if (family === 4) return ((1 + random.below(223)) * 2 ** 24 + random.below(2 ** 24)) >>> 0;
  const blocks = [0x2001n, 0x2400n, 0x2600n, 0x2800n, 0x2a00n, 0x2c00n];
  return ((blocks[random.below(blocks.length)] + random.bits(4)) << 112n) | random.bits(112);
}

export const STREAMS = ["uniform", "in-prefix", "zipf"] as const;
export type Stream = (typeof STREAMS)[number];
const FLOWS = 65_536;

/** @returns `count` addresses as batches take them: u32 in host order, or 16 bytes each in network order */
export function generateAddresses(table: PrefixColumns, stream: Stream, count: number, seed: number): Uint8Array {
  const random = new Random(seed);
  const draw = drawAddress(table, stream, random);
  const stride = table.family === 4 ? 4 : 16;
  const bytes = new Uint8Array(count * stride);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const ip = draw();
    if (typeof ip === "number") view.setUint32(i * 4, ip, true);
    else writeIpv6(bytes, i * 16, ip);
  }
  return bytes;
}

function drawAddress(table: PrefixColumns, stream: Stream, random: Random): () => Ip {
  const { family, lengths } = table;
  const inPrefix = () => randomHost(prefixAt(table, random.below(lengths.length)), random);
  if (stream === "in-prefix") return inPrefix;
  if (stream === "uniform") return family === 4 ? () => random.u32() : () => (1n << 125n) | random.bits(bitsOf(6) - 3);
  const flows = Array.from({ length: FLOWS }, inPrefix);
  const ranks = zipf(FLOWS, 1);
  return () => flows[ranks.draw(random)];
}

export function prefixAt({ family, words, lengths }: PrefixColumns, i: number): { address: Ip; length: number } {
  const length = lengths[i];
  if (family === 4) return { address: words[i], length };
  let address = 0n;
  for (let w = 0; w < 4; w++) address = (address << 32n) | BigInt(words[4 * i + w]);
  return { address, length };
}
