/**
 * What a field implies becomes tests before it: `tcp dport` in a table of both IP families is a test of the L4 protocol before a load of
 * two bytes. What a rule has tested already (`RuleDraft.known`) is not tested again.
 */
import { ARPHRD_ETHER } from "../../../runtime/net/arp.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { type Expr, META_KEYS, type Value } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { anonymousSet } from "./anonymous.ts";
import { TYPES } from "./datatypes.ts";
import type { Need } from "./fields.ts";
import { type Operand, payload, type RuleDraft, report } from "./rule-draft.ts";

const NFPROTO = { 4: 2, 6: 10 } as const;
const ETH_P = { 4: EtherType.IPV4, 6: EtherType.IPV6, arp: EtherType.ARP } as const;
const FAMILY_NAME = { 4: "IPv4", 6: "IPv6", arp: "ARP" } as const;

/** False after an error. `word` is what needs it. */
export function require(rule: RuleDraft, need: Need, span: Span, word: string): boolean {
  const { known, scope } = rule;
  switch (need.kind) {
    case "family":
      return requireFamily(rule, need.family, span, word);
    case "usual family":
      return known.family !== null || known.l4proto !== null || requireFamily(rule, need.family, span, word);
    case "l4proto":
      if (known.l4proto === null) test(rule, metaExpr("l4proto", span), need.protocol, span);
      else if (known.l4proto !== need.protocol) {
        report(rule).error("E0404", span, `the rule is about protocol ${protocolName(known.l4proto)} already`, {
          label: `\`${word}\` is ${protocolName(need.protocol)}: no packet is both`,
          kernel: `Error: conflicting protocols specified: ${protocolName(known.l4proto)} vs. ${protocolName(need.protocol)}`,
        });
        return false;
      }
      known.l4proto = need.protocol;
      return true;
    case "ethernet":
      if (!known.ethernet && scope.program === null) test(rule, metaExpr("iiftype", span), ARPHRD_ETHER, span);
      known.ethernet = true;
      return true;
    case "vlan":
      if (!known.vlan) test(rule, payload("link", 12, 2, span), EtherType.VLAN, span);
      known.vlan = true;
      return true;
    case "icmp type": {
      if (known.icmpTypes?.some((type) => need.types.includes(type))) return true;
      const load = payload("transport", 0, 1, span);
      if (need.types.length === 1) test(rule, load, need.types[0], span);
      else {
        const elements = need.types
          .toSorted((a, b) => a - b)
          .map((t) => ({ key: [{ first: t, last: t }], value: null }));
        const key = [{ type: "icmp_type", bits: 8 }];
        const set = anonymousSet(scope.table, key, null, false, elements, span);
        rule.steps.push({ kind: "lookup", not: false, set, key: [load], span });
      }
      known.icmpTypes = need.types;
      return true;
    }
  }
}

const protocolName = (protocol: number): string =>
  [...(TYPES.inet_proto.symbols ?? [])].find(([, number]) => number === protocol)?.[0] ?? String(protocol);

function requireFamily(rule: RuleDraft, family: 4 | 6 | "arp", span: Span, word: string): boolean {
  const { known, scope } = rule;
  if (known.family === family) return true;
  const sees = known.family === null ? null : FAMILY_NAME[known.family];
  if (sees !== null || (family === "arp" && scope.family !== "netdev")) {
    report(rule).error(
      "E0404",
      span,
      `\`${word}\` is ${FAMILY_NAME[family]}, and no ${FAMILY_NAME[family]} packet comes here`,
      {
        label: sees === null ? `a table of family \`${scope.family}\` sees no ARP` : `all packets here are ${sees}`,
        kernel: `Error: conflicting protocols specified: ${known.family === 6 ? "ip6" : scope.family} vs. ${word}`,
      },
    );
    return false;
  }
  if (scope.family === "inet") test(rule, metaExpr("nfproto", span), NFPROTO[family as 4], span);
  else if (known.vlan) test(rule, payload("link", 16, 2, span), ETH_P[family], span);
  else test(rule, metaExpr("protocol", span), ETH_P[family], span);
  known.family = family;
  return true;
}

function test(rule: RuleDraft, left: Expr, right: Value, span: Span): void {
  rule.steps.push({ kind: "compare", op: "eq", left, right, span });
}

export const metaExpr = (key: keyof typeof META_KEYS, span: Span): Expr => ({
  kind: "meta",
  key,
  bits: META_KEYS[key],
  span,
});

/** Remembers what a test for equality with one value has established. */
export function establish(rule: RuleDraft, { establishes }: Operand, value: bigint): void {
  const { known } = rule;
  if (establishes === "l4proto") known.l4proto = Number(value);
  else if (establishes === "icmp type") known.icmpTypes = [Number(value)];
  else if (establishes === "ether type") known.vlan ||= value === BigInt(EtherType.VLAN);
  else if (establishes === "family") known.family ??= value === 2n ? 4 : value === 10n ? 6 : null;
  else if (establishes === "protocol") known.family ??= value === 0x0800n ? 4 : value === 0x86ddn ? 6 : null;
}
