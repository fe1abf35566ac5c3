/**
 * IPv6 pings as the kernel and iputils recorded them (pings6.json.gz), on every engine: the seed's six cases, errors, what a socket is
 * bound to, link-local addresses and groups, the source of a slave that has a link-local address alone.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { openLab } from "../../src/lab.ts";
import { Networks, replay } from "../../src/replay.ts";
import { compareAnswers, countLines } from "../../src/replay-compare.ts";
import type { PingAnswer } from "../../src/scenario.ts";
import { runTests } from "../../src/test-run.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES, readScenarios } from "./recordings.ts";

const networks = new Networks();
const recorded = readScenarios("pings6.json.gz");

describe.each(QUICK_ENGINES)("pings of a real kernel: $name", (engine) => {
  test("exit status, hooks and what ping prints", { timeout: COMPILE_TIMEOUT }, async () => {
    const answers = await replay(recorded, { ...engine, networks });
    const comparison = compareAnswers(recorded, answers);
    expect(comparison.differences).toEqual([]);
    expect(countLines(comparison)).toEqual(["hooks of pings: 70 of 70", "pings: 70 of 70"]);
    for (const [i, { name, expect: wanted }] of recorded.entries())
      expect(said(answers[i].pings ?? []), name).toEqual(said(wanted?.pings ?? []));
  });
});

const said = (pings: readonly PingAnswer[]) =>
  pings.map(({ cmd, out = "", err }) => ({ cmd, out: withoutTimes(out), err }));
const withoutTimes = (out: string): string => out.replace(/time[ =][\d.]+ ?ms/g, "time").replace(/^rtt .*$/m, "rtt");

const text = readFileSync(new URL("../../examples/seed6.vrf", import.meta.url), "utf8");
const seed6 = checkText(text, "seed6.vrf").model as Model;

describe.each(["reference", "compiled"] as const)("examples/seed6.vrf, %s", (engine) => {
  test("its test blocks", { timeout: COMPILE_TIMEOUT }, async () => {
    const runs = await runTests(seed6, engine);
    expect(runs.flatMap(({ steps }) => steps.flatMap(({ failure }) => failure ?? []))).toEqual([]);
    expect(runs).toHaveLength(7);
  });

  test("a request in fragments is answered in fragments", { timeout: COMPILE_TIMEOUT }, async () => {
    const lab = await openLab(seed6, engine);
    const ping = lab.ping(lab.netNamed("ns0"), { destination: parseIp("2001:db8:1::7") as bigint, size: 3000 });
    expect(ping.stdout).toMatch(/^3008 bytes from 2001:db8:1::7: icmp_seq=1 ttl=63 time=/m);
  });
});
