/**
 * Chains, sets, maps and programs as they are written, in nftables' words: fields are words, constants are text, nothing
 * has a type yet. What a constant means depends on what it is compared with, which the checker finds out.
 *
 *   FilterItem = filter table | chain | set | map | counter | limit | program
 *   Rule       = { Clause }
 *   Clause     = match | vmap | assign | verdict | counter | limit | log | reject | send
 *   Term       = field | raw | fib | word | range | list | concat | binary | set | ref | map
 */
import type { Name, Node, Spanned } from "./ast.ts";
import type { Span } from "./span.ts";

export type FilterItem = FilterTable | TableItem | Program;
export type TableItem = Chain | SetDecl | CounterDecl | LimitDecl;

type Tail = { readonly tail?: readonly (string | null)[] };

/** `table inet NAME { chain ... }` */
export interface FilterTable extends Node, Tail {
  readonly kind: "filter table";
  readonly family: Name;
  readonly name: Name;
  readonly items: readonly TableItem[];
}

/** `chain NAME { type filter hook forward priority 0; policy drop; RULES }` */
export interface Chain extends Node, Tail {
  readonly kind: "chain";
  readonly name: Name;
  readonly base?: BaseChain;
  readonly policy?: Name;
  readonly rules: readonly FilterRule[];
}

export interface BaseChain {
  readonly type: Name;
  readonly hook: Name;
  readonly devices: readonly Name[];
  /** A number, a name, or a name and an offset: `filter`, `-150`, `filter + 10`. */
  readonly priority: Spanned<string>;
  readonly span: Span;
}

/** `set NAME { type ipv4_addr; flags interval; elements = { ... } }`, `map NAME { type ipv4_addr : mark; ... }` */
export interface SetDecl extends Node, Tail {
  readonly kind: "set" | "map";
  readonly name: Name;
  /** `type A . B`, or `typeof ip saddr . tcp dport`. */
  readonly key: { readonly types: readonly Name[] } | { readonly typeOf: Term } | null;
  /** For maps: behind the `:`. */
  readonly value: { readonly types: readonly Name[] } | { readonly typeOf: Term } | null;
  readonly flags: readonly Name[];
  /** `auto-merge`: elements that overlap become one. */
  readonly autoMerge?: true;
  readonly storage?: Name;
  readonly size?: Spanned<number>;
  readonly elements: readonly Element[];
}

/** `counter NAME { packets 0 bytes 0 }` */
export interface CounterDecl extends Node, Tail {
  readonly kind: "counter";
  readonly name: Name;
  readonly packets: Spanned<bigint> | null;
  readonly bytes: Spanned<bigint> | null;
}

/** `limit NAME { rate 10/second }` */
export interface LimitDecl extends Node, Tail {
  readonly kind: "limit";
  readonly name: Name;
  readonly rate: Rate | null;
}

/** `program NAME on xdp DEV { RULES }`, `on tc ingress DEV`, `on tc egress DEV priority 10` */
export interface Program extends Node, Tail {
  readonly kind: "program";
  readonly name: Name;
  /** "xdp", "tc ingress" or "tc egress". */
  readonly hook: Name;
  readonly device: Name;
  readonly priority?: Name;
  readonly policy?: Name;
  readonly rules: readonly FilterRule[];
}

export interface FilterRule extends Node {
  readonly kind: "filter rule";
  readonly clauses: readonly Clause[];
  readonly comment?: Spanned<string>;
}

/** `!`: none of these bits is set. */
export type Operator = "==" | "!=" | "!" | "<" | "<=" | ">" | ">=";

export type Clause = {
  readonly span: Span;
} /** Without an operator: `in` for sets and ranges, "any bit" for flags, `==` otherwise. */ & (
  | { readonly kind: "match"; readonly left: Term; readonly op: Operator | null; readonly right: Term }
  | { readonly kind: "vmap"; readonly key: Term; readonly map: Term }
  /** `meta mark set 1`, `ip ttl set 5` */
  | { readonly kind: "assign"; readonly target: Term; readonly value: Term }
  | { readonly kind: "verdict"; readonly word: Name; readonly chain?: Name }
  | CounterClause
  | { readonly kind: "limit"; readonly name: Name }
  | { readonly kind: "rate"; readonly rate: Rate }
  | {
      readonly kind: "log";
      readonly prefix?: Spanned<string>;
      readonly level?: Name /** Words of nft that are only kept: `group 2`, `flags all`. */;
      readonly options?: readonly Name[];
    }
  | { readonly kind: "reject"; readonly with?: readonly Name[] }
  | { readonly kind: "send"; readonly how: "dup" | "fwd" | "redirect"; readonly to: Term }
);

export interface CounterClause {
  readonly kind: "counter";
  readonly name?: Name;
  /** `counter name tcp dport map @hits`: the counter that a map has for a key. */
  readonly of?: Extract<Term, { kind: "map" }>;
  readonly packets?: Spanned<bigint>;
  readonly bytes?: Spanned<bigint>;
}

/** `10/second`, `over 10 mbytes/second burst 5 mbytes` */
export interface Rate {
  readonly over: boolean;
  readonly amount: Spanned<bigint>;
  /** Absent: packets. */
  readonly unit?: Name;
  readonly per: Name;
  readonly burst?: { readonly amount: Spanned<bigint>; readonly unit?: Name };
  readonly span: Span;
}

export type Term = {
  readonly span: Span;
} /** `ip saddr`, `meta mark`, `iifname` (also said as `meta iifname`), `tcp option maxseg size`. */ & (
  | { readonly kind: "field"; readonly words: readonly string[] }
  /** `@th,16,16`: offset and length in bits. */
  | { readonly kind: "raw"; readonly base: string; readonly offset: number; readonly bits: number }
  /** `fib daddr . iif type` */
  | { readonly kind: "fib"; readonly flags: readonly string[]; readonly result: string }
  /** A constant; quoted or not. */
  | { readonly kind: "word"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "range"; readonly first: Term; readonly last: Term }
  /** `syn,ack` */
  | { readonly kind: "list"; readonly parts: readonly Term[] }
  | { readonly kind: "concat"; readonly parts: readonly Term[] }
  | { readonly kind: "binary"; readonly op: BinaryOp; readonly left: Term; readonly right: Term }
  | { readonly kind: "set"; readonly elements: readonly Element[] }
  | { readonly kind: "ref"; readonly name: string }
  | { readonly kind: "map"; readonly key: Term; readonly map: Term }
);
/** `/` is nft's `VALUE / MASK`: `tcp flags syn / syn,ack`. */
export type BinaryOp = "&" | "|" | "^" | "<<" | ">>" | "/";

export interface Element {
  readonly key: Term;
  readonly value?: Term | { readonly kind: "verdict"; readonly word: Name; readonly chain?: Name; readonly span: Span };
  readonly comment?: string;
}
