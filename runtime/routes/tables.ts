/** The tables and devices of a namespace, as commands name them, in the image of a loaded module. */
import { DEVICE, DEVICE_BYTES, DeviceFlag } from "../abi/device.ts";
import { TABLE_BYTES } from "../abi/fib.ts";
import { NET } from "../abi/net.ts";
import { RT_TABLE_MAIN } from "../brand.ts";
import type { DeviceConfig } from "../host/config.ts";
import type { Manifest, NetManifest } from "../manifest.ts";
import type { Family } from "../net/ip.ts";
import { refuseRoute } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import type { Context6 } from "./create-info6.ts";
import { lengthClasses } from "./entries.ts";
import { FibTable } from "./fib.ts";
import { FibTable6 } from "./fib6.ts";
import { type GatewayContext, parsedRules } from "./gateway.ts";
import { HopLists } from "./hops.ts";
import { Image, type MemoryOwner, tableWord } from "./image.ts";
import { RecordPool } from "./pool.ts";
import { numbered, type RouteSpec, TABLE_NAMES } from "./spec.ts";

export interface RouteOwner extends MemoryOwner {
  readonly manifest: Manifest;
  /** Offset of a namespace's NET record. */
  netRecord(net: number): number;
}

export class RouteTables {
  readonly image: Image;
  readonly hops: HopLists;
  /** What look-ups of gateways and sources need. */
  readonly context: GatewayContext;
  readonly context6: Context6;
  readonly #pool: RecordPool;
  readonly #nets: readonly NetManifest[];
  readonly #net: NetManifest;
  readonly #record: number;
  readonly #tables = new Map<number, FibTable>();
  readonly #tables6 = new Map<number, FibTable6>();
  readonly #classes: Uint8Array;

  constructor(owner: RouteOwner, net: number) {
    this.image = new Image(owner);
    this.#pool = new RecordPool(this.image);
    this.hops = new HopLists(this.image, this.#pool);
    this.#nets = owner.manifest.nets;
    this.#net = this.#nets[net];
    this.#record = owner.netRecord(net);
    this.#classes = lengthClasses(this.#net.gatewayRules.map((rule) => rule.suppressPrefixLength));
    const { kernel } = owner.manifest;
    this.context = { image: this.image, rules: parsedRules(this.#net.gatewayRules), kernel, table: this.table };
    this.context6 = {
      image: this.image,
      rules: parsedRules(this.#net.gatewayRules6),
      kernel,
      devices: this.devices,
      deviceOf: (ifindex) => this.deviceOf(ifindex),
      table: this.table6,
    };
  }

  get devices(): readonly DeviceConfig[] {
    return this.#net.devices;
  }

  /** Bytes of memory beyond the image as it was loaded: of entries and next hops, and of what routes are found by. */
  get bytesInUse(): { readonly records: number; readonly structures: number } {
    const structures = [...this.#tables.values(), ...this.#tables6.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return { records: this.#pool.bytesInUse, structures };
  }

  /** The number of the table that a route is for. */
  tableOf({ table, vrf }: RouteSpec): number {
    if (vrf === undefined) return table === undefined ? RT_TABLE_MAIN : this.tableId(table);
    const device = this.#net.devices.find(({ name, kind }) => name === vrf && kind === "vrf");
    if (device === undefined) return refuseRoute(Errno.EINVAL, `Error: argument "${vrf}" is wrong: Invalid VRF`);
    return this.image.words[(this.deviceOf(device.ifindex) + DEVICE.tableId) >>> 2];
  }

  tableId(table: number | string): number {
    const names = Object.fromEntries(this.#net.tables.map(({ id, name }) => [name, id]));
    return numbered("table", table, { ...names, ...TABLE_NAMES });
  }

  /** The table, read from the image when it is first asked for; null: the module does not have it. */
  readonly table = (id: number): FibTable | null =>
    this.#tableIn(this.#tables, 4, id, (offset) => {
      const classOf = (length: number): number => this.#classes[length];
      return new FibTable(this.image, this.#pool, this.hops, { offset, classOf });
    });

  /** The same of IPv6. */
  readonly table6 = (id: number): FibTable6 | null =>
    this.#tableIn(this.#tables6, 6, id, (offset) => new FibTable6(this.image, this.#pool, this.hops, offset));

  #tableIn<T>(known: Map<number, T>, family: Family, id: number, read: (offset: number) => T): T | null {
    const [tables, count] = family === 4 ? [NET.tables, NET.tableCount] : [NET.tables6, NET.tableCount6];
    const { words } = this.image;
    for (let i = 0; !known.has(id) && i < words[(this.#record + count) >>> 2]; i++) {
      const offset = words[(this.#record + tables) >>> 2] + i * TABLE_BYTES;
      if (words[tableWord(offset, "id")] === id) known.set(id, read(offset));
    }
    return known.get(id) ?? null;
  }

  /** @throws RouteError when the module does not have it */
  requireTable(id: number): FibTable {
    return this.table(id) ?? this.#noTable(id, 4);
  }

  /** The same of IPv6. */
  requireTable6(id: number): FibTable6 {
    return this.table6(id) ?? this.#noTable(id, 6);
  }

  #noTable(id: number, family: Family): never {
    const name = this.#net.tables.find((t) => t.id === id)?.name ?? id;
    return refuseRoute(
      Errno.ENOENT,
      `the module has no IPv${family} table ${name}: it held no route when it was compiled`,
    );
  }

  /** Offset of the DEVICE. @throws RouteError when there is none of that name */
  deviceNamed(name: string): number {
    const device = this.#net.devices.find((d) => d.name === name);
    return device === undefined
      ? refuseRoute(Errno.ENODEV, `Cannot find device "${name}"`)
      : this.deviceOf(device.ifindex);
  }

  /** Offset of the DEVICE; records stand in the manifest's order. */
  deviceOf(ifindex: number): number {
    const place = this.#net.devices.findIndex((d) => d.ifindex === ifindex);
    return this.image.words[(this.#record + NET.devices) >>> 2] + place * DEVICE_BYTES;
  }

  isUp(device: number): boolean {
    return (this.image.words[(device + DEVICE.flags) >>> 2] & DeviceFlag.UP) !== 0;
  }

  /** netif_carrier_ok: of a veth, when its other end is up. */
  hasCarrier({ peer }: DeviceConfig): boolean {
    if (peer === null) return true;
    return this.#nets[peer.net].devices.find(({ ifindex }) => ifindex === peer.ifindex)?.up ?? false;
  }
}
