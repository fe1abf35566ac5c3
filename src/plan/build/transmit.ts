/**
 * A device is given a frame to send. lo and VRFs have no wire: what they send comes back in, or is routed anew, in the next
 * pass of the packet (process.ts).
 * k:net/core/dev.c __dev_queue_xmit; drivers/net/veth.c, loopback.c.
 */

import { DropReason } from "../../../runtime/verdict.ts";
import { add, eqz, gt, local, type Proc, ret, type Step, set, when } from "../ir.ts";
import { type Context, drop, hasFlag, ifindexOf, proc } from "./context.ts";
import { nfHook } from "./netfilter/hook.ts";
import { nfSkipEgress } from "./netfilter/registers.ts";
import { tcHook } from "./programs.ts";
import { dev, Next, next, xmitRecursion } from "./skb.ts";
import { devHardStartXmit, XMIT_RECURSION_LIMIT } from "./xmit.ts";

const device = local("device");

/** `dev_queue_xmit(device)`: the frame stands at `mac`. */
export function devQueueXmit(context: Context): Proc {
  const index = ifindexOf(device);
  const netdevEgress = nfHook(context, "netdev egress", null, [0, index]);
  const body: Step[] = [
    when(eqz(nfSkipEgress), netdevEgress),
    ...tcHook(context, "tc egress", index),
    set(nfSkipEgress, 0),
    when(eqz(hasFlag(device, "UP")), drop(DropReason.DEVICE_DOWN)),
    // loopback_xmit: back in with its dst, so not routed again.
    when(hasFlag(device, "LOOPBACK"), [set(dev, device), set(next, Next.NETIF_RX), ret()]),
    when(hasFlag(device, "VRF"), [
      when(gt(xmitRecursion, XMIT_RECURSION_LIMIT), drop(DropReason.RECURSION)),
      set(xmitRecursion, add(xmitRecursion, 1)),
      set(dev, device),
      set(next, Next.VRF_XMIT),
      ret(),
    ]),
    ...devHardStartXmit(device),
  ];
  const comment = "__dev_queue_xmit (net/core/dev.c)";
  return proc(context.name("dev_queue_xmit"), { comment, params: [device] }, body);
}
