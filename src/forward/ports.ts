/**
 * The ends of the forwarder on this machine: a port for each device of the network, and for each VRF a tap, which is the sockets' side
 * of it. Nothing else of the machine is touched.
 */
import { writeFileSync } from "node:fs";
import type { DeviceConfig } from "../../runtime/host/config.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import { isolateDevice, MARK, redirectFromTap } from "./bpf.ts";
import { realDevice } from "./devices.ts";
import type { Wire } from "./lane.ts";
import type { Native } from "./native.ts";
import { openPacketSocket, Sender } from "./packet-socket.ts";
import { Poll } from "./poll.ts";
import { Tap } from "./tap.ts";
import type { Wake } from "./team.ts";

/** A device of the network. */
export class Port implements Wire {
  readonly name: string;
  readonly sender: Sender;
  ifindex = 0;
  place = 0;
  /** On the machine; 0: it is not there. */
  real = 0;
  mac: Mac = 0;
  /** Its AF_PACKET sockets, one for each thread; none: it is not open. */
  fds: readonly number[] = [];
  links: readonly number[] = [];

  constructor(name: string, sender: Sender) {
    this.name = name;
    this.sender = sender;
  }

  get fd(): number {
    return this.fds[0] ?? -1;
  }
}

/** The sockets' side of a VRF, or of the devices without one. */
export class Side {
  readonly tap: Tap;
  readonly mac: Mac;
  readonly links: readonly number[];
  /** The VRF in the network, 0: none. */
  ifindex = 0;

  get fd(): number {
    return this.tap.fd;
  }

  constructor(native: Native, name: string) {
    this.tap = new Tap(native, name);
    try {
      const { ifindex, mac } = realDevice(native, this.tap.name)!;
      this.mac = mac;
      this.links = redirectFromTap(native, ifindex);
      // What the host tells this machine's own sockets comes from one of its own addresses.
      const settings = `/proc/sys/net/ipv4/conf/${this.tap.name}`;
      writeFileSync(`${settings}/accept_local`, "1");
      writeFileSync(`${settings}/rp_filter`, "0");
    } catch (error) {
      this.tap.close();
      throw error;
    }
  }
}

/** Name of the tap for devices without a VRF; the kernel puts a number. */
const NO_VRF = "vrfc%d";

export class Ports {
  readonly #native: Native;
  readonly #capacity: number;
  readonly #threads: number;
  readonly #ports = new Map<string, Port>();
  readonly #sides = new Map<string, Side>();
  #byIfindex: (Port | undefined)[] = [];
  #sideByIfindex: (Side | undefined)[] = [];
  #poll: Poll<Port | Side | Wake>;

  /** Told by other threads that they want something. */
  readonly #wake: Wake | null;

  /** @param capacity frames that a port sends at once @param threads that have a socket of each device */
  constructor(native: Native, capacity: number, threads: number, wake: Wake | null) {
    this.#native = native;
    this.#capacity = capacity;
    this.#threads = threads;
    this.#wake = wake;
    this.#poll = new Poll(native, []);
  }

  get all(): Iterable<Port> {
    return this.#ports.values();
  }
  /** By the network's ifindex. */
  port(ifindex: number): Port | undefined {
    return this.#byIfindex[ifindex];
  }
  /** By the VRF's ifindex in the network, 0: that of devices without one. */
  side(ifindex: number): Side | undefined {
    return this.#sideByIfindex[ifindex];
  }
  /** What a thread has of them. */
  wires(thread: number): { readonly ifindex: number; readonly place: number; readonly fd: number }[] {
    const open = [...this.#ports.values()].filter(({ fds }) => fds[thread] !== undefined);
    return open.map(({ ifindex, place, fds }) => ({ ifindex, place, fd: fds[thread] }));
  }
  /** By the ifindex on the machine. */
  real(ifindex: number): Port | undefined {
    return [...this.#ports.values()].find((port) => port.real === ifindex);
  }

  /**
   * Opens what a network needs, and closes what it does not.
   * @returns the names of the devices that were opened
   * @throws ForwardError
   */
  keep(devices: readonly DeviceConfig[]): string[] {
    const wired = devices.filter(({ kind }) => kind === "veth");
    const domains = new Map(devices.filter(({ kind }) => kind === "vrf").map(({ name, ifindex }) => [name, ifindex]));
    if (wired.some(({ master }) => master === 0)) domains.set(NO_VRF, 0);
    this.#keepSides(domains);
    const open = [...this.#ports.values()].filter(({ fd }) => fd >= 0).map(({ name }) => name);
    this.#keepPorts(wired);
    return wired.map(({ name }) => name).filter((name) => !open.includes(name));
  }

  #keepSides(domains: ReadonlyMap<string, number>): void {
    for (const [name, side] of this.#sides) if (!domains.has(name)) this.#closeSide(name, side);
    this.#sideByIfindex = [];
    for (const [name, ifindex] of domains) {
      const side = this.#sides.get(name) ?? new Side(this.#native, name);
      this.#sides.set(name, side);
      this.#sideByIfindex[ifindex] = side;
      side.ifindex = ifindex;
    }
  }

  #keepPorts(wired: readonly DeviceConfig[]): void {
    const names = new Set(wired.map(({ name }) => name));
    for (const [name, port] of this.#ports)
      if (!names.has(name)) {
        this.#closePort(port);
        this.#ports.delete(name);
      }
    this.#byIfindex = [];
    for (const [place, { name, ifindex, master }] of wired.entries()) {
      const port = this.#ports.get(name) ?? new Port(name, new Sender(this.#native, this.#capacity));
      this.#ports.set(name, port);
      this.#byIfindex[ifindex] = port;
      Object.assign(port, { ifindex, place });
      this.#openPort(port, this.#sideByIfindex[master]!);
    }
    this.#watch();
  }

  /** What sockets send by the device goes to the tap of its VRF, which may be another than before; the socket stays. */
  #openPort(port: Port, side: Side): void {
    const device = realDevice(this.#native, port.name);
    const tap = realDevice(this.#native, side.tap.name);
    if (device === null || tap === null || port.real !== device.ifindex) this.#closePort(port);
    if (device === null || tap === null) return;
    const links = isolateDevice(this.#native, device.ifindex, tap.ifindex);
    for (const link of port.links) this.#native.close(link);
    port.links = links;
    if (port.fd < 0) {
      const shared = this.#threads > 1;
      const open = (): number => openPacketSocket(this.#native, device.ifindex, MARK, shared);
      // One by one, so that those that were opened are closed when another cannot be.
      for (let i = 0; i < this.#threads; i++) port.fds = [...port.fds, open()];
    }
    port.real = device.ifindex;
    port.mac = device.mac;
  }

  /** Looks which devices have gone, and which of those that had are back, and to be opened. */
  look(): { readonly gone: readonly Port[]; readonly back: readonly Port[] } {
    const [gone, back]: [Port[], Port[]] = [[], []];
    for (const port of this.#ports.values()) {
      const device = realDevice(this.#native, port.name);
      const isGone = port.fd >= 0 && device?.ifindex !== port.real;
      if (isGone) gone.push(port);
      if ((isGone || port.fd < 0) && device !== null) back.push(port);
    }
    return { gone, back };
  }

  /** Closes ports of devices that have gone. */
  leave(gone: readonly Port[]): void {
    for (const port of gone) this.#closePort(port);
    this.#watch();
  }

  /** Waits until there is something to read. @param milliseconds the most @returns where */
  wait(milliseconds: number): readonly (Port | Side | Wake)[] {
    return this.#poll.wait(milliseconds);
  }

  #watch(): void {
    const open = [...this.#ports.values()].filter(({ fd }) => fd >= 0);
    this.#poll = new Poll(this.#native, [
      ...(this.#wake === null ? [] : [this.#wake]),
      ...open,
      ...this.#sides.values(),
    ]);
  }

  close(): void {
    for (const port of this.#ports.values()) this.#closePort(port);
    for (const [name, side] of this.#sides) this.#closeSide(name, side);
    this.#ports.clear();
  }

  #closePort(port: Port): void {
    for (const link of port.links) this.#native.close(link);
    for (const fd of port.fds) this.#native.close(fd);
    Object.assign(port, { links: [], fds: [], real: 0 });
  }

  #closeSide(name: string, { tap, links }: Side): void {
    for (const link of links) this.#native.close(link);
    tap.close();
    this.#sides.delete(name);
  }
}
