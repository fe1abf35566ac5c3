/** The project's own recordings (test/kernel/fresh.json.gz), the table made of them, and what the generator promises. */
import { expect, test } from "vitest";
import type { Scenario } from "../../src/scenario.ts";
import { COMPILE_TIMEOUT, readScenarios } from "../lab/recordings.ts";
import { ENGINES } from "./engines.ts";
import { generate } from "./generate.ts";
import { ownRecordings } from "./recordings.ts";
import { conformance, tableText } from "./table.ts";

const { reference, "compiled-O0": compiled, c } = ENGINES;
const noC = c.obstacle?.() ?? null;

test(
  "random networks of our own, as a kernel answered about them: its pace, its rate limits, its refusals",
  async () => {
    const scenarios = readScenarios("fresh.json.gz");
    const { rows, differences } = await conformance({ name: "fresh", scenarios }, { reference, compiled });
    expect(differences).toEqual([]);
    const kinds = ["frames", "hooks of frames", "routes v4", "routes v6"];
    expect(rows.map(({ engine, kind }) => [engine, kind])).toEqual(
      ["reference", "compiled"].flatMap((engine) => kinds.map((kind) => [engine, kind])),
    );
    expect(rows.every(({ total }) => total > 50)).toBe(true);
  },
  COMPILE_TIMEOUT,
);

test.skipIf(noC !== null)(
  `frames, judged by the module translated to C${noC === null ? "" : ` (${noC})`}`,
  async () => {
    const scenarios = readScenarios("fresh.json.gz").filter(({ frames }) => frames !== undefined);
    const { rows, differences } = await conformance({ name: "fresh", scenarios }, { c });
    expect(differences).toEqual([]);
    expect(rows.map(({ kind, total, unsupported }) => [kind, total > 50, unsupported])).toEqual([
      ["frames", true, 0],
      ["hooks of frames", true, 0],
    ]);
  },
  COMPILE_TIMEOUT,
);

test("a wrong answer is counted as one, and one that was not given is not", async () => {
  const scenarios: Scenario[] = [
    {
      name: "s",
      queries: [{ dst: "127.0.0.1" }, { dst: "9.9.9.9" }, { dst: "none" }],
      expect: { answers: [{ error: "EACCES" }, { error: "ENETUNREACH" }, { error: "EACCES" }] },
    },
  ];
  const { rows, differences } = await conformance({ name: "r", scenarios }, { reference });
  const row = {
    recording: "r",
    engine: "reference",
    kind: "routes v4",
    agree: 1,
    total: 3,
    unsupported: 1,
    percent: 50,
  };
  expect(rows).toEqual([row]);
  expect(differences.map(({ asked }) => asked)).toEqual([{ dst: "127.0.0.1" }]);
  expect(tableText(rows).split("\n")[1]).toMatch(/^r +reference +routes v4 +1 +3 +1 +50\.00$/);
});

test("recordings are found by what they hold", () => {
  const names = ownRecordings().map(({ name }) => name);
  expect(names).toContain("test/kernel/fresh.json.gz");
  expect(names).not.toContain("test/kernel/steps.json.gz");
});

const kinds = { ipv4: true, ipv6: true };
const options = { networks: 3, queries: 40, frames: 40, kinds };

test("a seed gives the same scenarios again, another seed others", () => {
  const names = (scenarios: readonly Scenario[]) => scenarios.map(({ name: _, ...rest }) => JSON.stringify(rest));
  const first = generate({ seed: 5, ...options });
  expect(generate({ seed: 5, ...options })).toEqual(first);
  const others = new Set(names(generate({ seed: 6, ...options })));
  expect(names(first).filter((text) => others.has(text))).toEqual([]);
});

test("frames leave by ports that are there; both families, VLAN tags and ARP occur", () => {
  const scenarios = generate({ seed: 1, ...options, networks: 12, frames: 100 }).filter(({ frames }) => frames);
  for (const { ports = [], frames = [] } of scenarios)
    expect(frames.filter(({ port }) => !ports.includes(port))).toEqual([]);
  const types = new Set(scenarios.flatMap(({ frames = [] }) => frames.map(({ hex }) => hex.slice(24, 28))));
  for (const type of ["0800", "86dd", "8100", "0806"]) expect(types).toContain(type);
});
