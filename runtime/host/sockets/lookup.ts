/**
 * Which socket takes a packet. Each function is given the sockets of one protocol, those that were bound last first: as the
 * kernel's hash chains have them, so that of equals the newest wins.
 *
 *   UDP   __udp4_lib_lookup, __udp6_lib_lookup           bound to the destination, else bound to no address; the best score
 *         __udp_is_mcast_sock, __udp_v6_is_mcast_sock    a copy for each, when the destination is a group
 *   TCP   inet_match, inet6_match                        the connection
 *         __inet_lookup_listener, inet6_lookup_listener  as UDP, with a score of its own
 *
 * `l3mdevAccept` is the protocol's sysctl (net.ipv4.tcp_l3mdev_accept, ...): may a socket that is bound to no device take what came
 * in by a VRF? IPv6 reads the same sysctls.
 */
import { familyOf } from "../../net/ip.ts";
import { type Arrived, hears, type Socket } from "./socket.ts";

/** inet_bound_dev_eq. */
export function boundDeviceMatches(l3mdevAccept: boolean, boundDevice: number, dif: number, sdif: number): boolean {
  if (boundDevice === 0) return sdif === 0 || l3mdevAccept;
  return boundDevice === dif || boundDevice === sdif;
}

export function lookupUdp<S extends Socket>(sockets: readonly S[], l3mdevAccept: boolean, packet: Arrived): S | null {
  return bestAddressFirst(sockets, packet, (socket) => udpScore(socket, l3mdevAccept, packet));
}

export function lookupListener<S extends Socket>(
  listeners: readonly S[],
  l3mdevAccept: boolean,
  packet: Arrived,
): S | null {
  return bestAddressFirst(listeners, packet, (socket) => listenerScore(socket, l3mdevAccept, packet));
}

export function lookupEstablished<S extends Socket>(
  connections: readonly S[],
  l3mdevAccept: boolean,
  packet: Arrived,
): S | null {
  const isConnection = ({ remote, localAddress, localPort, device }: S) =>
    remote?.address === packet.source &&
    remote.port === packet.sourcePort &&
    localAddress === packet.destination &&
    localPort === packet.destinationPort &&
    boundDeviceMatches(l3mdevAccept, device, packet.dif, packet.sdif);
  return connections.find(isConnection) ?? null;
}

export const udpGroupReceivers = <S extends Socket>(
  sockets: readonly S[],
  l3mdevAccept: boolean,
  packet: Arrived,
): readonly S[] =>
  sockets.filter(
    (socket) =>
      (socket.localAddress === null || socket.localAddress === packet.destination) &&
      udpScore(socket, l3mdevAccept, packet) !== NO_MATCH,
  );

const NO_MATCH = -1;

/** Of the sockets that are bound to the destination the best, else of those that are bound to no address. */
function bestAddressFirst<S extends Socket>(
  sockets: readonly S[],
  { destination }: Arrived,
  score: (socket: S) => number,
): S | null {
  const bound = sockets.filter(({ localAddress }) => localAddress === destination);
  return (
    best(bound, score) ??
    best(
      sockets.filter(({ localAddress }) => localAddress === null),
      score,
    )
  );
}

/** The first of those with the highest score; null: none matches. */
function best<S>(sockets: readonly S[], score: (socket: S) => number): S | null {
  let found: S | null = null;
  let highest = NO_MATCH;
  for (const socket of sockets) {
    const its = score(socket);
    if (its <= highest) continue;
    highest = its;
    found = socket;
  }
  return found;
}

/** compute_score of udp.c, but for addresses: what the socket demands counts more than its family. */
function udpScore(socket: Socket, l3mdevAccept: boolean, packet: Arrived): number {
  const { family, device, localPort, remote } = socket;
  if (localPort !== packet.destinationPort || !hears(socket, familyOf(packet.destination))) return NO_MATCH;
  if (remote !== null && (remote.address !== packet.source || remote.port !== packet.sourcePort)) return NO_MATCH;
  if (!boundDeviceMatches(l3mdevAccept, device, packet.dif, packet.sdif)) return NO_MATCH;
  return (family === 4 ? 2 : 1) + (remote === null ? 0 : 8) + (device === 0 ? 0 : 4);
}

/** compute_score of inet_hashtables.c: a device counts no more than to be of IPv4 alone. */
function listenerScore(socket: Socket, l3mdevAccept: boolean, packet: Arrived): number {
  const { family, device, localPort } = socket;
  if (localPort !== packet.destinationPort || !hears(socket, familyOf(packet.destination))) return NO_MATCH;
  if (!boundDeviceMatches(l3mdevAccept, device, packet.dif, packet.sdif)) return NO_MATCH;
  return (device === 0 ? 1 : 2) + (family === 4 ? 1 : 0);
}
