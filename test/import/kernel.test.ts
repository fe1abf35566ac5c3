/**
 * Random scripts as Linux 6.1 ran them, a command at a time: which commands it refused, and the devices, addresses, routes
 * and rules that it held at the end. Every command that changes something can undo what others did, so this is the test of
 * the importer's state.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import type { Device, Net, Route } from "../../dsl/model.ts";
import { formatIp, type Prefix } from "../../runtime/net/ip.ts";
import { importForReplay } from "../../src/import/replay.ts";

interface Recorded {
  readonly name: string;
  /** Each with the kernel's (or the tool's) refusal, or null. */
  readonly commands: readonly (readonly [command: string, refusal: string | null])[];
  /** "." is the root namespace. */
  readonly namespaces: Readonly<Record<string, Held>>;
}
interface Held {
  /** `FAMILY TABLE TYPE PREFIX METRIC GATEWAY@DEVICE,…`, what commands added (protocol boot). */
  readonly routes?: readonly string[];
  /**
   * `FAMILY TABLE TYPE PREFIX tos T metric M [kernel] GATEWAY@DEVICE,…` with `!` behind a dead next hop: every route but
   * broadcast, multicast and link-local ones of the kernel; those of a prefix in the order in which Linux tries them.
   */
  readonly fib?: readonly string[];
  /** Preferences, in order. */
  readonly rules: readonly number[];
  readonly rules6: readonly number[];
  /** `NAME+ ADDRESSES` for a device that is up, `NAME-` for one that is down; without lo and link-local addresses. */
  readonly devices: readonly string[];
}

const recorded = JSON.parse(
  gunzipSync(readFileSync(new URL("recorded-scripts.json.gz", import.meta.url))).toString(),
) as readonly Recorded[];

const isFull = ({ address, length }: Prefix): boolean => length === (typeof address === "number" ? 32 : 128);
const prefixText = (prefix: Prefix): string =>
  prefix.length === 0 ? "default" : formatIp(prefix.address) + (isFull(prefix) ? "" : `/${prefix.length}`);

function hopsText(net: Net, { nexthops }: Route): string[] {
  const device = (ifindex: number) => net.devices.find((d) => d.ifindex === ifindex)?.name ?? "?";
  return nexthops.map(
    (hop) => `${hop.gateway === null ? "-" : formatIp(hop.gateway)}@${device(hop.device)}${hop.dead ? "!" : ""}`,
  );
}

const routeText = (net: Net, route: Route): string =>
  `${route.family} ${route.table} ${route.type} ${prefixText(route.prefix)} ${route.metric} ${hopsText(net, route).sort().join(",")}`;

const fibText = (net: Net, route: Route): string => {
  const { family, table, type, prefix, tos, metric, protocol } = route;
  const own = protocol === "kernel" ? " kernel" : "";
  const key = `${family} ${table} ${type} ${prefixText(prefix)} tos ${tos} metric ${metric}`;
  return `${key}${own} ${hopsText(net, route).join(",")}`.trimEnd();
};

/** Broadcast and multicast routes of the kernel, and everything of link-local addresses. */
const isUntold = ({ protocol, type, prefix: { address } }: Route): boolean =>
  (protocol === "kernel" && ["broadcast", "multicast", "anycast"].includes(type)) ||
  (typeof address === "bigint" && address >> 118n === 0x3fan);

/** The routes of a prefix keep their order, prefixes have none. */
const byPrefix = (routes: readonly string[]): string[] => {
  const key = (route: string) =>
    route
      .split(" ")
      .filter((_, i) => i !== 2)
      .slice(0, 3)
      .join(" ");
  return [...routes].sort((a, b) => (key(a) < key(b) ? -1 : Number(key(a) > key(b))));
};

function deviceText({ name, up, addresses }: Device): string {
  const isLinkLocal = ({ address }: Prefix) => typeof address === "bigint" && address >> 118n === 0x3fan;
  const own = addresses.map((address) => address.prefix).filter((prefix) => !isLinkLocal(prefix));
  const texts = own.map((prefix) => `${formatIp(prefix.address)}/${prefix.length}`);
  return up ? `${name}+ ${texts.sort().join(",")}` : `${name}-`;
}

const prefs = (net: Net, family: 4 | 6): number[] =>
  net.rules.filter((rule) => rule.family === family).map((rule) => rule.pref);

const held = (net: Net, { routes, fib }: Held): Held => ({
  ...(routes && {
    routes: net.routes
      .filter((route) => route.protocol === "boot")
      .map((route) => routeText(net, route))
      .sort(),
  }),
  ...(fib && { fib: byPrefix(net.routes.filter((route) => !isUntold(route)).map((route) => fibText(net, route))) }),
  rules: prefs(net, 4),
  rules6: prefs(net, 6),
  devices: net.devices.filter((device) => device.kind !== "loopback").map(deviceText),
});

describe.each(recorded)("$name", ({ commands, namespaces }) => {
  const replay = importForReplay(commands.map(([command]) => command));

  it("refuses what Linux refuses", () => {
    const starts: number[] = [];
    let offset = 0;
    for (const [command] of commands) {
      starts.push(offset);
      offset += command.length + 1;
    }
    const isRefused = (i: number) =>
      replay.diagnostics.some(
        ({ severity, primary: { span } }) =>
          severity === "error" && span.start >= starts[i] && span.start < starts[i] + commands[i][0].length,
      );
    // Flushing a table that never had a route is an error to Linux; here it is nothing to do.
    const wanted = commands.filter(([, refusal]) => refusal !== null && !refusal.includes("Flush terminated"));
    expect(commands.filter((_, i) => isRefused(i)).map(([command]) => command)).toEqual(
      wanted.map(([command]) => command),
    );
  });

  it("holds what Linux holds", () => {
    const { model, diagnostics } = check(replay.ast, replay.source);
    expect(diagnostics.filter((d) => d.severity === "error")).toEqual([]);
    for (const [name, kernel] of Object.entries(namespaces)) {
      const net = model?.nets.find((n) => n.name === (name === "." ? "host" : name));
      const { routes, fib } = kernel;
      const sorted = { ...kernel, ...(routes && { routes: [...routes].sort() }), ...(fib && { fib: byPrefix(fib) }) };
      expect(net && held(net, kernel)).toEqual(sorted);
    }
  });
});
