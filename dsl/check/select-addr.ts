/** Source address selection (kernel: net/ipv4/devinet.c `inet_select_addr`). */
import { inPrefix } from "../../runtime/net/ip.ts";
import { Scope } from "../model.ts";
import type { AddressDraft } from "./addresses.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { deviceByIndex, l3mdevMaster } from "./draft.ts";

const primaries = (device: DeviceDraft): AddressDraft[] =>
  device.addresses.filter((a) => typeof a.prefix.address === "number" && !a.secondary);

/** Kernel: `in_dev_select_addr`. */
function firstFitting(device: DeviceDraft, scope: Scope): number {
  const address = primaries(device).find((a) => a.scope !== Scope.LINK && a.scope <= scope);
  return (address?.prefix.address as number | undefined) ?? 0;
}

/**
 * The IPv4 address to send from through `device`, towards `destination` (0: anywhere), for a route of this scope; 0 if
 * there is none. First the device's own, preferring one in the destination's subnet; then the VRF device's; then any
 * device of the same VRF (outside a VRF: of none), never one of another.
 */
export function inetSelectAddr(net: NetDraft, device: DeviceDraft, destination: number, scope: Scope): number {
  const localnet = device.conf.routeLocalnet ? Scope.LINK : Scope.HOST;
  const own = primaries(device).filter((a) => Math.min(a.scope, localnet) <= scope);
  const near = destination === 0 ? undefined : own.find((a) => inPrefix({ ...a.prefix, address: a.peer }, destination));
  const chosen = near ?? own[0];
  if (chosen !== undefined) return chosen.prefix.address as number;
  const master = l3mdevMaster(device);
  const vrf = master === 0 ? undefined : deviceByIndex(net, master);
  const candidates = [...(vrf ? [vrf] : []), ...net.devices.filter((d) => l3mdevMaster(d) === master)];
  for (const candidate of candidates) {
    const address = firstFitting(candidate, scope);
    if (address !== 0) return address;
  }
  return 0;
}
