/**
 * Addresses of devices: which is a device's own, and which one to send from.
 * k:net/ipv4/devinet.c inet_select_addr, in_dev_select_addr, inet_lookup_ifaddr_rcu, __ip_dev_find; net/ipv4/igmp.c ip_check_mc_rcu.
 */
import { type Address, type Device, Scope } from "../../dsl/model.ts";
import { RT_TABLE_LOCAL } from "../../runtime/brand.ts";
import { mask4 } from "../../runtime/net/ip.ts";
import { fib_table_lookup } from "./fib_trie.ts";
import { flowi4 } from "./flow.ts";
import { IGMP_ALL_HOSTS } from "./in.ts";
import { l3mdev_master_ifindex } from "./l3mdev.ts";
import type { NetNamespace } from "./net.ts";

const isIpv4 = (ifa: Address): boolean => typeof ifa.prefix.address === "number";
/** The kernel's `in_dev->ifa_list`. */
export const ifa_list = (dev: Device): readonly Address[] => dev.addresses.filter(isIpv4);
const ifa_local = (ifa: Address): number => ifa.prefix.address as number;

/** Is `addr` in the subnet of the address (of its peer, for a point-to-point one)? */
const inet_ifa_match = (addr: number, ifa: Address): boolean =>
  ((addr ^ (ifa.peer as number)) & mask4(ifa.prefix.length)) === 0;

/** First primary address of the device with a scope that fits, but none of scope link. */
function in_dev_select_addr(dev: Device, scope: number): number {
  const ifa = ifa_list(dev).find((a) => !a.secondary && a.scope !== Scope.LINK && a.scope <= scope);
  return ifa === undefined ? 0 : ifa_local(ifa);
}

/**
 * The address to send from by `dev`: one that shares the subnet of `dst`, else the device's first, else one of the VRF device, else
 * one of any device in the same VRF, never of another.
 * @param dst 0: no subnet is preferred
 * @returns 0 when there is none
 */
export function inet_select_addr(net: NetNamespace, dev: Device, dst: number, scope: number): number {
  const localnet_scope = dev.conf.routeLocalnet ? Scope.LINK : Scope.HOST;
  const fitting = ifa_list(dev).filter((a) => !a.secondary && Math.min(a.scope, localnet_scope) <= scope);
  const ifa = fitting.find((a) => dst === 0 || inet_ifa_match(dst, a)) ?? fitting[0];
  if (ifa !== undefined) return ifa_local(ifa);

  const master_idx = l3mdev_master_ifindex(dev);
  const master = net.dev_get_by_index(master_idx);
  const domain = net.devices.filter((d) => l3mdev_master_ifindex(d) === master_idx);
  for (const candidate of master === undefined ? domain : [master, ...domain]) {
    const addr = in_dev_select_addr(candidate, scope);
    if (addr !== 0) return addr;
  }
  return 0;
}

/** Is it an address of any device, in whatever VRF? */
export const inet_lookup_ifaddr = (net: NetNamespace, addr: number): Device | undefined =>
  net.devices.find((dev) => ifa_list(dev).some((ifa) => ifa_local(ifa) === addr));

/** The device of an own address; also of one that table local alone knows, as all of 127/8. */
export function ip_dev_find(net: NetNamespace, addr: number): Device | undefined {
  const dev = inet_lookup_ifaddr(net, addr);
  if (dev !== undefined) return dev;
  const answer = fib_table_lookup(net, RT_TABLE_LOCAL, flowi4({ saddr: 0, daddr: addr }));
  return answer.err === 0 && answer.res.route.type === "local"
    ? net.dev_get_by_index(answer.res.nhc.device)
    : undefined;
}

/** Has the device joined the group? Of the groups, only all-hosts is joined without a socket's asking. */
export const ip_check_mc = (dev: Device, group: number): boolean => dev.up && group === IGMP_ALL_HOSTS;
