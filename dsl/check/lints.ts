/** Remarks about what Linux accepts and few people mean. Each is precise: no remark on a network that is meant as it is. */

import type { TableId } from "../../runtime/brand.ts";
import type { DeviceSpec } from "./devices.ts";
import type { DeviceDraft, NetDraft, RuleDraft } from "./draft.ts";
import type { Reporter } from "./report.ts";
import { indentAt, insertAt } from "./report.ts";

/** Kernel documentation, Documentation/networking/vrf.rst step 3: the metric that loses against every other. */
const LAST_METRIC = 4278198272;

export function lint(net: NetDraft, specs: Map<string, DeviceSpec>, report: Reporter): void {
  for (const vrf of net.devices.filter((d) => d.kind === "vrf")) {
    lintFallThrough(net, vrf, specs.get(vrf.name)!, report);
    lintDownVrf(net, vrf, report);
  }
}

/**
 * A VRF table without a default route: what it does not know goes on to the rules behind the l3mdev rule, usually to `main`.
 * Only said of a VRF with slaves, and where the next rule that takes every packet looks up another table.
 */
function lintFallThrough(net: NetDraft, vrf: DeviceDraft, spec: DeviceSpec, report: Reporter): void {
  const slaves = net.devices.some((d) => d.master === vrf.ifindex);
  if (!slaves || net.fib.at(vrf.table, { address: 0, length: 0 }).length > 0) return;
  const table = fallThroughTable(net);
  if (table === undefined || table === vrf.table) return;
  const into = net.tableNames.get(table) ?? `table ${table}`;
  const block = spec.blocks[0];
  const line = `route unreachable default vrf ${vrf.name} metric ${LAST_METRIC}`;
  const edit = insertAt(block.span.end, `\n${indentAt(report.source, block.span.start)}${line}`);
  report.note(
    "W0310",
    spec.name.span,
    `VRF \`${vrf.name}\` has no default route: what its table ${vrf.table} lacks is looked up in \`${into}\``,
    {
      label: `leaks into ${into}`,
      help: [{ message: `end the VRF's table with an unreachable default: \`${line}\``, edit }],
    },
  );
}

/** The table that everything in a VRF is looked up in after the VRF's own; undefined when that ends otherwise. */
function fallThroughTable(net: NetDraft): TableId | undefined {
  const l3mdev = net.rules[4].findIndex((r) => r.l3mdev && r.action.kind === "lookup");
  if (l3mdev < 0) return undefined;
  const next = net.rules[4].slice(l3mdev + 1).find((r) => takesAll(r) && r.action.kind !== "nop");
  return next?.action.kind === "lookup" ? (next.action.table ?? undefined) : undefined;
}

/** No selector but, at most, `l3mdev`, which every packet of a VRF meets. */
const takesAll = (rule: RuleDraft): boolean =>
  !rule.not &&
  [rule.from, rule.to, rule.iif, rule.oif, rule.fwmark, rule.sport, rule.dport, rule.uidrange].every(
    (s) => s === null,
  ) &&
  rule.tos === 0 &&
  rule.ipproto === 0;

/** Replies and everything else that the host itself sends in a VRF needs the VRF device up (`ip_route_output_key`: IFF_UP). */
function lintDownVrf(net: NetDraft, vrf: DeviceDraft, report: Reporter): void {
  if (vrf.up || !net.devices.some((d) => d.master === vrf.ifindex && d.up)) return;
  report.warning("W0311", vrf.nameSpan!, `VRF \`${vrf.name}\` is down: this host cannot send in it, not even replies`, {
    label: "down, its slaves are up",
  });
}
