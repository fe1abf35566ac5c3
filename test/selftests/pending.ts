/**
 * What the selftests ask and vrfc does not answer yet. The lists can only shrink: a question on them that an engine does
 * answer, or a network that can be built, fails the tests until it is taken off.
 */
import type { EngineKind } from "../../src/engines.ts";
import type { Ask, SelfTest } from "./selftest.ts";

/** Networks that cannot be built, by group and name, with what is missing. */
const GAPS: Readonly<Record<string, string>> = {
  "fib_down_multipath_test: dummy1 down": "a hop that died and came alive again before another died",
};

export const isGap = ({ group, name }: SelfTest): boolean => Object.hasOwn(GAPS, `${group}: ${name}`);

/** By kind of question, the engines that answer `unsupported`. */
const PENDING: Readonly<Record<Kind, readonly EngineKind[]>> = {
  IPv4: [],
  "IPv6 look-up": [],
  // A packet has ports only with a protocol that has them; a flow can have them with any.
  "IPv6 look-up, ports without a protocol": ["reference", "compiled"],
  "IPv6 ping": ["reference", "compiled"],
  "IPv6 frame": [],
};
type Kind = "IPv4" | "IPv6 look-up" | "IPv6 look-up, ports without a protocol" | "IPv6 ping" | "IPv6 frame";

export const isPending = (ask: Ask, engine: EngineKind): boolean => PENDING[kindOf(ask)].includes(engine);

function kindOf(ask: Ask): Kind {
  if ("ping" in ask) return /:/.test(ask.ping) ? "IPv6 ping" : "IPv4";
  if ("query" in ask) {
    if (!ask.query.dst.includes(":")) return "IPv4";
    const { sport, dport, proto } = ask.query;
    const hasPorts = sport !== undefined || dport !== undefined;
    return hasPorts && proto === undefined ? "IPv6 look-up, ports without a protocol" : "IPv6 look-up";
  }
  return ask.frame.hex.slice(24, 28) === "86dd" ? "IPv6 frame" : "IPv4";
}
