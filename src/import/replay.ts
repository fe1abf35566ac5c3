/**
 * A recorded scenario's set-up commands and rule sets as AST. They were run on a real kernel in a fresh network namespace (only `lo`, and
 * up), which is `host` here, and all of them were accepted: what is refused or not understood here is named, so that a
 * replay does not answer for a network that it did not build.
 */
import type { File } from "../../dsl/ast.ts";
import type { Diagnostic } from "../../dsl/diagnostic.ts";
import type { Source } from "../../dsl/span.ts";
import { importScript } from "./import.ts";
import { importRuleSet } from "./nft/import.ts";
import { ROOT } from "./state.ts";

/** A command that did not, or not wholly, become part of the network. */
export interface LeftOut {
  readonly command: string;
  /** In words for the user. */
  readonly why: string;
}

export interface ReplayImport {
  /** One command a line, and then the rule sets: what the AST's spans point into. */
  readonly source: Source;
  /** The pings are its tests. */
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
  readonly leftOut: readonly LeftOut[];
  /** For each ping command: the index of its test, or why there is none. */
  readonly pings: readonly ({ readonly test: number } | { readonly unsupported: string })[];
}

/** Namespace to rule set in the form of `nft -f`; "." is the root namespace. */
export type RuleSets = Readonly<Record<string, string>>;

/** Imports set-up commands, pings and rule sets. Never throws. */
export function importForReplay(
  setup: readonly string[],
  pings: readonly string[] = [],
  name = "scenario",
  ruleSets: RuleSets = {},
): ReplayImport {
  const lines = [...setup, ...pings].map(oneLine);
  // A comment above each ping gives it a test of its own.
  const text = [
    ...lines.slice(0, setup.length),
    ...lines.slice(setup.length).flatMap((line, i) => [`# ping ${i}`, line]),
  ].join("\n");
  const source = { name, text };
  const { ast, diagnostics } = importScript(source, {
    assumeForwarding: false,
    assumeDevices: false,
    expectReplies: false,
  });
  const whyAt = (line: number): string | null => {
    const found = diagnostics.find((diagnostic) => lineNumber(text, diagnostic.primary.span.start) === line);
    return found ? (found.kernel ?? found.message) : null;
  };
  const leftOut = lines.slice(0, setup.length).flatMap((command, i) => {
    const why = whyAt(i);
    return why === null ? [] : [{ command, why }];
  });
  const tests = ast.items.filter((item) => item.kind === "test").map((test) => test.name.value);
  const found = pings.map((_, i) => {
    const test = tests.indexOf(`ping ${i}`);
    return test >= 0 ? { test } : { unsupported: whyAt(setup.length + 2 * i + 1) ?? "not a ping that vrfc knows" };
  });
  const script: ReplayImport = { source, ast, diagnostics, leftOut, pings: found };
  return Object.entries(ruleSets).reduce(withRuleSet, script);
}

/** The rule set becomes part of its namespace, and its text of the source. */
function withRuleSet(network: ReplayImport, [namespace, ruleSet]: readonly [string, string]): ReplayImport {
  const name = namespace === "." ? ROOT : namespace;
  const text = `${network.source.text}\n# rule set of ${name}\n${ruleSet}`;
  const { tables, diagnostics } = importRuleSet(text, { start: text.length - ruleSet.length, end: text.length });
  const isThere = network.ast.items.some((item) => item.kind === "namespace" && item.name.value === name);
  const items = network.ast.items.map((item) =>
    item.kind === "namespace" && item.name.value === name ? { ...item, items: [...item.items, ...tables] } : item,
  );
  const leftOut = diagnostics.map(({ primary, kernel, message }) => ({
    command: lineAt(text, primary.span.start),
    why: kernel ?? message,
  }));
  if (!isThere) leftOut.push({ command: `nft -f, in ${name}`, why: "there is no such namespace" });
  return {
    ...network,
    source: { ...network.source, text },
    ast: { ...network.ast, span: { ...network.ast.span, end: text.length }, items },
    diagnostics: [...network.diagnostics, ...diagnostics],
    leftOut: [...network.leftOut, ...leftOut],
  };
}

const oneLine = (command: string): string => command.replace(/\n/g, " ");

const lineNumber = (text: string, offset: number): number => text.slice(0, offset).split("\n").length - 1;

const lineAt = (text: string, offset: number): string =>
  text
    .slice(text.lastIndexOf("\n", offset - 1) + 1)
    .split("\n", 1)[0]
    .trim();
