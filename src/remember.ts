/**
 * What was found out about a thing that does not change, or made of it, is worth keeping: of two compilations one after the other most is
 * the same, procs (plan/adopt.ts) and, where only rules or chains have changed, all that routes become. Kept as long as the thing itself is.
 */

/**
 * What `find` says of a thing, found anew when something else is another that it depends on besides.
 * @param most how many answers are kept of a thing, for different surroundings
 */
export function rememberedOf<K extends object, T>(
  most: number,
): (of: K, given: readonly unknown[], find: () => T) => T {
  const known = new WeakMap<K, readonly { readonly given: readonly unknown[]; readonly found: T }[]>();
  return (of, given, find) => {
    const before = known.get(of) ?? [];
    const same = before.find((one) => one.given.length === given.length && one.given.every((it, i) => it === given[i]));
    if (same !== undefined) return same.found;
    const found = find();
    known.set(of, [{ given, found }, ...before.slice(0, most - 1)]);
    return found;
  };
}

/** The same for what depends on nothing besides. */
export function remembered<K extends object, V extends object>(find: (of: K) => V): (of: K) => V {
  const known = new WeakMap<K, V>();
  return (of) => {
    const before = known.get(of);
    if (before !== undefined) return before;
    const found = find(of);
    known.set(of, found);
    return found;
  };
}
