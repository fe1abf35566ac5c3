/**
 * IPv6: where its packets enter (k:net/ipv6/af_inet6.c registers them), and the specification of what the engines answer. It
 * continues the header of ../engine.ts, in the same notation; what is not said here is as it is said there.
 *
 *   RECEIVE     ipv6_rcv  ip6_input.ts -> l3mdev_ip6_rcv  ../vrf.ts -> ip6_route_input  route.ts -> dst_input
 *   OUTPUT      rawv6_sendmsg  raw.ts -> ip6_dst_lookup_flow  ip6_output.ts -> ip6_local_out
 *   LOOKUP      ip6_dst_lookup_flow  of connect(), or inet6_rtm_getroute (flag RTM_GETROUTE)
 *   NEIGHBOUR   ip6_finish_output2's neighbour
 *   ROUTE_INPUT inet6_rtm_getroute with iif  rtm_getroute.ts
 *   LOOPBACK    dev_loopback_xmit  ../dev.ts
 *   NDISC       ndisc_send_skb with icmp6_dst_alloc  ndisc.ts
 *
 * OUTPUT, LOOKUP, NEIGHBOUR, ROUTE_INPUT, LOOPBACK: the first nibble says whose packet it is; NDISC is of IPv6 alone.
 *
 * TRACES. `strict`: multicast, fe80::/10 or ::1 (rt6_need_strict). `ND`: next header 58 directly after the IPv6 header and type 133 to
 * 137 (ipv6_ndisc_frame; a header of 8 bytes must be there).
 *
 *   netif_receive = hook xdp in=D, hook tc ingress in=D, hook netdev ingress in=D, ( ip_rcv: type 0800 | ipv6_rcv: type 86dd )
 *   ipv6_rcv  = drop                    ip6_rcv_core, the first that holds: OTHERHOST; IPV6DISABLED (conf.disableIpv6); IP_INHDR (below 40 bytes); UNHANDLED_PROTO (version
 *                                       not 6); IP_INHDR (source or destination ::1, D neither lo nor a VRF); IP_INHDR (destination multicast of
 *                                       scope 1, D not lo, pkt_type not LOOPBACK); UNICAST_IN_L2_MULTICAST (drop_unicast_in_l2_multicast, a unicast
 *                                       in a broadcast or multicast frame); IP_INHDR (destination multicast of scope 0; source multicast);
 *                                       PKT_TOO_SMALL (payload length + 40 > frame); then the options, below
 *             | icmpv6_send 4/x         an option, below
 *             | hook prerouting in=D,
 *               [ vrf_l3_rcv D V, [ fib(link_scope) ], [ hook prerouting in=V ] ]       D a slave, or D = V itself
 *               ( dst_input | route_input )             dst_input at once: looped back with its dst; or fib(link_scope) found an entry
 *               vrf_l3_rcv, by what the packet is:
 *                 pkt_type LOOPBACK: skb->dev = V, pkt_type HOST; nothing more
 *                 strict, not ND:    skb->dev = V; fib(link_scope), no second hook
 *                 strict, ND:        skb->dev stays D, sdif 0; fib(link_scope), hook prerouting in=V
 *                 ND, not strict:    skb->dev stays D, sdif 0; hook prerouting in=V
 *                 else:              skb->dev = V; hook prerouting in=V
 *               A payload length of 0 is not checked, and cuts nothing off, when a hop-by-hop header follows; it cuts off all else (padding).
 *   options   : of a hop-by-hop header right behind the IPv6 header (ipv6_parse_hopopts, ip6_parse_tlv), in their order; the first that holds:
 *               drop NOT_SPECIFIED      the header is not all there
 *             | drop IP_INHDR           more than 7 bytes of padding in a row, PadN with a byte that is not 0, an option longer than what is left,
 *                                       or one byte left that is not Pad1; the ninth option that is not padding
 *             | by the option's type    05 router alert: drop IP_INHDR (length not 2), else nothing, also of its value
 *                                       31 IOAM: drop IP_INHDR (not at a multiple of 4), else nothing
 *                                       c2 jumbo: drop IP_INHDR (length not 4, or not at 4n+2); icmpv6_send 4/0 at its offset + 2 (not above 65535) or
 *                                       at its offset (payload length not 0); drop PKT_TOO_SMALL (longer than the packet), else cuts off what is more
 *                                       07 CALIPSO: drop IP_INHDR (length below 8, or below 8 + 4 * its seventh byte), else nothing
 *                                       else, by its two highest bits: nothing | drop UNHANDLED_PROTO | icmpv6_send 4/2 at its offset |
 *                                       drop UNHANDLED_PROTO (destination multicast), icmpv6_send 4/2 at its offset
 *               `info` of 4/x is that offset, from the IPv6 header on. skb->dev is D still, and so is sdif.
 *   route_input = fib(input), [ route: only when the dst's input is ip6_forward ], dst_input            iif = skb->dev, so V for a slave
 *   dst_input = by the entry found      ( ip6_input: types local, anycast | ip6_mc_input: prefix multicast | ip6_forward | ip6_pkt_drop:
 *                                       icmpv6_send 1/0 (nothing found; rule unreachable; type unreachable, throw), icmpv6_send 1/1 (prohibit), drop
 *                                       BLACKHOLE ). None of it asks whether D forwards.
 *   ip6_mc_input = drop NOT_JOINED | ip6_input          by the groups of sdif, or of skb->dev if that is 0: ff01::1, ff02::1, ff02::1:ffxx:xxxx
 *                                       of its addresses and of its anycast addresses (kernel-made routes of type anycast by it); where it forwards
 *                                       (conf.forwarding6): ff01::2, ff02::2, ff05::2. Devices without ARP (lo, vrf, dummy) joined the first two alone.
 *   ip6_input = ip6_input device=skb->dev sdif, hook input in=skb->dev          verdict LOCAL, a fragment likewise: IPv6 reassembles behind the
 *                                       hook. All extension headers but hop-by-hop options are the host's, and so is the next header it does not know.
 *   ip6_forward = drop IP_INADDRERRORS  net.ipv6.conf.all.forwarding is 0 (nothing is recorded before)
 *             | drop NOT_SPECIFIED      link-layer broadcast or multicast
 *             | ip6_forward hopLimit (as received), the first that holds:
 *               icmpv6_send 3/0         hop limit <= 1
 *               icmpv6_send 137/0       O is the device that received it (sdif): a redirect, besides; then no check of the source
 *             | drop IP_INADDRERRORS    source ::, ::1 or multicast
 *             | icmpv6_send 1/2         source link-local
 *               icmpv6_send 2/0         larger than max(MTU of O, 1280); a route's own MTU does not count here. skb->dev is O
 *               hook forward in=skb->dev out=O, ip6_output
 *   ip6_output = drop IPV6DISABLED      O
 *             | hook postrouting in=skb->dev out=O (in = 0 for what a socket of this host sends), ip6_finish_output
 *   ip6_finish_output = ip6_fragment O  larger than the route's MTU, or O's if it has none: of a socket of this host; verdict FRAGMENT
 *             | icmpv6_send 2/0         the same, forwarded; skb->dev is O
 *             | [ hook postrouting in=0 out=O: flag LOOP_BACK, a multicast that O has joined, O not lo, not by NDISC, not out of vrf_xmit,
 *                 [ drop NOT_SPECIFIED: hop limit 0 ] ]
 *               [ drop NOT_SPECIFIED: multicast of scope 0 or 1, O not lo ]
 *               neighbour O next-hop resolved, [ xmit ]         multicast: 33:33 and the low 32 bits; otherwise as in IPv4
 *   xmit      as in IPv4: vrf_xmit O, fib(vrf_xmit)*, ( drop IP_OUTNOROUTES | route, vrf_local_xmit O, netif_receive | route, hook output, ip6_output )
 *
 *   OUTPUT    = drop IP_INHDR | fib(output)*, ( send_error | route, ip6_local_out )
 *   ip6_local_out = as ip_local_out; vrf_l3_out stands where O is a slave and the destination is not strict
 *   LOOKUP    = OUTPUT up to `route` or send_error
 *   ROUTE_INPUT = drop IP_INHDR | send_error ENODEV | fib(input), ( send_error: the entry's error, or EMSGSIZE: a multicast route | route )
 *   LOOPBACK  = drop IP_INHDR | drop DEVICE_DOWN | netif_receive: pkt_type LOOPBACK, with a dst whose input is ip6_mc_input
 *   NEIGHBOUR = drop IP_INHDR | drop DEVICE_DOWN | ip6_finish_output's last line
 *   NDISC     = drop IP_INHDR | drop DEVICE_DOWN (no such device) | hook output out=O, hook postrouting in=O out=O, ip6_finish_output
 *               O is the column `device`, the next hop the destination. What neighbour discovery sends: never diverted to the VRF, never routed.
 *
 *   fib(kind) as in IPv4, but
 *               link_scope      l3mdev_link_scope_lookup, vrf_ip6_input_dst: = lookup, fib of V's table, result: no rule is asked, and rule is null
 *                               in `result`. No fl6 goes through l3mdev_update_flow: l3mdev 0.
 *               Where a net never had rules but the kernel's own two (fib6_has_custom_rules): lookup, fib local, [ fib main ], result, rule null.
 *               `fib`: a reject route stands with its errno (blackhole EINVAL, unreachable EHOSTUNREACH, prohibit EACCES, throw EAGAIN), (null, EAGAIN):
 *               the table holds nothing.
 *   fib(output)* l3mdev_link_scope_lookup first, for multicast and fe80::/10 bound to a device of a VRF: fib(link_scope) in place of fib(output), with
 *               iif 0; bound to the VRF itself: nothing is recorded, ENETUNREACH. Source :: and the first look-up failed: it is made again with the
 *               source that was chosen without a route (ip6_dst_lookup_tail), so two stand there; with RTM_GETROUTE never.
 *   flow      : input: iif = skb->dev; protocol = next header; with fib6_rules_require_fldissect protocol, ports behind the extension headers.
 *               link_scope of a received packet: iif = D, protocol = next header. vrf_xmit: mark of the packet, protocol = next header.
 *               output: as in IPv4, so of ICMPv6 dport = type << 8 | code; protocol = next header, which the host puts there.
 *               tos: traffic class & 0xfc.
 *   route     : device, gateway, source; of a forwarded packet its own source. The device of an own address is lo, or its VRF (ip6_rt_get_dev).
 *               LOOKUP and ROUTE_INPUT record it too, for whatever was found.
 *   end of a trace: as in IPv4; icmpv6_send but 137/0.
 *
 * Encoding: events ip6_input, ip6_forward, icmpv6_send, ip6_fragment have the fields of their IPv4 relatives. `lookup` and `route` are encoded by
 * events of their own, lookup6 and route6, as their addresses have four words, highest first, each in host order; they decode to the same steps.
 *
 * COLUMNS
 *
 *   LOCAL        length = 40 + payload length. sdif: the receiving device, 0: outside of VRFs, and ND in a VRF (skbDevice is then the slave itself).
 *                For what vrf_local_xmit sent back in it is the device that has the address (ip6_dst_idev), not V as in IPv4.
 *   ICMP_ERROR   error = type << 8 | code; info: MTU (2/0), offset (4/x), else 0; skbDevice = skb->dev (2/0: O), sdif: the receiving device, always
 *   redirect     error = 137 << 8; info: offset in the buffer of the target's address, 16 bytes (REDIRECT_IN_SLOT); skbDevice, sdif as ICMP_ERROR.
 *                The packet that the redirect quotes still had the hop limit that it came with.
 *   UNRESOLVED, FRAGMENT, FOUND   nextHop 16 bytes, flag NEXT_HOP_IPV6; `source` 16 bytes
 *                RTM_GETROUTE: `source` is the one that would be chosen, also where one is given; :: where there is none
 *   SEND_ERROR   ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EADDRNOTAVAIL (no source address), ENODEV
 *   route, routeType   of the last `result` (link_scope too) that named a route; multicast for LOOPBACK; NDISC: 0
 *
 * FLAGS. OIF_UNBOUND: OUTPUT, LOOKUP: `device` is the flow's oif, but no socket is bound to it (what the kernel itself sends: echo replies, ICMPv6
 *   errors). Another device is then worse, not impossible, when the source is given. RTM_GETROUTE: LOOKUP as `ip route get` makes it: OIF_UNBOUND,
 *   one look-up, of :: as it stands, and `source` what the route would give, whatever the packet has; with ROUTE_INPUT too, ports of
 *   any protocol. ANYSRC and the two of IPv4 options say nothing here.
 *
 * BYTES. Forwarding: hop limit - 1. Local output writes payload length, and source or destination if they are :: (destination ::1 then). Frames
 *   have type 86dd.
 *
 * MULTIPATH. Key words (runtime/multipath.ts): each address folded to 32 bits, the exclusive or of its four words. Policies 0 and 2: flow label in
 *   place of the ports, protocol = next header; those of the quoted packet for ICMPv6 errors (types 1 to 4). 1: ports and protocol, behind
 *   extension headers. 3: addresses and protocol. An output flow: its own fields, flow label of the packet.
 */
import { readU16 } from "../../../runtime/net/wire.ts";
import type { SkBuff } from "../skb.ts";

/** Whose packet it is: its first nibble. */
export const isIpv6 = (skb: SkBuff): boolean => skb.len >= 2 && readU16(skb.bytes, skb.data) >>> 12 === 6;
