/**
 * Entry NDISC: what neighbour discovery sends. It knows the device and its neighbour, so it is neither routed nor diverted to the VRF.
 * k:net/ipv6/ndisc.c ndisc_send_skb; net/ipv6/route.c icmp6_dst_alloc.
 */
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import type { NetNamespace } from "../net.ts";
import { nf_hook } from "../netfilter/nf_hook.ts";
import { kfree_skb, type SkBuff } from "../skb.ts";
import { dst_output6 } from "./ip6_output.ts";
import { refuse_header6 } from "./raw.ts";
import { ip6_dst_alloc } from "./route.ts";

export function ndisc_send_skb(net: NetNamespace, skb: SkBuff, device: number): Verdict {
  const refused = refuse_header6(net, skb);
  if (refused !== null) return refused;
  const dev = net.dev_get_by_index(device);
  if (dev === undefined) return kfree_skb(net, skb, DropReason.DEVICE_DOWN);
  skb.dev = dev; // as ndisc_alloc_skb leaves it: POSTROUTING sees it as the in device
  skb.dst6 = ip6_dst_alloc(dev);
  skb.ignore_df = false;
  skb.mc_loop = false;
  return nf_hook(net, skb, "output", null, dev) ?? dst_output6(net, skb);
}
