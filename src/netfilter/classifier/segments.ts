/**
 * segmentsOf: where in a list of rules one look-up can take the place of many tests.
 *
 *   segment = rules one after the other, each of them
 *     rule      = conditions on fields (conditions.ts), then an action: all its other steps
 *     shape     = what actions have in common that differ in the counter and in the rule's number alone
 *
 * A packet's fields are looked up once for a segment, so a rule that may write into them, and let the packet go on, is the last of its
 * segment. A rule that has no place in the segment begins another one; a segment with too few rules stays tests, as do the rules
 * that no segment holds.
 */
import type { Chain, CounterId, Expr, Netfilter, Program, Step } from "../../../dsl/chain-model.ts";
import { expressionsOfStep, leadsTo, reached, stepsOf } from "../reach.ts";
import type { View } from "../view.ts";
import { conditionsOf, fieldKey, type Ranges } from "./conditions.ts";

export type RuleList = Chain | Program;

export interface Segment {
  /** Index in the list of its first rule, and how many it has. */
  readonly first: number;
  readonly length: number;
  readonly fields: readonly Expr[];
  /** Those that a packet of the view can match, in their order. */
  readonly rules: readonly SegmentRule[];
  readonly shapes: readonly Shape[];
}

export interface SegmentRule {
  /** In the list. */
  readonly index: number;
  /** By field; null: any value, and none at all. */
  readonly conditions: readonly (Ranges | null)[];
  readonly shape: number;
  /** What the shape's counter is for this rule; null: it has none. */
  readonly counter: CounterId | null;
}

export interface Shape {
  /** A rule's steps that are no conditions, with their places in the rule. */
  readonly steps: readonly { readonly step: Step; readonly at: number }[];
  /** Place in `steps` of the counter that is the rule's own; -1: none. */
  readonly counter: number;
  /** No rule follows for a packet that one of this shape has matched. */
  readonly final: boolean;
}

/** Code for so many shapes stands behind a look-up at the most, and so many fields in front of it. */
const MOST_SHAPES = 16;
export const MOST_FIELDS = 10;

/** @param from rules that a segment has at least */
export function segmentsOf(netfilter: Netfilter, view: View, list: RuleList, from: number): Segment[] {
  const segments: Segment[] = [];
  let open = new Draft(0);
  const close = (next: number): void => {
    if (open.length >= from && open.asks) segments.push(open.segment());
    open = new Draft(next);
  };
  for (const [index, { steps }] of list.rules.entries()) {
    const rule = splitRule(netfilter, view, steps);
    if (!open.takes(rule)) close(index);
    open.add(index, rule);
    if (rule.writes) close(index + 1);
  }
  close(list.rules.length);
  return segments;
}

interface SplitRule {
  /** Of one field the conjunction; null: never true in this view. */
  readonly conditions: ReadonlyMap<string, { readonly field: Expr; readonly ranges: Ranges }> | null;
  readonly shape: Shape;
  readonly key: string;
  readonly counter: CounterId | null;
  /** Does a packet that it lets go on have other fields behind it? */
  readonly writes: boolean;
}

function splitRule(netfilter: Netfilter, view: View, steps: readonly Step[]): SplitRule {
  const conditions = new Map<string, { field: Expr; ranges: Ranges }>();
  const rest: { step: Step; at: number }[] = [];
  let possible = true;
  for (const [at, step] of steps.entries()) {
    // A test behind an effect does not keep that from being done.
    const found = rest.every((one) => isTest(one.step)) ? conditionsOf(netfilter, view, step) : null;
    if (found === null) rest.push({ step, at });
    for (const { field, ranges } of found ?? []) {
      const key = fieldKey(field);
      const before = conditions.get(key);
      const both = before === undefined ? ranges : intersection(before.ranges, ranges);
      possible &&= both.length > 0;
      conditions.set(key, { field, ranges: both });
    }
  }
  const counter = rest.findIndex(({ step }) => step.kind === "counter");
  const final = isFinal(rest.map(({ step }) => step));
  const own = counter < 0 ? null : (rest[counter].step as Step & { kind: "counter" }).counter;
  const key = rest.map(({ step, at }, i) => (i === counter ? "counter" : stepKey(step, at))).join(" ");
  const writes =
    !final &&
    writesFields(
      netfilter,
      rest.map(({ step }) => step),
    );
  return {
    conditions: possible ? conditions : null,
    shape: { steps: rest, counter, final },
    key,
    counter: own,
    writes,
  };
}

/** Without an effect, so that its place among the others does not matter; a `fib` look-up is traced. */
const isTest = (step: Step): boolean =>
  (step.kind === "compare" || step.kind === "range" || step.kind === "lookup") &&
  ![...expressionsOfStep(step)].some(({ kind }) => kind === "fib");

/** Steps with the same key do the same. A trace of a log says which step of its rule it is. */
const stepKey = (step: Step, at: number): string =>
  step.kind === "accept" || step.kind === "drop"
    ? step.kind
    : JSON.stringify(step.kind === "log" ? [at, step] : step, (name, value: unknown) =>
        name === "span" ? undefined : typeof value === "bigint" ? `${value}n` : value,
      );

function intersection(a: Ranges, b: Ranges): Ranges {
  return a.flatMap((one) =>
    b.flatMap((other) => {
      // biome-ignore lint/complexity/useMathMinMax: Math.max takes no bigint
      const first = one.first > other.first ? one.first : other.first;
      // biome-ignore lint/complexity/useMathMinMax: nor does Math.min
      const last = one.last < other.last ? one.last : other.last;
      return first <= last ? [{ first, last }] : [];
    }),
  );
}

/** Does the action end the packet's way through the list whatever the packet is? */
function isFinal(steps: readonly Step[]): boolean {
  const sure = steps
    .slice(0, -1)
    .every(
      (step) =>
        step.kind === "counter" || step.kind === "log" || (step.kind === "set meta" && step.value.kind === "const"),
    );
  const last = steps.at(-1);
  if (last === undefined || !sure) return false;
  switch (last.kind) {
    case "accept":
    case "drop":
    case "return":
    case "goto":
    case "reject":
    case "xdp":
    case "tc":
      return true;
    case "fwd":
    case "redirect":
      return last.device.kind === "const";
    default:
      return false;
  }
}

function writesFields(netfilter: Netfilter, steps: readonly Step[]): boolean {
  const called = reached(netfilter, leadsTo(netfilter, [{ steps }]));
  return [...steps, ...stepsOf(called)].some(
    ({ kind }) => kind === "set meta" || kind === "write payload" || kind === "dup",
  );
}

/** A segment that grows. */
class Draft {
  readonly #first: number;
  #length = 0;
  readonly #fields = new Map<string, Expr>();
  readonly #shapes = new Map<string, Shape>();
  readonly #rules: (Omit<SegmentRule, "conditions" | "shape"> & SplitRule)[] = [];

  constructor(first: number) {
    this.#first = first;
  }

  get length(): number {
    return this.#length;
  }

  /** Of a list without conditions every rule matches. */
  get asks(): boolean {
    return this.#fields.size > 0;
  }

  takes({ conditions, key }: SplitRule): boolean {
    if (conditions === null) return true;
    const fields = [...conditions.keys()].filter((field) => !this.#fields.has(field)).length;
    return (
      this.#fields.size + fields <= MOST_FIELDS && this.#shapes.size + (this.#shapes.has(key) ? 0 : 1) <= MOST_SHAPES
    );
  }

  add(index: number, rule: SplitRule): void {
    this.#length++;
    if (rule.conditions === null) return;
    for (const [key, { field }] of rule.conditions) if (!this.#fields.has(key)) this.#fields.set(key, field);
    if (!this.#shapes.has(rule.key)) this.#shapes.set(rule.key, rule.shape);
    this.#rules.push({ index, ...rule });
  }

  segment(): Segment {
    const keys = [...this.#fields.keys()];
    const shapes = [...this.#shapes.keys()];
    const rules = this.#rules.map(
      ({ index, conditions, key, counter }): SegmentRule => ({
        index,
        conditions: keys.map((field) => conditions!.get(field)?.ranges ?? null),
        shape: shapes.indexOf(key),
        counter,
      }),
    );
    return {
      first: this.#first,
      length: this.#length,
      fields: [...this.#fields.values()],
      rules,
      shapes: [...this.#shapes.values()],
    };
  }
}
