/**
 * What commands do to devices and addresses: create, delete, up and down, enslave, move, and what each of these takes
 * along in a kernel (net/core/dev.c, net/core/rtnetlink.c, drivers/net/vrf.c, net/ipv4/devinet.c, net/ipv6/addrconf.c).
 *
 *   set down      routes through the device, its neighbours, next-hop objects and IPv6 addresses go
 *   set master    the same, even on a device that is down; then its addresses' routes are in the VRF's table
 *   netns, del    and its addresses go as well
 */
import type { AddressProperty, Name } from "../../dsl/ast.ts";
import type { Span } from "../../dsl/span.ts";
import { type Family, familyOf, type Ip, type Prefix } from "../../runtime/net/ip.ts";
import { flushDevice, flushPreferredSource, placePrefixRoutes, reviveHops } from "./fib.ts";
import {
  Address,
  type Device,
  isSamePrefix,
  kernelRule,
  NetNs,
  type Network,
  NextHopEntry,
  subnetOf,
} from "./state.ts";
import { Errno, Refused, Unsupported } from "./words.ts";

// ---- namespaces ---------------------------------------------------------------------------------------------------

/** `ip netns add NAME` */
export function addNamespace(network: Network, name: Name): NetNs {
  const first = network.find(name.value);
  if (first)
    throw new Refused(`Cannot create namespace file "/run/netns/${name.value}": File exists`, name.span, {
      span: first.name.span,
      message: "it was created here",
    });
  const ns = new NetNs(name, false);
  network.namespaces.push(ns);
  return ns;
}

/** `ip netns del NAME`: its devices go, and with them the other ends of their veth pairs. */
export function deleteNamespace(network: Network, ns: NetNs): void {
  for (const device of [...ns.devices]) if (device.kind !== "loopback") deleteDevice(device);
  network.namespaces.splice(network.namespaces.indexOf(ns), 1);
}

// ---- devices ----------------------------------------------------------------------------------------------------

/** Refuses a name that is none (dev_valid_name) or taken (__rtnl_newlink, dev_change_name). */
export function requireFreeName(ns: NetNs, name: Name, what = "name"): void {
  if (name.value.length > 15 && !/[\s/]/.test(name.value))
    throw new Refused("Error: Attribute failed policy validation.", name.span);
  if (name.value === "." || name.value === "..") throw new Refused(Errno.EINVAL, name.span);
  if (!isDeviceName(name.value))
    throw new Refused(`Error: argument "${name.value}" is wrong: "${what}" not a valid ifname`, name.span);
  const first = ns.device(name.value);
  if (first)
    throw new Refused(Errno.EEXIST, name.span, { span: first.name.span, message: `\`${name.value}\` is from here` });
  const foreign = ns.foreign.get(name.value);
  if (foreign)
    throw new Refused(Errno.EEXIST, name.span, { span: foreign.span, message: `\`${name.value}\` is from here` });
}

/** dev_valid_name */
export const isDeviceName = (name: string): boolean => /^[^\s/:]{1,15}$/.test(name) && name !== "." && name !== "..";

/** Registers a device; the first VRF of a namespace brings the l3mdev rules with it. */
export function addDevice(device: Device): void {
  const { ns } = device;
  ns.devices.push(device);
  if (device.kind === "vrf" && !ns.hasAddedL3mdevRule) {
    ns.hasAddedL3mdevRule = true;
    for (const family of [4, 6] as const) {
      const list = ns.rules[family];
      const at = list.findIndex((rule) => rule.pref > 1000);
      list.splice(at < 0 ? list.length : at, 0, kernelRule(family, 1000, "l3mdev"));
    }
  }
}

/** Unregisters a device: slaves are freed, routes through it go, a veth takes its other end along. */
export function deleteDevice(device: Device): void {
  const { ns } = device;
  if (!ns.devices.includes(device)) return;
  for (const slave of ns.devices) if (slave.master?.vrf === device) setMaster(slave, null);
  setUp(device, false);
  unregister(device);
  ns.sysctls = ns.sysctls.filter((entry) => entry.device !== device);
  ns.devices.splice(ns.devices.indexOf(device), 1);
  if (device.peer) {
    const { peer } = device;
    device.peer = peer.peer = null;
    deleteDevice(peer);
  }
}

/** dev_open and dev_close: taking a device down loses the routes through it, its neighbours and its IPv6 addresses. */
export function setUp(device: Device, up: boolean): void {
  if (device.isUp === up) return;
  device.isUp = up;
  for (const address of device.addresses) {
    address.lostPrefixRoute = false;
    address.isDormant = false;
  }
  if (up) {
    reviveHops(device.ns, device);
    placePrefixRoutes(device, device.addresses);
  } else downed(device);
}

function downed(device: Device): void {
  const { ns } = device;
  flushDevice(ns, device, "down");
  ns.neighbours = ns.neighbours.filter((entry) => entry.device !== device);
  flushNextHops(ns, (entry) => entry.device === device);
  dropIpv6Addresses(device);
}

/** NETDEV_UNREGISTER: nothing that names the device is left, also what can be said of a device that is down. */
function unregister(device: Device): void {
  downed(device);
  device.addresses = [];
  flushDevice(device.ns, device, "unregister");
}

/** addrconf_ifdown: IPv6 addresses do not survive unless keep_addr_on_down says so. */
function dropIpv6Addresses(device: Device): void {
  const keep = ["all", device.name.value].some(
    (name) => Number(device.ns.sysctl(`net.ipv6.conf.${name}.keep_addr_on_down`)) > 0,
  );
  if (!keep) device.addresses = device.addresses.filter((address) => address.family === 4);
  for (const address of device.addresses) address.isDormant ||= address.family === 6 && !device.isUp;
}

/** disable_ipv6 is set: addresses, routes and neighbours of the family go (addrconf_ifdown), and do not come back. */
export function disableIpv6(device: Device): void {
  const { ns } = device;
  device.addresses = device.addresses.filter((address) => address.family === 4);
  ns.routes.keep(({ family, hops }) => family === 4 || hops.every((hop) => hop.device !== device));
  ns.neighbours = ns.neighbours.filter((entry) => entry.device !== device || familyOf(entry.node.address.value) === 4);
}

/** do_set_master: the old VRF is left first, even when the new one then refuses. Both steps cycle the device. */
export function setMaster(device: Device, master: { readonly vrf: Device; readonly span: Span } | null): void {
  if (device.master?.vrf === master?.vrf) return;
  if (device.master !== null) changeUpper(device, null);
  if (master === null) return;
  if (master.vrf.kind !== "vrf") throw new Refused(Errno.EOPNOTSUPP, master.span);
  if (device.kind === "loopback") throw new Refused("Error: Can not enslave loopback device to a VRF.", master.span);
  if (device.kind === "vrf") throw new Refused("Error: Can not enslave an L3 master device to a VRF.", master.span);
  changeUpper(device, master);
}

/** NETDEV_CHANGEUPPER and cycle_netdev: all that hung on the device's table is lost; addresses come back with it. */
function changeUpper(device: Device, master: Device["master"]): void {
  flushDevice(device.ns, device, "unlink");
  dropIpv6Addresses(device);
  device.master = master;
  // fib_disable_ip takes the routes of its addresses along, and only a cycle brings them back.
  if (!device.isUp) for (const address of device.addresses) address.isDormant = true;
  if (!device.isUp) return;
  setUp(device, false);
  setUp(device, true);
}

/** dev_change_net_namespace: the device arrives there down, without master, addresses or routes. */
export function moveDevice(device: Device, to: NetNs, at: Span): void {
  if (device.kind === "loopback" || device.kind === "vrf") throw new Refused(Errno.EINVAL, at);
  if (to === device.ns) return;
  requireFreeName(to, device.name);
  setMaster(device, null);
  setUp(device, false);
  unregister(device);
  device.ns.devices.splice(device.ns.devices.indexOf(device), 1);
  device.ns = to;
  to.devices.push(device);
}

// ---- addresses --------------------------------------------------------------------------------------------------

/** `ip addr add` (EXCL), or `replace`, which renews an address that is there. Kernel: __inet_insert_ifa, inet6_addr_add. */
export function addAddress(device: Device, node: AddressProperty, replace = false): Address {
  const family = familyOf(node.address.value.address);
  const same = device.addresses.find((other) => isSameAddress(other, node));
  if (isOfLoopback(device, node)) throw new Refused(Errno.EEXIST);
  if (same && !replace)
    throw new Refused(Errno.EEXIST, undefined, { span: same.node.span, message: "this address is already there" });
  const subnet = subnetOf(node);
  const primary = device.addresses.find((other) => !other.isSecondary && isSameSubnet(other, family, subnet));
  const isOtherScope = ({ node: { scope } }: Address) => (scope?.value ?? "global") !== (node.scope?.value ?? "global");
  if (family === 4 && !same && device.addresses.some((other) => isSameSubnet(other, 4, subnet) && isOtherScope(other)))
    throw new Refused(Errno.EINVAL, node.scope?.span);
  const isSecondary = family === 4 && primary !== undefined && primary !== same;
  const address = new Address(device, node, isSecondary);
  if (same) device.addresses[device.addresses.indexOf(same)] = address;
  else device.addresses.push(address);
  if (family === 4 && !same && device.isUp) {
    reviveHops(device.ns, device);
    placePrefixRoutes(device, [address]);
  }
  return address;
}

/** 127.0.0.1/8 and ::1 come with lo when that comes up. */
function isOfLoopback(device: Device, { address: { value } }: AddressProperty): boolean {
  if (device.kind !== "loopback" || !device.isUp) return false;
  return value.address === 1n || (value.address === 0x7f000001 && value.length === 8);
}

const isSameSubnet = (address: Address, family: Family, subnet: Prefix): boolean =>
  address.family === family && isSamePrefix(address.subnet, subnet);

/** IPv4: same local address in the same subnet; IPv6: the address alone. */
function isSameAddress(address: Address, node: AddressProperty): boolean {
  if (address.local !== node.address.value.address) return false;
  return address.family === 6 || isSameSubnet(address, 4, subnetOf(node));
}

/** `ip addr del ADDR`; kernel: inet_rtm_deladdr takes the first that fits, inet6_addr_del compares the length too. */
export function findAddress(device: Device, prefix: Prefix, hasLength: boolean): Address | undefined {
  return device.addresses.find(
    (address) =>
      address.local === prefix.address &&
      ((!hasLength && address.family === 4) ||
        address.node.address.value.length === prefix.length ||
        address.node.peer !== undefined),
  );
}

/** A primary IPv4 address takes its secondaries along, unless promote_secondaries is set (__inet_del_ifa). */
export function deleteAddress(address: Address): void {
  const { device } = address;
  const promotes = ["all", device.name.value].some(
    (name) => Number(device.ns.sysctl(`net.ipv4.conf.${name}.promote_secondaries`)) > 0,
  );
  const isVictim = (other: Address) =>
    other === address ||
    (address.family === 4 &&
      !address.isSecondary &&
      !promotes &&
      other.isSecondary &&
      isSameSubnet(other, 4, address.subnet));
  const victims = device.addresses.filter(isVictim);
  device.addresses = device.addresses.filter((other) => !isVictim(other));
  if (promotes) promote(device, address);
  for (const victim of victims) if (!hasLocal(device, victim.local)) flushPreferredSource(device, victim.local);
  if (address.family === 4 && !device.addresses.some((other) => other.family === 4))
    flushDevice(device.ns, device, "no address");
}

/** The first secondary of the subnet becomes primary. */
function promote(device: Device, gone: Address): void {
  const next = device.addresses.find((other) => other.isSecondary && isSameSubnet(other, 4, gone.subnet));
  if (next === undefined || gone.isSecondary) return;
  const promoted = new Address(device, next.node, false);
  promoted.inherit(next);
  device.addresses[device.addresses.indexOf(next)] = promoted;
}

/** Whether the table of the device's VRF still has the address (inet_addr_type_dev_table). */
const hasLocal = ({ ns, l3mdevTable }: Device, ip: Ip): boolean =>
  ns.devices.some(
    (device) => device.l3mdevTable === l3mdevTable && device.addresses.some((address) => address.local === ip),
  );

// ---- next-hop objects -------------------------------------------------------------------------------------------

/** Removes next hops with the routes that use them; groups lose the members, and go when none is left. */
export function flushNextHops(ns: NetNs, isGone: (entry: NextHopEntry) => boolean): void {
  const gone = new Set(ns.nexthops.filter(isGone).map((entry) => entry.node.id.value));
  if (gone.size === 0) return;
  const kept: NextHopEntry[] = [];
  for (const entry of ns.nexthops) {
    const members = entry.node.group?.filter((member) => !gone.has(member.id.value));
    if (gone.has(entry.node.id.value) || members?.length === 0) gone.add(entry.node.id.value);
    else if (members === undefined || members.length === entry.node.group?.length) kept.push(entry);
    else kept.push(withMembers(ns, entry, members));
  }
  ns.nexthops = kept;
  ns.routes.keep(({ node }) => node.nhid === undefined || !gone.has(node.nhid.value));
}

/** The group without the members that are gone, where it was written: routes that name it stand behind. */
function withMembers(ns: NetNs, old: NextHopEntry, members: NonNullable<NextHopEntry["node"]["group"]>): NextHopEntry {
  const entry = new NextHopEntry(old.device, { ...old.node, group: members }, old.family);
  entry.inherit(old);
  ns.entered[ns.entered.indexOf(old)] = entry;
  return entry;
}

// ---- look-ups by name -------------------------------------------------------------------------------------------

/** The device, or what iproute2 says when there is none; `fail` makes the refusal where another wording applies. */
export function requireDevice(
  ns: NetNs,
  name: Name,
  fail = (): Refused => new Refused(`Cannot find device "${name.value}"`, name.span),
): Device {
  const device = ns.device(name.value);
  if (device) return device;
  const foreign = ns.foreign.get(name.value);
  if (foreign)
    throw new Unsupported(`\`${name.value}\` is ${foreign.what}, which vrfc does not have`, name.span, {
      span: foreign.span,
      message: "it was to be created here",
    });
  throw fail();
}
