/**
 * What a packet can cost, before anything is compiled: the most wasm instructions (plan/cost.ts) of a whole packet in each namespace,
 * and of each of its base chains with all that it leads to.
 *
 *   namespace host: at most 12034 instructions a packet
 *     chain edge, forward, IPv4: at most 310
 */
import type { HookChains } from "../dsl/chain-model.ts";
import type { Model, Net } from "../dsl/model.ts";
import { buildFib } from "./fib/build.ts";
import { type Layout, layout } from "./layout.ts";
import { contextOf } from "./plan/build/context.ts";
import { buildPlan } from "./plan/build/index.ts";
import { chainContext } from "./plan/build/netfilter/chain.ts";
import { viewOf } from "./plan/build/netfilter/view.ts";
import { planCost } from "./plan/cost.ts";
import { optimize, withoutTrace } from "./plan/optimize.ts";

/** @param model all of which can be compiled (src/supported.ts) */
export function costReport(model: Model): string {
  const image = layout(model, buildFib(model));
  // Level 1 leaves the procs as they are, so that each can be asked for.
  const costs = planCost(optimize(withoutTrace(buildPlan(model, image)), 1));
  return model.nets.map((net, index) => ofNet(model, image, net, index, costs)).join("");
}

type Costs = ReadonlyMap<string, number>;

function ofNet(model: Model, image: Layout, net: Net, index: number, costs: Costs): string {
  const context = contextOf(model, image, index);
  const lines = net.netfilter.hooks.flatMap((hook) =>
    hook.chains.map((id) => {
      const { name } = net.netfilter.chains[id];
      const cost = costs.get(chainContext(context, viewOf(hook)).chainProc(id));
      return `  chain ${name}, ${hook.hook}${whose(net, hook)}: ${cost === undefined ? "no packet comes here" : `at most ${cost}`}\n`;
    }),
  );
  const packet = costs.get(context.name("packet")) ?? 0;
  return `namespace ${net.name}: at most ${packet} instructions a packet\n${lines.join("")}`;
}

function whose(net: Net, { family, device }: HookChains): string {
  if (family !== null) return `, IPv${family}`;
  return ` of ${net.devices.find(({ ifindex }) => ifindex === device)?.name ?? device}`;
}
