/** The engines of a model, one a namespace, in the order of `Model.nets`: the plain interpreter or compiled wasm. */
import type { Model } from "../dsl/model.ts";
import type { Engine } from "../runtime/engine.ts";

export type EngineKind = "compiled" | "reference";

export async function openEngines(model: Model, kind: EngineKind, level: 0 | 1 | 2 = 2): Promise<Engine[]> {
  if (kind === "reference") {
    const { referenceEngine } = await import("./reference/engine.ts");
    return model.nets.map((net) => referenceEngine(net, model.kernel));
  }
  const [{ compileModel }, { load }] = await Promise.all([import("./compile.ts"), import("../runtime/dataplane.ts")]);
  const dataplane = await load((await compileModel(model, { level })).artifact);
  return model.nets.map((net) => dataplane.net(net.name));
}
