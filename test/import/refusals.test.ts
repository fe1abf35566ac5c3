/**
 * What Linux 6.1 (and iproute2, before it asks Linux) refuses of the commands that routing policies are made of, a case for
 * each refusal: net/ipv4/{fib_frontend,fib_semantics,fib_trie,nexthop,devinet}.c, net/ipv6/{route,ip6_fib,addrconf}.c,
 * net/core/{fib_rules,neighbour,rtnetlink,dev}.c, net/ipv{4,6}/fib*_rules.c, drivers/net/vrf.c. Each ran alone on the same small
 * network; the importer refuses the same commands with the same words at their line, and what it keeps passes the check.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import { importForReplay } from "../../src/import/replay.ts";

interface Recorded {
  readonly network: readonly string[];
  /** The last command is the one in question; with the first line of what was said, null: nothing. */
  readonly cases: readonly (readonly [commands: readonly string[], refusal: string | null])[];
}
const { network, cases } = JSON.parse(
  gunzipSync(readFileSync(new URL("recorded-refusals.json.gz", import.meta.url))).toString(),
) as Recorded;

/** Linux takes them, vrfc has no words for them and says so. */
const UNSAID = new Map([
  ["ip -6 route add 2001:1::/32 from 2001:db8:2::/64 dev db", "`from` of `ip route`"],
  ["ip nexthop add id 0 dev db", "a next hop whose id the kernel chooses"],
  ["ip nexthop add dev db", "a next hop whose id the kernel chooses"],
  ["ip nexthop add id 2 fdb via 10.1.0.7", "`fdb` of `ip nexthop`"],
  ["ip rule add pref 100 lookup 0", "a rule whose table the kernel chooses"],
  ["ip rule add pref 100 throw", "rules of type `throw`"],
  ["ip addr add 0.0.0.0/24 dev db", "the address 0.0.0.0"],
  ["ip neigh add 10.1.0.7 dev db", "a neighbour without a link-layer address"],
  ["ip neigh add 10.1.0.7 dev db nud permanent", "a neighbour without a link-layer address"],
]);

describe.each(cases)("%j", (commands, refusal) => {
  const setup = [...network, ...commands];
  const replay = importForReplay(setup);
  const start = setup.slice(0, -1).join("\n").length + 1;
  const said = replay.diagnostics.map(({ severity, message, kernel, primary }) => ({
    isAtLine: primary.span.start >= start,
    said: severity === "error" ? kernel : message,
    severity,
  }));

  it("is answered as Linux does", () => {
    const last = commands[commands.length - 1];
    const unsaid = UNSAID.get(last);
    const told = said.filter(({ said: text }) => !text?.includes("has no counterpart in vrfc"));
    if (unsaid !== undefined)
      expect([refusal, told]).toEqual([
        null,
        [{ isAtLine: true, said: `not imported: ${unsaid}`, severity: "warning" }],
      ]);
    else expect(told).toEqual(refusal === null ? [] : [{ isAtLine: true, said: refusal, severity: "error" }]);
  });

  it("leaves a network that holds", () => {
    const errors = check(replay.ast, replay.source).diagnostics.filter((d) => d.severity === "error");
    expect(errors.map(({ message }) => message)).toEqual([]);
  });
});
