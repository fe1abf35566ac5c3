/**
 * Random syntax trees, in the form that the parser gives them: the first statement of a block has no blank line above, a
 * group of comments does not begin with one, and what contradicts itself (an IPv6 prefix after `inet`) does not occur.
 */
import fc from "fast-check";
import type * as Ast from "../../dsl/ast.ts";
import { NO_SPAN } from "../../dsl/span.ts";
import type { Ip, Prefix } from "../../runtime/net/ip.ts";

const spanned = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Ast.Spanned<T>> =>
  value.map((v) => ({ value: v, span: NO_SPAN }));
const maybe = <T extends object>(required: { [K in keyof T]: fc.Arbitrary<T[K]> }, optional: object): fc.Arbitrary<T> =>
  fc.record({ ...required, ...optional } as never, { requiredKeys: Object.keys(required) as never }) as fc.Arbitrary<T>;

// Words.

const plainName = fc.constantFrom(
  "vethr1",
  "eth0.100",
  "ns0",
  "br-lan",
  "100",
  "0x1f",
  "1000:",
  "lo",
  "2.2.2.2",
  "fe80::1",
);
const keywordName = fc.constantFrom(
  "vrf",
  "table",
  "route",
  "test",
  "via",
  "dev",
  "in",
  "all",
  "default",
  "{",
  "[l3mdev-table]",
);
const strangeName = fc.string({ unit: "binary", maxLength: 6 });
const name: fc.Arbitrary<Ast.Name> = spanned(fc.oneof(plainName, keywordName, strangeName));

const ipv4 = fc.nat(0xffffffff);
const ipv6 = fc.oneof(fc.bigInt(0n, 2n ** 128n - 1n), fc.constantFrom(0n, 1n, 0xffff_0a00_0001n, 2n ** 96n));
const ip: fc.Arbitrary<Ip> = fc.oneof(ipv4, ipv6);
const prefix4: fc.Arbitrary<Prefix> = fc.record({ address: ipv4, length: fc.nat(32) });
const prefix6: fc.Arbitrary<Prefix> = fc.record({ address: ipv6, length: fc.nat(128) });
const prefix: fc.Arbitrary<Prefix> = fc.oneof(prefix4, prefix6);
const mac = spanned(fc.nat(2 ** 48 - 1));
const u32 = spanned(fc.nat(0xffffffff));
const byte = spanned(fc.nat(255));
const truth = fc.constant(true);
const range = (max: number) =>
  spanned(fc.tuple(fc.nat(max), fc.nat(max)).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) })));

/** An address family and whatever of that family; or no family and whatever of either. */
const withFamily = <T extends object>(of: (prefix: fc.Arbitrary<Prefix>) => fc.Arbitrary<T>) => {
  const said = (value: 4 | 6) => ({ family: { value, span: NO_SPAN } });
  return fc.oneof(
    of(prefix),
    of(prefix4).map((rest) => ({ ...said(4), ...rest })),
    of(prefix6).map((rest) => ({ ...said(6), ...rest })),
  );
};

// Comments.

const line = fc
  .oneof(
    fc.constantFrom("", "why", "  indented", "# section", "!shebang", "{", '"'),
    fc.string({ unit: "binary", maxLength: 8 }),
  )
  .map((text) => text.replaceAll("\n", " ").trimEnd());
/** Groups of comment lines, with a blank line between two groups. */
const groups = fc.array(fc.array(line, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 2 });
const lines: fc.Arbitrary<(string | null)[]> = groups.map((all) =>
  all.flatMap((group, i) => (i > 0 ? [null, ...group] : group)),
);
const comments = fc.tuple(lines, fc.boolean()).map(([all, blankBelow]) => (blankBelow ? [...all, null] : all));

const rarely = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 5 });

/** A statement with comments around it. */
const commented = <T extends object>(node: fc.Arbitrary<T>): fc.Arbitrary<T & Ast.Node> =>
  fc.tuple(node, rarely(comments), rarely(line), rarely(truth)).map(([rest, above, trailing, blankBefore]) => ({
    ...rest,
    span: NO_SPAN,
    ...defined({ comments: above, trailing, blankBefore }),
  }));

const defined = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Statements of a block, and comments below the last. */
const list = <T extends Ast.Node>(item: fc.Arbitrary<T>, maxLength = 4) =>
  fc.tuple(fc.array(item, { maxLength }), rarely(lines), fc.boolean()).map(([items, tail, blank]) => ({
    items: withoutFirstBlank(items),
    tail: tail === undefined ? {} : { tail: blank && items.length > 0 ? [null, ...tail] : tail },
  }));

function withoutFirstBlank<T extends Ast.Node>(items: readonly T[]): T[] {
  return items.map((item, i) => {
    const { blankBefore, ...rest } = item;
    return (i === 0 ? rest : item) as T;
  });
}

// Statements.

const kernel: fc.Arbitrary<Ast.KernelDecl> = commented(
  fc.record({ kind: fc.constant("kernel" as const), version: name }),
);

const setting = spanned(fc.oneof(fc.constantFrom("1", "0", "1024 65535", "a  b", "=", ""), strangeName));
const sysctl: fc.Arbitrary<Ast.Sysctl> = commented(
  fc.record({ kind: fc.constant("sysctl" as const), key: name, setting }),
);

const kind = <K extends string>(value: K) => fc.constant(value);
const address = maybe<Omit<Ast.AddressProperty, keyof Ast.Node>>(
  { kind: kind("address"), address: spanned(prefix) },
  { peer: spanned(prefix), scope: name, metric: u32, noprefixroute: truth },
);
const property: fc.Arbitrary<Ast.DeviceProperty> = commented<object>(
  fc.oneof(
    address,
    fc.record({ kind: kind("table"), table: name }),
    fc.record({ kind: kind("type"), type: name }),
    fc.record({ kind: kind("master"), vrf: name }),
    fc.record({ kind: kind("peer"), namespace: name, device: name }),
    fc.record({ kind: kind("lladdr"), mac }),
    fc.record({ kind: kind("mtu"), mtu: u32 }),
    fc.record({ kind: kind("group"), group: u32 }),
    fc.record({ kind: kind("qdisc"), qdisc: name }),
    fc.record({ kind: kind("index"), index: u32 }),
    fc.record({ kind: kind("state"), up: fc.boolean() }),
  ),
) as fc.Arbitrary<Ast.DeviceProperty>;

const device = <K extends "vrf" | "interface">(which: K) =>
  commented(
    fc
      .tuple(name, list(property))
      .map(([deviceName, { items, tail }]) => ({ kind: which, name: deviceName, properties: items, ...tail })),
  );

const own = maybe<Ast.Hop>({ span: fc.constant(NO_SPAN) }, { via: spanned(ip), dev: name, onlink: truth });
const reaches = (hop: Ast.Hop) => hop.via !== undefined || hop.dev !== undefined;
const spoken = own.filter((hop) => Object.keys(hop).length > 1);
const weighted = maybe<Ast.Hop>(
  { span: fc.constant(NO_SPAN) },
  { via: spanned(ip), dev: name, weight: u32, onlink: truth, dead: truth },
).filter(reaches);
const onOwnLine = commented(weighted).map(({ blankBefore, ...hop }) => hop as Ast.Hop);
const hops: fc.Arbitrary<Ast.Hop[]> = fc.oneof(
  fc.constant<Ast.Hop[]>([]),
  spoken.map((hop) => [hop]),
  weighted.map((hop) => [hop]),
  fc.array(onOwnLine, { minLength: 2, maxLength: 3 }),
);

const routeType = spanned(
  fc.constantFrom(
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
  ),
);
const route: fc.Arbitrary<Ast.Route> = commented<object>(
  withFamily((of) =>
    maybe<object>(
      { kind: kind("route"), prefix: spanned(fc.option(of, { nil: null })), hops },
      {
        ...{ type: routeType, table: name, vrf: name, metric: u32, tos: byte, scope: name, protocol: name },
        ...{ src: spanned(ip), nhid: u32, mtu: u32, append: truth },
      },
    ),
  ),
) as fc.Arbitrary<Ast.Route>;

const routesFrom: fc.Arbitrary<Ast.RoutesFrom> = commented(fc.record({ kind: kind("routes"), file: name }));
const table: fc.Arbitrary<Ast.Table> = commented(
  fc
    .tuple(name, list<Ast.Route | Ast.RoutesFrom>(fc.oneof(route, routesFrom)))
    .map(([tableName, { items, tail }]) => ({ kind: "table" as const, name: tableName, routes: items, ...tail })),
);

const action: fc.Arbitrary<Ast.RuleAction> = fc.oneof(
  fc.record({ kind: kind("lookup"), span: fc.constant(NO_SPAN), table: name }),
  fc.record({ kind: kind("goto"), span: fc.constant(NO_SPAN), target: u32 }),
  fc.record({ kind: fc.constantFrom("nop", "blackhole", "unreachable", "prohibit"), span: fc.constant(NO_SPAN) }),
);
const rule: fc.Arbitrary<Ast.Rule> = commented<object>(
  withFamily((of) =>
    maybe<object>(
      { kind: kind("rule") },
      {
        ...{ delete: truth, pref: u32, not: truth, from: spanned(of), to: spanned(of), iif: name, oif: name },
        fwmark: spanned(
          fc.record({ mark: fc.nat(0xffffffff), mask: fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff)) }),
        ),
        ...{ tos: byte, ipproto: byte, sport: range(0xffff), dport: range(0xffff), uidrange: range(0xffffffff) },
        ...{ l3mdev: spanned(truth), suppressPrefixLength: u32, suppressIfGroup: u32, protocol: name, action },
      },
    ),
  ),
) as fc.Arbitrary<Ast.Rule>;

const neighbour: fc.Arbitrary<Ast.Neighbour> = commented(
  fc.record({ kind: kind("neighbour"), address: spanned(ip), lladdr: mac, dev: name }),
);

const member = fc.record({ id: u32, weight: fc.nat(255) });
const nexthop: fc.Arbitrary<Ast.NextHopObject> = commented(
  maybe<Ast.NextHopObject>(
    { kind: kind("nexthop"), id: u32, span: fc.constant(NO_SPAN) },
    {
      family: spanned(fc.constantFrom(4 as const, 6 as const)),
      hop: spoken,
      blackhole: truth,
      group: fc.array(member, { minLength: 1, maxLength: 3 }),
    },
  ),
);

const item: fc.Arbitrary<Ast.Item> = fc.oneof(
  ...[sysctl, device("vrf"), device("interface"), table, route, rule, neighbour, nexthop],
);

const namespace: fc.Arbitrary<Ast.Namespace> = commented(
  fc
    .tuple(name, list(item))
    .map(([namespaceName, { items, tail }]) => ({ kind: "namespace" as const, name: namespaceName, items, ...tail })),
);

const from = spanned(ip);
const span = fc.constant(NO_SPAN);
const expectation: fc.Arbitrary<Ast.Expectation> = fc.oneof(
  maybe<Ast.Expectation>({ kind: kind("reply"), span } as never, { ttl: byte, from }),
  maybe<Ast.Expectation>({ kind: kind("unreachable"), span } as never, {
    what: spanned(fc.constantFrom("net", "host", "prohibited")),
    from,
  }),
  maybe<Ast.Expectation>({ kind: kind("exceeded"), span } as never, { from }),
  maybe<Ast.Expectation>({ kind: kind("error"), span } as never, { errno: name }),
  maybe<Ast.Expectation>({ kind: kind("drop"), by: name, span } as never, { rule: byte, namespace: name }),
  fc.record({
    kind: fc.constantFrom("connected" as const, "refused" as const, "timeout" as const, "nothing" as const),
    span,
  }),
);
const ping: fc.Arbitrary<Ast.Ping> = commented(
  maybe<Ast.Ping>(
    { kind: kind("ping"), destination: spanned(ip), span },
    { namespace: name, bind: name, ttl: byte, mark: u32, expect: expectation },
  ),
);

const transport = fc.constantFrom("tcp" as const, "udp" as const);
const port = fc.integer({ min: 1, max: 65535 });
const endpoint = spanned(fc.record({ address: fc.option(ip), port }));
const listen: fc.Arbitrary<Ast.Listen> = commented(
  maybe<Ast.Listen>(
    { kind: kind("listen"), transport, endpoint, span },
    { namespace: name, device: name, expect: expectation },
  ),
);
const connect: fc.Arbitrary<Ast.Connect> = commented(
  maybe<Ast.Connect>(
    { kind: kind("connect"), transport, endpoint, span },
    { namespace: name, device: name, from, mark: u32, expect: expectation },
  ),
);
const step: fc.Arbitrary<Ast.TestStep> = fc.oneof(ping, listen, connect);

const testBlock: fc.Arbitrary<Ast.Test> = commented(
  fc
    .tuple(name, fc.array(namespace, { maxLength: 1 }), list(step, 2))
    .map(([testName, additions, { items, tail }]) => ({
      kind: "test" as const,
      name: testName,
      additions: withoutFirstBlank(additions),
      steps: items,
      ...tail,
    })),
);

export const file: fc.Arbitrary<Ast.File> = list<Ast.File["items"][number]>(
  fc.oneof(kernel, namespace, testBlock, item),
  5,
).map(({ items, tail }) => ({ kind: "file", span: NO_SPAN, items, ...tail }));
