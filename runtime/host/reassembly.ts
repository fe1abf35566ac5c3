/**
 * ip_defrag: fragments of IPv4 for this host, put together (net/ipv4/ip_fragment.c, inet_fragment.c; RFC 791 section 3.2).
 *
 *   | header id 7 MF | 1480 bytes |   | header id 7 offset 1480 | 200 bytes |   ->   | header id 7 | 1680 bytes |
 *
 * Fragments belong together by addresses, identification, protocol and l3mdev domain: any device of a VRF may bring one. What is
 * wholly there already is ignored; one that overlaps spoils them all. After 30 s they are given up; the sender hears of it if
 * the first is there. The twin for IPv6, whose rules differ, is ipv6/reassembly.ts.
 */
import { DONT_FRAGMENT, FLAGS_OFFSET, IPV4_MAX_BYTES, Ipv4View, sendCheck, TOS, TOTAL_LENGTH } from "../net/ipv4.ts";
import { writeU16 } from "../net/wire.ts";
import { type Clock, SECOND } from "./events.ts";

/** net.ipv4.ipfrag_time */
const TIMEOUT = 30 * SECOND;
/** net.ipv4.ipfrag_max_dist: so many fragments of the same sender may come between two of one packet. */
const MAX_DISTANCE = 64;

/** A fragment, and what else a host must know of it. */
export interface Fragment {
  /** From its IP header on, cut to the total length. */
  readonly bytes: Uint8Array;
  /** skb->dev. */
  readonly device: number;
}

interface Run {
  readonly start: number;
  end: number;
}

interface Queue<F> {
  readonly pieces: { readonly start: number; readonly data: Uint8Array }[];
  /** Stretches without a gap, as the kernel keeps them: only what continues the last one joins a run. */
  readonly runs: Run[];
  /** The fragment with offset 0. */
  first: F | null;
  /** Device of the newest. */
  device: number;
  /** Where the data ends, as far as known; for good once `lastIn`. */
  length: number;
  lastIn: boolean;
  /** Bytes there are. */
  meat: number;
  /** 1 << ECN field, of all fragments. */
  ecn: number;
  /** Largest fragment, and largest with DF, headers included. */
  maxSize: number;
  maxDfSize: number;
  /** How many fragments its sender had sent when the newest of these came. */
  rid: number;
}

export interface Whole<F> {
  readonly bytes: Uint8Array;
  /** Whose header and sk_buff the whole has. */
  readonly first: F;
}

export class Reassembly<F extends Fragment> {
  readonly #queues = new Map<string, Queue<F>>();
  /** Fragments by sender and domain (inet_peer.rid). */
  readonly #peers = new Map<string, number>();
  readonly #clock: Clock;
  readonly #domainOf: (device: number) => number;
  readonly #expired: (first: F, device: number) => void;

  /**
   * @param domainOf l3mdev_master_ifindex
   * @param expired ip_expire: a packet was not completed in time; its first fragment is there, and `device` brought the newest
   */
  constructor(clock: Clock, domainOf: (device: number) => number, expired: (first: F, device: number) => void) {
    this.#clock = clock;
    this.#domainOf = domainOf;
    this.#expired = expired;
  }

  /** @returns the packet that this fragment completes; null: more are needed, or all is lost */
  add(fragment: F): Whole<F> | null {
    const { source, destination, identification, protocol } = new Ipv4View(fragment.bytes);
    const peer = `${source} ${this.#domainOf(fragment.device)}`;
    const key = `${peer} ${destination} ${identification} ${protocol}`;
    const queue = this.#near(peer, key) ?? this.#open(key);
    queue.rid = this.#peers.get(peer) ?? 0;
    if (!enqueue(queue, fragment)) this.#queues.delete(key);
    if (queue.first === null || !queue.lastIn || queue.meat !== queue.length || !this.#queues.delete(key)) return null;
    const bytes = whole(queue, queue.first);
    return bytes === null ? null : { bytes, first: queue.first };
  }

  /** The queue of a fragment, unless too many others came since (ip_frag_too_far): then it starts anew. */
  #near(peer: string, key: string): Queue<F> | undefined {
    const rid = (this.#peers.get(peer) ?? 0) + 1;
    this.#peers.set(peer, rid);
    const queue = this.#queues.get(key);
    return queue !== undefined && rid - queue.rid > MAX_DISTANCE ? undefined : queue;
  }

  #open(key: string): Queue<F> {
    const queue: Queue<F> = {
      pieces: [],
      runs: [],
      first: null,
      device: 0,
      length: 0,
      lastIn: false,
      meat: 0,
      ecn: 0,
      maxSize: 0,
      maxDfSize: 0,
      rid: 0,
    };
    this.#queues.set(key, queue);
    this.#clock.after(TIMEOUT, () => {
      if (this.#queues.get(key) !== queue) return;
      this.#queues.delete(key);
      if (queue.first !== null) this.#expired(queue.first, queue.device);
    });
    return queue;
  }
}

/** ip_frag_queue. @returns false: the queue is spoilt */
function enqueue<F extends Fragment>(queue: Queue<F>, fragment: F): boolean {
  const ip = new Ipv4View(fragment.bytes);
  const start = ip.fragmentOffset;
  // All but the last come in units of eight bytes; what is more is cut off.
  const data = ip.moreFragments ? ip.payload.subarray(0, ip.payload.length & ~7) : ip.payload;
  const end = start + data.length;
  if (
    ip.moreFragments ? queue.lastIn && end > queue.length : end < queue.length || (queue.lastIn && end !== queue.length)
  )
    return false;
  queue.lastIn ||= !ip.moreFragments;
  queue.length = Math.max(queue.length, end);
  if (data.length === 0) return false;
  const place = insert(queue.runs, start, end);
  if (place !== "new") return place === "duplicate";
  queue.pieces.push({ start, data });
  queue.device = fragment.device;
  queue.meat += data.length;
  queue.ecn |= 1 << (ip.tos & 3);
  if (start === 0) queue.first = { ...fragment, bytes: fragment.bytes.subarray(0, ip.headerLength + data.length) };
  const size = ip.headerLength + data.length;
  queue.maxSize = Math.max(queue.maxSize, size);
  if (ip.dontFragment) queue.maxDfSize = Math.max(queue.maxDfSize, size);
  return true;
}

/** inet_frag_queue_insert. A duplicate lies within one run; within two that touch it counts as overlapping. */
function insert(runs: Run[], start: number, end: number): "new" | "duplicate" | "overlap" {
  const last = runs.at(-1);
  if (last !== undefined && last.end < end && start === last.end) {
    last.end = end;
    return "new";
  }
  const met = runs.find((run) => start < run.end && run.start < end);
  if (met !== undefined) return start >= met.start && end <= met.end ? "duplicate" : "overlap";
  runs.push({ start, end });
  runs.sort((a, b) => a.start - b.start);
  return "new";
}

/** ip_frag_reasm. @returns null: the fragments disagree on congestion notification, or are too much for one packet */
function whole<F extends Fragment>({ pieces, length, ecn, maxSize, maxDfSize }: Queue<F>, first: F): Uint8Array | null {
  const { headerLength, tos } = new Ipv4View(first.bytes);
  const congestion = ecnOf(ecn);
  if (congestion === null || headerLength + length > IPV4_MAX_BYTES) return null;
  const bytes = new Uint8Array(headerLength + length);
  bytes.set(first.bytes.subarray(0, headerLength));
  for (const { start, data } of pieces) bytes.set(data, headerLength + start);
  bytes[TOS] = tos | congestion;
  writeU16(bytes, TOTAL_LENGTH, bytes.length);
  // DF stays where such a fragment was the largest.
  writeU16(bytes, FLAGS_OFFSET, maxDfSize === maxSize ? DONT_FRAGMENT : 0);
  sendCheck(bytes);
  return bytes;
}

const INET_ECN_CE = 3;
const [NOT_ECT_SEEN, CE_SEEN] = [1 << 0, 1 << INET_ECN_CE];

/** ip_frag_ecn_table (RFC 3168 section 5.3): what is or-ed to the TOS; null: transports that can, and that cannot, notify. */
function ecnOf(seen: number): number | null {
  if ((seen & NOT_ECT_SEEN) !== 0) return seen === NOT_ECT_SEEN ? 0 : null;
  return (seen & CE_SEEN) !== 0 && seen !== CE_SEEN ? INET_ECN_CE : 0;
}
