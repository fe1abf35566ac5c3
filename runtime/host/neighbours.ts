/**
 * The neighbour cache (net/core/neighbour.c) with its states cut down to what decides where packets go:
 *
 *   (none) --first packet--> INCOMPLETE --ARP reply or request of theirs--> REACHABLE (the engine knows the address)
 *                               | three requests, one a second, unanswered
 *                               v
 *                            (none), the queued packets fail: arp_error_report -> dst_link_failure
 *
 *   PERMANENT: from the configuration; ARP does not change it
 *
 * Not modelled: ageing (STALE, DELAY, PROBE), which costs ARP packets but changes no walk.
 */
import type { Ipv4 } from "../net/ip.ts";
import type { Mac } from "../net/mac.ts";
import type { Clock } from "./events.ts";

/** mcast_probes. */
const PROBES = 3;
/** retrans_time, rounded up to the next timer tick (HZ=250), so that a `ping -W3` gives up before the neighbour does. */
const RETRANS_MICROSECONDS = 1_004_000;
/** unres_qlen: packets that wait for one neighbour; the oldest makes room. */
const UNRES_QLEN = 101;

interface Incomplete {
  readonly state: "incomplete";
  /** Packets from their IP header on. */
  readonly queue: Uint8Array[];
  probes: number;
}
interface Known {
  readonly state: "reachable" | "permanent";
  readonly mac: Mac;
}

export interface NeighbourActions {
  /** Sends an ARP request; `packet` is the newest that waits (arp_solicit takes the source address from it). */
  solicit(device: number, address: Ipv4, packet: Uint8Array): void;
  /** The address is known: tells the engine, then sends the packets that waited, oldest first. */
  resolved(device: number, address: Ipv4, mac: Mac, queue: readonly Uint8Array[]): void;
  /** Nobody answered. */
  failed(device: number, queue: readonly Uint8Array[]): void;
}

export class Neighbours {
  readonly #entries = new Map<string, Incomplete | Known>();
  readonly #clock: Clock;
  readonly #actions: NeighbourActions;

  constructor(clock: Clock, actions: NeighbourActions) {
    this.#clock = clock;
    this.#actions = actions;
  }

  addPermanent(device: number, address: Ipv4, mac: Mac): void {
    this.#entries.set(key(device, address), { state: "permanent", mac });
  }

  /** __neigh_event_send: queues the packet and, if nobody asks yet, starts to ask. */
  queue(device: number, address: Ipv4, packet: Uint8Array): void {
    const entry = this.#entries.get(key(device, address));
    if (entry?.state === "incomplete") {
      if (entry.queue.length === UNRES_QLEN) entry.queue.shift();
      entry.queue.push(packet);
      return;
    }
    const fresh: Incomplete = { state: "incomplete", queue: [packet], probes: 0 };
    this.#entries.set(key(device, address), fresh);
    this.#probe(device, address, fresh);
  }

  /** neigh_update. @param create learn an address that nobody asked for (ARP requests to us), or only a known one */
  update(device: number, address: Ipv4, mac: Mac, create: boolean): void {
    const entry = this.#entries.get(key(device, address));
    if (entry === undefined && !create) return;
    if (entry?.state === "permanent" || (entry?.state === "reachable" && entry.mac === mac)) return;
    this.#entries.set(key(device, address), { state: "reachable", mac });
    this.#actions.resolved(device, address, mac, entry?.state === "incomplete" ? entry.queue : []);
  }

  /** neigh_timer_handler for an INCOMPLETE entry. */
  #probe(device: number, address: Ipv4, entry: Incomplete): void {
    if (this.#entries.get(key(device, address)) !== entry) return;
    if (entry.probes === PROBES) {
      this.#entries.delete(key(device, address));
      this.#actions.failed(device, entry.queue);
      return;
    }
    entry.probes++;
    this.#clock.after(RETRANS_MICROSECONDS, () => this.#probe(device, address, entry));
    this.#actions.solicit(device, address, entry.queue[entry.queue.length - 1]);
  }
}

const key = (device: number, address: Ipv4): string => `${device} ${address}`;
