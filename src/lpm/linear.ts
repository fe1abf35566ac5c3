/**
 * Code for `linear` (runtime/lpm/linear.ts): the row is walked from its end, shortest prefix first, and a longer match
 * replaces a shorter one by `select`. Nothing to mispredict, and a row is loaded once for all lanes.
 */
import { LINEAR } from "../../runtime/lpm/linear.ts";
import type { Family } from "../../runtime/net/ip.ts";
import {
  add,
  and,
  type Expr,
  eq,
  load,
  local,
  mul,
  type Reg,
  repeat,
  type Step,
  select,
  set,
  sub,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

export function linearLookup(family: Family, base: Reg): LookupCode {
  const rows = local("rows");
  return {
    prologue: [set(rows, load("image", 4, base, LINEAR.COUNT))],
    body: (lanes) => {
      const row = local("row");
      return [
        ...lanes.map(({ value }) => set(value, 0)),
        set(row, add(add(base, LINEAR.ENTRIES), mul(rows, LINEAR[family].BYTES))),
        repeat(rows, `rows${lanes.length}`, [
          set(row, sub(row, LINEAR[family].BYTES)),
          ...(family === 4 ? row4(row, lanes) : row6(row, lanes)),
        ]),
      ];
    },
  };
}

function row4(row: Reg, lanes: readonly Lane[]): Step[] {
  const { NETWORK, MASK, VALUE } = LINEAR[4];
  const [network, mask, next] = [local("network"), local("mask"), local("next")];
  return [
    set(network, load("image", 4, row, NETWORK)),
    set(mask, load("image", 4, row, MASK)),
    set(next, load("image", 4, row, VALUE)),
    ...lanes.map(({ address, value }) => set(value, select(eq(and(address, mask), network), next, value))),
  ];
}

/** Two halves of 8 bytes each: byte order is the same on both sides of the compare. */
function row6(row: Reg, lanes: readonly Lane[]): Step[] {
  const { NETWORK, MASK, VALUE } = LINEAR[6];
  const half = (address: Reg, at: number): Expr =>
    eq(and(load("image", 8, address, at), load("image", 8, row, MASK + at)), load("image", 8, row, NETWORK + at));
  return lanes.map(({ address, value }) =>
    set(value, select(and(half(address, 0), half(address, 8)), load("image", 4, row, VALUE), value)),
  );
}
