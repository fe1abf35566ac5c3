/** From draft to model: ids given, `goto` targets found, nothing left to change. */
import { routeId, ruleId } from "../../runtime/brand.ts";
import { type Net, type NextHop, type Route, type Rule, type RuleAction, Scope } from "../model.ts";
import type { RouteColumns, SaidRoute } from "../route-columns.ts";
import { type DeviceDraft, deviceByIndex, type NetDraft, type RuleDraft } from "./draft.ts";

export function finishNet(net: NetDraft): Net {
  const routes = finishRoutes(net);
  return {
    name: net.name,
    index: net.index,
    devices: net.devices.map(finishDevice),
    routes,
    columns: finishColumns(net, routes.length),
    rules: finishRules([...net.rules[4], ...net.rules[6]]),
    tableNames: net.tableNames,
    neighbours: [...net.neighbours.values()],
    sysctl: net.sysctl,
    netfilter: net.netfilter,
  };
}

/** The drafts become the routes: there may be a million of them. */
function finishRoutes(net: NetDraft): Route[] {
  const drafts: { -readonly [Field in keyof Route]?: Route[Field] }[] = [];
  for (const draft of net.fib) drafts.push(Object.assign(draft, { nexthops: finishHops(net, draft) }));
  for (const [i, draft] of drafts.entries()) draft.id = routeId(i);
  return drafts as Route[];
}

/** @param first the id of the first row */
function finishColumns(net: NetDraft, first: number): RouteColumns[] {
  let next = first;
  return net.fib.allRows().flatMap(([table, rows]) => {
    const sayings = rows.sayings.map((said) => ({ ...said, nexthops: finishHops(net, said) }));
    const columns = rows.finish(table, routeId(next), sayings);
    next += columns.lengths.length;
    return columns.lengths.length === 0 ? [] : [columns];
  });
}

/**
 * Where ignore_routes_with_linkdown is set, a next hop without a carrier is as good as dead (`fib_lookup_good_nhc`,
 * `rt6_find_match`). Only here: the checks of a gateway look through it (FIB_LOOKUP_IGNORE_LINKSTATE).
 */
function finishHops(net: NetDraft, route: SaidRoute): readonly NextHop[] {
  if (!route.nexthops.some((hop) => isLinkdown(net, route, hop))) return route.nexthops;
  const ignored = route.nexthops.map((hop) => isLinkdown(net, route, hop));
  return route.nexthops.map((hop, i) => (ignored[i] ? { ...hop, dead: true } : hop));
}

/** Host-scope routes (`fib_create_info`), local and anycast ones (`fib6_nh_init`) need no carrier. */
function isLinkdown(net: NetDraft, { family, type, scope }: SaidRoute, hop: NextHop): boolean {
  const device = deviceByIndex(net, hop.device);
  if (device === undefined || device.carrier) return false;
  if (family === 4) return scope !== Scope.HOST && device.conf.ignoreRoutesWithLinkdown;
  return type !== "local" && type !== "anycast" && device.ignoreLinkdown6;
}

function finishDevice({
  nameSpan: _nameSpan,
  ipv6: _ipv6,
  carrier: _carrier,
  ignoreLinkdown6: _ignoreLinkdown6,
  ...device
}: DeviceDraft): Net["devices"][number] {
  return device;
}

/** IPv4 first; within a family as tried. A `goto` leads to the first rule of its preference, which must come after it. */
function finishRules(drafts: readonly RuleDraft[]): Rule[] {
  const targetOf = (rule: RuleDraft, pref: number) =>
    drafts.findIndex((r) => r.family === rule.family && r.pref === pref);
  const actionOf = (rule: RuleDraft): RuleAction => {
    if (rule.action.kind !== "goto") return rule.action;
    const target = targetOf(rule, rule.action.pref);
    return { ...rule.action, target: target < 0 ? null : ruleId(target) };
  };
  return drafts.map((rule, i) => ({ ...rule, id: ruleId(i), action: actionOf(rule) }));
}
