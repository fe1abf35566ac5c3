/**
 * L3 master devices: how a flow finds its VRF.
 * k:net/l3mdev/l3mdev.c, include/net/l3mdev.h. The three profiles differ in l3mdev_update_flow: up to 5.17 the VRF's index
 * replaces the slave's (before commit 40867d74c374); since then it stands in a field of its own; since 6.15 the flow also
 * knows whether it came from oif.
 */
import type { Device } from "../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../runtime/brand.ts";
import type { Verdict } from "../../runtime/verdict.ts";
import { FlowFlag, type Flowi } from "./flow.ts";
import { type NetNamespace, netif_is_l3_master, netif_is_l3_slave } from "./net.ts";
import type { SkBuff } from "./skb.ts";
import { vrf_l3_out, vrf_l3_rcv } from "./vrf.ts";

/** The VRF of a device: itself if it is one, its master if it is a slave, else 0. */
export function l3mdev_master_ifindex(dev: Device | undefined): number {
  if (dev === undefined) return 0;
  return netif_is_l3_master(dev) ? dev.ifindex : dev.master;
}

export function l3mdev_master_dev(net: NetNamespace, dev: Device): Device | undefined {
  return net.dev_get_by_index(l3mdev_master_ifindex(dev));
}

/** The table of a device's VRF; 0: in none. */
export function l3mdev_fib_table(net: NetNamespace, dev: Device): number {
  return l3mdev_master_dev(net, dev)?.table ?? 0;
}

export function l3mdev_update_flow(net: NetNamespace, fl: Flowi): void {
  if (net.kernel === "5.4") l3mdev_update_flow_5_4(net, fl);
  else l3mdev_update_flow_5_18(net, fl);
}

function l3mdev_update_flow_5_18(net: NetNamespace, fl: Flowi): void {
  const out = fl.oif === 0 ? undefined : net.dev_get_by_index(fl.oif);
  if (out !== undefined) {
    if (fl.l3mdev === 0) {
      fl.l3mdev = l3mdev_master_ifindex(out);
      if (net.kernel === "6.15") fl.flags |= FlowFlag.L3MDEV_OIF;
    }
    // A VRF as oif chooses its table, and must not be asked of next hops.
    if (netif_is_l3_master(out)) fl.oif = 0;
    return;
  }
  if (fl.iif > LOOPBACK_IFINDEX && fl.l3mdev === 0) fl.l3mdev = l3mdev_master_ifindex(net.dev_get_by_index(fl.iif));
}

/** There is no flowi_l3mdev here; ours repeats the VRF that l3mdev_fib_rule_match finds in oif or iif. */
function l3mdev_update_flow_5_4(net: NetNamespace, fl: Flowi): void {
  const out = l3mdev_master_ifindex(net.dev_get_by_index(fl.oif));
  if (out !== 0) {
    fl.oif = out;
    fl.l3mdev = out;
    fl.flags |= FlowFlag.SKIP_NH_OIF;
    return;
  }
  const input = l3mdev_master_ifindex(net.dev_get_by_index(fl.iif));
  if (input !== 0) {
    fl.iif = input;
    fl.l3mdev = input;
    fl.flags |= FlowFlag.SKIP_NH_OIF;
  }
}

/** The table of the flow's VRF; 0: the flow is in none, and the l3mdev selector does not match. */
export function l3mdev_fib_rule_match(net: NetNamespace, fl: Flowi): number {
  const dev = net.dev_get_by_index(fl.l3mdev);
  return dev !== undefined && netif_is_l3_master(dev) ? dev.table : 0;
}

/** A packet received by a slave, or by the VRF device itself, passes to the VRF; or ends there, with the verdict. */
export function l3mdev_ip_rcv(net: NetNamespace, skb: SkBuff): Verdict | null {
  const master = l3mdev_l3_rcv_master(net, skb.dev!);
  return master === undefined ? null : vrf_l3_rcv(net, master, skb);
}

/** The VRF whose receive handler a packet received by `dev` goes through. */
export function l3mdev_l3_rcv_master(net: NetNamespace, dev: Device): Device | undefined {
  if (netif_is_l3_slave(dev)) return net.dev_get_by_index(dev.master);
  return netif_is_l3_master(dev) ? dev : undefined;
}

/** A packet of this host that leaves by a slave passes through the VRF first; or ends there, with the verdict. */
export function l3mdev_ip_out(net: NetNamespace, skb: SkBuff): Verdict | null {
  const dev = skb.dst!.dev;
  const master = netif_is_l3_slave(dev) ? net.dev_get_by_index(dev.master) : undefined;
  return master === undefined ? null : vrf_l3_out(net, master, skb);
}
