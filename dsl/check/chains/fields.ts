/**
 * Where the fields of headers are (proto.c, exthdr.c, ipopt.c and tcpopt.c of nft), and what must be known of a packet before
 * they can be read.
 *
 *   FieldSpec = bits at a bit offset of a header, of a type; behind the tests `needs`
 */

import type { MetaKey, Payload } from "../../chain-model.ts";
import { wordTable } from "../../word-table.ts";
import { type Datatype, integer, TYPES as T } from "./datatypes.ts";

/** What a header implies: `tcp dport` that the L4 protocol is TCP. */
export type Need =
  | { readonly kind: "family"; readonly family: 4 | 6 | "arp" }
  /** As nft has it for ICMP: the family is tested only when nothing is known of the packet. */
  | { readonly kind: "usual family"; readonly family: 4 | 6 }
  | { readonly kind: "l4proto"; readonly protocol: number }
  | { readonly kind: "ethernet" }
  | { readonly kind: "vlan" }
  /** The ICMP type is one of these, or the field means something else. */
  | { readonly kind: "icmp type"; readonly types: readonly number[] };

export interface HeaderField {
  readonly base: Payload["base"];
  /** Bits. */
  readonly offset: number;
  readonly type: Datatype;
  readonly needs?: readonly Need[];
}

export interface Header {
  readonly needs: readonly Need[];
  readonly fields: Readonly<Record<string, HeaderField>>;
  /** Byte offset of the header's checksum, which `set` mends. */
  readonly checksum?: number;
}

/** `{ name: [offset in bits, type, needs] }` */
type Table = Readonly<Record<string, readonly [number, Datatype, (readonly Need[])?]>>;
const header = (base: Payload["base"], needs: readonly Need[], table: Table, checksum?: number): Header => ({
  needs,
  fields: wordTable(
    Object.fromEntries(
      Object.entries(table).map(([name, [offset, type, more]]): [string, HeaderField] => [
        name,
        { base, offset, type, ...(more === undefined ? {} : { needs: more }) },
      ]),
    ),
  ),
  ...(checksum === undefined ? {} : { checksum }),
});

const l4 = (protocol: number): Need[] => [{ kind: "l4proto", protocol }];
const IPV4: Need = { kind: "family", family: 4 };
const IPV6: Need = { kind: "family", family: 6 };
const icmp = (...types: number[]): Need[] => [{ kind: "icmp type", types }];
const PORTS: Table = { sport: [0, T.inet_service], dport: [16, T.inet_service] };

/** By the word that begins a field. The order of bits is that of the RFC's drawings. */
export const HEADERS: Readonly<Record<string, Header>> = wordTable({
  ether: header("link", [{ kind: "ethernet" }], {
    daddr: [0, T.ether_addr],
    saddr: [48, T.ether_addr],
    type: [96, T.ether_type],
  }),
  vlan: header("link", [{ kind: "ethernet" }, { kind: "vlan" }], {
    pcp: [112, integer(3)],
    dei: [115, integer(1)],
    cfi: [115, integer(1)],
    id: [116, integer(12)],
    type: [128, T.ether_type],
  }),
  arp: header("network", [{ kind: "family", family: "arp" }], {
    htype: [0, integer(16)],
    ptype: [16, T.ether_type],
    hlen: [32, integer(8)],
    plen: [40, integer(8)],
    operation: [48, T.arp_op],
  }),
  ip: header(
    "network",
    [IPV4],
    {
      ...{ version: [0, integer(4)], hdrlength: [4, integer(4)], dscp: [8, T.dscp], ecn: [14, T.ecn] },
      ...{ length: [16, integer(16)], id: [32, integer(16)], "frag-off": [48, integer(16)], ttl: [64, integer(8)] },
      ...{ protocol: [72, T.inet_proto], checksum: [80, integer(16)] },
      ...{ saddr: [96, T.ipv4_addr], daddr: [128, T.ipv4_addr] },
    },
    10,
  ),
  ip6: header("network", [IPV6], {
    ...{ version: [0, integer(4)], dscp: [4, T.dscp], ecn: [10, T.ecn], flowlabel: [12, integer(20)] },
    ...{ length: [32, integer(16)], nexthdr: [48, T.inet_proto], hoplimit: [56, integer(8)] },
    ...{ saddr: [64, T.ipv6_addr], daddr: [192, T.ipv6_addr] },
  }),
  icmp: header(
    "transport",
    [{ kind: "usual family", family: 4 }, ...l4(1)],
    {
      ...{ type: [0, T.icmp_type], code: [8, T.icmp_code], checksum: [16, integer(16)] },
      ...{ id: [32, integer(16), icmp(8, 0)], sequence: [48, integer(16), icmp(8, 0)] },
      ...{ gateway: [32, integer(32), icmp(5)], mtu: [48, integer(16), icmp(3)] },
    },
    2,
  ),
  icmpv6: header(
    "transport",
    [{ kind: "usual family", family: 6 }, ...l4(58)],
    {
      ...{ type: [0, T.icmpv6_type], code: [8, T.icmpv6_code], checksum: [16, integer(16)] },
      ...{ id: [32, integer(16), icmp(128, 129)], sequence: [48, integer(16), icmp(128, 129)] },
      ...{ mtu: [32, integer(32), icmp(2)], "parameter-problem": [32, integer(32), icmp(4)] },
      ...{ "param-problem": [32, integer(32), icmp(4)] },
      ...{ "max-delay": [32, integer(16), icmp(130)] },
    },
    2,
  ),
  tcp: header(
    "transport",
    l4(6),
    {
      ...PORTS,
      ...{
        sequence: [32, integer(32)],
        ackseq: [64, integer(32)],
        doff: [96, integer(4)],
        reserved: [100, integer(4)],
      },
      ...{
        flags: [104, T.tcp_flag],
        window: [112, integer(16)],
        checksum: [128, integer(16)],
        urgptr: [144, integer(16)],
      },
    },
    16,
  ),
  udp: header("transport", l4(17), { ...PORTS, length: [32, integer(16)], checksum: [48, integer(16)] }, 6),
  udplite: header("transport", l4(136), { ...PORTS, csumcov: [32, integer(16)], checksum: [48, integer(16)] }, 6),
  sctp: header("transport", l4(132), { ...PORTS, vtag: [32, integer(32)], checksum: [64, integer(32)] }),
  dccp: header("transport", l4(33), { ...PORTS, type: [67, T.dccp_pkttype] }),
  th: header("transport", [], PORTS),
  ah: header("transport", l4(51), {
    ...{
      nexthdr: [0, T.inet_proto],
      hdrlength: [8, integer(8)],
      reserved: [16, integer(16)],
      spi: [32, integer(32)],
      sequence: [64, integer(32)],
    },
  }),
  esp: header("transport", l4(50), { spi: [0, integer(32)], sequence: [32, integer(32)] }),
  comp: header("transport", l4(108), { nexthdr: [0, T.inet_proto], flags: [8, integer(8)], cpi: [16, integer(16)] }),
  igmp: header(
    "transport",
    [IPV4, ...l4(2)],
    { type: [0, T.igmp_type], mrt: [8, integer(8)], checksum: [16, integer(16)], group: [32, T.ipv4_addr] },
    2,
  ),
});

/** Fields of extension headers and options: offsets in bits, as everywhere. */
export interface Extension {
  readonly op: "ipv6" | "ipv4" | "tcp";
  /** Next-header number, or option kind. */
  readonly number: number;
  readonly fields: Readonly<Record<string, readonly [number, Datatype]>>;
}

const NEXT = { nexthdr: [0, T.inet_proto], hdrlength: [8, integer(8)] } as const;
export const IPV6_EXTENSIONS: Readonly<Record<string, Extension>> = wordTable({
  hbh: { op: "ipv6", number: 0, fields: wordTable(NEXT) },
  rt: { op: "ipv6", number: 43, fields: wordTable({ ...NEXT, type: [16, integer(8)], "seg-left": [24, integer(8)] }) },
  frag: {
    op: "ipv6",
    number: 44,
    fields: wordTable({
      ...{ nexthdr: [0, T.inet_proto], reserved: [8, integer(8)], "frag-off": [16, integer(13)] },
      ...{ reserved2: [29, integer(2)], "more-fragments": [31, integer(1)], id: [32, integer(32)] },
    }),
  },
  dst: { op: "ipv6", number: 60, fields: wordTable(NEXT) },
  mh: {
    op: "ipv6",
    number: 135,
    fields: wordTable({ ...NEXT, type: [16, T.mh_type], reserved: [24, integer(8)], checksum: [32, integer(16)] }),
  },
});

const POINTER = {
  type: [0, integer(8)],
  length: [8, integer(8)],
  ptr: [16, integer(8)],
  addr: [24, integer(32)],
} as const;
export const IP_OPTIONS: Readonly<Record<string, Extension>> = wordTable({
  lsrr: { op: "ipv4", number: 131, fields: wordTable(POINTER) },
  rr: { op: "ipv4", number: 7, fields: wordTable(POINTER) },
  ssrr: { op: "ipv4", number: 137, fields: wordTable(POINTER) },
  ra: {
    op: "ipv4",
    number: 148,
    fields: wordTable({ type: [0, integer(8)], length: [8, integer(8)], value: [16, integer(16)] }),
  },
});

const KIND = { kind: [0, integer(8)], length: [8, integer(8)] } as const;
/** A SACK option with its block `index` (RFC 2018). */
const sack = (index: number): Extension => ({
  op: "tcp",
  number: 5,
  fields: wordTable({ ...KIND, left: [16 + 64 * index, integer(32)], right: [48 + 64 * index, integer(32)] }),
});
export const TCP_OPTIONS: Readonly<Record<string, Extension>> = wordTable({
  eol: { op: "tcp", number: 0, fields: wordTable({ kind: [0, integer(8)] }) },
  nop: { op: "tcp", number: 1, fields: wordTable({ kind: [0, integer(8)] }) },
  maxseg: { op: "tcp", number: 2, fields: wordTable({ ...KIND, size: [16, integer(16)] }) },
  window: { op: "tcp", number: 3, fields: wordTable({ ...KIND, count: [16, integer(8)] }) },
  "sack-perm": { op: "tcp", number: 4, fields: wordTable(KIND) },
  sack: sack(0),
  sack0: sack(0),
  sack1: sack(1),
  sack2: sack(2),
  sack3: sack(3),
  timestamp: {
    op: "tcp",
    number: 8,
    fields: wordTable({ ...KIND, tsval: [16, integer(32)], tsecr: [48, integer(32)] }),
  },
  md5sig: { op: "tcp", number: 19, fields: wordTable(KIND) },
  mptcp: { op: "tcp", number: 30, fields: wordTable({ ...KIND, subtype: [16, integer(4)] }) },
  fastopen: { op: "tcp", number: 34, fields: wordTable(KIND) },
});

/** A TCP option by its number: whether it is there. Null for what is no number of eight bits. */
export function tcpOptionOf(number: string): Extension | null {
  const kind = /^(0x[0-9a-fA-F]+|\d+)$/.test(number) ? Number(number) : Number.NaN;
  return kind <= 255 ? { op: "tcp", number: kind, fields: wordTable({}) } : null;
}

/** nft's meta keys: the model's key, and the type. `name`: says a device by its name, which is its ifindex here. */
export const META: Readonly<Record<string, { readonly key: MetaKey; readonly type: Datatype }>> = wordTable({
  length: { key: "length", type: integer(32) },
  protocol: { key: "protocol", type: T.ether_type },
  nfproto: { key: "nfproto", type: T.nf_proto },
  l4proto: { key: "l4proto", type: T.inet_proto },
  mark: { key: "mark", type: T.mark },
  priority: { key: "priority", type: T.classid },
  iif: { key: "iif", type: T.iface_index },
  oif: { key: "oif", type: T.iface_index },
  iifname: { key: "iif", type: T.ifname },
  oifname: { key: "oif", type: T.ifname },
  sdif: { key: "sdif", type: T.iface_index },
  sdifname: { key: "sdif", type: T.ifname },
  iiftype: { key: "iiftype", type: T.iface_type },
  oiftype: { key: "oiftype", type: T.iface_type },
  iifgroup: { key: "iifgroup", type: T.devgroup },
  oifgroup: { key: "oifgroup", type: T.devgroup },
  pkttype: { key: "pkttype", type: T.pkt_type },
  skuid: { key: "skuid", type: T.uid },
  skgid: { key: "skgid", type: T.gid },
});
