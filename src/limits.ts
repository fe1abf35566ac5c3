/**
 * limitsOf: what bounds the loops of a plan (Bound of plan/ir.ts), by the tables as they are compiled and for packets to a length. A host
 * that adds routes, neighbours or elements afterwards can make loops longer.
 */
import { DEVICE } from "../runtime/abi/device.ts";
import { TABLE } from "../runtime/abi/fib.ts";
import { NET } from "../runtime/abi/net.ts";
import { RULES_OF_PAGE, RULES_OF_WORD, WORDS_OF_PAGE } from "../runtime/abi/rules.ts";
import { DEFAULT_SLOT_SIZE } from "../runtime/batch.ts";
import { BLOCKS } from "../runtime/lpm/blocks.ts";
import { MOST_LEVELS } from "../runtime/lpm/blocks-update.ts";
import { LINEAR } from "../runtime/lpm/linear.ts";
import type { LpmKind } from "../runtime/lpm/lpm.ts";
import { RANGES } from "../runtime/lpm/ranges.ts";
import { SPILL } from "../runtime/lpm/spill.ts";
import { NeighbourTable } from "../runtime/neighbour.ts";
import type { Fib } from "./fib/fib.ts";
import type { Layout } from "./layout.ts";
import { GROUP } from "./plan/build/fast_stages.ts";
import type { Limits } from "./plan/cost.ts";
import { MAX_PASSES } from "./reference/passes.ts";
import { rememberedOf } from "./remember.ts";

/** Bytes: what fits into a slot of the usual size of a batch. */
export const LONGEST_PACKET = DEFAULT_SLOT_SIZE;

const most = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), 0);

export function limitsOf(layout: Layout, fibs: readonly Fib[]): Limits {
  const rules = most(layout.nets.flatMap(({ ruleLists }) => [ruleLists[4]?.rules ?? 0, ruleLists[6]?.rules ?? 0]));
  const { levels, ...ofRoutes } = remembered(layout.networks, fibs, () => limitsOfNetworks(layout, fibs));
  return {
    ...ofRoutes,
    // A map's may be built anew, with other levels.
    levels: Math.max(levels, hasPrefixes(layout) || rules > 0 ? MOST_LEVELS : 0),
    headers: (LONGEST_PACKET >> 3) + 1,
    words: LONGEST_PACKET >> 2,
    tags: (LONGEST_PACKET >> 2) + 1,
    bytes: LONGEST_PACKET,
    rules,
    rulePages: Math.ceil(rules / RULES_OF_PAGE),
    ruleWords: Math.min(Math.ceil(rules / RULES_OF_WORD), WORDS_OF_PAGE),
    ruleBits: Math.min(rules, RULES_OF_WORD),
    passes: MAX_PASSES,
    // What is attached has a cost of its own (ProgramManifest).
    links: 0,
    group: GROUP,
    eights: GROUP >> 3,
    packets: Number.POSITIVE_INFINITY,
    copies: Number.POSITIVE_INFINITY,
  };
}

/** What does not change with rules and chains. */
type OfNetworks = Pick<
  Limits,
  "hops" | "aliases" | "covers" | "levels" | "rows" | "devices" | "addresses" | "groups" | "neighbours"
>;
const remembered = rememberedOf<Uint8Array, OfNetworks>(1);

function limitsOfNetworks({ nets, networks }: Layout, fibs: readonly Fib[]): OfNetworks {
  const view = new DataView(networks.buffer, networks.byteOffset, networks.byteLength);
  const word = (at: number): number => view.getUint32(at, true);
  const ofDevices = (field: number): number[] =>
    nets.flatMap(({ devices }) => [...devices.values()].map((device) => word(device + field)));
  /** Every look-up structure of a kind. */
  const imagesOf = (kind: LpmKind): number[] =>
    nets
      .flatMap(({ tables, tables6, addresses }) => [...tables.values(), ...tables6.values(), addresses])
      .flatMap((table) => (table.kind === kind ? [word(table.offset + TABLE.image)] : []));
  /** A word of each of them. */
  const ofTables = (kind: LpmKind, field: number): number[] => imagesOf(kind).map((at) => word(at + field));
  const blocks = [
    ...imagesOf("blocks"),
    ...imagesOf("spill").flatMap((at) => [at + SPILL.MAIN, at + word(at + SPILL.REST)]),
  ];
  return {
    hops: most(fibs.flatMap(({ hopLists }) => hopLists.map((list) => list.length))),
    aliases: most(fibs.flatMap(({ entries }) => entries.map(({ aliases }) => aliases.length))),
    // And the round that finds no more.
    covers:
      most([...fibs.map(deepest), ...nets.flatMap(({ tables }) => [...tables.values()].map(({ depth }) => depth))]) + 1,
    levels: most([...blocks.map((at) => word(at + BLOCKS.LEVELS)), ...ofTables("ranges", RANGES.LEVELS)]),
    rows: most(ofTables("linear", LINEAR.COUNT)),
    // The outgoing device and its VRF come before them.
    devices: most(nets.map(({ devices }) => devices.size)) + 2,
    addresses: most(ofDevices(DEVICE.addressCount6)),
    groups: most(ofDevices(DEVICE.groupCount6)),
    // At most half of the slots are taken, one behind the other at the worst; the next one ends the search.
    neighbours: most(
      nets.map(({ offset }) => new NeighbourTable(networks, word(offset + NET.neighbours)).slots / 2 + 1),
    ),
  };
}

const hasPrefixes = ({ nets }: Layout): boolean =>
  nets.some(({ netfilter }) => netfilter.sets.some(({ kind }) => kind === "lpm"));

/** Prefixes of a table that contain one another, at the most. Those that contain a prefix stand before it. */
function deepest({ entries }: Fib): number {
  const depths: number[] = [];
  for (const { cover } of entries) depths.push(1 + (cover === null ? 0 : depths[cover]));
  return most(depths);
}
