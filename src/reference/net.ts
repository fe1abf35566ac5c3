/**
 * `struct net`: one namespace with what look-ups need at hand, its learnt neighbours, and the trace being taken. Interface
 * flags and per-device settings are read from the model's devices as the kernel's macros read them.
 */
import { type Device, deviceOf, type KernelProfile, type Net, type Route, type Rule } from "../../dsl/model.ts";
import { allRoutes } from "../../dsl/route-columns.ts";
import { ifIndex, type TableId } from "../../runtime/brand.ts";
import type { Hook } from "../../runtime/hooks.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import type { TraceStep } from "../../runtime/trace.ts";
import type { Verdict } from "../../runtime/verdict.ts";
import { NetfilterState } from "./netfilter/state.ts";
import { AttachedPrograms } from "./programs/bpf_prog.ts";
import type { SkBuff } from "./skb.ts";

/** RT_TABLE_UNSPEC as a rule's table: fib_get_table takes main for it. */
export const RT_TABLE_UNSPEC = 0;

export class NetNamespace {
  readonly model: Net;
  readonly kernel: KernelProfile;
  /** IPv4 rules in the order they are tried (kernel: `net->ipv4.rules_ops->rules_list`). */
  readonly rules: readonly Rule[];
  /** IPv6 rules likewise. */
  readonly rules6: readonly Rule[];
  readonly netfilter: NetfilterState;
  readonly programs: AttachedPrograms;
  /** Null while nobody wants a trace. */
  trace: TraceStep[] | null = null;
  /** Copies that chains have made and that are still to be sent, in their order in the batch. */
  readonly copies: { readonly skb: SkBuff; readonly send: () => Verdict }[] = [];
  readonly #tables = { 4: new Map<TableId, Route[]>(), 6: new Map<TableId, Route[]>() };
  readonly #neighbours = new Map<string, Mac>();

  constructor(model: Net, kernel: KernelProfile) {
    this.model = model;
    this.kernel = kernel;
    this.rules = model.rules.filter((rule) => rule.family === 4);
    this.rules6 = model.rules.filter((rule) => rule.family === 6);
    this.netfilter = new NetfilterState(model.netfilter);
    this.programs = new AttachedPrograms(model.netfilter.programs);
    for (const route of allRoutes(model)) {
      const tables = this.#tables[route.family];
      const table = tables.get(route.table);
      if (table === undefined) tables.set(route.table, [route]);
      else table.push(route);
    }
    for (const { device, address, mac } of model.neighbours) this.setNeighbour(device, address, mac);
  }

  get devices(): readonly Device[] {
    return this.model.devices;
  }

  get loopback_dev(): Device {
    return this.model.devices[0];
  }

  dev_get_by_index(index: number): Device | undefined {
    return deviceOf(this.model, index);
  }

  /** The routes of a table, in the model's order; a table without routes is as good as none. */
  fib_get_table(id: number): readonly Route[] {
    return this.#tables[4].get(id as TableId) ?? [];
  }

  fib6_get_table(id: number): readonly Route[] {
    return this.#tables[6].get(id as TableId) ?? [];
  }

  neighbour(device: number, address: Ip): Mac | undefined {
    return this.#neighbours.get(neighbourKey(device, address));
  }

  setNeighbour(device: number, address: Ip, mac: Mac | null): void {
    const key = neighbourKey(device, address);
    if (mac === null) this.#neighbours.delete(key);
    else this.#neighbours.set(key, mac);
  }

  record(step: TraceStep): void {
    this.trace?.push(step);
  }

  /** A hook is passed; what is attached to it: netfilter/nf_hook.ts. */
  hook(hook: Hook, input: number, output: number): void {
    this.record({ step: "hook", hook, in: ifIndex(input), out: ifIndex(output) });
  }
}

const neighbourKey = (device: number, address: Ip): string => `${device} ${typeof address} ${address}`;

/** Frames come in by it from outside. */
export const hasWire = (dev: Device): boolean => dev.kind === "veth" || dev.kind === "dummy";
export const isLoopback = (dev: Device): boolean => dev.kind === "loopback";
export const netif_is_l3_master = (dev: Device): boolean => dev.kind === "vrf";
export const netif_is_l3_slave = (dev: Device): boolean => dev.master !== 0;
/** IFF_NOARP or IFF_LOOPBACK: sends to its own address without a neighbour entry (vrf_dev_init, dummy_setup). */
export const sendsWithoutArp = (dev: Device): boolean => dev.kind !== "veth";
