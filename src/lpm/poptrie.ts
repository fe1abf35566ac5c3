/**
 * Code for `poptrie` (runtime/lpm/poptrie.ts): lane by lane, a loop from node to node that ends at a leaf. For a shape, the widths of the
 * direct table and of leaves are constant.
 */
import { nodeLevels, POPTRIE, type PoptrieShape } from "../../runtime/lpm/poptrie.ts";
import {
  add,
  and,
  type Expr,
  eqz,
  i32,
  i64,
  leave,
  load,
  local,
  mul,
  type Operand,
  type Reg,
  repeat,
  type Step,
  set,
  shl,
  shr,
  sub,
  unary,
  when,
} from "../plan/ir.ts";
import type { Lane, LookupCode } from "./lookup.ts";

const { NODE } = POPTRIE;
const [nodes, leaves, node, depth] = [local("nodes"), local("leaves"), local("node"), local("depth")];
const [upTo, vector] = [local("upTo", "i64"), local("vector", "i64")];
/** Nodes of the way, at most: below a direct table of any width. */
const MOST_NODES = nodeLevels(1);

/** What a shape fixes, or the header says. */
interface Widths {
  readonly prologue: readonly Step[];
  readonly directBits: Operand;
  readonly most: number;
  /** A leaf by its number. */
  leaf(number: Expr): Expr;
}

export function poptrieLookup(base: Reg, shape: PoptrieShape | null): LookupCode {
  const { prologue, directBits, most, leaf } = shape === null ? anyWidths(base) : fixedWidths(shape);
  return {
    prologue: [
      set(nodes, add(base, load("image", 4, base, POPTRIE.NODES))),
      set(leaves, add(base, load("image", 4, base, POPTRIE.LEAVES))),
      ...prologue,
    ],
    body: (lanes) => lanes.flatMap((lane) => look(base, lane, directBits, most, leaf)),
  };
}

function look(base: Reg, { address, value }: Lane, directBits: Operand, most: number, leaf: Widths["leaf"]): Step[] {
  const cell = add(base, shl(shr(address, sub(32, directBits)), 2));
  /** How many bits are set, up to the one in hand, but for the first. */
  const rank = (bits: Expr | Reg): Expr => sub(unary("wrap", unary("popcnt", and(bits, upTo))), 1);
  const toNode = (number: Expr | Reg): Step => set(node, add(nodes, mul(number, NODE.BYTES)));
  const here = [
    set(value, shr(shl(address, depth), 32 - POPTRIE.NODE_BITS)),
    set(upTo, sub(shl(i64(2n), unary("extend", value)), i64(1n))),
  ];
  return [
    set(value, load("image", 4, cell, POPTRIE.DIRECT)),
    when(
      and(value, POPTRIE.DIRECT_LEAF),
      [set(value, and(value, POPTRIE.DIRECT_LEAF - 1))],
      [
        toNode(value),
        set(depth, directBits),
        ...here,
        repeat(most, `nodes ${value.name}`, [
          set(vector, load("image", 8, node, NODE.VECTOR)),
          when(eqz(and(shr(vector, unary("extend", value)), i64(1n))), [leave(`nodes ${value.name}`)]),
          toNode(add(load("image", 4, node, NODE.FIRST), rank(vector))),
          set(depth, add(depth, POPTRIE.NODE_BITS)),
          ...here,
        ]),
        set(value, leaf(add(load("image", 4, node, NODE.LEAVES), rank(load("image", 8, node, NODE.LEAFVEC))))),
      ],
    ),
  ];
}

const fixedWidths = ({ directBits, leafBytes }: PoptrieShape): Widths => ({
  prologue: [],
  directBits,
  most: nodeLevels(directBits),
  leaf: (number) => load("image", leafBytes, add(leaves, shl(number, Math.log2(leafBytes)))),
});

function anyWidths(base: Reg): Widths {
  const [directBits, leafBytes, mask] = [local("directBits"), local("leafBytes"), local("leafMask")];
  return {
    prologue: [
      set(directBits, load("image", 4, base, POPTRIE.DIRECT_BITS)),
      set(leafBytes, load("image", 4, base, POPTRIE.LEAF_BYTES)),
      set(mask, shr(i32(-1), sub(32, shl(leafBytes, 3)))),
    ],
    directBits,
    most: MOST_NODES,
    leaf: (number) => and(load("image", 4, add(leaves, mul(number, leafBytes))), mask),
  };
}
