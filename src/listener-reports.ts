/**
 * Multicast listener reports (RFC 3810; net/ipv6/mcast.c) that a kernel sends by itself when a device comes up or joins a group, at times that
 * its random numbers choose. A recording does not say when they were, but its chains count them; so a replay says what each would count.
 *
 *   a device comes up, an address, forwarding is set
 *     -> igmp6_group_added -> mld_ifc_event     a report after two jiffies, one more 0..1 s later: what has changed
 *     -> ipv6_mc_dad_complete                   a report at once, one more 0..1 s later: all groups
 *
 *   +-------------+----------------------+------------------------+------------------------------------+
 *   | IPv6, hop   | hop-by-hop: router   | ICMPv6 143, number of  | records of 20 bytes: a group each, |
 *   | limit 1     | alert, PadN          | records                | CHANGE_TO_EXCLUDE                  |
 *   +-------------+----------------------+------------------------+------------------------------------+
 *
 * They leave as neighbour discovery does (mld_sendpack: NF_INET_LOCAL_OUT of the device itself, not of its VRF).
 */
import type { Device, Model, Net } from "../dsl/model.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { Icmp6Type, icmp6Message } from "../runtime/net/icmp6.ts";
import { type Ipv6, network, writeIpv6 } from "../runtime/net/ip.ts";
import { IpProtocol } from "../runtime/net/ipv4.ts";
import { ipv6Packet, isLinkLocal6, NextHeader, solicitedNode } from "../runtime/net/ipv6.ts";
import type { Counters, CounterValue, ReportEffect } from "./scenario.ts";

/** Two of all groups (mc_dad_count), and two of changes after each of two bursts of joins, the addresses' and forwarding's (mc_ifc_count). */
export const REPORTS_OF_A_DEVICE = 6;

/** ff02::16, all MLDv2-capable routers. */
const MLD2_ROUTERS: Ipv6 = (0xff02n << 112n) | 0x16n;
const LINK_ROUTERS: Ipv6 = (0xff02n << 112n) | 2n;
const SITE_ROUTERS: Ipv6 = (0xff05n << 112n) | 2n;
const ROUTER_ALERT = Uint8Array.of(IpProtocol.ICMPV6, 0, 5, 2, 0, 0, 1, 0);
const RECORD_BYTES = 20;
const CHANGE_TO_EXCLUDE = 4;
const PAGE_BYTES = 4096;
/** LL_RESERVED_SPACE of an Ethernet device. */
const LINK_HEADER_ROOM = 16;
const CACHE_LINE = 64;
/** sizeof(struct skb_shared_info) on 64 bits, aligned. */
const SHARED_INFO_BYTES = 320;
/** Seconds between two, so that rates of rules are as before. */
const REST = 60;

/**
 * Sends every report that could be, one at a time, each with any number of the device's groups.
 * @param read the counters of the namespaces that count
 * @returns those that are counted anywhere
 */
export function reportEffects(lab: Lab, model: Model, read: () => Counters): ReportEffect[] {
  return model.nets.flatMap((net) =>
    net.devices
      .filter((device) => isMulticastLink(model, device))
      .flatMap((device) =>
        groupsOf(net, device).map((_, i, groups) => effectOf(lab, net, device, groups.slice(0, i + 1), read)),
      )
      .filter(({ counted }) => Object.values(counted).some((list) => list.some(([packets]) => packets > 0))),
  );
}

function effectOf(lab: Lab, net: Net, device: Device, groups: readonly Ipv6[], read: () => Counters): ReportEffect {
  lab.idle(REST);
  const before = read();
  lab.hosts[net.index].sendNdisc(listenerReport(sourceOf(device), groups), device.ifindex, markOf(device.mtu));
  lab.idle(1);
  const counted = Object.entries(read()).map(([name, values]) => [
    name,
    values.map((value, k) => minus(value, before[name][k])),
  ]);
  return { device: `${net.name} ${device.name}`, records: groups.length, counted: Object.fromEntries(counted) };
}

const minus = (a: CounterValue, b: CounterValue): CounterValue => [a[0] - b[0], a[1] - b[1]];

/** A wire with a carrier: lo, VRF and dummy devices have no IFF_MULTICAST. */
function isMulticastLink(model: Model, { up, peer, conf }: Device): boolean {
  const other =
    peer === null ? undefined : model.nets[peer.net].devices.find(({ ifindex }) => ifindex === peer.ifindex);
  return up && other?.up === true && !conf.disableIpv6;
}

/** The groups that are reported, each once: all nodes and those of the interface alone are not (MAF_NOREPORT). */
function groupsOf(net: Net, { ifindex, addresses, conf }: Device): Ipv6[] {
  const own = addresses.flatMap(({ prefix: { address } }) =>
    typeof address === "bigint" ? [solicitedNode(address)] : [],
  );
  const anycast = net.routes.flatMap(({ type, prefix: { address }, nexthops }) =>
    type === "anycast" && typeof address === "bigint" && nexthops[0]?.device === ifindex
      ? [solicitedNode(address)]
      : [],
  );
  // The link-local prefix has a subnet-router anycast address too.
  const routers = conf.forwarding6
    ? [LINK_ROUTERS, SITE_ROUTERS, solicitedNode(network(sourceOf({ addresses }), 64) as Ipv6)]
    : [];
  return [...new Set([...routers, ...anycast, ...own])];
}

/** The device's link-local address; the unspecified one as long as it has none. */
const sourceOf = ({ addresses }: Pick<Device, "addresses">): Ipv6 =>
  addresses.map(({ prefix }) => prefix.address).find((ip): ip is Ipv6 => typeof ip === "bigint" && isLinkLocal6(ip)) ??
  0n;

/**
 * mld_newpack sets skb->reserved_tailroom, which shares its place with skb->mark and is there still when the hooks are passed: what is
 * left of the buffer behind the header's room and one MTU (skb_tailroom_reserve; alloc_skb of a buffer that kmalloc rounds up).
 */
function markOf(mtu: number): number {
  const asked = Math.min(mtu, PAGE_BYTES / 2) + LINK_HEADER_ROOM;
  const buffer = 2 ** Math.ceil(Math.log2(Math.ceil(asked / CACHE_LINE) * CACHE_LINE + SHARED_INFO_BYTES));
  return Math.max(0, buffer - SHARED_INFO_BYTES - LINK_HEADER_ROOM - mtu);
}

function listenerReport(source: Ipv6, groups: readonly Ipv6[]): Uint8Array {
  const data = new Uint8Array(groups.length * RECORD_BYTES);
  groups.forEach((group, i) => {
    data[i * RECORD_BYTES] = CHANGE_TO_EXCLUDE;
    writeIpv6(data, i * RECORD_BYTES + 4, group);
  });
  const report = icmp6Message(
    { type: Icmp6Type.MLD2_REPORT, code: 0, rest: groups.length, data },
    source,
    MLD2_ROUTERS,
  );
  const header = {
    trafficClass: 0,
    flowLabel: 0,
    nextHeader: NextHeader.HOP,
    hopLimit: 1,
    source,
    destination: MLD2_ROUTERS,
  };
  return ipv6Packet(header, Uint8Array.of(...ROUTER_ALERT, ...report));
}
