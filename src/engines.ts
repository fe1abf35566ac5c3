/** The engines of a model, one a namespace, in the order of `Model.nets`: the plain interpreter or compiled wasm. */
import type { Model } from "../dsl/model.ts";
import type { Engine } from "../runtime/engine.ts";

export type EngineKind = "compiled" | "reference";
/** Or engines that somebody else opens, in the same order. */
export type EngineSource = EngineKind | ((model: Model) => Promise<readonly Engine[]>);

/**
 * Opens new engines; neighbours learned by earlier ones are forgotten. A model is compiled once a level; level 0 unless
 * asked otherwise, for the few packets of a lab do not repay any optimising.
 */
export async function openEngines(model: Model, kind: EngineSource, level: Level = 0): Promise<readonly Engine[]> {
  if (typeof kind === "function") return kind(model);
  if (kind === "reference") {
    const { referenceEngine } = await import("./reference/engine.ts");
    return model.nets.map((net) => referenceEngine(net, model.kernel));
  }
  const { load } = await import("../runtime/dataplane.ts");
  const dataplane = await load(await artifactOf(model, level));
  return dataplane.nets;
}

type Level = 0 | 1 | 2;
type Artifact = Uint8Array<ArrayBuffer>;

const artifacts = new WeakMap<Model, Map<Level, Promise<Artifact>>>();

function artifactOf(model: Model, level: Level): Promise<Artifact> {
  const levels = artifacts.get(model) ?? new Map<Level, Promise<Artifact>>();
  artifacts.set(model, levels);
  const artifact = levels.get(level) ?? compile(model, level);
  levels.set(level, artifact);
  return artifact;
}

async function compile(model: Model, level: Level): Promise<Artifact> {
  const { compileModel } = await import("./compile.ts");
  return (await compileModel(model, { level })).artifact;
}
