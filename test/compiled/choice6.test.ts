/** Which of several IPv6 routes, and of their next hops, a packet takes: cases that random networks have found, on every engine. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { planEngines } from "./plan-engine.ts";

const DEVICES = `
  sysctl net.ipv6.conf.all.forwarding = 1
  interface a { index 3; address 2001:db8:1::1/64 }
  interface b { index 4; address 2001:db8:2::1/64 }
  interface c { index 5; address 2001:db8:3::1/64; down }`;

async function enginesOf(text: string): Promise<Engine[]> {
  const { model } = checkText(DEVICES + text);
  if (model === null) throw new Error("not a policy");
  const dataplane = await load((await compileModel(model)).artifact);
  return [referenceEngine(model.nets[0], model.kernel), ...planEngines(model, { level: 0 }), dataplane.net(0)];
}

interface Sent {
  readonly entry: Entry;
  readonly device: number;
  readonly source: string;
  readonly labels: readonly number[];
}

/** Packets to 2001:db8:9::1 that differ in their flow labels: the device that each leaves by. */
function outDevices(engine: Engine, { entry, device, source, labels }: Sent): number[] {
  const batch = engine.createBatch(labels.length, 256);
  for (const flowLabel of labels) {
    const addresses = { source: parseIp(source) as bigint, destination: parseIp("2001:db8:9::1") as bigint };
    const header = { trafficClass: 0, flowLabel, nextHeader: 17, hopLimit: 64, ...addresses };
    batch.put(ipv6Packet(header, Uint8Array.of(0, 9, 0, 53, 0, 8, 0, 0)), { entry, device });
  }
  engine.process(batch);
  return Array.from(batch.column("outDevice").subarray(0, labels.length));
}

describe("IPv6", () => {
  test("where no route of the lowest metric will do, the device decides among all others", async () => {
    const engines = await enginesOf(`
      route 2001:db8:9::/48 via 2001:db8:3::7 dev c dead metric 100
      route 2001:db8:9::/48 via 2001:db8:1::7 dev a metric 1024
      route 2001:db8:9::/48 via 2001:db8:2::7 dev b metric 2048`);
    for (const engine of engines) {
      const received = { entry: Entry.ROUTE_INPUT, source: "2001:db8:5::7", labels: [0] };
      expect(outDevices(engine, { ...received, device: 3 }), engine.name).toEqual([3]);
      expect(outDevices(engine, { ...received, device: 4 }), engine.name).toEqual([4]);
    }
  });

  test("a packet that a chain has routed again takes the way of a flow without a label", async () => {
    const engines = await enginesOf(`
      route default nexthop via 2001:db8:1::7 dev a nexthop via 2001:db8:2::7 dev b
      chain marks { type route hook output priority mangle; policy accept; udp dport 53 meta mark set 1 }`);
    const sent = { entry: Entry.OUTPUT, device: 0, source: "2001:db8:1::1", labels: [...Array(64).keys()] };
    const [expected, ...answers] = engines.map((engine) => outDevices(engine, sent));
    expect(new Set(expected).size).toBe(1);
    for (const [i, answer] of answers.entries()) expect(answer, engines[i + 1].name).toEqual(expected);
  });
});
