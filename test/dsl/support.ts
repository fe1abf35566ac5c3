/** What several tests of the language need. */
import type { File } from "../../dsl/ast.ts";
import { type ParseResult, parse } from "../../dsl/parse.ts";

export const parseText = (text: string): ParseResult => parse({ name: "policy", text });

/** The tree of a text that has nothing wrong with it. */
export function parseClean(text: string): File {
  const { ast, diagnostics } = parseText(text);
  if (diagnostics.length > 0) throw new Error(`${diagnostics.map((d) => d.message).join("\n")}\nin:\n${text}`);
  return ast;
}

/** A tree without the places that its parts came from. */
export function withoutSpans(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSpans);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== "span")
      .map(([key, part]) => [key, withoutSpans(part)]),
  );
}

/** A text with every construct of the language, for mutations to begin with. */
export const EVERYTHING = `# what the text is about

kernel "6.1"

namespace host { # the router
  sysctl net.ipv4.ip_forward = 1
  vrf vrf { table 100; address 1.1.1.1/32 }
  interface vethr1 { type veth; master vrf; peer ns0 veth1; address 10.0.0.1/24 metric 5 noprefixroute; up }
  interface vethr2 {
    # the other side
    vrf vrf
    address 10.0.1.1/24 peer 10.0.1.2 scope link
    lladdr 02:00:00:00:00:01; mtu 1400; group 7; qdisc fq; index 9; down
    # nothing more
  }
  table 100 { route 2.2.2.2 via 10.0.0.7 src 1.1.1.1; routes from "rib.txt" }
  route unreachable default vrf vrf metric 4278198272
  route 10.2.0.0/16 tos 0x10 proto static
    nexthop via 10.0.0.7 dev vethr1 weight 2 # first
    nexthop via fe80::1 dev vethr2 onlink
  route inet6 default via fe80::1 dev vethr1 mtu 1280
  rule 1000: from all lookup [l3mdev-table]
  rule 500 not from 10.0.0.0/8 to 2001:db8::/32 fwmark 0x1/0xff iif vethr1 oif vrf tos 0x08 lookup 200
  rule pref 600 ipproto tcp sport 1000-2000 dport 53 uidrange 0-1000 goto 700 suppress_prefixlength 0
  no rule 0
  neighbour 10.0.0.7 lladdr 02:00:00:00:00:07 dev vethr1
  nexthop 7 via 10.0.0.7 dev vethr1; nexthop 8 blackhole
  nexthop 9 group 7/8,2
}

namespace ns0 { interface veth1 { address 10.0.0.7/24 }; route default via 10.0.0.1 }

test "forwarded" {
  namespace host { route 10.0.0.0/24 dev vrf }
  in ns0 ping 10.0.1.7 -I veth1 -t 3 -m 0x1 expect reply ttl 63 from 10.0.1.7
  ping 10.0.9.9 expect unreachable net from 10.0.0.1
  ping 10.0.9.9 expect exceeded; ping 10.0.9.9 expect error ENETUNREACH; ping 10.0.9.9 expect nothing
}
# the end
`;
