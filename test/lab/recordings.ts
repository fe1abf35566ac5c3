/** The recordings of a real kernel (Debian's 6.1.192) under test/kernel, and the engines that answer in its place. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { EngineKind } from "../../src/engines.ts";
import type { Scenario } from "../../src/scenario.ts";

export const ENGINES: readonly EngineKind[] = ["reference", "compiled"];

const readJson = (file: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../kernel/${file}`, import.meta.url))).toString());

export const readScenarios = (file: string): Scenario[] => readJson(file) as Scenario[];

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
