/**
 * The neighbour cache (net/core/neighbour.c) with its states cut down to what decides where packets go. One for ARP (addresses
 * are IPv4's), one for neighbour discovery (IPv6's):
 *
 *   (none) --first packet--> INCOMPLETE --answer, or a request of theirs--> REACHABLE (the engine knows the address)
 *                               | three requests, one a second, unanswered
 *                               v
 *                            (none), the queued packets fail: arp_error_report, ndisc_error_report -> dst_link_failure
 *
 *   PERMANENT: from the configuration; the protocol does not change it
 *
 * Not modelled: ageing (STALE, DELAY, PROBE), which costs requests but changes no walk.
 */
import type { Ip } from "../net/ip.ts";
import type { Mac } from "../net/mac.ts";
import type { Clock } from "./events.ts";

/** mcast_probes. */
const PROBES = 3;
/** retrans_time, rounded up to the next timer tick (HZ=250), so that a `ping -W3` gives up before the neighbour does. */
const RETRANS_MICROSECONDS = 1_004_000;
/** unres_qlen: packets that wait for one neighbour; the oldest makes room. */
const UNRES_QLEN = 101;

/** A packet that waits. */
export interface Waiting {
  /** From its IP header on. */
  readonly packet: Uint8Array;
  /** The device that received it, 0: a socket's. */
  readonly receivedBy: number;
  /** skb->mark and skb->priority. */
  readonly mark: number;
  readonly priority: number;
}

interface Incomplete {
  readonly state: "incomplete";
  readonly queue: Waiting[];
  probes: number;
}
interface Known {
  readonly state: "reachable" | "permanent";
  readonly mac: Mac;
}

export interface NeighbourActions<A extends Ip> {
  /** Sends a request; `packet` is the newest that waits (a request may take the source address from it). */
  solicit(device: number, address: A, packet: Uint8Array): void;
  /** The address is known: tells the engine, then sends the packets that waited, oldest first. */
  resolved(device: number, address: A, mac: Mac, queue: readonly Waiting[]): void;
  /** Nobody answered. */
  failed(device: number, queue: readonly Waiting[]): void;
}

export class Neighbours<A extends Ip> {
  readonly #entries = new Map<string, Incomplete | Known>();
  readonly #clock: Clock;
  readonly #actions: NeighbourActions<A>;

  constructor(clock: Clock, actions: NeighbourActions<A>) {
    this.#clock = clock;
    this.#actions = actions;
  }

  addPermanent(device: number, address: A, mac: Mac): void {
    this.#entries.set(key(device, address), { state: "permanent", mac });
  }

  /** __neigh_event_send: queues the packet and, if nobody asks yet, starts to ask. */
  queue(device: number, address: A, waiting: Waiting): void {
    const entry = this.#entries.get(key(device, address));
    if (entry?.state === "incomplete") {
      if (entry.queue.length === UNRES_QLEN) entry.queue.shift();
      entry.queue.push(waiting);
      return;
    }
    const fresh: Incomplete = { state: "incomplete", queue: [waiting], probes: 0 };
    this.#entries.set(key(device, address), fresh);
    this.#probe(device, address, fresh);
  }

  /** neigh_lookup: is there an entry, whatever its state? */
  has(device: number, address: A): boolean {
    return this.#entries.has(key(device, address));
  }

  /** The link-layer address, null: not known. */
  macOf(device: number, address: A): Mac | null {
    const entry = this.#entries.get(key(device, address));
    return entry === undefined || entry.state === "incomplete" ? null : entry.mac;
  }

  /**
   * neigh_update.
   * @param create learn an address that nobody asked for (requests to us), or only a known one
   * @param override another address takes the place of a known one (NEIGH_UPDATE_F_OVERRIDE)
   */
  update(device: number, address: A, mac: Mac, create: boolean, override = true): void {
    const entry = this.#entries.get(key(device, address));
    if (entry === undefined && !create) return;
    if (entry?.state === "permanent" || (entry?.state === "reachable" && (entry.mac === mac || !override))) return;
    this.#entries.set(key(device, address), { state: "reachable", mac });
    this.#actions.resolved(device, address, mac, entry?.state === "incomplete" ? entry.queue : []);
  }

  /** neigh_timer_handler for an INCOMPLETE entry. */
  #probe(device: number, address: A, entry: Incomplete): void {
    if (this.#entries.get(key(device, address)) !== entry) return;
    if (entry.probes === PROBES) {
      this.#entries.delete(key(device, address));
      this.#actions.failed(device, entry.queue);
      return;
    }
    entry.probes++;
    this.#clock.after(RETRANS_MICROSECONDS, () => this.#probe(device, address, entry));
    this.#actions.solicit(device, address, entry.queue[entry.queue.length - 1].packet);
  }
}

const key = (device: number, address: Ip): string => `${device} ${address}`;
