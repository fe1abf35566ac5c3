/**
 * What a checked text means: ids instead of names, and no default left implicit. The kernel's own rules, routes,
 * addresses and metrics are written out, each with its origin, so that an engine needs no knowledge of defaults and
 * `explain` can say where everything comes from. Plain data: JSON but for the bigints.
 */
import type { IfIndex, Priority, RouteId, RuleId, TableId } from "../runtime/brand.ts";
import type { Family, Ip, Prefix } from "../runtime/net/ip.ts";
import type { Mac } from "../runtime/net/mac.ts";
import type { RouteType } from "../runtime/net/route-types.ts";
import type { Range, Transport } from "./ast.ts";
import type { Netfilter } from "./chain-model.ts";
import type { RouteColumns } from "./route-columns.ts";
import type { Source, Span } from "./span.ts";

/** Whose behaviour to follow where kernels differ: 5.4 (to 5.17), 6.1 (5.18 to 6.14), 6.15 (and later). */
export const KERNEL_PROFILES = ["5.4", "6.1", "6.15"] as const;
export type KernelProfile = (typeof KERNEL_PROFILES)[number];

export interface Model {
  readonly source: Source;
  readonly kernel: KernelProfile;
  readonly nets: readonly Net[];
  readonly tests: readonly TestCase[];
}

/** Where something comes from: a line of the text, or the kernel itself because of one (`span`) or always (no span). */
export interface Origin {
  readonly span?: Span;
  /** e.g. "kernel: connected route of 10.0.0.1/24 on vethr1"; absent for what the text says itself. */
  readonly kernel?: string;
  /** Set for a line of a file that the text names (`routes from "rib.txt"`, which `span` points at); 1 is the first line. */
  readonly file?: { readonly name: string; readonly line: number };
}

/** One network namespace (kernel: `struct net`). */
export interface Net {
  readonly name: string;
  /** Index of this net in `Model.nets`. */
  readonly index: number;
  /** Dense by position, not by ifindex: look up with `deviceOf`. `lo` (ifindex 1) is always there and first. */
  readonly devices: readonly Device[];
  /** Routes of all tables, both families, but for those in `columns`; `routes[id].id === id`. Order within a prefix is the kernel's (see Route). */
  readonly routes: readonly Route[];
  /** The others, a table each, in the order of their tables (route-columns.ts: `routeOf`, `allRoutes` are for both). */
  readonly columns: readonly RouteColumns[];
  /** Both families; each family's rules in the order they are tried; `rules[id].id === id`. */
  readonly rules: readonly Rule[];
  /** Table ids to names worth printing: local, main, default, and each VRF's table by the VRF's name. */
  readonly tableNames: ReadonlyMap<TableId, string>;
  readonly neighbours: readonly Neighbour[];
  readonly sysctl: NetSysctl;
  /** Chains, programs, sets and maps (dsl/chain-model.ts). */
  readonly netfilter: Netfilter;
}

export type DeviceKind = "loopback" | "veth" | "dummy" | "vrf";

export interface Device {
  readonly ifindex: IfIndex;
  readonly name: string;
  readonly kind: DeviceKind;
  readonly mac: Mac;
  /** Bytes of an IP packet. */
  readonly mtu: number;
  /** IFF_UP. */
  readonly up: boolean;
  /** The VRF device that this one is a slave of, 0: none. */
  readonly master: IfIndex;
  /** For kind "vrf": its table; 0 otherwise. */
  readonly table: TableId;
  /** For kind "veth": where the other end is; null: the wire ends nowhere in this text. */
  readonly peer: { readonly net: number; readonly ifindex: IfIndex } | null;
  /** Device group (`ip link set group`), 0 by default. */
  readonly group: number;
  /** For kind "vrf": false when a qdisc was put on it, so that vrf_l3_out redirects instead of going direct. */
  readonly qdiscDefault: boolean;
  /** In the order they were added; primaries before their secondaries. */
  readonly addresses: readonly Address[];
  readonly conf: DeviceConf;
  readonly origin: Origin;
}

/** Route and address scopes (kernel: `RT_SCOPE_*`), numerically comparable: larger is nearer. */
export const Scope = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254, NOWHERE: 255 } as const;
export type Scope = (typeof Scope)[keyof typeof Scope];

export interface Address {
  /** The address with its prefix length, host bits kept. */
  readonly prefix: Prefix;
  /** The other end of a point-to-point address; equals `prefix.address` otherwise. */
  readonly peer: Ip;
  readonly scope: Scope;
  /** IFA_F_SECONDARY: not first of its subnet on the device. */
  readonly secondary: boolean;
  readonly origin: Origin;
}

/** Per-device settings after combining `all`, `default` and the device's own value as the kernel does. */
export interface DeviceConf {
  readonly forwarding4: boolean;
  readonly forwarding6: boolean;
  /** max(all, device): 0 off, 1 strict, 2 loose. */
  readonly rpFilter: 0 | 1 | 2;
  readonly acceptLocal: boolean;
  readonly routeLocalnet: boolean;
  readonly bcForwarding: boolean;
  readonly sendRedirects: boolean;
  readonly ignoreRoutesWithLinkdown: boolean;
  /** drop_unicast_in_l2_multicast. */
  readonly dropUnicastInL2Multicast: boolean;
  /** Of net.ipv6.conf, the device's own alone. */
  readonly dropUnicastInL2Multicast6: boolean;
  readonly disableIpv6: boolean;
}

export interface NetSysctl {
  readonly fibMultipathHashPolicy: 0 | 1 | 2 | 3;
  /** net.ipv6.fib_multipath_hash_policy. */
  readonly fibMultipathHashPolicy6: 0 | 1 | 2 | 3;
  /** net.ipv6.conf.all.forwarding, which alone decides whether IPv6 packets are forwarded; a device's own says who joins the routers' groups. */
  readonly ipv6Forwarding: boolean;
  readonly tcpL3mdevAccept: boolean;
  readonly udpL3mdevAccept: boolean;
  /** 1 by default. */
  readonly rawL3mdevAccept: boolean;
  readonly vrfStrictMode: boolean;
  readonly ipDefaultTtl: number;
  readonly icmpEchoIgnoreAll: boolean;
  readonly icmpEchoIgnoreBroadcasts: boolean;
  readonly icmpErrorsUseInboundIfaddr: boolean;
  readonly ipForwardUsePmtu: boolean;
}

/**
 * A route as the kernel would hold it. Among routes of one table and prefix, the array order in `Net.routes` is the
 * order in which fib_table_lookup tries them: TOS descending, then metric ascending, then as added.
 */
export interface Route {
  readonly id: RouteId;
  readonly family: Family;
  readonly table: TableId;
  /** Network address: no host bits. */
  readonly prefix: Prefix;
  readonly type: RouteType;
  /** IPv4 only: matches only flows of this TOS; 0 matches all. */
  readonly tos: number;
  /** Priority among equals; 0 default in IPv4, 1024 in IPv6. */
  readonly metric: number;
  readonly scope: Scope;
  readonly protocol: string;
  /** `src` as given, or of the kernel's own connected and local routes; null: chosen by next hop (`NextHop.source`). */
  readonly prefsrc: Ip | null;
  /** Empty for blackhole, unreachable, prohibit, throw. */
  readonly nexthops: readonly NextHop[];
  readonly mtu: number | null;
  readonly origin: Origin;
}

export interface NextHop {
  readonly device: IfIndex;
  /** Null: the destination is on the link. May be of the other family (IPv6 next hop of an IPv4 route). */
  readonly gateway: Ip | null;
  readonly weight: number;
  readonly onlink: boolean;
  /** Scope of the next hop itself (kernel: nhc_scope / fib_nh_scope). */
  readonly scope: Scope;
  /** RTNH_F_DEAD: the device is down. */
  readonly dead: boolean;
  /** What fib_result_prefsrc gives without `prefsrc`: inet_select_addr(device, gateway, route scope); 0 if none. */
  readonly source: Ip;
}

export interface Rule {
  readonly id: RuleId;
  readonly family: Family;
  readonly pref: Priority;
  readonly not: boolean;
  readonly from: Prefix | null;
  readonly to: Prefix | null;
  /** Device name as written and its ifindex; ifindex -1: no such device, the rule never matches ([detached]). */
  readonly iif: RuleDevice | null;
  readonly oif: RuleDevice | null;
  /** Matches when ((mark ^ flow mark) & mask) == 0; null: any. */
  readonly fwmark: { readonly mark: number; readonly mask: number } | null;
  readonly tos: number;
  /** 0: any. */
  readonly ipproto: number;
  readonly sport: Range | null;
  readonly dport: Range | null;
  readonly uidrange: Range | null;
  readonly l3mdev: boolean;
  /** -1: off. */
  readonly suppressPrefixLength: number;
  /** -1: off. */
  readonly suppressIfGroup: number;
  readonly protocol: string;
  readonly action: RuleAction;
  readonly origin: Origin;
}

export interface RuleDevice {
  readonly name: string;
  readonly ifindex: IfIndex | -1;
}

export type RuleAction =
  /** `table` null: the table of the flow's VRF (the l3mdev rule). */
  | { readonly kind: "lookup"; readonly table: TableId | null }
  /** Target null: no rule of that preference, or none after this one: the rule is skipped ([unresolved]). */
  | { readonly kind: "goto"; readonly pref: Priority; readonly target: RuleId | null }
  | { readonly kind: "nop" | "blackhole" | "unreachable" | "prohibit" };

export interface Neighbour {
  readonly address: Ip;
  readonly mac: Mac;
  readonly device: IfIndex;
  readonly origin: Origin;
}

/** A `test` block: the model that it runs on (the file's, plus what the test adds) and what it does there, in order. */
export interface TestCase {
  readonly name: string;
  /** Null: the file's own nets. */
  readonly nets: readonly Net[] | null;
  readonly steps: readonly TestStep[];
  readonly span: Span;
}

export type TestStep = PingCase | ListenCase | ConnectCase;

export interface PingCase {
  readonly kind: "ping";
  readonly net: number;
  readonly destination: Ip;
  /** `-I`: a device, or a source address, or neither. */
  readonly bindDevice: IfIndex;
  readonly bindAddress: Ip | null;
  readonly ttl: number;
  readonly mark: number;
  readonly expect: Expectation<"reply" | "unreachable" | "exceeded" | "error" | "nothing" | "drop"> | null;
  readonly span: Span;
}

/** A server, until the end of the test: answers UDP datagrams with their own bytes, accepts TCP connections. */
export interface ListenCase {
  readonly kind: "listen";
  readonly net: number;
  readonly transport: Transport;
  /** Null: every address, IPv4 and IPv6. */
  readonly address: Ip | null;
  readonly port: number;
  readonly bindDevice: IfIndex;
  /** Null: it is expected to listen. */
  readonly expect: Expectation<"error"> | null;
  readonly span: Span;
}

/** A client: a TCP connection that is set up, or a UDP datagram from a connected socket. */
export interface ConnectCase {
  readonly kind: "connect";
  readonly net: number;
  readonly transport: Transport;
  readonly address: Ip;
  readonly port: number;
  readonly bindDevice: IfIndex;
  readonly bindAddress: Ip | null;
  readonly mark: number;
  readonly expect: Expectation<
    "connected" | "reply" | "refused" | "unreachable" | "exceeded" | "error" | "timeout" | "drop"
  > | null;
  readonly span: Span;
}

/** One of these dropped a packet, or rejected it. `by`, `rule` (from 1) and `namespace` are as written. */
interface Drop {
  readonly kind: "drop";
  readonly by: string;
  readonly rule: number | null;
  readonly namespace: string | null;
  readonly places: readonly DropPlace[];
}

export interface DropPlace {
  readonly net: number;
  readonly list: "chain" | "program";
  /** ChainId or ProgramId. */
  readonly id: number;
  /** From 0; null: any, or the policy. */
  readonly rule: number | null;
}

/** What is null is left open. */
type AnyExpectation =
  | { readonly kind: "reply"; readonly ttl: number | null; readonly from: Ip | null }
  | { readonly kind: "unreachable"; readonly what: "net" | "host" | "prohibited" | null; readonly from: Ip | null }
  | { readonly kind: "exceeded"; readonly from: Ip | null }
  | { readonly kind: "error"; readonly errno: string | null }
  | Drop
  | { readonly kind: "connected" | "refused" | "timeout" | "nothing" };
export type ExpectationKind = AnyExpectation["kind"];
export type Expectation<K extends ExpectationKind = ExpectationKind> = AnyExpectation & { readonly kind: K };

const byIndex = new WeakMap<readonly Device[], ReadonlyMap<number, Device>>();

export function deviceOf({ devices }: Net, ifindex: number): Device | undefined {
  let known = byIndex.get(devices);
  if (known === undefined) {
    known = new Map(devices.map((device) => [device.ifindex, device]));
    byIndex.set(devices, known);
  }
  return known.get(ifindex);
}
export const deviceNamed = (net: Net, name: string): Device | undefined => net.devices.find((d) => d.name === name);
