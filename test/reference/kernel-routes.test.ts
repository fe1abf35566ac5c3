/**
 * 4,000 look-ups as kernel 6.1 answered them, in 40 random networks of up to three VRFs with random rules and routes: set up by the
 * commands that the kernel was given, asked with `ip route get`, with and without `fibmatch`.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { check } from "../../dsl/check.ts";
import { deviceNamed, deviceOf, type Net, type NextHop } from "../../dsl/model.ts";
import { formatIp, formatPrefix, type Ip, parseIp } from "../../runtime/net/ip.ts";
import { Errno, nameOf } from "../../runtime/verdict.ts";
import { importScript } from "../../src/import/import.ts";
import { inet_rtm_getroute } from "../../src/reference/rtm_getroute.ts";

interface Query {
  readonly dst: string;
  readonly src?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly mark?: number;
  readonly tos?: number;
  readonly proto?: number;
  readonly sport?: number;
  readonly dport?: number;
  readonly uid?: number;
  readonly fibmatch?: boolean;
}

interface Hop {
  readonly dev: string;
  readonly gateway?: string;
  readonly weight?: number;
}

interface Answer extends Partial<Hop> {
  readonly error?: string;
  readonly type?: string;
  readonly table?: number;
  readonly dst?: string;
  readonly priority?: number;
  readonly prefsrc?: string;
  readonly nexthops?: readonly Hop[];
  /** The hops of a multipath group: which one is taken is up to a random key. */
  readonly any?: readonly Hop[];
}

interface Scenario {
  readonly name: string;
  readonly setup: readonly string[];
  readonly queries: readonly Query[];
  readonly answers: readonly Answer[];
}

const recording = new URL("kernel-6.1-routes.json.gz", import.meta.url);
const scenarios: readonly Scenario[] = JSON.parse(gunzipSync(readFileSync(recording)).toString());

function networkOf(scenario: Scenario): Net {
  const source = { name: scenario.name, text: scenario.setup.map((line) => `${line}\n`).join("") };
  const { ast } = importScript(source, { assumeForwarding: false });
  const { model, diagnostics } = check(ast, source, { kernel: "6.1" });
  if (model === null) throw new Error(diagnostics.map((d) => d.message).join("\n"));
  return model.nets[0];
}

function ask(net: Net, query: Query): Answer {
  const ifindex = (name: string | undefined) => (name === undefined ? 0 : deviceNamed(net, name)!.ifindex);
  const got = inet_rtm_getroute(net, "6.1", {
    dst: parseIp(query.dst) as number,
    src: query.src === undefined ? 0 : (parseIp(query.src) as number),
    iif: ifindex(query.iif),
    oif: ifindex(query.oif),
    mark: query.mark ?? 0,
    tos: query.tos ?? 0,
    protocol: query.proto ?? 17,
    sport: query.sport ?? 0,
    dport: query.dport ?? 0,
    uid: query.uid ?? 0,
  });
  if (got.error !== 0) return { error: nameOf(Errno, got.error) };
  const { type, device, gateway, prefsrc } = got;
  const route = got.route === null ? null : net.routes[got.route];
  if (!query.fibmatch) {
    const answer = { type, table: route?.table ?? 0, dst: `${query.dst}/32`, ...hopOf(net, { device, gateway }) };
    return prefsrc === null ? answer : { ...answer, prefsrc: formatIp(prefsrc) };
  }
  if (route === null) return { error: "EHOSTUNREACH" };
  const hops = route.nexthops.map((nh) => hopOf(net, nh));
  return {
    type,
    table: route.table,
    ...(route.prefix.length === 0 ? {} : { dst: formatPrefix(route.prefix) }),
    ...(route.metric === 0 ? {} : { priority: route.metric }),
    ...(route.prefsrc === null ? {} : { prefsrc: formatIp(route.prefsrc) }),
    ...(hops.length === 1 ? hops[0] : { nexthops: route.nexthops.map((nh, i) => ({ ...hops[i], weight: nh.weight })) }),
  };
}

function hopOf(net: Net, { device, gateway }: Pick<NextHop, "device"> & { gateway: Ip | null }): Hop {
  const { name } = deviceOf(net, device)!;
  return gateway === null ? { dev: name } : { dev: name, gateway: formatIp(gateway) };
}

/** Of a multipath group any hop is right, and with it its source; a gateway that is an own address is not shown. */
function same(expected: Answer, got: Answer): boolean {
  if (expected.any === undefined) return sorted(expected) === sorted(got);
  const { any, dev: _, gateway: __, prefsrc: ___, ...rest } = expected;
  const { dev, gateway, prefsrc: ____, ...gotRest } = got;
  const isHop = (hop: Hop) => hop.dev === dev && (gateway === undefined || hop.gateway === gateway);
  return sorted(rest) === sorted(gotRest) && any.some(isHop);
}

const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, v) =>
    v !== null && typeof v === "object" && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );

describe("look-ups as kernel 6.1 answered them", () => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", (_, scenario) => {
    const net = networkOf(scenario);
    const wrong = scenario.queries.flatMap((query, i) => {
      const [expected, got] = [scenario.answers[i], ask(net, query)];
      return same(expected, got) ? [] : [{ query, expected, got }];
    });
    expect(wrong).toEqual([]);
  });
});
