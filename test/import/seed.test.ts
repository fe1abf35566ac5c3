/** The seed's own script: imported as it stands it is the network of examples/seed.vrf. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import type { Model } from "../../dsl/model.ts";
import { parse } from "../../dsl/parse.ts";
import { print } from "../../dsl/print.ts";
import { findings, imported, meaning } from "./helpers.ts";

const read = (name: string) => ({
  name,
  text: readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8"),
});
const script = read("seed.sh");
const policy = read("seed.vrf");

function modelOfPolicy(source: { name: string; text: string }): Model {
  const { ast, diagnostics } = parse(source);
  expect(diagnostics).toEqual([]);
  const { model } = check(ast, source);
  if (model === null) throw new Error("errors in the policy");
  return model;
}

it("is the same network", () => {
  const model = check(imported(script.text).ast, script).model;
  expect(model).not.toBeNull();
  const nets = (m: Model) => (meaning(m) as { nets: unknown }).nets;
  expect(nets(model as Model)).toEqual(nets(modelOfPolicy(policy)));
});

it("asks for the same pings", () => {
  const model = check(imported(script.text).ast, script).model as Model;
  const asked = (m: Model) =>
    m.tests.map((test) =>
      test.steps.map((step) => ({
        net: step.net,
        bindDevice: step.bindDevice,
        to: "destination" in step && step.destination,
      })),
    );
  expect(asked(model)).toEqual(asked(modelOfPolicy(policy)));
});

it("reports what Linux refuses and what it assumes", () => {
  expect(findings(script.text, { assumeForwarding: true })).toEqual([
    "E0501 31: RTNETLINK answers: File exists",
    "W0505 1: the script never sets net.ipv4.ip_forward: it is taken to run on a machine that forwards",
  ]);
  const [refused] = imported(script.text).diagnostics;
  expect(refused.secondary.map(({ span }) => script.text.slice(span.start, span.end))).toEqual([
    "ip r a 10.0.0.0/24 dev vrf",
  ]);
});

it("survives printing and parsing", () => {
  const { ast } = imported(script.text);
  const text = print(ast);
  const model = check(ast, script).model as Model;
  expect(meaning(modelOfPolicy({ name: "printed", text }))).toEqual(meaning(model));
  expect(text).toContain('test "case 5 (localout do route 3)"');
  expect(text).toContain("# fails (RTNETLINK answers: File exists): ip r a 10.0.0.0/24 dev vethr1");
});

it("does not assume forwarding when told so", () => {
  expect(print(imported(script.text, { assumeForwarding: false }).ast)).not.toContain("ip_forward");
});
