/** What a forwarder has counted since it started, over all the networks that it has forwarded for. */
import type { Counters, Dataplane } from "../../runtime/dataplane.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";

export interface DeviceCounters {
  readonly name: string;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  /** Frames that the device did not take. */
  lost: number;
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

/** Adds up what a module counts, and keeps it when another takes its place. */
export class Tally {
  readonly #devices = new Map<string, DeviceCounters>();
  readonly #hooks = { prerouting: 0, input: 0, forward: 0, output: 0, postrouting: 0 };
  /** Of modules that were replaced. */
  readonly #before = { verdicts: new Map<string, number>(), reasons: new Map<string, number>() };
  readonly #rulesBefore = new Map<string, { packets: number; bytes: number }>();
  readonly #routes = new Map<string, number>();
  #routeNames: readonly string[] = [];
  #routeCounts = new Float64Array(0);
  #loaded: { readonly dataplane: Dataplane; readonly net: number } | null = null;

  /** Another module counts from now on. @param routeNames by RouteId */
  load(dataplane: Dataplane, net: number, routeNames: readonly string[]): void {
    if (this.#loaded !== null) this.#keep(this.#loaded);
    this.#loaded = { dataplane, net };
    this.#routeNames = routeNames;
    this.#routeCounts = new Float64Array(routeNames.length + 1);
  }

  #keep({ dataplane, net }: { readonly dataplane: Dataplane; readonly net: number }): void {
    const { verdicts, reasons } = dataplane.counters(net);
    addAll(this.#before.verdicts, verdicts);
    addAll(this.#before.reasons, reasons);
    for (const { name, packets, bytes } of rulesOf(dataplane, net)) {
      const known = this.#rulesBefore.get(name) ?? { packets: 0, bytes: 0 };
      this.#rulesBefore.set(name, { packets: known.packets + packets, bytes: known.bytes + bytes });
    }
    for (const { name, packets } of this.#routesNow()) this.#routes.set(name, packets);
  }

  #routesNow(): { name: string; packets: number }[] {
    const sum = new Map(this.#routes);
    this.#routeNames.forEach((name, id) => {
      const packets = this.#routeCounts[id + 1];
      if (packets > 0) sum.set(name, (sum.get(name) ?? 0) + packets);
    });
    return [...sum].map(([name, packets]) => ({ name, packets }));
  }

  device(name: string): DeviceCounters {
    const known = this.#devices.get(name);
    if (known !== undefined) return known;
    const fresh = { name, rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, lost: 0 };
    this.#devices.set(name, fresh);
    return fresh;
  }

  /** @param route column `route`: RouteId + 1, 0: none */
  route(route: number): void {
    if (route < this.#routeCounts.length) this.#routeCounts[route]++;
  }

  /** A packet passed the hooks that lead from its entry to its verdict; one that was dropped or refused on its way is not counted. */
  passed(entry: number, verdict: number): void {
    if (entry === Entry.OUTPUT) this.#hooks.output++;
    else this.#hooks.prerouting++;
    if (verdict === Verdict.LOCAL) this.#hooks.input++;
    else {
      if (entry === Entry.RECEIVE) this.#hooks.forward++;
      this.#hooks.postrouting++;
    }
  }

  read(): Reading {
    const { dataplane, net } = this.#loaded!;
    const now: Counters = dataplane.counters(net);
    return {
      schema: "vrfc.counters/1",
      time: performance.now(),
      devices: [...this.#devices.values()],
      hooks: { ...this.#hooks },
      verdicts: summed(this.#before.verdicts, now.verdicts),
      reasons: summed(this.#before.reasons, now.reasons),
      rules: rulesOf(dataplane, net).map(({ name, packets, bytes }) => {
        const before = this.#rulesBefore.get(name) ?? { packets: 0, bytes: 0 };
        return { name, packets: packets + before.packets, bytes: bytes + before.bytes };
      }),
      routes: this.#routesNow(),
    };
  }
}

function rulesOf(dataplane: Dataplane, net: number): { name: string; packets: number; bytes: number }[] {
  const { counters } = dataplane.manifest.nets[net].chains;
  return dataplane.nets[net].readCounters().map(({ packets, bytes }, i) => ({
    name: counters[i].name ?? `counter ${i + 1}`,
    packets: Number(packets),
    bytes: Number(bytes),
  }));
}

function addAll(into: Map<string, number>, counted: Readonly<Record<string, bigint>>): void {
  for (const [name, value] of Object.entries(counted)) into.set(name, (into.get(name) ?? 0) + Number(value));
}

/** Those that are not 0. */
function summed(
  before: ReadonlyMap<string, number>,
  counted: Readonly<Record<string, bigint>>,
): Record<string, number> {
  const sum = new Map(before);
  addAll(sum, counted);
  return Object.fromEntries([...sum].filter(([, value]) => value !== 0));
}
