/** `process` leaves nothing to the garbage collector, with whatever is attached: there are no pauses where packets flow. */
import { getHeapStatistics } from "node:v8";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import { load } from "../../runtime/dataplane.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { median } from "../bench/harness.ts";
import { frameTo } from "../threads/network.ts";

const NETWORK = `sysctl net.ipv4.ip_forward = 1
  interface a { index 3; address 10.0.1.1/24; lladdr 02:00:00:00:00:a1 }
  interface b { index 4; address 10.0.2.1/24; lladdr 02:00:00:00:00:b1 }`;
const XDP = "program frames on xdp a { counter }";
const CHAIN = "chain packets { type filter hook ingress device a priority 0; counter }";

/** A spell is short, so that collections fall into few, and the median tells of what is left in each. */
const SPELLS = 49;
const BATCHES = 2048;

const modelOf = (text: string) => checkText(text).model!;

describe("a batch leaves no garbage", () => {
  test.each([
    ["of a module for one thread", {}, []],
    ["of one for several", { threads: true }, []],
    ["with programs attached", {}, ["frames", "packets"]],
  ])("%s", async (_, options, programs) => {
    const dataplane = await load((await compileModel(modelOf(NETWORK), { level: 0, ...options })).artifact);
    const ready = modelOf([NETWORK, XDP, CHAIN].join("\n"));
    for (const name of programs) {
      const program = await loadProgram((await compileProgram(ready, name)).artifact);
      dataplane.attach(program.manifest.hook, program);
    }
    const engine = dataplane.net(0);
    const batch = engine.createBatch(1);
    // For another's link-layer address: it stays as it is, however often it is judged.
    const frame = frameTo("10.0.1.9").fill(2, 0, 6);
    batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
    const growth = Array.from({ length: SPELLS }, () => {
      const before = getHeapStatistics().used_heap_size;
      for (let i = 0; i < BATCHES; i++) engine.process(batch);
      return (getHeapStatistics().used_heap_size - before) / BATCHES;
    });
    expect(batch.column("verdict")[0]).toBe(Verdict.DROP);
    // An object a batch would be 12 bytes at the least; asking for the statistics leaves some hundred.
    expect(median(growth)).toBeLessThan(1);
  });
});
