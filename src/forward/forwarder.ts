/**
 * The forwarder: a compiled network between real devices. The first thread, which waits in poll(2) and works batch by batch; others may
 * forward beside it (team.ts).
 *
 *   devices                               linear memory                                      devices
 *  AF_PACKET ---recvmmsg---> slots of a batch --process--> TRANSMIT ---sendmmsg---> AF_PACKET              lane.ts
 *                                                 |
 *   tap of the VRF ---read---> Entry.OUTPUT       '--all else--> Host (runtime/host): ARP, neighbour discovery, echo, errors,
 *   (sockets)                                                    fragments; what is for sockets goes to the tap
 *
 * A network is exchanged between two batches: sockets stay open, and what waits in them is judged by the new one.
 */
import type { PacketBatch } from "../../runtime/batch.ts";
import { type Dataplane, loadSync } from "../../runtime/dataplane.ts";
import { type Judgement, SECOND } from "../../runtime/host/events.ts";
import { Host } from "../../runtime/host/host.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../runtime/net/ethernet.ts";
import { readU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { asReceived } from "./as-received.ts";
import { type Reading, Tally } from "./counters.ts";
import { Counts } from "./counts.ts";
import { isForSocket, isKernelChatter, SlaveFlows } from "./flows.ts";
import { answerKernel, frameFor, sendingDevice } from "./kernel-side.ts";
import { Lane, MOST_SENT, type Rest, TICK } from "./lane.ts";
import { applySettings, removeLeftovers, type Setting, withoutRoutesBy } from "./mirror.ts";
import { Errno, type Native } from "./native.ts";
import { Port, Ports, Side } from "./ports.ts";
import { socketError } from "./socket-errors.ts";
import { type Member, Team } from "./team.ts";

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

/** Microseconds between two looks at devices that are gone and neighbours that are old. */
const CARE = SECOND / 4;
/** Packets of sockets that are read at once. */
const SOCKET_PACKETS = 128;

interface Loaded {
  readonly dataplane: Dataplane;
  readonly net: number;
  readonly host: Host;
  readonly lane: Lane;
  readonly settings: readonly Setting[];
  /** Of all threads. */
  readonly counts: readonly Counts[];
}

export class Forwarder implements Rest {
  readonly #native: Native;
  readonly #clock = new EventQueue();
  readonly #ports: Ports;
  readonly #team: Team;
  readonly #flows = new SlaveFlows();
  readonly #tally = new Tally();
  readonly #returned: (device: string) => void;
  #loaded: Loaded | null = null;
  #cared = 0;

  /**
   * @param members threads that forward too
   * @param returned is told of a device that was gone and is back: its link-layer address may be another
   */
  constructor(native: Native, members: readonly Member[], returned: (device: string) => void) {
    this.#native = native;
    this.#returned = returned;
    this.#team = new Team(native, members, this);
    this.#ports = new Ports(native, MOST_SENT, 1 + members.length, this.#team.wake);
    this.#clock.runUntil(now());
  }

  /**
   * Starts to forward, or goes on by another network: devices that it has not are left, those that it has besides are opened.
   * @throws ForwardError; then what was loaded before goes on
   */
  load({ module, net, settings, routeNames }: Network): void {
    const dataplane = loadSync(module);
    const [config, engine, before] = [dataplane.manifest.nets[net], dataplane.nets[net], this.#loaded];
    const wireNames = config.devices.filter(({ kind }) => kind === "veth").map(({ name }) => name);
    this.#team.pause();
    if (before === null) removeLeftovers(settings);
    try {
      const opened = this.#ports.keep(config.devices);
      applySettings(withoutRoutesBy(opened, before?.settings ?? []), settings);
    } catch (error) {
      if (before !== null) this.#employ(before);
      throw error;
    }
    const counts = Array.from({ length: 1 + this.#team.size }, () => Counts.fresh(wireNames.length, routeNames.length));
    const wire = (ifindex: number) => this.#ports.port(ifindex);
    const lane = new Lane(this.#native, { engine, counts: counts[0], wire }, this, () => this.#clock.now);
    const transmit = (device: number, frame: Uint8Array): void => lane.transmit(device, frame);
    const sockets = (packet: Judgement): boolean => this.#deliver(packet);
    const host = new Host({ engine, config, net, clock: this.#clock, transmit, sockets });
    this.#loaded = { dataplane, net, host, lane, settings, counts };
    this.#tally.load({ dataplane, net, routeNames, wireNames, threads: counts });
    if (before !== null) host.adopt(before.host);
    for (let i = 0; i < this.#team.size; i++) dataplane.threads.seat();
    this.#employ(this.#loaded);
    lane.flush();
  }

  /** Has the other threads forward. */
  #employ({ dataplane, net, counts }: Loaded): void {
    const { wake } = this.#team;
    if (wake === null) return;
    const works = dataplane.threads.seats.map((seat, i) => ({
      seat,
      net,
      wires: this.#ports.wires(1 + i),
      counts: counts[1 + i].buffer,
      places: counts[1 + i].wires,
      wake: wake.fd,
    }));
    this.#team.work(works, dataplane.memory);
  }

  /** Waits for frames, but not long, and does what there is to do. */
  turn(): void {
    const ready = this.#ports.wait(TICK);
    this.#clock.runUntil(now());
    for (const end of ready)
      if (end instanceof Side) this.#readFrom(end);
      else if (end instanceof Port) this.#receiveFrom(end);
      else end.drain();
    this.#team.serve();
    if (this.#clock.now >= this.#cared + CARE) this.#care();
    this.#loaded?.lane.flush();
  }

  counters(): Reading {
    return this.#tally.read();
  }

  /** Undoes all that was done to the machine. */
  close(): void {
    this.#team.stop();
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
    if (gone.length > 0) {
      this.#team.pause();
      this.#ports.leave(gone);
      this.#employ(this.#now);
    }
    for (const { ifindex } of gone) this.#loaded?.host.forgetNeighbours(ifindex);
    for (const { name } of back) this.#returned(name);
    this.#loaded?.host.confirmNeighbours();
  }

  // ---- in

  #receiveFrom(port: Port): void {
    if (!this.#now.lane.receive(port) && this.#native.errno() === Errno.ENETDOWN) this.#cared = 0;
  }

  /** What sockets of this machine send. */
  #readFrom({ tap, ifindex }: Side): void {
    const { lane, host } = this.#now;
    for (let n = 0; n < SOCKET_PACKETS; n++) {
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
      if (!lane.output(packet, device)) host.output(packet.slice(), { device });
    }
    lane.judgeOutput();
  }

  // ---- what is not simply sent, of any thread

  judged(batch: PacketBatch, i: number): void {
    const { host } = this.#now;
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

  frame(device: number, frame: Uint8Array): void {
    this.#now.host.receive(device, frame);
  }

  // ---- to sockets

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
}

/** Microseconds since 1970. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);
