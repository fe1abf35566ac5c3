/**
 * A recorded scenario's set-up commands as AST. They were run on a real kernel in a fresh network namespace (only `lo`, and
 * up), which is `host` here, and all of them were accepted: what is refused or not understood here is named, so that a
 * replay does not answer for a network that it did not build.
 */
import type { File } from "../../dsl/ast.ts";
import type { Diagnostic } from "../../dsl/diagnostic.ts";
import type { Source } from "../../dsl/span.ts";
import { importScript } from "./import.ts";

/** A command that did not, or not wholly, become part of the network. */
export interface LeftOut {
  readonly command: string;
  /** In words for the user. */
  readonly why: string;
}

export interface ReplayImport {
  /** One command a line: what the AST's spans point into. */
  readonly source: Source;
  /** The pings are its tests. */
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
  readonly leftOut: readonly LeftOut[];
  /** For each ping command: the index of its test, or why there is none. */
  readonly pings: readonly ({ readonly test: number } | { readonly unsupported: string })[];
}

/** Imports set-up commands and pings. Never throws. */
export function importForReplay(
  setup: readonly string[],
  pings: readonly string[] = [],
  name = "scenario",
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
  return { source, ast, diagnostics, leftOut, pings: found };
}

const oneLine = (command: string): string => command.replace(/\n/g, " ");

const lineNumber = (text: string, offset: number): number => text.slice(0, offset).split("\n").length - 1;
