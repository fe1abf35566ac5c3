/**
 * The routes of a namespace, changed while packets flow: `ip route add | append | prepend | replace | change | del` as the
 * kernel means them, over the image of a loaded module, IPv4's here, IPv6's with routes6.ts. What is refused throws a RouteError and leaves everything as it was.
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
import { key6 } from "../lpm/prefix-trie6.ts";
import type { Manifest, NetManifest } from "../manifest.ts";
import { type Family, formatIp, parseIp } from "../net/ip.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { A, ALIAS_WORDS } from "./entries.ts";
import { type DeleteMatch, FibTable, type InsertMode, type PreparedRoute } from "./fib.ts";
import { type DeleteMatch6, FibTable6, type Route6 } from "./fib6.ts";
import {
  type Answer,
  addrType,
  type GatewayContext,
  isHit,
  isValidPrefsrc,
  l3mdevMaster,
  parsedRules,
  rulesLookup,
  Scope,
  tableLookup,
} from "./gateway.ts";
import { type Hop, HopLists } from "./hops.ts";
import { Image, type MemoryOwner, tableWord } from "./image.ts";
import { RecordPool } from "./pool.ts";
import { type Context6, checkHops6, flagsOf, rejectHop } from "./routes6.ts";
import { inetSelectAddr } from "./select-addr.ts";
import {
  addressOf,
  familyOfRoute,
  type HopSpec,
  numbered,
  parseRoute,
  prefixOf,
  prefixOf6,
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
  /** Absent: 4. */
  readonly family?: Family;
  /** Networks without host bits, host order: a word each, of IPv6 four, the most significant first. */
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
  readonly #prepared: (
    | (PreparedRoute & { readonly table: number; readonly routes?: never })
    | { readonly table: number; readonly routes: readonly Route6[] }
  )[] = [];
  readonly #tables6 = new Map<number, FibTable6>();
  readonly #context6: Context6;
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
      rules: parsedRules(this.#net.gatewayRules),
      kernel: owner.manifest.kernel,
      table: (id) => this.#table(id),
    };
    this.#context6 = {
      image: this.#image,
      rules: parsedRules(this.#net.gatewayRules6),
      kernel: owner.manifest.kernel,
      devices: this.#net.devices,
      deviceOf: (ifindex) => this.#deviceOf(ifindex),
      table: (id) => this.#table6(id),
    };
  }

  /** Bytes of memory beyond the image as it was loaded: of entries and next hops, and of what routes are found by. */
  get bytesInUse(): { readonly records: number; readonly structures: number } {
    const structures = [...this.#tables.values(), ...this.#tables6.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return { records: this.#pool.bytesInUse, structures };
  }

  /** Prefixes of a table. @throws RouteError when the module does not have it */
  size(table: number | string = RT_TABLE_MAIN, family: Family = 4): number {
    const id = this.#tableId(table);
    return (family === 4 ? this.#requireTable(id) : this.#requireTable6(id)).trie.size;
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
    if (familyOfRoute(spec) === 6) {
      this.#delete6(spec);
      return;
    }
    const { address, length } = prefixOf(spec.prefix);
    const table = this.#tableOf(spec);
    const match = this.#matchOf(spec);
    const found = this.#table(table);
    if (found === null) throw new RouteError(Errno.ESRCH, "Error: ipv4: FIB table does not exist.");
    found.delete(address, length, match);
  }

  /** A command as it is typed: `[ip [-4 | -6]] route add|append|prepend|replace|change|del ROUTE`. */
  run(command: string): void {
    const [, said, verb, words] = /^\s*(?:ip\s+(?:-([46])\s+)?)?(?:route\s+)?(\S+)\s+(.*)$/s.exec(command) ?? [];
    const route = (): RouteSpec => ({ ...parseRoute(words), ...(said ? { family: said === "6" ? 6 : 4 } : {}) });
    if (verb === "del" || verb === "delete") this.delete(route());
    else if (Object.hasOwn(MODES, verb ?? "")) this.#insert(route(), verb as InsertCommand);
    else refuse(Errno.EINVAL, `Command "${verb ?? command}" is unknown: add, append, prepend, replace, change or del`);
  }

  /**
   * Checks a route without its prefix ("via 10.0.0.2 dev eth0 metric 20 table 100") for use by `update`.
   * @param family absent: the gateway's, or 4
   * @returns its number, from 1
   * @throws RouteError as `add`
   */
  nextHop(route: string, family?: Family): number {
    const spec: RouteSpec = { ...parseRoute(`default ${route}`), ...(family === undefined ? {} : { family }) };
    if (familyOfRoute(spec) === 6) {
      const { table, routes } = this.#check6(spec, "replace");
      return this.#prepared.push({ table, routes });
    }
    const { table, alias } = this.#check(spec, "replace");
    if (alias[A.tos] !== 0) refuse(Errno.EINVAL, "tos: not in a stream of updates");
    return this.#prepared.push({ table, alias, numbers: new Uint32Array(33) });
  }

  /**
   * Replaces (`ip route replace PREFIX NEXTHOP`) and deletes (`ip route del PREFIX table T`) routes of one table, in order.
   * @throws RangeError before anything changes, when a column holds what it may not
   */
  update(table: number | string, updates: RouteUpdates): UpdateResult {
    const id = this.#tableId(table);
    const { count, nextHop, family = 4 } = updates;
    const fib = family === 4 ? this.#requireTable(id) : this.#requireTable6(id);
    for (let i = 0; i < count; i++) {
      const prepared = nextHop[i] === 0 ? null : this.#prepared[nextHop[i] - 1];
      const bad = prepared !== null && (prepared?.table !== id || (prepared.routes === undefined) !== (family === 4));
      if (bad) throw new RangeError(`update ${i}: ${nextHop[i]} is no next hop of table ${table}`);
    }
    if (family === 4) checkNetworks(updates);
    else checkNetworks6(updates);
    let deleted = 0;
    let missing = 0;
    fib.inBulk(count, () => {
      for (let i = 0; i < count; i++)
        if (nextHop[i] !== 0) this.#replaceBy(fib, updates, i);
        else if (this.#removeBy(fib, updates, i)) deleted++;
        else missing++;
    });
    return { replaced: count - deleted - missing, deleted, missing };
  }

  #replaceBy(fib: FibTable | FibTable6, { address, length, nextHop }: RouteUpdates, i: number): void {
    const prepared = this.#prepared[nextHop[i] - 1];
    if (fib instanceof FibTable) fib.put(address[i], length[i], prepared as PreparedRoute, this.#nextId++);
    else {
      const key = address.subarray(4 * i, 4 * i + 4);
      const route = this.#nextId++;
      const flags = flagsOf(ipOf(key));
      fib.insert(
        key,
        length[i],
        prepared.routes!.map((each) => ({ ...each, flags, route })),
        MODES.replace,
      );
    }
  }

  #removeBy(fib: FibTable | FibTable6, { address, length }: RouteUpdates, i: number): boolean {
    return fib instanceof FibTable
      ? fib.remove(address[i], length[i], ANY)
      : fib.remove(address.subarray(4 * i, 4 * i + 4), length[i], ANY6);
  }

  #insert(route: string | RouteSpec, command: InsertCommand): void {
    const spec = typeof route === "string" ? parseRoute(route) : route;
    if (familyOfRoute(spec) === 6) {
      this.#insert6(spec, command);
      return;
    }
    const { table, address, length, alias } = this.#check(spec, command);
    alias[A.route] = this.#nextId;
    try {
      this.#requireTable(table).insert(address, length, alias, MODES[command]);
      this.#nextId++;
    } finally {
      this.#hops.release(alias[A.nextHops]);
    }
  }

  #insert6(spec: RouteSpec, command: InsertCommand): void {
    const { table, routes } = this.#check6(spec, command);
    const { address, length } = prefixOf6(spec.prefix);
    const [route, flags] = [this.#nextId, flagsOf(address)];
    const added = routes.map((each) => ({ ...each, route, flags }));
    this.#requireTable6(table).insert(key6(address), length, added, MODES[command]);
    this.#nextId++;
  }

  /** A route of IPv6, each next hop by itself, but for what the prefix makes of it. */
  #check6(spec: RouteSpec, command: InsertCommand): { table: number; routes: readonly Route6[] } {
    prefixOf6(spec.prefix);
    const type = typeOf(spec);
    const error = ERRORS[type] ?? 0;
    if (type !== "unicast" && error === 0)
      refuse(Errno.EOPNOTSUPP, `${type}: routes of this type can be deleted, not added (${command})`);
    if (spec.src !== undefined) refuse(Errno.EOPNOTSUPP, "src: not in changes of IPv6 routes");
    if (spec.nexthops?.some(({ via }) => via === undefined))
      refuse(Errno.EINVAL, "Error: Device only routes can not be added for IPv6 using the multipath API.");
    const said = spec.nexthops ?? (spec.via !== undefined || spec.dev !== undefined ? [spec] : []);
    const named = said.map((hop) => ({ ...hop, device: hop.dev === undefined ? 0 : this.#deviceNamed(hop.dev) }));
    if (spec.tos) refuse(Errno.EINVAL, "Error: Invalid dsfield (tos): option not available for IPv6.");
    const table = this.#tableOf(spec);
    this.#requireTable6(table);
    const hops = error === 0 ? checkHops6(this.#context6, table, named) : [rejectHop(this.#context6)];
    const common = {
      type: RouteTypeCode[type as keyof typeof RouteTypeCode],
      error,
      metric: spec.metric || IP6_RT_PRIO_USER,
      mtu: spec.mtu ?? 0,
      protocol: spec.proto === undefined ? RTPROT_BOOT : protocolOf(spec.proto),
      prefsrc: 0n,
      route: 0,
      flags: 0,
    };
    return { table, routes: hops.map((hop) => ({ ...common, hop })) };
  }

  #delete6(spec: RouteSpec): void {
    if (spec.nexthops !== undefined) refuse(Errno.EOPNOTSUPP, "nexthop: delete IPv6 next hops one by one, by `via`");
    if (spec.src !== undefined) refuse(Errno.EOPNOTSUPP, "src: not in changes of IPv6 routes");
    const { address, length } = prefixOf6(spec.prefix);
    const gateway = spec.via === undefined ? null : parseIp(spec.via);
    if (typeof gateway === "number")
      refuse(Errno.EINVAL, `Error: inet6 address is expected rather than "${spec.via}".`);
    const match = {
      device: spec.dev === undefined ? null : this.#deviceNamed(spec.dev),
      gateway: gateway as bigint | null,
      metric: spec.metric || null,
      protocol: spec.proto === undefined ? null : protocolOf(spec.proto),
    };
    const table = this.#table6(this.#tableOf(spec));
    if (table === null) throw new RouteError(Errno.ESRCH, "Error: FIB table does not exist.");
    if (!table.remove(key6(address), length, match)) refuse(Errno.ESRCH, "RTNETLINK answers: No such process");
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
    if (isHit(found)) return found;
    return rulesLookup(this.#context, flow, (table, by) => {
      const fib = this.#table(table);
      return fib === null ? "again" : tableLookup(this.#context, fib, { ...flow, oif: by });
    });
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
  #table = (id: number): FibTable | null =>
    this.#tableIn(this.#tables, 4, id, (offset) => {
      const classOf = (length: number): number => this.#classes[length];
      return new FibTable(this.#image, this.#pool, this.#hops, { offset, classOf });
    });

  #table6 = (id: number): FibTable6 | null =>
    this.#tableIn(this.#tables6, 6, id, (offset) => new FibTable6(this.#image, this.#pool, this.#hops, offset));

  #tableIn<T>(known: Map<number, T>, family: Family, id: number, read: (offset: number) => T): T | null {
    const [tables, count] = family === 4 ? [NET.tables, NET.tableCount] : [NET.tables6, NET.tableCount6];
    const { words } = this.#image;
    for (let i = 0; !known.has(id) && i < words[(this.#record + count) >>> 2]; i++) {
      const offset = words[(this.#record + tables) >>> 2] + i * TABLE_BYTES;
      if (words[tableWord(offset, "id")] === id) known.set(id, read(offset));
    }
    return known.get(id) ?? null;
  }

  #requireTable = (id: number): FibTable => this.#table(id) ?? this.#noTable(id, 4);
  #requireTable6 = (id: number): FibTable6 => this.#table6(id) ?? this.#noTable(id, 6);

  #noTable(id: number, family: Family): never {
    const name = this.#net.tables.find((t) => t.id === id)?.name ?? id;
    return refuse(Errno.ENOENT, `the module has no IPv${family} table ${name}: it held no route when it was compiled`);
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

/** @throws RangeError */
function checkNetworks({ count, address, length }: RouteUpdates): void {
  for (let i = 0; i < count; i++) {
    const mask = length[i] === 0 ? 0 : -1 << (32 - length[i]);
    if (length[i] > 32 || (address[i] & ~mask) !== 0)
      throw new RangeError(`update ${i}: ${formatIp(address[i])}/${length[i]} is no network`);
  }
}

/** @throws RangeError */
function checkNetworks6({ count, address, length }: RouteUpdates): void {
  for (let i = 0; i < count; i++)
    for (let word = 0; word < 4; word++) {
      const bits = Math.min(32, Math.max(0, length[i] - 32 * word));
      const mask = bits === 0 ? 0 : -1 << (32 - bits);
      if (length[i] > 128 || (address[4 * i + word] & ~mask) !== 0)
        throw new RangeError(
          `update ${i}: ${formatIp(ipOf(address.subarray(4 * i, 4 * i + 4)))}/${length[i]} is no network`,
        );
    }
}

const ipOf = (key: Uint32Array): bigint => key.reduce((ip, word) => (ip << 32n) | BigInt(word), 0n);

/** Of routes that do not say one. */
const IP6_RT_PRIO_USER = 1024;

const ANY6: DeleteMatch6 = { device: null, gateway: null, metric: null, protocol: null };
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
