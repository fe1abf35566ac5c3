/**
 * Frames, or copies of them, that leave by another device: `fwd` and `dup`.
 * k:net/netfilter/nf_dup_netdev.c nf_fwd_netdev_egress, nf_dup_netdev_egress, nf_do_netdev_egress.
 */
import type { Device } from "../../../dsl/model.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { dev_queue_xmit } from "../dev.ts";
import type { NetNamespace } from "../net.ts";
import { next_pass } from "../passes.ts";
import { kfree_skb, SkBuff } from "../skb.ts";
import type { PktInfo } from "./pktinfo.ts";

const NF_RECURSION_LIMIT = 2;

/** The frame is gone from here, also when there is no such device. */
export function nf_fwd_netdev_egress({ net, skb, hook }: PktInfo, oif: number): Verdict {
  const dev = net.dev_get_by_index(oif);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  return nf_do_netdev_egress(net, skb, dev, hook === "netdev ingress");
}

/**
 * The copy is a packet of the batch of its own, with its own trace. No copy is made when the batch has no room. It goes its way when the
 * packet has ended: the kernel sends it at once, which only what remembers packets (`limit`) can tell.
 */
export function nf_dup_netdev_egress({ net, skb, hook }: PktInfo, oif: number): void {
  const dev = net.dev_get_by_index(oif);
  const clone = dev === undefined ? null : skb_clone(skb);
  if (dev === undefined || clone === null) return;
  if (hook === "netdev ingress") clone.push(clone.mac_len);
  clone.writeExtent();
  net.copies.push({ skb: clone, send: () => nf_do_netdev_egress(net, clone, dev, false) });
}

/** With the dst, without the socket. */
function skb_clone(skb: SkBuff): SkBuff | null {
  const index = skb.batch.duplicate(skb.index);
  if (index === null) return null;
  const clone = new SkBuff(skb.batch, index);
  const moved = skb.batch.slot(index) - skb.batch.slot(skb.index);
  const { pkt_type, protocol, mark, priority, dst, dst6, ignore_df, nf_dup_recursion, xmit_recursion } = skb;
  Object.assign(clone, { pkt_type, protocol, mark, priority, dst, dst6, ignore_df, nf_dup_recursion, xmit_recursion });
  clone.data = skb.data + moved;
  clone.len = skb.len;
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
  return next_pass(skb, () => dev_queue_xmit(net, skb, dev));
}
