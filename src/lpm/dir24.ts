/**
 * Code for `dir24` (runtime/lpm/dir24.ts): one load for all lanes, then, where the table has long blocks at all,
 * a second for each lane that needs it, by a branch.
 */
import { DIR24, type Dir24Shape, longFlag } from "../../runtime/lpm/dir24.ts";
import {
  add,
  and,
  type Bytes,
  binary,
  type Expr,
  i32,
  load,
  local,
  or,
  type Reg,
  type Step,
  set,
  shl,
  shr,
  sub,
  when,
  xor,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

/** How a cell is read: constants of a shape, or registers that hold what the image's header says. */
interface CellCode {
  readonly prologue: readonly Step[];
  readonly log2: Expr;
  readonly flag: Expr;
  cell(at: Expr, offset: number): Expr;
}

export function dir24Lookup(base: Reg, shape: Dir24Shape | null): LookupCode {
  const { prologue, log2, flag, cell } = shape === null ? anyCell(base) : fixedCell(shape.cellBytes);
  const first = (lanes: readonly Lane[]): Step[] =>
    lanes.map(({ address, value }) => set(value, cell(add(base, shl(shr(address, 8), log2)), DIR24.CELLS)));
  if (shape !== null && !shape.long) return { prologue, body: first };
  const long = local("long");
  return {
    prologue: [...prologue, set(long, add(base, load("image", 4, base, DIR24.LONG_BLOCKS)))],
    body: (lanes) => [
      ...first(lanes),
      ...lanes.map(({ address, value }) => {
        const index = or(shl(xor(value, flag), 8), and(address, 255));
        return when(and(value, flag), [set(value, cell(add(long, shl(index, log2)), 0))]);
      }),
    ],
  };
}

const fixedCell = (cellBytes: 1 | 2 | 4): CellCode => ({
  prologue: [],
  log2: i32(Math.log2(cellBytes)),
  flag: i32(longFlag(cellBytes)),
  cell: (at, offset) => load("image", cellBytes as Bytes, at, offset),
});

function anyCell(base: Reg): CellCode {
  const [log2, mask, flag] = [local("log2"), local("mask"), local("flag")];
  const bytes = load("image", 4, base, DIR24.CELL_BYTES);
  return {
    prologue: [
      set(log2, shr(bytes, 1)),
      set(mask, shr(-1, sub(32, shl(bytes, 3)))),
      set(flag, xor(mask, shr(mask, 1))),
    ],
    log2: { kind: "reg", reg: log2 },
    flag: { kind: "reg", reg: flag },
    cell: (at, offset) => binary("and", load("image", 4, at, offset), mask),
  };
}
