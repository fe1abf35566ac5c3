/**
 * What a look-up compares of a socket (struct sock, struct inet_sock), for UDP and TCP over both families.
 *
 *   PF_INET, or PF_INET6 with IPV6_V6ONLY     one family
 *   PF_INET6                                  both: an IPv4 address here is the kernel's ::ffff:a.b.c.d
 */
import { familyOf, type Ip } from "../../net/ip.ts";
import type { Judgement } from "../events.ts";
import type { OutputMeta, Stack } from "../stack.ts";

export interface Endpoint {
  readonly address: Ip;
  readonly port: number;
}

export interface Binding {
  readonly family: 4 | 6;
  /** IPV6_V6ONLY; means nothing for PF_INET. */
  readonly v6only: boolean;
  /** sk_bound_dev_if, 0: none. */
  readonly device: number;
  /** inet_rcv_saddr, sk_v6_rcv_saddr; null: any. */
  readonly localAddress: Ip | null;
  /** inet_num. */
  readonly localPort: number;
}

export interface Socket extends Binding {
  /** inet_daddr and inet_dport; null: not connected. */
  readonly remote: Endpoint | null;
}

/** Where a packet came from and went to, and by what. */
export interface Arrived {
  readonly source: Ip;
  readonly sourcePort: number;
  readonly destination: Ip;
  readonly destinationPort: number;
  /** The device that is compared: skb->dev or inet_iif, as the protocol has it. */
  readonly dif: number;
  /** The slave, 0 when received outside a VRF. */
  readonly sdif: number;
}

/** Can the socket receive packets of this family at all? */
export function hears({ family, v6only, localAddress }: Binding, wanted: 4 | 6): boolean {
  if (localAddress !== null) return familyOf(localAddress) === wanted;
  return family === wanted || (family === 6 && !v6only);
}

/** What sockets ask of their host. */
export interface SocketHost extends Stack {
  /** Entry.LOOKUP, on the record: connect(). */
  lookup(packet: Uint8Array, meta: OutputMeta): Judgement;
  /** Is it an address that a socket bound to `device` may have, one of this host's in the device's VRF, or a group? */
  mayBind(address: Ip, device: number): boolean;
}
