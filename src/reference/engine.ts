/**
 * The reference interpreter: what the Linux IP packet path does to a packet, slowly and plainly, over a namespace of the
 * model. It is the specification of the packet path; every other engine must give the same verdicts, columns, bytes and
 * traces. Each function bears the name of the kernel function whose work it does, and stands in a file named as the kernel's.
 *
 * This header says it of IPv4; that of ipv6/af_inet6.ts continues it for IPv6.
 *
 *   runtime/engine.ts  RECEIVE     dev_receive  dev.ts  -> ip_rcv  ip_input.ts -> ip_route_input_noref  route.ts
 *                      OUTPUT      raw_sendmsg        raw.ts  -> ip_route_output_flow  route.ts -> ip_local_out  ip_output.ts
 *                      LOOKUP      ip_route_connect   raw.ts
 *                      NEIGHBOUR   ip_finish_output2  ip_output.ts
 *                      ROUTE_INPUT inet_rtm_getroute  rtm_getroute.ts
 *                      LOCAL_IN    ip_local_deliver   ip_input.ts
 *                      XMIT        dev_queue_xmit     dev.ts
 *
 *   fib_lookup  fib4_rules.ts -> fib_rules_lookup  fib_rules.ts -> fib_table_lookup  fib_trie.ts
 *   fib_validate_source  fib_frontend.ts    fib_select_path  fib_semantics.ts    l3mdev.ts, vrf.ts, neighbour.ts, devinet.ts
 *
 * TRACES. The steps of a packet, in order; D is the receiving device, V its VRF, O the device a route leaves by. `a | b` one of
 * both, `[ a ]` perhaps, `{ a }` any number of times, `(word)` a condition. Nothing else is ever recorded.
 *
 *   RECEIVE   = drop                    DEVICE_DOWN: no such device, or it is down. PKT_TOO_SMALL: below 14 bytes.
 *                                       PKT_TOO_BIG: a veth gets more than its MTU + 14 + 4 (a VLAN tag) bytes.
 *             | hook xdp in=D, [ program, ( drop XDP | drop XDP_ABORTED | transmit ) ], netif_receive
 *   netif_receive = hook tc ingress in=D, hook netdev ingress in=D, ip_rcv
 *                                       (EtherType 86dd: ipv6_rcv; another: verdict PASS, nothing follows)
 *                                       A VLAN tag (8100, 88a8) is taken off before tc ingress: drop NOT_SPECIFIED when fewer than
 *                                       6 bytes follow the header. Id 0: as without it, but tags behind it are taken off likewise
 *                                       after netdev ingress. Another id: the frame is another host's (OTHERHOST)
 *   ip_rcv    = drop                    ip_rcv_core, the first that holds: OTHERHOST; IP_INHDR (below 20 bytes, ihl < 5 or version
 *                                       not 4, header not all there); IP_CSUM; PKT_TOO_SMALL (tot_len > frame); IP_INHDR (tot_len < ihl * 4)
 *             | hook prerouting in=D,
 *               [ vrf_l3_rcv D V, [ hook prerouting in=V ] ]     D a slave, or D = V itself; the second hook is not passed by
 *                                       IPv4 multicast, nor by what vrf_local_xmit looped back (pkt_type LOOPBACK)
 *               ( dst_input | route_input )             dst_input at once for a packet that was looped back with its dst
 *               Between the route and dst_input, for a packet with IP options: [ icmp_send 12/0 (flag OPTIONS_INVALID)
 *                                       | drop NOT_SPECIFIED (OPTIONS_SOURCE_ROUTE) ]
 *   route_input, destination multicast:
 *               drop NOT_JOINED         not 224.0.0.1, the one group that every device that is up has joined
 *             | drop MARTIAN_SOURCE     source multicast, 255.255.255.255, 127/8 without route_localnet; 0.0.0.0 unless the
 *                                       destination is 224.0.0.0/24 or the protocol IGMP
 *             | [ source: not if the source is 0.0.0.0 ], dst_input
 *   route_input, else, in this order:
 *               drop MARTIAN_SOURCE     source multicast or 255.255.255.255
 *             | [ source: not if the source is 0.0.0.0 ], dst_input         destination 255.255.255.255, or 0.0.0.0 -> 0.0.0.0
 *             | drop MARTIAN_SOURCE     source 0.0.0.0
 *             | drop MARTIAN_DESTINATION   destination 0.0.0.0, or 127/8 without route_localnet
 *             | drop MARTIAN_SOURCE     source 127/8 without route_localnet
 *             | fib(input), then by what it found
 *                 an error, or not broadcast nor local and D does not forward:   no_route
 *                 broadcast without bc_forwarding:   [ source: not if the source is 0.0.0.0 ], dst_input
 *                 local:                             source, dst_input
 *                 not unicast nor broadcast:         drop MARTIAN_DESTINATION
 *                 unicast, broadcast with bc_forwarding:   (multipath choice) source, route, dst_input
 *               no_route  = drop IP_INADDRERRORS (D does not forward) | drop BLACKHOLE (EINVAL) | icmp_send 3/0, 3/1 or 3/13
 *               source    = [ fib(source), [ fib(source) ] ] fib_validate_source D
 *                           [ drop IP_RPFILTER (EXDEV) | drop MARTIAN_SOURCE (EINVAL) ]
 *                           Both are absent on the short way of fib_validate_source: rp_filter 0, and (out device not D or D
 *                           sends no redirects), and (accept_local, or neither custom rules nor custom local routes).
 *                           The second is the one with oif = D.
 *               dst_input = [ drop UNICAST_IN_L2_MULTICAST ]  (not after a loop-back with dst)
 *                           ( local | forward | no_route's end | drop NOT_SPECIFIED: dst_discard )
 *   local     = ip_local_deliver device=skb->dev sdif, [ hook input in=skb->dev ]      a fragment does not pass the hook: the host
 *                                       reassembles first
 *   forward   = drop NOT_SPECIFIED      link-layer broadcast or multicast
 *             | ip_forward ttl (as received),
 *               ( icmp_send 11/0 (ttl <= 1) | icmp_send 3/4 (larger than the MTU, DF)
 *               | [ icmp_send 5/1: a redirect, besides ] hook forward in=skb->dev out=O, ip_output )
 *   ip_output = hook postrouting in=skb->dev out=O, ip_finish_output         in = 0 for what a socket of this host sends;
 *                                       in = 0 too for a destination with route type broadcast, or 224.0.0.1, sent by a socket
 *                                       (ip_mc_output): flag LOOP_BACK is set, and the hook stands twice, first for the copy (a
 *                                       multicast with TTL 0 then: drop NOT_SPECIFIED before the second)
 *   ip_finish_output = ip_fragment O | icmp_send 3/4 (DF)                    larger than the MTU
 *             | neighbour O next-hop resolved=false                          end, verdict UNRESOLVED
 *             | neighbour O next-hop resolved=true, xmit                     true also where no entry is needed: IFF_NOARP devices
 *                                       (vrf, lo, dummy) and broadcast and multicast next hops
 *   xmit      = hook netdev egress out=O, hook tc egress out=O,
 *               ( drop DEVICE_DOWN      O is down
 *               | transmit O            veth, dummy
 *               | hook xdp in=O, netif_receive with D = O        lo: back in with its dst
 *               | drop RECURSION        O a VRF, the tenth transmission nested in VRF transmissions (XMIT_RECURSION_LIMIT)
 *               | vrf_xmit O, drop NOT_SPECIFIED                 not IP, or too short for its header: by `fwd` or REDIRECT
               | vrf_xmit O, fib(vrf_xmit)*, ( drop IP_OUTNOROUTES
 *                   | route, vrf_local_xmit O, hook xdp in=O, netif_receive with D = O     the route's device is O again: back in with its dst
 *                   | route, hook output in=0 out=O', ip_output with skb->dev = O ) )
 *
 *   OUTPUT    = drop IP_INHDR           the host gave no IPv4 header that is all there
 *             | fib(output)*, ( send_error | route, [ send_error EMSGSIZE: DF and larger than the MTU ], ip_local_out )
 *   ip_local_out = [ vrf_l3_out O V direct ] and then
 *               direct:      hook output out=V, hook postrouting out=V, hook output out=O, ip_output with skb->dev = V
 *               not direct:  hook output out=V, hook postrouting out=V, neighbour V, xmit with O = V
 *               neither:     hook output out=O, ip_output
 *               vrf_l3_out stands only where the packet is diverted: O a slave, destination not multicast nor 255.255.255.255.
 *               It is direct when V is up and has its default qdisc.
 *   LOOKUP    = OUTPUT up to `route` or send_error
 *   ROUTE_INPUT = drop IP_INHDR | send_error ENODEV (no such device) | route_input up to its dst_input, `route`, and send_error in place of
 *               its drops (EXDEV for IP_RPFILTER, else EINVAL) and of no_route (what the look-up gave, EHOSTUNREACH if D does not forward)
 *   LOOPBACK  = drop IP_INHDR | drop DEVICE_DOWN (no such device) | hook xdp in=D, netif_receive: pkt_type LOOPBACK, and with its dst
 *   LOCAL_IN  = drop IP_INHDR | drop DEVICE_DOWN (no such device) | hook input in=device
 *   NEIGHBOUR = drop IP_INHDR | drop DEVICE_DOWN (no such device) | ip_finish_output's last two lines
 *   XMIT      = drop DEVICE_DOWN (no such device) | drop PKT_TOO_SMALL (below 14 bytes) | xmit
 *
 *   hook      = hook, { chain }         `hook X` above is the hook and the base chains attached to it, in the order of Net.netfilter.hooks; what
 *               stands behind it only follows when none of them ends the packet. At xdp, tc ingress and tc egress it is followed by
 *               programs instead, in the order of AttachedPrograms (programs/bpf_prog.ts), at xdp of what the wire delivers only
 *   program   = program, { program_log | program_rule | the nft_ steps of chains that it leads to }, program_end
 *               tc: UNSPEC: the next program. OK: the packet goes on. SHOT: drop TC_INGRESS | drop TC_EGRESS
 *               REDIRECT: drop NOT_SPECIFIED (no such device, or no Ethernet header) | drop RECURSION (as a VRF's) | xmit with that O,
 *               but without its netdev egress (programs/tc.ts)
 *   chain     = nft_chain, { nft_log | fib(nft_fib) | nft_rule }, ( nft_policy | the last nft_rule decides )
 *               dsl/chain-model.ts says what is evaluated. Rules that do not match leave no step (but the nft_log, and the look-ups, of those
 *               of their steps that were done). nft_rule stands behind all steps of its rule. nft_policy: the base chain ended, or returned.
 *             ended by  drop            drop NETFILTER_DROP
 *                       reject          icmp_send 3/code | icmpv6_send 1/code | nf_send_reset; drop NETFILTER_DROP where nobody is told
 *                                       (netfilter/nf_reject.ts). At prerouting with fib(output)*, [ route ] before it (nf_reject_fill_skb_dst).
 *                                       At netdev ingress: nft_reject_netdev
 *                       fwd             drop NOT_SPECIFIED (no such device; the fourth nested in one another) | xmit with that O
 *               A `route` chain that accepts, and changed what routes go by: fib(output)*, ( route | drop NETFILTER_DROP: no route )
 *   A hook that stands twice for a copy (LOOP_BACK): its chains run for the copy and again for the packet, what they change of the copy
 *   is undone; when they drop the copy, LOOP_BACK is not raised and no `drop` recorded. INPUT of an IPv4 fragment: no chain runs.
 *   dup: the copy is appended to the batch, its trace (netdev egress, xmit) to the traces.
 *
 *   fib(kind) = lookup kind flow, { rule, [ fib, [ suppress ] ] }, result
 *               `fib(..)*`: a local multicast or 255.255.255.255 to a bound device, a multicast from a given source, and destination
 *               0.0.0.0 are routed without a look-up (ip_route_output_key_hash_rcu); then none of it is recorded.
 *               One `rule` for each rule tried, in order, goto's skipped ones left out. `failed` is the first of SELECTORS (runtime/trace.ts)
 *               that does not match; an inverted rule has failed = null always. goto: matched, then the target is tried;
 *               unresolved goto and nop: matched, then the next rule. `fib` follows every matched rule that looks up a table, also
 *               one that holds nothing: (null, EAGAIN); a reject route stands with its errno, throw with EAGAIN.
 *               The l3mdev rule's table is that of the flow's VRF; when such a rule matches only because it is inverted, the table that an
 *               l3mdev selector found last in this look-up, else main.
 *               `result` = (rule, route, 0) | (rule, reject route or null, errno) | (null, null, ENETUNREACH).
 *   flow      : as after l3mdev_update_flow. Profile 5.4: iif or oif of a slave is the VRF, and stays so; `l3mdev` then repeats the
 *               VRF that the l3mdev rule uses. Ports are 0 where the kernel does not look at them: input and source look-ups
 *               dissect protocol and ports only when a rule asks for them (fib_rules_require_fldissect), else all three are 0; output
 *               flows have those of UDP, TCP; of ICMP, dport = type << 8 | code (a union in the kernel); vrf_xmit has the protocol only.
 *               nft_fib (netfilter/nft_fib.ts): tos = TOS & 0xfc, mark if it is asked for, l3mdev = VRF of the hook's input device.
 *               tos = TOS & 0x1c. mark and uid: input: the packet's mark, 0; source and vrf_xmit: 0, 0.
 *   route     : device, gateway, source of the dst: for a forwarded packet its own source; for a local destination the VRF or lo.
 *   drop, icmp_send (but a redirect), send_error, transmit, ip_fragment, a `neighbour` not resolved, `route` of LOOKUP, and `hook input`
 *   (ip_local_deliver of a fragment) end a trace. icmp_send says that the kernel calls icmp_send; whether an error may
 *   really be sent (its own conditions, rate limits) is the host's part.
 *
 * COLUMNS, besides `verdict`; those not named are 0 (`nextHop` and `flags` then keep what they held).
 *
 *   TRANSMIT     data, length: the frame. outDevice
 *   LOCAL        data = l3, length = tot_len. skbDevice, sdif (LOCAL_IN: length as given, sdif 0; the host knows it)
 *   DROP         reason. The bytes, data and length are unspecified
 *   ICMP_ERROR   data = l3, length; error, info, skbDevice (skb->dev), sdif (the receiving device, 0: a socket's packet)
 *   UNRESOLVED   data = l3, length; outDevice, nextHop (NEXT_HOP_IN_SLOT; flag NEXT_HOP_IPV6)
 *   FRAGMENT     as UNRESOLVED, and info = MTU
 *   redirect     besides, whatever the verdict: the gateway, or the destination (REDIRECT_IN_SLOT); skbDevice, sdif as ICMP_ERROR
 *   flags        LOOP_BACK, whatever the verdict then is; OPTIONS_UNREAD of an IPv4 packet that prerouting rejects
 *   SEND_ERROR   data, length as given; error = errno
 *   FOUND        data, length as given; outDevice, nextHop (gateway, or the destination); LOOKUP: source (SOURCE_IN_SLOT)
 *   PASS         data, length as given
 *   l3           all but PASS and those drops that come before the IP header is known
 *   TCP_RESET    data = l3, length; outDevice: the VRF (or bound device) that the answer is routed by, 0: none; skbDevice
 *   REJECT_FRAME data, length: the frame, with the tag that was taken off; error; outDevice: the device that it came in by
 *   reason       NETFILTER_DROP too for what `reject` answers (ICMP_ERROR, TCP_RESET, REJECT_FRAME)
 *   mark, priority   as chains left them. Forwarding IPv4 sets the priority by the TOS (rt_tos2priority)
 *   flag SEND_EPERM  a chain ended it at output or postrouting while the socket was sending: not in vrf_l3_out's two hooks, not once looped back
 *   route, routeType   of the last `result` that is not one of source validation or nft_fib: the deciding route (a reject route too); where no
 *                look-up was made, or a bound socket's failed and the packet goes out on the link all the same, route 0. The type is that
 *                of the route, but broadcast and multicast for such destinations, and local for a packet to 0.0.0.0
 *
 * BYTES. Forwarding decrements the TTL with the incremental checksum of ip_decrease_ttl. Local output writes the total length, a
 * source or destination of 0.0.0.0 and the header checksum, nothing else: identification and transport checksums are the host's. A frame out
 * has destination = the neighbour's MAC (NOARP devices: their own; broadcast: all ones; multicast: 01:00:5e and 23 bits), source = the
 * device's MAC, type 0800, and is not padded.
 *
 * Not here: IP options are carried; the host reads them, says by two flags what is wrong, and fills them in. The choice
 * among equal default routes by neighbour state (fib_select_default); carrier state of next hops.
 */
import type { KernelProfile, Net } from "../../dsl/model.ts";
import { batchBytes, DEFAULT_SLOT_SIZE, PacketBatch, PacketFlag } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import type { Engine } from "../../runtime/engine.ts";
import { readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import type { Trace, TraceStep } from "../../runtime/trace.ts";
import { DropReason, Entry, Verdict } from "../../runtime/verdict.ts";
import { dev_direct_xmit, dev_loopback_receive, dev_receive } from "./dev.ts";
import { ip_local_deliver_whole } from "./ip_input.ts";
import { ip_finish_output2 } from "./ip_output.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { ndisc_send_skb } from "./ipv6/ndisc.ts";
import { rawv6_sendmsg } from "./ipv6/raw.ts";
import { inet6_route_input, ip6_lookup } from "./ipv6/rtm_getroute.ts";
import { NetNamespace } from "./net.ts";
import { openElements } from "./netfilter/elements.ts";
import { run_passes } from "./passes.ts";
import { ip_route_connect, raw_sendmsg, refuse_header } from "./raw.ts";
import { inet_rtm_getroute } from "./rtm_getroute.ts";
import { kfree_skb, SkBuff } from "./skb.ts";

/** @param net the namespace that the engine decides for; @param kernel whose behaviour to follow */
export function referenceEngine(net: Net, kernel: KernelProfile): Engine {
  const namespace = new NetNamespace(net, kernel);
  return {
    name: "reference",
    createBatch(capacity, slotSize = DEFAULT_SLOT_SIZE) {
      const buffer = new ArrayBuffer(batchBytes(capacity, slotSize));
      return new PacketBatch(() => buffer, imageOffset(0), capacity, slotSize);
    },
    process(batch) {
      const given = batch.count; // copies are appended
      for (let i = 0; i < given; i++) if (!isJudged(batch, i)) settle(namespace, new SkBuff(batch, i));
    },
    trace(batch) {
      const given = batch.count;
      const copies: TraceStep[][] = [];
      const traces = Array.from({ length: given }, (_, i) =>
        isJudged(batch, i) ? [] : traceOne(namespace, new SkBuff(batch, i), copies),
      );
      return [...traces, ...copies];
    },
    setNeighbour: (device, ip, mac) => namespace.setNeighbour(device, ip, mac),
    readCounters: () => [...namespace.netfilter.counters],
    map: (name) => openElements(name, net.netfilter, namespace.netfilter.sets, net.devices),
    setTime(nanoseconds) {
      namespace.netfilter.now = nanoseconds;
    },
  };
}

/** @param copies where the traces of its copies go */
function traceOne(net: NetNamespace, skb: SkBuff, copies: TraceStep[][]): Trace {
  const steps: TraceStep[] = [];
  net.trace = steps;
  settle(net, skb, () => {
    net.trace = [];
    copies.push(net.trace);
  });
  net.trace = null;
  return steps;
}

/** A frame that an XDP program has judged keeps the results that it came with. */
const isJudged = (batch: PacketBatch, index: number): boolean => batch.column("entry")[index] === Entry.JUDGED;

/** The packet, and then its copies, and theirs. @param onCopy before each of them */
function settle(net: NetNamespace, skb: SkBuff, onCopy: () => void = () => {}): void {
  skb.settle(run_passes(net, skb, judge(net, skb)));
  for (let copy = net.copies.shift(); copy !== undefined; copy = net.copies.shift()) {
    onCopy();
    copy.skb.settle(run_passes(net, copy.skb, copy.send()));
  }
}

function judge(net: NetNamespace, skb: SkBuff): Verdict {
  const device = skb.batch.column("device")[skb.index];
  switch (skb.batch.column("entry")[skb.index]) {
    case Entry.RECEIVE:
      return dev_receive(net, skb, device);
    case Entry.OUTPUT:
      return isIpv6(skb) ? rawv6_sendmsg(net, skb) : raw_sendmsg(net, skb);
    case Entry.LOOKUP:
      return isIpv6(skb) ? ip6_lookup(net, skb) : ip_route_connect(net, skb);
    case Entry.LOOPBACK:
      return dev_loopback_receive(net, skb, device);
    case Entry.NEIGHBOUR:
      return neigh_update(net, skb, device);
    case Entry.ROUTE_INPUT:
      return isIpv6(skb) ? inet6_route_input(net, skb, device) : inet_rtm_getroute(net, skb, device);
    case Entry.NDISC:
      return ndisc_send_skb(net, skb, device);
    case Entry.LOCAL_IN:
      return ip_local_deliver_whole(net, skb, device);
    case Entry.XMIT:
      return dev_direct_xmit(net, skb, device);
    default:
      return Verdict.NONE; // not an entry
  }
}

/** Entry NEIGHBOUR: a packet that waited for `nextHop` on `device` (kernel: neigh_update sends the queue). */
function neigh_update(net: NetNamespace, skb: SkBuff, device: number): Verdict {
  const refused = refuse_header(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(device);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  const at = skb.batch.column("nextHop")[skb.index];
  const ipv6 = isIpv6(skb) || (skb.flags & PacketFlag.NEXT_HOP_IPV6) !== 0; // an IPv6 packet has no other next hop
  skb.dev = dev;
  return ip_finish_output2(net, skb, dev, ipv6 ? readIpv6(skb.bytes, at) : readIpv4(skb.bytes, at));
}
