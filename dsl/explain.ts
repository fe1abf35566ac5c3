/** What a diagnostic's code means at length. */
import { CHECK_CODES } from "./codes.ts";
import { SYNTAX_CODES } from "./syntax-codes.ts";

/** Said before packets are run (src/supported.ts). */
const E0100 = `Chains and programs are read and checked, but packets are not run through them yet.

\`vrfc check\`, \`fmt\` and \`dump --stage model\` understand them; commands that run packets refuse a text whose chains they would have
to leave out.`;

/** Null: no diagnostic of this language has that code. */
export const explainCode = (code: string): string | null =>
  SYNTAX_CODES.get(code) ?? CHECK_CODES.get(code) ?? (code === "E0100" ? E0100 : null);
