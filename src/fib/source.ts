/**
 * Source selection without a destination: inet_select_addr(device, 0, scope) of k:net/ipv4/devinet.c, computed once for
 * each device, for the sends that choose their source by device alone (a bound socket without a route, vrf_xmit).
 */
import { type Address, type Device, deviceOf, type Net, Scope } from "../../dsl/model.ts";
import type { Ipv4 } from "../../runtime/net/ip.ts";

/**
 * A primary address of the device whose scope reaches `scope`; else one of its VRF device; else one of any device of the
 * same VRF (or of none). @returns 0 when there is none
 */
export function inetSelectAddr(net: Net, device: Device, scope: Scope): Ipv4 {
  const localnet = device.conf.routeLocalnet ? Scope.LINK : Scope.HOST;
  const own = primaries(device).find((address) => Math.min(address.scope, localnet) <= scope);
  if (own !== undefined) return local(own);
  const master = masterOf(device);
  const vrf = master === 0 ? undefined : deviceOf(net, master);
  const domain = domainsOf(net).get(master) ?? [];
  for (const other of vrf === undefined ? domain : [vrf, ...domain]) {
    const address = primaries(other).find((a) => a.scope !== Scope.LINK && a.scope <= scope);
    if (address !== undefined) return local(address);
  }
  return 0;
}

const domains = new WeakMap<Net["devices"], ReadonlyMap<number, readonly Device[]>>();

/** Devices by their VRF, those of none under 0. */
function domainsOf({ devices }: Net): ReadonlyMap<number, readonly Device[]> {
  const known = domains.get(devices);
  if (known !== undefined) return known;
  const found = new Map<number, Device[]>();
  for (const device of devices) {
    const domain = found.get(masterOf(device));
    if (domain === undefined) found.set(masterOf(device), [device]);
    else domain.push(device);
  }
  domains.set(devices, found);
  return found;
}

/** l3mdev_master_ifindex: a VRF device is its own master. */
const masterOf = (device: Device): number => (device.kind === "vrf" ? device.ifindex : device.master);

const primaries = (device: Device): Address[] =>
  device.addresses.filter((address) => typeof address.prefix.address === "number" && !address.secondary);

const local = (address: Address): Ipv4 => address.prefix.address as Ipv4;
