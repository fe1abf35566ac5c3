/**
 * What the tests of the reference share: a policy as text, one packet in, and what became of it as text.
 *
 *   const host = hostOf(`vrf red { table 100 } ...`)
 *   host.receive("eth0", { from: "10.0.0.7", to: "10.0.1.7" }).story     "PREROUTING in=eth0 | l3mdev eth0>red | ..."
 */
import { checkText, type Model, type Net } from "../../dsl/index.ts";
import { deviceNamed } from "../../dsl/model.ts";
import type { PacketBatch } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { icmpMessage } from "../../runtime/net/icmp.ts";
import { formatIp, formatPrefix, parseIp, readIpv4, readIpv6 } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import type { Flow, Trace, TraceStep } from "../../runtime/trace.ts";
import { DropReason, Entry, Errno, nameOf, Verdict } from "../../runtime/verdict.ts";
import { referenceEngine } from "../../src/reference/engine.ts";

/** The sender's link-layer address in frames that tests make. */
export const PEER_MAC = 0x0200000000aa;

export interface PacketWords {
  readonly from: string;
  readonly to: string;
  readonly ttl?: number;
  readonly tos?: number;
  readonly protocol?: number;
  readonly dontFragment?: boolean;
  readonly mark?: number;
  readonly uid?: number;
  /** PacketFlag bits. */
  readonly flags?: number;
  /** What stands behind the IP header; an echo request by default. */
  readonly payload?: Uint8Array;
  /** Link-layer destination; the device's own by default. */
  readonly mac?: number;
}

export interface Outcome {
  readonly verdict: string;
  /** DropReason, or `type/code` of an ICMP error, or an errno: whatever the verdict has. */
  readonly why: string;
  /** The steps but for look-ups and the hooks of devices. */
  readonly story: string;
  /** Every step. */
  readonly steps: string;
  readonly trace: Trace;
  readonly batch: PacketBatch;
  /** `length` bytes from `data`. */
  readonly packet: Uint8Array;
}

export interface Host {
  readonly net: Net;
  readonly engine: Engine;
  receive(device: string, packet: PacketWords): Outcome;
  /** @param frame as it came off the wire */
  receiveFrame(device: string, frame: Uint8Array, mark?: number): Outcome;
  /** @param device bound to it; "": to none */
  output(device: string, packet: PacketWords): Outcome;
  lookup(device: string, packet: PacketWords): Outcome;
  /** @param device the one that the broadcast or multicast was sent by */
  loopBack(device: string, packet: PacketWords): Outcome;
  /** The route of a packet that the device received. */
  routeInput(device: string, packet: PacketWords): Outcome;
  /** What neighbour discovery sends by the device. */
  neighbourDiscovery(device: string, packet: PacketWords): Outcome;
}

/** The namespace `host` of a policy, or the one named. */
export function hostOf(policy: string, name = "host"): Host {
  const model = modelOf(policy);
  const net = model.nets.find((n) => n.name === name)!;
  return hostOn(net, referenceEngine(net, model.kernel));
}

export function modelOf(policy: string): Model {
  const { model, diagnostics } = checkText(policy);
  if (model === null) throw new Error(diagnostics.map((d) => d.message).join("\n"));
  return model;
}

/** A namespace on any engine. */
export function hostOn(net: Net, engine: Engine): Host {
  const run = (entry: Entry, device: string, bytes: Uint8Array, words: Partial<PacketWords>): Outcome => {
    const batch = engine.createBatch(1);
    const index = device === "" ? 0 : deviceNamed(net, device)!.ifindex;
    const { mark = 0, uid = 0, flags = 0 } = words;
    batch.put(bytes, { entry, device: index, mark, uid, flags });
    const [trace] = engine.trace(batch);
    return outcome(net, batch, trace);
  };
  const receiveFrame = (device: string, frame: Uint8Array, mark = 0) => run(Entry.RECEIVE, device, frame, { mark });
  return {
    net,
    engine,
    receiveFrame,
    receive: (device, words) => receiveFrame(device, frameOf(words, deviceNamed(net, device)!.mac), words.mark),
    output: (device, words) => run(Entry.OUTPUT, device, ipPacketOf(words), words),
    lookup: (device, words) => run(Entry.LOOKUP, device, ipPacketOf(words), words),
    loopBack: (device, words) => run(Entry.LOOPBACK, device, ipPacketOf(words), words),
    routeInput: (device, words) => run(Entry.ROUTE_INPUT, device, ipPacketOf(words), words),
    neighbourDiscovery: (device, words) => run(Entry.NDISC, device, ipPacketOf(words), words),
  };
}

const echo = icmpMessage({ type: 8, code: 0, rest: 0x12340001, data: new Uint8Array(56) });

const echo6 = icmpMessage({ type: 128, code: 0, rest: 0x12340001, data: new Uint8Array(56) });

/** ICMPv6's checksum is not the engine's business. */
function ipv6PacketOf({ from, to, ttl = 64, tos = 0, protocol = 58, payload = echo6 }: PacketWords): Uint8Array {
  const [source, destination] = [parseIp(from) as bigint, parseIp(to) as bigint];
  return ipv6Packet(
    { trafficClass: tos, flowLabel: 0, nextHeader: protocol, hopLimit: ttl, source, destination },
    payload,
  );
}

export function ipPacketOf(words: PacketWords): Uint8Array {
  if (words.to.includes(":")) return ipv6PacketOf(words);
  const address = (text: string) => parseIp(text) as number;
  const { ttl = 64, tos = 0, protocol = 1, dontFragment = false, payload = echo } = words;
  const [source, destination] = [address(words.from), address(words.to)];
  return ipv4Packet({ tos, identification: 7, dontFragment, ttl, protocol, source, destination }, payload);
}

export const frameOf = (words: PacketWords, mac: number): Uint8Array =>
  ethernetFrame(
    {
      destination: words.mac ?? mac,
      source: PEER_MAC,
      type: words.to.includes(":") ? EtherType.IPV6 : EtherType.IPV4,
    },
    ipPacketOf(words),
  );

function outcome(net: Net, batch: PacketBatch, trace: Trace): Outcome {
  const value = (column: "verdict" | "reason" | "error") => batch.column(column)[0];
  const verdict = nameOf(Verdict, value("verdict"));
  const error = value("error");
  const why =
    verdict === "DROP"
      ? nameOf(DropReason, value("reason"))
      : verdict === "SEND_ERROR"
        ? nameOf(Errno, error)
        : error === 0
          ? ""
          : `${error >>> 8}/${error & 255}`;
  const steps = trace.map((step) => stepText(net, step)).join(" | ");
  const story = trace
    .filter(isStory)
    .map((step) => stepText(net, step))
    .join(" | ");
  return { verdict, why, story, steps, trace, batch, packet: batch.packet(0) };
}

const LOOKUP_STEPS = ["lookup", "rule", "fib", "suppress", "result"];
const isStory = (step: TraceStep): boolean =>
  !LOOKUP_STEPS.includes(step.step) && !(step.step === "hook" && (step.hook === "xdp" || step.hook.includes(" ")));

/** The look-ups of a trace alone. */
export const lookups = (net: Net, trace: Trace): string =>
  trace
    .filter((step) => LOOKUP_STEPS.includes(step.step))
    .map((step) => stepText(net, step))
    .join(" | ");

/** The address that column `nextHop` or `source` points at. */
export function addressAt(batch: PacketBatch, column: "nextHop" | "source", ipv6 = false): string {
  const at = batch.column(column)[0];
  return formatIp(ipv6 ? readIpv6(batch.bytes, at) : readIpv4(batch.bytes, at));
}

/** One step in a few words; devices, tables and routes by name. */
function stepText(net: Net, step: TraceStep): string {
  const dev = (ifindex: number) => net.devices.find((d) => d.ifindex === ifindex)?.name ?? `${ifindex}`;
  const route = (id: number) => formatPrefix(net.routes[id].prefix);
  const errno = (error: number) => nameOf(Errno, error);
  switch (step.step) {
    case "hook": {
      const ends = [step.in === 0 ? "" : ` in=${dev(step.in)}`, step.out === 0 ? "" : ` out=${dev(step.out)}`].join("");
      return step.hook === "xdp" || step.hook.includes(" ")
        ? `${step.hook} ${dev(step.in || step.out)}`
        : `${step.hook.toUpperCase()}${ends}`;
    }
    case "vrf_l3_rcv":
      return `l3mdev ${dev(step.device)}>${dev(step.vrf)}`;
    case "vrf_l3_out":
      return `vrf_l3_out ${dev(step.device)}>${dev(step.vrf)} ${step.direct ? "direct" : "redirect"}`;
    case "vrf_xmit":
    case "vrf_local_xmit":
      return `${step.step} ${dev(step.vrf)}`;
    case "lookup":
      return `lookup ${step.kind} ${flowText(step.flow, dev)}`;
    case "rule":
      return `rule ${net.rules[step.rule].pref}${step.matched ? "" : ` fails ${step.failed ?? "inverted"}`}`;
    case "nft_chain":
      return `chain ${net.netfilter.chains[step.chain].name}`;
    case "nft_rule": {
      const target = step.target === null ? "" : ` ${net.netfilter.chains[step.target].name}`;
      return `${net.netfilter.chains[step.chain].name}[${step.rule}] ${step.decision}${target}`;
    }
    case "nft_policy":
      return `policy ${step.policy}`;
    case "nft_log":
      return `log ${net.netfilter.chains[step.chain].name}[${step.rule}].${step.at}`;
    case "link":
      return `link ${step.link}`;
    case "nf_send_reset":
      return step.step;
    case "nft_reject_netdev":
      return `${step.step} ${step.error >>> 8}/${step.error & 0xff}`;
    case "program":
      return `program ${net.netfilter.programs[step.program].name} ${step.hook} ${dev(step.device)}`;
    case "program_rule": {
      const redirect = step.decision === "REDIRECT" && step.target !== null ? ` ${dev(step.target)}` : "";
      const target = step.target === null || redirect !== "" ? redirect : ` ${net.netfilter.chains[step.target].name}`;
      return `${net.netfilter.programs[step.program].name}[${step.rule}] ${step.decision}${target}`;
    }
    case "program_log":
      return `log ${net.netfilter.programs[step.program].name}[${step.rule}].${step.at}`;
    case "program_end":
      return `${net.netfilter.programs[step.program].name} ${step.decision}`;
    case "fib":
      return `fib ${step.table} ${[step.route === null ? "" : route(step.route), step.error === 0 ? "" : errno(step.error)].join(" ").trim()}`;
    case "suppress":
      return `suppress ${route(step.route)}`;
    case "result":
      return `result ${step.error === 0 ? route(step.route!) : errno(step.error)}`;
    case "route":
      return `route ${step.gateway === null ? "" : `via ${formatIp(step.gateway)} `}dev ${dev(step.device)} src ${formatIp(step.source)}`;
    case "fib_validate_source":
      return `rpf ${dev(step.device)} ${step.error === 0 ? "ok" : errno(step.error)}`;
    case "ip_forward":
      return `ip_forward ttl ${step.ttl}`;
    case "ip_local_deliver":
      return `local ${dev(step.device)}${step.sdif === 0 ? "" : ` sdif ${dev(step.sdif)}`}`;
    case "neighbour":
      return `neighbour ${formatIp(step.nextHop)} ${dev(step.device)}${step.resolved ? "" : " unresolved"}`;
    case "transmit":
      return `transmit ${dev(step.device)}`;
    case "icmp_send":
      return `icmp_send ${step.type}/${step.code}`;
    case "send_error":
      return `send_error ${errno(step.error)}`;
    case "drop":
      return `drop ${nameOf(DropReason, step.reason)}`;
    case "ip6_forward":
      return `ip6_forward hop limit ${step.hopLimit}`;
    case "ip6_input":
      return `ip6_input ${dev(step.device)}${step.sdif === 0 ? "" : ` sdif ${dev(step.sdif)}`}`;
    case "icmpv6_send":
      return `icmpv6_send ${step.type}/${step.code}`;
    case "ip6_fragment":
    case "ip_fragment":
      return `${step.step} ${dev(step.device)} mtu ${step.mtu}`;
  }
}

function flowText(flow: Flow, dev: (ifindex: number) => string): string {
  const words = [`${formatIp(flow.saddr)}>${formatIp(flow.daddr)}`];
  for (const key of ["iif", "oif", "l3mdev"] as const) if (flow[key] !== 0) words.push(`${key}=${dev(flow[key])}`);
  for (const key of ["mark", "tos", "protocol", "sport", "dport", "uid"] as const)
    if (flow[key] !== 0) words.push(`${key}=${flow[key]}`);
  return words.join(" ");
}
