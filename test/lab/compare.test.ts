/** What counts as the kernel's answer, and what may differ. */
import { describe, expect, test } from "vitest";
import { compareAnswers, countLines } from "../../src/replay-compare.ts";
import type { Answer, Frame, HookAnswer, RouteAnswer, Scenario } from "../../src/scenario.ts";

const same = (scenario: Partial<Scenario>, expected: Answer, got: Answer): string[] =>
  countLines(compareAnswers([{ name: "s", ...scenario, expect: expected }], [got]));

describe("look-ups", () => {
  const group = ["ip route add 1.0.0.0/8 nexthop via 10.0.0.7 dev a nexthop via 10.0.1.7 dev b"];
  const base: RouteAnswer = { type: "unicast", table: 254, dev: "a", gateway: "10.0.0.7", prefsrc: "10.0.0.1" };
  test.each<[string, RouteAnswer, RouteAnswer, boolean, readonly string[]]>([
    ["equal", base, base, true, []],
    ["another table", base, { ...base, table: 100 }, false, []],
    ["another source", base, { ...base, prefsrc: "10.0.0.2" }, false, []],
    ["another device", base, { ...base, dev: "b" }, false, []],
    ["another hop of its group", base, { ...base, dev: "b", gateway: "10.0.1.7", prefsrc: "10.0.1.1" }, true, group],
    ["a hop outside the group", base, { ...base, dev: "c", gateway: "10.0.1.7" }, false, group],
    [
      "a hop that the recording allows",
      { ...base, any: [{ dev: "b", gateway: "10.0.1.7" }] },
      { ...base, dev: "b", gateway: "10.0.1.7" },
      true,
      [],
    ],
    ["one that it does not", { ...base, any: [{ dev: "b", gateway: "10.0.1.7" }] }, base, false, []],
    ["the same error", { error: "EACCES" }, { error: "EACCES" }, true, []],
    ["another error", { error: "EACCES" }, { error: "EINVAL" }, false, []],
    ["a route instead of an error", { error: "EACCES" }, base, false, []],
    ["no answer", base, { unsupported: "why" }, false, []],
    ["more keys than recorded", { type: "local" }, { type: "local", priority: 5 }, true, []],
  ])("%s", (_, expected, got, equal, setup) => {
    const lines = same({ setup, queries: [{ dst: "1.2.3.4" }] }, { answers: [expected] }, { answers: [got] });
    expect(lines).toEqual([`routes v4: ${equal ? 1 : 0} of 1`]);
  });
  test("a next-hop object of a group", () => {
    const objects = ["ip nexthop add id 1 via 10.0.0.7 dev a", "ip -n r nexthop add id 2 via 10.0.1.7 dev b"];
    const asked = { queries: [{ dst: "1.2.3.4" }] };
    const [expected, got] = [{ answers: [base] }, { answers: [{ ...base, dev: "b", gateway: "10.0.1.7" }] }];
    const setup = [...objects, "ip nexthop add id 3 group 1/2,4"];
    expect(same({ ...asked, setup }, expected, got)).toEqual(["routes v4: 1 of 1"]);
    expect(same({ ...asked, setup: objects }, expected, got)).toEqual(["routes v4: 0 of 1"]);
  });
  test("families are counted apart; missing answers count as different", () => {
    const lines = same(
      { queries: [{ dst: "1.2.3.4" }, { dst: "2001:db8::1" }] },
      { answers: [base, base] },
      { answers: [base] },
    );
    expect(lines).toEqual(["routes v4: 1 of 1", "routes v6: 0 of 1"]);
  });
});

describe("frames", () => {
  const setup = ["ip addr add 10.0.0.1/24 dev p0"];
  const ethernet = "02000000000102000000000208 00".replace(" ", "");
  const packet = (id: string, checksum: string, source: string, ttl = "40") =>
    `${ethernet}4500001c${id}0000${ttl}01${checksum}${source}0a0000070000000000000000`;
  const own = "0a000001";
  const stamped = (address: string, time: string, checksum: string) =>
    `${ethernet}48000028000100004001${checksum}0a0000090a000007440c0d01${address}${time}0000000000000000`;
  const compare = (expected: Frame[] | undefined, got: Frame[] | undefined) =>
    same(
      { setup, frames: [{ port: "p0", hex: "00" }] },
      { outputs: [{ frames: expected ?? [], hooks: [] }] },
      { outputs: [got === undefined ? { unsupported: "why" } : { frames: got, hooks: [] }] },
    )[0];
  const on = (port: string, hex: string): Frame => ({ port, hex });

  test.each<[string, Frame[], Frame[] | undefined, boolean]>([
    [
      "order of ports",
      [on("p0", packet("0001", "aaaa", own)), on("p1", "00")],
      [on("p1", "00"), on("p0", packet("0001", "aaaa", own))],
      true,
    ],
    [
      "the router's own identification",
      [on("p0", packet("0001", "aaaa", own))],
      [on("p0", packet("0002", "bbbb", own))],
      true,
    ],
    [
      "a forwarded packet's identification",
      [on("p0", packet("0001", "aaaa", "0a000009"))],
      [on("p0", packet("0002", "bbbb", "0a000009"))],
      false,
    ],
    ["a time", [on("p0", stamped(own, "009d2071", "01c9"))], [on("p0", stamped(own, "0000023c", "22d7"))], true],
    [
      "a time's host",
      [on("p0", stamped(own, "009d2071", "01c9"))],
      [on("p0", stamped("0a000002", "009d2071", "01c8"))],
      false,
    ],
    ["a TTL", [on("p0", packet("0001", "aaaa", own))], [on("p0", packet("0001", "aaaa", own, "3f"))], false],
    ["another port", [on("p0", "00")], [on("p1", "00")], false],
    ["nothing sent", [], [], true],
    ["unsupported", [], undefined, false],
  ])("%s", (_, expected, got, equal) => {
    expect(compare(expected, got)).toBe(`frames: ${equal ? 1 : 0} of 1`);
  });

  test("a frame that the device refused is not counted", () => {
    expect(same({ frames: [{ port: "p0", hex: "00" }] }, { outputs: [{ refused: "EMSGSIZE" }] }, {})).toEqual([]);
  });
});

describe("pings", () => {
  const hook: HookAnswer = {
    ns: ".",
    hook: "output",
    iif: null,
    oif: "lo",
    saddr: "127.0.0.1",
    daddr: "127.0.0.1",
    proto: "ICMP",
    ttl: 64,
    icmp_type: 8,
  };
  const ping = (rc: number, hooks: HookAnswer[]) => ({ pings: [{ cmd: "ping", rc, hooks }] });
  const discovery: HookAnswer = { ...hook, proto: "ICMPv6", icmp_type: 135 };
  test.each<[string, Answer, readonly [number, number]]>([
    ["equal", ping(0, [hook]), [1, 1]],
    ["another exit status", ping(1, [hook]), [1, 0]],
    ["another TTL", ping(0, [{ ...hook, ttl: 63 }]), [0, 1]],
    ["a hook more", ping(0, [hook, hook]), [0, 1]],
    ["neighbour discovery besides", ping(0, [discovery, hook]), [1, 1]],
    ["no answer", { pings: [{ cmd: "ping", unsupported: "why" }] }, [0, 0]],
  ])("%s", (_, got, [hooks, pings]) => {
    expect(same({}, ping(0, [hook]), got)).toEqual([`hooks of pings: ${hooks} of 1`, `pings: ${pings} of 1`]);
  });
  test("addresses are compared as addresses", () => {
    const six = (saddr: string): HookAnswer => ({ ...hook, saddr, proto: "UDP" });
    expect(same({}, ping(0, [six("2001:db8:0:0:0:0:0:1")]), ping(0, [six("2001:db8::1")]))[0]).toBe(
      "hooks of pings: 1 of 1",
    );
  });
});

test("counters are compared one by one", () => {
  const lines = same(
    {},
    {
      counters: {
        ".": [
          [1, 84],
          [2, 168],
        ],
      },
    },
    {
      counters: {
        ".": [
          [1, 84],
          [2, 84],
        ],
      },
    },
  );
  expect(lines).toEqual(["counters: 1 of 2"]);
});

test("scenarios without the kernel's answers are not compared", () => {
  expect(compareAnswers([{ name: "s", pings: ["ping -c1 10.0.0.1"] }], [{}]).counts).toEqual([]);
});
