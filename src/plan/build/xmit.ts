/** A frame is on the wire, and how often a packet may be sent before it is. k:net/core/dev.c dev_hard_start_xmit. */
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { Verdict } from "../../../runtime/verdict.ts";
import { type Reg, ret, type Step, trace } from "../ir.ts";
import { ifindexOf, writeColumn } from "./context.ts";
import { mac } from "./skb.ts";
import { writeExtent } from "./verdict.ts";

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
