/** What is fast about the packet path and is no time: no import, no memory taken, few instructions of the short way. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";

const { model } = checkText(`sysctl net.ipv4.ip_forward = 1
  vrf red { table 10 }
  interface a { index 4; master red; address 10.0.0.1/24; lladdr 02:00:00:00:00:0a }
  interface b { index 5; master red; address 10.0.1.1/24 }
  table 10 { route 20.0.0.0/8 via 10.0.1.2 }
  neighbour 10.0.1.2 dev b lladdr 02:00:00:00:00:b2`);
/** Wasm instructions of one packet on the short way, by the longest path: looked up in place and again by a call, with its source and a search for its neighbour, which is then remembered. */
const MOST_INSTRUCTIONS = 3000;

describe("the packet path", () => {
  test("imports nothing", async () => {
    const { artifact } = await compileModel(model!);
    expect(WebAssembly.Module.imports(await WebAssembly.compile(artifact))).toEqual([]);
  });

  test("takes no memory, however many packets it judges", async () => {
    const dataplane = await load((await compileModel(model!)).artifact);
    const engine = dataplane.net("host");
    const batch = engine.createBatch(64, 128);
    const header = { tos: 0, identification: 0, dontFragment: true, ttl: 64, protocol: 17 };
    const packet = ipv4Packet({ ...header, source: 0x0a000007, destination: 0x14000001 }, new Uint8Array(26));
    const frame = ethernetFrame({ destination: 0x02000000000a, source: 2, type: EtherType.IPV4 }, packet);
    const { buffer } = dataplane.memory;
    for (let round = 0; round < 200; round++) {
      batch.count = 0;
      while (batch.count < 64) batch.put(frame, { entry: Entry.RECEIVE, device: 4 });
      engine.process(batch);
    }
    expect([...batch.column("verdict")]).toEqual(new Array(64).fill(Verdict.TRANSMIT));
    // A memory that grows detaches its buffer.
    expect(dataplane.memory.buffer).toBe(buffer);
  });

  test("is short where nothing objects", async () => {
    const { manifest } = await compileModel(model!);
    const { shortWay } = manifest.nets[0].cost;
    expect(shortWay).toBeGreaterThan(100);
    expect(shortWay).toBeLessThan(MOST_INSTRUCTIONS);
  });
});
