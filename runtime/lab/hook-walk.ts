/**
 * The netfilter hooks that packets passed, in order, over all namespaces: read from the traces, each step paired with what
 * the packet's header says at that moment (the TTL after ip_forward is one less; a local packet's source is the chosen one).
 */
import { type Hook, NETFILTER_HOOKS } from "../hooks.ts";
import type { NetConfig } from "../host/config.ts";
import type { LabEvent, PacketEvent } from "../host/events.ts";
import { ETHERNET_HEADER_BYTES } from "../net/ethernet.ts";
import { IcmpView } from "../net/icmp.ts";
import { formatIp, type Ip } from "../net/ip.ts";
import { IpProtocol, Ipv4View } from "../net/ipv4.ts";
import { Entry } from "../verdict.ts";

/** As the kernel's `log` statement tells it; `iif`, `oif` null where the hook has no such device. */
export interface HookRecord {
  readonly ns: string;
  readonly hook: Hook;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly saddr: string;
  readonly daddr: string;
  /** "ICMP", "TCP", "UDP", ... or the number in decimal. */
  readonly proto: string;
  readonly ttl: number;
  readonly icmp_type?: number;
}

/** ARP has hooks of its own and is never among these. */
export function hookWalk(events: readonly LabEvent[], nets: readonly NetConfig[]): HookRecord[] {
  return events.flatMap((event) => (event.kind === "packet" ? packetHooks(event, nets[event.net]) : []));
}

const netfilterHooks: ReadonlySet<Hook> = new Set(NETFILTER_HOOKS);

function packetHooks(event: PacketEvent, net: NetConfig): HookRecord[] {
  const ip = new Ipv4View(event.entry === Entry.RECEIVE ? event.before.subarray(ETHERNET_HEADER_BYTES) : event.before);
  const name = (ifindex: number) =>
    ifindex === 0 ? null : (net.devices.find((d) => d.ifindex === ifindex)?.name ?? `if${ifindex}`);
  const icmpType =
    ip.protocol === IpProtocol.ICMP && ip.fragmentOffset === 0 && ip.payload.length > 0
      ? new IcmpView(ip.payload).type
      : null;
  const records: HookRecord[] = [];
  let { ttl } = ip;
  let source: Ip = ip.source;
  for (const step of event.trace) {
    if (step.step === "ip_forward") ttl = step.ttl - 1;
    if (step.step === "route" && source === 0 && event.entry === Entry.OUTPUT) source = step.source;
    if (step.step !== "hook" || !netfilterHooks.has(step.hook)) continue;
    records.push({
      ns: net.name,
      hook: step.hook,
      iif: name(step.in),
      oif: name(step.out),
      saddr: formatIp(source),
      daddr: formatIp(ip.destination),
      proto: protocolName(ip.protocol),
      ttl,
      ...(icmpType === null ? {} : { icmp_type: icmpType }),
    });
  }
  return records;
}

/** As nf_log_ipv4 prints protocols. */
const protocolNames: Readonly<Record<number, string>> = {
  [IpProtocol.ICMP]: "ICMP",
  [IpProtocol.TCP]: "TCP",
  [IpProtocol.UDP]: "UDP",
  [IpProtocol.UDPLITE]: "UDPLITE",
  [IpProtocol.AH]: "AH",
  [IpProtocol.ESP]: "ESP",
};
const protocolName = (protocol: number): string => protocolNames[protocol] ?? `${protocol}`;
