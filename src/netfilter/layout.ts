/**
 * What of chains is in memory: counters, the buckets of limits, and what sets and maps are searched by. The records are
 * drawn in runtime/abi.ts, the structures in runtime/maps/structure.ts.
 */
import {
  type Decision,
  type FilterRule,
  type Netfilter,
  type SetDef,
  type SetElement,
  TC_ACTIONS,
  type Value,
  XDP_ACTIONS,
} from "../../dsl/chain-model.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, LIMIT, LIMIT_BYTES, MAP, MAP_BYTES } from "../../runtime/abi.ts";
import {
  boundBytes,
  lpmOrder,
  paddedRows,
  type SetStructure,
  setStructure,
  writeValue,
} from "../../runtime/maps/structure.ts";
import type { ImageWriter } from "../image-writer.ts";
import { reached, writesPayload } from "./reach.ts";

/** A packet, with all headers that rules can reach. */
export const SCRATCH_BYTES = 66_000;

export interface NetfilterLayout {
  /** What the offsets count in. */
  readonly space: "image" | "state";
  /** First FILTER_COUNTER. */
  readonly counters: number;
  /** First LIMIT; they follow the counters. */
  readonly limits: number;
  /** Of both. */
  readonly stateBytes: number;
  /** Room for the bytes of a packet whose copy chains write into; 0: none does. */
  readonly scratch: number;
  /** By SetId. */
  readonly sets: readonly SetLayout[];
}

export interface SetLayout extends Omit<SetStructure, "bytes"> {
  readonly set: SetDef;
  /** What the offsets count in. */
  readonly space: "image" | "state";
  /** Of a named set, which may change: its MAP record, where the program reads the rest of this from. 0: the set does not change. */
  readonly record: number;
  /** Its elements by number. */
  readonly elements: readonly SetElement[];
  /** Offset of the structure; 0: none. */
  readonly offset: number;
  /** Offset of the elements' values or decisions, by number; 0: none. */
  readonly values: number;
  /** Of a verdict map: what its values count in. */
  readonly decisions: readonly Decision[];
}

export function layoutNetfilter(
  image: ImageWriter,
  name: string,
  netfilter: Netfilter,
  space: NetfilterLayout["space"] = "image",
): NetfilterLayout {
  const counterBytes = netfilter.counters.length * FILTER_COUNTER_BYTES;
  const counters = image.reserve(`${name} chain counters`, counterBytes);
  image.view(counters, counterBytes, (bytes) => {
    const view = viewOf(bytes);
    for (const [i, { packets, bytes: sum }] of netfilter.counters.entries()) {
      view.setBigUint64(i * FILTER_COUNTER_BYTES + FILTER_COUNTER.packets, packets, true);
      view.setBigUint64(i * FILTER_COUNTER_BYTES + FILTER_COUNTER.bytes, sum, true);
    }
  });
  const limitBytes = netfilter.limits.length * LIMIT_BYTES;
  const limits = image.reserve(`${name} limits`, limitBytes);
  image.view(limits, limitBytes, (bytes) => {
    const view = viewOf(bytes);
    for (const [i, { max }] of netfilter.limits.entries()) view.setBigUint64(i * LIMIT_BYTES + LIMIT.tokens, max, true);
  });
  const sets = netfilter.sets.map((set) => layoutSet(image, `${name} set ${nameOf(set)}`, netfilter, set, space));
  const cloned = netfilter.hooks.filter(({ hook }) => hook === "postrouting").flatMap(({ chains }) => chains);
  const writes = writesPayload(reached(netfilter, cloned));
  const scratch = image.reserve(`${name} bytes of a copy`, writes ? SCRATCH_BYTES : 0);
  return { space, counters, limits, stateBytes: limits + limitBytes - counters, scratch: writes ? scratch : 0, sets };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const nameOf = (set: SetDef): string => set.name ?? `#${set.id}`;

function layoutSet(
  image: ImageWriter,
  name: string,
  netfilter: Netfilter,
  set: SetDef,
  space: SetLayout["space"],
): SetLayout {
  // Those of an attached program are its own, and stay as they are.
  const changes = set.name !== null && space === "image";
  const elements = set.storage === "lpm_trie" ? lpmOrder(set.elements) : set.elements;
  const { bytes, ...structure } = setStructure(changes ? set : { ...set, name: null }, elements);
  const offset = image.reserve(`${name} ${structure.kind}`, bytes.length);
  image.view(offset, bytes.length, (view) => view.set(bytes));
  const decisions: Decision[] = set.value === "verdict" && set.name !== null ? decisionsOf(netfilter, set) : [];
  const values = valuesOf(set, elements, structure, decisions);
  const at = image.reserve(`${name} values`, values.length);
  image.view(at, values.length, (view) => view.set(values));
  const record = !changes ? 0 : image.reserve(`${name} record`, MAP_BYTES);
  if (record !== 0)
    image.words(record, MAP, {
      structure: bytes.length === 0 ? 0 : offset,
      rows: structure.rows,
      values: values.length === 0 ? 0 : at,
      half: paddedRows(structure.rows) / 2,
    });
  return {
    ...structure,
    record,
    elements,
    set,
    space,
    offset: bytes.length === 0 ? 0 : offset,
    values: values.length === 0 ? 0 : at,
    decisions,
  };
}

/** Values by element number. @param decisions gets the different ones of a verdict map, in the order of their numbers */
function valuesOf(
  set: SetDef,
  elements: readonly SetElement[],
  { kind, rows }: Omit<SetStructure, "bytes">,
  decisions: Decision[],
): Uint8Array {
  if (set.value === null) return new Uint8Array(0);
  const bits = set.value === "verdict" ? 32 : set.value.bits;
  const size = boundBytes(bits);
  const array = kind === "array";
  const bytes = new Uint8Array((array ? rows : elements.length) * size);
  const view = new DataView(bytes.buffer);
  const numbers = new Map(decisions.map((decision, number) => [JSON.stringify(decision), number]));
  for (const [i, { key, value }] of elements.entries()) {
    const at = array ? Number(key[0].first) : i;
    if (set.value === "verdict") {
      const text = JSON.stringify(value);
      const number = numbers.get(text) ?? decisions.push(value as Decision) - 1;
      numbers.set(text, number);
      writeValue(view, at * size, number, bits);
    } else writeValue(view, at * size, value as Value, bits);
  }
  return bytes;
}

/** What a verdict map may be given to say: the words of whoever asks it, besides those that its elements say. */
function decisionsOf({ chains, programs }: Netfilter, { id }: SetDef): Decision[] {
  const asks = ({ rules }: { readonly rules: readonly FilterRule[] }) =>
    rules.some(({ steps }) => steps.some((step) => step.kind === "vmap" && step.map === id));
  const hooks = new Set(programs.filter(asks).map(({ hook }) => (hook === "xdp" ? "xdp" : "tc")));
  return [
    ...(chains.some(asks) ? (["accept", "drop", "continue", "return"] as const).map((kind) => ({ kind })) : []),
    ...(hooks.has("xdp") ? XDP_ACTIONS.map((action) => ({ kind: "xdp" as const, action })) : []),
    ...(hooks.has("tc") ? TC_ACTIONS.map((action) => ({ kind: "tc" as const, action })) : []),
  ];
}
