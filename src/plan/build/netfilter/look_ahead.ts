/**
 * The first rules of an XDP program, looked up for several frames at a time before any of them is judged.
 *
 *   look_ahead.N(device, index) : i32     FOUND: what LANES frames from `row` on come to stands in the segment's `ahead`, a record for each;
 *                                         JUDGED: they are judged (judge_ahead.ts)
 *
 * A look-up is a chain of loads that wait for each other; those of several frames side by side wait together. It is done for frames that are
 * plain (plain_frame.ts), all of one family. Where they are not, none is looked up: the rules do it, as they would have. Nothing but the
 * frame's bytes is read, so what is found is what the rules would find.
 */
import type { Program } from "../../../../dsl/chain-model.ts";
import { COLUMN, type Column } from "../../../../runtime/batch.ts";
import { Entry } from "../../../../runtime/verdict.ts";
import {
  AHEAD_BYTES,
  classifierKey,
  type FieldLookup,
  LANES,
  type SegmentLayout,
} from "../../../netfilter/classifier/layout.ts";
import { rulesFor, type Segment } from "../../../netfilter/classifier/segments.ts";
import { programView } from "../../../netfilter/view.ts";
import {
  add,
  block,
  type Expr,
  eqz,
  expr,
  gt,
  i32,
  i64,
  leave,
  load,
  local,
  mul,
  ne,
  or,
  type Proc,
  type Reg,
  ret,
  type Space,
  type Step,
  select,
  set,
  store,
  unary,
  when,
  xor,
} from "../../ir.ts";
import { type Context, hasFlag, ownPlace, proc } from "../context.ts";
import { mostBytes } from "../ethernet.ts";
import { dev, row, stride } from "../skb.ts";
import { LookupSteps } from "./classifier.ts";
import { judgeAhead } from "./judge_ahead.ts";
import { PLAIN_KINDS, PlainFrame, type PlainKind } from "./plain_frame.ts";

/** The segment that a program begins with, if it is looked up ahead. */
export function aheadOf(context: Context, program: Program): SegmentLayout | null {
  const segments = context.layout.netfilter.classifiers.get(classifierKey(programView(program.hook), program));
  return segments?.find(({ ahead, segment }) => ahead !== 0 && kindsOf(segment).length > 0) ?? null;
}

/** Those that it has rules for. */
const kindsOf = (segment: Segment): PlainKind[] => PLAIN_KINDS.filter(({ type }) => rulesFor(segment, type).length > 0);

const device = local("device");
/** Of the first frame, in its batch. */
const index = local("index");
const limit = local("limit");
/** What it returns; 0: nothing is looked up. */
const FOUND = 1;
export const JUDGED = 2;

/** Of each frame. */
const LANE = Array.from({ length: LANES }, (_, lane) => ({
  mac: local(`mac_${lane}`),
  length: local(`length_${lane}`),
}));
const rootOf = (lane: number, i: number): Reg => local(`root${i}_${lane}`);

export function lookAheadProc(context: Context, program: Program, laid: SegmentLayout): Proc {
  const { space } = context.layout.netfilter;
  const kinds = kindsOf(laid.segment).map((kind) => lookedUpAs(kind, space, laid));
  const { roots } = kinds[0];
  const body: Step[] = [
    block("other", [
      when(eqz(dev), [leave("other")]),
      // Such a device refuses a frame for its length (receive.ts).
      set(limit, select(hasFlag(dev, "VETH"), mostBytes(dev), -1)),
      when(ne(or(unlike("entry", i32(Entry.RECEIVE)), unlike("device", expr(device))), i64(0n)), [leave("other")]),
      ...LANE.flatMap(({ mac, length }, lane) => [
        set(mac, cell("data", 4, lane)),
        set(length, cell("length", 4, lane)),
        when(gt(length, limit), [leave("other")]),
      ]),
      block("found", [...kinds.map(({ not, steps }) => block(not, [...steps, leave("found")])), leave("other")]),
      ...judgeAhead(
        context,
        program,
        laid,
        LANE.map(({ length }, lane) => ({ match: rootOf(lane, 0), length: expr(length) })),
        { index, judged: JUDGED },
      ),
      ...LANE.flatMap((_, lane) =>
        Array.from({ length: roots }, (_, i) =>
          store(space, 4, ownPlace(context, laid.ahead), AHEAD_BYTES * lane + 4 * i, rootOf(lane, i)),
        ),
      ),
      ret(FOUND),
    ]),
    ret(0),
  ];
  const comment = `${LANES} frames at a time: rules ${laid.segment.first} to ${laid.segment.first + laid.segment.length - 1}`;
  return proc(context.name(LOOK_AHEAD), { comment, params: [device, index], result: "i32" }, body);
}
export const LOOK_AHEAD = "look_ahead";

const cell = (name: Column, bytes: 4 | 8, lane: number): Expr =>
  load("batch", bytes, add(row, mul(stride, COLUMN(name))), 4 * lane);

/** Not 0: this is not what all frames have in a column. Two at a time. */
function unlike(name: Column, value: Expr): Expr {
  const both = mul(unary("extend", value), i64(0x1_0000_0001n));
  return Array.from({ length: LANES / 2 }, (_, pair) => xor(cell(name, 8, 2 * pair), both)).reduce(or);
}

/** The look-up of frames of a kind: `steps` leave the block `not` where one is of another, and set so many roots of each lane. */
function lookedUpAs(
  kind: PlainKind,
  space: Space,
  { segment, lookup }: SegmentLayout,
): { readonly not: string; readonly steps: readonly Step[]; readonly roots: number } {
  const rules = rulesFor(segment, kind.type);
  const asked = new Set(
    segment.fields.filter((_, field) => rules.some(({ conditions }) => conditions[field] !== null)),
  );
  const lanes = LANE.map((registers, lane) => {
    const suffix = `_${kind.name}_${lane}`;
    const frame = new PlainFrame(kind, asked, { ...registers, suffix });
    const read = (field: FieldLookup, found: Reg): Step[] => frame.classOf(field, space, found);
    const code = new LookupSteps({ space, suffix, known: kind.type, read });
    const roots = code.rootsOf(lookup);
    return {
      frame,
      steps: [...code.steps, ...roots.map((root, i) => set(rootOf(lane, i), root))],
      roots: roots.length,
    };
  });
  const not = `not_${kind.name}`;
  return {
    ...{ not, roots: lanes[0].roots },
    steps: [
      ...lanes.flatMap(({ frame }) => frame.steps([leave(not)])),
      // Step by step over all lanes, not lane by lane: independent loads stand side by side.
      ...lanes[0].steps.flatMap((_, i) => lanes.map(({ steps }) => steps[i])),
    ],
  };
}
