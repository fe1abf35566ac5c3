/**
 * dead-sets: a `set` whose register is set again, or forgotten, before anyone reads it. What the value called is still
 * called.
 *
 *     set a = b            ->                        set a = call f()     ->   do call f()
 *     set a = c                 set a = c            return 0                  return 0
 *
 * Liveness, backwards. A local lives from its sets to its last reading; at a return none does. Registers of the packet in
 * flight live at every return and call, unless no proc of the plan, nor of a module that it calls or that calls it, ever reads them:
 * then they do not live at all, and the plan ends up without them.
 */
import { remembered } from "../../remember.ts";
import { type Plan, type Step, tail } from "../ir.ts";
import { interned } from "../remember.ts";
import { expressions, hasCall, procMapper, readBy, regKey, skbReadIn, skbSetIn } from "../visit.ts";
import type { Only } from "./pass.ts";

const mapProcs = procMapper();

type Live = ReadonlySet<string>;

export function deadSets(plan: Plan, only?: Only): Plan {
  const read = interned(skbRead(plan));
  const procs = mapProcs(
    plan.procs,
    (body) => new Liveness(read).steps(body, read).steps,
    only,
    () => [read],
  );
  const named = new Set([...read, ...procs.flatMap(({ body }) => [...skbSetIn(body)])]);
  const skb = plan.skb.filter((reg) => named.has(regKey(reg)));
  return procs === plan.procs && skb.length === plan.skb.length ? plan : { procs, skb };
}

/** Keys of skb registers that some proc reads; `tail` always. */
function skbRead({ procs }: Plan): Live {
  const required = procs.flatMap(({ requires }) =>
    requires.flatMap(({ cursor }) => (cursor.scope === "skb" ? [regKey(cursor)] : [])),
  );
  const shared = procs.flatMap((proc) => (proc.shared?.reads ?? []).map(regKey));
  return new Set([regKey(tail), ...required, ...shared, ...procs.flatMap(({ body }) => [...skbReadIn(body)])]);
}

const keysRead: (step: Step) => ReadonlySet<string> = remembered((step) => new Set(readBy(step).map(regKey)));

class Liveness {
  /** Keys that live at a return, and at a call. */
  readonly #outside: Live;
  /** What lives behind each open label. */
  readonly #behind = new Map<string, Live>();

  constructor(outside: Live) {
    this.#outside = outside;
  }

  steps(body: readonly Step[], after: Live): { live: Live; steps: readonly Step[] } {
    const steps: Step[] = [];
    let live = after;
    for (const step of body.toReversed()) {
      const made = this.#step(step, live);
      live = made.live;
      if (made.step !== null) steps.push(made.step);
    }
    steps.reverse();
    const same = steps.length === body.length && steps.every((step, i) => step === body[i]);
    return { live, steps: same ? body : steps };
  }

  #step(step: Step, after: Live): { live: Live; step: Step | null } {
    switch (step.kind) {
      case "set": {
        const dead = !after.has(regKey(step.reg));
        if (dead && !hasCall(step.value)) return { live: after, step: null };
        const bare: Step | null = dead && step.value.kind === "call" ? { kind: "do", call: step.value } : null;
        const rest = new Set(after);
        rest.delete(regKey(step.reg));
        return { live: this.#reading(step, rest), step: bare ?? step };
      }
      case "if": {
        const then = this.steps(step.then, after);
        const otherwise = this.steps(step.otherwise, after);
        const same = then.steps === step.then && otherwise.steps === step.otherwise;
        const made = same ? step : { ...step, then: then.steps, otherwise: otherwise.steps };
        return { live: this.#reading(step, union(then.live, otherwise.live)), step: made };
      }
      case "guard": {
        const otherwise = this.steps(step.otherwise, after);
        const made = otherwise.steps === step.otherwise ? step : { ...step, otherwise: otherwise.steps };
        return { live: this.#reading(step, union(after, otherwise.live)), step: made };
      }
      case "block": {
        this.#behind.set(step.label, after);
        const body = this.steps(step.body, after);
        return { live: body.live, step: body.steps === step.body ? step : { ...step, body: body.steps } };
      }
      case "repeat":
        return this.#repeat(step, after);
      case "break":
        return { live: this.#behind.get(step.label)!, step };
      case "return":
        return { live: this.#reading(step, this.#outside), step };
      default:
        return { live: this.#reading(step, after), step };
    }
  }

  /** What lives at the end of a round lives at the start of the next: repeated until nothing is added. */
  #repeat(step: Step & { kind: "repeat" }, after: Live): { live: Live; step: Step } {
    this.#behind.set(step.label, after);
    let end = after;
    for (;;) {
      const body = this.steps(step.body, end);
      const start = union(end, body.live);
      if (start.size === end.size) {
        const made = body.steps === step.body ? step : { ...step, body: body.steps };
        return { live: this.#reading(step, start), step: made };
      }
      end = start;
    }
  }

  #reading(step: Step, after: Live): Live {
    const live = union(after, keysRead(step));
    return expressions(step).some(hasCall) ? union(live, this.#outside) : live;
  }
}

function union(live: Live, more: Iterable<string>): Live {
  let all: Set<string> | null = null;
  for (const key of more)
    if (!live.has(key)) {
      all ??= new Set(live);
      all.add(key);
    }
  return all ?? live;
}
