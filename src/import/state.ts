/**
 * What a kernel would hold after the commands run so far: the types. What commands do to it is in devices.ts, fib.ts
 * and rules.ts; look-ups are in lookup.ts. Commands are ordered and can undo each other, so a script is executed and not translated line by
 * line.
 *
 *   Network -> NetNs (the root namespace first) -> Device -> Address
 *                                               -> Route (what commands added; the kernel's own follow from addresses)
 *                                               -> RuleEntry, NeighbourEntry, NextHopEntry, sysctls
 *
 * Everything that becomes text carries its AST piece and the comments that stood near the command. Objects are never
 * changed when their identity matters (an address, a route, a rule): a replacement is a new object. emit.ts relies on
 * that to tell what a test adds to the network of the file.
 */
import type {
  AddressProperty,
  DeviceProperty,
  Name,
  Neighbour as NeighbourNode,
  NextHopObject,
  Route as RouteNode,
  Rule as RuleNode,
  Spanned,
} from "../../dsl/ast.ts";
import { NO_SPAN, type Span } from "../../dsl/span.ts";
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf, type Ip, network, type Prefix } from "../../runtime/net/ip.ts";
import { RouteTable } from "./route-table.ts";
import { type TableNames, tableNames } from "./words.ts";

/** Something that the script's comments can be kept at. */
export class Noted {
  /** Lines for above it. */
  readonly comments: string[] = [];
  /** For the end of its line. */
  trailing: string | undefined;

  /** Takes over what stood at the object that this one replaces. */
  inherit(old: Noted): void {
    this.comments.push(...old.comments.splice(0));
    this.trailing ??= old.trailing;
  }
}

/** The name of the root namespace in vrfc. */
export const ROOT = "host";

export class Network {
  readonly namespaces: NetNs[];
  /** Names of routing tables; `echo "100 red" >> /etc/iproute2/rt_tables` adds one. */
  readonly tables: TableNames = tableNames();

  constructor(span: Span) {
    this.namespaces = [new NetNs({ value: ROOT, span }, true)];
  }

  get root(): NetNs {
    return this.namespaces[0];
  }

  find(name: string): NetNs | undefined {
    return this.namespaces.find((ns) => !ns.isRoot && ns.name.value === name);
  }
}

export class NetNs extends Noted {
  readonly name: Name;
  readonly isRoot: boolean;
  /** In the order of registration; `lo` first. */
  readonly devices: Device[] = [];
  /** Devices of a kind that vrfc does not have, so that what follows on them is not reported as a missing device. */
  readonly foreign = new Map<string, { readonly span: Span; readonly what: string }>();
  /** What commands added, in order. */
  readonly routes = new RouteTable();
  /** IPv4 next hops that died with others of their route alive (RTNH_F_DEAD). */
  readonly deadHops = new Set<FibHop>();
  readonly rules: { readonly 4: RuleEntry[]; readonly 6: RuleEntry[] };
  neighbours: NeighbourEntry[] = [];
  nexthops: NextHopEntry[] = [];
  sysctls: SysctlEntry[] = [];
  /** Everything above but devices and sysctls in the order of the commands, with what was replaced or deleted since. */
  readonly entered: Entered[] = [];
  /** The first VRF of a namespace adds the l3mdev rule, later ones do not (vrf_add_fib_rules: one shot). */
  hasAddedL3mdevRule = false;

  constructor(name: Name, isRoot: boolean) {
    super();
    this.name = name;
    this.isRoot = isRoot;
    const lo = new Device(this, { value: "lo", span: name.span }, "loopback");
    // A machine brings its lo up when it boots; in a fresh namespace nobody has.
    lo.isUp = isRoot;
    this.devices.push(lo);
    const rules = (family: Family): RuleEntry[] => [
      kernelRule(family, 0, "local"),
      kernelRule(family, 32766, "main"),
      ...(family === 4 ? [kernelRule(family, 32767, "default")] : []),
    ];
    this.rules = { 4: rules(4), 6: rules(6) };
  }

  device(name: string): Device | undefined {
    return this.devices.find((device) => device.name.value === name);
  }

  sysctl(key: string): string | undefined {
    return this.sysctls.find((entry) => entry.key.value === key)?.setting.value;
  }
}

/** What is written in the order of its commands: Linux checks each against those before it. */
export type Entered = Route | RuleEntry | RuleRemoval | NextHopEntry | NeighbourEntry;

export type DeviceKind = "loopback" | "veth" | "dummy" | "vrf" | "machine";

/** Properties that a command sets and that nothing else depends on, kept as AST pieces. */
type Setting = Extract<DeviceProperty, { kind: "lladdr" | "mtu" | "group" | "qdisc" | "index" }>;

export class Device extends Noted {
  ns: NetNs;
  name: Name;
  /** `machine`: the script uses it without creating it. */
  readonly kind: DeviceKind;
  isUp = false;
  master: { readonly vrf: Device; readonly span: Span } | null = null;
  /** Of a VRF: its table; 0 otherwise. */
  readonly table: Spanned<number>;
  peer: Device | null = null;
  addresses: Address[] = [];
  readonly settings = new Map<Setting["kind"], Setting>();

  constructor(ns: NetNs, name: Name, kind: DeviceKind, table?: Spanned<number>) {
    super();
    this.ns = ns;
    this.name = name;
    this.kind = kind;
    this.table = table ?? { value: 0, span: name.span };
  }

  /** Table of the VRF that it is or belongs to, 0: none (kernel: l3mdev_fib_table). */
  get l3mdevTable(): number {
    return this.kind === "vrf" ? this.table.value : (this.master?.vrf.table.value ?? 0);
  }

  /** Itself for a VRF, its VRF for a slave. */
  get l3mdev(): Device | null {
    return this.kind === "vrf" ? this : (this.master?.vrf ?? null);
  }
}

export class Address extends Noted {
  readonly device: Device;
  readonly node: AddressProperty;
  readonly family: Family;
  /** The subnet: of the peer for a point-to-point address. */
  readonly subnet: Prefix;
  /** IFA_F_SECONDARY. */
  readonly isSecondary: boolean;
  /** A command deleted the connected route, or replaced it; a cycle of the device brings it back. */
  lostPrefixRoute = false;
  /** Without routes until the device comes up again: kept over its going down, or over a change of VRF while it was. */
  isDormant = false;

  constructor(device: Device, node: AddressProperty, isSecondary: boolean) {
    super();
    this.device = device;
    this.node = node;
    this.family = familyOf(node.address.value.address);
    this.subnet = subnetOf(node);
    this.isSecondary = isSecondary;
  }

  get local(): Ip {
    return this.node.address.value.address;
  }
}

export const isSamePrefix = (a: Prefix, b: Prefix): boolean => a.length === b.length && a.address === b.address;

export function subnetOf(node: AddressProperty): Prefix {
  const { address, length } = (node.peer ?? node.address).value;
  return { address: network(address, length), length };
}

export class NeighbourEntry extends Noted {
  readonly device: Device;
  readonly node: NeighbourNode;
  constructor(device: Device, node: NeighbourNode) {
    super();
    this.device = device;
    this.node = node;
  }
}

export class NextHopEntry extends Noted {
  /** Null: blackhole or group. */
  readonly device: Device | null;
  readonly node: NextHopObject;
  /** Of the routes that may use it; IPv4 ones may use any. */
  readonly family: Family;
  constructor(device: Device | null, node: NextHopObject, family: Family) {
    super();
    this.device = device;
    this.node = node;
    this.family = family;
  }
}

export class SysctlEntry extends Noted {
  readonly key: Name;
  readonly setting: Spanned<string>;
  /** Of a key like net.ipv4.conf.eth0.rp_filter: the device, whose name can change and which can go. */
  readonly device: Device | null;
  constructor(key: Name, setting: Spanned<string>, device: Device | null) {
    super();
    this.key = key;
    this.setting = setting;
    this.device = device;
  }
}

// ---- routes -------------------------------------------------------------------------------------------------------

/** What both kinds of route have in common for a look-up. */
export interface FibRoute {
  readonly family: Family;
  readonly table: number;
  readonly prefix: Prefix;
  readonly type: string;
  readonly tos: number;
  readonly metric: number;
  readonly scope: number;
  readonly hops: readonly FibHop[];
  /** Of a kernel route: the address that it belongs to (null for 127/8 and fe80::/64). */
  readonly address?: Address | null;
}

export interface FibHop {
  /** Null: not known (a next-hop object, or a route without next hops). */
  readonly device: Device | null;
  readonly gateway: Ip | null;
}

/** A route that a command added. */
export class Route extends Noted implements FibRoute {
  readonly ns: NetNs;
  readonly node: RouteNode;
  readonly family: Family;
  readonly table: number;
  readonly prefix: Prefix;
  readonly type: string;
  readonly tos: number;
  readonly metric: number;
  readonly scope: number;
  readonly hops: readonly FibHop[];

  constructor(request: RouteRequest, hops: readonly FibHop[]) {
    super();
    this.ns = request.ns;
    this.node = request.node;
    this.family = request.family;
    this.table = request.table;
    this.prefix = prefixOf(request);
    this.type = request.node.type?.value ?? "unicast";
    this.tos = request.node.tos?.value ?? 0;
    this.metric = metricOf(request);
    this.scope = request.scope;
    this.hops = hops;
  }
}

/** An `ip route` command, parsed. */
export interface RouteRequest {
  readonly ns: NetNs;
  readonly node: RouteNode;
  readonly family: Family;
  readonly table: number;
  readonly scope: number;
  /** Devices of `node.hops`, in their order; null where no `dev` was given. */
  readonly devices: readonly (Device | null)[];
}

/** 0 for IPv4, 1024 for IPv6 where the command names none (IP6_RT_PRIO_USER). */
export const metricOf = ({ node, family }: RouteRequest): number => node.metric?.value || (family === 6 ? 1024 : 0);
export const prefixOf = ({ node, family }: RouteRequest): Prefix =>
  node.prefix.value === null
    ? { address: family === 4 ? 0 : 0n, length: 0 }
    : { address: network(node.prefix.value.address, node.prefix.value.length), length: node.prefix.value.length };
/** Types that stand for an error have no next hop. */
export const hasHops = (type: string): boolean => !["blackhole", "unreachable", "prohibit", "throw"].includes(type);

// ---- rules --------------------------------------------------------------------------------------------------------

export class RuleEntry extends Noted {
  readonly family: Family;
  readonly pref: number;
  readonly node: RuleNode;
  /** Table of `lookup`; 0: the VRF's, or another action. */
  readonly table: number;
  /** The kernel made it itself. */
  readonly isKernel: boolean;

  constructor(family: Family, pref: number, node: RuleNode, table: number, isKernel = false) {
    super();
    this.family = family;
    this.pref = pref;
    this.node = node;
    this.table = table;
    this.isKernel = isKernel;
  }
}

const WELL_KNOWN = { local: RT_TABLE_LOCAL, main: RT_TABLE_MAIN, default: RT_TABLE_DEFAULT } as const;

/** That a command deleted a rule: what is left of one of the kernel's own, or of one that the file of a test has. */
export class RuleRemoval extends Noted {
  readonly rule: RuleEntry;
  readonly span: Span;
  constructor(rule: RuleEntry, span: Span) {
    super();
    this.rule = rule;
    this.span = span;
  }
}

/** One of the rules that are there without a command. */
export function kernelRule(family: Family, pref: number, what: keyof typeof WELL_KNOWN | "l3mdev"): RuleEntry {
  const at = NO_SPAN;
  const base = {
    kind: "rule",
    span: at,
    family: { value: family, span: at },
    pref: { value: pref, span: at },
  } as const;
  if (what === "l3mdev") {
    const node: RuleNode = { ...base, l3mdev: { value: true, span: at }, protocol: { value: "kernel", span: at } };
    return new RuleEntry(family, pref, node, 0, true);
  }
  const node: RuleNode = {
    ...base,
    action: { kind: "lookup", table: { value: what, span: at }, span: at },
    protocol: { value: "kernel", span: at },
  };
  return new RuleEntry(family, pref, node, WELL_KNOWN[what], true);
}
