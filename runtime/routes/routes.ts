/**
 * The IPv4 routes of a namespace, changed while packets flow: `ip route add | append | prepend | replace | change | del` as the
 * kernel means them, over the image of a loaded module. What is refused throws a RouteError and leaves everything as it was.
 *
 *   dataplane.routes("host").add("10.1.0.0/16 via 10.0.0.2 dev eth0 metric 20 table 100")
 *   dataplane.routes("host").run("ip route del 10.1.0.0/16 table 100")
 *
 * Streams of changes go by columns: a next hop is said and checked once (`nextHop`), then `update` replaces and deletes routes by its
 * number, a million a second.
 */
import { DEVICE, DEVICE_BYTES, DeviceFlag, NET, NEXT_HOP, RouteTypeCode, TABLE_BYTES } from "../abi.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../brand.ts";
import type { DeviceConfig } from "../host/config.ts";
import type { Manifest, NetManifest } from "../manifest.ts";
import { formatIp } from "../net/ip.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { A, ALIAS_WORDS } from "./entries.ts";
import { type DeleteMatch, FibTable, type InsertMode, type PreparedRoute } from "./fib.ts";
import {
  type Answer,
  addrType,
  type GatewayContext,
  isHit,
  isValidPrefsrc,
  l3mdevMaster,
  rulesLookup,
  Scope,
  tableLookup,
} from "./gateway.ts";
import { type Hop, HopLists } from "./hops.ts";
import { Image, type MemoryOwner, tableWord } from "./image.ts";
import { RecordPool } from "./pool.ts";
import { inetSelectAddr } from "./select-addr.ts";
import {
  addressOf,
  type HopSpec,
  numbered,
  parseRoute,
  prefixOf,
  protocolOf,
  ROUTE_SCOPES,
  type RouteSpec,
  TABLE_NAMES,
  typeOf,
} from "./spec.ts";

const MODES = {
  add: { create: true, exclusive: true, replace: false, append: false },
  append: { create: true, exclusive: false, replace: false, append: true },
  prepend: { create: true, exclusive: false, replace: false, append: false },
  replace: { create: true, exclusive: false, replace: true, append: false },
  change: { create: false, exclusive: false, replace: true, append: false },
} as const satisfies Readonly<Record<string, InsertMode>>;
export type InsertCommand = keyof typeof MODES;

/** fib_props[]: errors of routes that refuse. */
const ERRORS: Readonly<Record<string, number>> = {
  blackhole: Errno.EINVAL,
  unreachable: Errno.EHOSTUNREACH,
  prohibit: Errno.EACCES,
  throw: Errno.EAGAIN,
};
const RTPROT_BOOT = 3;
/** fib_props[]: how near a route of a type must at least be. */
const LEAST_SCOPE: Readonly<Record<string, number>> = { local: Scope.HOST, broadcast: Scope.LINK, anycast: Scope.LINK };

/** Changes as columns, `count` of them, in order. */
export interface RouteUpdates {
  readonly count: number;
  /** Networks, host order, no host bits. */
  readonly address: Uint32Array;
  readonly length: Uint8Array;
  /** What `nextHop` gave: the route is replaced; 0: it is deleted. */
  readonly nextHop: Uint32Array;
}

export interface UpdateResult {
  readonly replaced: number;
  readonly deleted: number;
  /** Deletions of routes that there are not. */
  readonly missing: number;
}

export interface RouteOwner extends MemoryOwner {
  readonly manifest: Manifest;
  /** Offset of a namespace's NET record. */
  netRecord(net: number): number;
}

/** A route as it will stand in a table. */
interface Checked {
  readonly table: number;
  readonly address: number;
  readonly length: number;
  readonly alias: Uint32Array;
}

const refuse = (errno: Errno, message: string): never => {
  throw new RouteError(errno, message);
};

export class Routes {
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #hops: HopLists;
  readonly #nets: readonly NetManifest[];
  readonly #net: NetManifest;
  readonly #record: number;
  readonly #tables = new Map<number, FibTable>();
  readonly #context: GatewayContext;
  /** By prefix length: the greatest up to it from which on rules or packets treat prefixes otherwise. */
  readonly #classes: Uint8Array;
  /** Of `nextHop`, by number - 1. */
  readonly #prepared: (PreparedRoute & { readonly table: number })[] = [];
  /** RouteId + 1 of the next route. */
  #nextId: number;

  constructor(owner: RouteOwner, net: number) {
    this.#image = new Image(owner);
    this.#pool = new RecordPool(this.#image);
    this.#hops = new HopLists(this.#image, this.#pool);
    this.#nets = owner.manifest.nets;
    this.#net = this.#nets[net];
    this.#record = owner.netRecord(net);
    this.#nextId = this.#net.routes.length + 1;
    const from = [GROUPS_LENGTH, ...this.#net.gatewayRules.map((rule) => rule.suppressPrefixLength + 1)];
    this.#classes = Uint8Array.from({ length: 33 }, (_, length) => Math.max(0, ...from.filter((f) => f <= length)));
    this.#context = {
      image: this.#image,
      rules: this.#net.gatewayRules,
      kernel: owner.manifest.kernel,
      table: (id) => this.#table(id),
    };
  }

  /** Bytes of memory beyond the image as it was loaded: of entries and next hops, and of what routes are found by. */
  get bytesInUse(): { readonly records: number; readonly structures: number } {
    const structures = [...this.#tables.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return { records: this.#pool.bytesInUse, structures };
  }

  /** Prefixes of a table. @throws RouteError when the module does not have it */
  size(table: number | string = RT_TABLE_MAIN): number {
    return this.#requireTable(this.#tableId(table)).trie.size;
  }

  add(route: string | RouteSpec): void {
    this.#insert(route, "add");
  }

  append(route: string | RouteSpec): void {
    this.#insert(route, "append");
  }

  prepend(route: string | RouteSpec): void {
    this.#insert(route, "prepend");
  }

  replace(route: string | RouteSpec): void {
    this.#insert(route, "replace");
  }

  change(route: string | RouteSpec): void {
    this.#insert(route, "change");
  }

  /** Deletes the first route of the prefix that is as described; what is not said does not matter. */
  delete(route: string | RouteSpec): void {
    const spec = typeof route === "string" ? parseRoute(route) : route;
    const { address, length } = prefixOf(spec.prefix);
    const table = this.#tableOf(spec);
    const match = this.#matchOf(spec);
    const found = this.#table(table);
    if (found === null) throw new RouteError(Errno.ESRCH, "Error: ipv4: FIB table does not exist.");
    found.delete(address, length, match);
  }

  /** A command as it is typed: `[ip] route add|append|prepend|replace|change|del ROUTE`. */
  run(command: string): void {
    const [, verb, route] = /^\s*(?:ip\s+(?:-4\s+)?)?(?:route\s+)?(\S+)\s+(.*)$/s.exec(command) ?? [];
    if (verb === "del" || verb === "delete") this.delete(route);
    else if (Object.hasOwn(MODES, verb ?? "")) this.#insert(route, verb as InsertCommand);
    else refuse(Errno.EINVAL, `Command "${verb ?? command}" is unknown: add, append, prepend, replace, change or del`);
  }

  /**
   * Checks a route without its prefix ("via 10.0.0.2 dev eth0 metric 20 table 100") for use by `update`.
   * @returns its number, from 1
   * @throws RouteError as `add`
   */
  nextHop(route: string): number {
    const { table, alias } = this.#check(parseRoute(`default ${route}`), "replace");
    if (alias[A.tos] !== 0) refuse(Errno.EINVAL, "tos: not in a stream of updates");
    return this.#prepared.push({ table, alias, numbers: new Uint32Array(33) });
  }

  /**
   * Replaces (`ip route replace PREFIX NEXTHOP`) and deletes (`ip route del PREFIX table T`) routes of one table, in order.
   * @throws RangeError before anything changes, when a column holds what it may not
   */
  update(table: number | string, { count, address, length, nextHop }: RouteUpdates): UpdateResult {
    const id = this.#tableId(table);
    const fib = this.#requireTable(id);
    for (let i = 0; i < count; i++) {
      const bad =
        nextHop[i] > this.#prepared.length || (nextHop[i] !== 0 && this.#prepared[nextHop[i] - 1].table !== id);
      if (bad) throw new RangeError(`update ${i}: ${nextHop[i]} is no next hop of table ${table}`);
      const mask = length[i] === 0 ? 0 : -1 << (32 - length[i]);
      if (length[i] > 32 || (address[i] & ~mask) !== 0)
        throw new RangeError(`update ${i}: ${formatIp(address[i])}/${length[i]} is no network`);
    }
    let deleted = 0;
    let missing = 0;
    fib.inBulk(count, () => {
      for (let i = 0; i < count; i++) {
        if (nextHop[i] !== 0) fib.put(address[i], length[i], this.#prepared[nextHop[i] - 1], this.#nextId++);
        else if (fib.remove(address[i], length[i], ANY)) deleted++;
        else missing++;
      }
    });
    return { replaced: count - deleted - missing, deleted, missing };
  }

  #insert(route: string | RouteSpec, command: InsertCommand): void {
    const { table, address, length, alias } = this.#check(
      typeof route === "string" ? parseRoute(route) : route,
      command,
    );
    alias[A.route] = this.#nextId;
    try {
      this.#requireTable(table).insert(address, length, alias, MODES[command]);
      this.#nextId++;
    } finally {
      this.#hops.release(alias[A.nextHops]);
    }
  }

  /** fib_create_info: a route that can stand in its table; its list of next hops has a use more. */
  #check(spec: RouteSpec, command: InsertCommand): Checked {
    const { address, length } = prefixOf(spec.prefix);
    const type = typeOf(spec);
    const error = ERRORS[type] ?? 0;
    if (type !== "unicast" && error === 0)
      refuse(Errno.EOPNOTSUPP, `${type}: routes of this type can be deleted, not added (${command})`);
    const tos = spec.tos ?? 0;
    if (tos > 255 || (tos & 3) !== 0) refuse(Errno.EINVAL, "Error: Invalid dsfield (tos): ECN bits must be 0.");
    const table = this.#tableOf(spec);
    this.#requireTable(table);
    const said = spec.nexthops ?? (spec.via !== undefined || spec.dev !== undefined ? [spec] : []);
    const scope = this.#scopeOf(spec, type, said);
    if (error !== 0 && said.length > 0)
      refuse(Errno.EINVAL, "Error: Gateway, device and multipath can not be specified for this route type.");
    if (error === 0 && scope > Scope.HOST) refuse(Errno.EINVAL, "Error: Invalid scope.");
    if (error === 0 && said.length === 0) refuse(Errno.ENODEV, "RTNETLINK answers: No such device");
    if (scope === Scope.HOST && said.length > 1)
      refuse(Errno.EINVAL, "Error: Route with host scope can not have multiple nexthops.");
    if (scope === Scope.HOST && said.some(({ via }) => via !== undefined))
      refuse(Errno.EINVAL, "Error: Route with host scope can not have a gateway.");
    const hops = error !== 0 ? [] : said.map((hop) => this.#checkHop(hop, table, scope));
    const prefsrc = this.#prefsrcOf(spec, table, error !== 0);
    const alias = new Uint32Array(ALIAS_WORDS);
    alias[A.type] = RouteTypeCode[type as keyof typeof RouteTypeCode];
    alias[A.error] = error;
    alias[A.tos] = tos;
    alias[A.hopCount] = hops.length;
    alias[A.prefsrc] = prefsrc;
    alias[A.scope] = scope;
    alias[A.metric] = spec.metric ?? 0;
    alias[A.mtu] = spec.mtu ?? 0;
    alias[A.protocol] = spec.proto === undefined ? RTPROT_BOOT : protocolOf(spec.proto);
    alias[A.nextHops] = this.#hops.intern(hops);
    return { table, address, length, alias };
  }

  #scopeOf({ scope }: RouteSpec, type: string, hops: readonly HopSpec[]): number {
    const isOnLink = type === "unicast" && hops.length === 1 && hops[0].via === undefined;
    const chosen =
      scope === undefined ? (isOnLink ? Scope.LINK : Scope.UNIVERSE) : numbered("scope", scope, ROUTE_SCOPES);
    if (chosen < (LEAST_SCOPE[type] ?? 0) || chosen > Scope.NOWHERE) refuse(Errno.EINVAL, "Error: Invalid scope.");
    return chosen;
  }

  #prefsrcOf({ src }: RouteSpec, table: number, isReject: boolean): number {
    if (src === undefined) return 0;
    const source = addressOf("src", src);
    if (!isReject && !isValidPrefsrc(this.#context, source, table))
      refuse(Errno.EINVAL, "Error: Invalid prefsrc address.");
    return source;
  }

  /** fib_check_nh: where a next hop leaves. */
  #checkHop(hop: HopSpec, table: number, scope: number): Hop {
    const { weight = 1, onlink = false } = hop;
    if (!(Number.isInteger(weight) && weight >= 1 && weight <= 256))
      refuse(Errno.EINVAL, `Error: argument "${weight}" is wrong: "weight" is invalid`);
    const device = hop.dev === undefined ? 0 : this.#deviceNamed(hop.dev);
    const gateway = hop.via === undefined ? 0 : addressOf("via", hop.via);
    if (gateway === 0) {
      if (device === 0) refuse(Errno.ENODEV, "RTNETLINK answers: No such device");
      if (onlink) refuse(Errno.EINVAL, "Error: Invalid flags for nexthop - PERVASIVE and ONLINK can not be set.");
      if (scope === Scope.HOST) return this.#hop(device, 0, weight, false, Scope.NOWHERE, scope);
      if (!this.#isUp(device)) refuse(Errno.ENETDOWN, "Error: Device for nexthop is not up.");
      return this.#hop(device, 0, weight, false, Scope.HOST, scope);
    }
    if (onlink) return this.#checkOnlink(device, gateway, weight, scope);
    const found = this.#lookUpGateway(gateway, device, table, scope);
    const { words } = this.#image;
    const isGood =
      isHit(found) &&
      (words[found.alias + A.type] === RouteTypeCode.unicast || words[found.alias + A.type] === RouteTypeCode.local);
    if (!isHit(found) || !isGood) return refuse(Errno.EINVAL, "Error: Nexthop has invalid gateway.");
    const egress = words[(found.hop + NEXT_HOP.device) >>> 2];
    if (!this.#isUp(egress)) refuse(Errno.ENETDOWN, "RTNETLINK answers: Network is down");
    return this.#hop(egress, gateway, weight, false, words[found.alias + A.scope], scope);
  }

  /** The gateway must be nearer than the route. */
  #lookUpGateway(destination: number, oif: number, id: number, scope: number): Answer {
    const flow = { destination, oif, scope: Math.max(scope + 1, Scope.LINK) };
    const table = id === RT_TABLE_MAIN ? null : this.#table(id);
    const found = table === null ? "again" : tableLookup(this.#context, table, flow);
    return isHit(found) ? found : rulesLookup(this.#context, flow);
  }

  #checkOnlink(device: number, gateway: number, weight: number, scope: number): Hop {
    if (scope >= Scope.LINK) refuse(Errno.EINVAL, "Error: Nexthop has invalid scope.");
    if (device === 0) refuse(Errno.ENODEV, "Error: Nexthop device required for onlink.");
    if (!this.#isUp(device)) refuse(Errno.ENETDOWN, "Error: Nexthop device is not up.");
    const { words } = this.#image;
    const vrf = l3mdevMaster(words, device);
    const table = vrf === 0 ? RT_TABLE_LOCAL : words[(vrf + DEVICE.tableId) >>> 2];
    if (addrType(this.#context, gateway, table) !== RouteTypeCode.unicast)
      refuse(Errno.EINVAL, "Error: Nexthop has invalid gateway.");
    return this.#hop(device, gateway, weight, true, Scope.LINK, scope);
  }

  #hop(device: number, gateway: number, weight: number, onlink: boolean, own: number, scope: number): Hop {
    const { words } = this.#image;
    const flags = words[(device + DEVICE.flags) >>> 2];
    const config = this.#net.devices.find(({ ifindex }) => ifindex === words[(device + DEVICE.ifindex) >>> 2])!;
    const localnet = (flags & DeviceFlag.ROUTE_LOCALNET) !== 0;
    return {
      device,
      gateway,
      weight,
      onlink,
      scope: own,
      // fib_lookup_good_nhc: without a carrier as good as dead, where that is asked for.
      dead: (flags & DeviceFlag.IGNORE_LINKDOWN) !== 0 && scope !== Scope.HOST && !this.#hasCarrier(config),
      source: inetSelectAddr(this.#net.devices, config, gateway, scope, localnet),
    };
  }

  /** netif_carrier_ok: of a veth, when its other end is up. */
  #hasCarrier({ peer }: DeviceConfig): boolean {
    if (peer === null) return true;
    return this.#nets[peer.net].devices.find(({ ifindex }) => ifindex === peer.ifindex)?.up ?? false;
  }

  #matchOf(spec: RouteSpec): DeleteMatch {
    const said = spec.nexthops ?? (spec.via !== undefined || spec.dev !== undefined ? [spec] : []);
    const isSeveral = spec.nexthops !== undefined;
    return {
      tos: spec.tos ?? 0,
      type: spec.type === undefined ? null : RouteTypeCode[typeOf(spec) as keyof typeof RouteTypeCode],
      scope: spec.scope === undefined ? null : numbered("scope", spec.scope, ROUTE_SCOPES),
      protocol: spec.proto === undefined ? null : protocolOf(spec.proto),
      prefsrc: spec.src === undefined ? null : addressOf("src", spec.src),
      metric: spec.metric ?? 0,
      mtu: spec.mtu ?? null,
      hops: said.map(({ via, dev, weight }) => ({
        ...(via === undefined ? {} : { gateway: addressOf("via", via) }),
        ...(dev === undefined ? {} : { device: this.#deviceNamed(dev) }),
        ...(isSeveral ? { weight: weight ?? 1 } : {}),
      })),
    };
  }

  #tableOf({ table, vrf }: RouteSpec): number {
    if (vrf === undefined) return table === undefined ? RT_TABLE_MAIN : this.#tableId(table);
    const device = this.#net.devices.find(({ name, kind }) => name === vrf && kind === "vrf");
    if (device === undefined) return refuse(Errno.EINVAL, `Error: argument "${vrf}" is wrong: Invalid VRF`);
    return this.#image.words[(this.#deviceOf(device.ifindex) + DEVICE.tableId) >>> 2];
  }

  #tableId(table: number | string): number {
    const names = Object.fromEntries(this.#net.tables.map(({ id, name }) => [name, id]));
    return numbered("table", table, { ...names, ...TABLE_NAMES });
  }

  /** The table, read from the image when it is first asked for; null: the module does not have it. */
  #table(id: number): FibTable | null {
    const known = this.#tables.get(id);
    if (known !== undefined) return known;
    const { words } = this.#image;
    const first = words[(this.#record + NET.tables) >>> 2];
    for (let i = 0; i < words[(this.#record + NET.tableCount) >>> 2]; i++) {
      const offset = first + i * TABLE_BYTES;
      if (words[tableWord(offset, "id")] !== id) continue;
      const table = new FibTable(this.#image, this.#pool, this.#hops, {
        offset,
        classOf: (length) => this.#classes[length],
      });
      this.#tables.set(id, table);
      return table;
    }
    return null;
  }

  #requireTable(id: number): FibTable {
    const table = this.#table(id);
    if (table !== null) return table;
    const name = this.#net.tables.find((t) => t.id === id)?.name ?? id;
    return refuse(Errno.ENOENT, `the module has no IPv4 table ${name}: it held no route when it was compiled`);
  }

  #deviceNamed(name: string): number {
    const device = this.#net.devices.find((d) => d.name === name);
    return device === undefined ? refuse(Errno.ENODEV, `Cannot find device "${name}"`) : this.#deviceOf(device.ifindex);
  }

  /** Offset of the DEVICE; records stand in the manifest's order. */
  #deviceOf(ifindex: number): number {
    const place = this.#net.devices.findIndex((d) => d.ifindex === ifindex);
    return this.#image.words[(this.#record + NET.devices) >>> 2] + place * DEVICE_BYTES;
  }

  #isUp(device: number): boolean {
    return (this.#image.words[(device + DEVICE.flags) >>> 2] & DeviceFlag.UP) !== 0;
  }
}

/** Output to a group takes no shorter routes (k:net/ipv4/route.c __mkroute_output). */
const GROUPS_LENGTH = 4;

const ANY: DeleteMatch = {
  tos: 0,
  type: null,
  scope: null,
  protocol: null,
  prefsrc: null,
  metric: 0,
  mtu: null,
  hops: [],
};
