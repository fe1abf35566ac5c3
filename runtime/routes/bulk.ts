/** Many changes of a table at once. */
import type { Node } from "../lpm/trie.ts";

/** Changes that are never worth a new structure, and how many times the routes they must be. */
const FEW = 64;
const MANY_TIMES = 4;

export interface BulkTable {
  readonly trie: {
    readonly size: number;
    forEach(visit: (node: Node) => void): void;
    valueOf(node: Node): number;
  };
  /** Counts of who has a value. */
  readonly entries: { use(value: number): void; release(value: number): void };
  /** Its structure, once it is asked for one that changes. */
  structure(): { inBulk(changes: () => void, release: (value: number) => void): void };
  /** Tells programs where things are now, whatever came of the changes. */
  publish(): void;
}

/** Runs so many changes: where the table is small beside them, with one new structure behind the last; then all or none. */
export function inBulk(count: number, changes: () => void, { trie, entries, structure, publish }: BulkTable): void {
  if (count <= FEW || count <= MANY_TIMES * trie.size) {
    changes();
    return;
  }
  const changing = structure();
  // What the table has stays, until nothing can take the changes back.
  const kept: number[] = [];
  trie.forEach((node) => {
    kept.push(trie.valueOf(node));
  });
  for (const value of kept) entries.use(value);
  try {
    changing.inBulk(changes, (value) => entries.release(value));
  } finally {
    publish();
  }
  for (const value of kept) entries.release(value);
}
