/**
 * A long rule list, as data (runtime/abi/rules.ts): what fib_rules.ts writes out rule by rule, in a loop over the rules' records.
 *
 *     the traced build                    the hot build
 *       for each rule                       classes of the flow's fields
 *         do its selectors match?           for each page, word of rules that can match, bit of it
 *         then its action                     do its selectors match, if the classifier does not know them all?
 *                                             then its action
 *
 * The hot build leaves out rules that cannot match, and nothing else, so both come to the same: an action that goes on ("nothing
 * here", suppressed, nop) goes on with the next rule, a goto with its target, which is behind it.
 */
import { DEVICE } from "../../../runtime/abi/device.ts";
import { NET } from "../../../runtime/abi/net.ts";
import {
  RULE,
  RULE_BYTES,
  RULE_DIMENSION,
  RULE_DIMENSION_BYTES,
  RULE_LIST,
  RULE_PAGE_BYTES,
  RULES_OF_WORD,
  RuleActionCode,
  RuleSelector,
  WORDS_OF_PAGE,
} from "../../../runtime/abi/rules.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import type { Family } from "../../../runtime/net/ip.ts";
import { SELECTORS, type Selector } from "../../../runtime/trace.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { lpmProcName } from "../../lpm/emit.ts";
import type { Dimension } from "../../rules/classifier.ts";
import { lpmFamily, type RuleListLayout } from "../../rules/layout.ts";
import {
  add,
  and,
  block,
  call,
  type Expr,
  eq,
  eqz,
  expr,
  ge,
  gt,
  i64,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  type Operand,
  or,
  type Reg,
  repeat,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  trace,
  unary,
  when,
  xor,
} from "../ir.ts";
import { type Context, field } from "./context.ts";
import {
  answerOf,
  err,
  type FibRulesOps,
  fibRules,
  iifDiffers,
  iifDomain,
  oifDiffers,
  oifDomain,
  oifOutOfDomain,
  outOfDomain,
} from "./fib_rules.ts";
import { flDport, flIif, flL3mdev, flMark, flOif, flProto, flSport, flUid, resAlias, resPrefixLength } from "./skb.ts";

const list = local("rule_list");
/** No rule before this one is tried any more. */
const earliest = local("earliest");
const rule = local("rule");
const failed = local("failed");
const table = local("rule_table");
const id = local("rule_table_id");

/** All rules of a family: written out, or where the layout has them as data, a walk over those. */
export function ruleList(context: Context, ops: FibRulesOps, family: Family): Step[] {
  const layout = context.layout.ruleLists[family];
  if (layout !== null) return walk(context, ops, family, layout);
  return fibRules(
    context,
    ops,
    context.net.rules.filter((rule) => rule.family === family),
  );
}

function walk(context: Context, ops: FibRulesOps, family: Family, layout: RuleListLayout): Step[] {
  const visit = (tested: Step[]): Step[] => [...tested, ...action(ops, layout)];
  const start = [
    set(list, field(context.layout.offset, family === 4 ? NET.ruleList : NET.ruleList6)),
    set(earliest, field(list, RULE_LIST.first)),
  ];
  return context.fast && layout.dimensions.length > 0
    ? [...start, ...candidates(ops, family, layout, visit(whenNeeded(layout, test(ops, layout))))]
    : [...start, ...everyRule(visit(test(ops, layout)))];
}

const everyRule = (visit: Step[]): Step[] => [
  repeat(
    field(list, RULE_LIST.count),
    "rules",
    [
      when(ge(earliest, field(list, RULE_LIST.end)), [leave("rules")]),
      set(rule, earliest),
      set(earliest, add(rule, RULE_BYTES)),
      block(NEXT_RULE, visit),
    ],
    "rules",
  ),
];

const NEXT_RULE = "next_rule";
const nextRule: Step = leave(NEXT_RULE);

// ---- one rule

const has = (which: keyof typeof RuleSelector): Expr => and(field(rule, RULE.selectors), RuleSelector[which]);

const whenNeeded = ({ selectors }: RuleListLayout, steps: Step[]): Step[] =>
  (selectors & RuleSelector.TEST) === 0 ? [] : [when(has("TEST"), steps)];

/** fib_rule_match: afterwards the rule matches, or the walk went on to the next. */
function test(ops: FibRulesOps, { selectors }: RuleListLayout): Step[] {
  const asked = ops.selectors.filter((selector) => (selectors & RuleSelector[selector]) !== 0);
  const tests = asked.map((selector) =>
    when(has(selector), [
      when(mismatch(ops, selectors, selector), [set(failed, SELECTORS.indexOf(selector) + 1), leave("mismatch")]),
    ]),
  );
  const fails = (which: Operand): Step[] => [traceRule(0, which), nextRule];
  const plain = when(failed, fails(failed));
  const inverted = when(has("NOT"), [when(eqz(failed), fails(0))], [plain]);
  return [
    set(failed, 0),
    block("mismatch", tests),
    (selectors & RuleSelector.NOT) === 0 ? plain : inverted,
    traceRule(1, 0),
  ];
}

const traceRule = (matched: Operand, which: Operand): Step =>
  trace(TraceEvent.rule, [field(rule, RULE.id), matched, which]);

function mismatch(ops: FibRulesOps, selectors: number, selector: Selector): Expr {
  const of = (name: keyof typeof RULE): Expr => field(rule, RULE[name]);
  const outside = (value: Reg, first: Expr, last: Expr): Expr => gt(sub(value, first), sub(last, first));
  switch (selector) {
    case "iif":
      return (selectors & RuleSelector.IIF_DOMAIN) === 0
        ? iifDiffers(of("iif"))
        : select(has("IIF_DOMAIN"), outOfDomain(of("iif")), iifDiffers(of("iif")));
    case "oif":
      return (selectors & RuleSelector.OIF_DOMAIN) === 0
        ? oifDiffers(of("oif"))
        : select(has("OIF_DOMAIN"), oifOutOfDomain(of("oif")), oifDiffers(of("oif")));
    case "fwmark":
      return and(xor(flMark, of("mark")), of("markMask"));
    case "l3mdev":
      return eqz(flL3mdev);
    case "uidrange":
      return outside(flUid, of("uidFirst"), of("uidLast"));
    case "from":
    case "to":
      return ops.outsideOf(selector, rule);
    case "tos":
      return ops.tosDiffers(of("tos"));
    case "ipproto":
      return ne(flProto, of("ipproto"));
    case "sport":
      return outside(flSport, of("sportFirst"), of("sportLast"));
    case "dport":
      return outside(flDport, of("dportFirst"), of("dportLast"));
  }
}

/** The rule matches: it decides, or the walk goes on. */
function action(ops: FibRulesOps, layout: RuleListLayout): Step[] {
  const kind = field(rule, RULE.action);
  const argument = field(rule, RULE.argument);
  const decided = (route?: Expr) => answerOf(add(field(rule, RULE.id), 1), err, route);
  return [
    when(eq(kind, RuleActionCode.goto), [when(argument, [set(earliest, argument)]), nextRule]),
    when(eq(kind, RuleActionCode.refuse), [set(err, argument), set(resAlias, 0), ...decided()]),
    set(table, argument),
    set(id, field(rule, RULE.table)),
    ...((layout.selectors & RuleSelector.l3mdev) === 0
      ? []
      : [
          when(eq(kind, RuleActionCode.lookupVrf), [
            set(table, ops.tableOf(flL3mdev)),
            set(id, field(flL3mdev, DEVICE.tableId)),
          ]),
        ]),
    ...ops.lookUpTable(table, id),
    ...(layout.suppresses ? suppress(ops) : []),
    when(ne(err, Errno.EAGAIN), decided(ops.resultRoute)),
  ];
}

/** fib_rules_ops.suppress */
function suppress({ resultGroup, resultRoute }: FibRulesOps): Step[] {
  const suppressed = [trace(TraceEvent.suppress, [field(rule, RULE.id), sub(resultRoute, 1)]), nextRule];
  const group = field(rule, RULE.ifgroup);
  return [
    when(eqz(err), [
      when(lt(resPrefixLength, field(rule, RULE.suppress)), suppressed),
      when(ne(group, -1), [when(eq(resultGroup, group), suppressed)]),
    ]),
  ];
}

// ---- the classifier

/** Of the dimension: the vectors of the flow's class, the one of the page at hand, and the rules that do not ask. */
const vectors = (d: number): Reg => local(`vectors${d}`);
const vector = (d: number): Reg => local(`vector${d}`);
const wild = (d: number): Reg => local(`wild${d}`);
/** Of the page and the word at hand: its first rule. */
const pageStart = local("page");
const wordStart = local("word_start");
/** Words of the page, and rules of the word, that are still to be visited, the first in the highest bit. */
const summary = local("summary", "i64");
const word = local("word", "i64");
const place = local("place", "i64");

/** The summary of a class, moved so that its lowest bit says whether the class has the word. */
const moved = local("moved", "i64");

const HIGHEST = i64(-(2n ** 63n));
const load64 = (base: Operand, offset = 0): Expr => load("image", 8, base, offset);

/** Takes the first bit of `bits`: its place is in `place`. */
const takeFirst = (bits: Reg): Step[] => [set(place, unary("clz", bits)), set(bits, xor(bits, shr(HIGHEST, place)))];
const count = (bits: Reg): Expr => unary("wrap", unary("popcnt", bits));

/** Visits the rules that can match, in their order. */
function candidates(ops: FibRulesOps, family: Family, { dimensions }: RuleListLayout, visit: Step[]): Step[] {
  const places = [...dimensions.keys()];
  /** Of all dimensions, what they agree on. */
  const meet = (bits: Reg, of: (d: number) => Expr): Step[] =>
    places.map((d) => set(bits, d === 0 ? of(d) : and(bits, of(d))));
  return [
    ...dimensions.flatMap((dimension, d) => findClass(ops, family, dimension, d)),
    set(pageStart, field(list, RULE_LIST.first)),
    repeat(
      field(list, RULE_LIST.pages),
      "pages",
      [
        ...places.map((d) => set(vector(d), field(vectors(d), 0))),
        ...meet(summary, (d) => or(load64(vector(d)), load64(wild(d)))),
        repeat(
          count(summary),
          "words",
          [
            ...takeFirst(summary),
            set(wordStart, add(pageStart, mul(unary("wrap", place), RULES_OF_WORD * RULE_BYTES))),
            ...places.flatMap((d) => addWord(d)),
            repeat(
              count(word),
              "bits",
              [
                ...takeFirst(word),
                set(rule, add(wordStart, mul(unary("wrap", place), RULE_BYTES))),
                block(NEXT_RULE, [when(lt(rule, earliest), [nextRule]), ...visit]),
              ],
              "ruleBits",
            ),
          ],
          "ruleWords",
        ),
        ...places.flatMap((d) => [set(vectors(d), add(vectors(d), 4)), set(wild(d), add(wild(d), RULE_PAGE_BYTES))]),
        set(pageStart, add(pageStart, WORDS_OF_PAGE * RULES_OF_WORD * RULE_BYTES)),
      ],
      "rulePages",
    ),
  ];
}

/** Narrows `word` down by the word at `place` of a dimension: a class has those of its words that its summary counts. */
function addWord(d: number): Step[] {
  const own = load64(add(vector(d), shl(count(moved), 3)));
  const hasIt = sub(i64(0n), and(moved, i64(1n)));
  const found = or(and(own, hasIt), load64(add(wild(d), shl(unary("wrap", place), 3)), 8));
  return [set(moved, shr(load64(vector(d)), sub(i64(63n), place))), set(word, d === 0 ? found : and(word, found))];
}

const ofDimension = (d: number, what: number): Expr =>
  field(list, RULE_LIST.dimensions + d * RULE_DIMENSION_BYTES + what);

/** The class of the flow's field: where its vectors are. */
function findClass(ops: FibRulesOps, family: Family, dimension: Pick<Dimension, "kind" | "mask">, d: number): Step[] {
  const { kind } = dimension;
  const proc = lpmProcName("blocks", lpmFamily(kind, family));
  const found = call(proc, [ofDimension(d, RULE_DIMENSION.lpm), fieldOf(ops, dimension)]);
  return [
    set(vectors(d), kind === "from" || kind === "to" ? select(ops.has(kind), found, 0) : found),
    set(vectors(d), select(vectors(d), vectors(d), ofDimension(d, RULE_DIMENSION.none))),
    set(wild(d), ofDimension(d, RULE_DIMENSION.wild)),
  ];
}

function fieldOf(ops: FibRulesOps, { kind, mask }: Pick<Dimension, "kind" | "mask">): Expr {
  switch (kind) {
    case "iif":
      return expr(flIif);
    case "oif":
      return expr(flOif);
    case "iif domain":
      return iifDomain;
    case "oif domain":
      return oifDomain;
    case "fwmark":
      return and(flMark, mask);
    case "uidrange":
      return expr(flUid);
    case "from":
    case "to":
      return expr(ops.address(kind));
    case "tos":
      return ops.tos;
    case "ipproto":
      return expr(flProto);
    case "sport":
      return expr(flSport);
    case "dport":
      return expr(flDport);
  }
}
