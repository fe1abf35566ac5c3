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
 * With `bits` the words of all fields' classes are intersected, and each bit that is left is a rule; with `vectors` the sets of all classes
 * are intersected (vectors.ts).
 */

import { placedLookup } from "../../../lpm/blocks.ts";
import { SET_BYTES } from "../../../netfilter/classifier/choose.ts";
import { classOfValue } from "../../../netfilter/classifier/classes.ts";
import {
  type Bits,
  type ClassLookup,
  type ClassTable,
  type Column,
  type FieldLookup,
  type FirstLookup,
  findsFirst,
  type PlacedCells,
  type RuleLookup,
  type SegmentLayout,
  type Vectors,
} from "../../../netfilter/classifier/layout.ts";
import type { RuleList } from "../../../netfilter/classifier/segments.ts";
import { BLOCK } from "../../../netfilter/classifier/table.ts";
import { rowBytes } from "../../../netfilter/classifier/vectors.ts";
import {
  add,
  and,
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
  lt,
  mul,
  or,
  type Reg,
  type Space,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  unary,
  when,
} from "../../ir.ts";
import { ownPlace } from "../context.ts";
import { type ChainContext, RuleCode } from "./code.ts";
import { evaluate, payloadCursor } from "./expr.ts";
import { lookedUp } from "./registers.ts";
import { actionSteps } from "./rule.ts";
import { laidOut } from "./sets.ts";
import { allBits, allMatches, firstMatch } from "./vectors.ts";

const match = local("match");

export function segmentSteps(chains: ChainContext, list: RuleList, laid: SegmentLayout): Step {
  const { segment, lookup, ahead } = laid;
  const label = `segment_${segment.first}`;
  const { space } = chains.layout;
  const lookups = new LookupSteps({ space, suffix: "", read: (one, found) => readField(chains, one, found) });
  const roots = lookups.rootsOf(lookup);
  const steps =
    ahead !== 0
      ? [
          when(
            lookedUp,
            roots.map((root, i) => set(root, load(space, 4, lookedUp, 4 * i))),
            lookups.steps,
          ),
        ]
      : lookups.steps;
  const actions = actionsOf(chains, list, laid);
  if (findsFirst(lookup))
    return block(label, [...steps, set(match, roots[0]), when(eqz(match), [leave(label)]), ...actions]);
  const all =
    lookup.kind === "all bits"
      ? allBits(commonBits(space, lookup, roots), match, actions)
      : allMatches({ ...lookup, ...{ space, suffix: "", rows: roots } }, match, actions);
  return block(label, [...steps, ...all]);
}

export interface LookupCode {
  readonly space: Space;
  /** Of registers and labels. */
  readonly suffix: string;
  /** Sets a register to the class of a field. */
  readonly read: (lookup: FieldLookup, found: Reg) => readonly Step[];
  /** The kind of all packets, where it is known to whoever builds the code: the value that lists are split by. */
  readonly known?: number;
}

/**
 * Classes of fields and of tables, each in a register: straight-line, but for what reading a field takes, and for vectors. Loads that wait
 * for as many others stand side by side, whatever they are of, so that a processor has them in flight together.
 */
export class LookupSteps {
  readonly #code: LookupCode;
  readonly #steps: { readonly depth: number; readonly step: Step }[] = [];
  /** How many steps wait for each other until a register is set. */
  readonly #depths = new Map<Reg, number>();
  readonly #found = new Map<ClassLookup, Reg>();
  #fields = 0;
  #tables = 0;
  #numbers = 0;
  #rows = 0;

  constructor(code: LookupCode) {
    this.#code = code;
  }

  get steps(): Step[] {
    return this.#steps.toSorted((a, b) => a.depth - b.depth).map(({ step }) => step);
  }

  /**
   * The number of the rule, from 1, 0: none; or, if rules go on, the fields' classes, or where the row of each vector starts, behind the
   * first.
   */
  rootsOf(lookup: RuleLookup): Reg[] {
    if (findsFirst(lookup)) return [this.#firstOf(lookup)];
    return lookup.kind === "all bits" ? lookup.sets.map((set) => this.#classOf(set.lookup)) : this.#rowsOf(lookup);
  }

  /** One step after the other, which set `found`, from what is in the registers `after`. */
  #add(found: Reg, after: readonly Reg[], steps: readonly Step[]): Reg {
    let depth = Math.max(0, ...after.map((reg) => this.#depths.get(reg)!));
    for (const step of steps) this.#steps.push({ depth: depth++, step });
    this.#depths.set(found, depth);
    return found;
  }

  #firstOf(lookup: FirstLookup): Reg {
    const { space, suffix } = this.#code;
    if (lookup.kind === "first") return this.#classOf(lookup.table);
    if (lookup.kind === "parts")
      return lookup.parts.map((part) => this.#firstOf(part)).reduce((a, b) => this.#least(a, b));
    const first = this.#number();
    if (lookup.kind === "bits") return this.#firstBit(lookup, first);
    if (lookup.kind === "split") return this.#partOf(lookup, first);
    const rows = this.#rowsOf(lookup);
    return this.#add(first, rows, firstMatch({ ...{ space, suffix }, ...lookup, rows }, first));
  }

  #firstBit(bits: Bits, first: Reg): Reg {
    const { space, suffix } = this.#code;
    const classes = bits.sets.map(({ lookup }) => this.#classOf(lookup));
    const common = local(`common${suffix}`, "i64");
    this.#add(common, classes, [set(common, commonBits(space, bits, classes))]);
    const number = add(unary("wrap", unary("clz", common)), 1);
    return this.#add(first, [common], [set(first, select(eqz(common), 0, number))]);
  }

  #number(): Reg {
    return local(`first${this.#numbers++}${this.#code.suffix}`);
  }

  /** Of two numbers of rules; 0, for none, is more than any. */
  #least(a: Reg, b: Reg): Reg {
    const least = this.#number();
    return this.#add(least, [a, b], [set(least, select(lt(sub(a, 1), sub(b, 1)), a, b))]);
  }

  #partOf({ by, intervals, parts }: FirstLookup & { kind: "split" }, first: Reg): Reg {
    const { suffix, known } = this.#code;
    const stepsOf = (part: FirstLookup, i: number): Step[] => {
      const own = new LookupSteps({ ...this.#code, suffix: `${suffix}_${i}` });
      const [root] = own.rootsOf(part);
      return [...own.steps, set(first, root)];
    };
    if (known !== undefined) {
      const part = classOfValue(intervals, known);
      return this.#add(first, [], stepsOf(parts[part], part));
    }
    const kind = this.#classOf(by);
    const steps = parts.reduceRight<Step[]>(
      (others, part, i) => (i === parts.length - 1 ? stepsOf(part, i) : [when(eq(kind, i), stepsOf(part, i), others)]),
      [],
    );
    return this.#add(first, [kind], steps);
  }

  #rowsOf({ sums, vectors }: Vectors): Reg[] {
    return vectors.map(({ lookup }) => {
      const row = local(`row${this.#rows++}${this.#code.suffix}`);
      const found = this.#classOf(lookup);
      return this.#add(row, [found], [set(row, mul(found, rowBytes(sums)))]);
    });
  }

  /** Each is looked up once. */
  #classOf(lookup: ClassLookup): Reg {
    let found = this.#found.get(lookup);
    if (found === undefined) {
      found = lookup.kind === "merge" ? this.#tableOf(lookup) : this.#fieldOf(lookup);
      this.#found.set(lookup, found);
    }
    return found;
  }

  #fieldOf(lookup: FieldLookup): Reg {
    const found = local(`field${this.#fields++}${this.#code.suffix}`);
    return this.#add(found, [], this.#code.read(lookup, found));
  }

  #tableOf({ left, right, columns, cells, shared }: ClassTable): Reg {
    const { space, suffix } = this.#code;
    const row = this.#classOf(left);
    const found = local(`table${this.#tables++}${suffix}`);
    const loaded = ({ bytes, offset }: PlacedCells, index: Expr): Step =>
      set(found, load(space, bytes, bytes === 1 ? index : shl(index, Math.log2(bytes)), offset));
    if (right === null) return this.#add(found, [row], [loaded(cells, expr(row))]);
    const column = this.#classOf(right);
    if (shared === null) return this.#add(found, [row, column], [loaded(cells, add(mul(row, columns), column))]);
    return this.#add(
      found,
      [row, column],
      [
        loaded(shared.numbers, add(mul(row, shared.width), shr(column, Math.log2(BLOCK)))),
        loaded(cells, or(shl(found, Math.log2(BLOCK)), and(column, BLOCK - 1))),
      ],
    );
  }
}

/** The bits that are 1 in all sets. */
const commonBits = (space: Space, { sets }: Bits, classes: readonly Reg[]): Expr =>
  sets.map(({ offset }, i) => load(space, SET_BYTES, shl(classes[i], Math.log2(SET_BYTES)), offset)).reduce(and);

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
      const probe = ownPlace(chains.context, chains.layout.probe);
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

/** @param rule its number, from 1 */
export const columnOf = (space: Space, column: Column, rule: Reg): Expr =>
  column.kind === "column"
    ? load(space, 4, shl(rule, 2), column.offset)
    : column.step === 0
      ? i32(column.first)
      : add(mul(rule, column.step), column.first);

/** What is done for the rule whose number is in `match`, by its shape. */
function actionsOf(
  chains: ChainContext,
  list: RuleList,
  { segment, counters, shapes, indexes }: SegmentLayout,
): Step[] {
  const { space } = chains.layout;
  const [counter, shape, index] = [local("rule_counter"), local("rule_shape"), local("rule_index")];
  const of = (column: Column): Expr => columnOf(space, column, match);
  const actions = segment.shapes.map(({ steps, counter: place }, i) =>
    actionSteps(
      chains,
      { list, index, label: `rule_${segment.first}_${i}` },
      steps,
      place < 0 ? null : { step: place, counter: expr(counter) },
    ),
  );
  return [
    set(counter, add(of(counters), ownPlace(chains.context, chains.layout.counters))),
    set(index, of(indexes)),
    ...(actions.length === 1
      ? actions
      : [set(shape, of(shapes)), ...actions.map((action, i) => when(eq(shape, i), [action]))]),
  ];
}
