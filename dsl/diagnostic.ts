/** What is wrong with a text, said so that its author can mend it. Rendering lives in dsl/render.ts. */
import type { Span } from "./span.ts";

export type Severity = "error" | "warning" | "note";

export interface Label {
  readonly span: Span;
  readonly message: string;
}

/** An exact edit: replace `span` by `text`. */
export interface Help {
  readonly message: string;
  readonly edit?: { readonly span: Span; readonly text: string };
}

export interface Diagnostic {
  /** Stable identity, e.g. "E0201"; `vrfc check --explain E0201` tells more. */
  readonly code: string;
  readonly severity: Severity;
  /** One line: what we found and what we expected. */
  readonly message: string;
  /** Where; carets go under it. `message` of this label may be empty. */
  readonly primary: Label;
  /** Other lines that matter ("VRF `red` is defined here"). */
  readonly secondary: readonly Label[];
  readonly help: readonly Help[];
  /** What Linux says when asked the same, verbatim ("RTNETLINK answers: File exists"). */
  readonly kernel?: string;
}
