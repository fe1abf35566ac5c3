/**
 * The forwarder: a compiled network between real devices. One thread, which waits in poll(2) and works batch by batch:
 *
 *   devices                               linear memory                                      devices
 *  AF_PACKET ---recvmmsg---> slots of a batch --process--> TRANSMIT ---sendmmsg---> AF_PACKET
 *                                                 |
 *   tap of the VRF ---read---> Entry.OUTPUT       '--all else--> Host (runtime/host): ARP, neighbour discovery, echo, errors,
 *   (sockets)                                                    fragments; what is for sockets goes to the tap
 *
 * A network is exchanged between two batches: sockets stay open, and what waits in them is judged by the new one.
 */
import { COLUMNS, HEADROOM, type PacketBatch } from "../../runtime/batch.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { type Judgement, SECOND } from "../../runtime/host/events.ts";
import { Host } from "../../runtime/host/host.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { readManifest } from "../../runtime/manifest.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../runtime/net/ethernet.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { asReceived } from "./as-received.ts";
import { type Reading, Tally } from "./counters.ts";
import { isForSocket, isKernelChatter, SlaveFlows } from "./flows.ts";
import { answerKernel, frameFor, sendingDevice } from "./kernel-side.ts";
import { applySettings, removeLeftovers, type Setting, withoutRoutesBy } from "./mirror.ts";
import { Errno, type Native } from "./native.ts";
import { completeChecksum, isSuperFrame, segments, withVlanTag } from "./offload.ts";
import { Receiver } from "./packet-socket.ts";
import { type Port, Ports, Side } from "./ports.ts";
import { socketError } from "./socket-errors.ts";

/** What to forward by. Can be sent between threads: the one that compiles is not the one that forwards. */
export interface Network {
  readonly module: WebAssembly.Module;
  /** Which of the module's namespaces. */
  readonly net: number;
  /** For the kernel's sockets. */
  readonly settings: readonly Setting[];
  /** By RouteId, for counters. */
  readonly routeNames: readonly string[];
}

/** Frames of a batch. */
const BATCH = 128;
/** Copies that chains make of a batch's packets (`dup`); more are lost. */
const COPIES = 32;
const SLOT_SIZE = 2048;
const ROOM = SLOT_SIZE - HEADROOM;
/** The most that is waited, in milliseconds: timers and messages are looked at afterwards. */
const TICK = 10;
/** Microseconds between two looks at devices that are gone and neighbours that are old. */
const CARE = SECOND / 4;
/** Version 4, no options. */
const PLAIN_IPV4 = 0x45;

interface Loaded {
  readonly dataplane: Dataplane;
  readonly engine: Engine;
  readonly host: Host;
  /** Filled by `recvmmsg`. */
  readonly batch: PacketBatch;
  /** Filled by `put`: segments, sockets' packets. */
  readonly extra: PacketBatch;
  readonly settings: readonly Setting[];
}

export class Forwarder {
  readonly #native: Native;
  readonly #clock = new EventQueue();
  readonly #receiver: Receiver;
  readonly #ports: Ports;
  readonly #flows = new SlaveFlows();
  readonly #tally = new Tally();
  readonly #returned: (device: string) => void;
  #loaded: Loaded | null = null;
  #memory: { readonly buffer: ArrayBufferLike; readonly address: number } | null = null;
  #aimedAt = 0;
  #cared = 0;

  /** @param returned is told of a device that was gone and is back: its link-layer address may be another */
  constructor(native: Native, returned: (device: string) => void) {
    this.#native = native;
    this.#returned = returned;
    this.#receiver = new Receiver(native, BATCH);
    this.#ports = new Ports(native, BATCH + COPIES);
    this.#clock.runUntil(now());
  }

  /**
   * Starts to forward, or goes on by another network: devices that it has not are left, those that it has besides are opened.
   * @throws ForwardError; then what was loaded before goes on
   */
  load({ module, net, settings, routeNames }: Network): void {
    const manifest = readManifest(module);
    const dataplane = new Dataplane(new WebAssembly.Instance(module), manifest);
    const [config, engine, before] = [manifest.nets[net], dataplane.nets[net], this.#loaded];
    if (before === null) removeLeftovers(settings);
    const opened = this.#ports.keep(config.devices);
    applySettings(withoutRoutesBy(opened, before?.settings ?? []), settings);
    const [batch, extra] = [0, 1].map(() => engine.createBatch(BATCH + COPIES, SLOT_SIZE));
    const transmit = (device: number, frame: Uint8Array): void => this.#transmit(device, frame);
    const sockets = (packet: Judgement): boolean => this.#deliver(packet);
    const host = new Host({ engine, config, net, clock: this.#clock, transmit, sockets });
    this.#loaded = { dataplane, engine, host, batch, extra, settings };
    this.#memory = null;
    this.#tally.load(dataplane, net, routeNames);
    if (before !== null) host.adopt(before.host);
    this.#flush();
  }

  /** Waits for frames, but not long, and does what there is to do. */
  turn(): void {
    const ready = this.#ports.wait(TICK);
    this.#clock.runUntil(now());
    for (const end of ready)
      if (end instanceof Side) this.#readFrom(end);
      else this.#receiveFrom(end);
    if (this.#clock.now >= this.#cared + CARE) this.#care();
    this.#flush();
  }

  counters(): Reading {
    for (const { name, sender } of this.#ports.all) this.#tally.device(name).lost = sender.lost;
    return this.#tally.read();
  }

  /** Undoes all that was done to the machine. */
  close(): void {
    applySettings(this.#loaded?.settings ?? [], []);
    this.#ports.close();
  }

  get #now(): Loaded {
    if (this.#loaded === null) throw new Error("nothing is loaded");
    return this.#loaded;
  }

  #care(): void {
    this.#cared = this.#clock.now;
    const { gone, back } = this.#ports.look();
    for (const { ifindex } of gone) this.#loaded?.host.forgetNeighbours(ifindex);
    for (const { name } of back) this.#returned(name);
    this.#loaded?.host.confirmNeighbours();
  }

  // ---- in

  #receiveFrom(port: Port): void {
    const { batch } = this.#now;
    const receiver = this.#receiver;
    this.#aim(batch);
    const count = receiver.receive(port.fd);
    if (count < 0 && this.#native.errno() === Errno.ENETDOWN) this.#cared = 0;
    if (count <= 0) return;
    const counted = this.#tally.device(port.name);
    counted.rxPackets += count;
    let filled = 0;
    for (let i = 0; i < count; i++) {
      const length = receiver.length(i);
      const at = batch.slot(i) + HEADROOM;
      counted.rxBytes += length;
      if (length > ROOM || receiver.vlanTag(i) !== 0 || !isPlain(batch.bytes, at)) {
        // Order is kept: what came before goes first. The slots from 0 on are free then.
        this.#judgeReceived(batch, filled, port);
        filled = 0;
        this.#receiveSpecial(port, i, length);
        continue;
      }
      const place = batch.slot(filled) + HEADROOM;
      if (place !== at) batch.bytes.copyWithin(place, at, at + length);
      const offload = receiver.offload(i);
      if (offload !== null) completeChecksum(batch.bytes.subarray(place, place + length), offload);
      batch.column("data")[filled] = place;
      batch.column("length")[filled++] = length;
    }
    this.#judgeReceived(batch, filled, port);
    receiver.reset(count);
  }

  /** A frame that is larger than a slot, has IP options, or had a VLAN tag. */
  #receiveSpecial(port: Port, i: number, length: number): void {
    const { batch, extra, host } = this.#now;
    const receiver = this.#receiver;
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
      if (whole.length > ROOM || !isPlain(whole, 0)) host.receive(port.ifindex, whole);
      else {
        if (extra.count === BATCH) this.#judge(extra, extra.count);
        extra.put(whole, { entry: Entry.RECEIVE, device: port.ifindex });
      }
    }
    this.#judge(extra, extra.count);
  }

  /** What sockets of this machine send. */
  #readFrom({ tap, ifindex }: Side): void {
    const { extra, host } = this.#now;
    for (let n = 0; n < BATCH; n++) {
      const frame = tap.read();
      if (frame === null) break;
      const sender = sendingDevice(frame);
      const slave = sender === null ? undefined : this.#ports.real(sender);
      const answer = slave === undefined ? null : answerKernel(frame, slave);
      if (answer !== null) tap.write(answer);
      const type = readU16(frame, 12);
      const packet = frame.subarray(ETHERNET_HEADER_BYTES);
      if ((type !== EtherType.IPV4 && type !== EtherType.IPV6) || isKernelChatter(packet)) continue;
      const device = slave?.ifindex ?? ifindex;
      if (slave !== undefined) this.#flows.note(packet, device);
      if (packet.length > ROOM || (type === EtherType.IPV4 && packet[0] !== PLAIN_IPV4))
        host.output(packet.slice(), { device });
      else extra.put(packet, { entry: Entry.OUTPUT, device });
    }
    this.#judge(extra, extra.count);
  }

  // ---- judged

  /** Frames that the kernel has put at their places: what `PacketBatch.put` says besides. */
  #judgeReceived(batch: PacketBatch, count: number, port: Port): void {
    for (const name of CLEARED) batch.column(name).fill(0, 0, count);
    batch.column("entry").fill(Entry.RECEIVE, 0, count);
    batch.column("device").fill(port.ifindex, 0, count);
    this.#judge(batch, count);
  }

  /** Has packets 0 .. count-1 judged, sends those that go on, and leaves the rest to the host. */
  #judge(batch: PacketBatch, count: number): void {
    if (count === 0) return;
    const { engine, host } = this.#now;
    batch.count = count;
    engine.setTime(BigInt(Math.round(this.#clock.now)) * 1000n);
    engine.process(batch);
    const rest = this.#sendOn(batch);
    this.#flush();
    for (const i of rest) this.#leaveToHost(host, batch, i);
    batch.count = 0;
  }

  /** @returns the packets that are not simply sent */
  #sendOn(batch: PacketBatch): number[] {
    const rest: number[] = [];
    const [verdict, outDevice, error] = [batch.column("verdict"), batch.column("outDevice"), batch.column("error")];
    const [entry, data, length] = [batch.column("entry"), batch.column("data"), batch.column("length")];
    const route = batch.column("route");
    const address = this.#address(batch);
    for (let i = 0; i < batch.count; i++) {
      if (route[i] !== 0) this.#tally.route(route[i]);
      if (PASSED.has(verdict[i])) this.#tally.passed(entry[i], verdict[i]);
      if (verdict[i] !== Verdict.TRANSMIT || error[i] !== 0) {
        if (verdict[i] !== Verdict.DROP || error[i] !== 0) rest.push(i);
        continue;
      }
      const port = this.#ports.port(outDevice[i]);
      if (port !== undefined && port.fd >= 0) this.#send(port, address + data[i], length[i]);
    }
    return rest;
  }

  #leaveToHost(host: Host, batch: PacketBatch, i: number): void {
    const isOutput = batch.column("entry")[i] === Entry.OUTPUT;
    const verdict = batch.column("verdict")[i];
    if (isOutput && verdict === Verdict.SEND_ERROR) {
      const device = batch.column("device")[i];
      const answer = socketError(batch.packet(i), batch.column("error")[i]);
      if (answer !== null) this.#toSockets(answer, host.devices.l3mdevMaster(device), device);
      return;
    }
    host.judged(batch, i, asReceived(batch, i), isOutput ? Entry.OUTPUT : Entry.RECEIVE);
  }

  // ---- out

  #send(port: Port, address: number, length: number): void {
    const counted = this.#tally.device(port.name);
    counted.txPackets++;
    counted.txBytes += length;
    port.sender.add(port.fd, address, length);
  }

  #transmit(device: number, frame: Uint8Array): void {
    const port = this.#ports.port(device);
    if (port === undefined || port.fd < 0) return;
    const counted = this.#tally.device(port.name);
    counted.txPackets++;
    counted.txBytes += frame.length;
    port.sender.copy(port.fd, frame);
  }

  #flush(): void {
    for (const port of this.#ports.all) if (port.fd >= 0) port.sender.flush(port.fd);
  }

  /** A packet for this host: is it for a socket of the kernel's? */
  #deliver({ ip, skbDevice, sdif }: Judgement): boolean {
    if (!isForSocket(ip)) return false;
    this.#toSockets(ip, this.#now.host.devices.l3mdevMaster(skbDevice), sdif || skbDevice);
    return true;
  }

  /** @param receivedBy the device of the wire */
  #toSockets(packet: Uint8Array, vrf: number, receivedBy: number): void {
    const side = this.#ports.side(vrf) ?? this.#ports.side(0);
    if (side === undefined) return;
    const bySlave = vrf === 0 ? receivedBy : this.#flows.deviceOf(packet);
    const port = bySlave === undefined ? undefined : this.#ports.port(bySlave);
    side.tap.write(frameFor(packet, side, port?.real ? port : null));
  }

  // ---- linear memory

  /** Where it lies; it may have moved when it grew. */
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

/** Microseconds since 1970. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** Not an IPv4 packet with options, which the host reads first; a frame that is cut short counts as one. */
const isPlain = (bytes: Uint8Array, at: number): boolean =>
  readU16(bytes, at + 12) !== EtherType.IPV4 || bytes[at + ETHERNET_HEADER_BYTES] === PLAIN_IPV4;
