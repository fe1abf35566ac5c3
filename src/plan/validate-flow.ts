/**
 * What must hold on every path through a plan: registers are set before they are read, packet bytes are covered by
 * guards, procs get what they require, results are given. A forward data-flow analysis, callees before callers.
 *
 * Lattice. At each point of a proc either "no path comes here" (null, the top), or
 *     set     registers that have been set on all paths                          meet: intersection
 *     known   per cursor, the span of bytes that are inside the packet (span.ts)  meet: intersection; absent is empty
 *
 * Transfer.
 *     set R = E         E is read; known(R) := the span of E: of a register, or of one plus or minus a constant, shifted;
 *                       else none. R is set. If R is `tail`, nothing is known of any cursor.
 *     guard C N else S  after S: must be null; else known(C) united with 0 .. N
 *     if                both sides from here; meet
 *     block L, break L  what is at each `break L` meets what comes to the end of the block; after the break: null
 *     repeat N L        the start of a round meets what was before and what comes to the end of a round, until nothing
 *                       changes (spans only shrink, so it ends); behind it: the start of a round, and each `break L`
 *     return            null; meets into the summary
 *     call P            P's summary, see below
 *
 * Summary of a proc, from its own body, entered with its parameters and `requires`:
 *     needs   skb registers that it reads without having set them: set at every call, and empty for an exported proc
 *     sets    skb registers set on every path to a return
 *     changes skb registers that may be set, here or in callees
 *     known   what it knows of skb cursors at all its returns
 * A call drops what the caller knew of `changes` (of everything, when `tail` is among them), and adds `known`.
 * An extern proc needs the shared registers, and may set those of them that it says; the body that it calls, in another module, is entered
 * with them set and with its `requires`, and sets no other of them.
 */
import { calleesOf, effectsOf } from "./callgraph.ts";
import type { Expr, Proc, Reg, Step } from "./ir.ts";
import { isExtern, tail } from "./ir.ts";
import { type Place, printPlace } from "./print.ts";
import { rememberedOfProc } from "./remember.ts";
import { covers, equalSpans, intersection, type Span, shift, span, union } from "./span.ts";
import type { Report } from "./validate.ts";
import { hasCall, operands, regKey } from "./visit.ts";

interface State {
  readonly set: ReadonlySet<string>;
  readonly known: ReadonlyMap<string, Span>;
}
/** Null: no path comes here. */
type Flow = State | null;

interface Summary {
  readonly proc: Proc;
  readonly needs: ReadonlySet<string>;
  readonly changes: ReadonlySet<string>;
  /** At its returns; only of skb registers. */
  readonly exit: State;
}

const TAIL = regKey(tail);

/** @param order callees before callers, of sound shape */
export function checkFlow(order: readonly Proc[], reportFor: (proc: string) => Report): void {
  const effects = effectsOf(order);
  const summaries = new Map<string, Summary>();
  for (const proc of order) {
    const own = effects.get(proc.name)!;
    const check = (report: Report): Summary => new ProcFlow(proc, summaries, report).summary(own.sets);
    const known = sound(proc, [own, ...calleesOf(proc).map((name) => summaries.get(name))], () => {
      let found = 0;
      const summary = check(() => found++);
      return found === 0 ? summary : null;
    });
    summaries.set(proc.name, known ?? check(reportFor(proc.name)));
  }
}
/** Of procs in which nothing was found. */
const sound = rememberedOfProc<Summary | null>();

class ProcFlow {
  readonly #proc: Proc;
  readonly #summaries: ReadonlyMap<string, Summary>;
  readonly #report: Report;
  readonly #needs = new Set<string>();
  /** What is at the breaks out of each open label. */
  readonly #breaks = new Map<string, Flow>();
  #returns: Flow = null;
  /** A loop is followed several times; what is found is reported in the last one. */
  #quiet = 0;
  #where: Place = "";

  constructor(proc: Proc, summaries: ReadonlyMap<string, Summary>, report: Report) {
    this.#proc = proc;
    this.#summaries = summaries;
    this.#report = report;
  }

  summary(changes: ReadonlySet<string>): Summary {
    const proc = this.#proc;
    if (isExtern(proc))
      return {
        proc,
        needs: new Set(proc.shared!.reads.map(regKey)),
        changes,
        exit: { set: new Set(), known: new Map() },
      };
    for (const reg of proc.shared?.reads ?? [])
      if (changes.has(regKey(reg)) && !proc.shared!.sets.some((one) => regKey(one) === regKey(reg))) {
        this.#where = "shared registers";
        this.#found("foreign-register", `${regKey(reg)} is not its to set`);
      }
    const end = this.#steps(this.#entry(), proc.body);
    if (end !== null && proc.result !== null) {
      this.#where = "end of the proc";
      this.#found("missing-result", "is reached");
    }
    const exit = meet(this.#returns, end) ?? { set: new Set(), known: new Map() };
    const isSkb = (key: string) => key.startsWith("skb.");
    const set = new Set([...exit.set].filter(isSkb));
    const known = new Map([...exit.known].filter(([key]) => isSkb(key)));
    return { proc, needs: this.#needs, changes, exit: { set, known } };
  }

  #entry(): Flow {
    const { params, requires, exported, shared } = this.#proc;
    this.#where = "requires";
    if (exported && shared === undefined && requires.length > 0)
      this.#found("unproved-requires", "the host proves nothing");
    const set = new Set([...params, ...(shared?.reads ?? [])].map(regKey));
    const known = new Map<string, Span>();
    for (const { cursor, bytes } of requires) {
      known.set(regKey(cursor), span(0, bytes));
      if (cursor.scope === "skb") this.#needs.add(regKey(cursor));
      set.add(regKey(cursor));
    }
    return { set, known };
  }

  #found(...[kind, message]: Parameters<Report>): void {
    if (this.#quiet === 0) this.#report(kind, `${printPlace(this.#where)}: ${message}`);
  }

  // ---- steps

  #steps(flow: Flow, steps: readonly Step[]): Flow {
    for (const step of steps) {
      if (flow === null) return null;
      flow = this.#step(flow, step);
    }
    return flow;
  }

  #step(before: State, step: Step): Flow {
    this.#where = step;
    switch (step.kind) {
      case "set": {
        const after = this.#read(before, step.value);
        return assign(after, step.reg, spanOf(before, step.value));
      }
      case "store":
        return this.#read(this.#read(before, step.base), step.value);
      case "put": {
        const after = this.#read(before, step.value);
        this.#access(after, step.cursor, step.offset, step.bytes);
        return after;
      }
      case "guard":
        return this.#guard(before, step);
      case "if": {
        const after = this.#read(before, step.condition);
        return meet(this.#steps(after, step.then), this.#steps(after, step.otherwise));
      }
      case "block": {
        this.#breaks.set(step.label, null);
        const end = this.#steps(before, step.body);
        return meet(end, this.#takeBreaks(step.label));
      }
      case "break":
        this.#breaks.set(step.label, meet(this.#breaks.get(step.label) ?? null, before));
        return null;
      case "repeat":
        return this.#repeat(before, step);
      case "do":
        return this.#read(before, step.call);
      case "return": {
        const after = step.value === null ? before : this.#read(before, step.value);
        this.#returns = meet(this.#returns, after);
        return null;
      }
      case "trace":
        return step.args.reduce((state, arg) => this.#read(state, arg), before);
      default:
        return step satisfies never;
    }
  }

  #takeBreaks(label: string): Flow {
    const flow = this.#breaks.get(label) ?? null;
    this.#breaks.delete(label);
    return flow;
  }

  #guard(before: State, step: Step & { kind: "guard" }): Flow {
    this.#needsSet(before, step.cursor);
    this.#needsSet(before, tail);
    const where = this.#where;
    if (this.#steps(before, step.otherwise) !== null) {
      this.#where = where;
      this.#found("guard-falls-through", "the else does not end in break or return");
    }
    const key = regKey(step.cursor);
    return { ...before, known: new Map(before.known).set(key, union(before.known.get(key), span(0, step.bytes))) };
  }

  #repeat(before: State, { times, label, body }: Step & { kind: "repeat" }): Flow {
    const round = (start: State): Flow => {
      this.#breaks.set(label, null);
      return this.#steps(start, body);
    };
    let start = this.#read(before, times);
    this.#quiet++;
    for (;;) {
      const next: State = meet(start, round(start)) ?? start;
      if (equalStates(next, start)) break;
      start = next;
    }
    this.#quiet--;
    round(start);
    return meet(start, this.#takeBreaks(label));
  }

  // ---- expressions

  /** Follows an evaluation; its calls change the state. */
  #read(before: State, e: Expr): State {
    if (e.kind === "call") return this.#call(before, e);
    const state = operands(e).reduce((at, part) => this.#read(at, part), before);
    if (e.kind === "reg") this.#needsSet(state, e.reg);
    if (e.kind === "packet") this.#access(state, e.cursor, e.offset, e.bytes);
    return state;
  }

  #call(before: State, e: Expr & { kind: "call" }): State {
    const callee = this.#summaries.get(e.proc)!;
    const spans: (Span | undefined)[] = [];
    let state = before;
    for (const arg of e.args) {
      // A call among the arguments may make stale what was known of those before it.
      if (hasCall(arg)) spans.fill(undefined);
      spans.push(spanOf(state, arg));
      state = this.#read(state, arg);
    }
    for (const key of callee.needs) this.#needsSetKey(state, key, e.proc);
    for (const { cursor, bytes } of callee.proc.requires) {
      const param = callee.proc.params.findIndex((reg) => regKey(reg) === regKey(cursor));
      const known = cursor.scope === "skb" ? state.known.get(regKey(cursor)) : spans[param];
      if (!covers(known, span(0, bytes)))
        this.#found("unproved-requires", `${e.proc} requires ${regKey(cursor)} ${bytes}; known: ${describe(known)}`);
    }
    return afterCall(state, callee);
  }

  #access(state: State, cursor: Reg, offset: number, bytes: number): void {
    this.#needsSet(state, cursor);
    const known = state.known.get(regKey(cursor));
    if (covers(known, span(offset, offset + bytes))) return;
    const what = `${bytes} bytes at ${regKey(cursor)}[${offset}]`;
    this.#found("unguarded-access", `${what}; known of ${regKey(cursor)}: ${describe(known)}`);
  }

  #needsSet(state: State, reg: Reg): void {
    this.#needsSetKey(state, regKey(reg), this.#proc.name);
  }

  /** An skb register may have been set by whoever calls; no one calls an exported proc. @param reader proc that reads it */
  #needsSetKey(state: State, key: string, reader: string): void {
    if (state.set.has(key)) return;
    if (key.startsWith("skb.") && !this.#proc.exported) this.#needs.add(key);
    else this.#found("unset-register", `${key} may not be set (${reader} reads it)`);
  }
}

const describe = (known: Span | undefined): string =>
  known === undefined ? "nothing" : `bytes ${known.low} to ${known.high}`;

/** What is known around the value of an expression, seen as a cursor. It has no call in it, or nothing is known. */
function spanOf(state: State, e: Expr): Span | undefined {
  if (e.kind === "reg") return state.known.get(regKey(e.reg));
  if (e.kind !== "binary" || (e.op !== "add" && e.op !== "sub")) return undefined;
  const [moved, by] = e.op === "add" && e.left.kind === "const" ? [e.right, e.left] : [e.left, e.right];
  if (by.kind !== "const") return undefined;
  const known = spanOf(state, moved);
  return known && shift(known, e.op === "add" ? Number(by.value) : -Number(by.value));
}

function assign(state: State, reg: Reg, known: Span | undefined): State {
  const key = regKey(reg);
  const set = state.set.has(key) ? state.set : new Set(state.set).add(key);
  if (key === TAIL) return { set, known: new Map() };
  if (known === undefined && !state.known.has(key)) return { set, known: state.known };
  const spans = new Map(state.known);
  spans.delete(key);
  if (known !== undefined) spans.set(key, known);
  return { set, known: spans };
}

function afterCall(state: State, { changes, exit }: Summary): State {
  const known = new Map(changes.has(TAIL) ? [] : [...state.known].filter(([key]) => !changes.has(key)));
  for (const [key, found] of exit.known) known.set(key, union(known.get(key), found));
  return { set: new Set([...state.set, ...exit.set]), known };
}

function meet(a: Flow, b: Flow): Flow {
  if (a === null || b === null) return a ?? b;
  if (a === b) return a;
  const set = a.set === b.set ? a.set : new Set([...a.set].filter((key) => b.set.has(key)));
  if (a.known === b.known) return { set, known: a.known };
  const known = new Map<string, Span>();
  for (const [key, mine] of a.known) {
    const theirs = b.known.get(key);
    const both = theirs === undefined ? null : intersection(mine, theirs);
    if (both !== null) known.set(key, both);
  }
  return { set, known };
}

const equalStates = (a: State, b: State): boolean =>
  a.set.size === b.set.size &&
  a.known.size === b.known.size &&
  [...a.set].every((key) => b.set.has(key)) &&
  [...a.known].every(([key, known]) => equalSpans(known, b.known.get(key)));
