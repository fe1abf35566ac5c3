/**
 * The compiler, as the list of its stages:
 *
 *   Source -> parse, check (checkText) -> Model -> buildFib -> Fib[] -> layout -> Layout -> buildPlan, validatePlan -> Plan
 *          -> optimize, validatePlan -> Plan -> emitModule -> wasm -> buildManifest, writeArtifact -> artifact
 *
 * The module holds the plan twice: without its trace steps as `process`, with them as `trace`, so that a trace cannot differ
 * from what it explains. The first has a short way besides (plan/build/fast_forward.ts). Each form has a printer (`Compiled.print`, `vrfc dump`).
 */

import type { CheckOptions } from "../dsl/check.ts";
import { checkText } from "../dsl/check-text.ts";
import type { Diagnostic } from "../dsl/diagnostic.ts";
import type { Model } from "../dsl/model.ts";
import type { Source } from "../dsl/span.ts";
import { EXPORTS } from "../runtime/abi/exports.ts";
import { IMAGE, MAXIMUM_PAGES, PAGE_BYTES, WORKER } from "../runtime/abi/image.ts";
import type { Manifest } from "../runtime/manifest.ts";
import { buildManifest, writeArtifact } from "./artifact.ts";
import { buildFib } from "./fib/build.ts";
import type { Fib } from "./fib/fib.ts";
import { printFibs } from "./fib/print.ts";
import { type Layout, type LayoutOptions, layout, printLayout } from "./layout.ts";
import { adopt } from "./plan/adopt.ts";
import { buildPlan } from "./plan/build/index.ts";
import { worker } from "./plan/build/skb.ts";
import { procsByName } from "./plan/callgraph.ts";
import type { Plan, Proc } from "./plan/ir.ts";
import { type Level, optimize, optimizeHot, withoutTrace } from "./plan/optimize.ts";
import { printPlan } from "./plan/print.ts";
import { rememberedOfProc } from "./plan/remember.ts";
import { validatePlan } from "./plan/validate.ts";
import { type EmitOptions, emitModule, type Unit } from "./wasm/emit.ts";

/** The forms that `print` knows, besides those of the language. */
export type Stage = "fib" | "plan" | "layout" | "wat";

export interface BackEndOptions extends LayoutOptions {
  /** 0: as built; 1: optimised within procs; 2 (default): and between them, and by binaryen. */
  readonly level?: Level;
  /** false: without the short way (plan/build/fast_forward.ts), to be held against. */
  readonly fast?: boolean;
  /** A module for several threads, whose memory is shared (runtime/threads.ts); absent: one that imports nothing. */
  readonly threads?: boolean;
  /** Is told of each stage when it has ended, for who measures. */
  readonly done?: (stage: string) => void;
}

export interface CompileOptions extends CheckOptions, BackEndOptions {}

/** What a model becomes. */
export interface CompiledModel {
  /** The self-contained wasm module, manifest included. */
  readonly artifact: Uint8Array<ArrayBuffer>;
  readonly manifest: Manifest;
  readonly model: Model;
  readonly fibs: readonly Fib[];
  readonly layout: Layout;
  /** With its trace steps; optimised, but not across procs. */
  readonly plan: Plan;
  print(stage: Stage): string;
}

/** What a text becomes. Artifact, manifest and model are null when an error is among the diagnostics. */
export interface Compiled {
  readonly diagnostics: readonly Diagnostic[];
  readonly artifact: Uint8Array<ArrayBuffer> | null;
  readonly manifest: Manifest | null;
  readonly model: Model | null;
  /** Empty when nothing was compiled. */
  print(stage: Stage): string;
}

export async function compile(source: Source, options: CompileOptions = {}): Promise<Compiled> {
  const { model, diagnostics } = checkText(source.text, source.name, options);
  if (model === null) return { diagnostics, artifact: null, manifest: null, model: null, print: () => "" };
  return { ...(await compileModel(model, options)), diagnostics };
}

/** The stages behind the checker. */
export async function compileModel(
  model: Model,
  { level = 2, fast = true, threads = false, done = () => {}, ...places }: BackEndOptions = {},
): Promise<CompiledModel> {
  const fibs = buildFib(model);
  done("fib");
  const image = layout(model, fibs, places);
  done("layout");
  const { built, builtHot } = adopted(
    buildPlan(model, image, { threads }),
    buildPlan(model, image, { fast, threads, traced: false }),
  );
  done("plan");
  const { plan, hot } = optimized(built, builtHot, level);
  done("optimize");
  const module = await emitModule(units(hot, plan), emitOptions(image, level, threads));
  done("emit");
  const pages = threads ? pagesOf(image) : null;
  const manifest = await buildManifest({ model, fibs, layout: image, plan: withoutTrace(builtHot), pages });
  const artifact = writeArtifact(module.parts, manifest);
  done("artifact");
  const print = (stage: Stage): string => {
    switch (stage) {
      case "fib":
        return printFibs(fibs);
      case "layout":
        return printLayout(image);
      case "plan":
        return printPlan(plan);
      case "wat":
        return module.wat();
    }
  };
  return { artifact, manifest, model, fibs, layout: image, plan, print };
}

/** Both builds; where all procs are those of an earlier compilation, as when a rule of a long list is another, so is what they become. */
function optimized(built: Plan, builtHot: Plan, level: Level): { readonly plan: Plan; readonly hot: Plan } {
  const given = [level, built.skb, builtHot.skb, built.procs.length, ...built.procs, ...builtHot.procs];
  return knownOptimized(built.procs[0], given, () => {
    // Traces are taken of single packets: inlining them would cost more than it ever saves.
    const plan = valid(optimize(built, level === 0 ? 0 : 1));
    const hot = valid(optimizeHot(builtHot, { built, optimized: plan }, level));
    return { plan, hot };
  });
}
const knownOptimized = rememberedOfProc<{ readonly plan: Plan; readonly hot: Plan }>();

/** The same plan twice, under names of their own. */
const units = (hot: Plan, traced: Plan): Unit[] => [
  { plan: hot, suffix: "" },
  { plan: traced, suffix: ".trace", exports: { [EXPORTS.process]: EXPORTS.trace }, place: 1 },
];

const emitOptions = (image: Layout, level: Level, threads: boolean): EmitOptions => ({
  segments: threads ? [{ offset: 0, bytes: image.image }] : image.segments,
  initialPages: pagesOf(image).initial,
  maximumPages: pagesOf(image).maximum,
  traceRegion: traceRegion(threads ? { at: image.worker, ...WORKER } : { at: 0, ...IMAGE }),
  level,
  ...(threads ? { threads: worker } : {}),
});

const traceRegion = ({ at, traceCursor, traceEnd, traceLost }: { readonly at: number } & TraceWords) => ({
  cursor: at + traceCursor,
  end: at + traceEnd,
  lost: at + traceLost,
});
type TraceWords = Readonly<Record<"traceCursor" | "traceEnd" | "traceLost", number>>;

const pagesOf = ({ heap }: Layout) => ({ initial: Math.ceil(heap / PAGE_BYTES), maximum: MAXIMUM_PAGES });

/** The procs of the last compilation, of its two builds: the next one has most of them, and need not do their work again. */
let last: { readonly built: ReadonlyMap<string, Proc>; readonly builtHot: ReadonlyMap<string, Proc> } | null = null;

function adopted(traced: Plan, fast: Plan): { built: Plan; builtHot: Plan } {
  const built = last === null ? traced : adopt(traced, last.built);
  const builtHot = adopt(last === null ? fast : adopt(fast, last.builtHot), procsByName(built));
  last = { built: procsByName(built), builtHot: procsByName(builtHot) };
  return { built, builtHot };
}

/** @throws Error when the compiler itself has built nonsense */
function valid(plan: Plan): Plan {
  const violations = validatePlan(plan);
  if (violations.length > 0) throw new Error(`internal error: the plan is not valid\n${violations.join("\n")}`);
  return plan;
}
