/**
 * What the selftests ask and vrfc does not answer yet. The list can only shrink: a question on it that an engine does
 * answer fails the tests until it is taken off.
 */
import type { EngineSource } from "../../src/engines.ts";
import type { Ask } from "./selftest.ts";

/** By kind of question, the engines that answer `unsupported`. */
const PENDING: Readonly<Record<Kind, readonly EngineSource[]>> = {
  IPv4: [],
  "IPv6 look-up": [],
  "IPv6 ping": [],
  "IPv6 frame": [],
  sockets: [],
};
type Kind = "IPv4" | "IPv6 look-up" | "IPv6 ping" | "IPv6 frame" | "sockets";

export const isPending = (ask: Ask, engine: EngineSource): boolean => PENDING[kindOf(ask)].includes(engine);

function kindOf(ask: Ask): Kind {
  if ("ping" in ask) return /:/.test(ask.ping) ? "IPv6 ping" : "IPv4";
  if ("exchange" in ask) return "sockets";
  if ("query" in ask) return ask.query.dst.includes(":") ? "IPv6 look-up" : "IPv4";
  return ask.frame.hex.slice(24, 28) === "86dd" ? "IPv6 frame" : "IPv4";
}
