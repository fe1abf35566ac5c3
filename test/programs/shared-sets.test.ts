/** Sets, maps, counters and limits outside of tables are there once, whether programs or chains of the IP layer ask them. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { Entry, nameOf, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { frameOf, modelOf } from "../reference/support.ts";

const NETWORK = `
sysctl net.ipv4.ip_forward = 1
interface a { index 3; lladdr 02:00:00:00:00:03; address 10.0.0.1/24 }
interface b { index 4; lladdr 02:00:00:00:00:04; address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
`;

const POLICY = `${NETWORK}
map blocked { type ipv4_addr : verdict; kind lpm_trie }
map judged { type ipv4_addr : verdict; elements = { 10.0.0.66 : jump counted } }
set seen { type ipv4_addr }
counter all { }
chain counted { drop }
chain f {
  type filter hook forward priority 0
  counter name all
  ip saddr @seen drop
  ip saddr vmap @judged
}
program gate on xdp a {
  counter name all
  ip saddr vmap @blocked
}
program mark on tc ingress a {
  ip saddr @seen ip ttl set 9
}
`;

const errorsOf = (text: string): string[] =>
  checkText(text).diagnostics.map(({ code, message }) => `${code} ${message}`);

describe("outside of tables", () => {
  const engines: [string, () => Promise<Engine>][] = [
    ["reference", async () => referenceEngine(modelOf(POLICY).nets[0], modelOf(POLICY).kernel)],
    ["compiled", async () => (await load((await compileModel(modelOf(POLICY), { level: 1 })).artifact)).net(0)],
  ];
  test.each(engines)("%s: a program and a chain ask the same maps, which the host changes", async (_, open) => {
    const engine = await open();
    const batch = engine.createBatch(1);
    const verdict = (from: string): string => {
      batch.count = 0;
      batch.put(frameOf({ from, to: "10.0.1.7" }, 0x020000000003), { device: 3, entry: Entry.RECEIVE });
      engine.process(batch);
      return nameOf(Verdict, batch.column("verdict")[0]);
    };
    expect([verdict("10.0.0.7"), verdict("10.0.0.66")]).toEqual(["TRANSMIT", "DROP"]);
    engine.map("blocked").add("10.0.0.0/24", "DROP");
    expect(verdict("10.0.0.7")).toBe("DROP");
    engine.map("blocked").add("10.0.0.7", "continue");
    expect(verdict("10.0.0.7")).toBe("TRANSMIT");
    engine.map("seen").add("10.0.0.7");
    expect(verdict("10.0.0.7")).toBe("DROP");
    // Five frames came to the program, four of them to the chain.
    expect(engine.readCounters().map(({ packets }) => packets)).toEqual([9n]);
  });

  test("each of the names is declared once, and what is wrong is said once", () => {
    const { sets, counters } = modelOf(POLICY).nets[0].netfilter;
    expect(sets.map(({ name }) => name)).toEqual(["blocked", "judged", "seen"]);
    expect(counters).toHaveLength(1);
    expect(errorsOf(POLICY.replace("10.0.0.66 :", "10.0.0.256 :"))).toEqual(["E0402 `10.0.0.256` is no ipv4_addr"]);
  });

  test("a map offers the words that all who ask it understand", async () => {
    const text = POLICY.replace(": jump counted", ": drop").replace(
      "tc ingress a {",
      "tc ingress a {\n  ip saddr vmap @judged",
    );
    const dataplane = await load((await compileModel(modelOf(text), { level: 0 })).artifact);
    expect(() => dataplane.map("judged").add("10.0.0.1", "SHOT")).toThrow("can say accept, drop, continue, return");
    expect(() => dataplane.map("blocked").add("10.0.0.1", "SHOT")).toThrow("ABORTED, DROP, PASS, TX, continue, return");
  });

  test.each(["ip saddr vmap @judged", "jump counted"])(
    "chains of the IP layer and programs share no chains: %s",
    (rule) => {
      const text = POLICY.replace("tc ingress a {", `tc ingress a {\n  jump counted\n  ${rule}`);
      expect(errorsOf(text)).toContain("E0406 `counted` is a chain of devices");
    },
  );
});
