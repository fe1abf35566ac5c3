/** The rules of a namespace as the kernel meets them when it checks a gateway (runtime/routes/gateway.ts). */
import type { Net, Rule } from "../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../runtime/brand.ts";
import type { GatewayRule } from "../runtime/manifest.ts";
import { type Family, formatPrefix } from "../runtime/net/ip.ts";

export function gatewayRules(net: Net, family: Family): GatewayRule[] {
  const rules = net.rules.filter((rule) => rule.family === family);
  const place = (target: number | null) => (target === null ? -1 : rules.findIndex(({ id }) => id === target));
  return rules.map((rule): GatewayRule => {
    const { action, to, oif, not, l3mdev, suppressPrefixLength, suppressIfGroup } = rule;
    const target = action.kind === "goto" ? place(action.target) : -1;
    const isRefusal = action.kind !== "lookup" && action.kind !== "goto" && action.kind !== "nop";
    return {
      never: asksForMore(rule),
      not,
      to: to === null ? null : formatPrefix(to),
      oif: oif?.ifindex ?? null,
      l3mdev,
      action: isRefusal ? "refuse" : (action.kind as "lookup" | "goto" | "nop"),
      table: action.kind === "lookup" ? action.table : null,
      target: target < 0 ? null : target,
      suppressPrefixLength,
      suppressIfGroup,
    };
  });
}

/** Selectors that a flow without source, mark, TOS, ports and user never fits. */
const asksForMore = ({ iif, fwmark, uidrange, from, tos, ipproto, sport, dport }: Rule): boolean =>
  (iif !== null && iif.ifindex !== LOOPBACK_IFINDEX) ||
  (fwmark !== null && (fwmark.mark & fwmark.mask) !== 0) ||
  (uidrange !== null && uidrange.first !== 0) ||
  (from !== null && from.length > 0) ||
  tos !== 0 ||
  ipproto !== 0 ||
  sport !== null ||
  dport !== null;
