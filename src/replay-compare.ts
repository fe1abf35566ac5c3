/**
 * Holds answers to scenarios against the kernel's. What may differ without counting:
 *
 *   - which next hop of one multipath group was picked: the kernel's hash has a random key; so too with which one the list of
 *     an IPv6 group begins, which `fibmatch` shows from the picked one round
 *   - in packets that the router wrote itself (its own address as source): the IPv4 identification and with it the header
 *     checksum, and the IPv6 flow label
 *   - in ICMP timestamp replies, the time of day and with it the checksum; likewise in IP timestamp options, the last one written, of an answer the last two
 *   - the order of frames on different ports
 *   - what listener reports of the kernel's own count, in all counters of a network by the same reports
 *   - hooks of neighbour discovery, MLD and router discovery
 */

import { IPOPT_END, IPOPT_NOOP, IPOPT_TIMESTAMP, TimestampFlag } from "../runtime/host/options.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, EtherType } from "../runtime/net/ethernet.ts";
import { IcmpType, IcmpView } from "../runtime/net/icmp.ts";
import { formatIp, parseIp, readIpv4, readIpv6 } from "../runtime/net/ip.ts";
import { IPV4_HEADER_BYTES, IpProtocol, Ipv4View } from "../runtime/net/ipv4.ts";
import { readU16 } from "../runtime/net/wire.ts";
import { reportsBetween } from "./replay-counters.ts";
import type { Answer, Frame, FrameAnswer, HookAnswer, PingAnswer, Query, RouteAnswer, Scenario } from "./scenario.ts";

export interface Difference {
  /** e.g. "hooks of pings". */
  readonly kind: string;
  readonly scenario: string;
  /** The question. */
  readonly asked: unknown;
  readonly expected: unknown;
  readonly got: unknown;
}

export interface Comparison {
  /** Per kind of question, in alphabetical order. */
  readonly counts: readonly { readonly kind: string; readonly same: number; readonly total: number }[];
  readonly differences: readonly Difference[];
  /** Counters among the same ones that are so only together with `reports` listener reports of the kernel's own (replay-counters.ts). */
  readonly withReports: number;
  readonly reports: number;
}

/** @param answers in the order of `scenarios`; those without `expect` are not compared */
export function compareAnswers(scenarios: readonly Scenario[], answers: readonly Answer[]): Comparison {
  const tally = new Tally();
  scenarios.forEach((scenario, i) => {
    const { expect } = scenario;
    if (expect === undefined) return;
    const got: Answer = answers[i] ?? {};
    const groups = multipathGroups(scenario);
    const own = ownAddresses(scenario);
    for (const [k, query] of (scenario.queries ?? []).entries())
      if (expect.answers?.[k] !== undefined)
        compareRoute(tally, scenario, query, expect.answers[k], got.answers?.[k], groups);
    for (const [k, frame] of (scenario.frames ?? []).entries())
      if (expect.outputs?.[k] !== undefined)
        compareFrame(tally, scenario, frame, expect.outputs[k], got.outputs?.[k], groups, answererOf(frame, own));
    compareCounters(tally, scenario, expect, got);
    for (const [k, exchange] of (scenario.sockets ?? []).entries()) {
      const [expected, came] = [expect.sockets?.[k], got.sockets?.[k]];
      if (expected !== undefined)
        tally.count(equal(expected, came), {
          kind: "sockets",
          scenario: scenario.name,
          asked: exchange,
          expected,
          got: came?.unsupported ?? came,
        });
    }
    for (const [k, want] of (expect.pings ?? []).entries()) comparePing(tally, scenario, want, got.pings?.[k]);
  });
  return tally;
}

/** `pings: 20 of 20`, one line a kind. */
export const countLines = ({ counts, withReports, reports }: Comparison): string[] =>
  counts.map(({ kind, same, total }) => {
    const line = `${kind}: ${same} of ${total}`;
    if (kind !== "counters" || withReports === 0) return line;
    return `${line} (${same - withReports} equal, ${withReports} equal with ${reports} multicast listener reports of the kernel's own)`;
  });

class Tally implements Comparison {
  readonly differences: Difference[] = [];
  withReports = 0;
  reports = 0;
  readonly #counts = new Map<string, { same: number; total: number }>();

  /** @param byReports it is the same only with the listener reports that the kernel sent */
  count(same: boolean, difference: Difference, byReports = false): void {
    const { kind } = difference;
    const count = this.#counts.get(kind) ?? { same: 0, total: 0 };
    this.#counts.set(kind, count);
    count.total++;
    if (same) count.same++;
    else this.differences.push(difference);
    if (same && byReports) this.withReports++;
  }

  get counts(): { kind: string; same: number; total: number }[] {
    return [...this.#counts].map(([kind, count]) => ({ kind, ...count })).sort((a, b) => (a.kind < b.kind ? -1 : 1));
  }
}

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function comparePing(tally: Tally, { name: scenario }: Scenario, want: PingAnswer, got: PingAnswer | undefined): void {
  const asked = want.cmd;
  tally.count(got?.rc === want.rc, {
    kind: "pings",
    scenario,
    asked,
    expected: want.rc,
    got: got?.unsupported ?? got?.rc,
  });
  const [expected, walked] = [walk(want.hooks), walk(got?.hooks)];
  tally.count(equal(expected, walked), {
    kind: "hooks of pings",
    scenario,
    asked,
    expected,
    got: got?.unsupported ?? walked,
  });
}

/** Neighbour discovery, MLD and router discovery, which a kernel starts on its own. */
const CHATTER = new Set([130, 131, 132, 133, 134, 135, 136, 143]);
const isChatter = (hook: HookAnswer): boolean => hook.proto === "ICMPv6" && CHATTER.has(hook.icmp_type ?? 0);

function walk(hooks: readonly HookAnswer[] | undefined): unknown[] {
  const address = (text: string | null) => {
    const ip = text === null ? null : parseIp(text);
    return ip === null ? text : formatIp(ip);
  };
  return (hooks ?? [])
    .filter((hook) => !isChatter(hook))
    .map((h) => [
      h.ns,
      h.hook,
      h.iif ?? null,
      h.oif ?? null,
      address(h.saddr),
      address(h.daddr),
      h.proto,
      h.icmp_type ?? null,
      h.ttl ?? null,
    ]);
}

/** "gateway dev" of a next hop -> all of its group. */
type Groups = ReadonlyMap<string, ReadonlySet<string>>;
const hopKey = (gateway: string | undefined, device: string | undefined): string => `${gateway} ${device}`;

function multipathGroups({ setup = [] }: Scenario): Groups {
  const groups = new Map<string, Set<string>>();
  const objects = new Map<string, string>();
  for (const command of setup) {
    const object = command.match(/nexthop (?:add|replace) id (\d+) via (\S+) dev (\S+)/);
    if (object !== null) objects.set(object[1], hopKey(object[2], object[3]));
    const members = command.match(/nexthop (?:add|replace) id \d+ group (\S+)/)?.[1].split("/") ?? [];
    const hops = [...command.matchAll(/nexthop via (\S+) dev (\S+)/g)].map(([, via, dev]) => hopKey(via, dev));
    hops.push(...members.map((member) => objects.get(member.split(",")[0]) ?? ""));
    for (const hop of hops) groups.set(hop, new Set([...(groups.get(hop) ?? []), ...hops]));
  }
  return groups;
}

function compareRoute(
  tally: Tally,
  { name: scenario }: Scenario,
  asked: Query,
  expected: RouteAnswer,
  got: RouteAnswer | undefined,
  groups: Groups,
): void {
  const isIpv6 = asked.dst.includes(":");
  const kind = isIpv6 ? "routes v6" : "routes v4";
  tally.count(got !== undefined && sameRoute(expected, got, groups, isIpv6), { kind, scenario, asked, expected, got });
}

function sameRoute(want: RouteAnswer, got: RouteAnswer, groups: Groups, isIpv6: boolean): boolean {
  if (got.unsupported !== undefined) return false;
  if (want.error !== undefined || got.error !== undefined) return want.error === got.error;
  for (const key of ["type", "table", "dst", "priority"] as const)
    if (want[key] !== undefined && !equal(want[key], got[key])) return false;
  if (want.nexthops !== undefined && !sameHops(want.nexthops, got.nexthops ?? [], isIpv6)) return false;
  if (want.any !== undefined)
    return want.any.some((hop) => got.dev === hop.dev && (got.gateway === undefined || got.gateway === hop.gateway));
  const [wanted, hop] = [hopKey(want.gateway, want.dev), hopKey(got.gateway, got.dev)];
  if (wanted !== hop) return groups.get(wanted)?.has(hop) ?? false;
  return want.prefsrc === got.prefsrc;
}

/** IPv4 lists next hops as they were given; the siblings of IPv6 are a ring (rt6_fill_node). */
function sameHops(want: readonly unknown[], got: readonly unknown[], isIpv6: boolean): boolean {
  if (!isIpv6) return equal(want, got);
  return equal(want, got) || got.some((_, i) => equal(want, [...got.slice(i), ...got.slice(0, i)]));
}

/** Addresses that the set-up gives to the router, canonical. */
function ownAddresses({ setup = [] }: Scenario): ReadonlySet<string> {
  const texts = setup.flatMap((command) =>
    [...command.matchAll(/addr add (?:dev \S+ )?([0-9a-f.:]+)\/\d+/g)].map(([, address]) => address),
  );
  return new Set(texts.map((text) => parseIp(text)).flatMap((ip) => (ip === null ? [] : [formatIp(ip)])));
}

function compareFrame(
  tally: Tally,
  { name: scenario }: Scenario,
  asked: Frame,
  want: FrameAnswer,
  got: FrameAnswer | undefined,
  groups: Groups,
  own: ReadonlySet<string>,
): void {
  if (want.refused !== undefined) return;
  const [expected, sent] = [maskedFrames(want, own), maskedFrames(got, own)];
  const payloads = (frames: readonly string[][]) => frames.map(([, hex]) => hex.slice(24));
  const otherHop = groups.size > 0 && equal(payloads(expected), payloads(sent));
  const same = got?.frames !== undefined && (equal(expected, sent) || otherHop);
  tally.count(same, { kind: "frames", scenario, asked, expected, got: got?.unsupported ?? sent });
  const [hooks, passed] = [walk(want.hooks), walk(got?.hooks)];
  const sameHooks = got?.hooks !== undefined && equal(hooks, passed);
  tally.count(sameHooks, {
    kind: "hooks of frames",
    scenario,
    asked,
    expected: hooks,
    got: got?.unsupported ?? passed,
  });
}

/** With the address that a frame was sent to: a local route can make any an own one. */
function answererOf({ hex }: Frame, own: ReadonlySet<string>): ReadonlySet<string> {
  const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
  const { type } = new EthernetView(bytes);
  if (type === EtherType.IPV6 && bytes.length >= 54) return new Set([...own, formatIp(readIpv6(bytes, 38))]);
  if (type === EtherType.IPV4 && bytes.length >= 34) return new Set([...own, formatIp(readIpv4(bytes, 30))]);
  return own;
}

/** [port, hex], sorted, without what the router may choose freely. */
const maskedFrames = (answer: FrameAnswer | undefined, own: ReadonlySet<string>): string[][] =>
  (answer?.frames ?? [])
    .map(({ port, hex }) => [port, maskFrame(hex, own)])
    .sort(([portA, hexA], [portB, hexB]) => (portA < portB || (portA === portB && hexA < hexB) ? -1 : 1));

function maskFrame(hex: string, own: ReadonlySet<string>): string {
  const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
  const { type } = new EthernetView(bytes);
  const isOwn = type === EtherType.IPV4 && bytes.length >= 34 && own.has(formatIp(readIpv4(bytes, 26)));
  if (isOwn) {
    bytes.fill(0, 18, 20);
    bytes.fill(0, 24, 26);
    maskTimestampReply(new Ipv4View(bytes.subarray(ETHERNET_HEADER_BYTES)));
  }
  if (type === EtherType.IPV4) maskTimestampOption(bytes, isOwn ? 2 : 1);
  const linkLocal = readU16(bytes, 22) === 0xfe80;
  if (type === EtherType.IPV6 && bytes.length >= 54 && (linkLocal || own.has(formatIp(readIpv6(bytes, 22))))) {
    bytes[15] &= 0xf0;
    bytes.fill(0, 16, 18);
  }
  return Buffer.from(bytes).toString("hex");
}

/**
 * The times last written to a timestamp option: they stand before the pointer, which is 5 while there is none.
 * @param written so many, at the most: an answer has the time at which the question came and its own
 */
function maskTimestampOption(frame: Uint8Array, written: number): void {
  const { headerLength } = new Ipv4View(frame.subarray(ETHERNET_HEADER_BYTES));
  const end = Math.min(ETHERNET_HEADER_BYTES + headerLength, frame.length);
  for (let at = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES; at < end && frame[at] !== IPOPT_END; ) {
    const length = frame[at] === IPOPT_NOOP ? 1 : frame[at + 1];
    if (frame[at] === IPOPT_TIMESTAMP && frame[at + 2] > 5) {
      const entry = (frame[at + 3] & 0xf) === TimestampFlag.TIME ? 4 : 8;
      for (let end = frame[at + 2]; end > 5 && end > frame[at + 2] - written * entry; end -= entry)
        frame.fill(0, at + end - 5, at + end - 1);
      frame.fill(0, 24, 26);
    }
    at += Math.max(1, length);
  }
}

function maskTimestampReply({ protocol, fragmentOffset, payload }: Ipv4View): void {
  if (protocol !== IpProtocol.ICMP || fragmentOffset !== 0 || new IcmpView(payload).type !== IcmpType.TIMESTAMP_REPLY)
    return;
  payload.fill(0, 2, 4);
  payload.fill(0, 12, 20);
}

function compareCounters(tally: Tally, { name: scenario }: Scenario, want: Answer, got: Answer): void {
  if (want.counters === undefined) return;
  const reports = reportsBetween(want.counters, got.counters ?? {}, got.reports ?? []);
  const unanswered =
    got.counters === undefined ? got.outputs?.find(({ unsupported }) => unsupported)?.unsupported : undefined;
  for (const [namespace, counters] of Object.entries(want.counters))
    counters.forEach((expected, k) => {
      const counted = got.counters?.[namespace]?.[k];
      const asked = `${namespace} counter ${k}`;
      const isEqual = equal(expected, counted);
      tally.count(
        isEqual || reports !== null,
        { kind: "counters", scenario, asked, expected, got: unanswered ?? counted },
        !isEqual,
      );
    });
  tally.reports += reports ?? 0;
}
