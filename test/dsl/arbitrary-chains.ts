/** Random chains, sets, maps and programs, as the parser gives them: bare words where a word needs no quotes. */
import fc from "fast-check";
import type { Name, Spanned } from "../../dsl/ast.ts";
import type * as Nft from "../../dsl/chain-ast.ts";
import { NO_SPAN } from "../../dsl/span.ts";

const span = fc.constant(NO_SPAN);
const kind = <K extends string>(value: K) => fc.constant(value);
const said = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Spanned<T>> => value.map((v) => ({ value: v, span: NO_SPAN }));
const oneOf = (...words: string[]): fc.Arbitrary<Name> => said(fc.constantFrom(...words));
const maybe = <T>(required: object, optional: object): fc.Arbitrary<T> =>
  fc.record({ ...required, ...optional } as never, { requiredKeys: Object.keys(required) as never }) as fc.Arbitrary<T>;

const name = oneOf("input0", "web", "to-red", "a b", "and", "10", "x.y");
const setName = fc.constantFrom("s4", "bad_hosts", "m.1");
const u32 = fc.nat(0xffffffff);

// Terms.

const word: fc.Arbitrary<Nft.Term> = fc.oneof(
  fc.record({
    kind: kind("word"),
    text: fc.constantFrom("22", "http", "0x1f", "10.0.0.0/8", "::1", "2001:db8::/32", "1-5", "syn", "time-exceeded"),
    quoted: fc.constant(false),
    span,
  }),
  fc.record({ kind: kind("word"), text: fc.constantFrom("", "eth*", "a b", "drop"), quoted: fc.constant(true), span }),
);
const field: fc.Arbitrary<Nft.Term> = fc.oneof(
  fc.record({
    kind: kind("field"),
    words: fc.constantFrom(
      ...[
        ["ip", "saddr"],
        ["ip6", "daddr"],
        ["tcp", "dport"],
        ["tcp", "flags"],
        ["meta", "mark"],
        ["ct", "state"],
      ],
      ...[
        ["meta", "iifname"],
        ["meta", "l4proto"],
        ["exthdr", "frag"],
        ["tcp", "option", "maxseg", "size"],
      ],
    ),
    span,
  }),
  fc.record({
    kind: kind("raw"),
    base: fc.constantFrom("ll", "nh", "th", "ih"),
    offset: fc.nat(99),
    bits: fc.nat(64),
    span,
  }),
  fc.record({
    kind: kind("fib"),
    flags: fc.constantFrom(["daddr"], ["saddr", "iif"], ["saddr", "mark", "oif"]),
    result: fc.constantFrom("type", "oif"),
    span,
  }),
);
const several = <T>(part: fc.Arbitrary<T>) => fc.array(part, { minLength: 2, maxLength: 3 });
const operator = fc.constantFrom<Nft.BinaryOp>("&", "|", "^", "<<", ">>");
const binary = (left: fc.Arbitrary<Nft.Term>): fc.Arbitrary<Nft.Term> => {
  const flat = fc.record({ kind: kind("binary"), op: operator, left, right: word, span });
  return fc.record({
    kind: kind("binary"),
    op: operator,
    left: fc.oneof(left, flat),
    right: fc.oneof(word, sum),
    span,
  });
};
const sum: fc.Arbitrary<Nft.Term> = fc.record({ kind: kind("binary"), op: operator, left: word, right: word, span });
const range: fc.Arbitrary<Nft.Term> = fc.record({ kind: kind("range"), first: word, last: word, span });
const concat = (part: fc.Arbitrary<Nft.Term>): fc.Arbitrary<Nft.Term> =>
  fc.record({ kind: kind("concat"), parts: several(part), span });
const constant = fc.oneof(word, range, concat(word), binary(word));
const list: fc.Arbitrary<Nft.Term> = fc.record({ kind: kind("list"), parts: several(word), span });
const masked: fc.Arbitrary<Nft.Term> = fc.record({
  ...{ kind: kind("binary"), op: fc.constant<Nft.BinaryOp>("/") },
  ...{ left: fc.oneof(word, list), right: fc.oneof(word, list), span },
});

const verdict = fc.oneof(
  fc.record({ kind: kind("verdict"), word: oneOf("accept", "drop", "return", "continue", "PASS", "SHOT"), span }),
  fc.record({ kind: kind("verdict"), word: oneOf("jump", "goto"), chain: name, span }),
);
const element: fc.Arbitrary<Nft.Element> = maybe(
  { key: constant },
  { value: fc.oneof(word, verdict), comment: fc.constantFrom("why", "") },
);
const set: fc.Arbitrary<Nft.Term> = fc.record({
  kind: kind("set"),
  elements: fc.array(element, { maxLength: 3 }),
  span,
});
const mapping: fc.Arbitrary<Nft.Term> = fc.oneof(set, fc.record({ kind: kind("ref"), name: setName, span }));
const key = fc.oneof(field, binary(field), concat(field));

// Rules.

const rate: fc.Arbitrary<Nft.Rate> = maybe(
  { over: fc.boolean(), amount: said(fc.bigInt(0n, 10n ** 12n)), per: oneOf("second", "minute", "week"), span },
  {
    unit: oneOf("bytes", "kbytes", "mbytes"),
    burst: maybe({ amount: said(fc.bigInt(0n, 2n ** 33n)) }, { unit: oneOf("packets", "bytes", "mbytes") }),
  },
);
const counts = { packets: said(fc.bigInt(0n, 2n ** 64n)), bytes: said(fc.bigInt(0n, 2n ** 64n)) };
const option = fc.constantFrom(
  ["group", "2"],
  ["snaplen", "33"],
  ["flags", "all"],
  ["flags", "tcp", "sequence,options"],
);
const options = option.map((words) => words.map((value) => ({ value, span: NO_SPAN })));
const to = fc.oneof(word, field);
const clause: fc.Arbitrary<Nft.Clause> = fc.oneof(
  fc.record({
    ...{ kind: kind("match"), left: key, right: fc.oneof(constant, list, masked, mapping), span },
    op: fc.option(fc.constantFrom<Nft.Operator>("==", "!=", "<", "<=", ">", ">=")),
  }),
  fc.record({ kind: kind("vmap"), key, map: mapping, span }),
  fc.record({
    ...{ kind: kind("assign"), target: field, span },
    value: fc.oneof(word, field, fc.record({ kind: kind("map"), key, map: mapping, span })),
  }),
  verdict,
  fc.record({ kind: kind("counter"), span }),
  fc.record({ kind: kind("counter"), name, span }),
  fc.record({ kind: kind("counter"), of: fc.record({ kind: kind("map"), key: field, map: mapping, span }), span }),
  fc.record({ kind: kind("counter"), ...counts, span }),
  fc.record({ kind: kind("limit"), name, span }),
  fc.record({ kind: kind("rate"), rate, span }),
  maybe<Nft.Clause>({ kind: kind("log"), span }, { prefix: oneOf("x: ", ""), level: oneOf("info", "debug"), options }),
  maybe<Nft.Clause>(
    { kind: kind("reject"), span },
    { with: fc.tuple(oneOf("icmp", "icmpx"), oneOf("host-unreachable", "3")) },
  ),
  fc.record({
    kind: kind("send"),
    how: fc.constantFrom("dup" as const, "fwd" as const, "redirect" as const),
    to,
    span,
  }),
);
const filterRule: fc.Arbitrary<Nft.FilterRule> = maybe(
  { kind: kind("filter rule"), span, clauses: fc.array(clause, { minLength: 1, maxLength: 4 }) },
  { comment: oneOf("all of them", "") },
);
const rules = fc.array(filterRule, { maxLength: 3 });

// Blocks.

const base: fc.Arbitrary<Nft.BaseChain> = fc.record({
  ...{ type: oneOf("filter", "route"), hook: oneOf("input", "ingress"), span },
  devices: fc.array(name, { maxLength: 2 }),
  priority: oneOf("0", "-150", "filter", "filter + 10", "raw - 5"),
});
const policy = oneOf("accept", "drop");
const chain: fc.Arbitrary<Nft.Chain> = maybe({ kind: kind("chain"), span, name, rules }, { base, policy });

const types = fc.record({ types: fc.array(oneOf("ipv4_addr", "mark", "verdict"), { minLength: 1, maxLength: 2 }) });
const typed = fc.oneof(types, fc.record({ typeOf: fc.oneof(field, concat(field)) }));
const setDecl: fc.Arbitrary<Nft.SetDecl> = fc
  .tuple(
    maybe<Nft.SetDecl>(
      {
        ...{
          kind: fc.constantFrom("set", "map"),
          span,
          name,
          flags: fc.array(oneOf("interval", "constant"), { maxLength: 2 }),
        },
        elements: fc.array(element, { maxLength: 4 }),
      },
      { autoMerge: fc.constant(true), storage: oneOf("hash", "lpm_trie"), size: said(u32) },
    ),
    fc.oneof(
      fc.record({ key: fc.constant(null), value: fc.constant(null) }),
      fc.record({ key: types, value: fc.option(types) }),
      fc.record({ key: typed.filter((one) => "typeOf" in one), value: fc.option(fc.record({ typeOf: field })) }),
    ),
  )
  .map(([rest, both]) => ({ ...rest, ...both }) as Nft.SetDecl);
const counter: fc.Arbitrary<Nft.CounterDecl> = fc.record({
  ...{ kind: kind("counter"), span, name },
  ...counts,
});
const limit: fc.Arbitrary<Nft.LimitDecl> = fc.record({ kind: kind("limit"), span, name, rate: fc.option(rate) });
const program: fc.Arbitrary<Nft.Program> = maybe(
  { kind: kind("program"), span, name, hook: oneOf("xdp", "tc ingress", "tc egress"), device: name, rules },
  { policy: oneOf("DROP", "OK"), priority: oneOf("1", "65535") },
);
const tableItem: fc.Arbitrary<Nft.TableItem> = fc.oneof(chain, setDecl, counter, limit);
const table: fc.Arbitrary<Nft.FilterTable> = fc.record({
  ...{ kind: kind("filter table"), span, family: oneOf("ip", "inet", "netdev"), name },
  items: fc.array(tableItem, { maxLength: 3 }),
});
export const filterItem: fc.Arbitrary<Nft.FilterItem> = fc.oneof(tableItem, table, program);
