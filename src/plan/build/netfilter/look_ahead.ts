/**
 * The first rules of an XDP program, looked up for several frames at a time before any of them is judged.
 *
 *   look_ahead.N(device, index) : i32     FOUND: what LANES frames from `row` on come to stands in the segment's `ahead`, a record for each;
 *                                         JUDGED: they are judged (judge_ahead.ts)
 *
 * A look-up is a chain of loads that wait for each other; those of several frames side by side wait together. It is done for frames as nearly all
 * are: untagged, IPv4 without options, as long as they say. If one is another kind of frame, none is looked up: the rules do it, as they would have. Nothing but the
 * frame's bytes is read, so what is found is what the rules would find.
 */
import type { Expr as ChainExpr, Program } from "../../../../dsl/chain-model.ts";
import { COLUMN, type Column } from "../../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../../runtime/net/ethernet.ts";
import { Entry } from "../../../../runtime/verdict.ts";
import { AHEAD_BYTES, classifierKey, LANES, type SegmentLayout } from "../../../netfilter/classifier/layout.ts";
import { programView } from "../../../netfilter/view.ts";
import {
  add,
  and,
  block,
  type Expr,
  eqz,
  expr,
  gt,
  guard,
  i32,
  i64,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  or,
  type Proc,
  packet,
  type Reg,
  ret,
  type Step,
  select,
  set,
  store,
  sub,
  tail,
  unary,
  when,
  xor,
} from "../../ir.ts";
import { type Context, hasFlag, ownPlace, proc } from "../context.ts";
import { mostBytes } from "../ethernet.ts";
import { IPHDR_BYTES } from "../in.ts";
import { dev, row, stride } from "../skb.ts";
import { classOfNumber, LookupSteps } from "./classifier.ts";
import { judgeAhead } from "./judge_ahead.ts";
import { constantOf, shifted, wideAnd, wideXor } from "./wide.ts";

/** The segment that a program begins with, if it is looked up ahead. */
export function aheadOf(context: Context, program: Program): SegmentLayout | null {
  const segments = context.layout.netfilter.classifiers.get(classifierKey(programView(program.hook), program));
  return segments?.find(({ ahead }) => ahead !== 0) ?? null;
}

const L4 = ETHERNET_HEADER_BYTES + IPHDR_BYTES;
const device = local("device");
/** Of the first frame, in its batch. */
const index = local("index");
const limit = local("limit");
/** What it returns; 0: nothing is looked up. */
const FOUND = 1;
export const JUDGED = 2;

export function lookAheadProc(context: Context, program: Program, laid: SegmentLayout): Proc {
  const { space } = context.layout.netfilter;
  const lanes = Array.from({ length: LANES }, (_, lane) => new Lane(laid, lane));
  const lookups = lanes.map(({ values, suffix }) => {
    const steps = new LookupSteps({
      ...{ space, suffix, known: EtherType.IPV4 },
      read: (lookup, found) => classOfNumber(space, lookup, values.get(lookup.field)!, found),
    });
    return { roots: steps.rootsOf(laid.lookup), steps: steps.steps };
  });
  const body: Step[] = [
    block("other", [
      when(eqz(dev), [leave("other")]),
      // Such a device refuses a frame for its length (receive.ts).
      set(limit, select(hasFlag(dev, "VETH"), mostBytes(dev), -1)),
      when(ne(or(unlike("entry", i32(Entry.RECEIVE)), unlike("device", expr(device))), i64(0n)), [leave("other")]),
      ...lanes.flatMap(({ steps }) => steps),
      // Step by step over all lanes, not lane by lane: independent loads stand side by side.
      ...lookups[0].steps.flatMap((_, i) => lookups.map(({ steps }) => steps[i])),
      ...judgeAhead(
        context,
        program,
        laid,
        lookups.map(({ roots: [match] }, lane) => ({ match, length: expr(lanes[lane].length) })),
        { index, judged: JUDGED },
      ),
      ...lookups.flatMap(({ roots }, lane) =>
        roots.map((root, i) => store(space, 4, ownPlace(context, laid.ahead), AHEAD_BYTES * lane + 4 * i, root)),
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

/** A frame: what is read of it, when it is of the usual kind. */
class Lane {
  readonly suffix: string;
  readonly steps: Step[];
  /** By field. */
  readonly values = new Map<ChainExpr, Expr>();
  readonly length: Reg;
  readonly #mac: Reg;

  constructor(laid: SegmentLayout, lane: number) {
    this.suffix = `_${lane}`;
    const { fields } = laid.segment;
    this.#mac = local(`mac${this.suffix}`);
    this.length = local(`length${this.suffix}`);
    const [mac, length] = [this.#mac, this.length];
    const other = [leave("other")];
    const total = local(`total${this.suffix}`);
    /** EtherType, version and length of the IPv4 header: compared as they lie. */
    const kind = and(packet(mac, 12, 4), 0xffffff00);
    this.steps = [
      set(mac, cell("data", 4, lane)),
      set(length, cell("length", 4, lane)),
      set(tail, add(mac, length)),
      guard(mac, Math.max(L4, ...fields.map(endOf)), other),
      when(gt(length, limit), other),
      when(ne(kind, (EtherType.IPV4 << 16) | 0x4500), other),
      set(total, packet(mac, ETHERNET_HEADER_BYTES + 2, 2)),
      when(or(lt(total, IPHDR_BYTES), lt(sub(length, ETHERNET_HEADER_BYTES), total)), other),
      ...fields.map((field, i) => {
        const value = local(`value${i}${this.suffix}`);
        this.values.set(field, expr(value));
        return set(value, this.#read(field)[0]);
      }),
    ];
  }

  #read(e: ChainExpr): readonly Expr[] {
    switch (e.kind) {
      case "payload":
        return [packet(this.#mac, startOf(e.base) + e.offset, e.length as 1 | 2 | 4)];
      case "meta":
        return [e.key === "protocol" ? i32(EtherType.IPV4) : packet(this.#mac, ETHERNET_HEADER_BYTES + 9, 1)];
      case "bitwise":
        return wideXor(wideAnd(this.#read(e.operand), constantOf(e.mask, e.bits)), constantOf(e.xor, e.bits));
      case "shift":
        return shifted(this.#read(e.operand), e.bits, e.direction, e.by);
      default:
        throw new RangeError(`${e.kind} is not looked up ahead`);
    }
  }
}

const startOf = (base: string): number => (base === "link" ? 0 : base === "network" ? ETHERNET_HEADER_BYTES : L4);

/** Where the bytes that it reads end. */
const endOf = (e: ChainExpr): number =>
  e.kind === "payload"
    ? startOf(e.base) + e.offset + e.length
    : e.kind === "bitwise" || e.kind === "shift"
      ? endOf(e.operand)
      : 0;
