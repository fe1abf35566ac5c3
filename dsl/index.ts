/** The language: text to checked model. What a program that embeds the compiler needs of this part. */

export { ROUTE_TYPES } from "../runtime/net/route-types.ts";
export type * from "./ast.ts";
export type { CheckOptions, CheckResult, Machine } from "./check.ts";
export { check } from "./check.ts";
export type { TextResult } from "./check-text.ts";
export { checkText } from "./check-text.ts";
export { CHECK_CODES } from "./codes.ts";
export type { Diagnostic, Help, Label, Severity } from "./diagnostic.ts";
export { explainCode } from "./explain.ts";
export { routeWords, ruleWords } from "./iproute2.ts";
export type { Device, KernelProfile, Model, Net, NextHop, PingCase, TestCase } from "./model.ts";
export { deviceNamed, deviceOf, KERNEL_PROFILES, Scope } from "./model.ts";
export type { ParseResult } from "./parse.ts";
export { parse } from "./parse.ts";
export { print } from "./print.ts";
export { printModel } from "./print-model.ts";
export type { JsonDiagnostic, RenderOptions } from "./render.ts";
export { diagnosticsToJson, renderDiagnostics } from "./render.ts";
export type { Source, Span } from "./span.ts";
