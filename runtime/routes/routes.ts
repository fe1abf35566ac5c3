/**
 * The routes of a namespace, changed while packets flow: `ip route add | append | prepend | replace | change | del` as the
 * kernel means them, over the image of a loaded module, of both families. What is refused throws a RouteError and leaves everything as it was;
 * so does what there is no memory for (ENOMEM).
 *
 *   dataplane.routes("host").add("10.1.0.0/16 via 10.0.0.2 dev eth0 metric 20 table 100")
 *   dataplane.routes("host").run("ip route del 10.1.0.0/16 table 100")
 *
 * Streams of changes go by columns: a next hop is said and checked once (`nextHop`), then `update` replaces and deletes routes by its
 * number, a million a second.
 */
import { RT_TABLE_MAIN } from "../brand.ts";
import { key6 } from "../lpm/prefix-trie6.ts";
import { routesOfManifest } from "../manifest.ts";
import type { Family } from "../net/ip.ts";
import { NO_MEMORY, RouteError, refuseRoute, refusing } from "../refusal.ts";
import { Errno } from "../verdict.ts";
import { createInfo, matchOf } from "./create-info.ts";
import { createInfo6, flagsOf, matchOf6 } from "./create-info6.ts";
import { A } from "./entries.ts";
import type { Route6 } from "./entries6.ts";
import { type DeleteMatch, FibTable, type InsertMode, type PreparedRoute } from "./fib.ts";
import type { DeleteMatch6, FibTable6 } from "./fib6.ts";
import { familyOfRoute, parseRoute, prefixOf, prefixOf6, type RouteSpec } from "./spec.ts";
import { type RouteOwner, RouteTables } from "./tables.ts";
import { checkNetworks, ipOf, type RouteUpdates, type UpdateResult } from "./updates.ts";

const MODES = {
  add: { create: true, exclusive: true, replace: false, append: false },
  append: { create: true, exclusive: false, replace: false, append: true },
  prepend: { create: true, exclusive: false, replace: false, append: false },
  replace: { create: true, exclusive: false, replace: true, append: false },
  change: { create: false, exclusive: false, replace: true, append: false },
} as const satisfies Readonly<Record<string, InsertMode>>;
export type InsertCommand = keyof typeof MODES;

export class Routes {
  readonly #tables: RouteTables;
  /** Of `nextHop`, by number - 1. */
  readonly #prepared: (
    | (PreparedRoute & { readonly table: number; readonly routes?: never })
    | { readonly table: number; readonly routes: readonly Route6[]; readonly record: Uint32Array | null }
  )[] = [];
  /** RouteId + 1 of the next route. */
  #nextId: number;

  constructor(owner: RouteOwner, net: number) {
    this.#tables = new RouteTables(owner, net);
    this.#nextId = routesOfManifest(owner.manifest.nets[net]) + 1;
  }

  /** Bytes of memory beyond the image as it was loaded: of entries and next hops, and of what routes are found by. */
  get bytesInUse(): { readonly records: number; readonly structures: number } {
    return this.#tables.bytesInUse;
  }

  /** Prefixes of a table. @throws RouteError when the module does not have it */
  size(table: number | string = RT_TABLE_MAIN, family: Family = 4): number {
    const id = this.#tables.tableId(table);
    const found = () => (family === 4 ? this.#tables.requireTable(id) : this.#tables.requireTable6(id));
    return refusing(noMemory, found).trie.size;
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
    refusing(noMemory, () => (familyOfRoute(spec) === 6 ? this.#delete6(spec) : this.#delete4(spec)));
  }

  #delete4(spec: RouteSpec): void {
    const { address, length } = prefixOf(spec.prefix);
    const table = this.#tables.tableOf(spec);
    const match = matchOf(this.#tables, spec);
    const found = this.#tables.table(table) ?? refuseRoute(Errno.ESRCH, "Error: ipv4: FIB table does not exist.");
    found.delete(address, length, match);
  }

  /** A command as it is typed: `[ip [-4 | -6]] route add|append|prepend|replace|change|del ROUTE`. */
  run(command: string): void {
    const [, said, verb, words] = /^\s*(?:ip\s+(?:-([46])\s+)?)?(?:route\s+)?(\S+)\s+(.*)$/s.exec(command) ?? [];
    const route = (): RouteSpec => ({ ...parseRoute(words), ...(said ? { family: said === "6" ? 6 : 4 } : {}) });
    if (verb === "del" || verb === "delete") this.delete(route());
    else if (Object.hasOwn(MODES, verb ?? "")) this.#insert(route(), verb as InsertCommand);
    else
      refuseRoute(
        Errno.EINVAL,
        `Command "${verb ?? command}" is unknown: add, append, prepend, replace, change or del`,
      );
  }

  /**
   * Checks a route without its prefix ("via 10.0.0.2 dev eth0 metric 20 table 100") for use by `update`.
   * @param family absent: the gateway's, or 4; of IPv6 all routes that have it have one number in traces
   * @returns its number, from 1
   * @throws RouteError as `add`
   */
  nextHop(route: string, family?: Family): number {
    const spec: RouteSpec = { ...parseRoute(`default ${route}`), ...(family === undefined ? {} : { family }) };
    return refusing(noMemory, () => this.#nextHop(spec));
  }

  #nextHop(spec: RouteSpec): number {
    if (familyOfRoute(spec) === 6) {
      const { table, routes: checked } = createInfo6(this.#tables, spec, "replace");
      const routes = checked.map((each) => ({ ...each, route: this.#nextId }));
      const prepared = { table, routes, record: this.#tables.requireTable6(table).recordOf(routes) };
      this.#nextId++;
      return this.#prepared.push(prepared);
    }
    const { table, alias } = createInfo(this.#tables, spec, "replace");
    if (alias[A.tos] !== 0) refuseRoute(Errno.EINVAL, "tos: not in a stream of updates");
    return this.#prepared.push({ table, alias, numbers: new Uint32Array(33) });
  }

  /**
   * Replaces (`ip route replace PREFIX NEXTHOP`) and deletes (`ip route del PREFIX table T`) routes of one table, in order.
   * @throws RangeError before anything changes, when a column holds what it may not
   * @throws RouteError ENOMEM when memory cannot grow: each change is made or not, and those behind the first that was not are not made
   */
  update(table: number | string, updates: RouteUpdates): UpdateResult {
    return refusing(noMemory, () => this.#update(table, updates));
  }

  #update(table: number | string, updates: RouteUpdates): UpdateResult {
    const id = this.#tables.tableId(table);
    const { count, nextHop, family = 4 } = updates;
    const fib = family === 4 ? this.#tables.requireTable(id) : this.#tables.requireTable6(id);
    for (let i = 0; i < count; i++) {
      const prepared = nextHop[i] === 0 ? null : this.#prepared[nextHop[i] - 1];
      const bad = prepared !== null && (prepared?.table !== id || (prepared.routes === undefined) !== (family === 4));
      if (bad) throw new RangeError(`update ${i}: ${nextHop[i]} is no next hop of table ${table}`);
    }
    checkNetworks(updates);
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
      const key = this.#keyAt(address, i);
      const { routes, record } = prepared as { routes: readonly Route6[]; record: Uint32Array | null };
      if (record !== null && isGlobalUnicast(key) && fib.put(key, length[i], record)) return;
      const flags = flagsOf(ipOf(key));
      const added = routes.map((each) => ({ ...each, flags }));
      fib.insert(key, length[i], added, MODES.replace);
    }
  }

  #removeBy(fib: FibTable | FibTable6, { address, length }: RouteUpdates, i: number): boolean {
    return fib instanceof FibTable
      ? fib.remove(address[i], length[i], ANY)
      : fib.remove(this.#keyAt(address, i), length[i], ANY6);
  }

  readonly #key = new Uint32Array(4);

  /** Good until the next; a view for each change would be garbage. */
  #keyAt(address: Uint32Array, i: number): Uint32Array {
    for (let word = 0; word < 4; word++) this.#key[word] = address[4 * i + word];
    return this.#key;
  }

  #insert(route: string | RouteSpec, command: InsertCommand): void {
    const spec = typeof route === "string" ? parseRoute(route) : route;
    refusing(noMemory, () => (familyOfRoute(spec) === 6 ? this.#insert6(spec, command) : this.#insert4(spec, command)));
  }

  #insert4(spec: RouteSpec, command: InsertCommand): void {
    const { table, address, length, alias } = createInfo(this.#tables, spec, command);
    alias[A.route] = this.#nextId;
    try {
      this.#tables.requireTable(table).insert(address, length, alias, MODES[command]);
      this.#nextId++;
    } finally {
      this.#tables.hops.release(alias[A.nextHops]);
    }
  }

  #insert6(spec: RouteSpec, command: InsertCommand): void {
    const { table, routes } = createInfo6(this.#tables, spec, command);
    const { address, length } = prefixOf6(spec.prefix);
    const [route, flags] = [this.#nextId, flagsOf(address)];
    const added = routes.map((each) => ({ ...each, route, flags }));
    this.#tables.requireTable6(table).insert(key6(address), length, added, MODES[command]);
    this.#nextId++;
  }

  #delete6(spec: RouteSpec): void {
    const match = matchOf6(this.#tables, spec);
    const { address, length } = prefixOf6(spec.prefix);
    const id = this.#tables.tableOf(spec);
    const table = this.#tables.table6(id) ?? refuseRoute(Errno.ESRCH, "Error: FIB table does not exist.");
    if (!table.remove(key6(address), length, match)) refuseRoute(Errno.ESRCH, "RTNETLINK answers: No such process");
  }
}

/** 2000::/3: neither NEED_STRICT nor MULTICAST. */
const isGlobalUnicast = (key: Uint32Array): boolean => key[0] >>> 29 === 1;
const noMemory = (): RouteError => new RouteError(Errno.ENOMEM, NO_MEMORY);
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
