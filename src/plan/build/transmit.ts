/**
 * A device is given a frame to send. lo and VRFs have no wire: what they send comes back in, or is routed anew, in the next
 * pass of the packet (process.ts).
 * k:net/core/dev.c __dev_queue_xmit; drivers/net/veth.c, loopback.c.
 */

import { TraceEvent } from "../../../runtime/abi.ts";
import { DropReason, Verdict } from "../../../runtime/verdict.ts";
import { add, eqz, gt, local, type Proc, type Reg, ret, type Step, set, trace, when } from "../ir.ts";
import { type Context, drop, hasFlag, ifindexOf, proc, writeColumn } from "./context.ts";
import { nfHook } from "./netfilter/hook.ts";
import { nfSkipEgress } from "./netfilter/registers.ts";
import { redirects, tcHook } from "./programs.ts";
import { dev, mac, Next, next, xmitRecursion } from "./skb.ts";
import { writeExtent } from "./verdict.ts";

const device = local("device");

/** Transmissions of VRFs nested deeper than this are a loop of virtual devices (k:include/linux/netdevice.h). */
export const XMIT_RECURSION_LIMIT = 8;

/** dev_hard_start_xmit: the frame at `mac` is on the wire of a DEVICE. */
export const devHardStartXmit = (device: Reg): Step[] => [
  trace(TraceEvent.transmit, [ifindexOf(device)]),
  writeColumn("verdict", Verdict.TRANSMIT),
  writeColumn("outDevice", ifindexOf(device)),
  ...writeExtent(mac),
  ret(),
];

/** `dev_queue_xmit(device)`: the frame stands at `mac`. */
export function devQueueXmit(context: Context): Proc {
  const index = ifindexOf(device);
  const netdevEgress = nfHook(context, "netdev egress", null, [0, index]);
  const body: Step[] = [
    ...(redirects(context) ? [when(eqz(nfSkipEgress), netdevEgress)] : netdevEgress),
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
