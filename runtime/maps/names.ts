/**
 * Names of what chains keep: sets, maps and counters. A table's are its own, so two tables may each have a `blocked`; a host then says
 * which, in nft's words and as far as it must:
 *
 *   blocked               the only one of this name
 *   filter blocked        of the only table `filter` that has one
 *   ip filter blocked
 */
export interface Named {
  /** null: a rule's own. */
  readonly name: string | null;
  /** FAMILY NAME; null: it stands outside of tables. */
  readonly table: string | null;
}

/** From the shortest on. */
function titles({ name, table }: Named): readonly string[] {
  if (name === null) return [];
  return table === null ? [name] : [name, `${table.slice(table.indexOf(" ") + 1)} ${name}`, `${table} ${name}`];
}

/** All that may be meant. */
export const called = <T extends Named>(all: readonly T[], name: string): T[] =>
  all.filter((one) => titles(one).includes(name));

/** The shortest name that no other of them has; null: it has no name. */
export const shortName = <T extends Named>(all: readonly T[], one: T): string | null =>
  titles(one).find((title) => called(all, title).length === 1) ?? titles(one).at(-1) ?? null;

/** Which of `all` takes the place of one elsewhere: of the same table, else the only one of its name. */
export function likeOf<T extends Named>(all: readonly T[], one: Named): T | null {
  if (one.name === null) return null;
  const same = all.filter(({ name }) => name === one.name);
  return same.find(({ table }) => table === one.table) ?? (same.length === 1 ? same[0] : null);
}
