/**
 * Trace records (abi/trace.ts) -> the steps that every engine gives. The trace build of a program writes one run of records for a
 * batch; a `packet` record starts each packet's. An XDP program's run stands before that of the IP layer: a frame that it lets
 * pass has a `packet` record in both, and `hook xdp` in both.
 */
import { TRACE_WORD_BYTES, TraceEvent, traceArgsOf, traceEventOf } from "./abi/trace.ts";
import { type IfIndex, ifIndex, type RouteId, type RuleId, routeId, ruleId, tableId } from "./brand.ts";
import { HOOKS, type ProgramHook } from "./hooks.ts";
import type { Ip } from "./net/ip.ts";
import { LOOKUPS, type ProgramDecision, RULE_DECISIONS, SELECTORS, type Trace, type TraceStep } from "./trace.ts";
import type { DropReason, Errno } from "./verdict.ts";

/**
 * @param records the trace region from its start to `traceCursor`
 * @param packets of the batch
 * @returns the steps of each packet
 */
export function decodeTraces(records: DataView, packets: number): Trace[] {
  const traces = Array.from({ length: packets }, (): TraceStep[] => []);
  let current: TraceStep[] = [];
  for (let at = 0; at < records.byteLength; ) {
    const header = records.getUint32(at, true);
    const words = Array.from({ length: traceArgsOf(header) }, (_, i) =>
      records.getUint32(at + (1 + i) * TRACE_WORD_BYTES, true),
    );
    const event = traceEventOf(header) as TraceEvent;
    if (event === TraceEvent.packet) current = traces[words[0]];
    else {
      const step = decodeStep(event, words);
      if (!(isXdpHook(step) && passedXdp(current))) current.push(step);
    }
    at += (1 + words.length) * TRACE_WORD_BYTES;
  }
  return traces;
}

const isXdpHook = (step: TraceStep): boolean => step.step === "hook" && step.hook === "xdp";

/** Its last step so far is an XDP program's PASS; none but they end with it. */
function passedXdp(steps: readonly TraceStep[]): boolean {
  const last = steps.at(-1);
  return last?.step === "program_end" && last.decision === "PASS";
}

/** The words of a record, one field after the other. */
class Fields {
  readonly #words: readonly number[];
  #next = 0;

  constructor(words: readonly number[]) {
    this.#words = words;
  }

  number(): number {
    return this.#words[this.#next++];
  }

  device(): IfIndex {
    return ifIndex(this.number());
  }

  flag(): boolean {
    return this.number() !== 0;
  }

  errno(): Errno | 0 {
    return this.number() as Errno | 0;
  }

  rule(): RuleId {
    return ruleId(this.number());
  }

  numberOrNull(): number | null {
    const plusOne = this.number();
    return plusOne === 0 ? null : plusOne - 1;
  }

  ruleOrNull(): RuleId | null {
    const rule = this.numberOrNull();
    return rule === null ? null : ruleId(rule);
  }

  routeOrNull(): RouteId | null {
    const route = this.numberOrNull();
    return route === null ? null : routeId(route);
  }

  /** Five words: family and four of the address. */
  address(): Ip | null {
    const [family, ...words] = [0, 1, 2, 3, 4].map(() => this.number());
    if (family === 0) return null;
    return family === 4 ? words[0] : ipv6(words);
  }

  /** Four words. */
  address6(): Ip {
    return ipv6([0, 1, 2, 3].map(() => this.number()));
  }
}

const ipv6 = (words: readonly number[]): Ip => words.reduce((value, word) => (value << 32n) | BigInt(word), 0n);

type StepEvent = Exclude<TraceEvent, typeof TraceEvent.packet>;

function decodeStep(event: StepEvent, words: readonly number[]): TraceStep {
  const f = new Fields(words);
  switch (event) {
    case TraceEvent.hook:
      return { step: "hook", hook: HOOKS[f.number()], in: f.device(), out: f.device() };
    case TraceEvent.vrf_l3_rcv:
      return { step: "vrf_l3_rcv", device: f.device(), vrf: f.device() };
    case TraceEvent.vrf_l3_out:
      return { step: "vrf_l3_out", device: f.device(), vrf: f.device(), direct: f.flag() };
    case TraceEvent.vrf_xmit:
      return { step: "vrf_xmit", vrf: f.device() };
    case TraceEvent.vrf_local_xmit:
      return { step: "vrf_local_xmit", vrf: f.device() };
    case TraceEvent.lookup:
      return decodeLookup(f, () => f.number());
    case TraceEvent.lookup6:
      return decodeLookup(f, () => f.address6());
    case TraceEvent.rule:
      return { step: "rule", rule: f.rule(), matched: f.flag(), failed: SELECTORS[f.number() - 1] ?? null };
    case TraceEvent.fib:
      return { step: "fib", table: tableId(f.number()), route: f.routeOrNull(), error: f.errno() };
    case TraceEvent.suppress:
      return { step: "suppress", rule: f.rule(), route: routeId(f.number()) };
    case TraceEvent.result:
      return { step: "result", rule: f.ruleOrNull(), route: f.routeOrNull(), error: f.errno() };
    case TraceEvent.route:
      return { step: "route", device: f.device(), gateway: f.address(), source: f.number() };
    case TraceEvent.route6:
      return { step: "route", device: f.device(), gateway: f.address(), source: f.address6() };
    case TraceEvent.fib_validate_source:
      return { step: "fib_validate_source", device: f.device(), error: f.errno() };
    case TraceEvent.ip_forward:
      return { step: "ip_forward", ttl: f.number() };
    case TraceEvent.ip_local_deliver:
      return { step: "ip_local_deliver", device: f.device(), sdif: f.device() };
    case TraceEvent.neighbour:
      return { step: "neighbour", device: f.device(), nextHop: f.address()!, resolved: f.flag() };
    case TraceEvent.transmit:
      return { step: "transmit", device: f.device() };
    case TraceEvent.icmp_send:
      return { step: "icmp_send", type: f.number(), code: f.number() };
    case TraceEvent.send_error:
      return { step: "send_error", error: f.number() as Errno };
    case TraceEvent.drop:
      return { step: "drop", reason: f.number() as DropReason };
    case TraceEvent.ip_fragment:
      return { step: "ip_fragment", device: f.device(), mtu: f.number() };
    case TraceEvent.ip6_input:
      return { step: "ip6_input", device: f.device(), sdif: f.device() };
    case TraceEvent.ip6_forward:
      return { step: "ip6_forward", hopLimit: f.number() };
    case TraceEvent.icmpv6_send:
      return { step: "icmpv6_send", type: f.number(), code: f.number() };
    case TraceEvent.ip6_fragment:
      return { step: "ip6_fragment", device: f.device(), mtu: f.number() };
    case TraceEvent.nft_chain:
      return { step: "nft_chain", chain: f.number() };
    case TraceEvent.nft_rule:
      return {
        step: "nft_rule",
        chain: f.number(),
        rule: f.number(),
        decision: RULE_DECISIONS[f.number()],
        target: f.numberOrNull(),
      };
    case TraceEvent.nft_policy:
      return { step: "nft_policy", chain: f.number(), policy: RULE_DECISIONS[f.number()] as "accept" | "drop" };
    case TraceEvent.nft_log:
      return { step: "nft_log", chain: f.number(), rule: f.number(), at: f.number() };
    case TraceEvent.nf_send_reset:
      return { step: "nf_send_reset" };
    case TraceEvent.nft_reject_netdev:
      return { step: "nft_reject_netdev", error: f.number() };
    case TraceEvent.program:
      return { step: "program", hook: HOOKS[f.number()] as ProgramHook, device: f.device(), program: f.number() };
    case TraceEvent.program_rule:
      return {
        step: "program_rule",
        program: f.number(),
        rule: f.number(),
        decision: RULE_DECISIONS[f.number()],
        target: f.numberOrNull(),
      };
    case TraceEvent.program_log:
      return { step: "program_log", program: f.number(), rule: f.number(), at: f.number() };
    case TraceEvent.link:
      return { step: "link", link: f.number() };
    case TraceEvent.program_end:
      return { step: "program_end", program: f.number(), decision: RULE_DECISIONS[f.number()] as ProgramDecision };
    default:
      return event satisfies never;
  }
}

const decodeLookup = (f: Fields, address: () => Ip): TraceStep => ({
  step: "lookup",
  kind: LOOKUPS[f.number()],
  flow: {
    iif: f.device(),
    oif: f.device(),
    l3mdev: f.device(),
    saddr: address(),
    daddr: address(),
    mark: f.number(),
    tos: f.number(),
    protocol: f.number(),
    sport: f.number(),
    dport: f.number(),
    uid: f.number(),
  },
});
