/**
 * The rules of chains and programs that a packet met, as lines below the chain or program: the rule's own text, what it decided,
 * and where it stands. Chains that a program leads to are told with it.
 */
import { deviceName } from "../../dsl/iproute2.ts";
import type { Net, Origin } from "../../dsl/model.ts";
import type { Source } from "../../dsl/span.ts";
import { ifIndex } from "../../runtime/brand.ts";
import type { Trace, TraceStep } from "../../runtime/trace.ts";
import { originOf, type WalkLine } from "./line.ts";

type RuleStep = Extract<TraceStep, { step: "nft_rule" | "program_rule" | "nft_log" | "program_log" }>;
type EndStep = Extract<TraceStep, { step: "nft_policy" | "program_end" }>;
type ChainStep = RuleStep | EndStep;

/** Index of the last step that belongs to the chain or program that begins, or goes on, at `start`. */
export function endOfChain(trace: Trace, start: number): number {
  let end = start;
  while (end + 1 < trace.length && isChainStep(trace[end + 1])) end++;
  return end;
}

export function isChainStep(step: TraceStep): step is ChainStep {
  return isEnd(step) || CHAIN_STEPS.has(step.step);
}

const CHAIN_STEPS: ReadonlySet<TraceStep["step"]> = new Set(["nft_rule", "program_rule", "nft_log", "program_log"]);
const isEnd = (step: TraceStep): step is EndStep => step.step === "nft_policy" || step.step === "program_end";

/** What a chain or program that begins here, or goes on after a look-up, is called. */
export function chainTitle(
  step: ChainStep | Extract<TraceStep, { step: "nft_chain" | "program" }>,
  { netfilter }: Net,
): { readonly step: "nft_chain" | "program"; readonly title: string; readonly detail: string } {
  const on = step.step === "nft_chain" || step.step === "program" ? "" : ", on";
  if ("chain" in step)
    return { step: "nft_chain", title: "nft_do_chain", detail: `chain ${netfilter.chains[step.chain].name}${on}` };
  const { name, hook } = netfilter.programs[step.program];
  const title = hook === "xdp" ? "bpf_prog_run_xdp" : "cls_bpf_classify";
  return { step: "program", title, detail: `program ${name}${on}` };
}

export const chainLines = (steps: Trace, net: Net, source: Source): WalkLine[] =>
  steps.filter(isChainStep).map((step) => chainLine(step, net, source));

function chainLine(step: ChainStep, net: Net, source: Source): WalkLine {
  const list = "chain" in step ? net.netfilter.chains[step.chain] : net.netfilter.programs[step.program];
  const line = { kind: "chain rule", id: list.id } as const;
  if (isEnd(step))
    return { ...line, text: endText(step), outcome: "found", why: "", origin: originOf(list.origin, source) };
  const { origin, steps } = list.rules[step.rule];
  const where = { ...line, text: ruleText(step.rule, origin, source), origin: originOf(origin, source) };
  if (step.step === "nft_log" || step.step === "program_log") {
    const log = steps[step.at];
    return { ...where, outcome: "found", why: `logs "${log.kind === "log" ? log.prefix : ""}"` };
  }
  return { ...where, outcome: "matched", why: `${step.decision}${targetText(step, net)}` };
}

const endText = (step: EndStep): string =>
  step.step === "nft_policy" ? `policy ${step.policy}` : `the program says ${step.decision}`;

const ruleText = (rule: number, { span }: Origin, source: Source): string =>
  span === undefined ? `rule ${rule}` : oneLine(source.text.slice(span.start, span.end));

function targetText({ decision, target }: Extract<RuleStep, { decision: unknown }>, net: Net): string {
  if (target === null) return "";
  return ` ${decision === "REDIRECT" ? deviceName(net, ifIndex(target)) : net.netfilter.chains[target].name}`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
