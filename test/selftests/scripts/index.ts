/** All selftests that are said again here, in the order of docs/SELFTESTS.md. */
import type { Script } from "../selftest.ts";
import { fcnalPing } from "./fcnal_ping.ts";
import { fibRuleTests } from "./fib_rule_tests.ts";

export const scripts: readonly Script[] = [fibRuleTests, fcnalPing];
