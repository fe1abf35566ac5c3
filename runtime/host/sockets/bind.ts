/**
 * bind() (__inet_bind, __inet6_bind): the address must be one of this host's, or a group, in the VRF of the device that the socket is
 * bound to; the port must be free (udp_lib_lport_inuse, inet_csk_bind_conflict), without SO_REUSEADDR or SO_REUSEPORT:
 *
 *   10.0.0.1:80            and  *:80                 in use
 *   10.0.0.1:80            and  10.0.0.2:80          both
 *   *:80 on red            and  *:80 on blue         both
 *   *:80 on red            and  *:80 on no device    in use; for TCP only with tcp_l3mdev_accept
 */
import { isLinkLocal6 } from "../../net/ipv6.ts";
import { Errno } from "../../verdict.ts";
import { type Binding, hears, type SocketHost } from "./socket.ts";

/** @param others of the same protocol @returns 0, or why not */
export function bindError(host: SocketHost, wanted: Binding, others: readonly Binding[]): Errno | 0 {
  const { localAddress, device } = wanted;
  // A link-local address is one of a link.
  if (typeof localAddress === "bigint" && isLinkLocal6(localAddress) && device === 0) return Errno.EINVAL;
  if (localAddress !== null && !host.mayBind(localAddress, device)) return Errno.EADDRNOTAVAIL;
  return others.some((other) => conflicts(wanted, other)) ? Errno.EADDRINUSE : 0;
}

function conflicts(a: Binding, b: Binding): boolean {
  if (a.localPort !== b.localPort) return false;
  if (a.device !== 0 && b.device !== 0 && a.device !== b.device) return false;
  return overlap(a, b);
}

/** inet_rcv_saddr_equal: is there a destination that both would take? */
function overlap(a: Binding, b: Binding): boolean {
  if (a.localAddress !== null && b.localAddress !== null) return a.localAddress === b.localAddress;
  return ([4, 6] as const).some((family) => hears(a, family) && hears(b, family));
}
