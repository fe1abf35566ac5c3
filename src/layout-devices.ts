/** Devices in the image: their records, and the addresses and groups that they have. */
import { type Address, type Device, type Net, Scope } from "../dsl/model.ts";
import { ADDRESS6, ADDRESS6_BYTES, DEVICE, DeviceFlag, GROUP6_BYTES } from "../runtime/abi/device.ts";
import { TABLE_BYTES } from "../runtime/abi/fib.ts";
import type { IfIndex } from "../runtime/brand.ts";
import { buildLpm } from "../runtime/lpm/choose.ts";
import * as in6 from "../runtime/net/in6.ts";
import { familyOf, type Ip, type Ipv6 } from "../runtime/net/ip.ts";
import { writeMac } from "../runtime/net/mac.ts";
import { inetSelectAddr } from "./fib/source.ts";
import type { ImageWriter } from "./image-writer.ts";
import { type TableLayout, type Tables, writeTable } from "./layout-tables.ts";
import { joined_groups } from "./reference/ipv6/mcast.ts";

export function writeDevice(
  image: ImageWriter,
  net: Net,
  device: Device,
  devices: ReadonlyMap<IfIndex, number>,
  { master, tables, tables6 }: { readonly master: Device | null; readonly tables: Tables; readonly tables6: Tables },
): void {
  const offset = devices.get(device.ifindex)!;
  image.words(offset, DEVICE, {
    ifindex: device.ifindex,
    flags: deviceFlags(device),
    master: master === null ? 0 : devices.get(master.ifindex)!,
    table: tables.get((master ?? device).table)?.offset ?? 0,
    table6: tables6.get(device.table)?.offset ?? 0,
    tableId: device.table,
    mtu: device.mtu,
    group: device.group,
    rpFilter: device.conf.rpFilter,
    sourceHost: inetSelectAddr(net, device, Scope.HOST),
    sourceLink: inetSelectAddr(net, device, Scope.LINK),
    sourceUniverse: inetSelectAddr(net, device, Scope.UNIVERSE),
  });
  image.view(offset + DEVICE.mac, 6, (bytes) => writeMac(bytes, 0, device.mac));
}

/** The kernel's interface flags by device kind (loopback_setup, vrf_setup, dummy_setup), and its in_dev settings. */
function deviceFlags(device: Device): number {
  const { conf, kind } = device;
  const flag = DeviceFlag;
  const flags: readonly [boolean, number][] = [
    [device.up, flag.UP],
    [kind === "loopback", flag.LOOPBACK],
    [kind === "vrf", flag.VRF],
    [kind === "veth", flag.VETH],
    [kind !== "veth", flag.NOARP],
    [conf.forwarding4, flag.FORWARDING],
    [conf.forwarding6, flag.FORWARDING6],
    [conf.acceptLocal, flag.ACCEPT_LOCAL],
    [conf.routeLocalnet, flag.ROUTE_LOCALNET],
    [conf.bcForwarding, flag.BC_FORWARDING],
    [conf.sendRedirects, flag.SEND_REDIRECTS],
    [conf.dropUnicastInL2Multicast, flag.DROP_UNICAST_IN_L2_MULTICAST],
    [conf.dropUnicastInL2Multicast6, flag.DROP_UNICAST_IN_L2_MULTICAST6],
    [conf.disableIpv6, flag.DISABLE_IPV6],
    [conf.ignoreRoutesWithLinkdown, flag.IGNORE_LINKDOWN],
    [device.qdiscDefault, flag.QDISC_DEFAULT],
    [device.addresses.some((address) => typeof address.prefix.address === "number"), flag.HAS_ADDRESS],
  ];
  return flags.reduce((bits, [set, bit]) => (set ? bits | bit : bits), 0);
}

/** The device's IPv6 addresses, in their order. */
export function layoutAddresses6(
  image: ImageWriter,
  name: string,
  device: Device,
  devices: ReadonlyMap<IfIndex, number>,
): void {
  const addresses = device.addresses.filter(isIpv6);
  const first = image.reserve(name, addresses.length * ADDRESS6_BYTES);
  for (const [i, { prefix }] of addresses.entries()) {
    const offset = first + i * ADDRESS6_BYTES;
    image.address(offset + ADDRESS6.address, prefix.address);
    image.words(offset, ADDRESS6, {
      prefixLength: prefix.length,
      scope: in6.ipv6_addr_src_scope(prefix.address),
      label: in6.ipv6_addr_label(prefix.address),
      orchid: Number(in6.ipv6_addr_orchid(prefix.address)),
    });
  }
  const list = { addresses6: addresses.length === 0 ? 0 : first, addressCount6: addresses.length };
  image.words(devices.get(device.ifindex)!, DEVICE, list);
}

/** The IPv6 groups that the device has joined. */
export function layoutGroups6(
  image: ImageWriter,
  name: string,
  net: Net,
  device: Device,
  devices: ReadonlyMap<IfIndex, number>,
): void {
  const groups = joined_groups(net, device);
  const first = image.reserve(name, groups.length * GROUP6_BYTES);
  for (const [i, group] of groups.entries()) image.address(first + i * GROUP6_BYTES, group);
  image.words(devices.get(device.ifindex)!, DEVICE, { groups6: first, groupCount6: groups.length });
}

type Address6 = Address & { readonly prefix: { readonly address: Ipv6 } };
const isIpv6 = (address: Address): address is Address6 => typeof address.prefix.address === "bigint";

/** The namespace's own addresses; of devices that share one, the first has it (inet_lookup_ifaddr_rcu finds one). */
export function layoutAddresses(
  image: ImageWriter,
  name: string,
  net: Net,
  devices: ReadonlyMap<IfIndex, number>,
): TableLayout {
  const owners = new Map<Ip, number>();
  for (const device of net.devices)
    for (const { prefix } of device.addresses)
      if (familyOf(prefix.address) === 4 && !owners.has(prefix.address))
        owners.set(prefix.address, devices.get(device.ifindex)!);
  const offset = image.reserve(name, TABLE_BYTES);
  const entries = [...owners].map(([address, value]) => ({ address, length: 32, value }));
  const lpm = buildLpm(4, entries);
  return writeTable(image, name, offset, 0, lpm);
}
