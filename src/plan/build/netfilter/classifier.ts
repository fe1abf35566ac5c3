/**
 * A segment of rules, looked up (src/netfilter/classifier):
 *
 *     block segment_12 {
 *       field0 = class of the first field, 0: the packet has no such field
 *       ...
 *       table0 = load table[field0 * classes + field1]
 *       match = load first[table0 * classes + field2]         `first`: the number of the rule, from 1
 *       if match == 0 { break segment_12 }
 *       block rule_12_0 { counter, trace, verdict }           one for each shape of action
 *     }
 * An XDP program of its own may have looked ahead (look_ahead.ts): what is then loaded instead.
 *
 * With `vectors` the sets of all classes are intersected (vectors.ts).
 */

import { placedLookup } from "../../../lpm/blocks.ts";
import type { ClassLookup, Column, SegmentLayout } from "../../../netfilter/classifier/layout.ts";
import type { RuleList } from "../../../netfilter/classifier/segments.ts";
import { rowBytes } from "../../../netfilter/classifier/vectors.ts";
import {
  add,
  block,
  type Expr,
  eq,
  eqz,
  expr,
  ge,
  i32,
  leave,
  load,
  local,
  mul,
  type Reg,
  type Space,
  type Step,
  select,
  set,
  shl,
  when,
} from "../../ir.ts";
import { thisWorker } from "../context.ts";
import { type ChainContext, RuleCode } from "./code.ts";
import { evaluate, payloadCursor } from "./expr.ts";
import { lookedUp } from "./registers.ts";
import { actionSteps } from "./rule.ts";
import { laidOut } from "./sets.ts";
import { allMatches, firstMatch } from "./vectors.ts";

const match = local("match");

export function segmentSteps(chains: ChainContext, list: RuleList, laid: SegmentLayout): Step {
  const { segment, lookup, ahead } = laid;
  const label = `segment_${segment.first}`;
  const lookups = new LookupSteps(chains.layout.space, "", (one, found) => readField(chains, one, found));
  const roots = lookups.rootsOf(laid);
  const steps =
    ahead !== 0
      ? [
          when(
            lookedUp,
            roots.map((root, i) => set(root, load(chains.layout.space, 4, lookedUp, 4 * i))),
            lookups.steps,
          ),
        ]
      : lookups.steps;
  const actions = actionsOf(chains, list, laid);
  if (lookup.kind === "first" || lookup.order !== null)
    return block(label, [...steps, set(match, roots[0]), when(eqz(match), [leave(label)]), ...actions]);
  return block(label, [
    ...steps,
    ...allMatches({ space: chains.layout.space, vectors: lookup, rows: roots, suffix: "" }, match, actions),
  ]);
}

/** Where a thread's own of what chains remember is: it is written to. */
const own = ({ context, layout: { space } }: ChainContext, at: number): Expr =>
  space === "image" ? thisWorker(context, at) : i32(at);

type FieldLookup = Exclude<ClassLookup, { kind: "merge" }>;

/** Classes of fields and of tables, each in a register: straight-line, but for what reading a field takes. */
export class LookupSteps {
  readonly steps: Step[] = [];
  readonly #space: Space;
  readonly #suffix: string;
  readonly #read: (lookup: FieldLookup, found: Reg) => Step[];
  #fields = 0;
  #tables = 0;

  /** @param read sets a register to the class of a field */
  constructor(space: Space, suffix: string, read: (lookup: FieldLookup, found: Reg) => Step[]) {
    this.#space = space;
    this.#suffix = suffix;
    this.#read = read;
  }

  /** The number of the rule; or, if rules go on, where the row of each vector starts, behind the first. */
  rootsOf({ lookup }: SegmentLayout): Reg[] {
    if (lookup.kind === "first") return [this.#classOf(lookup.table)];
    const rows = lookup.vectors.map(({ lookup: one }, i) => {
      const row = local(`row${i}${this.#suffix}`);
      this.steps.push(set(row, mul(this.#classOf(one), rowBytes(lookup.sums))));
      return row;
    });
    if (lookup.order === null) return rows;
    const first = local(`first${this.#suffix}`);
    this.steps.push(...firstMatch({ space: this.#space, vectors: lookup, rows, suffix: this.#suffix }, first));
    return [first];
  }

  #classOf(lookup: ClassLookup): Reg {
    if (lookup.kind !== "merge") {
      const found = local(`field${this.#fields++}${this.#suffix}`);
      this.steps.push(...this.#read(lookup, found));
      return found;
    }
    const cell = add(mul(this.#classOf(lookup.left), lookup.columns), this.#classOf(lookup.right));
    const scaled = lookup.cellBytes === 1 ? cell : shl(cell, Math.log2(lookup.cellBytes));
    const found = local(`table${this.#tables++}${this.#suffix}`);
    this.steps.push(set(found, load(this.#space, lookup.cellBytes, scaled, lookup.offset)));
    return found;
  }
}

/** The class of a field that the packet may not have. */
function readField(chains: ChainContext, lookup: FieldLookup, found: Reg): Step[] {
  const code = new RuleCode(chains, found.name);
  const { field } = lookup;
  const { space } = chains.layout;
  if (lookup.kind === "field" && field.kind === "payload" && field.length === 16) {
    const at = add(payloadCursor(code, field), field.offset);
    code.add(...placedLookup(lookup.blocks, space, (byte) => load("image", 2, at, byte), found));
  } else {
    const value = code.holdAll(evaluate(code, field));
    if (field.bits <= 32) {
      code.add(...classOfNumber(space, lookup, value[0], found));
    } else if (lookup.kind === "field") {
      const probe = own(chains, chains.layout.probe);
      code.add(...laidOut(space, probe, value, field.bits));
      code.add(...placedLookup(lookup.blocks, space, (byte) => load(space, 2, probe, byte), found));
    }
  }
  return [set(found, 0), block(found.name, code.steps)];
}

/** @param number of at most 32 bits, in a register or constant */
export function classOfNumber(space: Space, lookup: FieldLookup, number: Expr, found: Reg): Step[] {
  if (lookup.kind === "field") return placedLookup(lookup.blocks, space, { number, bits: lookup.field.bits }, found);
  const { starts, classes } = lookup;
  const value = starts.reduce(
    (so, start, i) => (start === 0 ? i32(classes[i]) : select(ge(number, start), classes[i], so)),
    i32(0),
  );
  return [set(found, value)];
}

/** What is done for the rule whose number is in `match`, by its shape. */
function actionsOf(
  chains: ChainContext,
  list: RuleList,
  { segment, counters, shapes, indexes }: SegmentLayout,
): Step[] {
  const { space } = chains.layout;
  const [counter, shape, index] = [local("rule_counter"), local("rule_shape"), local("rule_index")];
  const of = (column: Column): Expr =>
    column.kind === "column"
      ? load(space, 4, shl(match, 2), column.offset)
      : column.step === 0
        ? i32(column.first)
        : add(mul(match, column.step), column.first);
  const actions = segment.shapes.map(({ steps, counter: place }, i) =>
    actionSteps(
      chains,
      { list, index, label: `rule_${segment.first}_${i}` },
      steps,
      place < 0 ? null : { step: place, counter: expr(counter) },
    ),
  );
  return [
    set(counter, add(of(counters), own(chains, chains.layout.counters))),
    set(index, of(indexes)),
    ...(actions.length === 1
      ? actions
      : [set(shape, of(shapes)), ...actions.map((action, i) => when(eq(shape, i), [action]))]),
  ];
}
