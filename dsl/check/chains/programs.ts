/**
 * Programs: hook, device, order and policy.
 *
 *   xdp              one a device, of those that frames come in by from outside: veth and dummy
 *   tc ingress, tc egress   any number, any device
 */
import { ifIndex } from "../../../runtime/brand.ts";
import type { ProgramHook } from "../../../runtime/hooks.ts";
import type { Name } from "../../ast.ts";
import type * as Nft from "../../chain-ast.ts";
import { type Decision, programId, type TableFamily } from "../../chain-model.ts";
import type { Device } from "../../model.ts";
import { requireDevice } from "../names.ts";
import { filterRule } from "./rules.ts";
import { type FilterDraft, isProgramHook, type RuleScope, type TableScope } from "./scope.ts";
import { decision } from "./verdicts.ts";

export const programHook = ({ hook: { value } }: Nft.Program): ProgramHook | undefined => {
  const hook = value as ProgramHook;
  return isProgramHook(hook) ? hook : undefined;
};

export function addProgram(scope: TableScope, family: TableFamily, node: Nft.Program): void {
  const { report, net, programs } = scope.draft;
  const hook = programHook(node);
  if (hook === undefined) {
    report.error("E0400", node.hook.span, `a program cannot stand on \`${node.hook.value}\``, {
      label: "`xdp`, `tc ingress` or `tc egress`",
    });
    return;
  }
  const before = programs.find((program) => program.name === node.name.value);
  if (before !== undefined) {
    report.error("E0412", node.name.span, `program \`${node.name.value}\` is defined twice`, {
      secondary: before.origin.span ? [{ span: before.origin.span, message: "the first time" }] : [],
    });
    return;
  }
  const device = requireDevice(net, node.device, report);
  const program = hook === "xdp" ? "xdp" : "tc";
  const rule: RuleScope = { table: scope, family, hooks: new Set([hook]), base: true, program };
  const rules = node.rules.map((one) => filterRule(rule, one));
  const policy = node.policy === undefined ? null : policyOf(rule, node.policy);
  const priority = priorityOf(scope.draft, hook, node.priority);
  if (device === undefined || priority === null) return;
  if (hook === "xdp" && !fitsXdp(scope.draft, node, device)) return;
  programs.push({
    id: programId(programs.length),
    name: node.name.value,
    hook,
    device: ifIndex(device.ifindex),
    priority,
    rules,
    policy,
    origin: { span: node.span },
  });
}

/** Null after an error, which keeps the text from being run. */
function policyOf(rule: RuleScope, word: Name): Decision | null {
  const policy = decision(rule, { word, span: word.span });
  if (policy === null || policy.kind === "xdp" || policy.kind === "tc") return policy;
  rule.table.draft.report.error("E0410", word.span, `\`${word.value}\` is no policy`, {
    label: "a policy says what becomes of the packet",
  });
  return null;
}

/** What tc gives the first filter without a `prio` (tcf_auto_prio). */
const TC_PRIORITY = 0xc000;
const TC_PRIORITY_MAX = 0xffff;

/** Null after an error. */
function priorityOf({ report }: FilterDraft, hook: ProgramHook, said: Name | undefined): number | null {
  if (said === undefined) return hook === "xdp" ? 0 : TC_PRIORITY;
  if (hook === "xdp") {
    report.error("E0400", said.span, "an XDP program has no priority", { label: "there is one a device" });
    return null;
  }
  const priority = /^\d+$/.test(said.value) ? Number(said.value) : 0;
  if (priority >= 1 && priority <= TC_PRIORITY_MAX) return priority;
  report.error("E0400", said.span, `\`${said.value}\` is no priority of a tc program`, {
    label: `1 to ${TC_PRIORITY_MAX}; lower ones run first`,
  });
  return null;
}

function fitsXdp(
  { report, programs }: FilterDraft,
  node: Nft.Program,
  device: Pick<Device, "ifindex" | "kind" | "name">,
): boolean {
  if (device.kind === "loopback" || device.kind === "vrf") {
    report.error("E0400", node.device.span, `no frame comes in by \`${device.name}\` from outside`, {
      label: "XDP programs stand on veth and dummy devices; tc programs on all",
    });
    return false;
  }
  const other = programs.find((program) => program.hook === "xdp" && program.device === device.ifindex);
  if (other === undefined) return true;
  report.error("E0400", node.device.span, `\`${device.name}\` has an XDP program already`, {
    secondary: other.origin.span ? [{ span: other.origin.span, message: "the first one" }] : [],
    kernel: "Error: XDP program already attached.",
  });
  return false;
}
