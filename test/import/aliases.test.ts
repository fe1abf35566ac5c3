/**
 * What a route can become that no `ip route add` says: one of several of the same table, prefix, TOS and metric, or one
 * with next hops that are dead. The text says it, and every engine looks past them as Linux does.
 */
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import type { Model } from "../../dsl/model.ts";
import { parse } from "../../dsl/parse.ts";
import { openEngines } from "../../src/engines.ts";
import { RouteGetter } from "../../src/replay-routes.ts";
import type { Query } from "../../src/scenario.ts";
import { printed } from "./helpers.ts";

const DEVICES = `${["d0", "d1"]
  .map((name, i) => `ip link add ${name} up type dummy\nip addr add 10.0.${i}.1/24 dev ${name}`)
  .join("\n")}\n`;

function modelOf(text: string): Model {
  const source = { name: "test.vrf", text };
  const { ast, diagnostics } = parse(source);
  expect(diagnostics).toEqual([]);
  return check(ast, source).model as Model;
}

/** The gateway that each engine finds. */
async function gateways(text: string, query: Query): Promise<unknown[]> {
  const model = modelOf(text);
  const answers = (["reference", "compiled"] as const).map(async (kind) => {
    const [engine] = await openEngines(model, kind);
    const answer = new RouteGetter(model.nets[0], engine).answer(query);
    return answer.gateway ?? answer.error ?? answer;
  });
  return Promise.all(answers);
}

describe("appended routes", () => {
  const script = `${DEVICES}ip route add 10.9.0.0/16 via 10.0.0.2\nip route append 10.9.0.0/16 via 10.0.1.2\nip route prepend 10.9.0.0/16 via 10.0.0.3`;

  it("stand in the order in which Linux tries them", () => {
    expect(printed(script).match(/route .*/g)).toEqual([
      "route 10.9.0.0/16 via 10.0.0.3",
      "route append 10.9.0.0/16 via 10.0.0.2",
      "route append 10.9.0.0/16 via 10.0.1.2",
    ]);
  });

  it("count where those before them cannot be used", async () => {
    const text = printed(script);
    expect(await gateways(text, { dst: "10.9.0.1" })).toEqual(["10.0.0.3", "10.0.0.3"]);
    expect(await gateways(text, { dst: "10.9.0.1", oif: "d1" })).toEqual(["10.0.1.2", "10.0.1.2"]);
  });
});

describe("dead next hops", () => {
  const script = `${DEVICES}ip route add 10.9.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.1.2\nip link set d0 down`;

  it("stay with the route and are said", () => {
    expect(printed(script)).toContain("nexthop via 10.0.0.2 dead\n    nexthop via 10.0.1.2");
  });

  it("come to life with their device", () => {
    expect(printed(`${script}\nip link set d0 up`)).not.toContain("dead");
  });

  it("are not used", async () => {
    const text = "interface d0 { type dummy; down }\ninterface d1 { type dummy; address 10.0.1.1/24 }\n";
    const route = "route 10.9.0.0/16\n  nexthop via 10.0.0.2 dev d0 dead\n  nexthop via 10.0.1.2 dev d1\n";
    for (let i = 1; i < 9; i++)
      expect(await gateways(text + route, { dst: `10.9.0.${i}` })).toEqual(["10.0.1.2", "10.0.1.2"]);
  });
});

describe("next hops without a carrier", () => {
  const network = (value: number) =>
    `sysctl net.ipv4.conf.all.ignore_routes_with_linkdown = ${value}
interface v0 { address 10.0.0.1/24; peer host v1 }
interface v1 { down }
interface d1 { type dummy; address 10.0.1.1/24 }
route 10.9.0.0/16 via 10.0.0.2
route 10.9.0.0/16 via 10.0.1.2 metric 5
`;

  it("are used unless that is to be ignored", async () => {
    expect(await gateways(network(0), { dst: "10.9.0.1" })).toEqual(["10.0.0.2", "10.0.0.2"]);
    expect(await gateways(network(1), { dst: "10.9.0.1" })).toEqual(["10.0.1.2", "10.0.1.2"]);
  });
});
