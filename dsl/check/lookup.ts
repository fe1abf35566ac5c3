/**
 * The look-ups that the kernel itself does while it checks a route: is this gateway on a link, is this source ours? Only
 * what those need (no TOS, ports or marks in the flow); what packets meet is the engines' business.
 */
import type { IfIndex, TableId } from "../../runtime/brand.ts";
import { LOOPBACK_IFINDEX, NO_DEVICE, RT_TABLE_LOCAL } from "../../runtime/brand.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import { familyOf, inPrefix } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import type { NextHop } from "../model.ts";
import { Scope } from "../model.ts";
import type { DeviceDraft, NetDraft, RuleDraft } from "./draft.ts";
import { deviceByIndex, l3mdevMaster } from "./draft.ts";
import type { RouteDraft } from "./fib.ts";

/** Where to, through which device (0: any), and at least how near the route must be (IPv4). */
export interface CheckFlow {
  readonly destination: Ip;
  readonly oif: IfIndex;
  readonly scope: Scope;
}

export type Hit = { readonly route: RouteDraft; readonly nexthop: NextHop };
/** `again`: not in this table, the next rule decides; `refused`: a route or rule that answers with an error. */
export type Answer = Hit | "again" | "refused";
export const isHit = (answer: Answer): answer is Hit => typeof answer === "object";

const REFUSING: ReadonlySet<RouteType> = new Set(["throw", "blackhole", "unreachable", "prohibit"]);

/** Kernel: `fib_table_lookup`, `fib6_table_lookup`: longest prefix first, back to shorter ones where no next hop fits. */
export function tableLookup(net: NetDraft, table: TableId, flow: CheckFlow): Answer {
  for (const route of net.fib.covering(table, flow.destination)) {
    if (route.tos !== 0 || (route.family === 4 && route.scope < flow.scope)) continue;
    // Of IPv6, a route that refuses leads to lo, and a flow through another device does not see it (RT6_LOOKUP_F_IFACE).
    if (route.family === 6 && flow.oif !== NO_DEVICE && REFUSING.has(route.type)) continue;
    if (route.type === "throw") return "again";
    if (route.type === "blackhole" || route.type === "unreachable" || route.type === "prohibit") return "refused";
    const nexthop = route.nexthops.find((n) => !n.dead && (flow.oif === NO_DEVICE || flow.oif === n.device));
    if (nexthop) return { route, nexthop };
  }
  return "again";
}

/** Kernel: `fib_rules_lookup`, for a flow of the host itself without source, mark, TOS and ports. */
export function rulesLookup(net: NetDraft, flow: CheckFlow): Answer {
  const { l3mdev, oif } = updateFlow(net, flow.oif);
  const rules = net.rules[familyOf(flow.destination)];
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    if (!ruleMatches(rule, flow.destination, oif, l3mdev)) continue;
    const { action } = rule;
    if (action.kind === "nop") continue;
    if (action.kind === "goto") {
      const target = rules.findIndex((r) => r.pref === action.pref);
      if (target > i) i = target - 1;
      continue;
    }
    if (action.kind !== "lookup") return "refused";
    const table = action.table ?? l3mdev?.table;
    if (table === undefined) continue;
    const answer = tableLookup(net, table, { ...flow, oif });
    if (answer === "again") continue;
    if (isHit(answer) && suppressed(net, rule, answer)) continue;
    return answer;
  }
  return "again";
}

/**
 * Kernel: `l3mdev_update_flow`. Since 5.18 the flow remembers the VRF of its device, and the VRF device itself no longer
 * restricts the next hop; before, a slave in `oif` was replaced by its VRF device, which then had to be the next hop's.
 */
function updateFlow(net: NetDraft, oif: IfIndex): { readonly l3mdev: DeviceDraft | undefined; readonly oif: IfIndex } {
  const device = oif === NO_DEVICE ? undefined : deviceByIndex(net, oif);
  const master = device === undefined ? NO_DEVICE : l3mdevMaster(device);
  const l3mdev = master === NO_DEVICE ? undefined : deviceByIndex(net, master);
  if (l3mdev === undefined) return { l3mdev, oif };
  if (net.kernel === "5.4") return { l3mdev, oif: l3mdev.ifindex };
  return { l3mdev, oif: device === l3mdev ? NO_DEVICE : oif };
}

function ruleMatches(rule: RuleDraft, destination: Ip, oif: IfIndex, l3mdev: DeviceDraft | undefined): boolean {
  const selected =
    (rule.iif === null || rule.iif.ifindex === LOOPBACK_IFINDEX) &&
    (rule.oif === null || rule.oif.ifindex === oif) &&
    (rule.fwmark === null || (rule.fwmark.mark & rule.fwmark.mask) === 0) &&
    (rule.uidrange === null || rule.uidrange.first === 0) &&
    (!rule.l3mdev || l3mdev !== undefined) &&
    (rule.from === null || rule.from.length === 0) &&
    (rule.to === null || inPrefix(rule.to, destination)) &&
    rule.tos === 0 &&
    rule.ipproto === 0 &&
    rule.sport === null &&
    rule.dport === null;
  return selected !== rule.not;
}

/** Kernel: `fib4_rule_suppress`. */
function suppressed(net: NetDraft, rule: RuleDraft, { route, nexthop }: Hit): boolean {
  const group = deviceByIndex(net, nexthop.device)?.group;
  return (
    (rule.suppressPrefixLength >= 0 && route.prefix.length <= rule.suppressPrefixLength) ||
    (rule.suppressIfGroup >= 0 && group === rule.suppressIfGroup)
  );
}

/** Kernel: `inet_addr_type_table`: what an IPv4 address is as seen by one table. */
export function addrType(net: NetDraft, address: number, table: TableId): RouteType {
  if (address >>> 24 === 0 || address === 0xffffffff) return "broadcast";
  if (address >>> 28 === 0xe) return "multicast";
  if (!net.fib.has(4, table)) return "broadcast";
  const answer = tableLookup(net, table, { destination: address, oif: NO_DEVICE, scope: Scope.UNIVERSE });
  return isHit(answer) ? answer.route.type : "unicast";
}

/** Kernel: `fib_valid_prefsrc`: ours in the route's table, or in `local`. */
export function validPrefsrc4(net: NetDraft, source: number, table: TableId): boolean {
  return [table, RT_TABLE_LOCAL].some((t) => addrType(net, source, t) === "local");
}

/** Kernel: `ipv6_chk_addr`: an address of this device or, unless it is link-local, of any device of its VRF. */
export function ownAddress6(net: NetDraft, address: bigint, device: DeviceDraft): boolean {
  return net.devices.some(
    (d) =>
      l3mdevMaster(d) === l3mdevMaster(device) &&
      d.addresses.some((a) => a.prefix.address === address && (a.scope === Scope.UNIVERSE || d === device)),
  );
}
