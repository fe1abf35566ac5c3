/** The rules of a chain or program: tests one after the other, and where a segment is looked up (src/netfilter/classifier) that in their place. */
import { classifierKey } from "../../../netfilter/classifier/layout.ts";
import type { RuleList } from "../../../netfilter/classifier/segments.ts";
import type { Step } from "../../ir.ts";
import { segmentSteps } from "./classifier.ts";
import type { ChainContext } from "./code.ts";
import { ruleSteps } from "./rule.ts";

/** What is looked up of a list, and by what: for the dump. */
export const listComment = (chains: ChainContext, list: RuleList): string =>
  (chains.layout.classifiers.get(classifierKey(chains.view, list)) ?? [])
    .map(({ segment: { first, length }, why }) => `; rules ${first} to ${first + length - 1} by a classifier (${why})`)
    .join("");

export function listSteps(chains: ChainContext, list: RuleList): Step[] {
  const segments = chains.layout.classifiers.get(classifierKey(chains.view, list)) ?? [];
  const steps: Step[] = [];
  for (let index = 0; index < list.rules.length; ) {
    const laid = segments.find(({ segment }) => segment.first === index);
    if (laid === undefined) steps.push(ruleSteps(chains, list, list.rules[index], index++));
    else {
      steps.push(segmentSteps(chains, list, laid));
      index += laid.segment.length;
    }
  }
  return steps;
}
