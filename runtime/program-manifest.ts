/**
 * What a host must know of a program's module: JSON in its custom section "vrfc.program", written by src/program.ts. The first
 * bytes of the program's own state are in the section "vrfc.state".
 */
import { ABI_VERSION, MEMORY_IMPORT } from "./abi.ts";

export const PROGRAM_SECTION = "vrfc.program";
export const STATE_SECTION = "vrfc.state";
export const PROGRAM_SCHEMA = "vrfc.program/1";
/** The two things that a program's module imports: the memory it works in, and where in that its state is. */
export const PROGRAM_IMPORTS = { ...MEMORY_IMPORT, state: "state" } as const;

export interface ProgramManifest {
  readonly schema: typeof PROGRAM_SCHEMA;
  /** ABI_VERSION of the compiler that made the module. */
  readonly abi: number;
  /** Version of that compiler. */
  readonly vrfc: string;
  readonly name: string;
  readonly hook: "xdp";
  /** The namespace and the ifindex of the device that the text puts it on. */
  readonly net: string;
  readonly device: number;
  /** What it reads of the module that it is attached to: offsets of the NET record, and of the DEVICE of each ifindex. */
  readonly image: { readonly net: number; readonly devices: readonly (readonly [number, number])[] };
  /** Size of its own state, and where in that its first FILTER_COUNTER is. */
  readonly state: { readonly bytes: number; readonly counters: number };
  readonly counters: readonly { readonly name: string | null }[];
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
}

/** @throws ProgramError when it is no program's module, or one that this runtime does not understand */
export async function loadProgram(wasm: Uint8Array<ArrayBuffer>): Promise<Program> {
  const module = await WebAssembly.compile(wasm).catch((error: unknown) => {
    throw new ProgramError("not-wasm", `not a WebAssembly module: ${error instanceof Error ? error.message : error}`);
  });
  const [section, another] = WebAssembly.Module.customSections(module, PROGRAM_SECTION);
  if (section === undefined || another !== undefined)
    throw new ProgramError("no-manifest", "this WebAssembly module is no program that vrfc made");
  const manifest = parse(section);
  const [state, second] = WebAssembly.Module.customSections(module, STATE_SECTION);
  if (state?.byteLength !== manifest.state.bytes || second !== undefined)
    throw new ProgramError("malformed-manifest", "the program's state is not as long as its manifest says");
  checkModule(module);
  return { module, manifest, state: new Uint8Array(state) };
}

function parse(section: ArrayBuffer): ProgramManifest {
  let found: Partial<Record<keyof ProgramManifest, unknown>>;
  try {
    found = Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(section)));
  } catch {
    throw new ProgramError("malformed-manifest", "the program's manifest is not JSON");
  }
  if (typeof found.abi === "number" && found.abi !== ABI_VERSION)
    throw new ProgramError("wrong-abi", `the program speaks ABI ${found.abi}, this runtime ABI ${ABI_VERSION}`);
  const bad = Object.entries(CHECKS).find(([field, good]) => !good(found[field as keyof ProgramManifest]));
  if (bad !== undefined)
    throw new ProgramError("malformed-manifest", `the program's manifest has no good \`${bad[0]}\``);
  return found as unknown as ProgramManifest;
}

const text = (value: unknown): boolean => typeof value === "string";
const whole = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0x7fffffff;
const pair = (value: unknown): boolean => Array.isArray(value) && value.length === 2 && value.every(whole);
const fields = (value: unknown): Record<string, unknown> => Object(value);

const CHECKS: Readonly<Record<keyof ProgramManifest, (value: unknown) => boolean>> = {
  schema: (value) => value === PROGRAM_SCHEMA,
  abi: whole,
  vrfc: text,
  name: text,
  hook: (value) => value === "xdp",
  net: text,
  device: whole,
  image: (value) => {
    const { net, devices } = fields(value);
    return whole(net) && Array.isArray(devices) && devices.every(pair);
  },
  state: (value) => {
    const { bytes, counters } = fields(value);
    return whole(bytes) && whole(counters) && counters <= bytes;
  },
  counters: (value) => Array.isArray(value) && value.every((one) => [null, "string"].includes(nameType(one))),
  cost: (value) => typeof value === "number",
};

const nameType = (counter: unknown): string | null => {
  const { name } = fields(counter);
  return name === null ? null : typeof name;
};

const IMPORTS: Readonly<Record<string, WebAssembly.ImportExportKind>> = {
  [PROGRAM_IMPORTS.memory]: "memory",
  [PROGRAM_IMPORTS.state]: "global",
};

/** Nothing else of the host is given to a program, and it has what the host calls. */
function checkModule(module: WebAssembly.Module): void {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    if (from !== PROGRAM_IMPORTS.module || IMPORTS[name] !== kind)
      throw new ProgramError("wrong-imports", `a program imports no ${kind} ${from}.${name}`);
  const exported = WebAssembly.Module.exports(module).filter(({ kind }) => kind === "function");
  for (const name of ["process", "trace"])
    if (!exported.some((one) => one.name === name)) throw new ProgramError("wrong-exports", `no function ${name}`);
}
