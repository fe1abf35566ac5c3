/**
 * Expressions: values taken from a packet. `null`: the expression breaks (NFT_BREAK), and with it the rule.
 * k:net/netfilter/nft_payload.c, nft_exthdr.c, nft_meta.c, nft_bitwise.c, nft_lookup.c; nft_fib.ts.
 *
 * All values are bigints here, whatever their width: plain, not fast.
 */
import type { Expr, ExtensionHeader, MetaKey, Payload, SetElement, SetId } from "../../../dsl/chain-model.ts";
import type { Device } from "../../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import { isArray } from "../../../runtime/hooks.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../runtime/net/ethernet.ts";
import { TCP_HEADER_BYTES } from "../../../runtime/net/tcp.ts";
import { IPPROTO_TCP, IPPROTO_UDP, ipv4_is_multicast } from "../in.ts";
import { IPHDR_BYTES } from "../iphdr.ts";
import { inet_sdif, type PacketType, type SkBuff } from "../skb.ts";
import { ipv4_find_option } from "./ipv4_option.ts";
import { nft_fib_eval } from "./nft_fib.ts";
import { ipv6_find_hdr, isProgramHook, NfProto, network_length, type PktInfo } from "./pktinfo.ts";

export function evaluate(expr: Expr, pkt: PktInfo): bigint | null {
  switch (expr.kind) {
    case "const":
      return BigInt(expr.value);
    case "payload":
      return nft_payload_eval(expr, pkt);
    case "exthdr":
      return nft_exthdr_eval(expr, pkt);
    case "meta":
      return nft_meta_get_eval(expr.key, pkt);
    case "fib":
      return nft_fib_eval(expr, pkt);
    case "ct":
      return IP_CT_UNTRACKED;
    case "bitwise": {
      const value = evaluate(expr.operand, pkt);
      return value === null ? null : (value & BigInt(expr.mask)) ^ BigInt(expr.xor);
    }
    case "shift": {
      const value = evaluate(expr.operand, pkt);
      if (value === null) return null;
      const by = BigInt(expr.by);
      return BigInt.asUintN(expr.bits, expr.direction === "left" ? value << by : value >> by);
    }
    case "map": {
      const element = nft_lookup_eval(expr.map, expr.key, pkt);
      return element === null || element === "break" ? null : BigInt(element.value as number | bigint);
    }
  }
}

/** `ct state`: nobody tracks connections. */
const IP_CT_UNTRACKED = 64n;

/**
 * The element that holds the key: the first, but of a trie the longest prefix. null: none does; "break": a part of the key has no value.
 * Of an array all elements are there, 0 at first; of a devmap those with a device.
 */
export function nft_lookup_eval(id: SetId, key: readonly Expr[], pkt: PktInfo): SetElement | null | "break" {
  const values = key.map((part) => evaluate(part, pkt));
  if (!values.every((value) => value !== null)) return "break";
  const { storage, elements, size, value } = pkt.net.netfilter.set(id);
  const holds = elements.filter((element) =>
    element.key.every(({ first, last }, i) => BigInt(first) <= values[i] && values[i] <= BigInt(last)),
  );
  const isWhole = isArray(storage) && storage !== "devmap";
  if (isWhole && holds.length === 0 && typeof value === "object" && values[0] < BigInt(size ?? 0))
    return { key: [{ first: Number(values[0]), last: Number(values[0]) }], value: 0 };
  if (storage !== "lpm_trie") return holds[0] ?? null;
  const width = ({ key: [range] }: SetElement) => BigInt(range.last) - BigInt(range.first);
  return holds.reduce<SetElement | null>(
    (best, element) => (best !== null && width(best) <= width(element) ? best : element),
    null,
  );
}

// ---- payload -------------------------------------------------------------------------------------------------------------

/** Where a payload's header starts; null: there is none. */
export function payload_base(base: Payload["base"], pkt: PktInfo): number | null {
  switch (base) {
    case "link":
      return pkt.skb.mac_len === 0 ? null : pkt.skb.mac_header;
    case "network":
      return pkt.skb.network_header;
    case "transport":
      return pkt.l4 === null || pkt.l4.fragoff !== 0 ? null : pkt.l4.offset;
    case "inner":
      return nft_payload_inner_offset(pkt);
  }
}

function nft_payload_inner_offset({ skb, l4 }: PktInfo): number | null {
  if (l4 === null || l4.fragoff !== 0) return null;
  if (l4.protocol === IPPROTO_UDP) return l4.offset + 8;
  if (l4.protocol !== IPPROTO_TCP || l4.offset + 20 > packet_end(skb)) return null;
  return l4.offset + (skb.bytes[l4.offset + 12] >>> 4) * 4;
}

export const packet_end = (skb: SkBuff): number => skb.data + skb.len;

/** nft_payload_fast_eval, for what one load reads, does not look at the fragment offset (as of 6.1). */
function nft_payload_eval({ base, offset, length }: Payload, pkt: PktInfo): bigint | null {
  const isFast = base === "transport" && FAST_LENGTHS.includes(length) && offset % length === 0;
  const start = isFast ? (pkt.l4?.offset ?? null) : payload_base(base, pkt);
  return start === null ? null : copy_bits(pkt.skb, start + offset, length);
}
const FAST_LENGTHS = [1, 2, 4];

/** skb_copy_bits, as a number; null: not all of it is in the packet. */
function copy_bits(skb: SkBuff, at: number, length: number): bigint | null {
  if (at + length > packet_end(skb)) return null;
  let value = 0n;
  for (const byte of skb.bytes.subarray(at, at + length)) value = (value << 8n) | BigInt(byte);
  return value;
}

// ---- extension headers and options ---------------------------------------------------------------------------------------

function nft_exthdr_eval(expr: ExtensionHeader, pkt: PktInfo): bigint | null {
  const offset = exthdr_offset(expr, pkt);
  if (offset === "break") return null;
  if (expr.present) return offset === null ? 0n : 1n;
  return offset === null ? null : copy_bits(pkt.skb, offset + expr.offset, expr.length);
}

/** null: there is none, or it is malformed. */
function exthdr_offset(expr: ExtensionHeader, pkt: PktInfo): number | null | "break" {
  switch (expr.op) {
    case "ipv6":
      return pkt.skb.protocol === EtherType.IPV6 ? (ipv6_find_hdr(pkt.skb, expr.type)?.offset ?? null) : "break";
    case "ipv4":
      return pkt.skb.protocol === EtherType.IPV4 ? find_ipv4_option(pkt, expr.type) : "break";
    case "tcp": {
      const found = find_tcp_option(expr, pkt);
      return found === "malformed" ? null : found;
    }
  }
}

/** For chains options always stand at the front of what the hook sees, at netdev egress in what is read of the Ethernet header. */
function find_ipv4_option({ skb, hook }: PktInfo, type: number): number | null {
  const start = isProgramHook(hook) ? skb.network_header : skb.data;
  return ipv4_find_option(skb.bytes, start, packet_end(skb), type);
}

type OptionBytes = Pick<ExtensionHeader, "type" | "offset" | "length">;

/**
 * The first TCP option of this kind. The end-of-list option ends nothing here, and counts as one byte like options of a length of 0.
 * @returns null: there is none; "malformed": no TCP header, or an option without these bytes
 */
export function find_tcp_option(
  { type, offset, length }: OptionBytes,
  { skb, l4 }: PktInfo,
): number | null | "malformed" {
  if (l4 === null || l4.protocol !== IPPROTO_TCP || l4.fragoff !== 0) return "malformed";
  if (l4.offset + TCP_HEADER_BYTES > packet_end(skb)) return "malformed";
  const header = (skb.bytes[l4.offset + 12] >>> 4) * 4;
  const end = l4.offset + header;
  if (header < TCP_HEADER_BYTES || end > packet_end(skb)) return "malformed";
  for (let at = l4.offset + TCP_HEADER_BYTES; at < end - 1; ) {
    const optlen = skb.bytes[at] <= 1 || skb.bytes[at + 1] === 0 ? 1 : skb.bytes[at + 1];
    if (skb.bytes[at] === type) return at + optlen > end || length + offset > optlen ? "malformed" : at;
    at += optlen;
  }
  return null;
}

// ---- meta ----------------------------------------------------------------------------------------------------------------

/** ARPHRD_* */
const ArpHrd = { ETHER: 1, LOOPBACK: 772 } as const;
/** PACKET_*, by number. */
export const PACKET_TYPES: readonly Exclude<PacketType, "LOOPBACK">[] = ["HOST", "BROADCAST", "MULTICAST", "OTHERHOST"];
const packet_type = (type: Exclude<PacketType, "LOOPBACK">): bigint => BigInt(PACKET_TYPES.indexOf(type));

function nft_meta_get_eval(key: MetaKey, pkt: PktInfo): bigint | null {
  const { skb } = pkt;
  const device = (dev: Device | null, value: (dev: Device) => number) => (dev === null ? null : BigInt(value(dev)));
  switch (key) {
    case "length":
      return BigInt(meta_length(pkt));
    case "protocol":
      return BigInt(skb.protocol);
    case "nfproto":
      return BigInt(pkt.pf);
    case "l4proto":
      return pkt.l4 === null ? null : BigInt(pkt.l4.protocol);
    case "mark":
      return BigInt(skb.mark);
    case "priority":
      return BigInt(skb.priority);
    case "iif":
      return BigInt(pkt.in?.ifindex ?? 0);
    case "oif":
      return BigInt(pkt.out?.ifindex ?? 0);
    case "sdif":
      return pkt.pf === NfProto.NETDEV ? 0n : BigInt(inet_sdif(skb));
    case "iiftype": // at egress the kernel says that of the one device there is, so that link-layer fields can be matched
      return device(pkt.hook === "netdev egress" || pkt.hook === "tc egress" ? pkt.out : pkt.in, arphrd);
    case "oiftype":
      return device(pkt.out, arphrd);
    case "iftype":
      return device(skb.dev, arphrd);
    case "iifgroup":
      return device(pkt.in, (dev) => dev.group);
    case "oifgroup":
      return device(pkt.out, (dev) => dev.group);
    case "pkttype":
      return skb.pkt_type === "LOOPBACK" ? pkttype_lo(pkt) : packet_type(skb.pkt_type);
    case "skuid":
      return skb.sk_uid === null ? null : BigInt(skb.sk_uid);
    case "skgid":
      return skb.sk_uid === null ? null : 0n;
  }
}

/** Where the Ethernet header counts: on the way out, and at tc ingress, where cls_bpf_classify pushes it. */
const WITH_ETHERNET: ReadonlySet<PktInfo["hook"]> = new Set(["tc ingress", "tc egress", "netdev egress"]);

/** skb->len: without a VLAN tag, which skb_vlan_untag holds aside until the wire has the frame. */
export function meta_length({ hook, skb }: PktInfo): number {
  if (!WITH_ETHERNET.has(hook)) return skb.len;
  return network_length(skb) + (skb.mac_len === 0 ? 0 : ETHERNET_HEADER_BYTES);
}

const arphrd = (dev: Device): number => (dev.ifindex === LOOPBACK_IFINDEX ? ArpHrd.LOOPBACK : ArpHrd.ETHER);

/** nft_meta_get_eval_pkttype_lo: by the destination; IPv4 that is not multicast counts as broadcast. */
function pkttype_lo({ skb }: PktInfo): bigint | null {
  if (skb.protocol === EtherType.IPV6) return packet_type("MULTICAST");
  if (skb.protocol !== EtherType.IPV4 || network_length(skb) < IPHDR_BYTES) return null;
  return packet_type(ipv4_is_multicast(skb.iphdr.daddr) ? "MULTICAST" : "BROADCAST");
}
