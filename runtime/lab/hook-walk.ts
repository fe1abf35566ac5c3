/**
 * The netfilter hooks that packets passed, in order, over all namespaces: read from the traces, each step paired with what
 * the packet's header says at that moment (the TTL after ip_forward is one less; a local packet's source is the chosen one).
 */
import { type Hook, NETFILTER_HOOKS } from "../hooks.ts";
import type { NetConfig } from "../host/config.ts";
import type { LabEvent, PacketEvent } from "../host/events.ts";
import { ETHERNET_HEADER_BYTES } from "../net/ethernet.ts";
import { IcmpType, IcmpView } from "../net/icmp.ts";
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

/**
 * ARP has hooks of its own and is never among these. A redirect is sent while its cause is being forwarded: the redirect's
 * hooks stand where the cause's trace has its icmp_send.
 */
export function hookWalk(events: readonly LabEvent[], nets: readonly NetConfig[]): HookRecord[] {
  const records: HookRecord[] = [];
  let held: HookRecord[] = [];
  for (const event of events) {
    if (event.kind !== "packet") continue;
    const { hooks, redirectAt } = packetHooks(event, nets[event.net]);
    const answersCause = held.length > 0 && isRedirect(event);
    records.push(...(answersCause ? hooks : held), ...(answersCause ? held : hooks.slice(0, redirectAt)));
    held = answersCause ? [] : hooks.slice(redirectAt);
  }
  return [...records, ...held];
}

const isRedirect = ({ entry, before }: PacketEvent): boolean =>
  entry === Entry.OUTPUT && icmpTypeOf(new Ipv4View(before)) === IcmpType.REDIRECT;

const icmpTypeOf = (ip: Ipv4View): number | null =>
  ip.protocol === IpProtocol.ICMP && ip.fragmentOffset === 0 && ip.payload.length > 0
    ? new IcmpView(ip.payload).type
    : null;

const netfilterHooks: ReadonlySet<Hook> = new Set(NETFILTER_HOOKS);

/** `redirectAt`: how many of the hooks were passed before a redirect was sent; all, when none was. */
function packetHooks(event: PacketEvent, net: NetConfig): { hooks: HookRecord[]; redirectAt: number } {
  const ip = new Ipv4View(event.entry === Entry.RECEIVE ? event.before.subarray(ETHERNET_HEADER_BYTES) : event.before);
  const name = (ifindex: number) =>
    ifindex === 0 ? null : (net.devices.find((d) => d.ifindex === ifindex)?.name ?? `if${ifindex}`);
  const icmpType = icmpTypeOf(ip);
  const hooks: HookRecord[] = [];
  let redirectAt: number | null = null;
  let { ttl } = ip;
  let source: Ip = ip.source;
  for (const step of event.trace) {
    if (step.step === "ip_forward") ttl = step.ttl - 1;
    if (step.step === "icmp_send" && step.type === IcmpType.REDIRECT) redirectAt ??= hooks.length;
    if (step.step === "route" && source === 0 && event.entry === Entry.OUTPUT) source = step.source;
    if (step.step !== "hook" || !netfilterHooks.has(step.hook)) continue;
    hooks.push({
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
  return { hooks, redirectAt: redirectAt ?? hooks.length };
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
