/**
 * One thread's way of packets: from its sockets into batches, through the program, and out again. What is not simply sent is for the
 * host, which only the first thread has.
 */
import { COLUMNS, HEADROOM, type PacketBatch } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../runtime/net/ethernet.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import type { Counts } from "./counts.ts";
import type { Native } from "./native.ts";
import { completeChecksum, isSuperFrame, segments, withVlanTag } from "./offload.ts";
import { Receiver, type Sender } from "./packet-socket.ts";

/** Frames of a batch. */
const BATCH = 128;
/** Copies that chains make of a batch's packets (`dup`); more are lost. */
const COPIES = 32;
export const SLOT_SIZE = 2048;
const ROOM = SLOT_SIZE - HEADROOM;
/** Frames that a device sends at once. */
export const MOST_SENT = BATCH + COPIES;
/** The most that is waited, in milliseconds: timers and messages are looked at afterwards. */
export const TICK = 10;
/** Version 4, no options. */
const PLAIN_IPV4 = 0x45;

/** A device as one thread has it. */
export interface Wire {
  /** In the network. */
  readonly ifindex: number;
  /** Among the network's devices with a wire. */
  readonly place: number;
  /** This thread's AF_PACKET socket, -1: none. */
  readonly fd: number;
  readonly sender: Sender;
}

/** Takes what is not simply sent. */
export interface Rest {
  /** Packet i of a judged batch. */
  judged(batch: PacketBatch, i: number): void;
  /** A frame that is read before it is judged: larger than a slot, or with IP options. */
  frame(device: number, frame: Uint8Array): void;
}

export interface LaneNetwork {
  readonly engine: Engine;
  readonly counts: Counts;
  wire(ifindex: number): Wire | undefined;
}

export class Lane {
  readonly #native: Native;
  readonly #rest: Rest;
  readonly #receiver: Receiver;
  readonly #network: LaneNetwork;
  /** Filled by `recvmmsg`. */
  readonly #batch: PacketBatch;
  /** Filled by `put`: segments, sockets' packets. */
  readonly #extra: PacketBatch;
  /** Microseconds. */
  readonly #now: () => number;
  #memory: { readonly buffer: ArrayBufferLike; readonly address: number } | null = null;
  #aimedAt = 0;

  constructor(native: Native, network: LaneNetwork, rest: Rest, now: () => number) {
    this.#native = native;
    this.#network = network;
    this.#rest = rest;
    this.#now = now;
    this.#receiver = new Receiver(native, BATCH);
    [this.#batch, this.#extra] = [0, 1].map(() => network.engine.createBatch(MOST_SENT, SLOT_SIZE));
  }

  get counts(): Counts {
    return this.#network.counts;
  }

  /** @returns false when the device is down */
  receive(wire: Wire): boolean {
    const [batch, receiver] = [this.#batch, this.#receiver];
    this.#aim(batch);
    const count = receiver.receive(wire.fd);
    if (count <= 0) return count === 0;
    let [filled, bytes] = [0, 0];
    for (let i = 0; i < count; i++) {
      const length = receiver.length(i);
      const at = batch.slot(i) + HEADROOM;
      bytes += length;
      if (length > ROOM || receiver.vlanTag(i) !== 0 || !isPlain(batch.bytes, at)) {
        // Order is kept: what came before goes first. The slots from 0 on are free then.
        this.#judgeReceived(batch, filled, wire);
        filled = 0;
        this.#receiveSpecial(wire, i, length);
        continue;
      }
      const place = batch.slot(filled) + HEADROOM;
      if (place !== at) batch.bytes.copyWithin(place, at, at + length);
      const offload = receiver.offload(i);
      if (offload !== null) completeChecksum(batch.bytes.subarray(place, place + length), offload);
      batch.column("data")[filled] = place;
      batch.column("length")[filled++] = length;
    }
    this.counts.received(wire.place, count, bytes);
    this.#judgeReceived(batch, filled, wire);
    receiver.reset(count);
    return true;
  }

  /** A frame that is larger than a slot, has IP options, or had a VLAN tag. */
  #receiveSpecial(wire: Wire, i: number, length: number): void {
    const [batch, extra, receiver] = [this.#batch, this.#extra, this.#receiver];
    const at = batch.slot(i) + HEADROOM;
    const frame = new Uint8Array(length);
    frame.set(batch.bytes.subarray(at, at + Math.min(length, ROOM)));
    if (length > ROOM) frame.set(receiver.overflow(i), ROOM);
    const offload = receiver.offload(i);
    const isSuper = offload !== null && isSuperFrame(offload);
    if (offload !== null && !isSuper) completeChecksum(frame, offload);
    const tag = receiver.vlanTag(i);
    for (const piece of isSuper ? (segments(frame, offload) ?? []) : [frame]) {
      const whole = tag === 0 ? piece : withVlanTag(piece, tag);
      if (whole.length > ROOM || !isPlain(whole, 0)) this.#rest.frame(wire.ifindex, whole);
      else this.#put(whole, { entry: Entry.RECEIVE, device: wire.ifindex });
    }
    this.#judge(extra, extra.count);
  }

  /** A packet of a socket of this machine, to be judged with others by `judgeOutput`. @returns false: it has no room, or options */
  output(packet: Uint8Array, device: number): boolean {
    if (packet.length > ROOM || (packet[0] >>> 4 === 4 && packet[0] !== PLAIN_IPV4)) return false;
    this.#put(packet, { entry: Entry.OUTPUT, device });
    return true;
  }

  judgeOutput(): void {
    this.#judge(this.#extra, this.#extra.count);
  }

  #put(packet: Uint8Array, meta: { readonly entry: Entry; readonly device: number }): void {
    const extra = this.#extra;
    if (extra.count === BATCH) this.#judge(extra, extra.count);
    extra.put(packet, meta);
  }

  /** Frames that the kernel has put at their places: what `PacketBatch.put` says besides. */
  #judgeReceived(batch: PacketBatch, count: number, { ifindex }: Wire): void {
    for (const name of CLEARED) batch.column(name).fill(0, 0, count);
    batch.column("entry").fill(Entry.RECEIVE, 0, count);
    batch.column("device").fill(ifindex, 0, count);
    this.#judge(batch, count);
  }

  /** Has packets 0 .. count-1 judged, sends those that go on, and leaves the rest. */
  #judge(batch: PacketBatch, count: number): void {
    if (count === 0) return;
    const { engine } = this.#network;
    batch.count = count;
    engine.setTime(BigInt(Math.round(this.#now())) * 1000n);
    engine.process(batch);
    const rest = this.#sendOn(batch);
    this.flush();
    for (const i of rest) this.#rest.judged(batch, i);
    batch.count = 0;
  }

  readonly #touched = new Set<Wire>();

  /** @returns the packets that are not simply sent */
  #sendOn(batch: PacketBatch): number[] {
    const rest: number[] = [];
    const { counts } = this;
    const [verdict, outDevice, redirect] = [
      batch.column("verdict"),
      batch.column("outDevice"),
      batch.column("redirect"),
    ];
    const [entry, data, length] = [batch.column("entry"), batch.column("data"), batch.column("length")];
    const route = batch.column("route");
    const address = this.#address(batch);
    for (let i = 0; i < batch.count; i++) {
      if (route[i] !== 0) counts.routed(route[i]);
      if (PASSED.has(verdict[i])) counts.passed(entry[i], verdict[i]);
      if (verdict[i] !== Verdict.TRANSMIT || redirect[i] !== 0) {
        if (verdict[i] !== Verdict.DROP || redirect[i] !== 0) rest.push(i);
        continue;
      }
      const wire = this.#network.wire(outDevice[i]);
      if (wire === undefined || wire.fd < 0) continue;
      counts.sent(wire.place, length[i]);
      wire.sender.add(wire.fd, address + data[i], length[i]);
      this.#touched.add(wire);
    }
    return rest;
  }

  /** Sends what the host has made. */
  transmit(device: number, frame: Uint8Array): void {
    const wire = this.#network.wire(device);
    if (wire === undefined || wire.fd < 0) return;
    this.counts.sent(wire.place, frame.length);
    wire.sender.copy(wire.fd, frame);
    this.#touched.add(wire);
  }

  /** What was sent goes. */
  flush(): void {
    for (const wire of this.#touched) {
      if (wire.fd >= 0) wire.sender.flush(wire.fd);
      const lost = wire.sender.takeLost();
      if (lost > 0) this.counts.lost(wire.place, lost);
    }
    this.#touched.clear();
  }

  /** Where linear memory lies; it may have moved when it grew. */
  #address(batch: PacketBatch): number {
    const { bytes } = batch;
    if (this.#memory?.buffer !== bytes.buffer)
      this.#memory = { buffer: bytes.buffer, address: this.#native.addressOf(bytes) };
    return this.#memory.address;
  }

  #aim(batch: PacketBatch): void {
    const target = this.#address(batch) + batch.slot(0) + HEADROOM;
    if (target !== this.#aimedAt) this.#receiver.aim(target, SLOT_SIZE, ROOM);
    this.#aimedAt = target;
  }
}

/** Columns that are 0 for a frame that comes in. */
const CLEARED = COLUMNS.filter((name) => !["entry", "device", "data", "length"].includes(name));

/** Verdicts that are reached past the last hook of netfilter. */
const PASSED: ReadonlySet<number> = new Set([Verdict.TRANSMIT, Verdict.LOCAL, Verdict.UNRESOLVED, Verdict.FRAGMENT]);

/** Not an IPv4 packet with options, which the host reads first; a frame that is cut short counts as one. */
const isPlain = (bytes: Uint8Array, at: number): boolean =>
  readU16(bytes, at + 12) !== EtherType.IPV4 || bytes[at + ETHERNET_HEADER_BYTES] === PLAIN_IPV4;
