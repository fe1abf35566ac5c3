/**
 * A lab: network namespaces joined by wires, each an engine with a host around it.
 *
 *     ns0                        host                          ns1
 *   +------+  veth1    vethr1  +--------+  vethr2    veth2  +------+
 *   | Host |==================>|  Host  |==================>| Host |
 *   | engine|     a wire:      | engine |                   |engine|
 *   +------+   WIRE_DELAY      +--------+                   +------+
 *
 * One event queue in virtual time drives all; what happens is recorded in order as `LabEvent`s. A frame is carried when
 * both ends of its veth are up (else there is no carrier) and is otherwise lost, as is one sent where no wire is.
 */

import type { Engine } from "../engine.ts";
import type { NetConfig } from "../host/config.ts";
import { type LabEvent, SECOND } from "../host/events.ts";
import { Host } from "../host/host.ts";
import type { PingOptions, PingResult } from "../host/ping-run.ts";
import type { ConnectOptions, ConnectOutcome } from "../host/sockets/client.ts";
import type { ListenError, ListenOptions } from "../host/sockets/sockets.ts";
import { describeFrame } from "../net/describe.ts";
import { EthernetView, EtherType } from "../net/ethernet.ts";
import { EventQueue } from "./queue.ts";

export interface LabNet {
  readonly config: NetConfig;
  readonly engine: Engine;
}

/** Microseconds that a frame takes to the other end. */
const WIRE_DELAY = 10;
/** After a ping has ended its last packets may still be under way: what happens for so long belongs to it. */
const SETTLE = 20_000;

export interface LabOptions {
  /**
   * Seconds that pass before each ping, so that it does not meet what an earlier one left behind: neighbours that are
   * still being asked for, rate limits of ICMP errors. 10 by default.
   */
  readonly rest?: number;
}
const DEFAULT_REST_SECONDS = 10;

export interface LabPing extends PingResult {
  readonly events: readonly LabEvent[];
}

export interface LabConnect {
  readonly outcome: ConnectOutcome;
  readonly events: readonly LabEvent[];
}

export class Lab {
  readonly nets: readonly NetConfig[];
  readonly hosts: readonly Host[];
  readonly #queue = new EventQueue();
  readonly #rest: number;
  #events: LabEvent[] = [];

  constructor(nets: readonly LabNet[], { rest = DEFAULT_REST_SECONDS }: LabOptions = {}) {
    this.#rest = rest;
    this.nets = nets.map((net) => net.config);
    this.hosts = nets.map(
      ({ config, engine }, net) =>
        new Host({
          engine,
          config,
          net,
          clock: this.#queue,
          transmit: (device, frame) => this.#transmit(net, device, frame),
          record: (event) => this.#events.push(event),
        }),
    );
  }

  /** Virtual time in microseconds. */
  get now(): number {
    return this.#queue.now;
  }

  /** Index of a namespace, -1: no such one. */
  netNamed(name: string): number {
    return this.nets.findIndex((net) => net.name === name);
  }

  /** Pings from a namespace, to the end, and returns what came of it and all that happened meanwhile. */
  ping(net: number, options: PingOptions): LabPing {
    this.idle(this.#rest);
    const ping = this.#record(() => this.#runToResult(this.hosts[net].ping(options)));
    return { ...(ping.result as PingResult), events: this.#events };
  }

  /** Starts a server that stays. @returns null, or why it cannot */
  listen(net: number, options: ListenOptions): ListenError | null {
    const listening = this.hosts[net].sockets.listen(options);
    return "kind" in listening ? listening : null;
  }

  /** Connects from a namespace, to the end, and returns what came of it and all that happened meanwhile. */
  connect(net: number, options: ConnectOptions): LabConnect {
    this.idle(this.#rest);
    const client = this.#record(() => this.#runToResult(this.hosts[net].sockets.connect(options)));
    return { outcome: client.result as ConnectOutcome, events: this.#events };
  }

  /** A frame arrives at a device, as if from the wire. */
  inject(net: number, device: number, frame: Uint8Array): readonly LabEvent[] {
    return this.#settled(() => this.hosts[net].receive(device, frame));
  }

  /** A local socket sends an IP packet; a source of 0.0.0.0 is chosen. @param device bound device, 0: none */
  send(net: number, packet: Uint8Array, meta: { device: number; mark?: number }): readonly LabEvent[] {
    return this.#settled(() => this.hosts[net].output(packet, meta));
  }

  /** Lets time pass: what is pending happens (neighbours give up, rate limits recover). */
  idle(seconds: number): readonly LabEvent[] {
    this.#record(() => this.#queue.runUntil(this.now + seconds * SECOND));
    return this.#events;
  }

  #runToResult<T extends { readonly result: unknown }>(program: T): T {
    // Ends: the program's own timeout is in the queue.
    while (program.result === null && this.#queue.step());
    this.#queue.runUntil(this.now + SETTLE);
    return program;
  }

  #settled(action: () => void): readonly LabEvent[] {
    this.#record(() => {
      action();
      this.#queue.runUntil(this.now + SETTLE);
    });
    return this.#events;
  }

  /** Starts a new record. */
  #record<T>(action: () => T): T {
    this.#events = [];
    return action();
  }

  #transmit(net: number, device: number, frame: Uint8Array): void {
    const config = this.nets[net].devices.find((d) => d.ifindex === device);
    const peer = config?.peer ?? null;
    const other = peer === null ? undefined : this.nets[peer.net]?.devices.find((d) => d.ifindex === peer.ifindex);
    const carried = peer !== null && config?.up === true && other?.up === true;
    this.#events.push({
      kind: "frame",
      time: this.now,
      net,
      device,
      to: carried ? { net: peer.net, device: peer.ifindex } : null,
      frame: frame.slice(),
      description: describeFrame(frame),
      arp: new EthernetView(frame).type === EtherType.ARP,
    });
    if (carried) this.#queue.after(WIRE_DELAY, () => this.hosts[peer.net].receive(peer.ifindex, frame));
  }
}

export const createLab = (nets: readonly LabNet[], options?: LabOptions): Lab => new Lab(nets, options);
