/**
 * The types of fields and constants, with nft's names, and the symbols that constants of a type may be written as
 * (datatype.c, proto.c and meta.c of nft; `nft describe TYPE` prints them).
 */
import { COUNTER_BITS, COUNTER_TYPE } from "../../../runtime/hooks.ts";

export interface Datatype {
  readonly name: string;
  readonly bits: number;
  /** Each bit means something on its own: `tcp flags syn` asks for one, `syn,ack` for either. */
  readonly flags?: true;
  readonly symbols?: ReadonlyMap<string, number>;
}

const symbols = (table: Readonly<Record<string, number>>): ReadonlyMap<string, number> =>
  new Map(Object.entries(table));
const type = (name: string, bits: number, table?: Readonly<Record<string, number>>): Datatype =>
  table === undefined ? { name, bits } : { name, bits, symbols: symbols(table) };
const flags = (name: string, bits: number, table: Readonly<Record<string, number>>): Datatype => ({
  ...type(name, bits, table),
  flags: true,
});

const DSCP: Record<string, number> = { df: 0, be: 0, lephb: 1, ef: 0x2e, va: 0x2c };
for (let i = 0; i < 8; i++) DSCP[`cs${i}`] = i << 3;
for (let c = 1; c <= 4; c++) for (let d = 1; d <= 3; d++) DSCP[`af${c}${d}`] = (c << 3) | (d << 1);

const PROTOCOLS = {
  ...{ ip: 0, hopopt: 0, icmp: 1, igmp: 2, ggp: 3, ipencap: 4, tcp: 6, egp: 8, udp: 17, dccp: 33, ipv6: 41 },
  ...{ "ipv6-route": 43, "ipv6-frag": 44, gre: 47, esp: 50, ah: 51, "ipv6-icmp": 58, icmpv6: 58, "ipv6-nonxt": 59 },
  ...{ "ipv6-opts": 60, ospf: 89, ipip: 94, comp: 108, ipcomp: 108, vrrp: 112, l2tp: 115, sctp: 132, udplite: 136 },
};

/** services(5) of the ports that rule sets name most. */
const SERVICES = {
  ...{ "ftp-data": 20, ftp: 21, ssh: 22, telnet: 23, smtp: 25, domain: 53, bootps: 67, bootpc: 68, tftp: 69, http: 80 },
  ...{ pop3: 110, sunrpc: 111, ntp: 123, "netbios-ns": 137, "netbios-ssn": 139, imap2: 143, snmp: 161, bgp: 179 },
  ...{ ldap: 389, https: 443, "microsoft-ds": 445, isakmp: 500, syslog: 514, router: 520, ldaps: 636, imaps: 993 },
  ...{
    pop3s: 995,
    openvpn: 1194,
    "ms-sql-s": 1433,
    radius: 1812,
    nfs: 2049,
    mysql: 3306,
    postgresql: 5432,
    "http-alt": 8080,
  },
};

export const ICMP_CODES = {
  ...{ "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4 },
  ...{ "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13 },
};
export const ICMPV6_CODES = {
  ...{ "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5 },
  ...{ "reject-route": 6 },
};

export const TYPES = {
  integer: type("integer", 32),
  ipv4_addr: type("ipv4_addr", 32),
  ipv6_addr: type("ipv6_addr", 128),
  ether_addr: type("ether_addr", 48),
  ether_type: type("ether_type", 16, {
    ip: 0x0800,
    arp: 0x0806,
    vlan: 0x8100,
    ip6: 0x86dd,
    "8021q": 0x8100,
    "8021ad": 0x88a8,
  }),
  inet_proto: type("inet_proto", 8, PROTOCOLS),
  inet_service: type("inet_service", 16, SERVICES),
  mark: type("mark", 32),
  /** Names stand for ifindexes, see dsl/chain-model.ts. */
  ifname: type("ifname", 32),
  iface_index: type("iface_index", 32),
  iface_type: type("iface_type", 16, {
    ether: 1,
    ppp: 512,
    ipip: 768,
    ipip6: 769,
    loopback: 772,
    sit: 776,
    ipgre: 778,
  }),
  devgroup: type("devgroup", 32, { default: 0 }),
  pkt_type: type("pkt_type", 8, { host: 0, unicast: 0, broadcast: 1, multicast: 2, other: 3 }),
  nf_proto: type("nf_proto", 8, { ipv4: 2, ipv6: 10 }),
  dscp: type("dscp", 6, DSCP),
  ecn: type("ecn", 2, { "not-ect": 0, ect1: 1, ect0: 2, ce: 3 }),
  tcp_flag: flags("tcp_flag", 8, { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 }),
  icmp_type: type("icmp_type", 8, {
    ...{ "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, redirect: 5, "echo-request": 8 },
    ...{ "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12 },
    ...{ "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16 },
    ...{ "address-mask-request": 17, "address-mask-reply": 18 },
  }),
  icmp_code: type("icmp_code", 8, ICMP_CODES),
  icmpv6_type: type("icmpv6_type", 8, {
    ...{ "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4 },
    ...{ "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131 },
    ...{ "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134 },
    ...{ "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138 },
    ...{ "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143 },
  }),
  igmp_type: type("igmp_type", 8, {
    ...{ "membership-query": 0x11, "membership-report-v1": 0x12, "membership-report-v2": 0x16 },
    ...{ "leave-group": 0x17, "membership-report-v3": 0x22 },
  }),
  icmpv6_code: type("icmpv6_code", 8, ICMPV6_CODES),
  ct_state: flags("ct_state", 32, { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 }),
  fib_addrtype: type("fib_addrtype", 32, {
    ...{ unspec: 0, unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5, blackhole: 6, unreachable: 7 },
    ...{ prohibit: 8 },
  }),
  uid: type("uid", 32, { root: 0 }),
  gid: type("gid", 32, { root: 0 }),
  /** `meta priority`: MAJOR:MINOR in hexadecimal, or a number. */
  classid: type("tc_handle", 32, { none: 0, root: 0xffffffff }),
  boolean: type("boolean", 8, { exists: 1, missing: 0 }),
  dccp_pkttype: type("dccp_pkttype", 4, {
    ...{ request: 0, response: 1, data: 2, ack: 3, dataack: 4, closereq: 5, close: 6, reset: 7, sync: 8, syncack: 9 },
  }),
  mh_type: type("mh_type", 8, {
    ...{ "binding-refresh-request": 0, "home-test-init": 1, "careof-test-init": 2, "home-test": 3, "careof-test": 4 },
    ...{ "binding-update": 5, "binding-acknowledgement": 6, "binding-error": 7, "fast-binding-update": 8 },
    ...{ "fast-binding-acknowledgement": 9, "fast-binding-advertisement": 10, "experimental-mobility-header": 11 },
    ...{ "home-agent-switch-message": 12 },
  }),
  arp_op: type("arp_op", 16, { request: 1, reply: 2 }),
} as const satisfies Record<string, Datatype>;

/** Names that `type` of sets and maps knows. */
export const TYPE_NAMES: ReadonlyMap<string, Datatype> = new Map<string, Datatype>([
  ...Object.values(TYPES).map((t): [string, Datatype] => [t.name, t]),
  ["tc_handle", TYPES.classid],
  ["classid", TYPES.classid],
]);

/** What `counter name KEY map @MAP` counts with. */
export const COUNTER: Datatype = { name: COUNTER_TYPE, bits: COUNTER_BITS };

/** A number of that width. */
export const integer = (bits: number): Datatype => ({ name: "integer", bits });
