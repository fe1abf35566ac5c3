/** Route types by what they do with a packet. */
import type { RouteType } from "../../runtime/net/route-types.ts";

/** Kernel: `fib_props`, types with an error: nothing is sent anywhere. */
export const isReject = (type: RouteType): boolean =>
  type === "blackhole" || type === "unreachable" || type === "prohibit" || type === "throw";
