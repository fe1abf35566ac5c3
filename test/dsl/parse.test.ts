/** What texts mean, construct by construct. Run: npx vitest run test/dsl/parse.test.ts */
import { describe, expect, test } from "vitest";
import type * as Ast from "../../dsl/ast.ts";
import { print } from "../../dsl/print.ts";
import { EVERYTHING, parseClean, parseText, withoutSpans } from "./support.ts";

/** What a line prints as, the notes about it not counted. */
function normal(line: string): string {
  const { ast, diagnostics } = parseText(line);
  expect(diagnostics.filter((d) => d.severity === "error")).toEqual([]);
  return print(ast).trimEnd();
}

describe("lines of iproute2 can be pasted behind `rule` and `route`", () => {
  test.each([
    // ip rule show
    ["rule 0:\tfrom all lookup local", "rule 0 lookup local"],
    ["rule 1000:\tfrom all lookup [l3mdev-table]", "rule 1000 l3mdev"],
    ["rule 1000:\tfrom all lookup [l3mdev-table] proto kernel", "rule 1000 l3mdev proto kernel"],
    ["rule 32766:\tfrom all lookup main suppress_prefixlength 0", "rule 32766 lookup main suppress_prefixlength 0"],
    ["rule 5:\tnot from 10.0.0.0/8 to 10.1.2.3 lookup 100", "rule 5 not from 10.0.0.0/8 to 10.1.2.3 lookup 100"],
    ["rule 5:\tfrom all fwmark 0x1/0xff iif eth0 [detached] lookup 100", "rule 5 fwmark 0x1/0xff iif eth0 lookup 100"],
    [
      "rule 5:\tfrom all tos 0x10 oif eth0 uidrange 0-0 ipproto tcp dport 80 goto 10 [unresolved]",
      "rule 5 tos 0x10 oif eth0 uidrange 0 ipproto tcp dport 80 goto 10",
    ],
    ["rule 5:\tfrom 2001:db8::/32 unreachable", "rule 5 from 2001:db8::/32 unreachable"],
    // ip rule add
    ["rule from 10.0.0.0/8 table 100 priority 5", "rule 5 from 10.0.0.0/8 lookup 100"],
    ["rule order 5 dev eth0 blackhole", "rule 5 iif eth0 blackhole"],
    ["rule preference 5 dsfield 0x8 protocol static prohibit", "rule 5 tos 0x08 prohibit proto static"],
    [
      "rule pref 5 fwmark 7 ipproto icmpv6 sup_pl 0 sup_group 1 nop",
      "rule 5 fwmark 0x7 ipproto ipv6-icmp nop suppress_prefixlength 0 suppress_ifgroup 1",
    ],
    ["rule inet6 not fwmark 0/0xff l3mdev", "rule inet6 not fwmark 0x0/0xff l3mdev"],
    ["no rule pref 0 from all", "no rule 0"],
    // ip route show
    [
      "route default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.5 metric 100",
      "route default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.5 metric 100",
    ],
    [
      "route 10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 linkdown",
      "route 10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1",
    ],
    [
      "route local 10.0.0.1 dev eth0 table local proto kernel scope host src 10.0.0.1",
      "route local 10.0.0.1 dev eth0 table local proto kernel scope host src 10.0.0.1",
    ],
    ["route broadcast 10.0.0.255 dev eth0", "route broadcast 10.0.0.255 dev eth0"],
    ["route unreachable default metric 4278198272", "route unreachable default metric 4278198272"],
    [
      "route 2001:db8::/64 dev eth0 proto kernel metric 256 pref medium",
      "route 2001:db8::/64 dev eth0 proto kernel metric 256",
    ],
    ["route 10.0.0.0/8 via inet6 fe80::1 dev eth0", "route 10.0.0.0/8 via fe80::1 dev eth0"],
    [
      "route default proto static \n\tnexthop via 10.0.0.1 dev eth0 weight 1 \n\tnexthop via 10.0.0.2 dev eth1 weight 2 dead linkdown \nrule 5 nop",
      "route default proto static\n  nexthop via 10.0.0.1 dev eth0 weight 1\n  nexthop via 10.0.0.2 dev eth1 weight 2 dead\nrule 5 nop",
    ],
    // ip route add
    ["route to 10.0.0.0/8 via 10.0.0.1 onlink dev eth0", "route 10.0.0.0/8 via 10.0.0.1 dev eth0 onlink"],
    ["route all dev eth0 preference 5", "route default dev eth0 metric 5"],
    ["route 2.2.2.2 via 10.0.0.7 src 1.1.1.1 vrf vrf", "route 2.2.2.2 via 10.0.0.7 vrf vrf src 1.1.1.1"],
    ["route 10.0.0.0/8 nhid 7 mtu 1400", "route 10.0.0.0/8 nhid 7 mtu 1400"],
    ["route 10.0.0.0/8 nexthop via 10.0.0.1", "route 10.0.0.0/8 via 10.0.0.1"],
    ["route 10.0.0.0/8 nexthop via 10.0.0.1 weight 3", "route 10.0.0.0/8 nexthop via 10.0.0.1 weight 3"],
    // ip neigh, ip nexthop
    [
      "neigh 10.0.0.7 dev eth0 lladdr 02:00:00:00:00:07 REACHABLE",
      "neighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev eth0",
    ],
    ["nexthop id 7 via 10.0.0.1 dev eth0 scope link proto static", "nexthop 7 via 10.0.0.1 dev eth0"],
    ["nexthop id 9 group 7/8,2", "nexthop 9 group 7/8,2"],
    ["nexthop inet6 8 dev eth0", "nexthop inet6 8 dev eth0"],
    // sysctl -w
    ["sysctl net.ipv4.ip_forward=1", "sysctl net.ipv4.ip_forward = 1"],
    ["sysctl net.ipv4.ip_local_port_range = 1024\t65535", "sysctl net.ipv4.ip_local_port_range = 1024 65535"],
  ])("%s", (line, expected) => {
    expect(normal(line)).toBe(expected);
  });
});

test("keywords are contextual", () => {
  const text = `vrf vrf { table table }
interface interface { master vrf; peer namespace dev; address 10.0.0.1/24 }
table route {
  route 10.0.0.0/8 via 10.0.0.1 dev via table test
}
rule 5 iif iif oif not lookup lookup
namespace namespace {
  vrf rule { table 5 }
}
test "test" { in in ping 10.0.0.1 -I -I expect reply }
`;
  expect(print(parseClean(text))).toBe(text);
});

test("names that are no words stand in quotes, and mean what they say", () => {
  const [route] = parseClean('route 10.0.0.0/8 dev "a b" table "[l3mdev-table]"').items as Ast.Route[];
  expect([route.hops[0].dev?.value, route.table?.value]).toEqual(["a b", "[l3mdev-table]"]);
});

test("statements end at a new line, at `;`, at `}` and at the end of the text", () => {
  const one = parseClean("vrf a { table 1; up } vrf b { table 2 };; route default dev a; rule 5 nop");
  const many = parseClean(
    "vrf a\\\n {\n\n table 1\n up }\nvrf b {\n  table 2\n}\n\n;\nroute default \\\n  dev a\nrule 5 nop\n",
  );
  const kinds = one.items.map((item) => item.kind);
  expect(kinds).toEqual(["vrf", "vrf", "route", "rule"]);
  expect(many.items.map((item) => item.kind)).toEqual(kinds);
});

test("CRLF, a byte order mark, and no new line at the end", () => {
  const windows = parseClean(`\ufeff${EVERYTHING.replaceAll("\n", "\r\n").trimEnd()}`);
  expect(print(windows)).toBe(print(parseClean(EVERYTHING)));
});

test("a mark without a mask is compared whole, but 0 selects nothing, as in the kernel", () => {
  const rules = parseClean("rule fwmark 1 nop; rule fwmark 0 nop; rule fwmark 0/1 nop").items as Ast.Rule[];
  expect(rules.map((rule) => rule.fwmark?.value)).toEqual([
    { mark: 1, mask: 0xffffffff },
    { mark: 0, mask: 0 },
    { mark: 0, mask: 1 },
  ]);
});

test("`default` is null, 0.0.0.0/0 is a prefix", () => {
  const routes = parseClean("route default dev a; route 0.0.0.0/0 dev a; route ::/0 dev a").items as Ast.Route[];
  expect(routes.map((route) => route.prefix.value)).toEqual([
    null,
    { address: 0, length: 0 },
    { address: 0n, length: 0 },
  ]);
});

test("spans are the words themselves", () => {
  const text = "rule 500 from 10.0.0.0/8 lookup 200 # why";
  const [rule] = parseClean(text).items as Ast.Rule[];
  const word = ({ start, end }: { start: number; end: number }) => text.slice(start, end);
  expect(word(rule.span)).toBe("rule 500 from 10.0.0.0/8 lookup 200");
  expect([rule.pref, rule.from, rule.action].map((part) => part && word(part.span))).toEqual([
    "500",
    "10.0.0.0/8",
    "lookup 200",
  ]);
  expect(rule.trailing).toBe("why");
});

test("a block with a mistake in it is kept, the mistaken statement is not", () => {
  const { ast } = parseText("namespace ns0 { vrf red { table 10; mtuu 5 }; route 10.0.0.0/8 vai 1.2.3.4; rule 5 nop }");
  const [namespace] = ast.items as Ast.Namespace[];
  expect(namespace.items.map((item) => item.kind)).toEqual(["vrf", "rule"]);
  expect(withoutSpans((namespace.items[0] as Ast.Vrf).properties)).toEqual([{ kind: "table", table: { value: "10" } }]);
});

test("ten lines with a mistake make ten errors", () => {
  const { diagnostics } = parseText("route 10.0.0.0/8 vai 10.0.0.1\n".repeat(10));
  expect(diagnostics.map((d) => d.code)).toEqual(Array(10).fill("E0101"));
});

test("two thousand lines are read in well under a second", () => {
  const lines = `  route 10.0.0.0/8 via 10.0.0.7 dev vethr1 src 1.1.1.1 metric 20
  interface vethr1 { vrf vrf; address 10.0.0.1/24 peer 10.0.0.2; peer ns0 veth1 }
  rule 1000 from 10.0.0.0/8 fwmark 0x1/0xff iif eth0 lookup 200
  neighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev vethr1
`;
  const text = `namespace host {\n${lines.repeat(500)}}\n`;
  const times = [1, 2, 3].map(() => {
    const start = performance.now();
    parseClean(text);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(1000);
});
