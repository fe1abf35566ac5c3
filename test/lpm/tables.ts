/** Random tables for the look-up tests, drawn towards what breaks such code: nesting, boundaries, neighbours. */
import fc from "fast-check";
import type { LpmEntry } from "../../runtime/lpm/lpm.ts";
import { bitsOf, type Family, type Ip, lastAddress, mask6, network } from "../../runtime/net/ip.ts";

const top = (family: Family): Ip => (family === 4 ? 0xffffffff : mask6(128));

/** Any address, often an end of the space or in one small corner of it, so that prefixes meet. */
export function address(family: Family): fc.Arbitrary<Ip> {
  if (family === 4)
    return fc.oneof(
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.integer({ min: 0x0a000000, max: 0x0a0003ff }),
      fc.constantFrom(0, 0xffffffff, 0x80000000, 0x7fffffff),
    );
  const all = mask6(128);
  const corner = 0x20010db8n << 96n;
  return fc.oneof(
    fc.bigInt({ min: 0n, max: all }),
    fc.bigInt({ min: corner, max: corner + 0x3ffn }),
    fc.bigInt({ min: 0n, max: 0x3ffn }).map((n) => corner + (n << 64n)),
    fc.constantFrom(0n, all, 1n << 127n, (1n << 127n) - 1n),
  );
}

function length(family: Family): fc.Arbitrary<number> {
  const bits = bitsOf(family);
  return fc.oneof(fc.integer({ min: 0, max: bits }), fc.constantFrom(0, 1, 8, 16, 20, 24, bits - 1, bits));
}

/** Few values, so that blocks are shared; many; and around the widths of a cell. */
const value = fc.oneof(
  fc.integer({ min: 1, max: 3 }),
  fc.constantFrom(0x7f, 0x80, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff),
  fc.integer({ min: 1, max: 0x7fffffff }),
);

/** A table: prefixes of a few addresses at several lengths each, so that most are nested. */
export function table(family: Family, maxLength = 40): fc.Arbitrary<LpmEntry[]> {
  const prefix = fc.tuple(fc.nat(5), length(family), value);
  return fc
    .tuple(fc.array(address(family), { minLength: 6, maxLength: 6 }), fc.array(prefix, { maxLength }))
    .map(([addresses, prefixes]) => {
      const unique = new Map<string, LpmEntry>();
      for (const [which, bits, v] of prefixes) {
        const entry = { address: network(addresses[which], bits), length: bits, value: v };
        unique.set(`${entry.address}/${bits}`, entry);
      }
      return [...unique.values()];
    });
}

/** Where answers change: the ends of every prefix and the addresses beside them, and the ends of the space. */
export function edges(family: Family, entries: readonly LpmEntry[]): Ip[] {
  const found = new Set<Ip>(family === 4 ? [0, 0xffffffff] : [0n, mask6(128)]);
  for (const entry of entries) {
    const last = lastAddress(entry);
    found.add(entry.address);
    found.add(last);
    if (entry.address > 0) found.add(before(entry.address));
    if (last < top(family)) found.add(after(last));
  }
  return [...found];
}

const before = (ip: Ip): Ip => (typeof ip === "number" ? ip - 1 : ip - 1n);
const after = (ip: Ip): Ip => (typeof ip === "number" ? ip + 1 : ip + 1n);

/** The definition: of the prefixes that hold the address, the longest. */
export function longestMatch(entries: readonly LpmEntry[], ip: Ip): number {
  let best: LpmEntry | null = null;
  for (const entry of entries)
    if (network(ip, entry.length) === entry.address && (best === null || entry.length > best.length)) best = entry;
  return best?.value ?? 0;
}
