/** A lab from a model: every namespace with an engine of the wanted kind, and the host side configured as the model says. */
import type { Model } from "../dsl/model.ts";
import type { Engine } from "../runtime/engine.ts";
import { createLab, type Lab, type LabOptions } from "../runtime/lab/lab.ts";
import { type EngineSource, openEngines } from "./engines.ts";
import { netConfig } from "./net-config.ts";

export interface OpenLabOptions extends LabOptions {
  /** Of the compiled engine; 0 by default. */
  readonly level?: 0 | 1 | 2;
}

export async function openLab(model: Model, kind: EngineSource, options: OpenLabOptions = {}): Promise<Lab> {
  return labOf(model, await openEngines(model, kind, options.level), options);
}

/** @param engines of the model's namespaces */
export const labOf = (model: Model, engines: readonly Engine[], options: LabOptions = {}): Lab =>
  createLab(
    model.nets.map((net, i) => ({ config: netConfig(net), engine: engines[i] })),
    options,
  );
