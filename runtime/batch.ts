/**
 * A batch of packets: structure of arrays over one buffer, the same for the wasm program (over its linear memory) and
 * for the reference (over a buffer of its own).
 *
 *   base + 0                 header, BATCH_HEADER_BYTES:  u32 capacity, u32 slotSize, u32 slots (offset of slot 0), u32 count (packets
 *                            in use: the host's, and larger after copies were appended), u32 worker (of a module for several threads:
 *                            how far behind that of the image the area of the batch's thread stands, abi/image.ts)
 *   base + 64                columns, one after the other: u32[capacity] each, in the order of COLUMNS
 *   slots                    capacity x slotSize bytes; a packet is put HEADROOM bytes into its slot
 *
 * Every field is a little-endian u32. Column k of packet i stands at base + 64 + (k * capacity + i) * 4.
 */
import { type ImageOffset, imageOffset } from "./brand.ts";
import { type Entry, Verdict } from "./verdict.ts";

export const BATCH_HEADER_BYTES = 64;
/** Offsets of the header's fields. */
export const BATCH_HEADER = { capacity: 0, slotSize: 4, slots: 8, count: 12, worker: 16 } as const;
/** Bytes before a packet in its slot: room for an Ethernet header in front of an IP packet, and for an IPv6 one. */
export const HEADROOM = 64;
/** Holds any Ethernet frame of an MTU of 1500 and its headroom. */
export const DEFAULT_SLOT_SIZE = 2048;
/** Where in the slot's headroom an engine puts the next hop's address (column `nextHop`), 16 bytes reserved. */
export const NEXT_HOP_IN_SLOT = 0;
/** Where in the slot's headroom an engine puts the chosen source address (column `source`), 16 bytes reserved. */
export const SOURCE_IN_SLOT = 16;
/** Where in the slot's headroom an engine puts the better next hop that a redirect tells of (column `redirect`), 16 bytes reserved. */
export const REDIRECT_IN_SLOT = 32;

/** Columns in memory order. Inputs first; the engine may change `data`, `length`, `mark`, `priority` and all result columns. */
export const COLUMNS = [
  // in
  "entry", //      Entry
  "device", //     RECEIVE, ROUTE_INPUT: receiving device; OUTPUT, LOOKUP: bound device or 0; NEIGHBOUR: sending device
  "mark", //       skb->mark, or the socket's SO_MARK
  "uid", //        owner of the socket (0 for RECEIVE)
  "priority", //   skb->priority, or the socket's SO_PRIORITY (0 for RECEIVE)
  "flags", //      PacketFlag bits
  // in and out
  "data", //       offset in the buffer of the first byte: the Ethernet header (RECEIVE, TRANSMIT) or the IP header
  "length", //     bytes from `data`
  "nextHop", //    offset in the buffer of the next hop's address (4 or 16 bytes, network order); in: NEIGHBOUR
  // out
  "verdict", //    Verdict
  "reason", //     DropReason when DROP
  "outDevice", //  TRANSMIT, UNRESOLVED, FOUND
  "l3", //         offset in the buffer of the IP header
  "skbDevice", //  LOCAL, ICMP_ERROR, redirect: skb->dev at that point (the VRF for a slave)
  "sdif", //       LOCAL: the slave, 0 when received outside a VRF; ICMP_ERROR, redirect: the receiving device
  "routeType", //  RouteType of the deciding route (0: none)
  "route", //      RouteId + 1 of the deciding route; 0: none, or one of many alike in an IPv4 table that has changed (traces say which)
  "error", //      ICMP_ERROR: type << 8 | code; SEND_ERROR: errno
  "info", //       ICMP_ERROR: the error's second word (MTU, pointer << 24; ICMPv6: MTU, pointer); FRAGMENT: the MTU
  "source", //     FOUND: offset in the buffer of the chosen source address
  // Whatever the verdict: the sender is to be told first, by a redirect about the packet as it came.
  "redirect", //   offset in the buffer of its better next hop (of the packet's family, 4 or 16 bytes, network order); 0: no redirect
] as const;
export type Column = (typeof COLUMNS)[number];
/** Columns that hold offsets in the buffer; 0: of nothing. */
export const OFFSET_COLUMNS: readonly Column[] = ["data", "l3", "nextHop", "source", "redirect"];
/** What an engine answers: 0 for every packet until it says otherwise. */
export const RESULT_COLUMNS: readonly Column[] = COLUMNS.slice(COLUMNS.indexOf("verdict"));

export const PacketFlag = {
  /** OUTPUT, LOOKUP: the source address is not checked to be local (FLOWI_FLAG_ANYSRC; raw sockets with IP_HDRINCL). */
  ANYSRC: 1,
  /** The address at `nextHop` is an IPv6 one, 16 bytes. In: NEIGHBOUR; set by the engine: UNRESOLVED, FRAGMENT, FOUND. */
  NEXT_HOP_IPV6: 2,
  /** RECEIVE: the host found the packet's IP options to be wrong (ip_options_compile). Nothing else reads options. */
  OPTIONS_INVALID: 4,
  /** RECEIVE: the host found a source route among the packet's IP options. */
  OPTIONS_SOURCE_ROUTE: 8,
  /** Set by the engine: of this broadcast or multicast of its own the host takes a copy, and re-enters it by LOOPBACK (ip_mc_output). */
  LOOP_BACK: 16,
  /** OUTPUT, LOOKUP of IPv6: the flow's oif is `device`, but no socket is bound to it, so that other devices are possible. */
  OIF_UNBOUND: 32,
  /**
   * LOOKUP and ROUTE_INPUT of IPv6: as `ip route get`: OIF_UNBOUND, no second look-up with the source that was chosen, and ports
   * behind the header whatever the protocol (but ICMPv6's type and code).
   */
  RTM_GETROUTE: 64,
  /** OUTPUT: by a socket of the kernel itself, which no user owns (`meta skuid`). */
  KERNEL_SOCKET: 128,
  /** Set by the engine: a chain ended what a socket sends, and so the call fails with EPERM (NF_DROP_ERR). */
  SEND_EPERM: 256,
  /** Set by the engine: ICMP_ERROR by a chain that sees packets before their IP options are read; the error echoes none. */
  OPTIONS_UNREAD: 512,
} as const;

/** A copy of a packet starts without them. */
export const RAISED_BY_ENGINES =
  PacketFlag.LOOP_BACK | PacketFlag.SEND_EPERM | PacketFlag.NEXT_HOP_IPV6 | PacketFlag.OPTIONS_UNREAD;

const columnIndex = Object.fromEntries(COLUMNS.map((name, i) => [name, i])) as Record<Column, number>;
/** Index of a column; its bytes start `COLUMN(name) * capacity * 4` after the header. */
export const COLUMN = (name: Column): number => columnIndex[name];

/** Bytes that a batch occupies from its base, slots included. */
export const batchBytes = (capacity: number, slotSize: number): number => slotsOffset(capacity) + capacity * slotSize;
const slotsOffset = (capacity: number): number => (BATCH_HEADER_BYTES + COLUMNS.length * capacity * 4 + 63) & ~63;

interface Views {
  readonly buffer: ArrayBufferLike;
  readonly bytes: Uint8Array;
  readonly header: Uint32Array;
  readonly columns: Uint32Array[];
}

export class PacketBatch {
  /** Packets in use; the caller's to set (or through `put`). */
  count = 0;
  readonly capacity: number;
  readonly slotSize: number;
  readonly base: ImageOffset;
  #buffer: () => ArrayBufferLike;
  #views: Views | null = null;

  /**
   * @param buffer gives the memory anew each time: a wasm memory's buffer changes when it grows
   * @param base   64-byte aligned offset of the batch in it, `batchBytes(capacity, slotSize)` long
   */
  constructor(buffer: () => ArrayBufferLike, base: ImageOffset, capacity: number, slotSize = DEFAULT_SLOT_SIZE) {
    this.#buffer = buffer;
    this.base = base;
    this.capacity = capacity;
    this.slotSize = slotSize;
    const header = new Uint32Array(buffer(), base, 3);
    header[0] = capacity;
    header[1] = slotSize;
    header[2] = base + slotsOffset(capacity);
  }

  /** The whole buffer as bytes; offsets in columns index it. Do not keep it across a call that may grow memory. */
  get bytes(): Uint8Array {
    return this.#current().bytes;
  }

  /** A column as a view of `capacity` entries. Do not keep it across a call that may grow memory. */
  column(name: Column): Uint32Array {
    return this.#current().columns[columnIndex[name]];
  }

  /** First byte of packet i's slot. */
  slot(i: number): ImageOffset {
    return imageOffset(this.base + slotsOffset(this.capacity) + i * this.slotSize);
  }

  /**
   * Appends a packet: copies `packet` into the next slot, HEADROOM bytes in, and resets the result columns.
   * @returns its index
   * @throws RangeError when the batch is full or the packet is longer than a slot holds
   */
  put(
    packet: Uint8Array,
    meta: { entry: Entry; device: number; mark?: number; uid?: number; priority?: number; flags?: number },
  ): number {
    const i = this.count;
    if (i >= this.capacity) throw new RangeError(`batch is full (${this.capacity} packets)`);
    if (packet.length > this.slotSize - HEADROOM)
      throw new RangeError(`packet of ${packet.length} bytes does not fit a slot of ${this.slotSize} - ${HEADROOM}`);
    const { bytes, columns } = this.#current();
    const data = this.slot(i) + HEADROOM;
    bytes.set(packet, data);
    for (const column of columns) column[i] = 0;
    this.column("entry")[i] = meta.entry;
    this.column("device")[i] = meta.device;
    this.column("mark")[i] = meta.mark ?? 0;
    this.column("uid")[i] = meta.uid ?? 0;
    this.column("priority")[i] = meta.priority ?? 0;
    this.column("flags")[i] = meta.flags ?? 0;
    this.column("data")[i] = data;
    this.column("length")[i] = packet.length;
    this.column("verdict")[i] = Verdict.NONE;
    this.count = i + 1;
    return i;
  }

  /**
   * For engines: appends a copy of packet i as it now is, with its input columns; what an engine has said of the packet is not said of it.
   * @returns its index; null: the batch is full
   */
  duplicate(i: number): number | null {
    const copy = this.count;
    if (copy >= this.capacity) return null;
    const { bytes, columns } = this.#current();
    bytes.copyWithin(this.slot(copy), this.slot(i), this.slot(i) + this.slotSize);
    for (const column of columns) column[copy] = column[i];
    this.column("data")[copy] += this.slot(copy) - this.slot(i);
    this.column("nextHop")[copy] = 0;
    this.column("flags")[copy] &= ~RAISED_BY_ENGINES;
    this.count = copy + 1;
    return copy;
  }

  /** Tells the program how many packets there are. */
  writeCount(): void {
    this.#current().header[BATCH_HEADER.count / 4] = this.count;
  }

  /** How many there are now, with the copies that it appended. */
  readCount(): void {
    this.count = this.#current().header[BATCH_HEADER.count / 4];
  }

  /** A copy of packet i as it now is: `length` bytes from `data`. */
  packet(i: number): Uint8Array {
    const data = this.column("data")[i];
    return this.bytes.slice(data, data + this.column("length")[i]);
  }

  #current(): Views {
    const buffer = this.#buffer();
    if (this.#views?.buffer !== buffer) this.#views = this.#viewsOf(buffer);
    return this.#views;
  }

  /** Apart from `#current`: a call of what functions capture variables of allocates, whether it makes the functions or not. */
  #viewsOf(buffer: ArrayBufferLike): Views {
    const first = this.base + BATCH_HEADER_BYTES;
    const columns = COLUMNS.map((_, k) => new Uint32Array(buffer, first + k * this.capacity * 4, this.capacity));
    const header = new Uint32Array(buffer, this.base, BATCH_HEADER_BYTES / 4);
    return { buffer, bytes: new Uint8Array(buffer), header, columns };
  }
}
