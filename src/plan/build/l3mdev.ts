/**
 * L3 master devices: how a flow finds its VRF (k:net/l3mdev/l3mdev.c). The three profiles differ in l3mdev_update_flow: up
 * to 5.17 the VRF's index replaces the slave's; since then it stands in a field of its own; since 6.15 the flow also knows
 * whether it came from oif.
 */

import { DEVICE } from "../../../runtime/abi/device.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import {
  and,
  type Expr,
  eqz,
  gt,
  local,
  type Operand,
  or,
  type Proc,
  ret,
  type Step,
  select,
  set,
  when,
} from "../ir.ts";
import { type Context, callNet, field, hasFlag, ifindexOf, proc } from "./context.ts";
import { FlowFlag, flFlags, flIif, flL3mdev, flOif } from "./skb.ts";

const device = local("device");

/** l3mdev_master_dev_rcu: the VRF's DEVICE of a slave, the VRF itself of a VRF; 0: none. */
export const l3mdevMaster = (device: Operand): Expr =>
  select(hasFlag(device, "VRF"), device, field(device, DEVICE.master));

/** Settles the flow's VRF from the device it is bound to, else from the one it came in by. */
export function l3mdevUpdateFlow(context: Context): Proc {
  const body = context.kernel === "5.4" ? replaceIndex(context) : keepIndex(context);
  return proc(context.name("l3mdev_update_flow"), { comment: "l3mdev_update_flow (net/l3mdev/l3mdev.c)" }, body);
}

function keepIndex(context: Context): Step[] {
  const fromOif = [set(flL3mdev, l3mdevMaster(device))];
  if (context.kernel === "6.15") fromOif.push(set(flFlags, or(flFlags, FlowFlag.L3MDEV_OIF)));
  return [
    when(flOif, [
      set(device, callNet(context, "dev_get_by_index", flOif)),
      when(device, [
        when(eqz(flL3mdev), fromOif),
        // A VRF as oif chooses its table, and must not be asked of next hops.
        when(hasFlag(device, "VRF"), [set(flOif, 0)]),
        ret(),
      ]),
    ]),
    when(and(gt(flIif, LOOPBACK_IFINDEX), eqz(flL3mdev)), [
      set(device, callNet(context, "dev_get_by_index", flIif)),
      when(device, [set(flL3mdev, l3mdevMaster(device))]),
    ]),
    ret(),
  ];
}

/** There is no flowi_l3mdev here; ours repeats the VRF that l3mdev_fib_rule_match finds in oif or iif. */
function replaceIndex(context: Context): Step[] {
  const replace = (index: typeof flOif): Step[] => [
    set(device, callNet(context, "dev_get_by_index", index)),
    when(device, [set(device, l3mdevMaster(device))]),
    when(device, [
      set(index, ifindexOf(device)),
      set(flL3mdev, device),
      set(flFlags, or(flFlags, FlowFlag.SKIP_NH_OIF)),
      ret(),
    ]),
  ];
  return [...replace(flOif), ...replace(flIif), ret()];
}
