/**
 * The structure that a set or map is searched by, and its bytes in the image. A search gives the place of the first element that holds
 * the key, counted from 1; 0: none does. The value of place p (a number, a decision, a counter) stands at `values + (p - 1) * stride`.
 *
 *   compares   few elements between braces: the tests are code; only values are in the image
 *   hash       keys without ranges, of any fields                  hash.ts
 *   interval   one field, sorted disjoint ranges                   interval.ts
 *   list       keys of several fields with ranges                  list.ts
 *   array      key 0 .. size - 1 is the place itself, less 1       array.ts
 *   lpm        prefixes, of which the longest decides              lpm.ts
 *
 * A compiler writes these bytes; a host changes those of a set with a name, where they stand, between batches (stores in the same files).
 * Everything is words of 32 bits, little-endian: bounds and values as the pieces of their width (4, 8, or 8 and 8 bytes, the upper first).
 */

import { isArray } from "../hooks.ts";
import { arrayOf } from "./array.ts";
import { hashOf } from "./hash.ts";
import { intervalsOf } from "./interval.ts";
import { listOf } from "./list.ts";
import { lpmOf } from "./lpm.ts";
import { type Element, type SetShape, valueWordsOf, writeWords } from "./shape.ts";
import type { Built } from "./store.ts";

export const SET_KINDS = ["compares", "interval", "hash", "list", "array", "lpm"] as const;
export type SetKind = (typeof SET_KINDS)[number];

/** More elements than these are not compared one by one. */
export const MOST_COMPARES = 8;

export interface SetStructure extends Built {
  readonly kind: SetKind;
  /** Why this one, for readers of the plan. */
  readonly why: string;
}

/** @param elements the first one that holds a key decides; of an `lpm_trie` the longest prefix */
export function setStructure(set: SetShape, elements: readonly Element[]): SetStructure {
  if (set.name !== null || isArray(set.storage)) return changing(set, elements);
  const ordered = set.storage === "lpm_trie" ? lpmOrder(elements) : elements;
  const count = `${elements.length} element${elements.length === 1 ? "" : "s"}`;
  if (elements.length <= MOST_COMPARES) return { ...valuesOnly(set, ordered), kind: "compares", why: count };
  const single = elements.every((element) => element.key.every(({ first, last }) => first === last));
  if (single) return { ...hashOf(set, ordered), kind: "hash", why: `${count}, no ranges` };
  if (set.key.length === 1)
    return { ...intervalsOf(set, ordered), kind: "interval", why: `${count}, ranges of one field` };
  return { ...listOf(set, ordered), kind: "list", why: `${count}, ranges of ${set.key.length} fields` };
}

/** A named set changes while packets flow, so what it is searched by follows from its declaration alone. */
function changing(set: SetShape, elements: readonly Element[]): SetStructure {
  const why = "named, it may change";
  switch (kindOfNamed(set)) {
    case "array":
      return { ...arrayOf(set, elements), kind: "array", why: "the key is an index" };
    case "lpm":
      return { ...lpmOf(set, elements), kind: "lpm", why: "the longest prefix decides" };
    case "interval":
      return { ...intervalsOf(set, elements), kind: "interval", why };
    case "list":
      return { ...listOf(set, elements), kind: "list", why };
    case "hash":
      return { ...hashOf(set, elements), kind: "hash", why };
  }
}

/** What a named set or map is searched by. */
export function kindOfNamed({
  storage,
  interval,
  key,
}: Pick<SetShape, "storage" | "interval" | "key">): Exclude<SetKind, "compares"> {
  if (isArray(storage)) return "array";
  if (storage === "lpm_trie") return "lpm";
  if (!interval) return "hash";
  return key.length === 1 ? "interval" : "list";
}

/** Longest prefix first: where the first element that holds a key decides, it is the longest. */
const lpmOrder = <T extends Pick<Element, "key">>(elements: readonly T[]): T[] =>
  elements.toSorted(({ key: [a] }, { key: [b] }) => {
    const [one, other] = [BigInt(a.last) - BigInt(a.first), BigInt(b.last) - BigInt(b.first)];
    return one < other ? -1 : one > other ? 1 : 0;
  });

function valuesOnly(set: SetShape, elements: readonly Element[]): Built {
  const width = valueWordsOf(set);
  const words = new Uint32Array(elements.length * width);
  for (const [i, { value }] of elements.entries()) writeWords(words, i * width, value, width);
  const count = elements.length;
  return {
    words,
    rows: count,
    room: count,
    count,
    values: 0,
    stride: 4 * width,
    valueBytes: words.length * 4,
    columns: 0,
  };
}
