/** The next hops of a route: one, several with weights, or those of a nexthop object (kernel: `fib_create_info`, `fib_check_nexthop`). */
import type { Family } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import type { Hop, Route } from "../ast.ts";
import type { Help } from "../diagnostic.ts";
import type { NextHop } from "../model.ts";
import { Scope } from "../model.ts";
import type { Source } from "../span.ts";
import type { NextHopObjectDraft } from "./draft.ts";
import { deviceByIndex } from "./draft.ts";
import { definedAt } from "./names.ts";
import type { HopContext } from "./nexthops.ts";
import { checkHop } from "./nexthops.ts";
import type { Finding, Reporter } from "./report.ts";
import { isReject } from "./route-types.ts";
import { inetSelectAddr } from "./select-addr.ts";

/** All next hops, none for a route that rejects; undefined after an error in any of them. */
export function nexthopsOf(context: HopContext, route: Route, type: RouteType): NextHop[] | undefined {
  if (route.nhid) return nexthopsOfObject(context, route, type);
  if (isReject(type)) return noHops(context, route, type);
  if (!checkHops(context, route, type)) return undefined;
  const hops = route.hops.length === 0 ? [{ span: route.span }] : route.hops;
  const checked = hops.map((hop) => checkHop(context, hop));
  return checked.every((n) => n !== undefined) ? checked : undefined;
}

/** IPv6 takes a device with such a route and ignores it (`fib6_nh_init`). */
function noHops({ family, report }: HopContext, route: Route, type: RouteType): NextHop[] | undefined {
  if (route.hops.length === 0 || family === 6) return [];
  const [hop] = route.hops;
  const edit = route.hops.length === 1 ? hopRemoval(report.source, hop) : undefined;
  report.error("E0247", hop.span, `a route of type ${type} has no gateway and no device`, {
    label: "nothing is sent anywhere",
    kernel: "Error: Gateway, device and multipath can not be specified for this route type.",
    help: [{ message: "leave it out", ...(edit ? { edit } : {}) }],
  });
  return undefined;
}

/** Takes `via ADDRESS` or `dev DEVICE` away with its keyword; other words may stand between the two, so not when both are said. */
function hopRemoval({ text }: Source, { via, dev }: Hop): Help["edit"] {
  const said = via ?? dev;
  if (said === undefined || (via && dev)) return undefined;
  const keyword = /\s+(?:dev|via(?:\s+inet6?)?)\s+$/.exec(text.slice(0, said.span.start));
  return keyword ? { span: { start: keyword.index, end: said.span.end }, text: "" } : undefined;
}

/** What several next hops may be together: none of scope host, and for IPv6 each with a gateway. */
function checkHops({ family, scope, report }: HopContext, route: Route, type: RouteType): boolean {
  const { hops } = route;
  if (family === 6) {
    const bare = hops.length > 1 ? hops.find((h) => h.via === undefined) : undefined;
    if (bare === undefined) return checkTwice(hops, report);
    report.error("E0257", bare.span, "a next hop of an IPv6 multipath route has no gateway", {
      label: "`via ADDRESS` is missing",
      kernel: "Error: Device only routes can not be added for IPv6 using the multipath API.",
    });
    return false;
  }
  if (scope !== Scope.HOST) return true;
  const what = type === "local" ? "a local route" : "a route of scope host";
  const gateway = hops.find((h) => h.via?.value)?.via;
  if (hops.length > 1) {
    report.error("E0248", hops[1].span, `${what} has one device, not several`, {
      kernel: "Error: Route with host scope can not have multiple nexthops.",
    });
  } else if (gateway) {
    report.error("E0248", gateway.span, `${what} has no gateway`, {
      label: "it ends on this host",
      kernel: "Error: Route with host scope can not have a gateway.",
    });
  } else return true;
  return false;
}

/** Kernel: `rt6_duplicate_nexthop`: IPv6 next hops are routes of their own, so the second is there already. */
function checkTwice(hops: readonly Hop[], report: Reporter): boolean {
  const isSame = (a: Hop, b: Hop) => a.via?.value === b.via?.value && a.dev?.value === b.dev?.value;
  const twice = hops.find((hop, i) => hops.findIndex((other) => isSame(hop, other)) < i);
  if (twice === undefined) return true;
  report.error("E0254", twice.span, "this next hop is said twice", { kernel: "RTNETLINK answers: File exists" });
  return false;
}

function nexthopsOfObject(context: HopContext, route: Route, type: RouteType): NextHop[] | undefined {
  const { net, family, report, scope } = context;
  const nhid = route.nhid!;
  const object = net.nexthops.get(nhid.value);
  if (route.hops.length > 0) {
    report.error("E0249", route.hops[0].span, "the next hop is said twice: by `nhid` and in words", {
      label: "and here",
      secondary: [{ span: nhid.span, message: "said here" }],
      kernel: "Error: Nexthop specification and nexthop id are mutually exclusive.",
    });
    return undefined;
  }
  if (object === undefined) {
    report.error("E0250", nhid.span, `no nexthop ${nhid.value} above this line`, {
      label: "not defined yet",
      ...definedAt(net.nexthopSpans.get(nhid.value), "defined here, below: move it up"),
      kernel: "Error: Nexthop id does not exist.",
    });
    return undefined;
  }
  if (
    !objectFits(object, family, scope, (code, message, kernel) => refuse(report, route, object, code, message, kernel))
  ) {
    return undefined;
  }
  if (isReject(type)) return [];
  return object.nexthops.map((hop) => ({ ...hop, source: sourceOf(context, hop, object) }));
}

type Refuse = (code: Parameters<Reporter["error"]>[0], message: string, kernel: string) => void;

function refuse(
  report: Reporter,
  route: Route,
  object: NextHopObjectDraft,
  ...[code, message, kernel]: Parameters<Refuse>
): void {
  const finding: Finding = { ...definedAt(object.span, "defined here"), kernel: `Error: ${kernel}.` };
  report.error(code, route.nhid!.span, message, finding);
}

/** Kernel: `fib6_check_nexthop`; `fib_check_nexthop` with `nexthop_check_scope`. */
function objectFits(object: NextHopObjectDraft, family: Family, scope: Scope, refuse: Refuse): boolean {
  const { id } = object;
  const gateway = object.nexthops.some((n) => n.gateway !== null);
  const onlink = object.nexthops.some((n) => n.onlink);
  if (family === 6 && object.family === 4) {
    refuse("E0251", `nexthop ${id} is IPv4, the route IPv6`, "IPv6 routes can not use an IPv4 nexthop");
  } else if (family === 4 && scope === Scope.HOST && object.group) {
    refuse(
      "E0248",
      "a route of scope host has one device, not a group",
      "Route with host scope can not have multiple nexthops",
    );
  } else if (family === 4 && scope === Scope.HOST && gateway) {
    refuse("E0248", "a route of scope host has no gateway", "Route with host scope can not have a gateway");
  } else if (family === 4 && scope >= Scope.LINK && onlink) {
    refuse("E0232", "a route of scope link or nearer cannot have an `onlink` gateway", "Scope mismatch with nexthop");
  } else return true;
  return false;
}

/** Kernel: `fib_info_update_nhc_saddr`: of the route's scope, towards the gateway of an IPv4 object. */
function sourceOf({ net, family, scope }: HopContext, hop: NextHop, object: NextHopObjectDraft): NextHop["source"] {
  if (family === 6) return hop.source;
  const towards = object.family === 4 && typeof hop.gateway === "number" ? hop.gateway : 0;
  return inetSelectAddr(net, deviceByIndex(net, hop.device)!, towards, scope);
}
