/**
 * What a module leaves to the one that takes its place. A changed rule list, address or chain is another module; between two batches
 * it is given what the old one has learned, and the packets:
 *
 *   const next = await load(wasm);
 *   const { neighbours, maps } = succeed(next, dataplane);
 *   dataplane = next;
 *
 * By the names of namespaces, devices, counters and maps (those of a table, else of the only one that has the name):
 *
 *   counters     of verdicts and drop reasons, and a chain's that have a name, count on
 *   neighbours   that were learned are known, unless the new text has that address itself
 *   maps         with a name, and with the same key, value and kind, keep their contents, as a pinned map of eBPF does
 *
 * Routes are those of the new text; programs are attached to the module that they were compiled for.
 */
import { COUNTERS, NET } from "./abi/net.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES } from "./abi/netfilter.ts";
import type { Dataplane } from "./dataplane.ts";
import type { NetManifest } from "./manifest.ts";
import { inherit, isAlike } from "./maps/inherit.ts";
import { likeOf, shortName } from "./maps/names.ts";
import { parseIp } from "./net/ip.ts";
import { DropReason, Verdict } from "./verdict.ts";

export interface Succession {
  /** Neighbours that the new module has learned from the old one. */
  readonly neighbours: number;
  /** Maps that have kept their contents. */
  readonly maps: readonly string[];
  /** Maps of the same name that have not, and why. */
  readonly refused: readonly { readonly map: string; readonly why: string }[];
}

/**
 * Call it between two batches of `before`, which is of no use afterwards: what both have counted would count twice.
 * @param next just loaded, of one thread or thread 0 of several
 */
export function succeed(next: Dataplane, before: Dataplane): Succession {
  const all = next.manifest.nets.flatMap((net, index) => {
    const old = before.manifest.nets.findIndex(({ name }) => name === net.name);
    return old < 0 ? [] : [new Heir(next, index, before, old)];
  });
  for (const heir of all) heir.countOn();
  const contents = all.map((heir) => heir.maps());
  return {
    neighbours: all.reduce((sum, heir) => sum + heir.neighbours(), 0),
    maps: contents.flatMap(({ kept }) => kept),
    refused: contents.flatMap(({ refused }) => refused),
  };
}

/** A namespace and the one that it follows. */
class Heir {
  readonly #next: Dataplane;
  readonly #index: number;
  readonly #net: NetManifest;
  readonly #before: Dataplane;
  readonly #oldIndex: number;
  readonly #old: NetManifest;

  constructor(next: Dataplane, index: number, before: Dataplane, oldIndex: number) {
    this.#next = next;
    this.#index = index;
    this.#net = next.manifest.nets[index];
    this.#before = before;
    this.#oldIndex = oldIndex;
    this.#old = before.manifest.nets[oldIndex];
  }

  countOn(): void {
    const word = (field: number): number => this.#next.word(this.#next.netRecord(this.#index) + field);
    const { verdicts, reasons } = this.#before.counters(this.#oldIndex);
    const add = (
      names: Readonly<Record<string, number>>,
      counts: Readonly<Record<string, bigint>>,
      at: number,
    ): void => {
      for (const [name, n] of Object.entries(names)) this.#add(word(NET.counters) + at + 8 * n, counts[name] ?? 0n);
    };
    add(Verdict, verdicts, COUNTERS.verdicts);
    add(DropReason, reasons, COUNTERS.reasons);
    const counted = this.#before.net(this.#oldIndex).readCounters();
    for (const [i, counter] of this.#net.chains.counters.entries()) {
      const old = likeOf(this.#old.chains.counters, counter);
      if (old === null) continue;
      const { packets, bytes } = counted[this.#old.chains.counters.indexOf(old)];
      const at = word(NET.filterState) + i * FILTER_COUNTER_BYTES;
      this.#add(at + FILTER_COUNTER.packets, packets);
      this.#add(at + FILTER_COUNTER.bytes, bytes);
    }
  }

  #add(at: number, count: bigint): void {
    const view = new DataView(this.#next.memory.buffer);
    view.setBigUint64(at, view.getBigUint64(at, true) + count, true);
  }

  /** @returns how many were learned */
  neighbours(): number {
    const written = new Set(this.#old.neighbours.map(({ device, address }) => `${device} ${parseIp(address)}`));
    const known = this.#next.neighbours(this.#index);
    let learned = 0;
    for (const { ifindex, address, mac } of this.#before.neighbours(this.#oldIndex).entries()) {
      const dev = this.#old.devices.find((device) => device.ifindex === ifindex)?.name;
      if (written.has(`${ifindex} ${address}`) || !this.#net.devices.some(({ name }) => name === dev)) continue;
      if (known.get(address, dev!) !== null) continue;
      known.replace({ address, lladdr: mac, dev: dev! });
      learned++;
    }
    return learned;
  }

  maps(): { kept: string[]; refused: { map: string; why: string }[] } {
    const [kept, refused]: [string[], { map: string; why: string }[]] = [[], []];
    const [sets, oldSets] = [this.#net.chains.sets, this.#old.chains.sets];
    for (const set of sets) {
      const old = likeOf(oldSets, set);
      const [name, oldName] = [shortName(sets, set), old && shortName(oldSets, old)];
      if (name === null || set.map === null || oldName === null || !old?.map) continue;
      if (!isAlike(set.map, old.map)) {
        refused.push({ map: name, why: "it has another key, value or kind" });
        continue;
      }
      try {
        inherit(this.#next.map(name, this.#index), this.#before.map(oldName, this.#oldIndex));
        kept.push(name);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        refused.push({ map: name, why: error.message });
      }
    }
    return { kept, refused };
  }
}
