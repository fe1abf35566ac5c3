/**
 * What net/ipv6/addrconf.c and anycast.c know of this host's addresses.
 *
 * Source selection (RFC 6724 section 5, ipv6_get_saddr_eval) leaves out what tells apart deprecated, temporary, optimistic and home
 * addresses, of which there are none here.
 */
import { ipv6_addr_diff, ipv6_addr_label, ipv6_addr_orchid, ipv6_addr_src_scope, Scope6 } from "../../net/in6.ts";
import type { Ipv6 } from "../../net/ip.ts";
import { isLinkLocal6, isMulticast6 } from "../../net/ipv6.ts";
import type { Devices, HostAddress6, HostDevice } from "../devices.ts";

/** ipv6_get_ifaddr with a device and strict: is it this device's own? */
export const isAddressOf = (device: HostDevice | undefined, address: Ipv6): boolean =>
  device?.addresses6.some((a) => a.address === address) ?? false;

/** ipv6_chk_addr: an address of the device or, unless it is link-local, of any device of its VRF. */
export const isOwnAddress = (devices: Devices, address: Ipv6, ifindex: number): boolean =>
  ownerOf6(devices, address, ifindex) !== 0;

/** The device that has the address, in the VRF of `ifindex`; a link-local address is looked for on `ifindex` alone. 0: none. */
export function ownerOf6(devices: Devices, address: Ipv6, ifindex: number): number {
  const device = devices.get(ifindex);
  if (isAddressOf(device, address)) return ifindex;
  if (isLinkLocal6(address)) return 0;
  const domain = devices.l3mdevMaster(ifindex);
  const owner = devices.all.find((d) => devices.l3mdevMaster(d.ifindex) === domain && isAddressOf(d, address));
  return owner?.ifindex ?? 0;
}

/** ipv6_chk_acast_dev: has the device joined this anycast address? */
export const isAnycastOf = (device: HostDevice | undefined, address: Ipv6): boolean =>
  device?.anycast.includes(address) ?? false;

/** ipv6_chk_acast_addr_src: global addresses count wherever they are, VRFs notwithstanding. */
export const isAnycast = (devices: Devices, address: Ipv6, ifindex: number): boolean =>
  isLinkLocal6(address)
    ? isAnycastOf(devices.get(ifindex), address)
    : devices.all.some((device) => isAnycastOf(device, address));

/**
 * The device of the route to a global address of this host (rt6i_idev): one of the VRF of `ifindex` that has it or has joined it, else
 * one outside, which rules may have led to. 0: none.
 */
export function routedOwner(devices: Devices, address: Ipv6, ifindex: number): number {
  const domain = devices.l3mdevMaster(ifindex);
  const owners = devices.all.filter((device) => isAddressOf(device, address) || isAnycastOf(device, address));
  return (owners.find((d) => devices.l3mdevMaster(d.ifindex) === domain) ?? owners[0])?.ifindex ?? 0;
}

/** ipv6_get_lladdr: the link-local address, null: the device has none. */
export const linkLocalOf = (device: HostDevice | undefined): Ipv6 | null =>
  device?.addresses6.findLast((a) => isLinkLocal6(a.address))?.address ?? null;

interface Candidate extends HostAddress6 {
  readonly device: number;
}

/** ipv6_dev_get_saddr: the address of this host to send from by `ifindex`, null: none. */
export function selectSource6(devices: Devices, ifindex: number, destination: Ipv6): Ipv6 | null {
  const own = preferred(devices, ifindex);
  // What decides whether other devices count (scopedist) is computed when two candidates are compared: of one alone it is 0, "good".
  if (own.length === 1 && !isOfLink(destination)) return own[0].address;
  let best: { readonly score: readonly number[]; readonly address: Ipv6 } | null = null;
  for (const candidate of candidates(devices, ifindex, destination)) {
    const score = evaluate(candidate, ifindex, destination);
    if (best === null || isBetter(score, best.score)) best = { score, address: candidate.address };
  }
  return best?.address ?? null;
}

const isOfLink = (destination: Ipv6): boolean =>
  isMulticast6(destination) || ipv6_addr_src_scope(destination) <= Scope6.LINKLOCAL;

/** In a VRF: the addresses of the outgoing device and of the VRF device (ipv6_get_saddr_master). */
function preferred(devices: Devices, ifindex: number): Candidate[] {
  const domain = devices.l3mdevMaster(ifindex);
  return domain === 0 ? [] : [ifindex, domain].flatMap((index) => addressesOf(devices.get(index)));
}

/** The outgoing device's first, then its VRF's, then those of all devices of the domain: of equals the first wins. */
function candidates(devices: Devices, ifindex: number, destination: Ipv6): Candidate[] {
  if (isOfLink(destination)) return addressesOf(devices.get(ifindex));
  const domain = devices.l3mdevMaster(ifindex);
  const others = devices.all.filter((device) => devices.l3mdevMaster(device.ifindex) === domain).flatMap(addressesOf);
  return [...preferred(devices, ifindex), ...others];
}

const addressesOf = (device: HostDevice | undefined): Candidate[] =>
  (device?.addresses6 ?? []).map((address) => ({ ...address, device: device?.ifindex ?? 0 }));

/** One number a rule, in the order of the rules; larger is better. */
function evaluate({ device, address, prefixLength }: Candidate, ifindex: number, destination: Ipv6): number[] {
  const [scope, wanted] = [ipv6_addr_src_scope(address), ipv6_addr_src_scope(destination)];
  return [
    Number(address === destination), // rule 1: the destination itself
    scope >= wanted ? -scope : scope - 128, // rule 2: the smallest scope that is wide enough, else the widest
    Number(device === ifindex), // rule 5
    Number(ipv6_addr_label(address) === ipv6_addr_label(destination)), // rule 6
    Number(ipv6_addr_orchid(address) === ipv6_addr_orchid(destination)),
    Math.min(ipv6_addr_diff(address, destination), prefixLength), // rule 8: the longest common prefix
  ];
}

function isBetter(score: readonly number[], than: readonly number[]): boolean {
  const first = score.findIndex((value, rule) => value !== than[rule]);
  return first >= 0 && score[first] > than[first];
}
