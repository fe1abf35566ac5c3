/**
 * One compilation in a process of its own, as a user has it: `node compile-run.js POLICY` prints what each stage took and the greatest memory,
 * as JSON. Behind it, in the same process, one more with another line in the rules: what a change takes from the checked model on, loading apart.
 */
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { check } from "../../dsl/check.ts";
import type { Model, Rule } from "../../dsl/model.ts";
import { parse } from "../../dsl/parse.ts";
import { load } from "../../runtime/dataplane.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { compileModel } from "../../src/compile.ts";
import { readRoutes } from "./routes.ts";
import { prefixesOf, routeLine, vrfText } from "./vrfs.ts";

export interface CompileRun {
  /** Milliseconds of each stage, in order. */
  readonly stages: Readonly<Record<string, number>>;
  /** Milliseconds from text to a loaded dataplane, the start of node apart. */
  readonly total: number;
  /** Milliseconds from a model with another rule to its artifact. */
  readonly changed: number;
  /** Of that, milliseconds of each stage. */
  readonly changedStages: Readonly<Record<string, number>>;
  readonly peakMib: number;
  readonly artifactBytes: number;
  readonly imageBytes: number;
}

export type Policy = "seed" | "files" | "inline" | "table";

/** Rules of the policies with many VRFs. */
const RULES = 64;

interface Input {
  readonly text: string;
  readonly readFile: (path: string) => Uint8Array;
}

/** `files`: each VRF has its routes in a file; `inline`: in the text; `table`: a VRF has a table of the real world, from `routes`. */
function inputOf(policy: Policy, vrfs: number, routes: string): Input {
  if (policy === "table") return tableInput(routes);
  const none = (path: string): Uint8Array => {
    throw new Error(`no file ${path}`);
  };
  if (policy === "seed")
    return { text: readFileSync(new URL("../../../examples/seed.vrf", import.meta.url), "utf8"), readFile: none };
  const drawn = prefixesOf(vrfs, 1);
  const rules = Array.from(
    { length: RULES },
    (_, i) => `rule ${2000 + i} from 10.9.${i}.0/24 lookup ${1000 + (i % vrfs)}`,
  );
  const routesOf = (v: number): string => `routes from "${v}"`;
  const utf8 = new TextEncoder();
  const files = new Map(drawn.map((own, v) => [`${v}`, utf8.encode(own.map(routeLine).join("\n"))]));
  const text = `${vrfText(drawn, policy === "files" ? { neighbours: 1, routesOf } : { neighbours: 1 })}${rules.join("\n")}\n`;
  return { text, readFile: (path) => files.get(path) ?? none(path) };
}

/** `PREFIX NUMBER` a line becomes `PREFIX via` that neighbour. */
function tableInput(routes: string): Input {
  const { lengths, words, values } = readRoutes(routes, 4);
  const via = (value: number): string => `10.0.${1 + (value >>> 8)}.${value & 255}`;
  const lines = Array.from(lengths, (length, i) => `${formatIp(words[i])}/${length} via ${via(values[i] + 1)}\n`);
  const file = new TextEncoder().encode(lines.join(""));
  const text = `sysctl net.ipv4.ip_forward = 1
vrf red { table 100 }
interface in0 { master red; address 192.0.2.1/24 }
interface out0 { master red; address 10.0.0.1/16 }
table 100 { routes from "table" }
rule 500 to 198.51.100.0/24 lookup 100
rule 501 to 203.0.113.0/24 lookup main
`;
  return { text, readFile: () => file };
}

async function compileRun(policy: Policy, vrfs: number, routes: string): Promise<CompileRun> {
  const { text, readFile } = inputOf(policy, vrfs, routes);
  const source = { name: policy, text };
  const stages: Record<string, number> = {};
  const changedStages: Record<string, number> = {};
  const start = performance.now();
  let last = start;
  const doneIn =
    (into: Record<string, number>) =>
    (stage: string): void => {
      const now = performance.now();
      into[stage] = now - last;
      last = now;
    };
  const done = doneIn(stages);
  const model = modelOf();
  function modelOf(): Model {
    const { ast } = parse(source);
    done("parse");
    const checked = check(ast, source, { readFile });
    done("check");
    if (checked.model === null) throw new Error(checked.diagnostics.map(({ message }) => message).join("\n"));
    return checked.model;
  }
  const { artifact, layout } = await compileModel(model, { done });
  const artifactBytes = artifact.length;
  await load(artifact);
  done("load");
  const total = last - start;
  const peakMib = process.resourceUsage().maxRSS / 1024;
  const again = performance.now();
  last = again;
  const { artifact: other } = await compileModel(withAnotherRule(model), { done: doneIn(changedStages) });
  const changed = last - again;
  if (Buffer.compare(other, artifact) === 0) throw new Error("another rule made no other module");
  return { stages, total, changed, changedStages, peakMib, artifactBytes, imageBytes: layout.heap };
}

/** The text's last rule that asks a table asks another one: the first that any rule asks. */
function withAnotherRule(model: Model): Model {
  const [net, ...others] = model.nets;
  const asking = net.rules.filter(({ action }) => action.kind === "lookup" && action.table !== null);
  const own = asking.filter(({ origin }) => origin.span !== undefined);
  const changed: Rule = { ...own[own.length - 1], action: asking[0].action };
  return {
    ...model,
    nets: [{ ...net, rules: net.rules.map((rule) => (rule.id === changed.id ? changed : rule)) }, ...others],
  };
}

const [, , policy, vrfs, routes = ""] = process.argv;
console.log(JSON.stringify(await compileRun(policy as Policy, Number(vrfs), routes)));
