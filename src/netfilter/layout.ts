/**
 * What of chains is in memory: counters, the buckets of limits, and what sets and maps are searched by. The records are
 * drawn in runtime/abi/netfilter.ts, the structures in runtime/maps/structure.ts.
 */
import type { Decision, Netfilter, SetDef } from "../../dsl/chain-model.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES, LIMIT_BYTES, MAP, MAP_BYTES } from "../../runtime/abi/netfilter.ts";
import { slotBytes } from "../../runtime/maps/hash.ts";
import type { Element } from "../../runtime/maps/shape.ts";
import { recordOf } from "../../runtime/maps/store.ts";
import { type SetStructure, setStructure } from "../../runtime/maps/structure.ts";
import type { ImageWriter } from "../image-writer.ts";
import type { Classifiers } from "./classifier/layout.ts";
import { decisionsOf, elementsOf } from "./maps.ts";
import { reached, writesPayload } from "./reach.ts";

/** A packet, with all headers that rules can reach. */
export const SCRATCH_BYTES = 66_000;
const PROBE_BYTES = 16;

/** What chains remember from packet to packet, and work with. */
export interface FilterState {
  /** First FILTER_COUNTER. */
  readonly counters: number;
  /** First LIMIT; they follow the counters. */
  readonly limits: number;
  /** Of both. */
  readonly stateBytes: number;
  /** Room for the bytes of a packet whose copy chains write into; 0: none does. */
  readonly scratch: number;
  /** Room for a key that is looked up where addresses are: 16 bytes. */
  readonly probe: number;
}

export interface NetfilterLayout extends FilterState {
  /** What the offsets count in. */
  readonly space: "image" | "state";
  /** By SetId. */
  readonly sets: readonly SetLayout[];
  readonly classifiers: Classifiers;
}

export interface SetLayout extends Omit<SetStructure, "words"> {
  readonly set: SetDef;
  /** Slots of a hash that a search sees at the most, as it is built. */
  readonly longest: number;
  /** What the offsets count in. */
  readonly space: "image" | "state";
  /** Of a named set, which may change: its MAP record, which says where in memory the rest is. 0: the set does not change. */
  readonly record: number;
  /** Its elements, by place where they are compared one by one. */
  readonly elements: readonly Element[];
  /** Offset of the structure; 0: none. */
  readonly offset: number;
  /** Offset of the value of place 1; 0: none. */
  readonly values: number;
  /** Of a verdict map: what its values count in. */
  readonly decisions: readonly Decision[];
}

export function layoutFilterState(image: ImageWriter, name: string, netfilter: Netfilter): FilterState {
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
  const cloned = netfilter.hooks.filter(({ hook }) => hook === "postrouting").flatMap(({ chains }) => chains);
  const writes = writesPayload(reached(netfilter, cloned));
  const scratch = image.reserve(`${name} bytes of a copy`, writes ? SCRATCH_BYTES : 0);
  const looksUp = netfilter.sets.length + netfilter.chains.length + netfilter.programs.length > 0;
  const probe = image.reserve(`${name} key of a look-up`, looksUp ? PROBE_BYTES : 0);
  return { counters, limits, stateBytes: limits + limitBytes - counters, scratch: writes ? scratch : 0, probe };
}

/** What sets and maps are searched by. */
export const layoutSets = (
  image: ImageWriter,
  name: string,
  netfilter: Netfilter,
  space: NetfilterLayout["space"] = "image",
): SetLayout[] => netfilter.sets.map((set) => layoutSet(image, `${name} set ${nameOf(set)}`, netfilter, set, space));

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const nameOf = (set: SetDef): string => set.name ?? `#${set.id}`;

function layoutSet(
  image: ImageWriter,
  name: string,
  netfilter: Netfilter,
  set: SetDef,
  space: SetLayout["space"],
): SetLayout {
  const decisions = decisionsOf(netfilter, set);
  const elements = elementsOf(set, decisions);
  const built = setStructure(set, elements);
  const { words, ...structure } = built;
  const offset = image.reserveWords(`${name} ${structure.kind}`, words);
  const record = set.name === null ? 0 : image.reserve(`${name} record`, MAP_BYTES);
  if (record !== 0) image.words(record, MAP, recordOf(built, offset));
  const longest = structure.kind === "hash" ? longestSearch(words, slotBytes(set) / 4) : 0;
  return { ...structure, longest, record, elements, set, space, offset, values: offset + structure.values, decisions };
}

/** One slot more than there are taken ones behind one another; behind the last comes the first. A slot's first word is 0 when it is free. */
function longestSearch(words: Uint32Array, size: number): number {
  const slots = words.length / size;
  let [longest, run] = [0, 0];
  for (let i = 0; i < 2 * slots; i++) {
    run = words[(i % slots) * size] === 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  return Math.min(longest, slots) + 1;
}
