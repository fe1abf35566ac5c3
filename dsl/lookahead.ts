/**
 * How the parser chooses: by one token, with the FIRST sets of the grammar. chevrotain's own strategy finds the same
 * choices for grammars of any lookahead, and computes them all before the first token: half of the time that making the
 * parser takes (measured). This one computes a set when it is first asked for it. That one token is enough everywhere is
 * tested with chevrotain's strategy, which also checks the grammar for ambiguities.
 */
import type { ILookaheadStrategy, IProduction, IToken, TokenType } from "chevrotain";
import { Alternation, NonTerminal, Option, Repetition, RepetitionMandatory, Terminal } from "./chevrotain.ts";

export const oneToken: ILookaheadStrategy = {
  validate: () => [],

  buildLookaheadForAlternation({ rule, prodOccurrence }) {
    let choices: ReadonlyMap<number, number> | undefined;
    return function (this: unknown) {
      choices ??= alternativeByToken(find(partsOf(rule), Alternation, prodOccurrence));
      return choices.get(nextType(this));
    };
  },

  buildLookaheadForOptional({ rule, prodType, prodOccurrence }) {
    const kind = prodType === "Option" ? Option : prodType === "Repetition" ? Repetition : RepetitionMandatory;
    let first: ReadonlySet<number> | undefined;
    return function (this: unknown) {
      first ??= new Set(firstOfAll(partsOf(find(partsOf(rule), kind, prodOccurrence))).flatMap(matches));
      return first.has(nextType(this));
    };
  },
};

/** Lookahead functions are called with the parser as `this`. */
const nextType = (parser: unknown): number => (parser as { LA(howMuch: number): IToken }).LA(1).tokenTypeIdx;

/** Token types that match `type`: itself and those below it (dsl/tokens.ts). */
const matches = (type: TokenType): number[] => [type.tokenTypeIdx!, ...(type.categoryMatches ?? [])];

/** The first alternative that a token can begin wins. */
function alternativeByToken(alternation: IProduction): ReadonlyMap<number, number> {
  const choices = new Map<number, number>();
  for (const [i, alternative] of partsOf(alternation).entries()) {
    for (const type of firstOf(alternative).flatMap(matches)) if (!choices.has(type)) choices.set(type, i);
  }
  return choices;
}

/** The production of that kind and number in a rule; subrules are rules of their own. */
function find(parts: readonly IProduction[], kind: Kind, index: number): IProduction {
  const inside = (part: IProduction): IProduction[] =>
    part instanceof Terminal || part instanceof NonTerminal ? [] : [part, ...partsOf(part).flatMap(inside)];
  return parts
    .flatMap(inside)
    .find((part) => part instanceof kind && (part as IProduction & { idx: number }).idx === index)!;
}
type Kind = typeof Alternation | typeof Option | typeof Repetition | typeof RepetitionMandatory;

/** Everything but Terminal and NonTerminal has parts; the declared base type does not say so. */
export const partsOf = (production: IProduction): readonly IProduction[] =>
  (production as unknown as { definition: IProduction[] }).definition;

/** The FIRST set of a production. */
export function firstOf(production: IProduction): TokenType[] {
  if (production instanceof Terminal) return [production.terminalType];
  if (production instanceof NonTerminal) return firstOfAll(partsOf(production.referencedRule));
  if (production instanceof Alternation) return partsOf(production).flatMap(firstOf);
  return firstOfAll(partsOf(production));
}

/** The FIRST set of a sequence. */
function firstOfAll(parts: readonly IProduction[]): TokenType[] {
  const first: TokenType[] = [];
  for (const part of parts) {
    first.push(...firstOf(part));
    if (!(part instanceof Option || part instanceof Repetition)) break;
  }
  return first;
}
