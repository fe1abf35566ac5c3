/** Remarks about what Linux accepts and few people mean. Each is precise: no remark on a network that is meant as it is. */

import type { DeviceSpec } from "./devices.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
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
 * A VRF table without a default route: what it does not know is looked up in `main`, by the rules behind the l3mdev rule.
 * Only where that happens: the table has a route, the l3mdev rule stands, and `main` is asked after it.
 */
function lintFallThrough(net: NetDraft, vrf: DeviceDraft, spec: DeviceSpec, report: Reporter): void {
  const rules = net.rules[4];
  const l3mdev = rules.findIndex((r) => r.l3mdev && r.action.kind === "lookup");
  const later = rules.slice(l3mdev + 1);
  const falls = l3mdev >= 0 && later.some((r) => r.action.kind === "lookup" && r.action.table !== vrf.table);
  const slaves = net.devices.some((d) => d.master === vrf.ifindex);
  if (!falls || !slaves || net.fib.at(vrf.table, { address: 0, length: 0 }).length > 0) return;
  const block = spec.blocks[0];
  const line = `route unreachable default vrf ${vrf.name} metric ${LAST_METRIC}`;
  report.note(
    "W0310",
    spec.name.span,
    `VRF \`${vrf.name}\` has no default route: what its table ${vrf.table} lacks is looked up in \`main\``,
    {
      label: "leaks into main",
      help: [
        {
          message: `end the VRF's table with an unreachable default: \`${line}\``,
          edit: insertAt(block.span.end, `\n${indentAt(report.source, block.span.start)}${line}`),
        },
      ],
    },
  );
}

/** Replies and everything else that the host itself sends in a VRF needs the VRF device up (`ip_route_output_key`: IFF_UP). */
function lintDownVrf(net: NetDraft, vrf: DeviceDraft, report: Reporter): void {
  if (vrf.up || !net.devices.some((d) => d.master === vrf.ifindex && d.up)) return;
  report.warning("W0311", vrf.nameSpan!, `VRF \`${vrf.name}\` is down: this host cannot send in it, not even replies`, {
    label: "down, its slaves are up",
  });
}
