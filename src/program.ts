/**
 * compileProgram: one XDP program as a wasm module of its own, to be attached to a loaded module while packets flow (runtime/links.ts).
 *
 *   module = wasm: imports vrfc.memory, vrfc.state; exports process, trace
 *            custom section "vrfc.program" { manifest as JSON }      runtime/program-manifest.ts
 *            custom section "vrfc.state" { first bytes of its state }
 *
 * It reads the devices of the module that it is attached to where that has them, so both must be of the same networks; the manifest
 * says which devices it knows and where. Its counters, buckets and sets are its own.
 */
import type { Netfilter, Program, SetDef } from "../dsl/chain-model.ts";
import type { Model } from "../dsl/model.ts";
import { ABI_VERSION, EXPORTS, IMAGE } from "../runtime/abi.ts";
import {
  PROGRAM_IMPORTS,
  PROGRAM_SCHEMA,
  PROGRAM_SECTION,
  type ProgramManifest,
  STATE_SECTION,
} from "../runtime/program-manifest.ts";
import { customSection } from "./artifact.ts";
import { buildFib } from "./fib/build.ts";
import { ImageWriter } from "./image-writer.ts";
import { layout } from "./layout.ts";
import { limitsOf } from "./limits.ts";
import { layoutFilterState, layoutSets, type NetfilterLayout } from "./netfilter/layout.ts";
import { expressionsOfStep, leadsTo, reached, stepsOf } from "./netfilter/reach.ts";
import { buildXdpPlan } from "./plan/build/xdp_module.ts";
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
  readonly wat: () => string;
}

/**
 * @param which the program's name; the first of this name in the model's namespaces
 * @throws RangeError when there is none, or when it is no XDP program
 */
export async function compileProgram(model: Model, which: string, level: Level = 2): Promise<CompiledProgram> {
  const found = model.nets.flatMap(({ netfilter }, net) =>
    netfilter.programs.filter(({ name }) => name === which).map((program) => ({ net, program })),
  )[0];
  if (found === undefined) throw new RangeError(`no program ${which} in this text`);
  const { net, program } = found;
  if (program.hook !== "xdp")
    throw new RangeError(`${which} is a program of ${program.hook}: those are compiled into the packet path`);
  const { netfilter } = model.nets[net];
  const state = new ImageWriter();
  // Structures are addressed from a little before their start.
  state.reserve("before", STATE_MARGIN);
  const used = usedOnly(netfilter, program);
  const own: NetfilterLayout = {
    space: "state",
    ...layoutFilterState(state, program.name, used),
    sets: layoutSets(state, program.name, used, "state"),
  };
  const fibs = buildFib(model);
  const image = layout(model, fibs);
  const plan = buildXdpPlan(model, image, net, program, own);
  const hot = withoutTrace(plan);
  for (const one of [plan, hot]) {
    const violations = validatePlan(one);
    if (violations.length > 0) throw new Error(`internal error: the plan is not valid\n${violations.join("\n")}`);
  }
  const module = await emitModule(
    [
      { plan: optimize(hot, level), suffix: "" },
      {
        plan: optimize(plan, level === 0 ? 0 : 1),
        suffix: ".trace",
        exports: { [EXPORTS.process]: EXPORTS.trace },
      },
    ],
    {
      segments: [],
      initialPages: 1,
      maximumPages: MAXIMUM_PAGES,
      traceRegion: { cursor: IMAGE.traceCursor, end: IMAGE.traceEnd, lost: IMAGE.traceLost },
      level,
      imports: PROGRAM_IMPORTS,
    },
  );
  const bytes = state.bytes();
  const manifest: ProgramManifest = {
    schema: PROGRAM_SCHEMA,
    abi: ABI_VERSION,
    vrfc: VERSION,
    name: program.name,
    hook: program.hook,
    net: model.nets[net].name,
    device: program.device,
    image: { net: image.nets[net].offset, devices: [...image.nets[net].devices] },
    state: { bytes: bytes.length, counters: own.counters },
    counters: netfilter.counters.map(({ name }) => ({ name })),
    // A frame's, without the loop over the batch.
    cost: planCost(hot, limitsOf(image, fibs)).get(`xdp.${net}`) ?? 0,
  };
  const json = new TextEncoder().encode(JSON.stringify(manifest));
  const artifact = customSection(customSection(module.wasm, PROGRAM_SECTION, json), STATE_SECTION, bytes);
  return { artifact, manifest, plan, wat: module.wat };
}

const STATE_MARGIN = 64;
/** As the main module's (src/compile.ts). */
const MAXIMUM_PAGES = 32768;

/** The same ids, with nothing in the sets that the program does not ask. */
function usedOnly(netfilter: Netfilter, program: Program): Netfilter {
  const steps = stepsOf([program, ...reached(netfilter, leadsTo(netfilter, program.rules))]);
  const used = new Set(
    steps.flatMap((step) => [
      ...(step.kind === "lookup" ? [step.set] : step.kind === "vmap" || step.kind === "count" ? [step.map] : []),
      ...[...expressionsOfStep(step)].flatMap((e) => (e.kind === "map" ? [e.map] : [])),
    ]),
  );
  const sets = netfilter.sets.map((set): SetDef => (used.has(set.id) ? set : { ...set, elements: [] }));
  return { ...netfilter, hooks: [], sets };
}
