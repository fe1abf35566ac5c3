/**
 * Next hops: does the gateway lie on a link, through which device, and what would be the source address? The kernel's
 * `fib_check_nh` (IPv4) and `ip6_validate_gw` (IPv6), with its words beside ours.
 */
import type { TableId } from "../../runtime/brand.ts";
import { NO_DEVICE, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Ip } from "../../runtime/net/ip.ts";
import { familyOf, formatIp } from "../../runtime/net/ip.ts";
import type { Hop } from "../ast.ts";
import type { Help } from "../diagnostic.ts";
import type { NextHop } from "../model.ts";
import { Scope } from "../model.ts";
import type { Span } from "../span.ts";
import { ownerOf } from "./addresses.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { deviceByIndex, l3mdevMaster, l3mdevTable, noAddress } from "./draft.ts";
import type { Answer, Hit } from "./lookup.ts";
import { addrType, isHit, ownAddress6, rulesLookup, tableLookup } from "./lookup.ts";
import { requireDevice } from "./names.ts";
import type { Reporter } from "./report.ts";
import { insertAt } from "./report.ts";
import { inetSelectAddr } from "./select-addr.ts";

/** The route that a next hop is for. */
export interface HopContext {
  readonly net: NetDraft;
  readonly family: Family;
  readonly table: TableId;
  readonly scope: Scope;
  readonly report: Reporter;
  /** Where the hop is, when it says nothing of its own (`route 10.0.0.0/8`). */
  readonly span: Span;
}

/** The next hop with its device and source found; undefined after an error. */
export function checkHop(context: HopContext, hop: Hop): NextHop | undefined {
  const { net, report } = context;
  const device = hop.dev && requireDevice(net, hop.dev, report);
  if (hop.dev && device === undefined) return undefined;
  if (hop.weight && !(Number.isInteger(hop.weight.value) && hop.weight.value >= 1 && hop.weight.value <= 256)) {
    report.error("E0230", hop.weight.span, `weight ${hop.weight.value} is out of range`, {
      label: "1 to 256",
      kernel: `Error: argument "${hop.weight.value}" is wrong: "weight" is invalid`,
    });
    return undefined;
  }
  if (hop.dead) return checkDead(context, hop, device);
  // Kernel: rtm_to_fib_config: the gateway 0.0.0.0 is none.
  if (hop.via === undefined || hop.via.value === 0) return checkLink(context, hop, device);
  return familyOf(hop.via.value) === 4 ? checkGateway4(context, hop, device) : checkGateway6(context, hop, device);
}

function nexthop({ net, family, scope }: HopContext, hop: Hop, device: DeviceDraft, own: Scope): NextHop {
  const gateway = hop.via?.value || null;
  return {
    device: device.ifindex,
    gateway,
    weight: hop.weight?.value ?? 1,
    onlink: hop.onlink ?? false,
    scope: own,
    dead: hop.dead ?? false,
    source: family === 4 ? inetSelectAddr(net, device, selectTowards(gateway), scope) : noAddress(6),
  };
}

/** `fib_info_update_nhc_saddr` reads the gateway as IPv4 whatever it is: of an IPv6 one, its first four bytes. */
function selectTowards(gateway: Ip | null): number {
  if (gateway === null) return 0;
  return typeof gateway === "number" ? gateway : Number(gateway >> 96n);
}

/** What was checked when its device was up, and is kept for the other next hops of its route (`fib_sync_down_dev`). */
function checkDead(context: HopContext, hop: Hop, device: DeviceDraft | undefined): NextHop | undefined {
  if (device !== undefined) return nexthop(context, hop, device, hop.via ? Scope.LINK : Scope.HOST);
  context.report.error("E0231", hop.span, "a dead next hop does not say which device was taken down", {
    label: "`dev DEVICE` is missing",
  });
  return undefined;
}

/** Kernel: `fib_check_nh_nongw` and the device part of `fib6_nh_init`. */
function checkLink(context: HopContext, hop: Hop, device: DeviceDraft | undefined): NextHop | undefined {
  const { family, report, scope, span } = context;
  if (device === undefined) {
    report.error("E0231", span, "the route leads nowhere: neither a gateway nor a device", {
      label: "`via ADDRESS` or `dev DEVICE` is missing",
      kernel: "RTNETLINK answers: No such device",
    });
    return undefined;
  }
  if (family === 4 && hop.onlink) {
    report.error("E0232", hop.span, "`onlink` is about a gateway, and there is none", {
      label: "no `via` here",
      kernel: "Error: Invalid flags for nexthop - PERVASIVE and ONLINK can not be set.",
    });
    return undefined;
  }
  // Kernel: fib_create_info: a route of scope host ends here, its device may be down.
  if (family === 4 && scope === Scope.HOST) return nexthop(context, hop, device, Scope.NOWHERE);
  const kernel = family === 4 ? "Error: Device for nexthop is not up." : "Error: Nexthop device is not up.";
  if (!checkDevice(context, hop, device, kernel)) return undefined;
  return nexthop(context, hop, device, family === 4 ? Scope.HOST : Scope.UNIVERSE);
}

/** The device of a next hop is up and, for IPv6, has IPv6. */
function checkDevice({ family, report, span }: HopContext, hop: Hop, device: DeviceDraft, kernel: string): boolean {
  const at = hop.dev?.span ?? hop.via?.span ?? span;
  if (family === 6 && !device.ipv6) {
    report.error("E0233", at, `IPv6 is switched off on \`${device.name}\``, {
      label: "disable_ipv6 is set",
      kernel: "Error: IPv6 is disabled on nexthop device.",
    });
    return false;
  }
  if (device.up) return true;
  report.error("E0234", at, `\`${device.name}\` is down, no route can lead through it`, {
    label: "down",
    secondary: device.nameSpan ? [{ span: device.nameSpan, message: `\`${device.name}\` is defined here` }] : [],
    kernel,
  });
  return false;
}

/** Kernel: `fib_check_nh_v4_gw`. */
function checkGateway4(context: HopContext, hop: Hop, device: DeviceDraft | undefined): NextHop | undefined {
  const { net, family, table, report } = context;
  const gateway = hop.via!.value as number;
  if (family === 6) {
    report.error("E0235", hop.via!.span, "an IPv6 route cannot have an IPv4 gateway", {
      label: "IPv4",
      kernel: "Error: IPv6 does not support RTA_VIA attribute.",
    });
    return undefined;
  }
  if (hop.onlink) return checkOnlink4(context, hop, device);
  // The gateway must be nearer than the route: on a link or on this host.
  const scope = Math.max(context.scope + 1, Scope.LINK) as Scope;
  const flow = { destination: gateway, oif: device?.ifindex ?? NO_DEVICE, scope };
  let answer: Answer = table !== RT_TABLE_MAIN && net.fib.has(4, table) ? tableLookup(net, table, flow) : "again";
  if (!isHit(answer)) answer = rulesLookup(net, flow);
  if (!isHit(answer) || (answer.route.type !== "unicast" && answer.route.type !== "local")) {
    return badGateway(context, hop, device);
  }
  const egress = deviceByIndex(net, answer.nexthop.device)!;
  if (!egress.up) {
    checkDevice(context, hop, egress, "RTNETLINK answers: Network is down");
    return undefined;
  }
  return nexthop(context, hop, egress, answer.route.scope);
}

function checkOnlink4(context: HopContext, hop: Hop, device: DeviceDraft | undefined): NextHop | undefined {
  const { net, report, scope } = context;
  if (scope >= Scope.LINK) {
    report.error("E0232", hop.span, "a route of scope link or nearer cannot have an `onlink` gateway", {
      kernel: "Error: Nexthop has invalid scope.",
    });
    return undefined;
  }
  if (!onlinkDevice(context, hop, device)) return undefined;
  const type = addrType(net, hop.via!.value as number, l3mdevTable(net, device) || RT_TABLE_LOCAL);
  if (type !== "unicast") return badGateway(context, hop, device);
  return nexthop(context, hop, device, Scope.LINK);
}

/** `onlink` needs a device, and that up. */
function onlinkDevice(context: HopContext, hop: Hop, device: DeviceDraft | undefined): device is DeviceDraft {
  if (device !== undefined) return checkDevice(context, hop, device, "Error: Nexthop device is not up.");
  context.report.error("E0232", hop.span, "`onlink` needs the device on whose link the gateway is", {
    label: "`dev DEVICE` is missing",
    kernel: "Error: Nexthop device required for onlink.",
  });
  return false;
}

/** "Nexthop has invalid gateway", and what would make it valid. */
function badGateway(context: HopContext, hop: Hop, device: DeviceDraft | undefined): undefined {
  const { net, table, report } = context;
  const { value: gateway, span } = hop.via!;
  const through = device ? ` through \`${device.name}\`` : "";
  const what = kindOfAddress(net, gateway);
  const where = `no connected route in table ${net.tableNames.get(table) ?? table}, nor by the rules`;
  report.error("E0236", span, `gateway ${formatIp(gateway)} is not on a link${through}`, {
    label: what ?? (device?.up === false ? `\`${device.name}\` is down` : where),
    kernel: typeof gateway === "number" ? "Error: Nexthop has invalid gateway." : "RTNETLINK answers: No route to host",
    help: what === undefined && device?.up !== false ? gatewayHelp(net, hop, device) : [],
  });
  return undefined;
}

/** An address that is never a gateway, whatever the routes say. */
function kindOfAddress(net: NetDraft, ip: Ip): string | undefined {
  if (typeof ip !== "number") return undefined;
  const tables = new Set(net.devices.map((d) => l3mdevTable(net, d) || RT_TABLE_LOCAL));
  const types = [...tables].map((table) => addrType(net, ip, table));
  if (types.includes("multicast")) return "a multicast address";
  return types.includes("broadcast") && types.every((t) => t !== "local") ? "a broadcast address" : undefined;
}

/** The device that has the gateway on its link, if any; else `onlink` for the device that was named. */
function gatewayHelp(net: NetDraft, hop: Hop, device: DeviceDraft | undefined): Help[] {
  const gateway = hop.via!;
  const near = net.devices.find((d) => onLink(net, d, gateway.value));
  if (near === undefined) {
    if (device === undefined || hop.onlink) return [];
    const edit = insertAt(hop.dev!.span.end, " onlink");
    return [{ message: `if it is on \`${device.name}\`'s link all the same, say \`onlink\``, edit }];
  }
  if (device !== undefined) {
    return device === near
      ? []
      : [{ message: `it is on \`${near.name}\``, edit: { span: hop.dev!.span, text: near.name } }];
  }
  const vrf = deviceByIndex(net, l3mdevMaster(near));
  const remedy = vrf ? `, in VRF \`${vrf.name}\`: name the device, or route in the VRF's table` : ": name the device";
  const message = `${formatIp(gateway.value)} is on \`${near.name}\`${remedy}`;
  return [{ message, edit: insertAt(gateway.span.end, ` dev ${near.name}`) }];
}

/** A connected route of the device holds the address. */
const onLink = (net: NetDraft, device: DeviceDraft, ip: Ip): boolean => {
  const table = l3mdevTable(net, device) || RT_TABLE_MAIN;
  const answer = tableLookup(net, table, { destination: ip, oif: device.ifindex, scope: Scope.LINK });
  return isHit(answer) && answer.route.protocol === "kernel" && answer.route.type === "unicast";
};

const isLinkLocal = (ip: bigint): boolean => ip >> 118n === 0x3fan;

/** Kernel: `ip6_validate_gw`; also for the IPv6 gateway of an IPv4 route (`fib_check_nh_v6_gw`). */
function checkGateway6(context: HopContext, hop: Hop, given: DeviceDraft | undefined): NextHop | undefined {
  const { net, report } = context;
  const gateway = hop.via!.value as bigint;
  const at = hop.via!.span;
  if (hop.onlink && !onlinkDevice(context, hop, given)) return undefined;
  const isLoopback = gateway === 1n && given !== undefined && l3mdevMaster(given) === NO_DEVICE;
  if (isLoopback || (given && ownAddress6(net, gateway, given))) return localGateway(context, hop);
  if (gateway === 0n || gateway >> 120n === 0xffn) {
    report.error("E0236", at, `${formatIp(gateway)} cannot be a gateway`, {
      label: gateway === 0n ? "the unspecified address" : "a multicast address",
      kernel: "Error: Invalid gateway address.",
    });
    return undefined;
  }
  const device = isLinkLocal(gateway)
    ? given
    : hop.onlink
      ? onlink6(context, hop, given!)
      : gatewayDevice6(context, hop, given);
  if (device === "reported") return undefined;
  if (device === undefined) {
    report.error("E0237", at, `on which link is ${formatIp(gateway)}? Every link has fe80::/64`, {
      label: "`dev DEVICE` is missing",
      kernel: "Error: Egress device not specified.",
    });
    return undefined;
  }
  if (device.kind === "loopback") {
    report.error("E0238", hop.dev?.span ?? at, "`lo` leads to no gateway", {
      kernel: "Error: Egress device can not be loopback device for this route.",
    });
    return undefined;
  }
  if (!given && ownAddress6(net, gateway, device)) return localGateway(context, hop);
  if (!checkDevice({ ...context, family: 6 }, hop, device, "Error: Nexthop device is not up.")) return undefined;
  return nexthop(context, hop, device, context.family === 4 ? Scope.LINK : Scope.UNIVERSE);
}

function localGateway({ net, report }: HopContext, hop: Hop): undefined {
  const owner = ownerOf(net, hop.via!.value);
  const origin = owner?.addresses.find((a) => a.prefix.address === hop.via!.value)?.origin.span;
  report.error("E0239", hop.via!.span, `${formatIp(hop.via!.value)} is this host's own address`, {
    label: "a gateway is somebody else",
    secondary: origin ? [{ span: origin, message: `\`${owner!.name}\` has it` }] : [],
    kernel: "Error: Gateway can not be a local address.",
  });
  return undefined;
}

/** Routes of one prefix and metric, among which the device decides. */
const isSameGroup = ({ route: a }: Hit, { route: b }: Hit): boolean =>
  a.prefix.length === b.prefix.length && a.metric === b.metric;

/** Kernel: `ip6_route_check_nh_onlink`: nothing more specific than the default route may lead elsewhere. */
function onlink6(context: HopContext, hop: Hop, device: DeviceDraft): DeviceDraft | "reported" {
  const { net } = context;
  const table = l3mdevTable(net, device) || RT_TABLE_MAIN;
  // The device is preferred, not demanded: a longer prefix by another one is found.
  const flow = { destination: hop.via!.value, scope: Scope.UNIVERSE };
  const found = tableLookup(net, table, { ...flow, oif: NO_DEVICE });
  const preferred = tableLookup(net, table, { ...flow, oif: device.ifindex });
  const answer = isHit(found) && isHit(preferred) && isSameGroup(found, preferred) ? preferred : found;
  const elsewhere =
    isHit(answer) &&
    answer.route.prefix.address !== 0n &&
    (answer.route.type !== "unicast" || answer.nexthop.device !== device.ifindex);
  if (!elsewhere) return device;
  badGateway(context, hop, device);
  return "reported";
}

/** Kernel: `ip6_route_check_nh`: the device of the route to the gateway, which must not need a gateway itself. */
function gatewayDevice6(context: HopContext, hop: Hop, given: DeviceDraft | undefined): DeviceDraft | "reported" {
  const { net, table } = context;
  const flow = { destination: hop.via!.value, oif: given?.ifindex ?? NO_DEVICE, scope: Scope.UNIVERSE };
  const direct = (answer: Answer) => isHit(answer) && answer.nexthop.gateway === null;
  let answer = tableLookup(net, table, flow);
  if (!direct(answer)) answer = rulesLookup(net, flow);
  const device =
    isHit(answer) && answer.nexthop.gateway === null ? deviceByIndex(net, answer.nexthop.device) : undefined;
  if (device !== undefined && (given === undefined || device === given)) return device;
  badGateway(context, hop, given);
  return "reported";
}
