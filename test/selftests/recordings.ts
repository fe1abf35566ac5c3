/** Recordings of the kernel's answers to the selftests, one compressed file a script. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Answer, Scenario } from "../../src/scenario.ts";
import type { Script } from "./selftest.ts";

/** What became of a set-up command. */
export interface CommandOutcome {
  readonly cmd: string;
  /** Exit status. */
  readonly rc: number;
  readonly err?: string;
}
export interface KernelAnswer extends Answer {
  readonly setup: readonly CommandOutcome[];
}
/** A scenario with the kernel's answers. */
export interface Recording extends Scenario {
  readonly expect: KernelAnswer;
}

/** `fcnal-test`, `fcnal-test-sockets`, `forwarding-router` */
export const recordingName = ({ script, part }: Script): string =>
  [script.replace(/\.sh$/, "").replaceAll("/", "-"), ...(part === undefined ? [] : [part])].join("-");

const fileOf = (script: Script): URL => new URL(`recordings/${recordingName(script)}.json.gz`, import.meta.url);

/** Empty when the script was never recorded. */
export function readRecordings(script: Script): Recording[] {
  const file = fileOf(script);
  return existsSync(file) ? (JSON.parse(gunzipSync(readFileSync(file)).toString()) as Recording[]) : [];
}

export function writeRecordings(script: Script, recordings: readonly Recording[]): void {
  writeFileSync(fileOf(script), gzipSync(JSON.stringify(recordings), { level: 9 }));
}
