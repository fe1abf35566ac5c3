/**
 * Frames that are looked up side by side (look_ahead.ts), and all of which come to a rule that does nothing but count them and let them
 * pass, as those of most traffic do: they are counted there and then, and that is all that happens to them.
 *
 *     if match_0 and match_1 and ... and, where rules differ in what they do, all of them do this {
 *       counter of match_0: packets + 1, bytes + length_0
 *       ...
 *       return PASSED
 *     }
 */
import type { Program, Step as RuleStep } from "../../../../dsl/chain-model.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { HOOKS } from "../../../../runtime/hooks.ts";
import { RULE_DECISIONS } from "../../../../runtime/trace.ts";
import { findsFirst, type SegmentLayout } from "../../../netfilter/classifier/layout.ts";
import type { Shape } from "../../../netfilter/classifier/segments.ts";
import { add, and, type Expr, eq, ne, type Reg, ret, type Step, trace, when } from "../../ir.ts";
import { type Context, ifindexOf, ownPlace, passHook } from "../context.ts";
import { dev } from "../skb.ts";
import { columnOf } from "./classifier.ts";
import { countPacket, traceRule } from "./rule.ts";

/** A frame that was looked up. */
export interface FoundFrame {
  /** The rule's number, from 1; 0: none. */
  readonly match: Reg;
  /** Bytes. */
  readonly length: Expr;
}

const isPass = (step: RuleStep): boolean => step.kind === "accept" || (step.kind === "xdp" && step.action === "PASS");
/** Its own counter, if it has one, then the verdict. */
const onlyPasses = ({ steps, counter }: Shape): boolean =>
  steps.length === (counter < 0 ? 1 : 2) && counter <= 0 && isPass(steps[steps.length - 1].step);

/**
 * @param index of the first frame in its batch
 * @param passed what is returned then; without, nothing has happened
 */
export function passAhead(
  context: Context,
  program: Program,
  laid: SegmentLayout,
  frames: readonly FoundFrame[],
  { index, passed }: { readonly index: Reg; readonly passed: number },
): Step[] {
  const { segment, counters, shapes, indexes, lookup } = laid;
  const shape = segment.shapes.findIndex(onlyPasses);
  // Of rules that go on there is none yet.
  if (shape < 0 || !findsFirst(lookup)) return [];
  const { space } = context.layout.netfilter;
  const one = segment.shapes.length === 1;
  const matches = ({ match }: FoundFrame): Expr =>
    one ? ne(match, 0) : and(ne(match, 0), eq(columnOf(space, shapes, match), shape));
  const { steps, counter } = segment.shapes[shape];
  const action = steps[steps.length - 1].step.kind === "accept" ? "accept" : "PASS";
  return [
    when(frames.map(matches).reduce(and), [
      ...frames.flatMap(({ match, length }, i) => [
        trace(TraceEvent.packet, [add(index, i)]),
        passHook("xdp", ifindexOf(dev), 0),
        trace(TraceEvent.program, [HOOKS.indexOf("xdp"), ifindexOf(dev), program.id], program.name),
        ...(counter < 0
          ? []
          : countPacket(
              space,
              add(columnOf(space, counters, match), ownPlace(context, context.layout.netfilter.counters)),
              length,
            )),
        traceRule({ list: program, index: columnOf(space, indexes, match) }, action),
        trace(TraceEvent.program_end, [program.id, RULE_DECISIONS.indexOf("PASS")]),
      ]),
      ret(passed),
    ]),
  ];
}
