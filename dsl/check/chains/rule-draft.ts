/** What a rule is made of while it is checked. */
import type { Expr, Payload, Step } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { asValue } from "./constants.ts";
import type { Datatype } from "./datatypes.ts";
import type { Header, HeaderField } from "./fields.ts";
import type { RuleScope } from "./scope.ts";

/** A rule under construction. */
export interface RuleDraft {
  readonly scope: RuleScope;
  readonly steps: Step[];
  /** What the tests before have established. */
  readonly known: {
    family: 4 | 6 | "arp" | null;
    l4proto: number | null;
    ethernet: boolean;
    vlan: boolean;
    /** The ICMP types that a test before has left. */
    icmpTypes: readonly number[] | null;
  };
}

export function startRule(scope: RuleScope): RuleDraft {
  const family = scope.family === "ip" ? 4 : scope.family === "ip6" ? 6 : null;
  return { scope, steps: [], known: { family, l4proto: null, ethernet: false, vlan: false, icmpTypes: null } };
}

/** An expression and its type. `raw` has the field's bits where they are; `expr` has them at the end, as a number. */
export interface Operand {
  readonly expr: Expr;
  readonly type: Datatype;
  /** For fields that do not end at a byte: the bytes masked, and how far the field is from the end. */
  readonly raw?: { readonly expr: Expr; readonly shift: number };
  /** What a test for equality with a constant establishes. */
  readonly establishes?: "family" | "l4proto" | "protocol" | "icmp type" | "ether type";
  /** What `set` needs to know. */
  readonly payload?: HeaderField & { readonly header: Header | null; readonly name: string };
}

export const report = (rule: RuleDraft) => rule.scope.table.draft.report;

export const payload = (base: Payload["base"], offset: number, length: number, span: Span): Expr => ({
  kind: "payload",
  base,
  offset,
  length,
  bits: 8 * length,
  span,
});

/** `(operand & mask) ^ xor`; two in a row become one. */
export function bitwise(operand: Expr, mask: bigint, xor: bigint, span: Span): Expr {
  const { bits } = operand;
  if (operand.kind === "bitwise") {
    const inner = { mask: BigInt(operand.mask), xor: BigInt(operand.xor) };
    return bitwise(operand.operand, inner.mask & mask, (inner.xor & mask) ^ xor, span);
  }
  return { kind: "bitwise", operand, mask: asValue(mask, bits), xor: asValue(xor, bits), bits, span };
}
