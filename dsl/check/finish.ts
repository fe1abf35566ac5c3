/** From draft to model: ids given, `goto` targets found, nothing left to change. */
import { routeId, ruleId } from "../../runtime/brand.ts";
import type { Net, Rule, RuleAction } from "../model.ts";
import type { DeviceDraft, NetDraft, RuleDraft } from "./draft.ts";

export function finishNet(net: NetDraft): Net {
  return {
    name: net.name,
    index: net.index,
    devices: net.devices.map(finishDevice),
    routes: [...net.fib].map((route, i) => ({ id: routeId(i), ...route })),
    rules: finishRules([...net.rules[4], ...net.rules[6]]),
    tableNames: net.tableNames,
    neighbours: net.neighbours,
    sysctl: net.sysctl,
    netfilter: net.netfilter,
  };
}

function finishDevice({ nameSpan: _nameSpan, ipv6: _ipv6, ...device }: DeviceDraft): Net["devices"][number] {
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
