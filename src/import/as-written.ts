/**
 * The forwarding table as far as a file has been written. Linux checks a gateway once, when its route is entered; what made
 * it reachable may have gone since (an address, a route, a VRF), or have moved behind it. The text is entered anew, line by
 * line, so each next hop is written in the first form that leads through the same device there:
 *
 *   via G          as the command said
 *   via G dev D    the way to G leads elsewhere by now
 *   … onlink       there is none
 */
import type { Hop } from "../../dsl/ast.ts";
import { Scope } from "../../dsl/model.ts";
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { familyOf } from "../../runtime/net/ip.ts";
import type { FibView } from "./lookup.ts";
import { checkHop, type HopRequest } from "./next-hop.ts";
import { RouteTable } from "./route-table.ts";
import type { Device, NetNs, NextHopEntry, Route } from "./state.ts";
import { Refused } from "./words.ts";

export class AsWritten {
  private readonly view: FibView & { readonly routes: RouteTable };

  constructor({ devices, rules, deadHops }: NetNs) {
    this.view = { devices, rules, deadHops, routes: new RouteTable() };
  }

  /** A route that stands in the file already. */
  skip(route: Route): void {
    this.view.routes.add(route);
  }

  /** The next hops of the route that is written next. Dead ones are not checked again. */
  route(route: Route, isDead: (i: number) => boolean): Hop[] {
    const { family, table, scope } = route;
    const request = { ns: this.view, family, table, scope };
    const hops = route.node.hops.map((hop, i) =>
      isDead(i) ? hop : reachable(request, hop, route.hops[i]?.device ?? null),
    );
    this.view.routes.add(route);
    return hops;
  }

  nextHop({ node: { hop, family }, device }: NextHopEntry): Hop | undefined {
    if (hop === undefined || device === null) return hop;
    const request: HopRequest = {
      ns: this.view,
      family: hop.via ? familyOf(hop.via.value) : (family?.value ?? 4),
      table: device.l3mdevTable || RT_TABLE_MAIN,
      scope: hop.via ? Scope.UNIVERSE : Scope.LINK,
    };
    return reachable(request, hop, device);
  }
}

function reachable(request: HopRequest, hop: Hop, device: Device | null): Hop {
  if (hop.via === undefined || device === null) return hop;
  const through: Hop = { ...hop, dev: hop.dev ?? { value: device.name.value, span: hop.span } };
  const forms: readonly Hop[] = [hop, through, { ...through, onlink: true }];
  return forms.find((form) => leadsThrough(request, form, device)) ?? hop;
}

function leadsThrough(request: HopRequest, form: Hop, device: Device): boolean {
  try {
    return checkHop(request, form, form.dev ? device : null).device === device;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}
