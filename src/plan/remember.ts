/**
 * Procs do not change, so what was found out about one, or made of one, is worth keeping beyond the plan that it was in: of two
 * compilations one after the other most procs are the same (adopt.ts).
 */
import type { Proc } from "./ir.ts";

/** What `find` says of a proc, found anew when one of the things is another that it depends on besides. */
export function rememberedOf<T>(): (proc: Proc, given: readonly unknown[], find: () => T) => T {
  const known = new WeakMap<Proc, readonly { readonly given: readonly unknown[]; readonly found: T }[]>();
  return (proc, given, find) => {
    const before = known.get(proc) ?? [];
    const same = before.find((one) => one.given.length === given.length && one.given.every((it, i) => it === given[i]));
    if (same !== undefined) return same.found;
    const found = find();
    known.set(proc, [{ given, found }, ...before.slice(0, MOST_KEPT - 1)]);
    return found;
  };
}

/** Of a proc, for different surroundings: the rounds of an optimisation, of the hot build and the traced one. */
const MOST_KEPT = 16;

/** One object for all sets of the same strings, whatever their order. */
export function interned(set: ReadonlySet<string>): ReadonlySet<string> {
  const key = [...set].sort().join(" ");
  const known = sets.get(key);
  if (known !== undefined) return known;
  sets.set(key, set);
  return set;
}
const sets = new Map<string, ReadonlySet<string>>();
