/**
 * The text as a tree: what was said, where, with nothing resolved and no default filled in. Names stay names.
 * Importers build the same tree, so one checker and one printer serve written and imported text.
 *
 *   file      = { kernel | namespace | test | item }            items outside a namespace belong to `host`
 *   namespace = "namespace" NAME "{" { item } "}"
 *   item      = sysctl | vrf | interface | table | route | rule | neighbour | nexthop
 *   test      = "test" STRING "{" { namespace | step } "}"      a namespace in a test adds to the network for that test
 *   step      = ["in" NAME] ( ping | listen | connect )
 */
import type { Ip, Prefix } from "../runtime/net/ip.ts";
import type { Mac } from "../runtime/net/mac.ts";
import type { FilterItem } from "./chain-ast.ts";
import type { Span } from "./span.ts";

/** A value and where it stands. */
export interface Spanned<T> {
  readonly value: T;
  readonly span: Span;
}
export type Name = Spanned<string>;

export interface Node {
  readonly span: Span;
  /** Comment lines above (without `#` and one following blank); null is a blank line among them or below them. */
  readonly comments?: readonly (string | null)[];
  /** Comment at the end of the node's (first) line. */
  readonly trailing?: string;
  /** A blank line stands above in the source; the printer keeps one. */
  readonly blankBefore?: boolean;
}

export interface File extends Node {
  readonly kind: "file";
  readonly items: readonly (KernelDecl | Namespace | Test | Item)[];
  /** Comments after the last item. */
  readonly tail?: readonly (string | null)[];
}

/** `kernel "6.1"` */
export interface KernelDecl extends Node {
  readonly kind: "kernel";
  readonly version: Spanned<string>;
}

/** `namespace ns0 { ... }` */
export interface Namespace extends Node {
  readonly kind: "namespace";
  readonly name: Name;
  readonly items: readonly Item[];
  readonly tail?: readonly (string | null)[];
}

export type Item = Sysctl | Vrf | Interface | Table | Route | Rule | Neighbour | NextHopObject | FilterItem;

/** `sysctl net.ipv4.ip_forward = 1` */
export interface Sysctl extends Node {
  readonly kind: "sysctl";
  readonly key: Name;
  readonly setting: Spanned<string>;
}

/** `vrf red { table 10; address 1.1.1.1/32 }` */
export interface Vrf extends Node {
  readonly kind: "vrf";
  readonly name: Name;
  readonly properties: readonly DeviceProperty[];
  readonly tail?: readonly (string | null)[];
}

/** `interface eth0 { master red; address 10.0.0.1/24; peer ns0 veth1 }` */
export interface Interface extends Node {
  readonly kind: "interface";
  readonly name: Name;
  readonly properties: readonly DeviceProperty[];
  readonly tail?: readonly (string | null)[];
}

export type DeviceProperty = Node &
  (
    | { readonly kind: "table"; readonly table: Name }
    | { readonly kind: "type"; readonly type: Name } //                        veth, dummy, loopback
    | { readonly kind: "master"; readonly vrf: Name }
    | { readonly kind: "peer"; readonly namespace: Name; readonly device: Name }
    | AddressProperty
    | { readonly kind: "lladdr"; readonly mac: Spanned<Mac> } //                `lladdr 02:..` or `address 02:..`
    | { readonly kind: "mtu"; readonly mtu: Spanned<number> }
    | { readonly kind: "group"; readonly group: Spanned<number> }
    | { readonly kind: "qdisc"; readonly qdisc: Name }
    | { readonly kind: "index"; readonly index: Spanned<number> } //            `index 7`: fixes the ifindex
    | { readonly kind: "state"; readonly up: boolean } //                       `up` | `down`
  );

export interface AddressProperty extends Node {
  readonly kind: "address";
  /** Host bits kept: `10.0.0.1/24` is address 10.0.0.1 in a /24. */
  readonly address: Spanned<Prefix>;
  readonly peer?: Spanned<Prefix>;
  readonly scope?: Name;
  readonly metric?: Spanned<number>;
  readonly noprefixroute?: boolean;
}

/** `table 100 { route ... }`, `table main { ... }` */
export interface Table extends Node {
  readonly kind: "table";
  readonly name: Name;
  readonly routes: readonly (Route | RoutesFrom)[];
  readonly tail?: readonly (string | null)[];
}

/** `routes from "rib.txt"`: one `prefix next-hop-words` a line. */
export interface RoutesFrom extends Node {
  readonly kind: "routes";
  readonly file: Spanned<string>;
}

/** `route [append] [TYPE] PREFIX [via ADDR] [dev DEV] ...`: the words of `ip route add`. */
export interface Route extends Node {
  readonly kind: "route";
  readonly type?: Name;
  /** `route append`: behind what has the same table, prefix, TOS and metric, which is else an error. */
  readonly append?: true;
  /** `default` is null; its family then follows from `via`, `src`, `family` or is IPv4. */
  readonly prefix: Spanned<Prefix | null>;
  /** `inet` or `inet6` before the prefix, needed only for a `default` that nothing else tells. */
  readonly family?: Spanned<4 | 6>;
  readonly hops: readonly Hop[];
  readonly table?: Name;
  readonly vrf?: Name;
  readonly metric?: Spanned<number>;
  readonly tos?: Spanned<number>;
  readonly scope?: Name;
  readonly protocol?: Name;
  readonly src?: Spanned<Ip>;
  readonly nhid?: Spanned<number>;
  readonly mtu?: Spanned<number>;
}

/** One next hop: the route's own `via`/`dev`, or each `nexthop via .. dev .. weight ..`. */
export interface Hop extends Node {
  readonly via?: Spanned<Ip>;
  readonly dev?: Name;
  readonly weight?: Spanned<number>;
  readonly onlink?: boolean;
  /** As `ip route show` prints a next hop whose device was taken down (RTNH_F_DEAD): the route stays, this hop is not used. */
  readonly dead?: boolean;
}

/** `rule [PREF] [not] SELECTORS ACTION`: the words of `ip rule add`; `no rule [PREF] ...`: those of `ip rule del`. */
export interface Rule extends Node {
  readonly kind: "rule";
  /** `no rule ...`: takes away the first rule that has all that is said here (also one of the kernel's own). */
  readonly delete?: true;
  /** `inet`/`inet6`; when absent it follows from the addresses, else IPv4 (the `l3mdev` rule: both). */
  readonly family?: Spanned<4 | 6>;
  readonly pref?: Spanned<number>;
  readonly not?: boolean;
  readonly from?: Spanned<Prefix>;
  readonly to?: Spanned<Prefix>;
  readonly iif?: Name;
  readonly oif?: Name;
  readonly fwmark?: Spanned<{ readonly mark: number; readonly mask: number }>;
  readonly tos?: Spanned<number>;
  readonly ipproto?: Spanned<number>;
  readonly sport?: Spanned<Range>;
  readonly dport?: Spanned<Range>;
  readonly uidrange?: Spanned<Range>;
  readonly l3mdev?: Spanned<true>;
  readonly suppressPrefixLength?: Spanned<number>;
  readonly suppressIfGroup?: Spanned<number>;
  readonly protocol?: Name;
  /** Absent: `lookup main`, as `ip rule` has it, or the VRF's table with `l3mdev`. */
  readonly action?: RuleAction;
}

/** Inclusive. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

export type RuleAction = { readonly span: Span } & (
  | { readonly kind: "lookup"; readonly table: Name }
  | { readonly kind: "goto"; readonly target: Spanned<number> }
  | { readonly kind: "nop" | "blackhole" | "unreachable" | "prohibit" }
);

/** `neighbour 10.0.0.7 lladdr 02:.. dev veth1` */
export interface Neighbour extends Node {
  readonly kind: "neighbour";
  readonly address: Spanned<Ip>;
  readonly lladdr: Spanned<Mac>;
  readonly dev: Name;
}

/** `nexthop 7 via 10.0.0.1 dev eth0` or `nexthop 9 group 7/8,2` */
export interface NextHopObject extends Node {
  readonly kind: "nexthop";
  readonly id: Spanned<number>;
  /** `inet`/`inet6` before the id; when absent it follows from the gateway, else IPv4 (a device alone, a blackhole). */
  readonly family?: Spanned<4 | 6>;
  readonly hop?: Hop;
  readonly blackhole?: boolean;
  readonly group?: readonly { readonly id: Spanned<number>; readonly weight: number }[];
}

/** `test "name" { namespace host { route ... }  in ns0 ping 10.0.1.7 expect reply ttl 63 }` */
export interface Test extends Node {
  readonly kind: "test";
  readonly name: Spanned<string>;
  readonly additions: readonly Namespace[];
  readonly steps: readonly TestStep[];
  readonly tail?: readonly (string | null)[];
}

/** What a test does, in order. */
export type TestStep = Ping | Listen | Connect;

/** `[in NS] ping ADDR [-I DEV|ADDR] [-t TTL] [-m MARK] expect OUTCOME` */
export interface Ping extends Node {
  readonly kind: "ping";
  /** Absent: `host`. */
  readonly namespace?: Name;
  readonly destination: Spanned<Ip>;
  /** `-I`: device name or source address, as written. */
  readonly bind?: Name;
  readonly ttl?: Spanned<number>;
  readonly mark?: Spanned<number>;
  /** Absent: the ping is run and shown, nothing is asserted. */
  readonly expect?: Expectation;
}

export type Transport = "tcp" | "udp";

/** Address and port; without an address (`80`, `*:80`): of either family. */
export interface Endpoint {
  readonly address: Ip | null;
  readonly port: number;
}

/** `[in NS] listen tcp|udp [ADDR:]PORT [-I DEV] [expect error ERRNO]`: a server, until the end of the test */
export interface Listen extends Node {
  readonly kind: "listen";
  readonly namespace?: Name;
  readonly transport: Transport;
  readonly endpoint: Spanned<Endpoint>;
  readonly device?: Name;
  /** Absent: it is expected to listen. */
  readonly expect?: Expectation;
}

/** `[in NS] connect tcp|udp ADDR:PORT [-I DEV] [from ADDR] [-m MARK] expect OUTCOME` */
export interface Connect extends Node {
  readonly kind: "connect";
  readonly namespace?: Name;
  readonly transport: Transport;
  readonly endpoint: Spanned<Endpoint>;
  readonly device?: Name;
  readonly from?: Spanned<Ip>;
  readonly mark?: Spanned<number>;
  /** Absent: it is run and shown, nothing is asserted. */
  readonly expect?: Expectation;
}

/** Which of these a step can come to, the checker knows. */
export type Expectation = { readonly span: Span } & (
  | { readonly kind: "reply"; readonly ttl?: Spanned<number>; readonly from?: Spanned<Ip> }
  /** An ICMP error came back: `expect unreachable [net|host|prohibited]`, `expect exceeded`, from whom. */
  | { readonly kind: "unreachable"; readonly what?: Name; readonly from?: Spanned<Ip> }
  | { readonly kind: "exceeded"; readonly from?: Spanned<Ip> }
  /** The send itself failed: `expect error ENETUNREACH`. */
  | { readonly kind: "error"; readonly errno?: Name }
  /** A rule dropped a packet: `expect drop by forward rule 2 in host`. Rules count from 1. */
  | { readonly kind: "drop"; readonly by: Name; readonly rule?: Spanned<number>; readonly namespace?: Name }
  | { readonly kind: "connected" | "refused" | "timeout" | "nothing" }
);
