/** The rules of chains that a packet met, as lines below the chain: the rule's own text, what it decided, and where it stands. */
import type { Net } from "../../dsl/model.ts";
import type { Source } from "../../dsl/span.ts";
import type { Trace, TraceStep } from "../../runtime/trace.ts";
import { originOf, type WalkLine } from "./line.ts";

type ChainStep = Extract<TraceStep, { step: "nft_rule" | "nft_policy" | "nft_log" }>;

/** Index of the last step that belongs to the chain that begins, or goes on, at `start`. */
export function endOfChain(trace: Trace, start: number): number {
  let end = start;
  while (end + 1 < trace.length && isChainStep(trace[end + 1])) end++;
  return end;
}

export const isChainStep = (step: TraceStep): step is ChainStep =>
  step.step === "nft_rule" || step.step === "nft_policy" || step.step === "nft_log";

export const chainLines = (steps: Trace, net: Net, source: Source): WalkLine[] =>
  steps.filter(isChainStep).map((step) => chainLine(step, net, source));

function chainLine(step: ChainStep, net: Net, source: Source): WalkLine {
  const chain = net.netfilter.chains[step.chain];
  const line = { kind: "chain rule", id: step.chain } as const;
  if (step.step === "nft_policy")
    return {
      ...line,
      text: `policy ${step.policy}`,
      outcome: "found",
      why: "",
      origin: originOf(chain.origin, source),
    };
  const { origin, steps } = chain.rules[step.rule];
  const text =
    origin.span === undefined ? `rule ${step.rule}` : oneLine(source.text.slice(origin.span.start, origin.span.end));
  const where = { ...line, text, origin: originOf(origin, source) };
  if (step.step === "nft_log") {
    const log = steps[step.at];
    return { ...where, outcome: "found", why: `logs "${log.kind === "log" ? log.prefix : ""}"` };
  }
  const target = step.target === null ? "" : ` ${net.netfilter.chains[step.target].name}`;
  return { ...where, outcome: "matched", why: `${step.decision}${target}` };
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
