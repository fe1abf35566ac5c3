/**
 * The grammar of one statement of nftables' language: a rule, or a line of the block of a chain, set or counter. What
 * holds statements together, blocks, is read by dsl/nft/read.ts; so a mistake never reaches beyond its statement, and the
 * parser needs no recovery.
 *
 *   rule       = { clause }
 *   clause     = verdict | counter | limit | log | reject | send | comment | fieldClause
 *   fieldClause= lhs ( "set" value | "vmap" mapping | [op] rhs )
 *   lhs        = binary { "." binary }
 *   binary     = primary { ("&" | "|" | "^" | "<<" | ">>") constant }
 *   primary    = field | "(" lhs ")"
 *   rhs        = set | "@" NAME | list          list = constants { "," constants } [ "/" constants ]
 *   value      = ( lhs | constants ) [ "map" mapping ]
 *   mapping    = set | "@" NAME
 *   set        = "{" [ element { "," element } [","] ] "}"
 *   element    = key [ "comment" STRING ] [ ":" ( verdict | constants ) ]
 *   field      = PROTOCOL WORD | "meta" WORD | META_WORD | RAW | fib | "ct" WORD
 *              | ("tcp" | "ip") "option" WORD [WORD] | "exthdr" WORD
 */
import type { IToken, TokenType } from "chevrotain";
import type * as Ast from "../ast.ts";
import type { BaseChain, BinaryOp, Clause, Element, Operator, Rate, Term } from "../chain-ast.ts";
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

const start = (token: IToken): number => token.startOffset;
/** What stands for a `$name` ends where that does. */
const end = (token: IToken): number =>
  token.endOffset === undefined ? token.startOffset + token.image.length : token.endOffset + 1;
export const spanOfTokens = (first: IToken, last: IToken = first): Span => ({ start: start(first), end: end(last) });
const nameOf = (token: IToken): Ast.Name => ({ value: wordOf(token), span: spanOfTokens(token) });
const across = (first: { span: Span }, last: { span: Span }): Span => ({ start: first.span.start, end: last.span.end });

const OPERATORS: ReadonlyMap<TokenType, Operator> = new Map<TokenType, Operator>([
  [P.Equal, "=="],
  [P.NotEqual, "!="],
  [P.Less, "<"],
  [P.LessEqual, "<="],
  [P.Greater, ">"],
  [P.GreaterEqual, ">="],
  // `tcp dport eq 22`
  [K.Eq, "=="],
  [K.Ne, "!="],
  [K.Lt, "<"],
  [K.Le, "<="],
  [K.Gt, ">"],
  [K.Ge, ">="],
]);
const BINARY: ReadonlyMap<TokenType, BinaryOp> = new Map<TokenType, BinaryOp>([
  [P.And, "&"],
  [P.Or, "|"],
  [P.Xor, "^"],
  [P.ShiftLeft, "<<"],
  [P.ShiftRight, ">>"],
]);

/** What a line of a block says. */
export type Property =
  | { readonly kind: "base"; readonly base: BaseChain }
  | { readonly kind: "policy"; readonly policy: Ast.Name }
  | { readonly kind: "type"; readonly key: readonly Ast.Name[]; readonly value: readonly Ast.Name[] | null }
  | { readonly kind: "typeof"; readonly key: Term; readonly value: Term | null }
  | { readonly kind: "flags"; readonly flags: readonly Ast.Name[] }
  | { readonly kind: "size"; readonly size: IToken }
  | { readonly kind: "auto-merge" }
  | { readonly kind: "storage"; readonly storage: Ast.Name }
  | { readonly kind: "elements"; readonly elements: readonly Element[] }
  | { readonly kind: "comment" };

type Counts = Pick<Extract<Clause, { kind: "counter" }>, "packets" | "bytes">;

/** A clause, or the `comment "..."` that ends a rule. */
export type RulePart = Clause | { readonly kind: "comment"; readonly comment: Ast.Spanned<string> };

export class NftParser extends EmbeddedActionsParser {
  constructor() {
    super(vocabulary, { recoveryEnabled: false, maxLookahead: 1, lookaheadStrategy: oneToken, skipValidations: true });
    this.performSelfAnalysis();
  }

  private word(i = 0): IToken {
    return this.consume(i, Value);
  }

  // Terms.

  private readonly constant = this.RULE("constant", (): Term => {
    const token = this.CONSUME(Value);
    return this.ACTION(() => ({
      kind: "word",
      text: wordOf(token),
      quoted: isQuoted(token),
      span: spanOfTokens(token),
    }));
  });

  /** Constants with operators: `(syn | ack)`, `1 - 5`, `10.0.0.1 . 80`. */
  private readonly constantAtom: () => Term = this.RULE(
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

  private readonly constantSum = this.RULE("constantSum", (): Term => {
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

  private readonly constants: () => Term = this.RULE("constants", (): Term => {
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

  private readonly field = this.RULE(
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

  private readonly protocolField = this.RULE("protocolField", (): Term => {
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

  private readonly fib = this.RULE("fib", (): Term => {
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

  private readonly primary: () => Term = this.RULE(
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

  private readonly binary = this.RULE("binary", (): Term => {
    let left = this.SUBRULE(this.primary);
    this.MANY(() => {
      const op = this.binaryOperator();
      const right = this.SUBRULE(this.constantAtom);
      left = this.ACTION(() => ({ kind: "binary", op, left, right, span: across(left, right) }));
    });
    return left;
  });

  private readonly lhs: () => Term = this.RULE("lhs", (): Term => {
    const parts = [this.SUBRULE(this.binary)];
    this.MANY(() => {
      this.CONSUME(P.Dot);
      parts.push(this.SUBRULE1(this.binary));
    });
    return this.ACTION(() => joined("concat", parts));
  });

  private readonly list = this.RULE("list", (): Term => {
    const parts = [this.SUBRULE(this.constants)];
    this.MANY(() => {
      this.CONSUME(P.Comma);
      parts.push(this.SUBRULE1(this.constants));
    });
    return this.ACTION(() => joined("list", parts));
  });

  private readonly rhs = this.RULE(
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
            // `meta priority 1:2`
            this.OPTION1(() => {
              this.CONSUME(Colon);
              const minor = this.word();
              term = this.ACTION(() => classOf(term, minor));
            });
            return term;
          },
        },
      ]),
  );

  /** A set or map that is meant: written out, or by name. */
  private readonly mapping: () => Term = this.RULE(
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
    const elements: Element[] = [];
    const first = this.CONSUME(P.LBrace);
    this.OPTION(() => {
      elements.push(this.SUBRULE(this.element));
      this.MANY(() => {
        this.CONSUME(P.Comma);
        // A comma may stand behind the last element.
        this.OPTION1(() => elements.push(this.SUBRULE1(this.element)));
      });
    });
    const last = this.CONSUME(P.RBrace);
    return this.ACTION(() => ({ kind: "set", elements, span: spanOfTokens(first, last) }));
  });

  private readonly element: () => Element = this.RULE("element", (): Element => {
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

  private readonly verdict = this.RULE(
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

  private readonly counter = this.RULE("counter", (): Clause => {
    const first = this.CONSUME(K.Counter);
    let counts: Counts = {};
    let name: IToken | undefined;
    this.OPTION(() => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(K.Name);
            name = this.word();
          },
        },
        { ALT: () => (counts = this.SUBRULE(this.counts)) },
      ]);
    });
    const last = this.LA(0);
    return this.ACTION(
      (): Clause => ({
        kind: "counter",
        ...(name === undefined ? {} : { name: nameOf(name) }),
        ...counts,
        span: spanOfTokens(first, last),
      }),
    );
  });

  readonly counts = this.RULE("counts", (): Counts => {
    this.CONSUME(K.Packets);
    const packets = this.word();
    this.CONSUME(K.Bytes);
    const bytes = this.word(1);
    return this.ACTION(() => ({ packets: bigOf(packets), bytes: bigOf(bytes) }));
  });

  private readonly limit = this.RULE("limit", (): Clause => {
    const first = this.CONSUME(K.Limit);
    return this.OR([
      {
        ALT: () => {
          this.CONSUME(K.Name);
          const name = this.word();
          return this.ACTION((): Clause => ({ kind: "limit", name: nameOf(name), span: spanOfTokens(first, name) }));
        },
      },
      {
        ALT: () => {
          const rate = this.SUBRULE(this.rate);
          return this.ACTION((): Clause => ({ kind: "rate", rate, span: { start: start(first), end: rate.span.end } }));
        },
      },
    ]);
  });

  /** `rate [over] 10/second`, `rate 10 mbytes/second burst 5 packets` */
  readonly rate = this.RULE("rate", (): Rate => {
    const first = this.CONSUME(K.Rate);
    let over = false;
    this.OPTION(() => {
      this.CONSUME(K.Over);
      over = true;
    });
    const words = [this.word()];
    this.OPTION1({ GATE: () => BYTE_RATE.test(this.LA(1).image), DEF: () => words.push(this.word(1)) });
    const burst: IToken[] = [];
    this.OPTION2(() => {
      this.CONSUME(K.Burst);
      burst.push(this.word(2));
      this.OPTION3({
        GATE: () => BURST_UNITS.has(this.LA(1).image),
        DEF: () => burst.push(this.word(3)),
      });
    });
    const last = this.LA(0);
    return this.ACTION(() => rateOf(over, words, burst, spanOfTokens(first, last)));
  });

  /** `log prefix "x" level info`, `log group 2 snaplen 33 queue-threshold 10`, `log flags tcp sequence,options` */
  private readonly log = this.RULE("log", (): Clause => {
    const first = this.CONSUME(K.Log);
    let prefix: IToken | undefined;
    let level: IToken | undefined;
    const options: Ast.Name[] = [];
    const option = (word: IToken, value: IToken): void => {
      this.ACTION(() => options.push(nameOf(word), nameOf(value)));
    };
    this.MANY(() => {
      this.OR([
        { ALT: () => option(this.CONSUME(K.Group), this.word(2)) },
        { ALT: () => option(this.CONSUME(K.Snaplen), this.word(3)) },
        { ALT: () => option(this.CONSUME(K.QueueThreshold), this.word(4)) },
        {
          ALT: () => {
            const word = this.CONSUME(K.Flags);
            option(word, this.word(5));
            this.OPTION({
              GATE: () => LOG_FLAG_OPTIONS.has(this.LA(1).image),
              DEF: () => {
                const parts = [this.word(6)];
                this.MANY1(() => {
                  this.CONSUME(P.Comma);
                  parts.push(this.word(7));
                });
                this.ACTION(() => options.push(joinedName(parts)));
              },
            });
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Prefix);
            prefix = this.word();
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Level);
            level = this.word(1);
          },
        },
      ]);
    });
    const last = this.LA(0);
    return this.ACTION(
      (): Clause => ({
        kind: "log",
        ...(prefix === undefined ? {} : { prefix: nameOf(prefix) }),
        ...(level === undefined ? {} : { level: nameOf(level) }),
        ...(options.length === 0 ? {} : { options }),
        span: spanOfTokens(first, last),
      }),
    );
  });

  /** `reject [with icmp [type] WORD | with tcp reset]` */
  private readonly reject = this.RULE("reject", (): Clause => {
    const first = this.CONSUME(K.Reject);
    const words: IToken[] = [];
    this.OPTION(() => {
      this.CONSUME(K.With);
      words.push(this.word());
      this.OPTION1(() => this.CONSUME(K.Type));
      words.push(this.word(1));
    });
    const last = this.LA(0);
    return this.ACTION(
      (): Clause => ({
        kind: "reject",
        ...(words.length === 0 ? {} : { with: words.map(nameOf) }),
        span: spanOfTokens(first, last),
      }),
    );
  });

  /** `dup to "eth1"`, `fwd to "eth1"`, `REDIRECT eth1`, `redirect eth1`, `REDIRECT iif map @ports` */
  private readonly send = this.RULE("send", (): Clause => {
    const first = this.OR([
      { ALT: () => this.CONSUME(K.Dup) },
      { ALT: () => this.CONSUME(K.Fwd) },
      { ALT: () => this.CONSUME(K.Redirect) },
      { ALT: () => this.CONSUME(K.RedirectWord) },
    ]);
    this.OPTION(() => this.CONSUME(K.To));
    const to = this.SUBRULE(this.assigned);
    return this.ACTION(
      (): Clause => ({
        kind: "send",
        how: first.image.toLowerCase() as "dup",
        to,
        span: { start: start(first), end: to.span.end },
      }),
    );
  });

  /** What a field is set to: a field is read, anything else is a constant. */
  private readonly assigned: () => Term = this.RULE("assigned", (): Term => {
    let term = this.OR({
      DEF: [{ ALT: () => this.SUBRULE(this.lhs) }, { ALT: () => this.SUBRULE(this.constants) }],
      IGNORE_AMBIGUITIES: true,
    });
    this.OPTION(() => {
      this.CONSUME(K.Map);
      const map = this.SUBRULE(this.mapping);
      term = this.ACTION(() => ({ kind: "map", key: term, map, span: across(term, map) }));
    });
    // `meta priority set 1:2`
    this.OPTION1(() => {
      this.CONSUME(Colon);
      const minor = this.word();
      term = this.ACTION(() => classOf(term, minor));
    });
    return term;
  });

  private readonly fieldClause = this.RULE("fieldClause", (): Clause => {
    const left = this.SUBRULE(this.lhs);
    return this.OR({
      DEF: [
        {
          ALT: () => {
            this.CONSUME(K.Set);
            const value = this.SUBRULE(this.assigned);
            return this.ACTION((): Clause => ({ kind: "assign", target: left, value, span: across(left, value) }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Vmap);
            const map = this.SUBRULE(this.mapping);
            return this.ACTION((): Clause => ({ kind: "vmap", key: left, map, span: across(left, map) }));
          },
        },
        {
          ALT: () => {
            const sign = this.OR1([...OPERATORS.keys()].map((type) => ({ ALT: () => this.CONSUME(type) })));
            const op = this.ACTION(() => OPERATORS.get(sign.tokenType)!);
            const right = this.SUBRULE(this.rhs);
            return this.ACTION((): Clause => ({ kind: "match", left, op, right, span: across(left, right) }));
          },
        },
        {
          ALT: () => {
            const right = this.SUBRULE1(this.rhs);
            return this.ACTION((): Clause => ({ kind: "match", left, op: null, right, span: across(left, right) }));
          },
        },
      ],
      IGNORE_AMBIGUITIES: true,
    });
  });

  private readonly comment = this.RULE("comment", (): RulePart => {
    this.CONSUME(K.Comment);
    const text = this.word();
    return this.ACTION((): RulePart => ({ kind: "comment", comment: nameOf(text) }));
  });

  readonly rule = this.RULE("rule", (): RulePart[] => {
    const parts: RulePart[] = [];
    const alternatives = [this.verdict, this.counter, this.limit, this.log, this.reject, this.send, this.comment];
    this.AT_LEAST_ONE(() => {
      const part = this.OR([
        ...alternatives.map((rule) => ({ ALT: () => this.SUBRULE(rule as () => RulePart) })),
        { ALT: () => this.SUBRULE(this.fieldClause) },
      ]);
      parts.push(part);
    });
    return parts;
  });

  // Lines of blocks.

  /** `type filter hook forward device eth0 priority filter + 10` */
  private readonly base = this.RULE("base", (): BaseChain => {
    const first = this.CONSUME(K.Type);
    const type = this.word();
    this.CONSUME(K.Hook);
    const hook = this.word(1);
    const devices: IToken[] = [];
    this.OPTION(() => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(K.Device);
            devices.push(this.word(2));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Devices);
            this.OPTION1(() => this.CONSUME(P.Equals));
            this.CONSUME(P.LBrace);
            devices.push(this.word(3));
            this.MANY1(() => {
              this.CONSUME(P.Comma);
              devices.push(this.word(5));
            });
            this.CONSUME(P.RBrace);
          },
        },
      ]);
    });
    this.CONSUME(K.Priority);
    const words: IToken[] = [];
    this.MANY(() => words.push(this.OR1([{ ALT: () => this.word(4) }, { ALT: () => this.CONSUME(P.Dash) }])));
    const last = this.LA(0);
    return this.ACTION(() => ({
      type: nameOf(type),
      hook: nameOf(hook),
      devices: devices.map(nameOf),
      priority: {
        value: words.map(wordOf).join(" "),
        span: words.length === 0 ? spanOfTokens(last) : spanOfTokens(words[0], last),
      },
      span: spanOfTokens(first, last),
    }));
  });

  readonly chainProperty = this.RULE(
    "chainProperty",
    (): Property =>
      this.OR([
        {
          ALT: () => {
            const base = this.SUBRULE(this.base);
            return this.ACTION((): Property => ({ kind: "base", base }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Policy);
            const policy = this.word(5);
            return this.ACTION((): Property => ({ kind: "policy", policy: nameOf(policy) }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Comment);
            this.word(6);
            return this.ACTION((): Property => ({ kind: "comment" }));
          },
        },
      ]),
  );

  private readonly types = this.RULE("types", (): Ast.Name[] => {
    const types = [this.word()];
    this.MANY(() => {
      this.CONSUME(P.Dot);
      types.push(this.word(1));
    });
    return this.ACTION(() => types.map(nameOf));
  });

  readonly setProperty = this.RULE(
    "setProperty",
    (): Property =>
      this.OR([
        {
          ALT: () => {
            this.CONSUME(K.Type);
            const key = this.SUBRULE(this.types);
            let value: Ast.Name[] | null = null;
            this.OPTION(() => {
              this.CONSUME(Colon);
              value = this.SUBRULE1(this.types);
            });
            return this.ACTION((): Property => ({ kind: "type", key, value }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Typeof);
            const key = this.SUBRULE(this.lhs);
            let value: Term | null = null;
            this.OPTION1(() => {
              this.CONSUME1(Colon);
              value = this.OR1({
                DEF: [{ ALT: () => this.SUBRULE1(this.lhs) }, { ALT: () => this.SUBRULE(this.constant) }],
                IGNORE_AMBIGUITIES: true,
              });
            });
            return this.ACTION((): Property => ({ kind: "typeof", key, value }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Flags);
            const flags = [this.word()];
            this.MANY(() => {
              this.CONSUME(P.Comma);
              flags.push(this.word(1));
            });
            return this.ACTION((): Property => ({ kind: "flags", flags: flags.map(nameOf) }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Size);
            const size = this.word(2);
            return { kind: "size", size };
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.AutoMerge);
            return { kind: "auto-merge" };
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Kind);
            const storage = this.word(3);
            return this.ACTION((): Property => ({ kind: "storage", storage: nameOf(storage) }));
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Elements);
            this.OPTION2(() => this.CONSUME(P.Equals));
            const { elements } = this.SUBRULE(this.set);
            return { kind: "elements", elements };
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Comment);
            this.word(4);
            return { kind: "comment" };
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

function classOf(major: Term, minor: IToken): Term {
  const text = `${major.kind === "word" ? major.text : ""}:${wordOf(minor)}`;
  return { kind: "word", text, quoted: false, span: across(major, { span: spanOfTokens(minor) }) };
}

/** Counts are as nft prints them; what is no number counts from 0. */
const bigOf = (token: IToken): Ast.Spanned<bigint> => ({
  value: /^\d+$/.test(token.image) ? BigInt(token.image) : 0n,
  span: spanOfTokens(token),
});

/** What stands behind `log flags tcp` and `log flags ip`. */
const LOG_FLAG_OPTIONS: ReadonlySet<string> = new Set(["sequence", "options"]);
const joinedName = (tokens: readonly IToken[]): Ast.Name => ({
  value: tokens.map(wordOf).join(","),
  span: spanOfTokens(tokens[0], tokens.at(-1)!),
});

const BYTE_RATE = /^[kmg]?bytes\//;
const BURST_UNITS: ReadonlySet<string> = new Set(["packets", "bytes", "kbytes", "mbytes"]);

/** `10/second`, or `10` and `mbytes/second`. */
function rateOf(over: boolean, words: readonly IToken[], burst: readonly IToken[], span: Span): Rate {
  const [amount, ...rest] = words.flatMap((word) => word.image.split("/"));
  const [unit, per] = words.length === 1 ? [undefined, rest[0]] : rest;
  const last = spanOfTokens(words.at(-1)!);
  return {
    over,
    amount: { value: /^\d+$/.test(amount) ? BigInt(amount) : 0n, span: spanOfTokens(words[0]) },
    ...(unit === undefined ? {} : { unit: { value: unit, span: last } }),
    per: { value: per ?? "", span: last },
    ...(burst.length === 0
      ? {}
      : {
          burst: {
            amount: { value: Number(burst[0].image), span: spanOfTokens(burst[0]) },
            ...(burst[1] === undefined ? {} : { unit: nameOf(burst[1]) }),
          },
        }),
    span,
  };
}

let instance: NftParser | undefined;
/** The one parser, made when it is first needed. */
export const nftParser = (): NftParser => (instance ??= new NftParser());
