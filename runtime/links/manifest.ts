/**
 * What a host must know of a program's module: JSON in its custom section "vrfc.program", written by src/program.ts. The first
 * bytes of the program's own state are in the section "vrfc.state".
 */

import { EXPORTS, MEMORY_IMPORT } from "../abi/exports.ts";
import { ABI_VERSION } from "../abi/image.ts";
import { FILTER_COUNTER_BYTES, MAP_BYTES } from "../abi/netfilter.ts";
import { PROGRAM_REGISTERS, programEntry, registerExport, THREAD_REGISTERS, tracedEntry } from "../abi/program.ts";
import { HOOKS, type Hook } from "../hooks.ts";
import { mapManifest, sha256 } from "../manifest.ts";
import { type Check, fits, flag, list, nullOr, oneOf, record, refuse, ShapeError, text, whole } from "../shape.ts";
import type { LinkedSet } from "./maps.ts";

export const PROGRAM_SECTION = "vrfc.program";
export const STATE_SECTION = "vrfc.state";
export const PROGRAM_SCHEMA = "vrfc.program/4";
/**
 * What a program's module imports: the memory it works in, and where in that its state is; of the module that it is attached to, registers
 * (PROGRAM_REGISTERS), but for XDP; and for several threads THREAD_REGISTERS.
 */
export const PROGRAM_IMPORTS = { ...MEMORY_IMPORT, state: "state" } as const;

export interface ProgramManifest {
  readonly schema: typeof PROGRAM_SCHEMA;
  /** ABI_VERSION of the compiler that made the module. */
  readonly abi: number;
  /** Version of that compiler. */
  readonly vrfc: string;
  readonly name: string;
  readonly hook: Hook;
  /** Whose packets it sees: at the hooks of the IP layer of which versions; at those of devices all frames, null. */
  readonly families: readonly (4 | 6 | null)[];
  /** Where the text puts it: the namespace, at the hooks of devices ifindexes, and the priority, signed. */
  readonly net: string;
  readonly devices: readonly number[];
  readonly priority: number;
  /** SHA-256 of the networks that it was compiled for: as Manifest.networks of a module that it fits. */
  readonly networks: string;
  /** It makes copies of frames (`dup`), which a module must send. */
  readonly copies: boolean;
  /** It was compiled for a module of several threads. */
  readonly threads: boolean;
  /**
   * Size of its own state, and where in that its first FILTER_COUNTER is. From there on stand so many bytes of which each of several threads has its
   * own, elsewhere, but for the LIMITs, which are there once.
   */
  readonly state: { readonly bytes: number; readonly counters: number; readonly ownBytes: number };
  readonly counters: readonly { readonly name: string | null }[];
  /** Those with a name that it asks. */
  readonly sets: readonly LinkedSet[];
  /** Most wasm instructions that it takes for a frame (CostManifest says of which length). */
  readonly cost: number;
}

export type ProgramErrorReason =
  | "not-wasm"
  | "no-manifest"
  | "malformed-manifest"
  | "wrong-abi"
  | "wrong-imports"
  | "wrong-exports"
  | "does-not-fit";

/** Why a program's module is refused. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
  readonly reason: ProgramErrorReason;

  constructor(reason: ProgramErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A module that was read and found good: it can be attached any number of times. */
export interface Program {
  readonly module: WebAssembly.Module;
  readonly manifest: ProgramManifest;
  /** First bytes of each link's state. */
  readonly state: Uint8Array;
  /** Of one for several threads the module's bytes, which the others compile it from; else none. */
  readonly wasm: Uint8Array;
}

/** @throws ProgramError when it is no program's module, or one that this runtime does not understand */
export async function loadProgram(wasm: Uint8Array<ArrayBuffer>): Promise<Program> {
  const module = await WebAssembly.compile(wasm).catch((error: unknown) => {
    throw new ProgramError("not-wasm", `not a WebAssembly module: ${error instanceof Error ? error.message : error}`);
  });
  return programOf(module, wasm);
}

/** @throws ProgramError as `loadProgram` */
export function programOf(module: WebAssembly.Module, wasm: Uint8Array): Program {
  const [section, another] = WebAssembly.Module.customSections(module, PROGRAM_SECTION);
  if (section === undefined || another !== undefined)
    throw new ProgramError("no-manifest", "this WebAssembly module is no program that vrfc made");
  const manifest = parse(section);
  const [state, second] = WebAssembly.Module.customSections(module, STATE_SECTION);
  if (state?.byteLength !== manifest.state.bytes || second !== undefined)
    throw new ProgramError("malformed-manifest", "the program's state is not as long as its manifest says");
  const isInside = ({ map: { record } }: LinkedSet) => record % 4 === 0 && record + MAP_BYTES <= manifest.state.bytes;
  if (!manifest.sets.every(isInside))
    throw new ProgramError("malformed-manifest", "the record of a map is not in the program's state");
  if (manifest.counters.length * FILTER_COUNTER_BYTES > manifest.state.ownBytes)
    throw new ProgramError("malformed-manifest", "the program's counters are not in its state");
  checkModule(module, manifest);
  return { module, manifest, state: new Uint8Array(state), wasm: manifest.threads ? wasm.slice() : wasm.slice(0, 0) };
}

function parse(section: ArrayBuffer): ProgramManifest {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(section));
  } catch {
    throw new ProgramError("malformed-manifest", "the program's manifest is not JSON");
  }
  const { abi } = Object(found);
  if (typeof abi === "number" && abi !== ABI_VERSION)
    throw new ProgramError("wrong-abi", `the program speaks ABI ${abi}, this runtime ABI ${ABI_VERSION}`);
  try {
    programManifest(found, "manifest");
    return found as ProgramManifest;
  } catch (error) {
    throw error instanceof ShapeError ? new ProgramError("malformed-manifest", error.message) : error;
  }
}

const MOST = 0x7fffffff;
const natural = whole(0, MOST);

const stateSizes = record<ProgramManifest["state"]>({ bytes: natural, counters: natural, ownBytes: natural });
const state: Check = (value, path) => {
  stateSizes(value, path);
  const { bytes, counters, ownBytes } = value as ProgramManifest["state"];
  if (counters + ownBytes > bytes) refuse(`${path}.ownBytes`, `at most ${bytes - counters}`, ownBytes);
};

const programManifest = record<ProgramManifest>({
  schema: oneOf(PROGRAM_SCHEMA),
  abi: natural,
  vrfc: text,
  name: text,
  hook: oneOf(...HOOKS),
  families: list(nullOr(oneOf(4, 6))),
  net: text,
  devices: list(natural),
  priority: whole(-MOST - 1, MOST),
  networks: sha256,
  copies: flag,
  threads: flag,
  state,
  counters: list(record<ProgramManifest["counters"][number]>({ name: nullOr(text) })),
  sets: list(record<LinkedSet>({ name: text, map: mapManifest })),
  cost: fits("a number", (value) => typeof value === "number"),
});

const IMPORTS: ReadonlyMap<string, WebAssembly.ImportExportKind> = new Map([
  [PROGRAM_IMPORTS.memory, "memory"],
  [PROGRAM_IMPORTS.state, "global"],
  ...[...PROGRAM_REGISTERS.reads, ...PROGRAM_REGISTERS.sets, ...Object.values(THREAD_REGISTERS)].map(
    (name) => [registerExport(name), "global"] as const,
  ),
]);

/** Names of the functions that a program's module exports, in pairs: that of the entry, and that of the one which traces. */
export const entriesOf = ({ hook, families }: ProgramManifest): (readonly [string, string])[] =>
  hook === "xdp"
    ? [[EXPORTS.process, EXPORTS.trace]]
    : families.map((family) => [programEntry(family), tracedEntry(programEntry(family))]);

/** Nothing else of the host is given to a program, and it has what is called. */
function checkModule(module: WebAssembly.Module, manifest: ProgramManifest): void {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    if (from !== PROGRAM_IMPORTS.module || IMPORTS.get(name) !== kind)
      throw new ProgramError("wrong-imports", `a program imports no ${kind} ${from}.${name}`);
  const exported = WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function");
  for (const name of entriesOf(manifest).flat())
    if (!exported.some((one) => one.name === name)) throw new ProgramError("wrong-exports", `no function ${name}`);
}
