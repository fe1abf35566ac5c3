/**
 * Words that the grammar has no place for: what they were probably meant to be. Two cases: words that are left over at
 * the end of a statement, and statements that begin with none of the words that may begin one in their block.
 */
import type { IToken, TokenType } from "chevrotain";
import type { Help } from "./diagnostic.ts";
import { attributeKeywords, isAdvertised, statementKeywords } from "./expected.ts";
import { suggest } from "./suggest.ts";
import { didYouMean, type SyntaxReport } from "./syntax-report.ts";
import { K, keywordOf, LBrace, StringLiteral, spellingsOf, startOf, Unclosed } from "./tokens.ts";

/** The lists of statements: the rule of dsl/parser.ts, and what messages call the place. */
const PLACES = {
  topItem: "at the top of a file",
  item: "in a `namespace` block",
  property: "in the block of a device",
  tableItem: "in a `table` block",
  testItem: "in a `test` block",
} as const;
export type Place = keyof typeof PLACES;

const label = (type: TokenType): string => `\`${type.LABEL}\``;
const spellings = (types: readonly TokenType[]): string[] => types.flatMap(spellingsOf);

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function found(token: IToken): string {
  if (token.tokenType === Unclosed || token.tokenType === StringLiteral) return `string \`${token.image}\``;
  return `\`${token.image}\``;
}

/**
 * @param before where the token before it ends
 * @param rule the statement's rule in dsl/parser.ts
 * @param keyword what it begins with
 */
export function reportSurplus(
  report: SyntaxReport,
  token: IToken,
  before: number,
  rule: string,
  keyword: TokenType,
  place: Place,
): void {
  const statement = rule === "noRule" ? "no rule" : keyword.LABEL;
  if (token.tokenType === LBrace) {
    report.error(token, "E0101", `\`${statement}\` has no block`, { label: "unexpected `{`" });
    return;
  }
  const keywords = attributeKeywords(rule);
  const meant = suggest(token.image, spellings(keywords));
  const said = keywords.includes(token.tokenType);
  const help: Help[] = [];
  if (meant !== null && !said) help.push(didYouMean(token, meant));
  else if (statementKeywords(place).includes(token.tokenType)) help.push(separate(before, token));
  const advertised = help.length > 0 ? [] : keywords.filter(isAdvertised);
  report.error(token, "E0101", `unexpected ${found(token)} in \`${statement}\``, {
    label: advertised.length === 0 ? "" : `expected ${listed(advertised.map(label))}`,
    help,
  });
}

const separate = (before: number, token: IToken): Help => ({
  message: "statements are separated by a new line or `;`",
  edit: { span: { start: before, end: startOf(token) }, text: "; " },
});

export function reportUnknown(report: SyntaxReport, words: readonly IToken[], place: Place): void {
  const [token] = words;
  const keywords = statementKeywords(place);
  if (token.tokenType === LBrace) {
    report.error(token, "E0107", "a block begins on the line of its statement", {
      label: "this `{` belongs to no statement",
    });
  } else if (token.image === "ip") {
    reportCommand(report, words);
  } else if (isKnownElsewhere(token)) {
    reportMisplaced(report, token, place);
  } else {
    const meant = suggest(token.image, spellings(keywords));
    report.error(token, "E0103", `${found(token)} begins no statement`, {
      label: meant !== null ? "" : `expected ${listed(keywords.filter(isAdvertised).map(label))}`,
      help: meant === null ? [] : [didYouMean(token, meant)],
    });
  }
}

const PLACE_OF_KEYWORD: readonly (readonly [Place, string])[] = [
  ["topItem", "stands at the top of a file"],
  ["item", "stands in a `namespace` block or at the top of a file"],
  ["property", "is said in the block of a `vrf` or `interface`"],
  ["tableItem", "stands in a `table` block"],
  ["testItem", "stands in a `test` block"],
];

const isKnownElsewhere = (token: IToken): boolean =>
  PLACE_OF_KEYWORD.some(([place]) => statementKeywords(place).includes(token.tokenType));

function reportMisplaced(report: SyntaxReport, token: IToken, place: Place): void {
  const homes = PLACE_OF_KEYWORD.filter(([home]) => statementKeywords(home).includes(token.tokenType));
  const home = homes.find(([name]) => name === "item") ?? homes[0];
  const help: Help[] = [{ message: `\`${token.image}\` ${home[1]}` }];
  if (place === "property" && token.tokenType === K.Route) {
    help.push({ message: "outside of the block, say `route ... vrf NAME` for a route of a VRF" });
  }
  if (place === "testItem") help.push({ message: "a test adds to the network in `namespace NAME { ... }` blocks" });
  report.error(token, "E0104", `\`${token.image}\` cannot stand ${PLACES[place]}`, {
    label: token.tokenType === K.Namespace ? "is a `}` missing above?" : "",
    help,
  });
}

const VERBS: readonly string[] = ["add", "append", "replace", "change"];

/** Whole commands are what `vrfc import` is for; but one line is quickly mended. */
function reportCommand(report: SyntaxReport, words: readonly IToken[]): void {
  const [ip, object, verb] = words;
  const statement = object === undefined ? undefined : keywordOf(object.image);
  const can = statement === K.Route || statement === K.Rule || statement === K.Neighbour || statement === K.Nexthop;
  const adds = VERBS.includes(verb?.image ?? "");
  const help: Help[] =
    can && adds
      ? [
          {
            message: "leave out the command",
            edit: { span: { start: startOf(ip), end: verb.startOffset + verb.image.length }, text: statement.LABEL! },
          },
        ]
      : [];
  report.error(ip, "E0103", "`ip` begins no statement", {
    label: "a command of iproute2",
    help: [...help, { message: "`vrfc import` turns scripts of `ip` commands into this language" }],
  });
}

/** A pasted `route add 10.0.0.0/8 ...`. */
export function reportVerb(report: SyntaxReport, verb: IToken, next: IToken): void {
  if (!VERBS.includes(verb.image)) return;
  report.error(verb, "E0101", `unexpected \`${verb.image}\``, {
    label: "statements say what there is; nothing is entered step by step",
    help: [
      {
        message: `leave out \`${verb.image}\``,
        edit: { span: { start: startOf(verb), end: startOf(next) }, text: "" },
      },
    ],
  });
}
