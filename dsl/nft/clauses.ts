/**
 * Clauses of a rule: what it tests, counts, changes and decides.
 *
 *   rule       = { clause }
 *   clause     = verdict | counter | limit | log | reject | send | comment | fieldClause
 *   fieldClause= lhs ( "set" value | "vmap" mapping | [op] rhs )
 *   value      = ( lhs | constants ) [ "map" mapping ]
 */
import type { IToken, TokenType } from "chevrotain";
import type * as Ast from "../ast.ts";
import type { Clause, CounterClause, Operator, Rate, Term } from "../chain-ast.ts";
import { EOF, tokenMatcher } from "../chevrotain.ts";
import type { Span } from "../span.ts";
import { across, nameOf, spanOfTokens, start, TermParser } from "./terms.ts";
import { ByteRate, Digits, K, MetaWord, P, PacketRate, Protocol, Raw, Verdict, wordOf } from "./tokens.ts";

const OPERATORS: ReadonlyMap<TokenType, Operator> = new Map<TokenType, Operator>([
  [P.Equal, "=="],
  [P.NotEqual, "!="],
  [P.Not, "!"],
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

type Counts = Pick<Extract<Clause, { kind: "counter" }>, "packets" | "bytes">;

/** A clause, or the `comment "..."` that ends a rule. */
export type RulePart = Clause | { readonly kind: "comment"; readonly comment: Ast.Spanned<string> };

export abstract class RuleParser extends TermParser {
  protected readonly counter = this.RULE("counter", (): Clause => {
    const first = this.CONSUME(K.Counter);
    let counts: Counts = {};
    let name: IToken | undefined;
    let of: CounterClause["of"];
    this.OPTION(() => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(K.Name);
            let isMapped = false;
            this.ACTION(() => {
              isMapped = this.isMapped();
            });
            this.OPTION1({ GATE: () => isMapped, DEF: () => (of = this.SUBRULE(this.mapped)) });
            if (!isMapped) name = this.word();
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
        ...(of === undefined ? {} : { of }),
        ...counts,
        span: spanOfTokens(first, last),
      }),
    );
  });

  /** `tcp dport map @hits` */
  protected readonly mapped = this.RULE("mapped", (): Extract<Term, { kind: "map" }> => {
    const key = this.SUBRULE(this.lhs);
    this.CONSUME(K.Map);
    const map = this.SUBRULE(this.mapping);
    return this.ACTION(() => ({ kind: "map", key, map, span: across(key, map) }));
  });

  /** A field and then `map`, not the name of a counter: that may be spelled as a field begins. */
  private isMapped(): boolean {
    if (![Protocol, MetaWord, Raw, P.LParen, K.Meta, K.Ct, K.Fib].some((type) => tokenMatcher(this.LA(1), type)))
      return false;
    for (let i = 2; this.LA(i).tokenType !== EOF && !tokenMatcher(this.LA(i), Verdict); i++)
      if (this.LA(i).tokenType === K.Map) return true;
    return false;
  }

  /** `packets 5 bytes 300`, in any order; what is not said is 0, and the last one counts, as nft has it. */
  readonly counts = this.RULE("counts", (): Counts => {
    let packets: IToken | undefined;
    let bytes: IToken | undefined;
    this.AT_LEAST_ONE(() => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(K.Packets);
            packets = this.CONSUME(Digits);
          },
        },
        {
          ALT: () => {
            this.CONSUME(K.Bytes);
            bytes = this.CONSUME1(Digits);
          },
        },
      ]);
    });
    return this.ACTION(() => ({
      ...(packets === undefined ? {} : { packets: bigOf(packets) }),
      ...(bytes === undefined ? {} : { bytes: bigOf(bytes) }),
    }));
  });

  protected readonly limit = this.RULE("limit", (): Clause => {
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
    const words: IToken[] = [];
    this.OR([
      { ALT: () => words.push(this.CONSUME(PacketRate)) },
      { ALT: () => words.push(this.CONSUME(Digits), this.CONSUME(ByteRate)) },
    ]);
    const burst: IToken[] = [];
    this.OPTION2(() => {
      this.CONSUME(K.Burst);
      burst.push(this.CONSUME1(Digits));
      this.OPTION3({
        GATE: () => BURST_UNITS.has(this.LA(1).image),
        DEF: () => burst.push(this.word()),
      });
    });
    const last = this.LA(0);
    return this.ACTION(() => rateOf(over, words, burst, spanOfTokens(first, last)));
  });

  /** `log prefix "x" level info`, `log group 2 snaplen 33 queue-threshold 10`, `log flags tcp sequence,options` */
  protected readonly log = this.RULE("log", (): Clause => {
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
  protected readonly reject = this.RULE("reject", (): Clause => {
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
  protected readonly send = this.RULE("send", (): Clause => {
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
  protected readonly assigned: () => Term = this.RULE("assigned", (): Term => {
    let term = this.OR({
      DEF: [{ ALT: () => this.SUBRULE(this.lhs) }, { ALT: () => this.SUBRULE(this.constants) }],
      IGNORE_AMBIGUITIES: true,
    });
    this.OPTION(() => {
      this.CONSUME(K.Map);
      const map = this.SUBRULE(this.mapping);
      term = this.ACTION(() => ({ kind: "map", key: term, map, span: across(term, map) }));
    });
    return term;
  });

  protected readonly fieldClause = this.RULE("fieldClause", (): Clause => {
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

  protected readonly comment = this.RULE("comment", (): RulePart => {
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
}

const bigOf = (token: IToken): Ast.Spanned<bigint> => ({ value: BigInt(token.image), span: spanOfTokens(token) });

/** What stands behind `log flags tcp` and `log flags ip`. */
const LOG_FLAG_OPTIONS: ReadonlySet<string> = new Set(["sequence", "options"]);
const joinedName = (tokens: readonly IToken[]): Ast.Name => ({
  value: tokens.map(wordOf).join(","),
  span: spanOfTokens(tokens[0], tokens.at(-1)!),
});

const BURST_UNITS: ReadonlySet<string> = new Set(["packets", "bytes", "kbytes", "mbytes"]);

/** `10/second`, or `10` and `mbytes/second`. */
function rateOf(over: boolean, words: readonly IToken[], burst: readonly IToken[], span: Span): Rate {
  const [amount, ...rest] = words.flatMap((word) => word.image.split("/").map((part) => part.trim()));
  const [unit, per] = words.length === 1 ? [undefined, rest[0]] : rest;
  const last = spanOfTokens(words.at(-1)!);
  return {
    over,
    amount: { value: BigInt(amount), span: spanOfTokens(words[0]) },
    ...(unit === undefined ? {} : { unit: { value: unit, span: last } }),
    per: { value: per ?? "", span: last },
    ...(burst.length === 0
      ? {}
      : {
          burst: {
            amount: bigOf(burst[0]),
            ...(burst[1] === undefined ? {} : { unit: nameOf(burst[1]) }),
          },
        }),
    span,
  };
}
