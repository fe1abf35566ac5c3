/**
 * Which address of this host to send from (RFC 6724 section 5), within the destination's VRF.
 * k:net/ipv6/addrconf.c ipv6_dev_get_saddr, ipv6_get_saddr_eval. Not here: what tells apart deprecated, temporary, optimistic and home
 * addresses, of which a model has none.
 */
import type { Address, Device } from "../../../dsl/model.ts";
import * as in6 from "../../../runtime/net/in6.ts";
import { l3mdev_master_dev, l3mdev_master_ifindex } from "../l3mdev.ts";
import type { NetNamespace } from "../net.ts";

interface Candidate {
  readonly device: Device;
  readonly address: bigint;
  readonly prefixLength: number;
}

/**
 * @param dst_dev undefined: no route, and so no device, is known
 * @returns null: EADDRNOTAVAIL
 */
export function ipv6_dev_get_saddr(net: NetNamespace, dst_dev: Device | undefined, daddr: bigint): bigint | null {
  const own = preferred(net, dst_dev);
  // Whether those will do is asked of scopedist, which only a comparison of two candidates computes: of one alone it is 0, "good enough".
  if (own.length === 1 && !isOfLink(daddr)) return own[0].address;
  let hiscore: { readonly score: readonly number[]; readonly address: bigint } | null = null;
  for (const candidate of candidates(net, dst_dev, daddr)) {
    const score = ipv6_get_saddr_eval(candidate, dst_dev, daddr);
    if (hiscore === null || isBetter(score, hiscore.score)) hiscore = { score, address: candidate.address };
  }
  return hiscore?.address ?? null;
}

/** The outgoing device's first, then its VRF's, then those of all devices of the domain: of equals the first wins. */
function candidates(net: NetNamespace, dst_dev: Device | undefined, daddr: bigint): Candidate[] {
  if (dst_dev !== undefined && isOfLink(daddr)) return addr_list(dst_dev);
  const master = dst_dev && l3mdev_master_dev(net, dst_dev);
  const domain = net.devices.filter((dev) => l3mdev_master_ifindex(dev) === (master?.ifindex ?? 0));
  return [...preferred(net, dst_dev), ...domain.flatMap(addr_list)];
}

const isOfLink = (daddr: bigint): boolean =>
  in6.ipv6_addr_is_multicast(daddr) || in6.ipv6_addr_src_scope(daddr) <= in6.Scope6.LINKLOCAL;

/** ipv6_get_saddr_master: in a VRF, the addresses of the outgoing device and of the VRF device (twice, when that is the outgoing one). */
function preferred(net: NetNamespace, dst_dev: Device | undefined): Candidate[] {
  const master = dst_dev && l3mdev_master_dev(net, dst_dev);
  return dst_dev === undefined || master === undefined ? [] : [dst_dev, master].flatMap(addr_list);
}

const addr_list = (device: Device): Candidate[] =>
  device.addresses.filter(isIpv6).map(({ prefix }) => ({
    device,
    address: prefix.address,
    prefixLength: prefix.length,
  }));

type Address6 = Address & { readonly prefix: { readonly address: bigint } };
const isIpv6 = (address: Address): address is Address6 => typeof address.prefix.address === "bigint";

/** One number a rule, in the order of the rules; larger is better. */
function ipv6_get_saddr_eval(
  { device, address, prefixLength }: Candidate,
  dst_dev: Device | undefined,
  daddr: bigint,
): number[] {
  const [scope, wanted] = [in6.ipv6_addr_src_scope(address), in6.ipv6_addr_src_scope(daddr)];
  return [
    Number(address === daddr), // rule 1: the destination itself
    scope >= wanted ? -scope : scope - 128, // rule 2: the smallest scope that is wide enough, else the widest
    Number(device === dst_dev), // rule 5
    Number(in6.ipv6_addr_label(address) === in6.ipv6_addr_label(daddr)), // rule 6
    Number(in6.ipv6_addr_orchid(address) === in6.ipv6_addr_orchid(daddr)),
    Math.min(in6.ipv6_addr_diff(address, daddr), prefixLength), // rule 8: the longest common prefix
  ];
}

function isBetter(score: readonly number[], than: readonly number[]): boolean {
  const first = score.findIndex((value, rule) => value !== than[rule]);
  return first >= 0 && score[first] > than[first];
}

/**
 * Is it an address of this host? In the device's VRF, if it is in one.
 * @param strict of the device itself; else an address of link or host scope must be
 */
export function ipv6_chk_addr(net: NetNamespace, addr: bigint, dev: Device, strict: boolean): boolean {
  const l3mdev = l3mdev_master_dev(net, dev);
  const confined = strict || in6.ipv6_addr_is_linklocal(addr) || in6.ipv6_addr_loopback(addr);
  return net.devices.some(
    (owner) =>
      (l3mdev === undefined || l3mdev_master_dev(net, owner) === l3mdev) &&
      (!confined || owner === dev) &&
      owner.addresses.some(({ prefix }) => prefix.address === addr),
  );
}
