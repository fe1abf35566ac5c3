/**
 * `struct sk_buff`: a packet in flight, in its slot of the batch, and how it leaves the engine. `data` and `len` are the bytes
 * that the current layer sees; they move when an Ethernet header is pulled or pushed, always inside the slot.
 *
 *   slot            data (Ethernet)  network_header                      data + len
 *   |  headroom     | eth 14         | iphdr      | payload              |
 */
import type { Device } from "../../dsl/model.ts";
import {
  type Column,
  NEXT_HOP_IN_SLOT,
  type PacketBatch,
  PacketFlag,
  REDIRECT_IN_SLOT,
  RESULT_COLUMNS,
  SOURCE_IN_SLOT,
} from "../../runtime/batch.ts";
import { EtherType } from "../../runtime/net/ethernet.ts";
import { type Ip, writeIpv4, writeIpv6 } from "../../runtime/net/ip.ts";
import { type DropReason, type Errno, Verdict } from "../../runtime/verdict.ts";
import { Iphdr } from "./iphdr.ts";
import type { Rt6Info } from "./ipv6/route.ts";
import type { NetNamespace } from "./net.ts";
import type { Rtable } from "./rtable.ts";

/** PACKET_LOOPBACK marks what vrf_local_xmit sends back in, until vrf_ip_rcv makes it PACKET_HOST. */
export type PacketType = "HOST" | "BROADCAST" | "MULTICAST" | "OTHERHOST" | "LOOPBACK";

export class SkBuff {
  readonly batch: PacketBatch;
  /** Of the packet in the batch. */
  readonly index: number;
  readonly bytes: Uint8Array;
  data: number;
  len: number;
  network_header = 0;
  /** Null for a packet of a socket that no device has touched yet. */
  dev: Device | null = null;
  skb_iif = 0;
  pkt_type: PacketType = "HOST";
  mark: number;
  priority: number;
  /** Of the Ethernet header; null: not set, as for a socket's packet that no device has sent yet. */
  mac_header: number | null = null;
  /** Owner of the socket that sends; null: nobody, or the kernel itself. */
  sk_uid: number | null = null;
  /** Index of the device that the sending socket is bound to; 0: none. */
  sk_bound_dev_if = 0;
  /** A socket's call to send is still on the stack, and learns of a drop. */
  sending = false;
  /** Transmissions by `fwd` and `dup` nested in each other (kernel: nf_dup_skb_recursion). */
  nf_dup_recursion = 0;
  /** tc has the packet: netfilter, a layer above, is not asked at egress. */
  nf_skip_egress = false;
  /** EtherType. */
  protocol: number = EtherType.IPV4;
  /** An IPv4 packet's; an IPv6 one has `dst6`. */
  dst: Rtable | null = null;
  dst6: Rt6Info | null = null;
  /** IPv6: of a socket of this host, so that it may be cut into fragments. */
  ignore_df = false;
  /** sk_mc_loop: this host gets a copy of its own multicasts. */
  mc_loop = true;
  /** IPCB(skb)->iif, IP6CB(skb)->iif: the device that ip_rcv_core saw, 0 on the way out. */
  iif = 0;
  /** IPSKB_L3SLAVE: a VRF took the packet over from `iif`. */
  l3slave = false;
  /** IPSKB_DOREDIRECT. */
  doredirect = false;
  /** What happens to the packet after the present pass (passes.ts). */
  next: (() => Verdict) | null = null;
  /** Nested transmissions (kernel: softnet_data.xmit.recursion). */
  xmit_recursion = 0;

  constructor(batch: PacketBatch, index: number) {
    this.batch = batch;
    this.index = index;
    this.bytes = batch.bytes;
    this.data = batch.column("data")[index];
    this.len = batch.column("length")[index];
    this.mark = batch.column("mark")[index];
    this.priority = batch.column("priority")[index];
    for (const column of RESULT_COLUMNS) batch.column(column)[index] = 0;
  }

  /** Valid once at least 20 bytes are known to stand at `network_header`. */
  get iphdr(): Iphdr {
    return new Iphdr(this.bytes, this.network_header);
  }

  pull(bytes: number): void {
    this.data += bytes;
    this.len -= bytes;
  }

  push(bytes: number): void {
    this.pull(-bytes);
  }

  /** Pulled off: what `mac_header` says of a packet that has none is the network header (mac_len 0). */
  get mac_len(): number {
    return this.mac_header === null ? 0 : this.network_header - this.mac_header;
  }

  set_network_header(): void {
    this.network_header = this.data;
    this.set("l3", this.data);
  }

  set(column: Column, value: number): void {
    this.batch.column(column)[this.index] = value;
  }

  /** The end of a packet: its verdict, and what chains may have changed. */
  settle(verdict: Verdict): void {
    this.set("verdict", verdict);
    this.set("mark", this.mark);
    this.set("priority", this.priority);
  }

  /** `data` and `length` as the packet now is. */
  writeExtent(): void {
    this.batch.column("data")[this.index] = this.data;
    this.batch.column("length")[this.index] = this.len;
  }

  writeNextHop(address: Ip): void {
    const at = this.batch.slot(this.index) + NEXT_HOP_IN_SLOT;
    const flags = this.batch.column("flags");
    if (typeof address === "number") {
      writeIpv4(this.bytes, at, address);
      flags[this.index] &= ~PacketFlag.NEXT_HOP_IPV6;
    } else {
      writeIpv6(this.bytes, at, address);
      flags[this.index] |= PacketFlag.NEXT_HOP_IPV6;
    }
    this.batch.column("nextHop")[this.index] = at;
  }

  /** PacketFlag bits, as the host gave them. */
  get flags(): number {
    return this.batch.column("flags")[this.index];
  }

  /** For the host, of what it is to do besides. */
  raiseFlag(flag: number): void {
    this.batch.column("flags")[this.index] |= flag;
  }

  writeSource(address: Ip): void {
    const at = this.batch.slot(this.index) + SOURCE_IN_SLOT;
    if (typeof address === "number") writeIpv4(this.bytes, at, address);
    else writeIpv6(this.bytes, at, address);
    this.set("source", at);
  }

  /** The sender's better next hop. */
  writeRedirect(address: Ip): void {
    const at = this.batch.slot(this.index) + REDIRECT_IN_SLOT;
    if (typeof address === "number") writeIpv4(this.bytes, at, address);
    else writeIpv6(this.bytes, at, address);
    this.set("redirect", at);
    this.#writeDevices();
  }

  /** An ICMP error, for the host to write. */
  writeError(type: number, code: number, info: number): void {
    this.set("error", (type << 8) | code);
    this.set("info", info);
    this.#writeDevices();
    this.writeExtent();
  }

  #writeDevices(): void {
    this.set("skbDevice", this.dev?.ifindex ?? 0);
    this.set("sdif", this.iif);
  }
}

/** sock_alloc_send_skb, skb_set_owner_w: a packet of a socket, whose call to send is under way. */
export function skb_set_owner_w(skb: SkBuff): void {
  skb.sk_uid = (skb.flags & PacketFlag.KERNEL_SOCKET) === 0 ? skb.batch.column("uid")[skb.index] : null;
  skb.sk_bound_dev_if = (skb.flags & PacketFlag.OIF_UNBOUND) === 0 ? skb.batch.column("device")[skb.index] : 0;
  skb.sending = true;
}

/** skb_orphan: queued for this host itself, the packet is no socket's any more. */
export function skb_orphan(skb: SkBuff): void {
  skb.sk_uid = null;
  skb.sk_bound_dev_if = 0;
  skb.sending = false;
}

/** kfree_skb_reason */
export function kfree_skb(net: NetNamespace, skb: SkBuff, reason: DropReason): Verdict {
  skb.set("reason", reason);
  net.record({ step: "drop", reason });
  return Verdict.DROP;
}

/** icmp_send: the host writes the error, about the packet as it now is. */
export function icmp_send(net: NetNamespace, skb: SkBuff, type: number, code: number, info: number): Verdict {
  skb.writeError(type, code, info);
  net.record({ step: "icmp_send", type, code });
  return Verdict.ICMP_ERROR;
}

/** icmpv6_send, icmpv6_param_prob: the host writes the error, about the packet as it now is. */
export function icmpv6_send(net: NetNamespace, skb: SkBuff, type: number, code: number, info: number): Verdict {
  skb.writeError(type, code, info);
  net.record({ step: "icmpv6_send", type, code });
  return Verdict.ICMP_ERROR;
}

/** Verdict LOCAL: for a socket that is bound to skb->dev, to the device that received it, or to none. */
export function deliver(skb: SkBuff): Verdict {
  skb.set("skbDevice", skb.dev!.ifindex);
  skb.set("sdif", inet_sdif(skb));
  skb.writeExtent();
  return Verdict.LOCAL;
}

export function send_error(net: NetNamespace, skb: SkBuff, error: Errno): Verdict {
  skb.set("error", error);
  net.record({ step: "send_error", error });
  return Verdict.SEND_ERROR;
}

/** TRANSMIT, UNRESOLVED, FRAGMENT: what leaves by `dev`. */
export function leave(skb: SkBuff, verdict: Verdict, dev: Device): Verdict {
  skb.set("outDevice", dev.ifindex);
  skb.writeExtent();
  return verdict;
}

/** k:include/net/ip.h: the device below the VRF; a packet that the VRF sent to itself came in by the VRF. */
export const inet_sdif = (skb: SkBuff): number => (skb.l3slave ? skb.iif : 0);
