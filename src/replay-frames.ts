/**
 * Frames of a scenario: each is sent out of a port of the root namespace, so arrives at the other end of that wire; the
 * answer is what then comes out of every port, and the netfilter hooks passed on the way. Address resolution does not count.
 */
import { deviceNamed, type Model } from "../dsl/model.ts";
import { type LabEvent, SECOND } from "../runtime/host/events.ts";
import { CHATTER_TYPES, hookWalk } from "../runtime/lab/hook-walk.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { EthernetView, EtherType } from "../runtime/net/ethernet.ts";
import { IpProtocol } from "../runtime/net/ipv4.ts";
import { skipExtensionHeaders } from "../runtime/net/ipv6.ts";
import { ANSWERS_IPV6, type EngineKind } from "./engines.ts";
import { ROOT } from "./import/state.ts";
import type { Frame, FrameAnswer, Scenario } from "./scenario.ts";

/** Seconds that a recording listens for what a frame brings about; `Lab.inject` lets as much time pass. */
const LISTENING = 0.02;
/**
 * Seconds that a recording spends on its own work between two frames, where it does not say when each was sent; only the rate
 * limits of ICMP errors feel them. Estimated from such recordings (test/KNOWN-DIFFERENCES.md says what it decides).
 */
const BETWEEN_FRAMES = 0.0025;

/** @param at when the frame is sent, in microseconds since the lab began; undefined: when the one before is done with */
export function answerFrame(
  lab: Lab,
  model: Model,
  kind: EngineKind,
  frame: Frame,
  scenario: Scenario,
  at?: number,
): FrameAnswer {
  const root = model.nets[lab.netNamed(ROOT)];
  const peer = deviceNamed(root, frame.port)?.peer ?? null;
  if (peer === null) return { unsupported: `${frame.port} is no wire of the root namespace` };
  const bytes = fromHex(frame.hex);
  if (bytes === null) return { unsupported: "a frame that is not hexadecimal" };
  const unsupported = new EthernetView(bytes).type === EtherType.IPV6 && !ANSWERS_IPV6[kind];
  if (at === undefined) lab.idle(BETWEEN_FRAMES + (unsupported ? LISTENING : 0));
  else lab.idle(Math.max(0, at - lab.now) / SECOND);
  if (unsupported) return { unsupported: "IPv6 frames" };
  const events = lab.inject(peer.net, peer.ifindex, bytes);
  const logged = new Set(scenario.hooks_in ?? []);
  const ports = new Set(scenario.ports ?? []);
  const hooks = hookWalk(events, lab.nets)
    .map((hook) => ({ ...hook, ns: hook.ns === ROOT ? "." : hook.ns }))
    .filter((hook) => logged.has(hook.ns));
  return { frames: events.flatMap((event) => arrival(event, root.index, lab, ports)), hooks };
}

/** A frame that arrived at a port of the root namespace. */
function arrival(event: LabEvent, root: number, lab: Lab, ports: ReadonlySet<string>): Frame[] {
  if (event.kind !== "frame" || event.arp || event.to?.net !== root || isLinkChatter(event.frame)) return [];
  const { device } = event.to;
  const port = lab.nets[root].devices.find((d) => d.ifindex === device)?.name;
  return port !== undefined && ports.has(port) ? [{ port, hex: Buffer.from(event.frame).toString("hex") }] : [];
}

/** IPv6's address resolution, and what else a host says unasked. */
function isLinkChatter(frame: Uint8Array): boolean {
  const { type, payload } = new EthernetView(frame);
  const upper = type === EtherType.IPV6 ? skipExtensionHeaders(payload) : null;
  return upper?.protocol === IpProtocol.ICMPV6 && CHATTER_TYPES.has(payload[upper.offset]);
}

const fromHex = (hex: string): Uint8Array | null =>
  /^(?:[0-9a-f]{2})*$/i.test(hex) ? new Uint8Array(Buffer.from(hex, "hex")) : null;
