/** What a diagnostic's code means at length. */
import { CHECK_CODES } from "./codes.ts";
import { SYNTAX_CODES } from "./syntax-codes.ts";

/** Null: no diagnostic of this language has that code. */
export const explainCode = (code: string): string | null => SYNTAX_CODES.get(code) ?? CHECK_CODES.get(code) ?? null;
