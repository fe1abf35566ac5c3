/**
 * The routes that commands have added to a namespace, found by their prefix.
 *
 *   "4 100 167772160/24" -> [first, second, …]     family, table, network / length; in the order in which they are tried
 *                                                  as long as TOS and metric are equal
 */
import type { Family, Prefix } from "../../runtime/net/ip.ts";
import type { Route } from "./state.ts";

export class RouteTable {
  private readonly byPrefix = new Map<string, Route[]>();

  *[Symbol.iterator](): Iterator<Route> {
    for (const routes of this.byPrefix.values()) yield* routes;
  }

  /** Routes of exactly this prefix. */
  at(family: Family, table: number, { address, length }: Prefix): readonly Route[] {
    return this.byPrefix.get(`${family} ${table} ${address}/${length}`) ?? [];
  }

  has(route: Route): boolean {
    return this.bucket(route).includes(route);
  }

  /** Behind the routes of its prefix, or before one of them. */
  add(route: Route, before?: Route): void {
    const bucket = this.bucket(route);
    const at = before === undefined ? -1 : bucket.indexOf(before);
    bucket.splice(at < 0 ? bucket.length : at, 0, route);
  }

  replace(old: Route, route: Route): void {
    const bucket = this.bucket(old);
    bucket[bucket.indexOf(old)] = route;
  }

  /** Removes what does not hold the condition. */
  keep(isKept: (route: Route) => boolean): void {
    for (const [key, routes] of this.byPrefix) {
      const kept = routes.filter(isKept);
      if (kept.length === 0) this.byPrefix.delete(key);
      else this.byPrefix.set(key, kept);
    }
  }

  private bucket({ family, table, prefix }: Route): Route[] {
    const key = `${family} ${table} ${prefix.address}/${prefix.length}`;
    const bucket = this.byPrefix.get(key) ?? [];
    this.byPrefix.set(key, bucket);
    return bucket;
  }
}
