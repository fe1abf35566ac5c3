/** Policies for the tests of the checker: text in, model or findings out. */
import type { CheckOptions } from "../../dsl/check.ts";
import type { TextResult } from "../../dsl/index.ts";
import { checkText } from "../../dsl/index.ts";
import type { Model, Net } from "../../dsl/model.ts";

export const findingsOf = (text: string, options: CheckOptions = {}): TextResult =>
  checkText(text, "test.vrf", options);

/** The model of a policy without errors; the errors are the failure's message otherwise. */
export function modelOf(text: string, options: CheckOptions = {}): Model {
  const { model, diagnostics } = findingsOf(text, options);
  const errors = diagnostics.filter((d) => d.severity === "error");
  if (model === null) throw new Error(errors.map((d) => `${d.code} ${d.message}`).join("\n"));
  return model;
}

/** The first (often the only) namespace. */
export const hostOf = (text: string, options: CheckOptions = {}): Net => modelOf(text, options).nets[0];
