/** `reject`: the ICMP error of each family, or a TCP reset. */
import type { Clause } from "../../chain-ast.ts";
import type { Step } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { wordTable } from "../../word-table.ts";
import { ICMP_CODES, ICMPV6_CODES } from "./datatypes.ts";
import type { Need } from "./fields.ts";
import { require } from "./needs.ts";
import { type RuleDraft, report } from "./rule-draft.ts";
import { isProgramHook } from "./scope.ts";

/** The codes of `icmpx` by number and name, each with those of ICMP and ICMPv6 (nft_reject_icmp_code, nft_reject_icmpv6_code). */
const ICMPX = [
  { name: "no-route", icmp: 0, icmp6: 0 },
  { name: "port-unreachable", icmp: 3, icmp6: 4 },
  { name: "host-unreachable", icmp: 1, icmp6: 3 },
  { name: "admin-prohibited", icmp: 13, icmp6: 1 },
] as const;

const CODES: Readonly<Record<string, Readonly<Record<string, number>>>> = wordTable({
  icmp: wordTable(ICMP_CODES),
  icmpv6: wordTable(ICMPV6_CODES),
  icmpx: wordTable(Object.fromEntries(ICMPX.map(({ name }, number) => [name, number]))),
});

/** What a `reject` implies stands in front of the rule, so that nothing is counted that is not rejected (stmt_reject_gen_dependency). */
function requireFirst(rule: RuleDraft, need: Need, span: Span, word: string): boolean {
  const before = rule.steps.length;
  const holds = require(rule, need, span, word);
  rule.steps.unshift(...rule.steps.splice(before));
  return holds;
}

export function reject(rule: RuleDraft, node: Extract<Clause, { kind: "reject" }>): void {
  const { scope } = rule;
  const { span } = node;
  const ofProgram = [...scope.hooks].some(isProgramHook);
  const misplaced = [...scope.hooks].find((hook) => hook === "postrouting" || hook === "netdev egress");
  if (misplaced !== undefined || ofProgram) {
    report(rule).error("E0410", span, `nothing is rejected at ${ofProgram ? "a program's hook" : misplaced}`, {
      label: "`drop` it",
      kernel: "Error: Could not process rule: Operation not supported",
    });
    return;
  }
  const kind = node.with?.[0];
  const code = node.with?.[1];
  const step = (icmp: number | null, icmp6: number | null, tcpReset = false): Step => ({
    kind: "reject",
    icmp,
    icmp6,
    tcpReset,
    span,
  });
  if (kind === undefined || code === undefined) {
    const { family } = rule.known;
    rule.steps.push(step(family === 6 ? null : 3, family === 4 ? null : 4));
    return;
  }
  if (kind.value === "tcp") {
    if (requireFirst(rule, { kind: "l4proto", protocol: 6 }, span, "tcp reset"))
      rule.steps.push(step(null, null, true));
    return;
  }
  const codes = CODES[kind.value];
  const number = codes && codeOf(code.value, codes, kind.value === "icmpx" ? ICMPX.length - 1 : 0xff);
  if (number === undefined) {
    report(rule).error("E0402", (codes === undefined ? kind : code).span, "a packet is not rejected like this", {
      label: codes === undefined ? "icmp, icmpv6, icmpx or `tcp reset`" : Object.keys(codes).join(", "),
      ...(kind.value === "icmpx" && { kernel: "Error: Could not process rule: Invalid argument" }),
    });
  } else if (kind.value === "icmpx") {
    rule.steps.push(step(ICMPX[number].icmp, ICMPX[number].icmp6));
  } else if (requireFirst(rule, { kind: "family", family: kind.value === "icmp" ? 4 : 6 }, span, kind.value)) {
    rule.steps.push(kind.value === "icmp" ? step(number, null) : step(null, number));
  }
}

/** A code by its name or number; undefined: there is none. */
function codeOf(word: string, codes: Readonly<Record<string, number>>, last: number): number | undefined {
  const named = codes[word];
  return named ?? (/^\d{1,3}$/.test(word) && Number(word) <= last ? Number(word) : undefined);
}
