/**
 * tc: programs beside the path of a packet, at the door of each device, in and out.
 * k:net/core/dev.c sch_handle_ingress, sch_handle_egress; net/sched/cls_api.c tcf_classify; net/sched/cls_bpf.c cls_bpf_classify
 * (direct action); net/core/filter.c skb_do_redirect, __bpf_redirect, __bpf_redirect_common, __bpf_tx_skb.
 *
 *   OK        the packet goes on, no further program is asked
 *   UNSPEC    the next program is asked; after the last the packet goes on
 *   SHOT      TC_INGRESS, TC_EGRESS
 *   REDIRECT  to another device's dev_queue_xmit: its tc egress programs run, its chains do not, for netfilter is a layer above
 *             (include/linux/netfilter_netdev.h nf_hook_egress)
 */
import type { Device } from "../../../dsl/model.ts";
import type { ProgramHook } from "../../../runtime/hooks.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { dev_queue_xmit, XMIT_RECURSION_LIMIT } from "../dev.ts";
import type { NetNamespace } from "../net.ts";
import { nft_set_pktinfo_netdev } from "../netfilter/pktinfo.ts";
import { next_pass } from "../passes.ts";
import { kfree_skb, type SkBuff } from "../skb.ts";
import { bpf_prog_run, type ProgramEnd } from "./bpf_prog.ts";

/** Programs see the Ethernet header in front. @returns null: the packet goes on */
export function sch_handle_ingress(net: NetNamespace, skb: SkBuff, dev: Device): Verdict | null {
  net.hook("tc ingress", dev.ifindex, 0);
  const { mac_len } = skb;
  skb.push(mac_len);
  const end = sch_handle(net, skb, "tc ingress", dev);
  if (end === null) skb.pull(mac_len);
  return end;
}

/** @returns null: the packet goes on */
export function sch_handle_egress(net: NetNamespace, skb: SkBuff, dev: Device): Verdict | null {
  net.hook("tc egress", 0, dev.ifindex);
  return sch_handle(net, skb, "tc egress", dev);
}

type TcHook = Exclude<ProgramHook, "xdp">;
const SHOT = { "tc ingress": DropReason.TC_INGRESS, "tc egress": DropReason.TC_EGRESS } as const;

function sch_handle(net: NetNamespace, skb: SkBuff, hook: TcHook, dev: Device): Verdict | null {
  const end = tcf_classify(net, skb, hook, dev);
  switch (end?.action) {
    case "SHOT":
      return kfree_skb(net, skb, SHOT[hook]);
    case "REDIRECT":
      return skb_do_redirect(net, skb, end.device);
    default:
      return null;
  }
}

/** The first program that says something; what it writes, the next one reads. */
function tcf_classify(net: NetNamespace, skb: SkBuff, hook: TcHook, dev: Device): ProgramEnd | null {
  const [input, output] = hook === "tc ingress" ? [dev, null] : [null, dev];
  for (const program of net.programs.at(hook, dev.ifindex)) {
    const end = bpf_prog_run(program, nft_set_pktinfo_netdev(net, skb, hook, input, output));
    if (end.action !== "UNSPEC") return end;
  }
  return null;
}

/** A packet without an Ethernet header (dev_loopback_xmit) is not redirected. */
function skb_do_redirect(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined || skb.mac_len === 0) return kfree_skb(net, skb, DropReason.NOT_SPECIFIED);
  if (skb.xmit_recursion > XMIT_RECURSION_LIMIT) return kfree_skb(net, skb, DropReason.RECURSION);
  skb.xmit_recursion++;
  skb.dev = dev;
  skb.nf_skip_egress = true;
  return next_pass(skb, () => dev_queue_xmit(net, skb, dev));
}
