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
 * Ageing (STALE, DELAY, PROBE) costs requests but changes no walk, so a lab does without. A forwarder calls `confirm` from time to
 * time: who was not heard of for REACHABLE_TIME is asked again, and forgotten when three requests stay unanswered.
 *
 * Whoever is on a link can ask us from any address, so those that are not PERMANENT are GC_THRESH3 at most (neigh_alloc, neigh_forced_gc).
 */
import type { Ip } from "../net/ip.ts";
import type { Mac } from "../net/mac.ts";
import { type Clock, SECOND } from "./events.ts";

/** mcast_probes. */
const PROBES = 3;
/** retrans_time, rounded up to the next timer tick (HZ=250), so that a `ping -W3` gives up before the neighbour does. */
const RETRANS_MICROSECONDS = 1_004_000;
/** unres_qlen: packets that wait for one neighbour; the oldest makes room. */
const UNRES_QLEN = 101;

/** gc_thresh3 of the default: with so many entries there is no other, unless those not heard of for 5 s make room, down to gc_thresh2. */
export const GC_THRESH3 = 1024;
const GC_THRESH2 = 512;
const GC_RECENT_MICROSECONDS = 5 * SECOND;

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

/** base_reachable_time. */
const REACHABLE_MICROSECONDS = 30 * SECOND;
/** Stands for the packet that waits, where none does: it has no source that a request could take over. */
const NO_PACKET = new Uint8Array(40);

interface Place<A> {
  readonly device: number;
  readonly address: A;
}
interface Incomplete {
  readonly state: "incomplete";
  readonly queue: Waiting[];
  probes: number;
}
interface Known {
  readonly state: "reachable" | "permanent";
  readonly mac: Mac;
  /** When it was last heard of. */
  confirmed: number;
  /** Requests since, unanswered. */
  probes: number;
}
type Entry<A> = Place<A> & (Incomplete | Known);

export interface NeighbourActions<A extends Ip> {
  /** Sends a request; `packet` is the newest that waits (a request may take the source address from it). */
  solicit(device: number, address: A, packet: Uint8Array): void;
  /** The address is known: tells the engine, then sends the packets that waited, oldest first. */
  resolved(device: number, address: A, mac: Mac, queue: readonly Waiting[]): void;
  /** Nobody answered. */
  failed(device: number, queue: readonly Waiting[]): void;
  /** It was known, and answers no more. */
  forgotten(device: number, address: A): void;
}

export class Neighbours<A extends Ip> {
  /** In the order in which they came. */
  readonly #entries = new Map<string, Entry<A>>();
  /** Those that are not PERMANENT. */
  #learned = 0;
  readonly #clock: Clock;
  readonly #actions: NeighbourActions<A>;

  constructor(clock: Clock, actions: NeighbourActions<A>) {
    this.#clock = clock;
    this.#actions = actions;
  }

  addPermanent(device: number, address: A, mac: Mac): void {
    this.#delete(key(device, address));
    this.#entries.set(key(device, address), { device, address, state: "permanent", mac, confirmed: 0, probes: 0 });
  }

  /** __neigh_event_send: queues the packet and, if nobody asks yet, starts to ask. Without room for an entry the packet is lost. */
  queue(device: number, address: A, waiting: Waiting): void {
    const entry = this.#entries.get(key(device, address));
    if (entry?.state === "incomplete") {
      if (entry.queue.length === UNRES_QLEN) entry.queue.shift();
      entry.queue.push(waiting);
      return;
    }
    if (entry === undefined && !this.#hasRoom()) return;
    const fresh: Entry<A> & Incomplete = { device, address, state: "incomplete", queue: [waiting], probes: 0 };
    this.#set(fresh);
    this.#probe(device, address, fresh);
  }

  /**
   * Learns what another cache knows, and goes on asking for what it asks for, with its packets.
   * @param renumber a device of the other cache in this one, undefined: it is gone
   */
  adopt(other: Neighbours<A>, renumber: (device: number) => number | undefined): void {
    for (const entry of other.#entries.values()) {
      const device = renumber(entry.device);
      if (device === undefined) continue;
      if (entry.state === "reachable") this.update(device, entry.address, entry.mac, true);
      if (entry.state !== "incomplete") continue;
      for (const waiting of entry.queue)
        this.queue(device, entry.address, { ...waiting, receivedBy: renumber(waiting.receivedBy) ?? 0 });
    }
    other.#entries.clear();
    other.#learned = 0;
  }

  /** Forgets all of a device, but those of the configuration. */
  flush(device: number): void {
    for (const [id, entry] of this.#entries) {
      if (entry.device !== device || entry.state === "permanent") continue;
      this.#delete(id);
      if (entry.state === "reachable") this.#actions.forgotten(device, entry.address);
    }
  }

  /** Asks again for those that were not heard of for some time, and forgets who does not answer. */
  confirm(): void {
    const { now } = this.#clock;
    for (const [id, entry] of this.#entries) {
      if (entry.state !== "reachable") continue;
      if (now < entry.confirmed + REACHABLE_MICROSECONDS + entry.probes * RETRANS_MICROSECONDS) continue;
      if (entry.probes === PROBES) {
        this.#delete(id);
        this.#actions.forgotten(entry.device, entry.address);
      } else {
        entry.probes++;
        this.#actions.solicit(entry.device, entry.address, NO_PACKET);
      }
    }
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
   * @returns false when there is no such entry, and is none now
   */
  update(device: number, address: A, mac: Mac, create: boolean, override = true): boolean {
    const entry = this.#entries.get(key(device, address));
    if (entry === undefined && !(create && this.#hasRoom())) return false;
    const confirmed = this.#clock.now;
    if (entry?.state === "reachable" && entry.mac === mac) Object.assign(entry, { confirmed, probes: 0 });
    if (entry?.state === "permanent" || (entry?.state === "reachable" && (entry.mac === mac || !override))) return true;
    this.#set({ device, address, state: "reachable", mac, confirmed, probes: 0 });
    this.#actions.resolved(device, address, mac, entry?.state === "incomplete" ? entry.queue : []);
    return true;
  }

  /** neigh_alloc: for one more, if need be in the place of others. */
  #hasRoom(): boolean {
    if (this.#learned >= GC_THRESH3) this.#forcedGc();
    return this.#learned < GC_THRESH3;
  }

  /** neigh_forced_gc. */
  #forcedGc(): void {
    const recent = this.#clock.now - GC_RECENT_MICROSECONDS;
    for (const [id, entry] of this.#entries) {
      if (this.#learned <= GC_THRESH2) return;
      if (entry.state !== "reachable" || entry.confirmed >= recent) continue;
      this.#delete(id);
      this.#actions.forgotten(entry.device, entry.address);
    }
  }

  /** One that is not PERMANENT, new or in the place of such a one. */
  #set(entry: Entry<A>): void {
    const id = key(entry.device, entry.address);
    if (!this.#entries.has(id)) this.#learned++;
    this.#entries.set(id, entry);
  }

  #delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined && entry.state !== "permanent") this.#learned--;
    this.#entries.delete(id);
  }

  /** neigh_timer_handler for an INCOMPLETE entry. */
  #probe(device: number, address: A, entry: Entry<A> & Incomplete): void {
    if (this.#entries.get(key(device, address)) !== entry) return;
    if (entry.probes === PROBES) {
      this.#delete(key(device, address));
      this.#actions.failed(device, entry.queue);
      return;
    }
    entry.probes++;
    this.#clock.after(RETRANS_MICROSECONDS, () => this.#probe(device, address, entry));
    this.#actions.solicit(device, address, entry.queue[entry.queue.length - 1].packet);
  }
}

const key = (device: number, address: Ip): string => `${device} ${address}`;
