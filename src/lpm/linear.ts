/**
 * Code for `linear` (runtime/lpm/linear.ts): the rows are gone through from the last, the shortest prefix, to the first,
 * and a longer match replaces a shorter one by `select`: nothing to mispredict.
 *
 *   for a shape      straight-line: the rows of the table stand in registers before the first look-up
 *   for any image    a loop over as many rows as the header says, each read once for all lanes
 */
import { LINEAR, type LinearShape } from "../../runtime/lpm/linear.ts";
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

export const linearLookup = (family: Family, base: Reg, shape: LinearShape | null): LookupCode =>
  shape === null ? anyRows(family, base) : fixedRows(family, base, shape.rows);

/** Registers that a row is read into: of IPv6 network and mask have two halves. */
interface Row {
  readonly networks: readonly Reg[];
  readonly masks: readonly Reg[];
  readonly value: Reg;
}

const row = (family: Family, suffix: string | number): Row => {
  const parts =
    family === 4
      ? [["", "i32"] as const]
      : ([
          ["Upper", "i64"],
          ["Lower", "i64"],
        ] as const);
  return {
    networks: parts.map(([part, type]) => local(`network${part}${suffix}`, type)),
    masks: parts.map(([part, type]) => local(`mask${part}${suffix}`, type)),
    value: local(`rowValue${suffix}`),
  };
};

/** Halves of 8 bytes are compared as they lie: byte order is the same on both sides. */
const partBytes = (family: Family): 4 | 8 => (family === 4 ? 4 : 8);

function readRow(family: Family, { networks, masks, value }: Row, from: Reg, offset: number): Step[] {
  const { NETWORK, MASK, VALUE } = LINEAR[family];
  const part = (at: number): Expr => load("image", partBytes(family), from, offset + at);
  return [
    ...networks.map((reg, i) => set(reg, part(NETWORK + 8 * i))),
    ...masks.map((reg, i) => set(reg, part(MASK + 8 * i))),
    set(value, load("image", 4, from, offset + VALUE)),
  ];
}

/** What a lane's address is compared by: itself, or its two halves in registers. */
interface Key {
  readonly load: readonly Step[];
  readonly parts: readonly Reg[];
}

function keyOf(family: Family, { address, behind = 0, value }: Lane): Key {
  if (family === 4) return { load: [], parts: [address] };
  const parts = ["Upper", "Lower"].map((part) => local(`${value.name}${part}`, "i64"));
  return { load: parts.map((reg, i) => set(reg, load("image", 8, address, behind + 8 * i))), parts };
}

function match({ networks, masks, value }: Row, { parts }: Key, lane: Lane): Step {
  const matches = networks.map((network, i) => eq(and(parts[i], masks[i]), network)).reduce((a, b) => and(a, b));
  return set(lane.value, select(matches, value, lane.value));
}

function fixedRows(family: Family, base: Reg, count: number): LookupCode {
  const { BYTES } = LINEAR[family];
  const rows = Array.from({ length: count }, (_, i) => row(family, i));
  return {
    prologue: rows.flatMap((r, i) => readRow(family, r, base, LINEAR.ENTRIES + i * BYTES)),
    // Lane by lane: the rows fill the machine's registers already, and lanes do not wait for each other's selects.
    body: (lanes) =>
      lanes.flatMap((lane) => {
        const key = keyOf(family, lane);
        return [...key.load, set(lane.value, 0), ...rows.toReversed().map((r) => match(r, key, lane))];
      }),
  };
}

function anyRows(family: Family, base: Reg): LookupCode {
  const { BYTES } = LINEAR[family];
  const [rows, at] = [local("rows"), local("at")];
  const r = row(family, "");
  return {
    prologue: [set(rows, load("image", 4, base, LINEAR.COUNT))],
    body: (lanes) => {
      const keys = lanes.map((lane) => keyOf(family, lane));
      return [
        ...keys.flatMap((key) => key.load),
        ...lanes.map(({ value }) => set(value, 0)),
        set(at, add(add(base, LINEAR.ENTRIES), mul(rows, BYTES))),
        repeat(
          rows,
          `rows${lanes.length}`,
          [set(at, sub(at, BYTES)), ...readRow(family, r, at, 0), ...lanes.map((lane, i) => match(r, keys[i], lane))],
          "rows",
        ),
      ];
    },
  };
}
