/**
 * Frames that are looked up side by side (look_ahead.ts), and all of which come to a rule that does nothing but count them and say what
 * becomes of them, as those of most traffic do: they are counted and judged there and then, and that is all that happens to them.
 *
 *     if match_0 and match_1 and ... and, where other rules do more, each comes to such a rule {
 *       counter of match_0: packets + 1, bytes + length_0
 *       ...
 *       columns of all of them, where some rules do not let pass
 *       return JUDGED
 *     }
 * What rules say is random to a processor, so a frame's columns are computed: a branch would wait for the whole look-up, and hold up the next one.
 */
import type { Program, Step as RuleStep, XdpAction } from "../../../../dsl/chain-model.ts";
import { TraceEvent } from "../../../../runtime/abi/trace.ts";
import { COLUMN, type Column, RESULT_COLUMNS } from "../../../../runtime/batch.ts";
import { HOOKS } from "../../../../runtime/hooks.ts";
import { RULE_DECISIONS } from "../../../../runtime/trace.ts";
import { DropReason, Entry, Verdict } from "../../../../runtime/verdict.ts";
import { findsFirst, type SegmentLayout } from "../../../netfilter/classifier/layout.ts";
import type { Shape } from "../../../netfilter/classifier/segments.ts";
import {
  add,
  and,
  binary,
  type Expr,
  eq,
  i32,
  i64,
  local,
  mul,
  ne,
  or,
  type Reg,
  ret,
  type Step,
  set,
  shr,
  store,
  trace,
  unary,
  when,
} from "../../ir.ts";
import { type Context, ifindexOf, ownPlace, passHook } from "../context.ts";
import { dev, row, stride } from "../skb.ts";
import { columnOf } from "./classifier.ts";
import { countPacket, traceRule } from "./rule.ts";

/** A frame that was looked up. */
export interface FoundFrame {
  /** The rule's number, from 1; 0: none. */
  readonly match: Reg;
  /** Bytes. */
  readonly length: Expr;
}

/** What a rule says at last that does no more than count. */
interface Said {
  readonly word: "accept" | "drop" | XdpAction;
  readonly decision: XdpAction;
}

type Judgment = Exclude<XdpAction, "PASS">;

/** What becomes of a frame that does not pass (programs.ts xdpRun): its columns, where they are not 0, and its last trace. */
interface Outcome {
  readonly columns: Partial<Readonly<Record<Column, Expr>>>;
  readonly trace: Step;
}

const dropped = (reason: DropReason): Outcome => ({
  columns: { verdict: i32(Verdict.DROP), reason: i32(reason) },
  trace: trace(TraceEvent.drop, [reason]),
});
const OUTCOMES: Readonly<Record<Judgment, Outcome>> = {
  DROP: dropped(DropReason.XDP),
  ABORTED: dropped(DropReason.XDP_ABORTED),
  TX: {
    columns: { verdict: i32(Verdict.TRANSMIT), outDevice: ifindexOf(dev) },
    trace: trace(TraceEvent.transmit, [ifindexOf(dev)]),
  },
};

/** Null: the rule does more than count. */
function saidBy({ steps, counter }: Shape): Said | null {
  const only = steps.length === (counter < 0 ? 1 : 2) && counter <= 0;
  return only ? saidIn(steps[steps.length - 1].step) : null;
}

function saidIn(step: RuleStep): Said | null {
  switch (step.kind) {
    case "accept":
      return { word: "accept", decision: "PASS" };
    case "drop":
      return { word: "drop", decision: "DROP" };
    case "xdp":
      return { word: step.action, decision: step.action };
    default:
      return null;
  }
}

/**
 * @param index of the first frame in its batch
 * @param judged what is returned then; without, nothing has happened
 */
export function judgeAhead(
  context: Context,
  program: Program,
  laid: SegmentLayout,
  frames: readonly FoundFrame[],
  { index, judged }: { readonly index: Reg; readonly judged: number },
): Step[] {
  const { segment, counters, shapes, indexes, lookup } = laid;
  const said = segment.shapes.map(saidBy);
  // Of rules that go on there is none yet.
  if (said.every((one) => one === null) || !findsFirst(lookup)) return [];
  const { space, counters: firstCounter } = context.layout.netfilter;
  const shapeOf = frames.map((_, lane) => local(`shape_${lane}`));
  /** 1: the lane's rule has one of these shapes. */
  const isOneOf = (lane: number, asked: (shape: number) => boolean): Expr => {
    const some = segment.shapes.map((_, shape) => asked(shape));
    if (some.every((one) => one === some[0])) return i32(some[0] ? 1 : 0);
    return and(shr(i32(some.reduce((bits, one, shape) => bits + (one ? 2 ** shape : 0), 0)), shapeOf[lane]), 1);
  };
  const judgments = [
    ...new Set(said.flatMap((one) => (one === null || one.decision === "PASS" ? [] : [one.decision]))),
  ];
  const counted = ({ match, length }: FoundFrame, lane: number): Step[] => {
    const counts = isOneOf(lane, (shape) => segment.shapes[shape].counter >= 0);
    const counter = add(columnOf(space, counters, match), ownPlace(context, firstCounter));
    return [when(counts, countPacket(space, counter, length))];
  };
  return [
    ...frames.map(({ match }, lane) => set(shapeOf[lane], columnOf(space, shapes, match))),
    when(
      frames
        .map(({ match }, lane) =>
          and(
            ne(match, 0),
            isOneOf(lane, (shape) => said[shape] !== null),
          ),
        )
        .reduce(and),
      [
        ...frames.flatMap((frame, lane) => [
          trace(TraceEvent.packet, [add(index, lane)]),
          passHook("xdp", ifindexOf(dev), 0),
          trace(TraceEvent.program, [HOOKS.indexOf("xdp"), ifindexOf(dev), program.id], program.name),
          ...counted(frame, lane),
          ...said.flatMap((one, shape) =>
            one === null
              ? []
              : [
                  when(eq(shapeOf[lane], shape), [
                    traceRule({ list: program, index: columnOf(space, indexes, frame.match) }, one.word),
                    trace(TraceEvent.program_end, [program.id, RULE_DECISIONS.indexOf(one.decision)]),
                    ...(one.decision === "PASS" ? [] : [OUTCOMES[one.decision].trace]),
                  ]),
                ],
          ),
        ]),
        ...writeOutcomes(frames.length, judgments, (lane, decision) =>
          isOneOf(lane, (shape) => said[shape]?.decision === decision),
        ),
        ret(judged),
      ],
    ),
  ];
}

const at = local("at");

/**
 * The columns of all frames, two at a time. One that passes has the entry that it had (Entry.RECEIVE is 0), and results of 0.
 * @param said 1: what is said of the frame is this
 */
function writeOutcomes(
  frames: number,
  decisions: readonly Judgment[],
  said: (lane: number, decision: Judgment) => Expr,
): Step[] {
  if (decisions.length === 0) return [];
  const pairs = Array.from({ length: frames / 2 }, (_, pair) =>
    decisions.map((decision) => ({
      ...{ columns: OUTCOMES[decision].columns, both: local(`${decision}_${pair}`, "i64") },
      value: or(
        unary("extend", said(2 * pair, decision)),
        binary("shl", unary("extend", said(2 * pair + 1, decision)), i64(32n)),
      ),
    })),
  );
  const write = (answer: (columns: Outcome["columns"]) => Expr | undefined): Step[] =>
    pairs.map((outcomes, pair) => {
      const values = outcomes.flatMap(({ columns, both }) => {
        const value = answer(columns);
        return value === undefined ? [] : [mul(both, unary("extend", value))];
      });
      return store("batch", 8, at, 8 * pair, values.length === 0 ? i64(0n) : values.reduce(or));
    });
  return [
    ...pairs.flat().map(({ both, value }) => set(both, value)),
    set(at, add(row, mul(stride, COLUMN("entry")))),
    ...write(() => i32(Entry.JUDGED)),
    set(at, add(row, mul(stride, COLUMN(RESULT_COLUMNS[0])))),
    ...RESULT_COLUMNS.flatMap((column, i) => [
      ...(i === 0 ? [] : [set(at, add(at, stride))]),
      ...write((columns) => columns[column]),
    ]),
  ];
}
