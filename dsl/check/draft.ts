/**
 * The network under construction: the model's types with their fields still writable, a FIB that can be searched while
 * it grows (the kernel's own checks look routes up), and what the checks must remember to point back at the text.
 *
 *   NetDraft -- devices   in order of appearance, `lo` first
 *            |- fib       every table of both families
 *            |- rules     per family, in the order they are tried
 *            `- nexthops  objects by id
 */
import type { IfIndex, Priority, TableId } from "../../runtime/brand.ts";
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../../runtime/brand.ts";
import type { Family, Ip } from "../../runtime/net/ip.ts";
import { EMPTY_NETFILTER, type Netfilter } from "../chain-model.ts";
import type {
  Device,
  DeviceConf,
  KernelProfile,
  Neighbour,
  NetSysctl,
  NextHop,
  Origin,
  Rule,
  RuleAction,
} from "../model.ts";
import type { Span } from "../span.ts";
import { Fib } from "./fib.ts";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface DeviceDraft extends Omit<Mutable<Device>, "addresses" | "conf"> {
  addresses: Mutable<Device["addresses"][number]>[];
  conf: Mutable<DeviceConf>;
  /** False with disable_ipv6: no IPv6 address, no IPv6 route of its own. */
  ipv6: boolean;
  /** `netif_carrier_ok`; without one its next hops are RTNH_F_LINKDOWN. */
  carrier: boolean;
  /** net.ipv6.conf.DEV.ignore_routes_with_linkdown; IPv4's is in `conf`. */
  ignoreLinkdown6: boolean;
  /** Where the text names the device; absent for `lo`. */
  nameSpan?: Span;
}

/** A rule before its `goto` target is known. */
export interface RuleDraft extends Omit<Mutable<Rule>, "id" | "action"> {
  action: Exclude<RuleAction, { kind: "goto" }> | { readonly kind: "goto"; readonly pref: Priority };
}

/** `nexthop 7 ...` once checked: one next hop, several with weights, or a blackhole. */
export interface NextHopObjectDraft {
  readonly id: number;
  /** A group with an IPv4 member is IPv4. */
  readonly family: Family;
  readonly nexthops: readonly NextHop[];
  readonly blackhole: boolean;
  readonly group: boolean;
  readonly span: Span;
}

export interface NetDraft {
  readonly name: string;
  readonly index: number;
  readonly kernel: KernelProfile;
  /** Filled by addDevice alone. */
  readonly devices: DeviceDraft[];
  readonly devicesByName: Map<string, DeviceDraft>;
  readonly devicesByIndex: Map<number, DeviceDraft>;
  readonly fib: Fib;
  readonly rules: { readonly 4: RuleDraft[]; readonly 6: RuleDraft[] };
  readonly tableNames: Map<TableId, string>;
  readonly nexthops: Map<number, NextHopObjectDraft>;
  /** Where the text first defines each nexthop id, above or below the line at hand. */
  readonly nexthopSpans: Map<number, Span>;
  /** By device and address. */
  readonly neighbours: Map<string, Neighbour>;
  readonly sysctl: Mutable<NetSysctl>;
  netfilter: Netfilter;
}

/** Kernel defaults of the per-namespace sysctls. */
const defaultSysctl = (): Mutable<NetSysctl> => ({
  fibMultipathHashPolicy: 0,
  fibMultipathHashPolicy6: 0,
  ipv6Forwarding: false,
  tcpL3mdevAccept: false,
  udpL3mdevAccept: false,
  rawL3mdevAccept: true,
  vrfStrictMode: false,
  ipDefaultTtl: 64,
  icmpEchoIgnoreAll: false,
  icmpEchoIgnoreBroadcasts: true,
  icmpErrorsUseInboundIfaddr: false,
  ipForwardUsePmtu: false,
});

export function createNet(name: string, index: number, kernel: KernelProfile): NetDraft {
  return {
    name,
    index,
    kernel,
    devices: [],
    devicesByName: new Map(),
    devicesByIndex: new Map(),
    fib: new Fib(),
    rules: { 4: [], 6: [] },
    tableNames: new Map([
      [RT_TABLE_LOCAL, "local"],
      [RT_TABLE_MAIN, "main"],
      [RT_TABLE_DEFAULT, "default"],
    ]),
    nexthops: new Map(),
    nexthopSpans: new Map(),
    neighbours: new Map(),
    sysctl: defaultSysctl(),
    netfilter: EMPTY_NETFILTER,
  };
}

/** Names and ifindexes are the device's for good. */
export function addDevice(net: NetDraft, device: DeviceDraft): void {
  net.devices.push(device);
  net.devicesByName.set(device.name, device);
  net.devicesByIndex.set(device.ifindex, device);
}
export const deviceByName = (net: NetDraft, name: string): DeviceDraft | undefined => net.devicesByName.get(name);
export const deviceByIndex = (net: NetDraft, ifindex: number): DeviceDraft | undefined =>
  net.devicesByIndex.get(ifindex);

/** Kernel: `l3mdev_master_ifindex_rcu`: a VRF device is its own master; 0 outside a VRF. */
export const l3mdevMaster = (device: DeviceDraft): IfIndex => (device.kind === "vrf" ? device.ifindex : device.master);

/** Kernel: `l3mdev_fib_table`: the VRF's table of a slave or of the VRF device itself; 0 outside a VRF. */
export function l3mdevTable(net: NetDraft, device: DeviceDraft): TableId | 0 {
  if (device.kind === "vrf") return device.table;
  return device.master === 0 ? 0 : (deviceByIndex(net, device.master)?.table ?? 0);
}

/** Kernel: `netif_carrier_ok`: a veth has a carrier when its other end is up; an end outside the text always has one. */
export function hasCarrier(nets: readonly NetDraft[], device: DeviceDraft): boolean {
  if (device.kind !== "veth" || device.peer === null) return true;
  return deviceByIndex(nets[device.peer.net], device.peer.ifindex)?.up ?? false;
}

export const kernelOrigin = (what: string, span?: Span): Origin => ({
  ...(span ? { span } : {}),
  kernel: `kernel: ${what}`,
});

/** The unspecified address of a family: "none" where a source address is meant. */
export const noAddress = (family: Family): Ip => (family === 4 ? 0 : 0n);
