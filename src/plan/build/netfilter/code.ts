/** A rule being turned into steps: where it is, the registers it holds values in, and the way out when a test says no. */
import type { ChainId, SetDef } from "../../../../dsl/chain-model.ts";
import type { NetfilterLayout } from "../../../netfilter/layout.ts";
import { type Expr, expr, leave, local, type Step, set, typeOf, type ValueType } from "../../ir.ts";
import type { Context } from "../context.ts";
import type { View } from "./view.ts";
import type { Wide } from "./wide.ts";

/** What all rules of a chain share. */
export interface ChainContext {
  readonly context: Context;
  readonly view: View;
  /** Names of the procs of a chain, of a set. */
  chainProc(chain: ChainId): string;
  setProc(set: SetDef): string;
  readonly layout: NetfilterLayout;
}

/** Registers are numbered anew in each rule, so that a chain of a thousand rules needs no more than its longest rule. */
export class RuleCode {
  readonly chain: ChainContext;
  readonly steps: Step[] = [];
  /** Ends the rule: the next one follows. */
  readonly breaks: readonly Step[];
  readonly #next: Record<ValueType, number> = { i32: 0, i64: 0, v128: 0 };

  constructor(chain: ChainContext, label: string) {
    this.chain = chain;
    this.breaks = [leave(label)];
  }

  add(...steps: readonly Step[]): void {
    this.steps.push(...steps);
  }

  /** The value in a register, to be read more than once, or after what would change it. */
  hold(value: Expr): Expr {
    if (value.kind === "const") return value;
    const type = typeOf(value);
    const reg = local(`${type === "i32" ? "w" : "q"}${this.#next[type]++}`, type);
    this.add(set(reg, value));
    return expr(reg);
  }

  holdAll(value: Wide): Wide {
    return value.map((piece) => this.hold(piece));
  }
}
