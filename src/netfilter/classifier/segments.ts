/**
 * segmentsOf: where in a list of rules one look-up can take the place of many tests.
 *
 *   segment = rules one after the other, each of them
 *     rule      = conditions on fields (conditions.ts), then an action: all its other steps
 *     shape     = what actions have in common that differ in the counter and in the rule's number alone
 *
 * A packet's fields are looked up once for a segment, so a rule that may write into them, and let the packet go on, is the last of its
 * segment. A rule that has no place in the segment begins another one; rules that no segment holds stay tests.
 */
import type { Chain, CounterId, Expr, Netfilter, Program, Step } from "../../../dsl/chain-model.ts";
import { expressionsOfStep, leadsTo, reached, stepsOf, writesBytes } from "../reach.ts";
import type { View } from "../view.ts";
import { type Condition, conditionsOf, type Ranges, sameField } from "./conditions.ts";

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

/** Which field is the protocol of the frame; -1: none. */
export const protocolField = (fields: readonly Expr[]): number =>
  fields.findIndex((one) => one.kind === "meta" && one.key === "protocol");

/** The rules that frames of this EtherType can match. */
export function rulesFor({ fields, rules }: Segment, etherType: number): SegmentRule[] {
  const field = protocolField(fields);
  return rules.filter(({ conditions }) => {
    const ranges = field < 0 ? null : conditions[field];
    return ranges === null || ranges.some(({ first, last }) => first <= etherType && etherType <= last);
  });
}

/** Code for so many shapes stands behind a look-up at the most, and so many fields in front of it. */
const MOST_SHAPES = 16;
export const MOST_FIELDS = 10;

export function segmentsOf(netfilter: Netfilter, view: View, list: RuleList): Segment[] {
  const segments: Segment[] = [];
  let open = new Draft(0);
  const close = (next: number): void => {
    if (open.asks) segments.push(open.segment());
    open = new Draft(next);
  };
  for (const [index, { steps }] of list.rules.entries()) {
    const rule = splitRule(netfilter, view, steps);
    if (!open.add(index, rule)) {
      close(index);
      open.add(index, rule);
    }
    if (rule.writes) close(index + 1);
  }
  close(list.rules.length);
  return segments;
}

interface SplitRule {
  /** Of one field the conjunction; null: never true in this view. */
  readonly conditions: readonly Condition[] | null;
  readonly shape: Shape;
  readonly key: string;
  readonly counter: CounterId | null;
  /** Does a packet that it lets go on have other fields behind it? */
  readonly writes: boolean;
}

function splitRule(netfilter: Netfilter, view: View, steps: readonly Step[]): SplitRule {
  const conditions: Condition[] = [];
  const rest: { step: Step; at: number }[] = [];
  let possible = true;
  // A test behind an effect does not keep that from being done.
  let tests = true;
  let key = "";
  let counter = -1;
  let own: CounterId | null = null;
  for (let at = 0; at < steps.length; at++) {
    const step = steps[at];
    const found = tests ? conditionsOf(netfilter, view, step) : null;
    if (found !== null) {
      for (const condition of found) possible = conjoin(conditions, condition) && possible;
      continue;
    }
    tests &&= isTest(step);
    if (step.kind === "counter" && own === null) {
      counter = rest.length;
      own = step.counter;
      key += "counter ";
    } else key += `${stepKey(step, at)} `;
    rest.push({ step, at });
  }
  const final = isFinal(rest);
  return {
    conditions: possible ? conditions : null,
    shape: { steps: rest, counter, final },
    key,
    counter: own,
    writes: !final && writesFields(netfilter, rest),
  };
}

/** Adds a condition to others. @returns can it be true together with that on the same field? */
function conjoin(conditions: Condition[], { field, ranges }: Condition): boolean {
  const at = conditions.findIndex((one) => sameField(one.field, field));
  const both = at < 0 ? ranges : intersection(conditions[at].ranges, ranges);
  conditions[at < 0 ? conditions.length : at] = { field, ranges: both };
  return both.length > 0;
}

/** Without an effect, so that its place among the others does not matter; a `fib` look-up is traced. */
const isTest = (step: Step): boolean =>
  (step.kind === "compare" || step.kind === "range" || step.kind === "lookup") &&
  ![...expressionsOfStep(step)].some(({ kind }) => kind === "fib");

/** Steps with the same key do the same. A trace of a log says which step of its rule it is. */
function stepKey(step: Step, at: number): string {
  let key = step.kind === "log" ? `${at}` : "";
  for (const [name, value] of Object.entries(step))
    if (name !== "span") key += ` ${name} ${typeof value === "number" ? value : valueKey(value)}`;
  return key;
}

const valueKey = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : JSON.stringify(value, (name, inner: unknown) =>
        name === "span" ? undefined : typeof inner === "bigint" ? `${inner}n` : inner,
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
function isFinal(steps: Shape["steps"]): boolean {
  if (steps.length === 0) return false;
  for (let i = 0; i < steps.length - 1; i++) {
    const { step } = steps[i];
    const sure =
      step.kind === "counter" || step.kind === "log" || (step.kind === "set meta" && step.value.kind === "const");
    if (!sure) return false;
  }
  const last = steps[steps.length - 1].step;
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

function writesFields(netfilter: Netfilter, rest: Shape["steps"]): boolean {
  const steps = rest.map(({ step }) => step);
  const called = reached(netfilter, leadsTo(netfilter, [{ steps }]));
  return [...steps, ...stepsOf(called)].some(
    (step) => step.kind === "set meta" || step.kind === "dup" || writesBytes(step),
  );
}

/** A segment that grows. */
class Draft {
  readonly #first: number;
  #length = 0;
  readonly #fields: Expr[] = [];
  readonly #shapes: Shape[] = [];
  /** By their keys. */
  readonly #shapeOf = new Map<string, number>();
  readonly #rules: (SegmentRule & { readonly conditions: (Ranges | null)[] })[] = [];

  constructor(first: number) {
    this.#first = first;
  }

  get length(): number {
    return this.#length;
  }

  /** Where it does not every rule matches. */
  get asks(): boolean {
    return this.#fields.length > 0;
  }

  /** @returns false: there is no place for it; a rule that begins a segment has its place in any case */
  add(index: number, { conditions, shape, key, counter }: SplitRule): boolean {
    if (conditions === null) {
      this.#length++;
      return true;
    }
    const places = conditions.map(({ field }) => this.#placeOf(field));
    const fields = places.reduce((sum, place) => (place < 0 ? sum + 1 : sum), this.#fields.length);
    let number = this.#shapeOf.get(key);
    const shapes = this.#shapes.length + (number === undefined ? 1 : 0);
    if (this.#length > 0 && (fields > MOST_FIELDS || shapes > MOST_SHAPES)) return false;
    this.#length++;
    const own: (Ranges | null)[] = [];
    for (const [i, { field, ranges }] of conditions.entries()) {
      const place = places[i] < 0 ? this.#fields.push(field) - 1 : places[i];
      while (own.length <= place) own.push(null);
      own[place] = ranges;
    }
    if (number === undefined) {
      number = this.#shapes.push(shape) - 1;
      this.#shapeOf.set(key, number);
    }
    this.#rules.push({ index, conditions: own, shape: number, counter });
    return true;
  }

  #placeOf(field: Expr): number {
    for (let i = 0; i < this.#fields.length; i++) if (sameField(this.#fields[i], field)) return i;
    return -1;
  }

  segment(): Segment {
    for (const { conditions } of this.#rules) while (conditions.length < this.#fields.length) conditions.push(null);
    return {
      first: this.#first,
      length: this.#length,
      fields: this.#fields,
      rules: this.#rules,
      shapes: this.#shapes,
    };
  }
}
