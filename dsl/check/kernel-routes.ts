/**
 * Routes that the kernel makes by itself for every address, in the VRF's table for a slave or the VRF device, else in
 * `local` and `main`.
 *
 *   IPv4, fib_add_ifaddr of 10.0.0.1/24       local 10.0.0.1 | broadcast 10.0.0.255 | 10.0.0.0/24 scope link src 10.0.0.1
 *   IPv6, addrconf of 2001:db8::1/64          local 2001:db8::1 | 2001:db8::/64 | anycast 2001:db8:: when forwarding
 *   IPv6, addrconf_add_mroute, per device     multicast ff00::/8
 */
import type { TableId } from "../../runtime/brand.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Ip, Prefix } from "../../runtime/net/ip.ts";
import { familyOf, formatPrefix, lastAddress, network } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import type { NextHop } from "../model.ts";
import { Scope } from "../model.ts";
import type { AddressDraft, AssignedAddress } from "./addresses.ts";
import { fullLength } from "./addresses.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { hasCarrier, kernelOrigin, l3mdevTable, noAddress } from "./draft.ts";
import type { RouteDraft } from "./fib.ts";
import { inetSelectAddr } from "./select-addr.ts";

/** Metric of IPv6 routes made by address configuration (kernel: `IP6_RT_PRIO_ADDRCONF`). */
const IP6_RT_PRIO_ADDRCONF = 256;
const MULTICAST6: Prefix = { address: 0xffn << 120n, length: 8 };

export function addKernelRoutes(nets: readonly NetDraft[], net: NetDraft, assigned: readonly AssignedAddress[]): void {
  const byDevice = new Map<DeviceDraft, AssignedAddress[]>(net.devices.map((device) => [device, []]));
  for (const address of assigned) byDevice.get(address.device)?.push(address);
  for (const [device, own] of byDevice) {
    for (const a of own) if (familyOf(a.address.prefix.address) === 4) addIfaddr(net, a);
    addrconf(
      nets,
      net,
      device,
      own.filter((a) => familyOf(a.address.prefix.address) === 6),
    );
  }
}

/** What a route made by the kernel has beyond its device. */
interface Made {
  readonly type: RouteType;
  readonly prefix: Prefix;
  readonly scope: Scope;
  readonly metric: number;
  readonly prefsrc: Ip | null;
  readonly table: TableId;
  readonly what: string;
}

/** Kernel: `fib_magic`: appended, unless the very same route is there. */
function make(net: NetDraft, device: DeviceDraft, address: AddressDraft | null, made: Made): void {
  const { type, prefix, scope, metric, prefsrc, table, what } = made;
  const family = familyOf(prefix.address);
  const same = net.fib
    .at(table, prefix)
    .some(
      (r) =>
        r.type === type && r.metric === metric && r.prefsrc === prefsrc && r.nexthops[0]?.device === device.ifindex,
    );
  if (same) return;
  const route: RouteDraft = {
    family,
    table,
    prefix,
    type,
    tos: 0,
    metric,
    scope,
    protocol: "kernel",
    prefsrc,
    nexthops: [nexthop(net, device, family === 4 ? scope : null)],
    mtu: null,
    origin: kernelOrigin(what, address?.origin.span ?? device.origin.span),
  };
  net.fib.append(route);
}

/** The one next hop of a kernel-made route: the device itself. `scope` is the route's, null for IPv6, which has none. */
function nexthop(net: NetDraft, device: DeviceDraft, scope: Scope | null): NextHop {
  return {
    device: device.ifindex,
    gateway: null,
    weight: 1,
    onlink: false,
    scope: scope === null ? Scope.UNIVERSE : scope === Scope.HOST ? Scope.NOWHERE : Scope.HOST,
    dead: false,
    source: scope === null ? noAddress(6) : inetSelectAddr(net, device, 0, scope),
  };
}

/** Kernel: net/ipv4/fib_frontend.c `fib_add_ifaddr`. */
function addIfaddr(net: NetDraft, { device, address, metric, prefixRoute }: AssignedAddress): void {
  const vrfTable = l3mdevTable(net, device);
  const local = vrfTable || RT_TABLE_LOCAL;
  const subnet: Prefix = { address: network(address.peer, address.prefix.length), length: address.prefix.length };
  const primary = address.secondary ? primaryOf(device, subnet) : address;
  const prefsrc = primary.prefix.address;
  const on = `${formatPrefix(address.prefix)} on ${device.name}`;
  const add = (made: Omit<Made, "prefsrc">) => make(net, device, address, { ...made, prefsrc });

  add({
    type: "local",
    prefix: fullLength(address.prefix.address),
    scope: Scope.HOST,
    metric: 0,
    table: local,
    what: `local address of ${on}`,
  });
  const zeronet = (subnet.address as number) >>> 24 === 0;
  const host = subnet.length === 32 && subnet.address === address.prefix.address;
  if (!device.up || zeronet || address.secondary || host) return;
  if (prefixRoute) {
    const loopback = device.kind === "loopback";
    add({
      type: loopback ? "local" : "unicast",
      prefix: subnet,
      // Kernel: fib_magic gives RTN_LOCAL the scope of the host.
      scope: loopback ? Scope.HOST : Scope.LINK,
      metric,
      table: vrfTable || (loopback ? RT_TABLE_LOCAL : RT_TABLE_MAIN),
      what: `connected route of ${on}`,
    });
  }
  if (subnet.length >= 31) return;
  const broadcast = { type: "broadcast", scope: Scope.LINK, metric: 0, table: local } as const;
  // Until 5.13 the lowest address of a subnet was a broadcast address too ("ip: Treat IPv4 segment's lowest address as unicast").
  if (net.kernel === "5.4")
    add({
      ...broadcast,
      prefix: fullLength(subnet.address),
      what: `network address of ${on}, broadcast until Linux 5.13`,
    });
  add({ ...broadcast, prefix: fullLength(lastAddress(subnet)), what: `broadcast address of ${on}` });
}

/** Kernel: `inet_ifa_byprefix`: the primary of the subnet. */
const primaryOf = (device: DeviceDraft, subnet: Prefix): AddressDraft =>
  device.addresses.find(
    (a) => !a.secondary && a.prefix.length === subnet.length && network(a.peer, subnet.length) === subnet.address,
  )!;

/** What all IPv6 routes of a device share. */
const MADE6 = { scope: Scope.UNIVERSE, prefsrc: null } as const;

/** Kernel: net/ipv6/addrconf.c, with duplicate address detection done (or switched off). */
function addrconf(
  nets: readonly NetDraft[],
  net: NetDraft,
  device: DeviceDraft,
  own: readonly AssignedAddress[],
): void {
  if (!device.ipv6) return;
  const linkless = device.kind === "loopback" || device.kind === "vrf";
  // addrconf_add_dev: when the carrier comes, or with the first address.
  if (device.up && !linkless && (hasCarrier(nets, device) || own.length > 0)) {
    make(net, device, null, {
      ...MADE6,
      type: "multicast",
      prefix: MULTICAST6,
      metric: IP6_RT_PRIO_ADDRCONF,
      table: l3mdevTable(net, device) || RT_TABLE_LOCAL,
      what: `IPv6 multicast on ${device.name}`,
    });
  }
  for (const assigned of own) {
    addConnected6(net, assigned);
    addLocal6(net, assigned);
  }
}

/** Kernel: `addrconf_prefix_route`, refused while the device is down. */
function addConnected6(net: NetDraft, { device, address, metric, prefixRoute }: AssignedAddress): void {
  if (!device.up) return;
  const { prefix, peer } = address;
  const made = {
    ...MADE6,
    type: "unicast",
    metric: metric || IP6_RT_PRIO_ADDRCONF,
    table: l3mdevTable(net, device) || RT_TABLE_MAIN,
  } as const;
  const on = `${formatPrefix(prefix)} on ${device.name}`;
  const subnet: Prefix = { address: network(prefix.address, prefix.length), length: prefix.length };
  if (prefixRoute) make(net, device, address, { ...made, prefix: subnet, what: `connected route of ${on}` });
  if (peer !== prefix.address) {
    make(net, device, address, { ...made, prefix: fullLength(peer), what: `other end of ${on}` });
  }
}

/** Kernel: `addrconf_f6i_alloc`, also while the device is down; the anycast address of RFC 4291 section 2.6.1 for routers. */
function addLocal6(net: NetDraft, { device, address }: AssignedAddress): void {
  const { prefix } = address;
  const made = { ...MADE6, metric: 0, table: l3mdevTable(net, device) || RT_TABLE_LOCAL } as const;
  const on = `${formatPrefix(prefix)} on ${device.name}`;
  make(net, device, address, {
    ...made,
    type: "local",
    prefix: fullLength(prefix.address),
    what: `local address of ${on}`,
  });
  const subnet = network(prefix.address, prefix.length);
  if (!device.conf.forwarding6 || prefix.length >= 127 || subnet === 0n) return;
  const what = `subnet-router anycast address of ${on}`;
  make(net, device, address, { ...made, type: "anycast", prefix: fullLength(subnet), what });
}
