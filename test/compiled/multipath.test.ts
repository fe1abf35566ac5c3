/**
 * Which next hop a flow takes: in proportion to the weights over many flows, the same one every time, and by nothing but what
 * the hash policy names (k:net/ipv4/route.c fib_multipath_hash, fib_select_multipath). On the reference and on the wasm.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";

const WEIGHTS = [1, 2, 5] as const;
const FLOWS = 100_000;
const BATCH = 1000;
/** Of all flows, as a share of them: how far a hop may be from its weight. */
const TOLERANCE = 0.02;

const policyText = (policy: number) => `
  sysctl net.ipv4.ip_forward = 1
  sysctl net.ipv4.fib_multipath_hash_policy = ${policy}
  interface in { index 2; address 10.9.0.1/16 }
  interface a { index 3; address 10.0.0.1/24 }
  interface b { index 4; address 10.0.1.1/24 }
  interface c { index 5; address 10.0.2.1/24 }
  route default nexthop via 10.0.0.7 dev a weight ${WEIGHTS[0]} nexthop via 10.0.1.7 dev b weight ${WEIGHTS[1]} nexthop via 10.0.2.7 dev c weight ${WEIGHTS[2]}`;

interface FlowKey {
  readonly source: number;
  readonly destination: number;
  readonly sport: number;
  readonly dport: number;
}

function udp({ source, destination, sport, dport }: FlowKey): Uint8Array {
  const payload = new Uint8Array(8);
  writeU16(payload, 0, sport);
  writeU16(payload, 2, dport);
  writeU16(payload, 4, payload.length);
  const header = { tos: 0, identification: 0, dontFragment: true, ttl: 64, protocol: 17, source, destination };
  return ipv4Packet(header, payload);
}

/** The device that each flow leaves by, when it is received by `in`. */
function paths(engine: Engine, flows: readonly FlowKey[]): number[] {
  const batch = engine.createBatch(BATCH, 256);
  const found: number[] = [];
  for (let at = 0; at < flows.length; at += BATCH) {
    batch.count = 0;
    for (const flow of flows.slice(at, at + BATCH)) batch.put(udp(flow), { entry: Entry.ROUTE_INPUT, device: 2 });
    engine.process(batch);
    for (let i = 0; i < batch.count; i++) {
      if (batch.column("verdict")[i] !== Verdict.FOUND) throw new Error(`no route: ${batch.column("verdict")[i]}`);
      found.push(batch.column("outDevice")[i]);
    }
  }
  return found;
}

const random = new Random(7);
const anyFlow = (): FlowKey => ({
  source: 0x0a090000 + 2 + random.below(60_000),
  destination: 0xc0000000 + random.below(0x1000000),
  sport: 1024 + random.below(60_000),
  dport: random.below(65_536),
});
const FLOW_SET = Array.from({ length: FLOWS }, anyFlow);
/** One pair of hosts, many connections. */
const CONNECTIONS = FLOW_SET.map((flow) => ({ ...flow, source: 0x0a090007, destination: 0xc0000001 }));

const shares = (devices: readonly number[]): number[] =>
  [3, 4, 5].map((device) => devices.filter((other) => other === device).length / devices.length);

function expectWeights(devices: readonly number[]): void {
  const total = WEIGHTS.reduce((sum, weight) => sum + weight, 0);
  for (const [i, share] of shares(devices).entries())
    expect(Math.abs(share - WEIGHTS[i] / total), `hop ${i}: ${share}`).toBeLessThan(TOLERANCE);
}

const KINDS: Readonly<Record<string, (model: Model) => Promise<Engine>>> = {
  reference: async (model) => referenceEngine(model.nets[0], model.kernel),
  compiled: async (model) => (await load((await compileModel(model, { level: 0 })).artifact)).net(0),
};

describe.each(Object.entries(KINDS))("%s", (_, open) => {
  const engines = new Map<number, Engine>();
  beforeAll(async () => {
    for (const policy of [0, 1]) engines.set(policy, await open(checkText(policyText(policy)).model!));
  }, 120_000);

  test.each([0, 1])("hash policy %d: flows spread by weight, and keep their path", (policy) => {
    const first = paths(engines.get(policy)!, FLOW_SET);
    expectWeights(first);
    expect(paths(engines.get(policy)!, FLOW_SET)).toEqual(first);
  });
  test("policy 1 spreads the connections of two hosts, policy 0 does not", () => {
    expectWeights(paths(engines.get(1)!, CONNECTIONS));
    expect(new Set(paths(engines.get(0)!, CONNECTIONS)).size).toBe(1);
  });
  test("policy 0 knows no ports", () => {
    const moved = FLOW_SET.slice(0, 5000).map((flow) => ({ ...flow, sport: 1, dport: 2 }));
    expect(paths(engines.get(0)!, moved)).toEqual(paths(engines.get(0)!, FLOW_SET.slice(0, 5000)));
  });
});

test("the wasm takes the paths that the reference takes", async () => {
  for (const policy of [0, 1]) {
    const model = checkText(policyText(policy)).model!;
    const [reference, compiled] = [await KINDS.reference(model), await KINDS.compiled(model)];
    expect(paths(compiled, FLOW_SET.slice(0, 20_000))).toEqual(paths(reference, FLOW_SET.slice(0, 20_000)));
  }
}, 120_000);
