/**
 * The types of the CST, from the grammar. `npm run cst` writes dsl/cst.generated.ts; test/dsl/grammar.test.ts asserts
 * that it is current.
 */
import { generateCstDts } from "./chevrotain.ts";
import type { Parser } from "./parser.ts";

export const cstTypes = (parser: Parser): string =>
  `/** Made from dsl/parser.ts by \`npm run cst\`. */\n${generateCstDts(parser.getGAstProductions())}`;
