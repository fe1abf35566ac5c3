/** Nexthop objects: `nexthop 7 via 10.0.0.1 dev eth0`, `nexthop 8 blackhole`, `nexthop 9 group 7/8,2` (kernel net/ipv4/nexthop.c). */
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { familyOf } from "../../runtime/net/ip.ts";
import type { NextHopObject } from "../ast.ts";
import type { NextHop } from "../model.ts";
import { Scope } from "../model.ts";
import type { NetDraft, NextHopObjectDraft } from "./draft.ts";
import { deviceByName, l3mdevTable } from "./draft.ts";
import { definedAt } from "./names.ts";
import { checkHop } from "./nexthops.ts";
import type { Reporter } from "./report.ts";

export function addNextHopObject(net: NetDraft, object: NextHopObject, report: Reporter): void {
  const id = object.id.value;
  const earlier = net.nexthops.get(id);
  if (id < 1 || id > 0xffffffff) {
    report.error("E0270", object.id.span, `nexthop id ${id} is out of range`, { label: "1 to 4294967295" });
    return;
  }
  if (earlier !== undefined) {
    report.error("E0271", object.id.span, `nexthop ${id} is defined twice`, {
      label: "defined again",
      ...definedAt(earlier.span, "first defined here"),
      kernel: "RTNETLINK answers: File exists",
    });
    return;
  }
  const draft = object.group ? groupOf(net, object, report) : singleOf(net, object, report);
  if (draft) net.nexthops.set(id, draft);
}

function singleOf(net: NetDraft, object: NextHopObject, report: Reporter): NextHopObjectDraft | undefined {
  const base = { id: object.id.value, group: false, span: object.id.span };
  const hop = object.hop;
  const family = object.family?.value ?? (hop?.via ? familyOf(hop.via.value) : 4);
  if (object.blackhole) {
    if (hop === undefined) return { ...base, family, nexthops: [], blackhole: true };
    report.error("E0272", hop.span, "a blackhole next hop has no gateway and no device", {
      kernel: "Error: Blackhole attribute can not be used with gateway, oif, encap or fdb.",
    });
    return undefined;
  }
  if (hop?.dev === undefined) {
    report.error("E0272", object.span, `nexthop ${base.id} has no device`, {
      label: "`dev DEVICE` is missing",
      kernel: hop?.via
        ? "Error: Device attribute required for non-blackhole and non-fdb nexthops."
        : "Error: Invalid address family.",
    });
    return undefined;
  }
  const device = deviceByName(net, hop.dev.value);
  // Kernel: nh_create_ipv4, nh_create_ipv6: in the table of the device's VRF, with scope universe, or link without a gateway.
  const table = (device && l3mdevTable(net, device)) || RT_TABLE_MAIN;
  const scope = hop.via ? Scope.UNIVERSE : Scope.LINK;
  if (device && !device.up) {
    report.error("E0234", hop.dev.span, `\`${device.name}\` is down, nothing can lead through it`, {
      label: "down",
      ...definedAt(device.nameSpan, `\`${device.name}\` is defined here`),
      kernel: "Error: Nexthop device is not up.",
    });
    return undefined;
  }
  if (hop.onlink && hop.via === undefined) {
    report.error("E0232", hop.span, "`onlink` is about a gateway, and there is none", {
      label: "no `via` here",
      kernel: "Error: ONLINK flag can not be set for nexthop without a gateway.",
    });
    return undefined;
  }
  const nexthop = checkHop({ net, family, table, scope, report, span: object.span }, hop);
  return nexthop && { ...base, family, nexthops: [family === 6 ? onLink(nexthop) : nexthop], blackhole: false };
}

/** Kernel: `nexthop_create` starts with scope link, and only IPv4 sets its own: an IPv4 route asks the IPv6 gateway for its link. */
const onLink = (nexthop: NextHop): NextHop => ({ ...nexthop, scope: Scope.LINK });

function groupOf(net: NetDraft, object: NextHopObject, report: Reporter): NextHopObjectDraft | undefined {
  const members = object.group!.map(({ id, weight }) => ({ id, weight, member: net.nexthops.get(id.value) }));
  let valid = true;
  for (const [i, { id, member, weight }] of members.entries()) {
    const twice = members.findIndex((m) => m.id.value === id.value) < i;
    const refusal = twice ? TWICE : refusalOf(member, weight, members.length);
    if (refusal === undefined) continue;
    valid = false;
    report.error("E0273", id.span, `nexthop ${id.value} cannot be in this group: ${refusal.why}`, {
      ...definedAt(member?.span, "defined here"),
      kernel: refusal.kernel,
    });
  }
  if (!valid) return undefined;
  const nexthops = members.flatMap(({ member, weight }) => member!.nexthops.map((n): NextHop => ({ ...n, weight })));
  const family = members.every((m) => m.member!.family === 6) ? 6 : 4;
  const blackhole = members.some((m) => m.member!.blackhole);
  return { id: object.id.value, family, nexthops, blackhole, group: true, span: object.id.span };
}

const TWICE = { why: "it is in the group already", kernel: "Error: Nexthop id can not be used twice in a group." };

/** Kernel: `nh_check_attr_group`, `valid_group_nh`. */
function refusalOf(
  member: NextHopObjectDraft | undefined,
  weight: number,
  size: number,
): { why: string; kernel: string } | undefined {
  if (member === undefined) return { why: "it is not defined above", kernel: "Error: Invalid nexthop id." };
  if (member.group)
    return { why: "it is a group itself", kernel: "Error: Hash-threshold group can not be a nexthop within a group." };
  if (member.blackhole && size > 1) {
    return {
      why: "it is a blackhole",
      kernel: "Error: Blackhole nexthop can not be used in a group with more than 1 path.",
    };
  }
  if (weight < 1 || weight > 256)
    return {
      why: `its weight ${weight} is not 1 to 256`,
      kernel: `Error: argument "${weight}" is wrong: "weight" is invalid`,
    };
  return undefined;
}
