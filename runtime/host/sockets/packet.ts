/** IP packets of sockets, of the family that their addresses are of. */
import type { Ip } from "../../net/ip.ts";
import { ipv4Packet } from "../../net/ipv4.ts";
import { DEFAULT_HOP_LIMIT, ipv6Packet } from "../../net/ipv6.ts";
import type { Stack } from "../stack.ts";

export interface IpMessage {
  readonly protocol: number;
  readonly source: Ip;
  /** Of the source's family. */
  readonly destination: Ip;
  /** UDP or TCP, header included. */
  readonly payload: Uint8Array;
}

/** With the defaults of a socket: TOS 0, the default TTL, path MTU discovery (DF). */
export function ipPacket(stack: Stack, { protocol, source, destination, payload }: IpMessage): Uint8Array {
  if (typeof source === "number" && typeof destination === "number") {
    const identification = stack.nextIdentification();
    const { ipDefaultTtl: ttl } = stack.sysctl;
    return ipv4Packet({ tos: 0, identification, dontFragment: true, ttl, protocol, source, destination }, payload);
  }
  const header = { trafficClass: 0, flowLabel: 0, nextHeader: protocol, hopLimit: DEFAULT_HOP_LIMIT };
  return ipv6Packet({ ...header, source: BigInt(source), destination: BigInt(destination) }, payload);
}
