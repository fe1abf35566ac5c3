/**
 * The grammar of one statement of nftables' language: a rule (clauses.ts, of terms.ts), or a line of the block of a chain, set or
 * counter, which stand here. What holds statements together, blocks, is read by dsl/nft/reader.ts; so a mistake never reaches beyond its
 * statement, and the parser needs no recovery.
 */
import type { IToken } from "chevrotain";
import type * as Ast from "../ast.ts";
import type { BaseChain, Element, Term } from "../chain-ast.ts";
import { RuleParser } from "./clauses.ts";
import { nameOf, spanOfTokens } from "./terms.ts";
import { Colon, Digits, K, P, wordOf } from "./tokens.ts";

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
  | { readonly kind: "elements"; readonly elements: readonly Element[] };

export class NftParser extends RuleParser {
  constructor() {
    super();
    this.performSelfAnalysis();
  }

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
            const size = this.CONSUME(Digits);
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
      ]),
  );
}

let instance: NftParser | undefined;
/** The one parser, made when it is first needed. */
export const nftParser = (): NftParser => (instance ??= new NftParser());
