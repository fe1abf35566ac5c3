/** What most commands start with: read a policy, check it, show what is wrong with it. */

import { dirname, resolve } from "node:path";
import type { Diagnostic } from "../../dsl/diagnostic.ts";
import { check, type Machine, parse, renderDiagnostics } from "../../dsl/index.ts";
import { KERNEL_PROFILES, type KernelProfile, type Model, type Net } from "../../dsl/model.ts";
import type { Source } from "../../dsl/span.ts";
import type { EngineKind } from "../engines.ts";
import { type ColourChoice, painter } from "./colour.ts";
import { readSource, UsageError } from "./io.ts";
import { readRouteFile } from "./route-file.ts";

export interface PolicyOptions {
  readonly kernel?: string | number;
  readonly color?: string;
  /** Not of the command line: the devices that the policy is for. */
  readonly machine?: Machine;
}

export interface Checked {
  readonly source: Source;
  /** Null when there are errors. */
  readonly model: Model | null;
  readonly diagnostics: readonly Diagnostic[];
}

export function checkFile(path: string, options: PolicyOptions): Checked {
  const source = readSource(path);
  const { ast, diagnostics } = parse(source);
  const kernel = kernelOption(options.kernel);
  const checked = check(ast, source, {
    readFile: readBeside(path),
    ...(kernel === undefined ? {} : { kernel }),
    ...(options.machine === undefined ? {} : { machine: options.machine }),
  });
  const all = [...diagnostics, ...checked.diagnostics].sort((a, b) => a.primary.span.start - b.primary.span.start);
  return { source, model: all.some((d) => d.severity === "error") ? null : checked.model, diagnostics: all };
}

/** The model of a policy, or null after its errors were shown on standard error. Warnings are `check`'s to show. */
export function modelOf(path: string, options: PolicyOptions): Model | null {
  const { source, model, diagnostics } = checkFile(path, options);
  if (model !== null) return model;
  const errors = diagnostics.filter((d) => d.severity === "error");
  process.stderr.write(
    renderDiagnostics(source, errors, { color: painter(colourOption(options.color), process.stderr).enabled }),
  );
  return null;
}

/** `routes from "FILE"` is relative to the policy: text or an MRT dump, gzip or not. */
export const readBeside =
  (path: string) =>
  (file: string): Uint8Array =>
    readRouteFile(path === "-" ? file : resolve(dirname(path), file));

/** `--kernel 6.1` arrives as a number. */
export function kernelOption(value: string | number | undefined): KernelProfile | undefined {
  if (value === undefined) return undefined;
  const profile = KERNEL_PROFILES.find((p) => p === String(value));
  if (profile === undefined) throw new UsageError(`--kernel ${value}: expected one of ${KERNEL_PROFILES.join(", ")}`);
  return profile;
}

export function colourOption(value: string | undefined): ColourChoice {
  if (value === undefined || value === "auto") return "auto";
  if (value === "always" || value === "never") return value;
  throw new UsageError(`--color ${value}: expected auto, always or never`);
}

/** One of a list, for options that name a choice. */
export function choiceOption<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((c) => c === String(value));
  if (found === undefined) throw new UsageError(`--${name} ${value}: expected one of ${choices.join(", ")}`);
  return found;
}

/** A number within bounds, decimal or 0x. */
export function numberOption(name: string, value: unknown, low: number, high: number): number {
  const n = Number(value);
  if (value === "" || !Number.isInteger(n) || n < low || n > high)
    throw new UsageError(`--${name} ${value}: expected a number from ${low} to ${high}`);
  return n;
}

/** Files named on the command line; at least one. */
export function someFiles(files: readonly string[]): readonly string[] {
  if (files.length === 0) throw new UsageError("no file given (`-` is standard input)");
  return files;
}

export const engineOption = (value: unknown): EngineKind => choiceOption("engine", value, ["compiled", "reference"]);

export function namespaceNamed(model: Model, name: string): Net {
  const net = model.nets.find((n) => n.name === name);
  if (net === undefined)
    throw new UsageError(`no namespace \`${name}\`; there are ${model.nets.map((n) => n.name).join(", ")}`);
  return net;
}
