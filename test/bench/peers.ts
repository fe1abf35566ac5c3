/**
 * `peers`: our look-ups and those of other people's libraries, on the same table and the same addresses, in turn within
 * one run. A peer is a process of its own that is told when to run (peers/dpdk.c has the protocol); it is measured by its
 * own clock, its answers are compared by checksum, and a peer that cannot be had is left out by name.
 *
 *   this process   blocks, dir24            -- sample --
 *   dpdk           rte_fib, rte_lpm, ...    -- sample --     round after round
 *
 * Packages of npm run in this process, beside ours and our loops over typed arrays (npm-peers.ts); those that compare one prefix
 * after the other on a slice of the table.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import { type PrefixColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import { buildDir24 } from "../../runtime/lpm/dir24.ts";
import { buildSpill, spillShape } from "../../runtime/lpm/spill.ts";
import { type Racer, race, racerOf } from "./harness.ts";
import { ADDRESSES, stridesOf } from "./lookup.ts";
import { buildNpmPeers, sliceOf } from "./npm-peers.ts";
import { buildPeer, checksum, Peer } from "./peer.ts";
import { type BenchOptions, FASTEST_PEER, type Group, type Report } from "./report.ts";
import { type Contestant, LookupRig } from "./rig.ts";
import { type Table, tablesOf } from "./tables.ts";

export async function peers(options: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "vrfc-peers-"));
  try {
    const built = buildPeer("dpdk", folder);
    const notes = new Set(built.ok ? [] : [`rte_fib, rte_lpm, rte_fib6, rte_lpm6: ${built.why}`]);
    const groups: Group[] = [];
    const size = options.quick ? 256 : 65536;
    for (const table of ([4, 6] as const).flatMap((family) => tablesOf(family, [size], options)))
      groups.push(
        ...(await compare(table, built.ok ? built.program : null, folder, options, notes)),
        ...(await compareNpm(table, false, options, notes)),
        ...(await compareNpm(sliceOf(table), true, options, notes)),
      );
    return { bench: "peers", unit: "look-ups, batches of 256", groups, notes: [...notes] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compare(
  { name, columns }: Table,
  program: string | null,
  folder: string,
  options: BenchOptions,
  notes: Set<string>,
): Promise<Group[]> {
  const { family } = columns;
  const rig = await LookupRig.of(columns, ours(columns), ADDRESSES[options.quick ? "quick" : family]);
  options.progress(`${name}: peers are building`);
  const peer = program === null ? null : await start(program, columns, folder, options.slow);
  try {
    for (const note of peer?.skipped ?? []) notes.add(`${note} (${name})`);
    const groups: Group[] = [];
    for (const stream of options.streams) {
      options.progress(`${name}, ${stream}`);
      const racers: Racer[] = [];
      for (const variant of rig.variants(stream, options.seed)) racers.push(await racerOf(variant));
      const expected = checksum(rig.answers);
      const theirs = (await peer?.racers(rig.addresses, expected, join(folder, "addresses"))) ?? [];
      const baseline = theirs.length > 0 ? theirs.map((racer) => racer.name) : [racers[0].name];
      const results = await race([...racers, ...theirs], { rounds: options.rounds, baseline });
      const what = theirs.length > 0 ? FASTEST_PEER : racers[0].name;
      groups.push({ table: name, family, prefixes: columns.lengths.length, stream, baseline: what, results });
    }
    return groups;
  } finally {
    await peer?.end();
  }
}

async function compareNpm(
  { name, columns }: Table,
  linear: boolean,
  options: BenchOptions,
  notes: Set<string>,
): Promise<Group[]> {
  const { family } = columns;
  const packages = await buildNpmPeers(columns, linear, notes, (what) => options.progress(`${name}: ${what}`));
  if (packages.length === 0) return [];
  const code = "javascript";
  const mine = ours(columns);
  const loops = new Map(
    mine.map(({ image }) => [image, { name: `typed arrays, ${image.kind}`, image, code } as const]),
  );
  const rig = await LookupRig.of(columns, [...mine, ...loops.values()], ADDRESSES[options.quick ? "quick" : family]);
  const groups: Group[] = [];
  for (const stream of options.streams) {
    options.progress(`${name}, ${stream}`);
    const racers: Racer[] = [];
    for (const variant of rig.variants(stream, options.seed)) racers.push(await racerOf(variant));
    for (const each of packages) racers.push(await each.racer(rig.addresses, rig.answers));
    const results = await race(racers, { rounds: options.rounds, baseline: packages.map((each) => each.name) });
    const prefixes = columns.lengths.length;
    groups.push({ table: `${name}, packages of npm`, family, prefixes, stream, baseline: FASTEST_PACKAGE, results });
  }
  return groups;
}

/** A baseline: of the packages the fastest at the median. */
const FASTEST_PACKAGE = "the fastest package";

function ours(columns: PrefixColumns): Contestant[] {
  const blocks = buildBlocks(columns);
  const dir24 = columns.family === 4 ? buildDir24(columns) : null;
  const spills = columns.family === 4 ? [null, [24]].map((strides) => buildSpill(columns, { strides })) : [];
  const portable = [8, 16].flatMap((lanes): Contestant[] => {
    const code = { lanes, specialised: true };
    const all: Contestant[] = [{ name: `vrfc blocks ${stridesOf(blocks)} x${lanes}`, image: blocks, code }];
    if (dir24 !== null) all.push({ name: `vrfc dir24 x${lanes}`, image: dir24, code });
    return all;
  });
  const simd = [blocks, ...spills.filter((image) => !spillShape(image).numbered)].map((image): Contestant => {
    return { name: `vrfc ${image.kind} ${stridesOf(image)} SIMD`, image, code: "simd" };
  });
  const spilled = spills.slice(0, 1).map((image): Contestant => {
    return { name: `vrfc spill ${stridesOf(image)} x16`, image, code: { lanes: 16, specialised: true } };
  });
  return [...portable, ...spilled, ...simd];
}

function start(program: string, columns: PrefixColumns, folder: string, slow: boolean): Promise<Peer> {
  const file = join(folder, "table");
  writeFileSync(file, recordsOf(columns));
  return Peer.start(program, [String(columns.family), file, ...(slow ? ["slow"] : [])]);
}

const RECORD = 24;

function recordsOf({ family, words, lengths, values }: PrefixColumns): Uint8Array {
  const bytes = new Uint8Array(lengths.length * RECORD);
  const view = new DataView(bytes.buffer);
  const width = wordsOf(family);
  for (let i = 0; i < lengths.length; i++) {
    for (let w = 0; w < width; w++) view.setUint32(RECORD * i + 4 * w, words[i * width + w]);
    view.setUint8(RECORD * i + 16, lengths[i]);
    view.setUint32(RECORD * i + 20, values[i], true);
  }
  return bytes;
}
