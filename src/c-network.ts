/**
 * What a forwarder in C must know of a network besides the module: names, and what its kernel is told so that sockets take part. Lists
 * for the preprocessor, each element a call of the macro that it is given:
 *
 *   VRFC_NETS(NET)           NET(name, ipDefaultTtl, icmpEchoIgnoreAll, icmpEchoIgnoreBroadcasts)   in the module's order
 *   VRFC_DEVICES(DEVICE)     DEVICE(net, ifindex, name)
 *   VRFC_SETTINGS(SETTING)   SETTING(net, family, words for `ip`, words that undo it; "": they go with the device)
 */
import type { Model } from "../dsl/model.ts";
import { mirror } from "./forward/mirror.ts";
import { netConfig } from "./net-config.ts";

/** The text of the header. */
export function cNetwork({ source, nets }: Model): string {
  const lists = {
    VRFC_NETS: nets.map((net) => {
      const { ipDefaultTtl, icmpEchoIgnoreAll, icmpEchoIgnoreBroadcasts } = netConfig(net).sysctl;
      return [net.name, ipDefaultTtl, Number(icmpEchoIgnoreAll), Number(icmpEchoIgnoreBroadcasts)];
    }),
    VRFC_DEVICES: nets.flatMap((net) => net.devices.map(({ ifindex, name }) => [net.index, ifindex, name])),
    VRFC_SETTINGS: nets.flatMap((net) =>
      mirror(net).map(({ family, add, remove }) => [net.index, family, add, remove ?? ""]),
    ),
  };
  const macros = Object.entries(lists).map(([name, elements]) => list(name, elements));
  return `/* ${source.name.replaceAll("*/", "")}: what its forwarder must know besides the module. Made by \`vrfc compile --c-network\`. */\n${macros.join("\n")}`;
}

const list = (name: string, elements: readonly (readonly (string | number)[])[]): string =>
  `#define ${name}(X) \\\n${elements.map((element) => `  X(${element.map(literal).join(", ")}) \\\n`).join("")}\n`;

const literal = (value: string | number): string =>
  typeof value === "number" ? `${value}` : `"${value.replace(/["\\?]/g, "\\$&")}"`;
