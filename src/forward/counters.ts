/** What a forwarder has counted since it started, over all the networks that it has forwarded for. */
import type { Counters, Dataplane } from "../../runtime/dataplane.ts";
import { shortName } from "../../runtime/maps/names.ts";
import { type Counts, HOOKS, WIRE_COUNTERS, type WireCounter } from "./counts.ts";

/** `lost`: frames that the device did not take. */
export interface DeviceCounters extends Readonly<Record<WireCounter, number>> {
  readonly name: string;
}

/** One reading; plain JSON. */
export interface Reading {
  readonly schema: "vrfc.counters/1";
  /** Milliseconds, of a clock that never goes back. */
  readonly time: number;
  readonly devices: readonly DeviceCounters[];
  /** Packets that passed a netfilter hook, by its name. */
  readonly hooks: Readonly<Record<string, number>>;
  /** Packets by what became of them (Verdict), and of those dropped by why (DropReason). */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
  /** `counter` statements of chains, in their order. */
  readonly rules: readonly { readonly name: string; readonly packets: number; readonly bytes: number }[];
  /** Packets by the route that decided. */
  readonly routes: readonly { readonly name: string; readonly packets: number }[];
}

/** What is counted now: by a module, and by each thread. */
interface Counting {
  readonly dataplane: Dataplane;
  readonly net: number;
  /** By RouteId. */
  readonly routeNames: readonly string[];
  /** By place. */
  readonly wireNames: readonly string[];
  readonly threads: readonly Counts[];
}

/** Adds up what networks have counted: those that were replaced, and the one that forwards. */
export class Tally {
  readonly #devices = new Map<string, DeviceCounters>();
  readonly #hooks = new Map<string, number>();
  readonly #verdicts = new Map<string, number>();
  readonly #reasons = new Map<string, number>();
  readonly #rules = new Map<string, { packets: number; bytes: number }>();
  readonly #routes = new Map<string, number>();
  #now: Counting | null = null;

  /** Another network counts from now on. */
  load(counting: Counting): void {
    if (this.#now !== null) this.#keep(this.#now);
    this.#now = counting;
  }

  #keep({ dataplane, net, ...counting }: Counting): void {
    const { verdicts, reasons } = dataplane.counters(net);
    addAll(this.#verdicts, verdicts);
    addAll(this.#reasons, reasons);
    for (const { name, packets, bytes } of rulesOf(dataplane, net)) {
      const known = this.#rules.get(name) ?? { packets: 0, bytes: 0 };
      this.#rules.set(name, { packets: known.packets + packets, bytes: known.bytes + bytes });
    }
    addAll(this.#hooks, hooksOf(counting.threads));
    addAll(this.#routes, routesOf(counting));
    for (const device of this.#devicesWith(counting)) this.#devices.set(device.name, device);
  }

  /** Of all networks so far. */
  #devicesWith({ wireNames, threads }: Pick<Counting, "wireNames" | "threads">): DeviceCounters[] {
    const sum = new Map(this.#devices);
    for (const [place, name] of wireNames.entries()) {
      const before = this.#devices.get(name);
      const now = WIRE_COUNTERS.map((counter) => [
        counter,
        threads.reduce((total, counts) => total + counts.wire(place, counter), before?.[counter] ?? 0),
      ]);
      sum.set(name, { name, ...(Object.fromEntries(now) as Record<WireCounter, number>) });
    }
    return [...sum.values()];
  }

  read(): Reading {
    const counting = this.#now!;
    const { dataplane, net, threads } = counting;
    const now: Counters = dataplane.counters(net);
    const routes = summed(this.#routes, routesOf(counting));
    return {
      schema: "vrfc.counters/1",
      time: performance.now(),
      devices: this.#devicesWith(counting),
      hooks: { ...Object.fromEntries(HOOKS.map((name) => [name, 0])), ...summed(this.#hooks, hooksOf(threads)) },
      verdicts: summed(this.#verdicts, now.verdicts),
      reasons: summed(this.#reasons, now.reasons),
      rules: rulesOf(dataplane, net).map(({ name, packets, bytes }) => {
        const before = this.#rules.get(name) ?? { packets: 0, bytes: 0 };
        return { name, packets: packets + before.packets, bytes: bytes + before.bytes };
      }),
      routes: Object.entries(routes).map(([name, packets]) => ({ name, packets })),
    };
  }
}

const hooksOf = (threads: readonly Counts[]): Record<string, number> =>
  Object.fromEntries(HOOKS.map((name) => [name, threads.reduce((sum, counts) => sum + counts.hook(name), 0)]));

/** Several routes may read the same. */
function routesOf({ routeNames, threads }: Pick<Counting, "routeNames" | "threads">): Record<string, number> {
  const sum = new Map<string, number>();
  for (const [id, name] of routeNames.entries())
    for (const counts of threads) sum.set(name, (sum.get(name) ?? 0) + counts.route(id));
  return Object.fromEntries(sum);
}

function rulesOf(dataplane: Dataplane, net: number): { name: string; packets: number; bytes: number }[] {
  const { counters } = dataplane.manifest.nets[net].chains;
  return dataplane.nets[net].readCounters().map(({ packets, bytes }, i) => ({
    name: shortName(counters, counters[i]) ?? `counter ${i + 1}`,
    packets: Number(packets),
    bytes: Number(bytes),
  }));
}

function addAll(into: Map<string, number>, counted: Readonly<Record<string, bigint | number>>): void {
  for (const [name, value] of Object.entries(counted)) into.set(name, (into.get(name) ?? 0) + Number(value));
}

/** Those that are not 0. */
function summed(
  before: ReadonlyMap<string, number>,
  counted: Readonly<Record<string, bigint | number>>,
): Record<string, number> {
  const sum = new Map(before);
  addAll(sum, counted);
  return Object.fromEntries([...sum].filter(([, value]) => value !== 0));
}
