/**
 * validatePlan: an independent checker of plans, after the manner of regalloc2's: it knows nothing of how a plan was
 * built or optimised, and asks only whether what ir.ts promises holds. First the shape of each proc by itself
 * (validate-shape.ts), then, when that is sound, what is known at each step on every path (validate-flow.ts).
 *
 * A violation is a bug of the compiler, not of a user's text: nobody but a developer reads these.
 */
import { callOrder } from "./callgraph.ts";
import type { Plan } from "./ir.ts";
import { checkFlow } from "./validate-flow.ts";
import { checkShape } from "./validate-shape.ts";

/** Every way in which a plan can be wrong. */
export const VIOLATIONS = {
  // shape: the plan as a whole
  "duplicate-proc": "two procs have one name",
  "unknown-proc": "a call of a proc that is not there",
  "call-cycle": "procs call each other in a circle",
  "duplicate-register": "two registers of the packet in flight have one name",
  // shape: one step or expression
  "unknown-register": "a register of scope skb that the plan does not declare",
  "register-type": "one register with two types",
  "parameter-scope": "a parameter or local cursor of the wrong scope",
  "type-mismatch": "an operand or a value of the wrong type",
  "call-mismatch": "a call whose arguments or type do not fit the proc",
  "wrong-return": "a return whose value does not fit the proc's result",
  "constant-range": "a constant that its type does not hold",
  "offset-range": "an offset or a length that no instruction or packet has",
  "zero-divisor": "a division by what may be 0",
  "unbound-label": "a break out of something that does not surround it",
  "label-reuse": "a label inside a block or loop of the same label",
  "trace-call": "a trace that makes a call",
  "trace-size": "a trace with more words than a record holds",
  // flow: what must hold on every path
  "unset-register": "a register is read before it is set",
  "unguarded-access": "a packet byte is read or written that no guard covers",
  "guard-falls-through": "the else of a guard does not leave",
  "missing-result": "a path ends without the result",
  "unproved-requires": "what a proc requires is not known at a call",
  "foreign-register": "a program sets a register that it may only read",
} as const;
export type ViolationKind = keyof typeof VIOLATIONS;

export interface Violation {
  readonly kind: ViolationKind;
  readonly proc: string;
  /** What was found and where, e.g. "packet 2 skb.l3[12]: known of skb.l3 are bytes 0 to 12". */
  readonly message: string;
}

/** Collects violations; the checks hand it what they find. */
export type Report = (kind: ViolationKind, message: string) => void;

/** Violations of a plan as lines of text; none when it is valid. */
export const validatePlan = (plan: Plan): string[] =>
  violationsOf(plan).map(({ kind, proc, message }) => `${kind}: ${proc}: ${message}`);

export function violationsOf(plan: Plan): Violation[] {
  const found: Violation[] = [];
  const reportFor =
    (proc: string): Report =>
    (kind, message) =>
      found.push({ kind, proc, message });
  checkShape(plan, reportFor);
  const { order, cycle } = callOrder(plan);
  if (cycle !== null) reportFor(cycle[0])("call-cycle", cycle.join(" calls "));
  if (found.length === 0 && order !== null) checkFlow(order, reportFor);
  return found;
}
