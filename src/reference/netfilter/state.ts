/**
 * What chains are and remember from packet to packet: counters, token buckets, and the elements of named sets and maps.
 * k:net/netfilter/nft_counter.c, nft_limit.c nft_limit_eval.
 */
import type {
  Chain,
  ChainHook,
  Limit,
  LimitId,
  Netfilter,
  SetElement,
  SetId,
  Value,
} from "../../../dsl/chain-model.ts";
import type { RuleCounter } from "../../../runtime/engine.ts";
import { counterValue, readCounter } from "../../../runtime/maps/shape.ts";
import { type SetState, stateOf } from "./elements.ts";

export class NetfilterState {
  readonly model: Netfilter;
  /** By CounterId. */
  readonly counters: RuleCounter[];
  /** Nanoseconds; the host's clock. */
  now = 0n;
  /** By SetId. */
  readonly sets: readonly SetState[];
  readonly #buckets: { tokens: bigint; last: bigint }[];
  readonly #hooks: ReadonlyMap<string, readonly Chain[]>;

  constructor(model: Netfilter) {
    this.model = model;
    this.counters = model.counters.map(({ packets, bytes }) => ({ packets, bytes }));
    this.sets = model.sets.map(stateOf);
    this.#buckets = model.limits.map(({ max }) => ({ tokens: max, last: 0n }));
    this.#hooks = new Map(
      model.hooks.map(({ hook, family, device, chains }) => [
        hookKey(hook, family, device),
        chains.map((id) => model.chains[id]),
      ]),
    );
  }

  /** The base chains of a hook, in the order in which they judge; of a device's hook, with `family` null. */
  attached(hook: ChainHook, family: 4 | 6 | null, device: number | null): readonly Chain[] {
    return this.#hooks.get(hookKey(hook, family, device)) ?? [];
  }

  set(id: SetId): SetState {
    return this.sets[id];
  }

  count(id: number, bytes: number): void {
    const { packets, bytes: before } = this.counters[id];
    this.counters[id] = { packets: packets + 1n, bytes: before + BigInt(bytes) };
  }

  /** @param element of an array one that nothing was counted for yet is not in the list */
  countElement(id: SetId, element: SetElement, length: number): void {
    const { packets, bytes } = readCounter(element.value as Value);
    const value = counterValue(packets + 1n, bytes + BigInt(length));
    const { sets } = this;
    const at = sets[id].elements.indexOf(element);
    if (at < 0) sets[id].elements.push({ key: element.key, value });
    else sets[id].elements[at] = { key: element.key, value };
  }

  /** nft_limit_eval: does the rule go on? */
  take(id: LimitId, bytes: number): boolean {
    const limit = this.model.limits[id];
    const bucket = this.#buckets[id];
    let tokens = bucket.tokens + this.now - bucket.last;
    if (tokens > limit.max) tokens = limit.max;
    const cost = costOf(limit, bytes);
    bucket.last = this.now;
    const enough = tokens >= cost;
    bucket.tokens = enough ? tokens - cost : tokens;
    return enough !== limit.over;
  }
}

const hookKey = (hook: ChainHook, family: 4 | 6 | null, device: number | null): string => `${hook} ${family} ${device}`;

/** Nanoseconds that a packet takes to be earned. */
const costOf = ({ unit, rate, per }: Limit, bytes: number): bigint =>
  unit === "packets" ? per / rate : (per * BigInt(bytes)) / rate;
