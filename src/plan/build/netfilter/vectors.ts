/**
 * Vectors intersected: the bits that are 1 in the sets of all classes are rules that match (T. Lakshman, D. Stiliadis, "High-Speed
 * Policy-based Packet Forwarding", 1998). Sums say which words can have any (src/netfilter/classifier/vectors.ts).
 *
 *     for each sum of the rows                      sums    row 0 ...0110   row 1 ...1011   both ...0010: word 1
 *       for each bit of their intersection          words   of row 0: its first, no bit of its sum being below; of row 1: its second
 *         word = the rows' words, intersected
 *         the rule at its first bit                 the least of all, where places are not in the rules' order
 */
import { ORDER_WORD, type RuleOrder, type Vectors } from "../../../netfilter/classifier/layout.ts";
import {
  add,
  and,
  binary,
  type Expr,
  eqz,
  i64,
  leave,
  load,
  local,
  lt,
  mul,
  type Reg,
  repeat,
  type Space,
  type Step,
  select,
  set,
  shl,
  sub,
  unary,
  when,
  xor,
} from "../../ir.ts";

interface Rows extends Vectors {
  readonly space: Space;
  /** Where they start, behind the first of each vector. */
  readonly rows: readonly Reg[];
  /** Of registers and labels. */
  readonly suffix: string;
}

/** Finds the rule with the least number, from 1; 0: none matches. Of rules in an order of their own. */
export function firstMatch(rows: Rows & { readonly order: RuleOrder }, first: Reg): Step[] {
  const { space, suffix } = rows;
  const { none, offset } = rows.order;
  const rule = local(`rule${suffix}`);
  const step = (word: Reg, number: Reg): Step[] => [
    set(rule, load(space, 4, shl(add(mul(number, ORDER_WORD), leading(word)), 2), offset)),
    set(first, select(lt(rule, first), rule, first)),
  ];
  return [set(first, none), ...eachWord(rows, step), set(first, select(lt(first, none), first, 0))];
}

/** Does `steps` for each rule that matches, its number in `match`, in their order. */
export function allMatches(rows: Rows, match: Reg, steps: readonly Step[]): Step[] {
  return eachWord(rows, (word, number) => [
    eachBit(word, (bit) => [set(match, add(add(shl(number, 6), bit), 1)), ...steps]),
  ]);
}

/** The same for the rules that are bits of one word. */
export function allBits(bits: Expr, match: Reg, steps: readonly Step[]): Step[] {
  const word = local("word", "i64");
  return [set(word, bits), eachBit(word, (bit) => [set(match, add(bit, 1)), ...steps])];
}

/** Does something for each bit of a word that is 1, which is 0 afterwards. The highest one comes first, and is called 0. */
function eachBit(word: Reg, steps: (bit: Reg) => readonly Step[]): Step {
  const bit = local("bit");
  return repeat(64, "bits", [
    when(eqz(word), [leave("bits")]),
    set(bit, leading(word)),
    set(word, xor(word, binary("shr", i64(-(2n ** 63n)), unary("extend", bit)))),
    ...steps(bit),
  ]);
}

const leading = (bits: Reg): Expr => unary("wrap", unary("clz", bits));
const counted = (bits: Expr | Reg): Expr => unary("wrap", unary("popcnt", bits));

/** @param step what is done with a word of the intersection, which may be 0, and its number */
function eachWord(
  { space, sums, vectors, rows, suffix }: Rows,
  step: (word: Reg, number: Reg) => readonly Step[],
): Step[] {
  const long = (name: string): Reg => local(`${name}${suffix}`, "i64");
  const [group, number] = [local(`group${suffix}`), local(`number${suffix}`)];
  const [sum, below, word] = [long("sum"), long("below"), long("word")];
  const sides = vectors.map(({ rows: heads, words }, i) => ({
    ...{ row: rows[i], heads, words },
    ...{ sum: long(`sum${i}`), at: local(`words${i}${suffix}`) },
  }));
  const [groups, bits] = [`groups${suffix}`, `words${suffix}`];
  return [
    ...sides.map(({ row, heads, at }) => set(at, load(space, 4, row, heads + 8 * sums))),
    set(group, 0),
    repeat(sums, groups, [
      ...sides.map((side) => set(side.sum, load(space, 8, add(side.row, shl(group, 3)), side.heads))),
      set(sum, sides.map((side): Expr => ({ kind: "reg", reg: side.sum })).reduce(and)),
      repeat(64, bits, [
        when(eqz(sum), [leave(bits)]),
        // 1 in all bits below the lowest one of the sum.
        set(below, and(sub(sum, i64(1n)), xor(sum, i64(-1n)))),
        set(sum, and(sum, sub(sum, i64(1n)))),
        set(
          word,
          sides
            .map((side) => load(space, 8, add(side.at, shl(counted(and(side.sum, below)), 3)), side.words))
            .reduce(and),
        ),
        set(number, add(shl(group, 6), counted(below))),
        ...step(word, number),
      ]),
      ...sides.map((side) => set(side.at, add(side.at, shl(counted(side.sum), 3)))),
      set(group, add(group, 1)),
    ]),
  ];
}
