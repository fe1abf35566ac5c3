/** A module that takes another's place between two batches: what it keeps, what its text says anew. */
import { expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { parseMac } from "../../runtime/net/mac.ts";
import { succeed } from "../../runtime/succession.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";

const MAC = "02:00:00:00:00:01";

/** A router of two VRFs' worth of interfaces; `out` is ifindex 3, or 4 where another device stands before it. */
const text = (extra: string, chains: string, before = "") => `
  sysctl net.ipv4.ip_forward = 1
  interface in { address 10.0.0.1/24; lladdr ${MAC} }
  ${before}
  interface out { address 10.0.1.1/24 }
  ${extra}
  table inet t {
    counter seen { }
    ${chains}
    chain forward { type filter hook forward priority 0; counter name seen; ip saddr @blocked drop; }
  }`;
const BLOCKED = "set blocked { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 } }";

async function loaded(source: string): Promise<Dataplane> {
  const { model, diagnostics } = checkText(source);
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return load((await compileModel(model, { level: 0 })).artifact);
}

function send(dataplane: Dataplane, from: string): string {
  const engine = dataplane.net("host");
  const batch = engine.createBatch(1);
  const ends = { source: parseIp(from) as number, destination: parseIp("10.0.1.7") as number };
  const header = { ...ends, protocol: 17, tos: 0, identification: 1, dontFragment: false, ttl: 64 };
  const addresses = { destination: parseMac(MAC)!, source: 0x020000000099, type: EtherType.IPV4 };
  batch.put(ethernetFrame(addresses, ipv4Packet(header, new Uint8Array(8))), { entry: Entry.RECEIVE, device: 2 });
  engine.process(batch);
  const verdict = batch.column("verdict")[0];
  return Object.keys(Verdict).find((name) => Verdict[name as keyof typeof Verdict] === verdict)!;
}

test("counters count on, neighbours are known, maps keep their contents, and the new text's rules hold", async () => {
  const before = await loaded(text("", BLOCKED));
  before.neighbours("host").add(`10.0.1.7 lladdr 02:00:00:00:00:77 dev out`);
  before.map("blocked").add("198.51.100.0/24");
  expect([send(before, "10.0.0.7"), send(before, "198.51.100.9")]).toEqual(["TRANSMIT", "DROP"]);

  const next = await loaded(text("route 192.0.2.0/24 via 10.0.0.7", BLOCKED, "interface new { address 10.0.9.1/24 }"));
  expect(succeed(next, before)).toEqual({ neighbours: 1, maps: ["blocked"], refused: [] });
  expect(next.neighbours("host").get("10.0.1.7", "out")).toBe(parseMac("02:00:00:00:00:77"));
  expect([...next.map("blocked").entries()].map(([key]) => key).sort()).toEqual(["198.51.100.0/24", "203.0.113.0/24"]);
  expect([send(next, "10.0.0.7"), send(next, "198.51.100.9")]).toEqual(["TRANSMIT", "DROP"]);
  expect(next.counters(0).verdicts.TRANSMIT).toBe(2n);
  expect(next.counters(0).verdicts.DROP).toBe(2n);
  expect(next.net(0).readCounters()[0].packets).toBe(4n);
});

test("what the new text says itself stands, and what is not alike is named", async () => {
  const before = await loaded(text("neighbour 10.0.1.9 lladdr 02:00:00:00:00:09 dev out", BLOCKED));
  before.neighbours("host").add("10.0.1.7 lladdr 02:00:00:00:00:77 dev out");
  before.map("blocked").add("198.51.100.0/24");
  const next = await loaded(
    text(
      "neighbour 10.0.1.7 lladdr 02:00:00:00:00:07 dev out",
      "set blocked { type ipv4_addr; elements = { 203.0.113.9 } }",
    ),
  );
  expect(succeed(next, before)).toEqual({
    neighbours: 0,
    maps: [],
    refused: [{ map: "blocked", why: "it has another key, value or kind" }],
  });
  expect(next.neighbours("host").get("10.0.1.7", "out")).toBe(parseMac("02:00:00:00:00:07"));
  // It was written in the old text, and is not in the new one.
  expect(next.neighbours("host").get("10.0.1.9", "out")).toBe(null);
  expect([...next.map("blocked").entries()].map(([key]) => key)).toEqual(["203.0.113.9"]);
});

test("namespaces that only one of them has leave nothing, and get nothing", async () => {
  const before = await loaded(`namespace a { ${text("", BLOCKED)} }`);
  const next = await loaded(`namespace b { ${text("", BLOCKED)} }`);
  expect(succeed(next, before)).toEqual({ neighbours: 0, maps: [], refused: [] });
});
