/**
 * A table by words of a user's text. What it lacks is undefined, `constructor` and `__proto__` too, which objects inherit.
 */
export const wordTable = <T extends object>(entries: T): Readonly<T> =>
  Object.assign<T, T>(Object.create(null), entries);
