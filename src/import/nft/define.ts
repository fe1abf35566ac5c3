/**
 * `define NAME = VALUE` and `$NAME` of a rule set, done as nft does them: the value stands wherever the name does. A set
 * between braces in a set between braces is no set of its own.
 *
 *   define WEB = { 80, 443 }
 *   tcp dport { 22, $WEB }        tcp dport { 22, 80, 443 }
 *
 * A name is known to the end of the block it is defined in. Its value's tokens stand at the place of the `$NAME`.
 */
import { spanOfTokens } from "../../../dsl/nft/terms.ts";
import { type NftToken, type NftTokens, P, Separator, Variable } from "../../../dsl/nft/tokens.ts";
import type { Span } from "../../../dsl/span.ts";

/** Most tokens that a rule set may become: names of names of names are longer than they look. */
const TOKENS_MAX = 1 << 20;

const DEFINING: ReadonlySet<string> = new Set(["define", "redefine"]);

/** The tokens without definitions and names. `refuse` is told of names that are not known. */
export function expandDefines(tokens: NftTokens, refuse: (span: Span, kernel: string) => void): NftTokens {
  if (!tokens.all.some((token) => token.tokenType === Variable || DEFINING.has(token.image))) return tokens;
  const all = new Expansion(tokens.all, refuse).run();
  for (const [index, token] of all.entries()) token.payload = { ...token.payload, index };
  return { ...tokens, all };
}

class Expansion {
  private readonly from: readonly NftToken[];
  private readonly refuse: (span: Span, kernel: string) => void;
  private readonly out: NftToken[] = [];
  private readonly scopes: Map<string, readonly NftToken[]>[] = [new Map()];
  private length = 0;

  constructor(from: readonly NftToken[], refuse: (span: Span, kernel: string) => void) {
    this.from = from;
    this.refuse = refuse;
  }

  run(): NftToken[] {
    for (let i = 0; i < this.from.length; ) i = this.startsStatement(i) ? this.statement(i) : this.token(i, this.out);
    return this.out;
  }

  private startsStatement(i: number): boolean {
    const before = this.from[i - 1]?.tokenType;
    return before === undefined || before === Separator || before === P.LBrace || before === P.RBrace;
  }

  private statement(i: number): number {
    const [word, name, equals] = this.from.slice(i, i + 3);
    if (DEFINING.has(word.image) && equals?.tokenType === P.Equals) return this.define(name.image, i + 3);
    if (word.image !== "undefine" || name === undefined) return this.token(i, this.out);
    for (const scope of this.scopes) scope.delete(name.image);
    return i + 2;
  }

  /** The value goes to the end of the line, or to the brace that ends its set. */
  private define(name: string, from: number): number {
    const value: NftToken[] = [];
    let i = from;
    for (let depth = 0; i < this.from.length; ) {
      const { tokenType } = this.from[i];
      if (depth === 0 && (tokenType === Separator || tokenType === P.RBrace)) break;
      if (tokenType === P.LBrace) depth++;
      else if (tokenType === P.RBrace) depth--;
      if (tokenType === Variable) this.use(this.from[i], value);
      else if (tokenType !== Separator) value.push(this.from[i]);
      i++;
    }
    this.scopes.at(-1)!.set(name, value);
    return i;
  }

  private token(i: number, out: NftToken[]): number {
    const token = this.from[i];
    if (token.tokenType === P.LBrace) this.scopes.push(new Map());
    else if (token.tokenType === P.RBrace && this.scopes.length > 1) this.scopes.pop();
    if (token.tokenType === Variable) this.use(token, out);
    else out.push(token);
    return i + 1;
  }

  private use(token: NftToken, out: NftToken[]): void {
    const name = token.image.slice(1);
    const value = this.scopes.findLast((scope) => scope.has(name))?.get(name);
    const span = spanOfTokens(token);
    if (value === undefined) {
      this.refuse(span, `unknown identifier '${name}'`);
      out.push(token);
      return;
    }
    const before = out.at(-1)?.tokenType;
    const isInSet = before === P.LBrace || before === P.Comma;
    const meant = isInSet && value[0]?.tokenType === P.LBrace ? value.slice(1, -1) : value;
    const room = TOKENS_MAX - this.length;
    if (meant.length > room) {
      if (room > 0) this.refuse(span, "the definitions are too long");
      this.length = TOKENS_MAX;
      return;
    }
    this.length += meant.length;
    for (const one of meant)
      out.push({ ...one, startOffset: span.start, endOffset: span.end - 1, payload: { ...one.payload } });
  }
}
