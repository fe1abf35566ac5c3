/** Short ways to write plans in tests. */
import type { Plan, Proc, Reg, Step } from "../../src/plan/ir.ts";
import { tail } from "../../src/plan/ir.ts";

export const proc = (
  name: string,
  params: readonly Reg[],
  result: Proc["result"],
  body: readonly Step[],
  more: Partial<Proc> = {},
): Proc => ({ name, comment: "", params, result, requires: [], body, exported: true, ...more });

/** Not exported: called by others only. */
export const inner = (...[name, params, result, body, more = {}]: Parameters<typeof proc>): Proc =>
  proc(name, params, result, body, { exported: false, ...more });

export const planOf = (skb: readonly Reg[], ...procs: Proc[]): Plan => ({ procs, skb: [tail, ...skb] });
