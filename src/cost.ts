/**
 * costsOf: the most wasm instructions that packets take in each namespace (plan/cost.ts), for `vrfc check --cost` and the manifest.
 *
 * A packet's way is a row of passes (plan/build/process.ts): one from where it comes in to where it leaves, ends, or is handed to a device
 * without a wire, which brings it back for another. Both are bounded, the passes of a packet and the instructions of each; their product
 * is a bound too, and says nothing, for no packet takes the dearest way each time.
 */
import type { HookChains } from "../dsl/chain-model.ts";
import type { Model } from "../dsl/model.ts";
import type { CostManifest, PointCost } from "../runtime/manifest.ts";
import type { Fib } from "./fib/fib.ts";
import type { Layout } from "./layout.ts";
import { LONGEST_PACKET, limitsOf } from "./limits.ts";
import { viewOf } from "./netfilter/view.ts";
import { type Context, contextOf } from "./plan/build/context.ts";
import { chainContext } from "./plan/build/netfilter/chain.ts";
import { hookProcName } from "./plan/build/netfilter/hook.ts";
import { programProcName } from "./plan/build/programs.ts";
import { planCost } from "./plan/cost.ts";
import type { Plan } from "./plan/ir.ts";

/** @param plan the hot build as buildPlan made it: inlining would hide the procs that are asked for */
export function costsOf(model: Model, layout: Layout, fibs: readonly Fib[], plan: Plan): CostManifest[] {
  const contexts = model.nets.map((_, index) => contextOf(model, layout, index));
  const limits = limitsOf(layout, fibs);
  const whole = planCost(plan, limits);
  const alone = planCost(plan, { ...limits, ...ALONE });
  /** A batch of one packet, and of two, with so many further passes each; the short way looks at each packet once. */
  const batches = [0, 1, 2].map((passes) =>
    [1, 2].map((packets) => planCost(plan, { ...limits, packets, passes, copies: 0, ...ALONE })),
  );
  const copy = planCost(plan, { ...limits, passes: 0 });
  const without = (...procs: readonly string[]): Costs =>
    planCost(
      plan,
      limits,
      contexts.flatMap((context) => procs.map(context.name)),
    );
  const forwarded4 = without("ipv6_rcv", "ip_local_deliver", "ip_error");
  const forwarded6 = without("ip_rcv", "ip6_input", "ip6_mc_input");
  return contexts.map((context): CostManifest => {
    const of = (costs: Costs, proc: string): number => atMost(Math.max(costs.get(context.name(proc)) ?? 0, 0));
    const [first, second, third] = batches.map(([one, two]) => beyond(of(one, "process"), of(two, "process")));
    const copies = copy.get(context.name("copy"));
    return {
      pass: first,
      again: beyond(second, third),
      copy: copies === undefined ? null : atMost(copies),
      passes: limits.passes,
      forwarded4: of(forwarded4, "dev_receive"),
      forwarded6: of(forwarded6, "dev_receive"),
      shortWay: alone.get(context.name("fast_forward")) ?? null,
      packetBytes: LONGEST_PACKET,
      points: [...programPoints(context, whole), ...chainPoints(context, whole)],
    };
  });
}

/** Of a packet that is a group. */
const ALONE = { group: 1, eights: 0 };
type Costs = ReadonlyMap<string, number>;

/** Chains that jump to chains that jump can cost more than a number tells exactly; then this stands for it. */
export const MOST_COST = Number.MAX_SAFE_INTEGER;
const atMost = (cost: number): number => Math.min(cost, MOST_COST);
/** How much more the second is. */
const beyond = (less: number, more: number): number => (more === MOST_COST ? MOST_COST : more - less);

/** XDP and tc: of the programs that stand at a device, all that may have to be asked. */
function programPoints(context: Context, costs: Costs): PointCost[] {
  const { programs } = context.net.netfilter;
  const points = [...new Set(programs.map(({ hook, device }) => `${hook} ${device}`))];
  return points.map((point) => {
    const at = programs.filter(({ hook, device }) => `${hook} ${device}` === point);
    const attached = at.map((program) => ({
      name: program.name,
      instructions: atMost(costs.get(programProcName(context, program)) ?? 0),
    }));
    const instructions = attached.reduce((sum, one) => sum + one.instructions, 0);
    return { hook: at[0].hook, family: null, device: at[0].device, instructions: atMost(instructions), attached };
  });
}

/** At the hooks of devices the dearest device counts for all. */
function chainPoints(context: Context, costs: Costs): PointCost[] {
  return context.net.netfilter.hooks.map((point: HookChains) => {
    const { chainProc } = chainContext(context, viewOf(point));
    const attached = point.chains.map((id) => ({
      name: context.net.netfilter.chains[id].name,
      instructions: atMost(costs.get(chainProc(id)) ?? 0),
    }));
    const instructions = atMost(costs.get(hookProcName(context, point)) ?? 0);
    const { hook, family, device } = point;
    return { hook, family, device, instructions, attached };
  });
}
