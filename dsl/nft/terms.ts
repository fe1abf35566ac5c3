/**
 * Terms of nftables' language: what stands on either side of a comparison, in a set, in a map.
 *
 *   lhs        = binary { "." binary }
 *   binary     = primary { ("&" | "|" | "^" | "<<" | ">>") constant }
 *   primary    = field | "(" lhs ")"
 *   rhs        = set | "@" NAME | list          list = constants { "," constants } [ "/" constants ]
 *   mapping    = set | "@" NAME
 *   set        = "{" [ member { "," member } [","] ] "}"
 *   member     = "{" element { "," element } [","] "}" | element
 *   element    = constants [ "comment" STRING ] [ ":" ( verdict | constants ) ]
 *   field      = PROTOCOL WORD | "meta" WORD | META_WORD | RAW | fib | "ct" WORD
 *              | ("tcp" | "ip") "option" WORD [WORD] | "exthdr" WORD
 */
import type { IToken, TokenType } from "chevrotain";
import type * as Ast from "../ast.ts";
import type { BinaryOp, Clause, Element, Term } from "../chain-ast.ts";
import { EmbeddedActionsParser } from "../chevrotain.ts";
import { oneToken } from "../lookahead.ts";
import type { Span } from "../span.ts";
import {
  Colon,
  isQuoted,
  Jump,
  K,
  MetaWord,
  P,
  Protocol,
  Raw,
  Reference,
  StringLiteral,
  Value,
  Verdict,
  vocabulary,
  wordOf,
} from "./tokens.ts";

export const start = (token: IToken): number => token.startOffset;
/** What stands for a `$name` ends where that does. */
const end = (token: IToken): number =>
  token.endOffset === undefined ? token.startOffset + token.image.length : token.endOffset + 1;
export const spanOfTokens = (first: IToken, last: IToken = first): Span => ({ start: start(first), end: end(last) });
export const nameOf = (token: IToken): Ast.Name => ({ value: wordOf(token), span: spanOfTokens(token) });
export const across = (first: { span: Span }, last: { span: Span }): Span => ({
  start: first.span.start,
  end: last.span.end,
});

const BINARY: ReadonlyMap<TokenType, BinaryOp> = new Map<TokenType, BinaryOp>([
  [P.And, "&"],
  [P.Or, "|"],
  [P.Xor, "^"],
  [P.ShiftLeft, "<<"],
  [P.ShiftRight, ">>"],
]);

export abstract class TermParser extends EmbeddedActionsParser {
  constructor() {
    super(vocabulary, { recoveryEnabled: false, maxLookahead: 1, lookaheadStrategy: oneToken, skipValidations: true });
  }

  protected word(i = 0): IToken {
    return this.consume(i, Value);
  }

  // Terms.

  protected readonly constant = this.RULE("constant", (): Term => {
    const token = this.CONSUME(Value);
    return this.ACTION(() => ({
      kind: "word",
      text: wordOf(token),
      quoted: isQuoted(token),
      span: spanOfTokens(token),
    }));
  });

  /** Constants with operators: `(syn | ack)`, `1 - 5`, `10.0.0.1 . 80`. */
  protected readonly constantAtom: () => Term = this.RULE(
    "constantAtom",
    (): Term =>
      this.OR([
        {
          ALT: () => {
            this.CONSUME(P.LParen);
            const inner = this.SUBRULE(this.constants);
            this.CONSUME(P.RParen);
            return inner;
          },
        },
        { ALT: () => this.SUBRULE(this.constant) },
      ]),
  );

  protected readonly constantSum = this.RULE("constantSum", (): Term => {
    let left = this.SUBRULE(this.constantAtom);
    this.MANY(() => {
      const op = this.binaryOperator();
      const right = this.SUBRULE1(this.constantAtom);
      left = this.ACTION(() => ({ kind: "binary", op, left, right, span: across(left, right) }));
    });
    this.OPTION(() => {
      this.CONSUME(P.Dash);
      const last = this.SUBRULE2(this.constantAtom);
      left = this.ACTION(() => ({ kind: "range", first: left, last, span: across(left, last) }));
    });
    return left;
  });

  protected readonly constants: () => Term = this.RULE("constants", (): Term => {
    const parts = [this.SUBRULE(this.constantSum)];
    this.MANY(() => {
      this.CONSUME(P.Dot);
      parts.push(this.SUBRULE1(this.constantSum));
    });
    return this.ACTION(() => joined("concat", parts));
  });

  private binaryOperator(): BinaryOp {
    const sign = this.OR9([...BINARY.keys()].map((type) => ({ ALT: () => this.CONSUME(type) })));
    return this.ACTION(() => BINARY.get(sign.tokenType)!);
  }

  protected readonly field = this.RULE(
    "field",
    (): Term =>
      this.OR([
        { ALT: () => this.SUBRULE(this.protocolField) },
        {
          ALT: () => {
            const first = this.CONSUME(K.Meta);
            const key = this.word(1);
            return this.ACTION(() => fieldOf(first, key));
          },
        },
        {
          ALT: () => {
            const key = this.CONSUME(MetaWord);
            return this.ACTION((): Term => ({ kind: "field", words: ["meta", key.image], span: spanOfTokens(key) }));
          },
        },
        {
          ALT: () => {
            const first = this.CONSUME(K.Ct);
            const key = this.word(2);
            return this.ACTION(() => fieldOf(first, key));
          },
        },
        {
          ALT: () => {
            const raw = this.CONSUME(Raw);
            return this.ACTION((): Term => {
              const [base, offset, bits] = raw.image.slice(1).split(",");
              return { kind: "raw", base, offset: Number(offset), bits: Number(bits), span: spanOfTokens(raw) };
            });
          },
        },
        { ALT: () => this.SUBRULE(this.fib) },
      ]),
  );

  protected readonly protocolField = this.RULE("protocolField", (): Term => {
    const words = [this.CONSUME(Protocol)];
    this.OR([
      {
        ALT: () => {
          words.push(this.CONSUME(K.Option));
          words.push(this.word());
          this.OPTION({
            GATE: () => this.LA(1).tokenType !== K.Exists && this.LA(1).tokenType !== K.Missing,
            DEF: () => words.push(this.word(1)),
          });
        },
      },
      { ALT: () => words.push(this.word(2)) },
    ]);
    return this.ACTION(() => fieldOf(...words));
  });

  protected readonly fib = this.RULE("fib", (): Term => {
    const first = this.CONSUME(K.Fib);
    const flags = [this.word()];
    this.MANY(() => {
      this.CONSUME(P.Dot);
      flags.push(this.word(1));
    });
    const result = this.word(2);
    const span = this.ACTION(() => spanOfTokens(first, result));
    return this.ACTION((): Term => ({ kind: "fib", flags: flags.map((f) => f.image), result: result.image, span }));
  });

  protected readonly primary: () => Term = this.RULE(
    "primary",
    (): Term =>
      this.OR([
        {
          ALT: () => {
            this.CONSUME(P.LParen);
            const inner = this.SUBRULE(this.lhs);
            this.CONSUME(P.RParen);
            return inner;
          },
        },
        { ALT: () => this.SUBRULE(this.field) },
      ]),
  );

  protected readonly binary = this.RULE("binary", (): Term => {
    let left = this.SUBRULE(this.primary);
    this.MANY(() => {
      const op = this.binaryOperator();
      const right = this.SUBRULE(this.constantAtom);
      left = this.ACTION(() => ({ kind: "binary", op, left, right, span: across(left, right) }));
    });
    return left;
  });

  protected readonly lhs: () => Term = this.RULE("lhs", (): Term => {
    const parts = [this.SUBRULE(this.binary)];
    this.MANY(() => {
      this.CONSUME(P.Dot);
      parts.push(this.SUBRULE1(this.binary));
    });
    return this.ACTION(() => joined("concat", parts));
  });

  protected readonly list = this.RULE("list", (): Term => {
    const parts = [this.SUBRULE(this.constants)];
    this.MANY(() => {
      this.CONSUME(P.Comma);
      parts.push(this.SUBRULE1(this.constants));
    });
    return this.ACTION(() => joined("list", parts));
  });

  protected readonly rhs = this.RULE(
    "rhs",
    (): Term =>
      this.OR([
        { ALT: () => this.SUBRULE(this.mapping) },
        {
          ALT: () => {
            let term = this.SUBRULE(this.list);
            this.OPTION(() => {
              this.CONSUME(P.Slash);
              const right = this.SUBRULE1(this.list);
              term = this.ACTION(() => ({ kind: "binary", op: "/", left: term, right, span: across(term, right) }));
            });
            return term;
          },
        },
      ]),
  );

  /** A set or map that is meant: written out, or by name. */
  protected readonly mapping: () => Term = this.RULE(
    "mapping",
    (): Term =>
      this.OR([
        { ALT: () => this.SUBRULE(this.set) },
        {
          ALT: () => {
            const token = this.CONSUME(Reference);
            return this.ACTION((): Term => ({ kind: "ref", name: token.image.slice(1), span: spanOfTokens(token) }));
          },
        },
      ]),
  );

  readonly set = this.RULE("set", (): Extract<Term, { kind: "set" }> => {
    const members: (Element | Element[])[] = [];
    const first = this.CONSUME(P.LBrace);
    this.OPTION(() => {
      members.push(this.SUBRULE(this.member));
      this.MANY(() => {
        this.CONSUME(P.Comma);
        // A comma may stand behind the last element.
        this.OPTION1(() => members.push(this.SUBRULE1(this.member)));
      });
    });
    const last = this.CONSUME(P.RBrace);
    return this.ACTION(() => ({ kind: "set", elements: members.flat(), span: spanOfTokens(first, last) }));
  });

  /** An element, or a set within the set: its elements are as good as the set's own. */
  protected readonly member: () => Element | Element[] = this.RULE("member", (): Element | Element[] =>
    this.OR([
      {
        ALT: () => {
          this.CONSUME(P.LBrace);
          const elements = [this.SUBRULE(this.element)];
          this.MANY(() => {
            this.CONSUME(P.Comma);
            this.OPTION(() => elements.push(this.SUBRULE1(this.element)));
          });
          this.CONSUME(P.RBrace);
          return elements;
        },
      },
      { ALT: () => this.SUBRULE2(this.element) },
    ]),
  );

  protected readonly element: () => Element = this.RULE("element", (): Element => {
    const key = this.SUBRULE(this.constants);
    let comment: string | undefined;
    let value: Element["value"];
    this.OPTION(() => {
      this.CONSUME(K.Comment);
      comment = this.ACTION(() => wordOf(this.LA(1)));
      this.CONSUME(StringLiteral);
    });
    this.OPTION1(() => {
      this.CONSUME(Colon);
      this.OR({
        DEF: [
          { ALT: () => (value = this.SUBRULE(this.verdict)) },
          { ALT: () => (value = this.SUBRULE2(this.constants)) },
        ],
        IGNORE_AMBIGUITIES: true,
      });
    });
    return { key, ...(value === undefined ? {} : { value }), ...(comment === undefined ? {} : { comment }) };
  });

  // Statements.

  protected readonly verdict = this.RULE(
    "verdict",
    (): Extract<Clause, { kind: "verdict" }> =>
      this.OR([
        {
          ALT: () => {
            const word = this.CONSUME(Verdict);
            return this.ACTION(() => ({ kind: "verdict" as const, word: nameOf(word), span: spanOfTokens(word) }));
          },
        },
        {
          ALT: () => {
            const word = this.CONSUME(Jump);
            const chain = this.word();
            const span = this.ACTION(() => spanOfTokens(word, chain));
            return this.ACTION(() => ({ kind: "verdict" as const, word: nameOf(word), chain: nameOf(chain), span }));
          },
        },
      ]),
  );
}

function joined(kind: "concat" | "list", parts: readonly Term[]): Term {
  return parts.length === 1 ? parts[0] : { kind, parts, span: across(parts[0], parts.at(-1)!) };
}

/** `meta iifname` and `iifname` are one field. */
const fieldOf = (...tokens: readonly IToken[]): Term => ({
  kind: "field",
  words: tokens.map((token) => token.image),
  span: spanOfTokens(tokens[0], tokens.at(-1)!),
});
