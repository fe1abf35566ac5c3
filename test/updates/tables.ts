/** The tables of a loaded module beside those of a compilation. */
import { expect } from "vitest";
import type { Model } from "../../dsl/model.ts";
import { TABLE, TABLE_BYTES } from "../../runtime/abi/fib.ts";
import { NET } from "../../runtime/abi/net.ts";
import type { Dataplane } from "../../runtime/dataplane.ts";
import { type Family, formatIp, type Ip } from "../../runtime/net/ip.ts";
import { buildFib } from "../../src/fib/build.ts";
import type { Fib } from "../../src/fib/fib.ts";
import { edges } from "../lpm/tables.ts";

/** TABLEs of the first namespace. */
function tablesOf(loaded: Dataplane, family: Family): number[] {
  const record = loaded.netRecord(0);
  const [tables, count] = family === 4 ? [NET.tables, NET.tableCount] : [NET.tables6, NET.tableCount6];
  const first = loaded.word(record + tables);
  return Array.from({ length: loaded.word(record + count) }, (_, i) => first + i * TABLE_BYTES);
}

export const tableOf = (loaded: Dataplane, family: Family, id: number): number =>
  tablesOf(loaded, family).find((table) => loaded.word(table + TABLE.id) === id)!;

/** What stands of the entries that an address finds, the longest prefix first: in memory, and in a Fib. */
export interface Shown<Address extends Ip> {
  readonly family: Family;
  entriesAt(loaded: Dataplane, table: number, address: Address): unknown[];
  expectedAt(fib: Fib | undefined, address: Address): unknown[];
}

/** Every table holds what a compilation of the model gives, at the edges of all of its prefixes. */
export function expectTables<Address extends Ip>(loaded: Dataplane, model: Model, shown: Shown<Address>): void {
  const { family, entriesAt, expectedAt } = shown;
  const fibs = buildFib(model).filter((fib) => fib.family === family);
  for (const table of tablesOf(loaded, family)) {
    const id = loaded.word(table + TABLE.id);
    const fib = fibs.find((each) => each.table === id);
    const entries = fib?.entries ?? [];
    expect([id, loaded.word(table + TABLE.prefixes)]).toEqual([id, entries.length]);
    const asked = edges(
      family,
      entries.map(({ prefix }) => ({ ...prefix, value: 1 })),
    ) as Address[];
    for (const ip of asked)
      expect([id, formatIp(ip), entriesAt(loaded, table, ip)]).toEqual([id, formatIp(ip), expectedAt(fib, ip)]);
  }
}
