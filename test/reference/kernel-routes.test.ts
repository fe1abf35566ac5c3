/**
 * Look-ups as kernel 6.1 answered them, in random networks of up to three VRFs with random rules and routes: set up by the commands
 * that the kernel was given, asked with `ip route get`, with and without `fibmatch`. 4,000 of IPv4, and all of IPv6 of some networks.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import type { Query, RouteAnswer, Scenario } from "../../src/scenario.ts";

interface Recorded {
  readonly name: string;
  readonly setup: readonly string[];
  readonly queries: readonly Query[];
  readonly answers: readonly RouteAnswer[];
}

function recording(file: string): [string, Scenario][] {
  const bytes = gunzipSync(readFileSync(new URL(file, import.meta.url)));
  const recorded: readonly Recorded[] = JSON.parse(bytes.toString());
  return recorded.map(({ answers, ...scenario }) => [scenario.name, { ...scenario, expect: { answers } }]);
}

async function differences(scenario: Scenario, engine: "reference" | "compiled") {
  const answers = await replay([scenario], { engine });
  const { counts, differences } = compareAnswers([scenario], answers);
  expect(counts.reduce((sum, { total }) => sum + total, 0)).toBe(scenario.queries?.length);
  return differences;
}

const ipv4 = recording("kernel-6.1-routes.json.gz");
const ipv6 = recording("kernel-6.1-routes6.json.gz");

describe("look-ups as kernel 6.1 answered them", () => {
  test.each(ipv4)("IPv4, %s", async (_, scenario) => {
    expect(await differences(scenario, "reference")).toEqual([]);
  });
  test.each(ipv6)("IPv6, %s", async (_, scenario) => {
    expect(await differences(scenario, "reference")).toEqual([]);
  });
  test.each(ipv6.slice(0, 2))("IPv6, compiled, %s", async (_, scenario) => {
    expect(await differences(scenario, "compiled")).toEqual([]);
  });
  test.each(ipv4.slice(0, 4))("IPv4, compiled, %s", async (_, scenario) => {
    expect(await differences(scenario, "compiled")).toEqual([]);
  });
});

describe("answers that a recording does not hold", () => {
  const ask = async (
    query: Query,
    engine: "reference" | "compiled" = "reference",
  ): Promise<RouteAnswer | undefined> => {
    const setup = [
      "ip link add red type vrf table 10",
      "ip link set red up",
      "ip link add p0 type dummy",
      "ip link set p0 master red",
      "ip link set p0 up",
      "ip addr add 10.0.0.1/24 dev p0",
      "ip addr add 2001:db8::1/64 dev p0 nodad",
    ];
    const [answer] = await replay([{ name: "one VRF", setup, queries: [query] }], { engine });
    return answer.answers?.[0];
  };

  test.each<[string, Query, RouteAnswer]>([
    ["a device that is not there", { dst: "10.0.0.9", oif: "p9" }, { error: "ENODEV" }],
    ["addresses of two families", { dst: "10.0.0.9", src: "::1" }, { unsupported: "addresses of two families" }],
    [
      "nobody is oneself",
      { dst: "0.0.0.0" },
      { type: "local", dev: "lo", prefsrc: "127.0.0.1", table: 0, dst: "0.0.0.0/32" },
    ],
    ["a group that was received", { dst: "ff02::1", iif: "p0", src: "2001:db8::9" }, { error: "EMSGSIZE" }],
    ["no address", { dst: "10.0.0" }, { unsupported: "an address that is none" }],
    ["link scope on the VRF device", { dst: "ff02::1", oif: "red" }, { error: "ENETUNREACH" }],
    [
      "link scope on a slave, past the rules",
      { dst: "ff02::1", oif: "p0" },
      { type: "multicast", table: 10, dst: "ff02::1/128", dev: "p0", priority: 256 },
    ],
    [
      "a source of the outgoing device",
      { dst: "2001:db8::9", oif: "p0" },
      { type: "unicast", table: 10, dst: "2001:db8::9/128", dev: "p0", prefsrc: "2001:db8::1", priority: 256 },
    ],
  ])("%s", async (_, query, expected) => {
    const answer = await ask(query);
    expect(answer).toMatchObject(expected);
    expect(answer?.gateway).toBeUndefined();
  });

  test.each<Query>([
    { dst: "2001:db8::9", oif: "red" },
    { dst: "ff02::1", oif: "p0" },
    { dst: "ff02::1", iif: "p0", src: "2001:db8::9" },
    { dst: "2001:db8::1", src: "2001:db8::1", fibmatch: true },
  ])("the compiled engine says the same: %o", async (query) => {
    expect(await ask(query, "compiled")).toEqual(await ask(query));
  });
});
