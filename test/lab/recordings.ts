/** The recordings of a real kernel (Debian's 6.1.192) under test/kernel, and the engines that answer in its place. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { type ReplayOptions, replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import type { Scenario } from "../../src/scenario.ts";

interface NamedEngine extends Pick<ReplayOptions, "engine" | "level"> {
  readonly name: string;
}
const UNOPTIMISED: NamedEngine = { name: "compiled, unoptimised", engine: "compiled", level: 0 };
const OPTIMISED: NamedEngine = { name: "compiled, optimised", engine: "compiled", level: 2 };
const REFERENCE: NamedEngine = { name: "reference", engine: "reference" };
export const ENGINES: readonly NamedEngine[] = [REFERENCE, UNOPTIMISED, OPTIMISED];
/** For many networks: an optimised one costs some seconds to compile. */
export const QUICK_ENGINES: readonly NamedEngine[] = [REFERENCE, UNOPTIMISED];

/** Milliseconds for a test that compiles several networks on a busy machine. */
export const COMPILE_TIMEOUT = 600_000;

const readJson = (file: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../kernel/${file}`, import.meta.url))).toString());

export const readScenarios = (file: string): Scenario[] => readJson(file) as Scenario[];

/** An engine sends the frames, passes the hooks and counts as the kernel did; @param all how many there are */
export async function expectRecorded(
  scenarios: readonly Scenario[],
  options: ReplayOptions,
  all: { readonly frames: number; readonly counters: number },
): Promise<void> {
  const { counts, differences } = compareAnswers(scenarios, await replay(scenarios, options));
  expect(differences).toEqual([]);
  expect(counts).toEqual([
    { kind: "counters", same: all.counters, total: all.counters },
    { kind: "frames", same: all.frames, total: all.frames },
    { kind: "hooks of frames", same: all.frames, total: all.frames },
  ]);
}

/** A step of `steps.json.gz`: a kernel function entered, a hook passed, an l3mdev rule tried or a table consulted. */
export interface KernelStep {
  readonly fn?: string;
  readonly hook?: string;
  readonly rule?: "l3mdev";
  readonly match?: boolean;
  /** Table id. */
  readonly fib?: number;
  readonly iif?: string | null;
  readonly oif?: string | null;
  readonly src?: string;
  readonly dst?: string;
  readonly dev?: string | null;
  readonly err?: number;
  readonly in?: string | null;
}
export interface KernelSteps {
  readonly case: string;
  readonly cmd: string;
  readonly rc: number;
  readonly steps: readonly KernelStep[];
}
export const readSteps = (): KernelSteps[] => readJson("steps.json.gz") as KernelSteps[];
