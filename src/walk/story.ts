/**
 * Everything that happened to one ping, namespace by namespace: each packet's walk under a heading that says where it
 * was and what it was, and the frames of address resolution between them as one line each.
 */
import { deviceName } from "../../dsl/iproute2.ts";
import type { Net } from "../../dsl/model.ts";
import type { Source } from "../../dsl/span.ts";
import type { LabEvent, PacketEvent } from "../../runtime/host/events.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import type { Painter } from "../cli/colour.ts";
import { renderWalk } from "./render.ts";
import { type WalkStep, walk } from "./walk.ts";

export type Chapter =
  | {
      readonly kind: "packet";
      readonly namespace: string;
      readonly where: string;
      readonly packet: string;
      /** Only looked up, for connect(). */
      readonly probe: boolean;
      readonly steps: readonly WalkStep[];
    }
  | { readonly kind: "arp"; readonly namespace: string; readonly device: string; readonly frame: string };

/** IP frames on wires are left out: the next packet's heading says the same. ARP is told by its frames alone. */
export function story(events: readonly LabEvent[], nets: readonly Net[], source: Source): Chapter[] {
  return events.flatMap((event): Chapter[] => {
    const net = nets[event.net];
    if (event.kind === "frame")
      return event.arp
        ? [{ kind: "arp", namespace: net.name, device: deviceName(net, event.device), frame: event.description }]
        : [];
    if (event.verdict === Verdict.PASS) return [];
    const steps = walk(event.trace, net, source);
    return [
      {
        kind: "packet",
        namespace: net.name,
        where: where(event, net),
        packet: event.description,
        probe: event.entry === Entry.LOOKUP,
        steps,
      },
    ];
  });
}

function where(event: PacketEvent, net: Net): string {
  const device = event.device === 0 ? "" : deviceName(net, event.device);
  switch (event.entry) {
    case Entry.RECEIVE:
      return `received by ${device}`;
    case Entry.OUTPUT:
      return device === "" ? "sent by a local socket" : `sent by a local socket bound to ${device}`;
    case Entry.LOOKUP:
      return device === ""
        ? "connect() looks up the route"
        : `connect() of a socket bound to ${device} looks up the route`;
    case Entry.NEIGHBOUR:
      return `goes on: the neighbour on ${device} is known now`;
    case Entry.LOOPBACK:
      return `a copy comes back by ${device}`;
    case Entry.LOCAL_IN:
      return `put together from fragments, as if received by ${device}`;
    case Entry.XMIT:
      return `a frame of this host leaves by ${device}`;
    default:
      return "";
  }
}

export function renderStory(chapters: readonly Chapter[], paint: Painter): string {
  return chapters.map((chapter) => renderChapter(chapter, paint)).join("");
}

function renderChapter(chapter: Chapter, paint: Painter): string {
  const place = paint.accent(chapter.namespace);
  if (chapter.kind === "arp") return `  ${place}: ${paint.faint(`${chapter.frame}, out of ${chapter.device}`)}\n`;
  const route = chapter.probe ? chapter.steps.find((step) => step.step === "route") : undefined;
  // The same look-up follows for the packet itself; one that fails is told in full.
  if (route !== undefined) return `  ${place}: ${paint.faint(`${chapter.where}: ${route.detail}`)}\n`;
  return `  ${place}: ${chapter.packet} -- ${chapter.where}\n${renderWalk(chapter.steps, paint)}`;
}
