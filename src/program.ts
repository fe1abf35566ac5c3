/**
 * compileProgram: one program, or one base chain, as a wasm module of its own, to be attached to a loaded module while packets flow
 * (runtime/links/links.ts).
 *
 *   module = wasm: imports vrfc.memory, vrfc.state, and but for XDP the registers of PROGRAM_REGISTERS
 *                  exports its entries (plan/build/program_module.ts); XDP: process, trace
 *            custom section "vrfc.program" { manifest as JSON }      runtime/links/manifest.ts
 *            custom section "vrfc.state" { first bytes of its state }
 *
 * It reads the devices, tables and routes of the module that it is attached to where that has them, so both must be of the same
 * networks (networks.ts). Its counters, buckets and sets are its own.
 */
import type { Chain, HookChains, Netfilter, Program, SetDef } from "../dsl/chain-model.ts";
import type { Model } from "../dsl/model.ts";
import { EXPORTS } from "../runtime/abi/exports.ts";
import { ABI_VERSION, IMAGE, MAXIMUM_PAGES, WORKER } from "../runtime/abi/image.ts";
import { programEntry, STATE_BYTES, tracedEntry } from "../runtime/abi/program.ts";
import {
  PROGRAM_IMPORTS,
  PROGRAM_SCHEMA,
  PROGRAM_SECTION,
  type ProgramManifest,
  STATE_SECTION,
} from "../runtime/links/manifest.ts";
import type { LpmKind } from "../runtime/lpm/lpm.ts";
import { customSection } from "./artifact.ts";
import { buildFib } from "./fib/build.ts";
import { ImageWriter } from "./image-writer.ts";
import { layout } from "./layout.ts";
import { limitsOf } from "./limits.ts";
import { AHEAD_BYTES, type ClassifierOptions, LANES, layoutClassifiers } from "./netfilter/classifier/layout.ts";
import { layoutFilterState, layoutSets, type NetfilterLayout } from "./netfilter/layout.ts";
import { describeMap } from "./netfilter/maps.ts";
import { expressionsOfStep, leadsTo, reached, stepsOf, writesBytes } from "./netfilter/reach.ts";
import { networksDigest } from "./networks.ts";
import { LOOK_AHEAD } from "./plan/build/netfilter/look_ahead.ts";
import { type Attachable, attachedAlone, buildProgramPlan } from "./plan/build/program_module.ts";
import { area } from "./plan/build/skb.ts";
import { planCost } from "./plan/cost.ts";
import type { Plan } from "./plan/ir.ts";
import { type Level, optimize, withoutTrace } from "./plan/optimize.ts";
import { validatePlan } from "./plan/validate.ts";
import { VERSION } from "./version.ts";
import { emitModule } from "./wasm/emit.ts";

export interface CompiledProgram {
  readonly artifact: Uint8Array<ArrayBuffer>;
  readonly manifest: ProgramManifest;
  /** With its trace steps. */
  readonly plan: Plan;
  /** First bytes of its state. */
  readonly state: Uint8Array;
  readonly wat: () => string;
}

export interface ProgramOptions {
  readonly level?: Level;
  /** As of the module that it is attached to. */
  readonly lpm?: LpmKind;
  readonly classifiers?: ClassifierOptions;
  /** For a module of several threads. */
  readonly threads?: boolean;
}

/**
 * @param which the name of a program or of a base chain (or `TABLE NAME`); the first in the model's namespaces, programs before chains
 * @throws RangeError when there is none, or when it cannot stand alone
 */
export async function compileProgram(
  model: Model,
  which: string,
  { level = 2, lpm, classifiers, threads = false }: ProgramOptions = {},
): Promise<CompiledProgram> {
  const { net, what } = find(model, which);
  const { netfilter } = model.nets[net];
  const list = what.kind === "chain" ? what.chain : what.program;
  const chains = reached(netfilter, leadsTo(netfilter, list.rules));
  const steps = stepsOf([list, ...chains]);
  const at = placeOf(what);
  if (at.hook === "postrouting" && steps.some(writesBytes))
    throw new RangeError(`chain ${which} changes packets at postrouting, where copies must be put back: compile it in`);
  const state = new ImageWriter();
  // Structures are addressed from a little before their start.
  state.reserve("self", STATE_BYTES);
  const used = usedOnly(netfilter, [list, ...chains], steps);
  const filterState = layoutFilterState(state, which, used);
  const isXdp = what.kind === "program" && what.program.hook === "xdp";
  const ahead = isXdp ? state.reserve(`${which}: looked up ahead`, LANES * AHEAD_BYTES) : 0;
  const ownBytes = state.end() - filterState.counters;
  const own: NetfilterLayout = {
    space: "state",
    ...filterState,
    sets: layoutSets(state, which, used, "state"),
    classifiers: layoutClassifiers(state, which, { ...used, ...attachedAlone(what) }, classifiers, ahead),
  };
  const fibs = buildFib(model);
  const image = layout(model, fibs, lpm === undefined ? {} : { lpm });
  const plan = buildProgramPlan(model, image, net, what, own, threads);
  const hot = withoutTrace(plan);
  for (const one of [plan, hot]) {
    const violations = validatePlan(one);
    if (violations.length > 0) throw new Error(`internal error: the plan is not valid\n${violations.join("\n")}`);
  }
  const entries = isXdp ? null : at.families.map(programEntry);
  const traced = Object.fromEntries(
    entries === null ? [[EXPORTS.process, EXPORTS.trace]] : entries.map((entry) => [entry, tracedEntry(entry)]),
  );
  const module = await emitModule(
    [
      { plan: optimize(hot, level), suffix: "" },
      { plan: optimize(plan, level === 0 ? 0 : 1), suffix: ".trace", exports: traced },
    ],
    {
      segments: [],
      initialPages: 1,
      maximumPages: MAXIMUM_PAGES,
      traceRegion: traceRegion(threads ? WORKER : IMAGE),
      level,
      imports: PROGRAM_IMPORTS,
      ...(threads ? { threads: area } : {}),
    },
  );
  const bytes = state.parts().tail;
  // A frame's, without XDP's loop over the batch.
  const costs = planCost(hot, limitsOf(image, fibs));
  const manifest: ProgramManifest = {
    schema: PROGRAM_SCHEMA,
    abi: ABI_VERSION,
    vrfc: VERSION,
    name: list.name,
    ...at,
    net: model.nets[net].name,
    networks: await networksDigest(model, image),
    copies: steps.some(({ kind }) => kind === "dup"),
    threads,
    state: { bytes: bytes.length, counters: own.counters, ownBytes },
    counters: netfilter.counters.map(({ name }) => ({ name })),
    sets: own.sets.flatMap(({ set, record, decisions }) =>
      set.name === null ? [] : [{ name: set.name, map: { record, ...describeMap(used, set, decisions) } }],
    ),
    cost: Math.max(...(entries ?? [`xdp.${net}`]).map((entry) => costs.get(entry)!)) + aheadShare(costs, net),
  };
  const json = new TextEncoder().encode(JSON.stringify(manifest));
  const artifact = customSection(customSection(module.wasm, PROGRAM_SECTION, json), STATE_SECTION, bytes);
  return { artifact, manifest, plan, state: bytes, wat: module.wat };
}

/** What is looked up ahead for several frames at once counts for each as a share of it. */
const aheadShare = (costs: ReadonlyMap<string, number>, net: number): number =>
  Math.ceil((costs.get(`${LOOK_AHEAD}.${net}`) ?? 0) / LANES);

const traceRegion = ({ traceCursor, traceEnd, traceLost }: Readonly<Record<keyof typeof WORKER, number>>) => ({
  cursor: traceCursor,
  end: traceEnd,
  lost: traceLost,
});

function find({ nets }: Model, which: string): { readonly net: number; readonly what: Attachable } {
  const named = (one: Program | Chain) => one.name === which;
  for (const [net, { netfilter }] of nets.entries()) {
    const program = netfilter.programs.find(named);
    if (program !== undefined) return { net, what: { kind: "program", program } };
    const chain = netfilter.chains.find(
      (one) => one.base !== null && (named(one) || which === `${netfilter.tables[one.table].name} ${one.name}`),
    );
    if (chain !== undefined) return { net, what: { kind: "chain", chain, hooks: hooksOf(netfilter, chain) } };
  }
  throw new RangeError(`no program and no base chain ${which} in this text`);
}

/** One for each family; at a device's hook the chain is the same for every device. */
function hooksOf({ hooks }: Netfilter, { id }: Chain): HookChains[] {
  const own = hooks.filter(({ chains }) => chains.includes(id)).map((hook) => ({ ...hook, chains: [id] }));
  return own.filter(({ family }, i) => own.findIndex((one) => one.family === family) === i);
}

function placeOf(what: Attachable): Pick<ProgramManifest, "hook" | "families" | "devices" | "priority"> {
  if (what.kind === "program") {
    const { hook, device, priority } = what.program;
    return { hook, families: [null], devices: [device], priority };
  }
  const { hook, devices, priority } = what.chain.base!;
  return { hook, families: what.hooks.map(({ family }) => family), devices, priority };
}

/** The same ids, with nothing in the chains that the program does not lead to, and in the sets that it does not ask. */
function usedOnly(
  netfilter: Netfilter,
  lists: readonly (Chain | Program)[],
  steps: ReturnType<typeof stepsOf>,
): Netfilter {
  const used = new Set(
    steps.flatMap((step) => [
      ...(step.kind === "lookup" ? [step.set] : step.kind === "vmap" || step.kind === "count" ? [step.map] : []),
      ...[...expressionsOfStep(step)].flatMap((e) => (e.kind === "map" ? [e.map] : [])),
    ]),
  );
  const sets = netfilter.sets.map(
    (set): SetDef => (used.has(set.id) ? set : { ...set, name: null, storage: null, elements: [] }),
  );
  const chains = netfilter.chains.map((chain) => (lists.includes(chain) ? chain : { ...chain, rules: [] }));
  const programs = netfilter.programs.filter((program) => lists.includes(program));
  return { ...netfilter, hooks: [], sets, chains, programs };
}
