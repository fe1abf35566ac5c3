/**
 * The netfilter hooks that packets passed, in order, over all namespaces: read from the traces, each step paired with what
 * the packet's header says at that moment (the TTL after ip_forward is one less; a local packet's source is the chosen one).
 */
import { type Hook, NETFILTER_HOOKS } from "../hooks.ts";
import type { NetConfig } from "../host/config.ts";
import type { LabEvent, PacketEvent } from "../host/events.ts";
import { EthernetView, withoutPriorityTags } from "../net/ethernet.ts";
import { ICMP_HEADER_BYTES, IcmpType, IcmpView } from "../net/icmp.ts";
import { ICMP6_HEADER_BYTES, Icmp6Type } from "../net/icmp6.ts";
import { formatIp, type Ip } from "../net/ip.ts";
import { IpProtocol, Ipv4View } from "../net/ipv4.ts";
import {
  extensionHeaderBytes,
  FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  Ipv6View,
  isExtensionHeader,
  NextHeader,
} from "../net/ipv6.ts";
import { readU16 } from "../net/wire.ts";
import type { TraceStep } from "../trace.ts";
import { Entry } from "../verdict.ts";

/** As the kernel's `log` statement tells it; `iif`, `oif` null where the hook has no such device. */
export interface HookRecord {
  readonly ns: string;
  readonly hook: Hook;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly saddr: string;
  readonly daddr: string;
  /** "ICMP", "TCP", "UDP", ... or the number in decimal; null where the log says nothing: IPv6's ESP, an extension header to it. */
  readonly proto: string | null;
  readonly ttl: number;
  readonly icmp_type?: number;
}

/**
 * ARP has hooks of its own; those of neighbour discovery and of multicast listener discovery are left out likewise. A redirect is
 * sent while its cause is being forwarded: the redirect's hooks stand where the cause's trace has its icmp_send.
 */
export function hookWalk(events: readonly LabEvent[], nets: readonly NetConfig[]): HookRecord[] {
  const records: HookRecord[] = [];
  let held: HookRecord[] = [];
  let cause: string | null = null;
  for (const event of events) {
    if (event.kind !== "packet") continue;
    const packet = logged(event);
    if (isLinkChatter(packet)) continue;
    const { hooks, redirectAt } = packetHooks(event, packet, nets[event.net]);
    const answersCause = held.length > 0 && isRedirect(event, packet);
    // Copies that a device's chains have made stand behind their packet, and before what the host then sends.
    if (hooks.length === 0 && !answersCause) continue;
    if (answersCause) {
      const { sent, received } = ownRedirect(hooks, packet.family === 6 ? cause : null);
      records.push(...sent, ...held, ...received);
    } else records.push(...held, ...hooks.slice(0, redirectAt));
    held = answersCause ? [] : hooks.slice(redirectAt);
    cause = deviceName(nets[event.net], event.device);
  }
  return [...records, ...held];
}

/**
 * A redirect to this host itself: what comes back in is queued, and so waits for its cause. One of IPv6 is made for the link that its
 * cause came in by, whatever device its route then leaves by, and POSTROUTING shows that link.
 */
function ownRedirect(hooks: readonly HookRecord[], link: string | null): Record<"sent" | "received", HookRecord[]> {
  const back = hooks.findIndex(({ hook }) => hook === "prerouting");
  const at = back < 0 ? hooks.length : back;
  const sent = hooks.slice(0, at).map((h) => (link !== null && h.hook === "postrouting" ? { ...h, iif: link } : h));
  return { sent, received: hooks.slice(at) };
}

const deviceName = (net: NetConfig, ifindex: number): string | null =>
  ifindex === 0 ? null : (net.devices.find((d) => d.ifindex === ifindex)?.name ?? `if${ifindex}`);

/** What the kernel's log tells of a packet. */
interface Logged {
  readonly family: 4 | 6;
  readonly source: Ip;
  readonly destination: Ip;
  /** Null: the log does not come to it. */
  readonly protocol: number | null;
  readonly ttl: number;
  /** Null: not ICMP, or not to be seen. */
  readonly icmpType: number | null;
}

function logged({ entry, before }: PacketEvent): Logged {
  const bytes = entry === Entry.RECEIVE ? new EthernetView(withoutPriorityTags(before)).payload : before;
  const isIpv6 = bytes.length > 0 && bytes[0] >>> 4 === 6;
  return isIpv6 ? logged6(entry === Entry.RECEIVE ? trimmed6(bytes) : bytes) : logged4(bytes);
}

/** ip6_rcv_core cuts off what stands behind the packet. */
function trimmed6(bytes: Uint8Array): Uint8Array {
  if (bytes.length < IPV6_HEADER_BYTES) return bytes;
  const { payloadLength, nextHeader } = new Ipv6View(bytes);
  const isJumbo = payloadLength === 0 && nextHeader === NextHeader.HOP;
  return isJumbo ? bytes : bytes.subarray(0, IPV6_HEADER_BYTES + payloadLength);
}

function logged4(bytes: Uint8Array): Logged {
  const { source, destination, protocol, ttl, fragmentOffset, payload } = new Ipv4View(bytes);
  const hasType = protocol === IpProtocol.ICMP && fragmentOffset === 0 && payload.length >= ICMP_HEADER_BYTES;
  const icmpType = hasType ? new IcmpView(payload).type : null;
  // dump_ipv4_packet names the protocol of a later fragment, but not AH.
  const isNamed = protocol !== IpProtocol.AH || fragmentOffset === 0;
  return { family: 4, source, destination, protocol: isNamed ? protocol : null, ttl, icmpType };
}

/** dump_ipv6_packet. */
function logged6(bytes: Uint8Array): Logged {
  const { source, destination, hopLimit: ttl } = new Ipv6View(bytes);
  const upper = loggedUpper6(bytes);
  const hasType =
    upper?.protocol === IpProtocol.ICMPV6 && !upper.isLater && bytes.length >= upper.offset + ICMP6_HEADER_BYTES;
  const icmpType = hasType ? bytes[upper.offset] : null;
  return { family: 6, source, destination, protocol: upper?.protocol ?? null, ttl, icmpType };
}

interface LoggedUpper6 {
  readonly protocol: number;
  readonly offset: number;
  /** Of a fragment that is not the first. */
  readonly isLater: boolean;
}

/**
 * The protocol behind the extension headers, also where a later fragment says it; null: the log stops before, at ESP, at a header
 * that is cut short, and at options or a routing header behind a later fragment's.
 */
function loggedUpper6(bytes: Uint8Array): LoggedUpper6 | null {
  let [protocol, offset, isLater] = [new Ipv6View(bytes).nextHeader, IPV6_HEADER_BYTES, false];
  while (protocol !== NextHeader.NONE && (isExtensionHeader(protocol) || protocol === IpProtocol.ESP)) {
    const isFragment = protocol === NextHeader.FRAGMENT;
    if (bytes.length < offset + (isFragment ? FRAGMENT_HEADER_BYTES : 2) || protocol === IpProtocol.ESP) return null;
    if (isFragment) isLater ||= readU16(bytes, offset + 2) >>> 3 !== 0;
    else if (isLater && protocol !== NextHeader.AUTH) return null;
    const next = bytes[offset];
    offset += isFragment ? FRAGMENT_HEADER_BYTES : extensionHeaderBytes(bytes, offset, protocol);
    protocol = next;
  }
  return { protocol, offset, isLater };
}

/** Neighbour and router discovery (but redirects), and multicast listener discovery: what hosts say among themselves unasked. */
export const CHATTER_TYPES: ReadonlySet<number> = new Set([
  Icmp6Type.MGM_QUERY,
  Icmp6Type.MGM_REPORT,
  Icmp6Type.MGM_REDUCTION,
  Icmp6Type.ROUTER_SOLICITATION,
  Icmp6Type.ROUTER_ADVERTISEMENT,
  Icmp6Type.NEIGHBOUR_SOLICITATION,
  Icmp6Type.NEIGHBOUR_ADVERTISEMENT,
  Icmp6Type.MLD2_REPORT,
]);
const isLinkChatter = ({ family, icmpType }: Logged): boolean =>
  family === 6 && icmpType !== null && CHATTER_TYPES.has(icmpType);

const isRedirect = ({ entry }: PacketEvent, { family, icmpType }: Logged): boolean =>
  family === 6
    ? entry === Entry.NDISC && icmpType === Icmp6Type.REDIRECT
    : entry === Entry.OUTPUT && icmpType === IcmpType.REDIRECT;

const netfilterHooks: ReadonlySet<Hook> = new Set(NETFILTER_HOOKS);

/** `redirectAt`: how many of the hooks were passed before a redirect was sent; all, when none was. */
function packetHooks(event: PacketEvent, packet: Logged, net: NetConfig): { hooks: HookRecord[]; redirectAt: number } {
  const name = (ifindex: number) => deviceName(net, ifindex);
  const hooks: HookRecord[] = [];
  let redirectAt: number | null = null;
  let { ttl, source } = packet;
  for (const step of event.trace) {
    if (step.step === "ip_forward") ttl = step.ttl - 1;
    if (step.step === "ip6_forward") ttl = step.hopLimit - 1;
    if (isRedirectStep(step)) redirectAt ??= hooks.length;
    if (step.step === "route" && (source === 0 || source === 0n) && event.entry === Entry.OUTPUT) source = step.source;
    if (step.step !== "hook" || !netfilterHooks.has(step.hook)) continue;
    hooks.push({
      ns: net.name,
      hook: step.hook,
      iif: name(step.in),
      oif: name(step.out),
      saddr: formatIp(source),
      daddr: formatIp(packet.destination),
      proto: packet.protocol === null ? null : protocolName(packet.protocol),
      ttl,
      ...(packet.icmpType === null ? {} : { icmp_type: packet.icmpType }),
    });
  }
  return { hooks, redirectAt: redirectAt ?? hooks.length };
}

const isRedirectStep = (step: TraceStep): boolean =>
  (step.step === "icmp_send" && step.type === IcmpType.REDIRECT) ||
  (step.step === "icmpv6_send" && step.type === Icmp6Type.REDIRECT);

/** As nf_log_ipv4 and nf_log_ipv6 print protocols. */
const protocolNames: Readonly<Record<number, string>> = {
  [IpProtocol.ICMP]: "ICMP",
  [IpProtocol.ICMPV6]: "ICMPv6",
  [IpProtocol.TCP]: "TCP",
  [IpProtocol.UDP]: "UDP",
  [IpProtocol.UDPLITE]: "UDPLITE",
  [IpProtocol.AH]: "AH",
  [IpProtocol.ESP]: "ESP",
};
const protocolName = (protocol: number): string => protocolNames[protocol] ?? `${protocol}`;
