/**
 * Frames, or copies of them, that leave by another device: `fwd` and `dup`.
 * k:net/netfilter/nf_dup_netdev.c nf_fwd_netdev_egress, nf_dup_netdev_egress, nf_do_netdev_egress.
 */
import type { Device } from "../../../dsl/model.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import type { TraceStep } from "../../../runtime/trace.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { dev_queue_xmit } from "../dev.ts";
import type { NetNamespace } from "../net.ts";
import { run_passes } from "../passes.ts";
import { kfree_skb, SkBuff } from "../skb.ts";
import type { PktInfo } from "./pktinfo.ts";

const NF_RECURSION_LIMIT = 2;

/** The frame is gone from here, also when there is no such device. */
export function nf_fwd_netdev_egress({ net, skb, hook }: PktInfo, oif: number): Verdict {
  const dev = net.dev_get_by_index(oif);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  return nf_do_netdev_egress(net, skb, dev, hook === "netdev ingress");
}

/** The copy is a packet of the batch of its own, with its own trace. No copy is made when the batch has no room. */
export function nf_dup_netdev_egress({ net, skb, hook }: PktInfo, oif: number): void {
  const dev = net.dev_get_by_index(oif);
  const clone = dev === undefined ? null : skb_clone(skb);
  if (dev === undefined || clone === null) return;
  const { trace } = net;
  const steps: TraceStep[] = [];
  if (trace !== null) net.trace = steps;
  clone.settle(run_passes(net, clone, nf_do_netdev_egress(net, clone, dev, hook === "netdev ingress")));
  net.trace = trace;
  if (trace !== null) net.copies.push(steps);
}

function skb_clone(skb: SkBuff): SkBuff | null {
  skb.writeExtent();
  const index = skb.batch.duplicate(skb.index);
  if (index === null) return null;
  const clone = new SkBuff(skb.batch, index);
  const moved = clone.data - skb.data;
  const { pkt_type, protocol, mark, priority, sk_uid, nf_dup_recursion, xmit_recursion } = skb;
  Object.assign(clone, { pkt_type, protocol, mark, priority, sk_uid, nf_dup_recursion, xmit_recursion });
  clone.network_header = skb.network_header + moved;
  if (protocol === EtherType.IPV4 || protocol === EtherType.IPV6) clone.set("l3", clone.network_header);
  clone.mac_header = skb.mac_header === null ? null : skb.mac_header + moved;
  return clone;
}

/** At ingress the Ethernet header, which was pulled off, is put back. */
function nf_do_netdev_egress(net: NetNamespace, skb: SkBuff, dev: Device, ingress: boolean): Verdict {
  if (skb.nf_dup_recursion > NF_RECURSION_LIMIT) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  if (ingress) skb.push(skb.mac_len);
  skb.dev = dev;
  skb.nf_dup_recursion++;
  return dev_queue_xmit(net, skb, dev);
}
