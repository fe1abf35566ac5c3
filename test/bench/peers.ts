/**
 * `peers`: our look-ups and those of other people's libraries, on the same table and the same addresses, in turn within
 * one run. A peer is a process of its own that is told when to run (peers/dpdk.c has the protocol); it is measured by its
 * own clock, its answers are compared by checksum, and a peer that cannot be had is left out by name.
 *
 *   this process   blocks, dir24            -- sample --
 *   dpdk           rte_fib, rte_lpm, ...    -- sample --     round after round
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import { type PrefixColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import { buildDir24 } from "../../runtime/lpm/dir24.ts";
import { type Racer, race, racerOf, WrongAnswer } from "./harness.ts";
import { ADDRESSES, stridesOf } from "./lookup.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { type Contestant, LookupRig } from "./rig.ts";
import { type Table, tablesOf } from "./tables.ts";

export async function peers(options: BenchOptions): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "vrfc-peers-"));
  try {
    const built = buildProgram(folder);
    const notes = new Set(built.ok ? [] : [built.why]);
    const groups: Group[] = [];
    const size = options.quick ? 256 : 65536;
    for (const table of ([4, 6] as const).flatMap((family) => tablesOf(family, [size], options)))
      groups.push(...(await compare(table, built.ok ? built.program : null, folder, options, notes)));
    return { bench: "peers", unit: "look-ups, batches of 256", groups, notes: [...notes] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Built = { readonly ok: true; readonly program: string } | { readonly ok: false; readonly why: string };

/** The source beside this file, or in the source tree that this file was compiled from. */
const SOURCES = ["./peers/dpdk.c", "../../../test/bench/peers/dpdk.c"];

function buildProgram(folder: string): Built {
  const why = (what: string): Built => ({ ok: false, why: `rte_fib, rte_lpm, rte_fib6, rte_lpm6: ${what}` });
  const source = SOURCES.map((path) => new URL(path, import.meta.url).pathname).find(existsSync);
  if (source === undefined) return why("peers/dpdk.c is not there");
  const flags = (kind: string) => spawnSync("pkg-config", [kind, "libdpdk"], { encoding: "utf8" });
  const [cflags, libs] = [flags("--cflags"), flags("--libs")];
  if (cflags.status !== 0 || libs.status !== 0) return why("apt-get install gcc pkg-config libdpdk-dev");
  const program = join(folder, "dpdk");
  const words = (text: string): string[] => text.trim().split(/\s+/);
  const args = ["-O3", ...words(cflags.stdout), "-march=native", "-o", program, source, ...words(libs.stdout)];
  const gcc = spawnSync("gcc", args, { encoding: "utf8" });
  return gcc.status === 0 ? { ok: true, program } : why(gcc.stderr ?? "apt-get install gcc");
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
  const peer = program === null ? null : await Peer.start(program, columns, folder, options.slow);
  try {
    for (const note of peer?.skipped ?? []) notes.add(`${note} (${name})`);
    const groups: Group[] = [];
    for (const stream of options.streams) {
      options.progress(`${name}, ${stream}`);
      const racers: Racer[] = [];
      for (const variant of rig.variants(stream, options.seed)) racers.push(await racerOf(variant));
      const expected = checksum(rig.answers);
      const theirs = (await peer?.racers(rig.addresses, expected)) ?? [];
      const baseline = theirs.length > 0 ? theirs.map((racer) => racer.name) : [racers[0].name];
      const results = await race([...racers, ...theirs], { rounds: options.rounds, baseline });
      const what = theirs.length > 0 ? "the fastest peer" : racers[0].name;
      groups.push({ table: name, family, prefixes: columns.lengths.length, stream, baseline: what, results });
    }
    return groups;
  } finally {
    await peer?.end();
  }
}

function ours(columns: PrefixColumns): Contestant[] {
  const blocks = buildBlocks(columns);
  const dir24 = columns.family === 4 ? buildDir24(columns) : null;
  const portable = [8, 16].flatMap((lanes): Contestant[] => {
    const code = { lanes, specialised: true };
    const all: Contestant[] = [{ name: `vrfc blocks ${stridesOf(blocks)} x${lanes}`, image: blocks, code }];
    if (dir24 !== null) all.push({ name: `vrfc dir24 x${lanes}`, image: dir24, code });
    return all;
  });
  const simd = columns.family === 4;
  return [
    ...portable,
    ...(simd ? [{ name: `vrfc blocks ${stridesOf(blocks)} SIMD`, image: blocks, code: "simd" as const }] : []),
  ];
}

/** As the peers compute it: the sum of value * (index + 1) modulo 2^32. */
function checksum(answers: Uint32Array): number {
  let sum = 0;
  for (let i = 0; i < answers.length; i++) sum = (sum + Math.imul(answers[i], i + 1)) >>> 0;
  return sum;
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

/** A running program of peers. */
class Peer {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #folder: string;
  readonly #names: string[] = [];
  /** `NAME REASON` of what does not hold the table. */
  readonly skipped: string[] = [];

  private constructor(process: ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  static async start(program: string, columns: PrefixColumns, folder: string, slow: boolean): Promise<Peer> {
    const file = join(folder, "table");
    writeFileSync(file, recordsOf(columns));
    const args = [String(columns.family), file, ...(slow ? ["slow"] : [])];
    const peer = new Peer(spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] }), folder);
    for (;;) {
      const [word, name, ...rest] = (await peer.#line()).split(" ");
      if (word === "done") return peer;
      if (word === "ready") peer.#names.push(name);
      else if (word === "skip") peer.skipped.push(`${name}: ${rest.join(" ")}`);
    }
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("a program of peers ended");
    return value;
  }

  async #ask(command: string): Promise<number> {
    this.#process.stdin!.write(`${command}\n`);
    return Number((await this.#line()).split(" ")[1]);
  }

  /** @throws WrongAnswer */
  async racers(addresses: Uint8Array, expected: number): Promise<Racer[]> {
    const file = join(this.#folder, "addresses");
    writeFileSync(file, addresses);
    const count = await this.#ask(`stream ${file}`);
    for (const name of this.#names) {
      const sum = await this.#ask(`check ${name}`);
      if (sum !== expected) throw new WrongAnswer(`${name}: checksum ${sum}, not ${expected}`);
      await this.#ask(`run ${name}`);
    }
    return this.#names.map((name) => ({ name, sample: async () => (await this.#ask(`run ${name}`)) / count }));
  }

  async end(): Promise<void> {
    this.#process.stdin!.end();
    if (this.#process.exitCode === null) await once(this.#process, "exit");
  }
}
