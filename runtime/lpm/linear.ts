/**
 * `linear`: the prefixes in a row, longest first, compared one by one. The obvious twin that every other structure must
 * agree with, and the fastest one for a handful of routes (choose.ts), where a table walk costs more than a compare.
 *
 *   +0   u32 count
 *   +4   u32 0, so that entries of IPv6 are 8-byte aligned
 *   +8   entries, longest prefix first; among equal lengths the order does not matter, at most one can match
 *
 *   IPv4 entry, 12 bytes                       IPv6 entry, 40 bytes
 *   +0  u32 network   host order               +0   16 bytes network   network order
 *   +4  u32 mask      host order               +16  16 bytes mask      network order
 *   +8  u32 value                              +32  u32 value, u32 0
 *
 * An entry matches when address & mask == network. IPv6 stays in network order because the address is read from a
 * packet: an AND and a compare do not care about byte order as long as both sides have the same.
 *
 * Example: 10.0.0.0/8 -> 1, 10.1.0.0/16 -> 2 and 0.0.0.0/0 -> 3 make count 3 and the rows
 *   0a010000 ffff0000 2 | 0a000000 ff000000 1 | 00000000 00000000 3
 * 10.1.2.3 = 0a010203: & ffff0000 = 0a010000, the first row: 2.   10.2.0.1: second row: 1.   11.0.0.1: third row: 3.
 */
import type { Family, Ip } from "../net/ip.ts";
import { mask4, mask6, readIpv6, writeIpv6 } from "../net/ip.ts";
import { columnsOf } from "./columns.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";

export const LINEAR = {
  COUNT: 0,
  ENTRIES: 8,
  4: { BYTES: 12, NETWORK: 0, MASK: 4, VALUE: 8 },
  6: { BYTES: 40, NETWORK: 0, MASK: 16, VALUE: 32 },
} as const;

/** What code can be specialised to: how many rows to compare. */
export interface LinearShape {
  readonly rows: number;
}

export function linearShape({ bytes }: LpmImage): LinearShape {
  return { rows: new DataView(bytes.buffer, bytes.byteOffset).getUint32(LINEAR.COUNT, true) };
}

function build(family: Family, entries: readonly LpmEntry[]): LpmImage {
  columnsOf(family, entries); // for its checks
  const layout = LINEAR[family];
  const bytes = new Uint8Array(LINEAR.ENTRIES + entries.length * layout.BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(LINEAR.COUNT, entries.length, true);
  const longestFirst = [...entries].sort((a, b) => b.length - a.length);
  longestFirst.forEach(({ address, length, value }, i) => {
    const at = LINEAR.ENTRIES + i * layout.BYTES;
    if (typeof address === "number") {
      view.setUint32(at + layout.NETWORK, address, true);
      view.setUint32(at + layout.MASK, mask4(length), true);
    } else {
      writeIpv6(bytes, at + layout.NETWORK, address);
      writeIpv6(bytes, at + layout.MASK, mask6(length));
    }
    view.setUint32(at + layout.VALUE, value, true);
  });
  return { kind: "linear", family, bytes, prefixes: entries.length };
}

function lookup({ family, bytes }: LpmImage, address: Ip): number {
  const layout = LINEAR[family];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(LINEAR.COUNT, true);
  for (let i = 0; i < count; i++) {
    const at = LINEAR.ENTRIES + i * layout.BYTES;
    const matches =
      typeof address === "number"
        ? (address & view.getUint32(at + layout.MASK, true)) >>> 0 === view.getUint32(at + layout.NETWORK, true)
        : (address & readIpv6(bytes, at + layout.MASK)) === readIpv6(bytes, at + layout.NETWORK);
    if (matches) return view.getUint32(at + layout.VALUE, true);
  }
  return 0;
}

export const linear: LpmStructure = { kind: "linear", families: [4, 6], build, lookup };
