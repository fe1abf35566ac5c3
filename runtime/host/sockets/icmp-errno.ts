/**
 * What an ICMP error means to the socket whose packet caused it: the errno of the next call, and what of it a program is told that
 * asked for the error itself (IP_RECVERR, IPV6_RECVERR).
 */

import { IcmpType, Unreachable } from "../../net/icmp.ts";
import type { Ip } from "../../net/ip.ts";

/** An ICMP error, of either family, with the packet that caused it. */
export interface SocketError {
  /** Who sent the error. */
  readonly from: Ip;
  readonly type: number;
  readonly code: number;
  /** Second word of the error. */
  readonly info: number;
}

/** What a client that connects comes to by an ICMP error. */
export type ErrorOutcome = { readonly kind: "refused"; readonly from: Ip } | ({ readonly kind: "icmp" } & SocketError);

const ICMPV6_DEST_UNREACH = 1;
const ICMPV6_PORT_UNREACH = 4;

/** ECONNREFUSED is what icmp_err_convert and icmpv6_err_convert make of port unreachable. */
export function errorOutcome(error: SocketError): ErrorOutcome {
  const { from, type, code } = error;
  const isPort =
    typeof from === "number"
      ? type === IcmpType.DEST_UNREACH && code === Unreachable.PORT
      : type === ICMPV6_DEST_UNREACH && code === ICMPV6_PORT_UNREACH;
  return isPort ? { kind: "refused", from } : { kind: "icmp", ...error };
}
