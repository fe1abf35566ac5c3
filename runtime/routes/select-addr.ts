/** inet_select_addr of k:net/ipv4/devinet.c: the IPv4 address to send from through a device. */
import type { DeviceConfig } from "../host/config.ts";
import { parseIp } from "../net/ip.ts";
import { Scope } from "./gateway.ts";

interface Primary {
  readonly address: number;
  /** The other end's, of a point-to-point address. */
  readonly peer: number;
  readonly mask: number;
  readonly scope: number;
}

function primaries(device: DeviceConfig): Primary[] {
  return device.addresses.flatMap(({ address, peer, prefixLength, scope, secondary }) => {
    const own = parseIp(address);
    if (typeof own !== "number" || secondary) return [];
    const other = peer === undefined ? own : (parseIp(peer) as number);
    return [{ address: own, peer: other, mask: prefixLength === 0 ? 0 : -1 << (32 - prefixLength), scope }];
  });
}

const masterOf = ({ kind, ifindex, master }: DeviceConfig): number => (kind === "vrf" ? ifindex : master);

/**
 * The device's own, rather one in the destination's subnet; then the VRF device's; then any device's of the same VRF.
 * @param towards 0: anywhere
 * @param localnet route_localnet of the device
 * @returns 0 when there is none
 */
export function inetSelectAddr(
  devices: readonly DeviceConfig[],
  device: DeviceConfig,
  towards: number,
  scope: number,
  localnet: boolean,
): number {
  const least = localnet ? Scope.LINK : Scope.HOST;
  const own = primaries(device).filter((a) => Math.min(a.scope, least) <= scope);
  const near = towards === 0 ? undefined : own.find(({ peer, mask }) => ((peer ^ towards) & mask) === 0);
  const chosen = near ?? own[0];
  if (chosen !== undefined) return chosen.address;
  const master = masterOf(device);
  const vrf = devices.filter(({ ifindex }) => master !== 0 && ifindex === master);
  for (const other of [...vrf, ...devices.filter((d) => masterOf(d) === master)]) {
    const found = primaries(other).find((a) => a.scope !== Scope.LINK && a.scope <= scope);
    if (found !== undefined) return found.address;
  }
  return 0;
}
