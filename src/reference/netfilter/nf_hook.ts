/**
 * A packet passes a hook: the base chains attached there judge it, one after the other, until one ends it.
 * k:net/netfilter/core.c nf_hook_slow; include/linux/netfilter_netdev.h nf_hook_ingress, nf_hook_egress;
 * net/netfilter/nft_chain_route.c nf_route_table_hook4, nf_route_table_hook6.
 *
 *   nf_hook -> base chain -> accept: the next base chain; after the last the packet goes on (null)
 *                         -> drop:   kfree_skb, NETFILTER_DROP
 *                         -> reject: nf_reject.ts, and dropped
 *                         -> fwd:    nf_dup_netdev.ts, and gone
 */
import type { Chain, ChainHook } from "../../../dsl/chain-model.ts";
import type { Device } from "../../../dsl/model.ts";
import { PacketFlag } from "../../../runtime/batch.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import type { NetNamespace } from "../net.ts";
import { kfree_skb, type SkBuff } from "../skb.ts";
import { nf_fwd_netdev_egress } from "./nf_dup_netdev.ts";
import { nft_reject_eval } from "./nf_reject.ts";
import { type ChainVerdict, nft_do_chain } from "./nf_tables_core.ts";
import { route_me_harder, routing_keys } from "./nft_chain_route.ts";
import { nft_set_pktinfo, nft_set_pktinfo_netdev, type PktInfo } from "./pktinfo.ts";

/** @returns null: the packet goes on; else how it ended */
export function nf_hook(
  net: NetNamespace,
  skb: SkBuff,
  hook: ChainHook,
  input: Device | null,
  output: Device | null,
): Verdict | null {
  net.hook(hook, input?.ifindex ?? 0, output?.ifindex ?? 0);
  for (const chain of attached(net, skb, hook, input, output)) {
    const pkt = pktinfo(net, skb, hook, input, output);
    const end = chain.base!.type === "route" ? nf_route_table_hook(chain, pkt) : ended(nft_do_chain(chain, pkt), pkt);
    if (end !== null) return end;
  }
  return null;
}

/**
 * The hook for a copy of the packet: what chains change of it, changes the copy alone.
 * @returns does the copy go on?
 */
export function nf_hook_clone(net: NetNamespace, skb: SkBuff, hook: "postrouting", output: Device): boolean {
  net.hook(hook, 0, output.ifindex);
  const { mark, priority, pkt_type } = skb;
  const bytes = skb.bytes.slice(skb.data, skb.data + skb.len);
  const accepted = attached(net, skb, hook, null, output).every(
    (chain) => nft_do_chain(chain, pktinfo(net, skb, hook, null, output)).kind === "accept",
  );
  skb.bytes.set(bytes, skb.data);
  Object.assign(skb, { mark, priority, pkt_type });
  return accepted;
}

function attached(
  net: NetNamespace,
  skb: SkBuff,
  hook: ChainHook,
  input: Device | null,
  output: Device | null,
): readonly Chain[] {
  if (isDeviceHook(hook)) return net.netfilter.attached(hook, null, (input ?? output)!.ifindex);
  return net.netfilter.attached(hook, skb.protocol === EtherType.IPV6 ? 6 : 4, null);
}

const isDeviceHook = (hook: ChainHook): boolean => hook === "netdev ingress" || hook === "netdev egress";

const pktinfo = (
  net: NetNamespace,
  skb: SkBuff,
  hook: ChainHook,
  input: Device | null,
  output: Device | null,
): PktInfo => (isDeviceHook(hook) ? nft_set_pktinfo_netdev : nft_set_pktinfo)(net, skb, hook, input, output);

function ended(verdict: ChainVerdict, pkt: PktInfo): Verdict | null {
  switch (verdict.kind) {
    case "accept":
      return null;
    case "drop":
      return nf_drop(pkt);
    case "reject":
      return nft_reject_eval(verdict, pkt) ?? nf_drop(pkt);
    case "fwd":
      return nf_fwd_netdev_egress(pkt, verdict.device);
  }
}

function nf_drop(pkt: PktInfo): Verdict {
  tell_sender(pkt);
  return kfree_skb(pkt.net, pkt.skb, DropReason.NETFILTER_DROP);
}

/** NF_DROP_ERR(-EPERM): what nf_hook returns is what the socket's call to send returns. */
export function tell_sender({ skb, hook }: PktInfo): void {
  if (skb.sending && (hook === "output" || hook === "postrouting")) skb.raiseFlag(PacketFlag.SEND_EPERM);
}

/** A `route` chain: what it accepts is routed anew when it changed what routes go by. */
function nf_route_table_hook(chain: Chain, pkt: PktInfo): Verdict | null {
  const before = routing_keys(pkt.skb);
  const verdict = nft_do_chain(chain, pkt);
  if (verdict.kind !== "accept" || routing_keys(pkt.skb) === before) return ended(verdict, pkt);
  return route_me_harder(pkt) ? null : nf_drop(pkt);
}
