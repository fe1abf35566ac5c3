/**
 * Subnet-router anycast addresses that a forwarding device has joined: the kernel's own anycast routes tell which.
 * k:net/ipv6/addrconf.c addrconf_join_anycast.
 */
import type { Device, Net } from "../../../dsl/model.ts";
import type { IfIndex } from "../../../runtime/brand.ts";

const joined = new WeakMap<Net["routes"], ReadonlyMap<IfIndex, readonly bigint[]>>();

export function kernelAnycast({ routes }: Net, { ifindex }: Device): readonly bigint[] {
  let known = joined.get(routes);
  if (known === undefined) {
    known = byDevice(routes);
    joined.set(routes, known);
  }
  return known.get(ifindex) ?? [];
}

function byDevice(routes: Net["routes"]): Map<IfIndex, bigint[]> {
  const found = new Map<IfIndex, bigint[]>();
  for (const { type, family, origin, nexthops, prefix } of routes) {
    if (type !== "anycast" || family !== 6 || origin.kernel === undefined || nexthops.length === 0) continue;
    const [{ device }] = nexthops;
    found.set(device, [...(found.get(device) ?? []), prefix.address as bigint]);
  }
  return found;
}
