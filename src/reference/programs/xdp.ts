/**
 * XDP: a program judges a frame before the host has looked at it.
 * k:net/core/dev.c do_xdp_generic, bpf_prog_run_generic_xdp, generic_xdp_tx; net/core/filter.c xdp_do_generic_redirect;
 * include/linux/filter.h xdp_ok_fwd_dev; drivers/net/veth.c veth_xdp_rcv_skb.
 *
 *   PASS      the frame goes on as the program left it: its addresses and type are read afterwards
 *   DROP      XDP           ABORTED   XDP_ABORTED
 *   TX        out of the device that it came in by, past all hooks
 *   REDIRECT  out of another, past all hooks; XDP where that cannot be: no such device, down, no wire behind it, or the frame
 *             longer than its MTU with a VLAN tag
 */
import type { Device } from "../../../dsl/model.ts";
import { ETHERNET_HEADER_BYTES, isVlan } from "../../../runtime/net/ethernet.ts";
import { readU16 } from "../../../runtime/net/wire.ts";
import { DropReason, type Verdict } from "../../../runtime/verdict.ts";
import { dev_hard_start_xmit } from "../dev.ts";
import { eth_proto, VLAN_HLEN } from "../eth.ts";
import { hasWire, type NetNamespace } from "../net.ts";
import { nft_set_pktinfo_netdev } from "../netfilter/pktinfo.ts";
import { kfree_skb, type SkBuff } from "../skb.ts";
import { bpf_prog_run } from "./bpf_prog.ts";

/** @returns null: XDP_PASS, or no program */
export function do_xdp(net: NetNamespace, skb: SkBuff, dev: Device): Verdict | null {
  net.hook("xdp", dev.ifindex, 0);
  const [program] = net.programs.at("xdp", dev.ifindex);
  if (program === undefined) return null;
  xdp_prepare_buff(skb, dev);
  const end = bpf_prog_run(program, nft_set_pktinfo_netdev(net, skb, "xdp", dev, null));
  switch (end.action) {
    case "PASS":
      return null;
    case "TX":
      return dev_hard_start_xmit(net, skb, dev);
    case "REDIRECT":
      return xdp_do_redirect(net, skb, end.device);
    case "ABORTED":
      return kfree_skb(net, skb, DropReason.XDP_ABORTED);
    default:
      return kfree_skb(net, skb, DropReason.XDP);
  }
}

/** The frame as expressions see it: whole, with the headers where they stand behind the Ethernet header and one VLAN tag. */
function xdp_prepare_buff(skb: SkBuff, dev: Device): void {
  skb.dev = dev;
  skb.mac_header = skb.data;
  let at = skb.data + ETHERNET_HEADER_BYTES;
  if (isVlan(readU16(skb.bytes, at - 2)) && at + VLAN_HLEN + 2 <= skb.data + skb.len) at += VLAN_HLEN;
  skb.network_header = at;
  skb.protocol = eth_proto(skb, readU16(skb.bytes, at - 2));
}

function xdp_do_redirect(net: NetNamespace, skb: SkBuff, ifindex: number): Verdict {
  const dev = net.dev_get_by_index(ifindex);
  if (dev === undefined || !xdp_ok_fwd_dev(dev, skb.len)) return kfree_skb(net, skb, DropReason.XDP);
  return dev_hard_start_xmit(net, skb, dev);
}

const xdp_ok_fwd_dev = (dev: Device, length: number): boolean =>
  dev.up && hasWire(dev) && length <= dev.mtu + ETHERNET_HEADER_BYTES + VLAN_HLEN;
