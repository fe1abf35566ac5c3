/** The language: text to checked model. What a program that embeds the compiler needs of this part. */
export type * from "./ast.ts";
export type { CheckOptions, CheckResult } from "./check.ts";
export { check } from "./check.ts";
export { CHECK_CODES } from "./codes.ts";
export type { Diagnostic, Help, Label, Severity } from "./diagnostic.ts";
export type { Device, KernelProfile, Model, Net, NextHop, PingCase, TestCase } from "./model.ts";
export { deviceNamed, deviceOf, KERNEL_PROFILES, ROUTE_TYPES, Scope } from "./model.ts";
export { printModel, routeWords, ruleWords } from "./print-model.ts";
export type { Source, Span } from "./span.ts";
