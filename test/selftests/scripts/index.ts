/** All selftests that are said again here, in the order of docs/SELFTESTS.md. */
import type { Script } from "../selftest.ts";
import { fcnalPing } from "./fcnal_ping.ts";
import { fcnalSockets } from "./fcnal_sockets.ts";
import { fibRuleTests } from "./fib_rule_tests.ts";
import { fibTests } from "./fib_tests.ts";
import { router, routerBroadcast } from "./router.ts";
import { vrfRouteLeaking } from "./vrf_route_leaking.ts";
import { vrfStrictModeTest } from "./vrf_strict_mode_test.ts";

export const scripts: readonly Script[] = [
  fibRuleTests,
  fcnalPing,
  fcnalSockets,
  vrfRouteLeaking,
  vrfStrictModeTest,
  fibTests,
  router,
  routerBroadcast,
];
