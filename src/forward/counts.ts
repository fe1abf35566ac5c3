/**
 * What one thread counts while it forwards by one network, in memory that the others read:
 *
 *   f64 hooks[5] | for each wire: rxPackets, rxBytes, txPackets, txBytes, lost | packets by RouteId + 1
 */
import { Entry, Verdict } from "../../runtime/verdict.ts";

export const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;
export const WIRE_COUNTERS = ["rxPackets", "rxBytes", "txPackets", "txBytes", "lost"] as const;
export type WireCounter = (typeof WIRE_COUNTERS)[number];

const HOOK = Object.fromEntries(HOOKS.map((name, i) => [name, i])) as Record<(typeof HOOKS)[number], number>;
const WIRE = Object.fromEntries(WIRE_COUNTERS.map((name, i) => [name, i])) as Record<WireCounter, number>;

export class Counts {
  readonly buffer: SharedArrayBuffer;
  readonly wires: number;
  readonly #cells: Float64Array;
  readonly #firstRoute: number;

  /** @param routes that are told apart; those behind are not counted */
  static fresh(wires: number, routes: number): Counts {
    const cells = HOOKS.length + wires * WIRE_COUNTERS.length + routes + 1;
    return new Counts(new SharedArrayBuffer(cells * 8), wires);
  }

  /** Those that another thread has made. */
  constructor(buffer: SharedArrayBuffer, wires: number) {
    this.buffer = buffer;
    this.wires = wires;
    this.#cells = new Float64Array(buffer);
    this.#firstRoute = HOOKS.length + wires * WIRE_COUNTERS.length;
  }

  /** @param place of the wire */
  received(place: number, packets: number, bytes: number): void {
    const at = HOOKS.length + place * WIRE_COUNTERS.length;
    this.#cells[at + WIRE.rxPackets] += packets;
    this.#cells[at + WIRE.rxBytes] += bytes;
  }

  sent(place: number, bytes: number): void {
    const at = HOOKS.length + place * WIRE_COUNTERS.length;
    this.#cells[at + WIRE.txPackets]++;
    this.#cells[at + WIRE.txBytes] += bytes;
  }

  lost(place: number, packets: number): void {
    this.#cells[HOOKS.length + place * WIRE_COUNTERS.length + WIRE.lost] += packets;
  }

  /** @param route column `route`: RouteId + 1, 0: none */
  routed(route: number): void {
    const at = this.#firstRoute + route;
    if (at < this.#cells.length) this.#cells[at]++;
  }

  /** A packet passed the hooks that lead from its entry to its verdict; one that was dropped or refused on its way is not counted. */
  passed(entry: number, verdict: number): void {
    const cells = this.#cells;
    cells[entry === Entry.OUTPUT ? HOOK.output : HOOK.prerouting]++;
    if (verdict === Verdict.LOCAL) cells[HOOK.input]++;
    else {
      if (entry === Entry.RECEIVE) cells[HOOK.forward]++;
      cells[HOOK.postrouting]++;
    }
  }

  hook(name: (typeof HOOKS)[number]): number {
    return this.#cells[HOOK[name]];
  }
  wire(place: number, name: WireCounter): number {
    return this.#cells[HOOKS.length + place * WIRE_COUNTERS.length + WIRE[name]];
  }
  /** @param id RouteId */
  route(id: number): number {
    return this.#cells[this.#firstRoute + id + 1] ?? 0;
  }
}
