/** What is taken over from one compilation to the next changes no byte: held against a compiler that has compiled nothing else. */
import { expect, test, vi } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { compileModel } from "../../src/compile.ts";
import { sha256 } from "../../src/networks.ts";

const VRFS = 40;
const RULES = 60;

/** Many VRFs, their routes in files, and a list of rules long enough to be data. */
function model(): Model {
  const vrfs = Array.from({ length: VRFS }, (_, v) => {
    const device = `interface in${v} { master v${v}; address 10.${v}.0.1/24 }`;
    return `vrf v${v} { table ${1000 + v} }\n${device}\ntable ${1000 + v} { routes from "${v}" }`;
  });
  const rules = Array.from(
    { length: RULES },
    (_, i) => `rule ${2000 + i} from 10.9.${i}.0/24 lookup ${1000 + (i % VRFS)}`,
  );
  const readFile = (name: string): Uint8Array => {
    const lines = Array.from(
      { length: 100 },
      (_, i) => `172.${16 + (i % 16)}.${i}.0/24 via 10.${name}.0.${2 + (i % 9)}`,
    );
    return new TextEncoder().encode(lines.join("\n"));
  };
  const { model, diagnostics } = checkText([...vrfs, ...rules].join("\n"), "many", { readFile });
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}

/** @param action of a rule of the text (`data`: in the long list) or of the short one of IPv6 (`code`), that of the first rule */
function changed(base: Model, kind: "data" | "code"): Model {
  const [net] = base.nets;
  const rule = net.rules.findLast(({ family, origin }) =>
    kind === "data" ? origin.span !== undefined : family === 6,
  )!;
  const { action } = net.rules.find((one) => one.family === rule.family && one.action.kind === "lookup")!;
  const rules = net.rules.map((one) => (one === rule ? { ...rule, action } : one));
  return { ...base, nets: [{ ...net, rules }] };
}

const digestOf = async (of: Model): Promise<string> => sha256((await compileModel(of)).artifact);

test.each(["data", "code"] as const)("another rule, %s: as compiled from nothing", async (kind) => {
  const base = model();
  const first = await digestOf(base);
  const again = await digestOf(changed(base, kind));
  expect(again).not.toBe(first);
  // The model is built anew too, so that nothing of it is known.
  vi.resetModules();
  const { compileModel: fresh } = await import("../../src/compile.ts");
  expect(await sha256((await fresh(changed(model(), kind))).artifact)).toBe(again);
  expect(await digestOf(base)).toBe(first);
});
