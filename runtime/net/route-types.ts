/** Types of routes with their numbers (k:include/uapi/linux/rtnetlink.h RTN_*): `FIB_ALIAS.type`, column `routeType`. */
export const RouteTypeCode = {
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;
export type RouteType = keyof typeof RouteTypeCode;

/** In the order of their numbers. */
export const ROUTE_TYPES = Object.keys(RouteTypeCode) as readonly RouteType[];
