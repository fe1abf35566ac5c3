/**
 * Groups that a device has joined: those that every node joins (RFC 4291 section 2.8), as no socket joins any.
 * k:net/ipv6/mcast.c ipv6_chk_mcast_addr; joined by net/ipv6/addrconf.c ipv6_add_dev, dev_forward_change, addrconf_join_solict.
 */
import type { Device, Net } from "../../../dsl/model.ts";
import { parseIp } from "../../../runtime/net/ip.ts";
import { type NetNamespace, sendsWithoutArp } from "../net.ts";
import { kernelAnycast } from "./anycast.ts";

const groups = (...texts: string[]): readonly bigint[] => texts.map((text) => parseIp(text) as bigint);
/** Interface-local and link-local. */
const ALL_NODES = groups("ff01::1", "ff02::1");
/** And site-local. */
const ALL_ROUTERS = groups("ff01::2", "ff02::2", "ff05::2");

/** ff02::1:ff00:0/104 and the low 24 bits of the address. */
const [SOLICITED_NODE] = groups("ff02::1:ff00:0");
const addrconf_addr_solict_mult = (address: bigint): bigint => SOLICITED_NODE | (address & 0xffffffn);

export const ipv6_chk_mcast_addr = (net: NetNamespace, dev: Device, group: bigint): boolean =>
  joined_groups(net.model, dev).includes(group);

/** Devices that send without neighbour discovery are not IFF_MULTICAST either, which all groups but all-nodes ask for. */
export function joined_groups(net: Net, dev: Device): readonly bigint[] {
  if (sendsWithoutArp(dev)) return ALL_NODES;
  const routers = dev.conf.forwarding6 ? ALL_ROUTERS : [];
  const solicited = ownAddresses(net, dev).map(addrconf_addr_solict_mult);
  return [...new Set([...ALL_NODES, ...routers, ...solicited])];
}

/** Unicast and subnet-router anycast addresses of the device. */
function ownAddresses(net: Net, dev: Device): readonly bigint[] {
  const unicast = dev.addresses.map(({ prefix }) => prefix.address).filter((address) => typeof address === "bigint");
  return [...unicast, ...kernelAnycast(net, dev)];
}
