/**
 * Frames of a scenario: each is sent out of a port of the root namespace, so arrives at the other end of that wire; the
 * answer is what then comes out of every port, and the netfilter hooks passed on the way. Address resolution does not count.
 */
import { type Device, deviceNamed, type Model } from "../dsl/model.ts";
import { type LabEvent, SECOND } from "../runtime/host/events.ts";
import { CHATTER_TYPES, hookWalk } from "../runtime/lab/hook-walk.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { foldChecksum, pseudoHeaderSum } from "../runtime/net/checksum.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, EtherType, VLAN_TAG_BYTES } from "../runtime/net/ethernet.ts";
import type { Ip } from "../runtime/net/ip.ts";
import { IpProtocol, Ipv4View } from "../runtime/net/ipv4.ts";
import { IPV6_HEADER_BYTES, Ipv6View, skipExtensionHeaders } from "../runtime/net/ipv6.ts";
import { writeU16 } from "../runtime/net/wire.ts";
import { Entry, Verdict } from "../runtime/verdict.ts";
import { ROOT } from "./import/state.ts";
import type { Frame, FrameAnswer, Scenario } from "./scenario.ts";

/** @param at when the frame is sent, in microseconds since the lab began; sooner than the one before is done with: then */
export function answerFrame(lab: Lab, model: Model, frame: Frame, scenario: Scenario, at: number): FrameAnswer {
  const root = model.nets[lab.netNamed(ROOT)];
  const port = deviceNamed(root, frame.port);
  const peer = port?.peer ?? null;
  if (port === undefined || peer === null) return { unsupported: `${frame.port} is no wire of the root namespace` };
  const bytes = fromHex(frame.hex);
  if (bytes === null) return { unsupported: "a frame that is not hexadecimal" };
  lab.idle(Math.max(0, at - lab.now) / SECOND);
  if (bytes.length > mostBytes(port, bytes)) return { refused: "EMSGSIZE" };
  const events = [...lab.inject(peer.net, peer.ifindex, bytes), ...lab.idle(scenario.wait ?? 0)];
  const logged = new Set(scenario.hooks_in ?? []);
  const ports = new Set(scenario.ports ?? []);
  const hooks = hookWalk(events, lab.nets)
    .map((hook) => ({ ...hook, ns: hook.ns === ROOT ? "." : hook.ns }))
    .filter((hook) => logged.has(hook.ns));
  const frames = events.flatMap((event) => arrival(event, root.index, lab, ports));
  return { frames: frames.map((sent) => withPartialChecksum(sent, events)), hooks };
}

/** packet_snd: a whole packet behind the Ethernet header; behind an 802.1Q tag too (packet_extra_vlan_len_allowed). */
const mostBytes = ({ mtu }: Device, frame: Uint8Array): number =>
  mtu + ETHERNET_HEADER_BYTES + (new EthernetView(frame).type === EtherType.VLAN ? VLAN_TAG_BYTES : 0);

/** A frame that arrived at a port of the root namespace. */
function arrival(event: LabEvent, root: number, lab: Lab, ports: ReadonlySet<string>): Frame[] {
  if (event.kind !== "frame" || event.arp || event.to?.net !== root || isLinkChatter(event.frame)) return [];
  const { device } = event.to;
  const port = lab.nets[root].devices.find((d) => d.ifindex === device)?.name;
  return port !== undefined && ports.has(port) ? [{ port, hex: Buffer.from(event.frame).toString("hex") }] : [];
}

/**
 * Some TCP segments that a host sends of itself leave their checksum to the device (CHECKSUM_PARTIAL), and a veth to whoever reads it: what
 * listens on the wire sees the sum of the pseudo header alone. Over IPv6 those of sockets (__tcp_v6_send_check), over IPv4 the resets of
 * netfilter (nf_reject_ip_tcphdr_put).
 */
function withPartialChecksum({ port, hex }: Frame, events: readonly LabEvent[]): Frame {
  const frame = Uint8Array.from(Buffer.from(hex, "hex"));
  const { payload } = new EthernetView(frame);
  const ip = segmentIn(frame);
  const rejected = events.some((event) => event.kind === "packet" && RESETS.has(event.verdict));
  const isPartial =
    ip !== null && ip.protocol === IpProtocol.TCP && rejected === (ip.headerBytes !== IPV6_HEADER_BYTES);
  if (!isPartial || !wasSentHere(ip, events)) return { port, hex };
  const sum = pseudoHeaderSum(ip.source, ip.destination, IpProtocol.TCP, ip.segment.length);
  writeU16(payload, ip.headerBytes + TCP_CHECKSUM, ~foldChecksum(sum));
  return { port, hex: Buffer.from(frame).toString("hex") };
}

/** Of segments, and of frames, that chains reject. */
const RESETS: ReadonlySet<number> = new Set([Verdict.TCP_RESET, Verdict.REJECT_FRAME]);
const TCP_CHECKSUM = 16;

interface Segment {
  readonly source: Ip;
  readonly destination: Ip;
  readonly protocol: number;
  readonly headerBytes: number;
  /** What stands behind the IP header. */
  readonly segment: Uint8Array;
}

function segmentIn(frame: Uint8Array): Segment | null {
  const { type, payload } = new EthernetView(frame);
  return type === EtherType.IPV4 || type === EtherType.IPV6 ? segmentOf(payload) : null;
}

function segmentOf(packet: Uint8Array): Segment | null {
  if (packet[0] >>> 4 === 6) {
    const { source, destination, nextHeader, payload } = new Ipv6View(packet);
    return { source, destination, protocol: nextHeader, headerBytes: IPV6_HEADER_BYTES, segment: payload };
  }
  const ip = new Ipv4View(packet);
  if (ip.check() !== null) return null;
  const { source, destination, protocol, headerLength, payload } = ip;
  return { source, destination, protocol, headerBytes: headerLength, segment: payload };
}

const wasSentHere = ({ source, destination, segment }: Segment, events: readonly LabEvent[]): boolean =>
  events.some((event) => {
    if (event.kind !== "packet" || event.entry === Entry.RECEIVE) return false;
    const sent = event.entry === Entry.XMIT ? segmentIn(event.before) : segmentOf(event.before);
    const sameEnds = sent !== null && sent.source === source && sent.destination === destination;
    return sameEnds && Buffer.compare(sent.segment, segment) === 0;
  });

/** IPv6's address resolution, and what else a host says unasked. */
function isLinkChatter(frame: Uint8Array): boolean {
  const { type, payload } = new EthernetView(frame);
  const upper = type === EtherType.IPV6 ? skipExtensionHeaders(payload) : null;
  return upper?.protocol === IpProtocol.ICMPV6 && CHATTER_TYPES.has(payload[upper.offset]);
}

const fromHex = (hex: string): Uint8Array | null =>
  /^(?:[0-9a-f]{2})*$/i.test(hex) ? new Uint8Array(Buffer.from(hex, "hex")) : null;
