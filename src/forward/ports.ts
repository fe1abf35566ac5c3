/**
 * The ends of the forwarder on this machine: a port for each device of the network, and for each VRF a tap, which is the sockets' side
 * of it. Nothing else of the machine is touched.
 */
import { writeFileSync } from "node:fs";
import type { DeviceConfig } from "../../runtime/host/config.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import { isolateDevice, MARK, redirectFromTap } from "./bpf.ts";
import { realDevice } from "./devices.ts";
import { type Native, NativeBuffer } from "./native.ts";
import { openPacketSocket, Sender } from "./packet-socket.ts";
import { Tap } from "./tap.ts";

/** A device of the network. */
export class Port {
  readonly name: string;
  readonly sender: Sender;
  /** In the network. */
  ifindex = 0;
  /** On the machine; 0: it is not there. */
  real = 0;
  mac: Mac = 0;
  /** Its AF_PACKET socket, -1: none. */
  fd = -1;
  links: readonly number[] = [];

  constructor(name: string, sender: Sender) {
    this.name = name;
    this.sender = sender;
  }
}

/** The sockets' side of a VRF, or of the devices without one. */
export class Side {
  readonly tap: Tap;
  readonly mac: Mac;
  readonly links: readonly number[];
  /** The VRF in the network, 0: none. */
  ifindex = 0;

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

/** struct pollfd: s32 descriptor, s16 events, s16 what happened. */
const POLLFD = { bytes: 8, events: 4, happened: 6 } as const;
const POLLIN = 1;

export class Ports {
  readonly #native: Native;
  readonly #capacity: number;
  readonly #ports = new Map<string, Port>();
  readonly #sides = new Map<string, Side>();
  #byIfindex: (Port | undefined)[] = [];
  #sideByIfindex: (Side | undefined)[] = [];
  #watched: readonly (Port | Side)[] = [];
  #poll: NativeBuffer;

  /** @param capacity frames that a port sends at once */
  constructor(native: Native, capacity: number) {
    this.#native = native;
    this.#capacity = capacity;
    this.#poll = new NativeBuffer(native, POLLFD.bytes);
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
    for (const { name, ifindex, master } of wired) {
      const port = this.#ports.get(name) ?? new Port(name, new Sender(this.#native, this.#capacity));
      this.#ports.set(name, port);
      this.#byIfindex[ifindex] = port;
      port.ifindex = ifindex;
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
    if (port.fd < 0) port.fd = openPacketSocket(this.#native, device.ifindex, MARK);
    port.real = device.ifindex;
    port.mac = device.mac;
  }

  /** Looks which devices have gone, and which of those that had are back, and to be opened. */
  look(): { readonly gone: readonly Port[]; readonly back: readonly Port[] } {
    const [gone, back]: [Port[], Port[]] = [[], []];
    for (const port of this.#ports.values()) {
      const device = realDevice(this.#native, port.name);
      if (port.fd >= 0 && device?.ifindex !== port.real) {
        this.#closePort(port);
        gone.push(port);
      }
      if (port.fd < 0 && device !== null) back.push(port);
    }
    if (gone.length > 0) this.#watch();
    return { gone, back };
  }

  /** Waits until there is something to read. @param milliseconds the most @returns where */
  wait(milliseconds: number): readonly (Port | Side)[] {
    const { view, address } = this.#poll;
    if (this.#native.poll(address, this.#watched.length, milliseconds) <= 0) return [];
    return this.#watched.filter((_, i) => view.getUint16(i * POLLFD.bytes + POLLFD.happened, true) !== 0);
  }

  #watch(): void {
    this.#watched = [...[...this.#ports.values()].filter(({ fd }) => fd >= 0), ...this.#sides.values()];
    this.#poll = new NativeBuffer(this.#native, Math.max(1, this.#watched.length) * POLLFD.bytes);
    this.#watched.forEach((end, i) => {
      this.#poll.view.setInt32(i * POLLFD.bytes, end instanceof Port ? end.fd : end.tap.fd, true);
      this.#poll.view.setUint16(i * POLLFD.bytes + POLLFD.events, POLLIN, true);
    });
  }

  close(): void {
    for (const port of this.#ports.values()) this.#closePort(port);
    for (const [name, side] of this.#sides) this.#closeSide(name, side);
    this.#ports.clear();
  }

  #closePort(port: Port): void {
    for (const link of port.links) this.#native.close(link);
    if (port.fd >= 0) this.#native.close(port.fd);
    Object.assign(port, { links: [], fd: -1, real: 0 });
  }

  #closeSide(name: string, { tap, links }: Side): void {
    for (const link of links) this.#native.close(link);
    tap.close();
    this.#sides.delete(name);
  }
}
