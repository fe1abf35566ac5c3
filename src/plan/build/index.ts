/**
 * buildPlan: the packet path of each namespace as plan procs, one file for each area of the kernel.
 *
 *   process.ts     the batch loop, one packet's passes, Entry NEIGHBOUR
 *   fast_forward.ts the short way of a packet that is forwarded and that nothing on its way objects to; fast_stages.ts, fast_lookup.ts, fast_next_hop.ts
 *   receive.ts     netif_receive_skb            ip_input.ts     ip_rcv, ip_local_deliver
 *   route_input.ts ip_route_input, ip_error     source.ts       fib_validate_source
 *   rtm_getroute.ts inet_rtm_getroute
 *   forward.ts     ip_forward                   route_output.ts ip_route_output_key
 *   output.ts      raw_sendmsg, ip_local_out, ip_output
 *   vrf.ts         vrf_l3_rcv, vrf_l3_out, vrf_xmit
 *   fib_rules.ts   rule lists, rule_list.ts long ones             rules.ts  fib_lookup         fib.ts  fib_table_lookup
 *   multipath.ts   fib_select_multipath         l3mdev.ts, devinet.ts, flow.ts, dst.ts, checksum.ts, in.ts
 *   neighbour.ts   ip_finish_output2            transmit.ts     dev_queue_xmit, xmit.ts
 *   programs.ts    XDP and tc programs          ethernet.ts     headers, VLAN tags
 *   verdict.ts     how a packet leaves          skb.ts          the registers that all share
 *   netfilter/     nf_hook, chains, sets and maps
 *
 * Procs that know a namespace's devices, rules or tables are built once for each, with its index behind their name
 * (`ip_rcv.0`); the others once for all.
 */

import type { Model } from "../../../dsl/model.ts";
import type { LpmKind } from "../../../runtime/lpm/lpm.ts";
import type { Layout } from "../../layout.ts";
import type { TableLayout } from "../../layout-tables.ts";
import { lpmProc } from "../../lpm/emit.ts";
import { lpmFamily } from "../../rules/layout.ts";
import type { Plan, Proc } from "../ir.ts";
import { atomicProcs } from "./atomic.ts";
import { ipFastCsum } from "./checksum.ts";
import { type Context, contextOf } from "./context.ts";
import { BECOME_BLOCKS, changingTable, devGetByIndex, inetAddrType, ipDevFind } from "./devinet.ts";
import { ipDstMtu, rtNexthop, rtSetNexthop, traceRoute } from "./dst.ts";
import { fastForwardProcs, hasFastForward } from "./fast_forward.ts";
import { fibTableLookup, fibTrieLookup, fibTrieRoute } from "./fib.ts";
import { skbFlowDissect } from "./flow.ts";
import { ipForward } from "./forward.ts";
import { ipLocalDeliver, ipLocalDeliverWhole, ipRcv, ipRcvCore, ipRcvFinish } from "./ip_input.ts";
import { ipv6DevGetSaddr } from "./ipv6/addrconf.ts";
import { isIpv6 } from "./ipv6/af_inet6.ts";
import { ip6DatagramDstUpdate, ip6DstLookupFlow, ip6RouteGetSaddr, socketPorts6 } from "./ipv6/dst_lookup.ts";
import { ipv6ParseHopopts } from "./ipv6/exthdrs.ts";
import { fib6RuleLookup } from "./ipv6/fib6_rules.ts";
import { skbFlowDissect6 } from "./ipv6/flow_dissector.ts";
import { fib6SelectPath, fib6TableLookup, ip6PolRoute } from "./ipv6/ip6_fib.ts";
import { ip6Forward, ip6PktDrop } from "./ipv6/ip6_forward.ts";
import { ip6Input, ip6McInput, ip6RcvCore, ip6RcvFinish, ipv6ChkMcastAddr, ipv6Rcv } from "./ipv6/ip6_input.ts";
import { dstOutput6, ip6FinishOutput2, ip6LocalOut, ip6Output, ndiscSendSkb, rawv6Sendmsg } from "./ipv6/ip6_output.ts";
import { rt6MultipathHash } from "./ipv6/multipath.ts";
import {
  ip6CreateRt,
  ip6RouteInput,
  ip6RouteInputLookup,
  ip6RouteOutputFlags,
  traceRoute6,
  vrfIp6RouteLookup,
} from "./ipv6/route.ts";
import { inet6RouteInput, ip6Lookup } from "./ipv6/rtm_getroute.ts";
import {
  ipv6NdiscFrame,
  l3mdevIp6Out,
  l3mdevIp6Rcv,
  vrfIp6InputDst,
  vrfOutput6,
  vrfProcessV6Outbound,
} from "./ipv6/vrf.ts";
import { l3mdevUpdateFlow } from "./l3mdev.ts";
import { linkProcs } from "./links.ts";
import { fibSelectMultipath, ipMultipathL3Keys, multipathHash } from "./multipath.ts";
import { ip6NeighOutput, ipFinishOutput2, neighbour4, neighbour6, neighHa } from "./neighbour.ts";
import { chainProcs } from "./netfilter/chain.ts";
import { copyBytesProc } from "./netfilter/copy_bytes.ts";
import { nftExthdrIpv4, nftExthdrTcp, nftExthdrTcpSet, nftPayloadInnerOffset } from "./netfilter/exthdr.ts";
import { fib4Procs } from "./netfilter/fib.ts";
import { fib6Procs } from "./netfilter/fib6.ts";
import { hookProcs } from "./netfilter/hook.ts";
import { dupProcs } from "./netfilter/nf_dup_netdev.ts";
import { routeMeHarderProcs } from "./netfilter/nft_chain_route.ts";
import { nftCsumReplace, nftPayloadL4csumUpdate } from "./netfilter/payload_set.ts";
import { ipv6FindHdrProc, nftSetPktinfoIpv4, nftSetPktinfoIpv6, nftSetPktinfoNetdev } from "./netfilter/pktinfo.ts";
import { ipv6SkipExthdr, nfChecksumOk, nfRejectVerifyCsum, rejectProcs } from "./netfilter/reject.ts";
import { lpmFamiliesOf } from "./netfilter/sets.ts";
import {
  dstOutputProc,
  ipLocalOut,
  ipOutput,
  ipRouteConnect,
  rawSendmsg,
  refuseHeader,
  socketPorts,
} from "./output.ts";
import { copyProcs, neighUpdate, packetProc, processNet, processProc } from "./process.ts";
import { programProcs } from "./programs.ts";
import {
  devDirectXmit,
  devLoopbackReceive,
  devReceive,
  ethTypeTrans,
  netifReceiveSkb,
  netifRx,
  skbVlanUntag,
  vlanInner,
} from "./receive.ts";
import {
  brdInput,
  ipError,
  ipMkrouteInput,
  ipRouteInputMc,
  ipRouteInputNoref,
  ipRouteInputSlow,
} from "./route_input.ts";
import { ipRouteOutputKey, ipRouteOutputKeyHashRcu, mkrouteOutput } from "./route_output.ts";
import { inetRtmGetroute } from "./rtm_getroute.ts";
import { fibLookup } from "./rules.ts";
import { SKB_REGS, worker } from "./skb.ts";
import { fibValidateSource, fibValidateSourceFully } from "./source.ts";
import { devQueueXmit } from "./transmit.ts";
import { icmpSendProc, icmpv6SendProc, kfreeSkb, leaveProc, writeNextHop } from "./verdict.ts";
import { l3mdevIpOut, l3mdevIpRcv, vrfOutput, vrfXmit } from "./vrf.ts";

export interface PlanOptions {
  /** With what says nothing to a trace: the short way of fast_forward.ts, the classifier of rule_list.ts. */
  readonly fast?: boolean;
  /** For several threads in one memory: counters at the thread's own place, what is shared changed indivisibly. */
  readonly threads?: boolean;
  /** false: its traces will be taken away; absent: as there is no short way. */
  readonly traced?: boolean;
}

export function buildPlan(
  model: Model,
  layout: Layout,
  { fast = false, threads = false, traced = !fast }: PlanOptions = {},
): Plan {
  const contexts = layout.nets.map((_, index) => contextOf(model, layout, index, { threads, traced, fast }));
  return {
    procs: [
      processProc(contexts),
      ...contexts.flatMap((context) => {
        const short = fast && hasFastForward(context);
        return [processNet(context, short), ...(short ? fastForwardProcs(context) : [])];
      }),
      ...contexts.flatMap((context) => [...hookProcs(context), ...copyProcs(context), ...namespaceProcs(context)]),
      ...sharedProcs(layout),
      ...(threads ? atomicProcs() : []),
    ],
    skb: threads ? [...SKB_REGS, worker] : SKB_REGS,
  };
}

/** What hooks and copies come to, and whatever a program calls. */
export const namespaceProcs = (context: Context): Proc[] => [
  ...kernelProcs(context),
  ...chainProcs(context),
  ...programProcs(context),
  ...rejectProcs(context),
  ...fib4Procs(context),
  ...fib6Procs(context),
  ...routeMeHarderProcs(context),
  ...dupProcs(context),
];

const kernelProcs = (context: Context): Proc[] =>
  [
    ...[
      packetProc,
      devReceive,
      devLoopbackReceive,
      devDirectXmit,
      netifReceiveSkb,
      netifRx,
      ipRcv,
      ipRcvFinish,
      ipLocalDeliver,
      ipLocalDeliverWhole,
      l3mdevIpRcv,
    ],
    ...[ipRouteInputNoref, ipRouteInputSlow, ipRouteInputMc, brdInput, ipMkrouteInput, ipError],
    ...[fibValidateSource, fibValidateSourceFully, fibLookup, fibTableLookup, l3mdevUpdateFlow],
    ...[ipForward, rawSendmsg, ipRouteConnect, ipRouteOutputKey, ipRouteOutputKeyHashRcu, mkrouteOutput],
    ...[ipLocalOut, l3mdevIpOut, dstOutputProc, ipOutput, vrfOutput, vrfXmit, neighUpdate, inetRtmGetroute],
    ...[ip6RouteInputLookup, ip6RouteOutputFlags, vrfIp6RouteLookup, ip6CreateRt, fib6RuleLookup, ip6PolRoute],
    ...[fib6TableLookup, rt6MultipathHash, ipv6DevGetSaddr, ip6RouteInput, ip6DstLookupFlow, ip6RouteGetSaddr],
    ...[ip6Lookup, ip6DatagramDstUpdate, inet6RouteInput],
    ...[
      ipv6Rcv,
      ip6RcvFinish,
      ip6Input,
      ip6McInput,
      l3mdevIp6Rcv,
      vrfIp6InputDst,
      ip6Forward,
      ip6LocalOut,
      l3mdevIp6Out,
      dstOutput6,
    ],
    ...[ip6Output, ip6FinishOutput2, ip6NeighOutput, vrfOutput6, vrfProcessV6Outbound, ndiscSendSkb, rawv6Sendmsg],
    ...[ipFinishOutput2, neighHa, neighbour4, neighbour6, devQueueXmit, devGetByIndex, ipDevFind, inetAddrType],
  ].map((build) => build(context));

export function sharedProcs(layout: Layout): Proc[] {
  const kindsOf = (tables: readonly TableLayout[]) => [...new Set(tables.map(({ kind }) => kind))];
  const kinds4 = new Set(kindsOf(layout.nets.flatMap(({ tables, addresses }) => [...tables.values(), addresses])));
  const kinds6 = new Set(kindsOf(layout.nets.flatMap(({ tables6 }) => [...tables6.values()])));
  const mayBecome = (kinds: ReadonlySet<LpmKind>): boolean => BECOME_BLOCKS.some((kind) => kinds.has(kind));
  for (const kinds of [kinds4, kinds6]) if (mayBecome(kinds)) kinds.add("blocks");
  for (const family of lpmFamiliesOf(layout.nets.flatMap(({ netfilter }) => netfilter.sets)))
    (family === 4 ? kinds4 : kinds6).add("blocks");
  for (const { ruleLists } of layout.nets)
    for (const family of [4, 6] as const)
      for (const { kind } of ruleLists[family]?.dimensions ?? [])
        (lpmFamily(kind, family) === 4 ? kinds4 : kinds6).add("blocks");
  return [
    ...[ethTypeTrans, skbVlanUntag, vlanInner, ipRcvCore, ipFastCsum, refuseHeader, socketPorts, skbFlowDissect],
    ...[rtSetNexthop, rtNexthop, ipDstMtu, traceRoute, multipathHash, ipMultipathL3Keys, fibSelectMultipath],
    ...[fibTrieLookup, fibTrieRoute],
    ...[isIpv6, fib6SelectPath, traceRoute6, skbFlowDissect6, socketPorts6],
    ...[ip6RcvCore, ipv6ParseHopopts, ipv6NdiscFrame, ipv6ChkMcastAddr, ip6PktDrop],
    icmpv6SendProc,
    ...[nftSetPktinfoIpv4, nftSetPktinfoIpv6, nftSetPktinfoNetdev],
    ...[ipv6FindHdrProc, nftExthdrTcp, nftExthdrTcpSet, nftExthdrIpv4],
    ...[ipv6SkipExthdr, nfRejectVerifyCsum, nfChecksumOk],
    ...[copyBytesProc, nftPayloadInnerOffset, nftCsumReplace, nftPayloadL4csumUpdate],
    ...linkProcs().map((built) => () => built),
    ...[kfreeSkb, icmpSendProc, leaveProc, writeNextHop],
    ...[...kinds4].map((kind) => () => lpmProc(kind, 4)),
    ...(mayBecome(kinds4) ? [() => changingTable(4, kinds4)] : []),
    ...(mayBecome(kinds6) ? [() => changingTable(6, kinds6)] : []),
    ...layout.shapes.map((shape) => () => lpmProc(shape.kind, 4, shape)),
    ...[...kinds6].map((kind) => () => lpmProc(kind, 6)),
  ].map((build) => build());
}
