/**
 * `struct rtable` with its dst_entry: where a routed packet goes. `input` and `output` name the function that dst_input and
 * dst_output call.
 */
import type { Device } from "../../dsl/model.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import type { RouteType } from "../../runtime/net/route-types.ts";
import type { Errno } from "../../runtime/verdict.ts";

export interface Rtable {
  readonly dev: Device;
  readonly rt_type: RouteType;
  readonly input: "ip_local_deliver" | "ip_forward" | "ip_error" | "dst_discard";
  readonly output: "ip_output" | "ip_mc_output" | "vrf_output" | "ip_rt_bug";
  /** Null: the destination itself is the next hop. */
  readonly rt_gw: Ip | null;
  /** RTAX_MTU of the route; null: the device's. */
  readonly mtu: number | null;
  /** For ip_error. */
  readonly error: Errno | 0;
}

/** k:net/ipv4/route.c rt_nexthop: an IPv6 gateway counts for nothing here. */
export const rt_nexthop = (rt: Rtable, daddr: number): number => (typeof rt.rt_gw === "number" ? rt.rt_gw : daddr);

/** ip_dst_mtu_maybe_forward, without path MTU discovery: a route's MTU counts even above the device's. */
export const ip_dst_mtu = (rt: Rtable): number => Math.min(rt.mtu ?? rt.dev.mtu, 0xffff);
