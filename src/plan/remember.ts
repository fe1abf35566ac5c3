/**
 * Procs do not change, so what was found out about one, or made of one, is worth keeping beyond the plan that it was in: of two
 * compilations one after the other most procs are the same (adopt.ts).
 */
import { rememberedOf } from "../remember.ts";
import type { Proc } from "./ir.ts";

/** Of a proc, for different surroundings: the rounds of an optimisation, of the hot build and the traced one. */
const MOST_KEPT = 16;

export const rememberedOfProc = <T>() => rememberedOf<Proc, T>(MOST_KEPT);

/** One object for all sets of the same strings, whatever their order. */
export function interned(set: ReadonlySet<string>): ReadonlySet<string> {
  const key = [...set].sort().join(" ");
  const known = sets.get(key);
  if (known !== undefined) return known;
  sets.set(key, set);
  return set;
}
const sets = new Map<string, ReadonlySet<string>>();
