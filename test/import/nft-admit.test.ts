/** What `vrfc import` makes of a rule set is a file that `vrfc check` takes; what is not in it is told, and kept as a comment. */
import { describe, expect, it } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { lineOf } from "../../dsl/span.ts";
import { admit } from "../../src/import/nft/admit.ts";
import { importNft } from "../../src/import/nft/import.ts";
import { importNftJson, isNftJson, parseNftJson } from "../../src/import/nft/json.ts";
import { type Listed, listedRows } from "./nft-rows.ts";

function admitted(text: string): { text: string; findings: string[] } {
  const source = { name: "rules.nft", text };
  const { ast, diagnostics } = admit({ source, ...importNft(source) });
  const findings = diagnostics.map(
    ({ code, message, primary }) => `${code} ${lineOf(source, primary.span.start)}: ${message}`,
  );
  return { text: print(ast), findings };
}

const errorsOf = (text: string): string[] =>
  checkText(text).diagnostics.flatMap(({ severity, message }) => (severity === "error" ? [message] : []));

const ROUTER = `#!/usr/sbin/nft -f
flush ruleset
define WAN = ppp0

table inet filter {
  map tags { type inet_service : secmark; elements = { 22 : "ssh" } }
  set dead { type ipv4_addr; flags timeout; }
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    # by mark
    ct mark 0x1 accept
    meta secmark set tcp dport map @tags
    tcp dport 22 accept
    ip saddr @dead drop
    # last
    meta cgroup 7 drop
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname $WAN drop
    iif eth1 oifname "veth*" accept
    jump to_nat
  }
}
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "ppp0" masquerade
  }
}
table arp filter {
  chain input { type filter hook input priority 0; }
}
`;

describe("a router's rule set", () => {
  it("has what vrfc has, and comments for the rest", () => {
    const { text, findings } = admitted(ROUTER);
    expect(errorsOf(text)).toEqual([]);
    expect(text).toBe(`interface ppp0 {}
interface eth1 {}

table inet filter {
  # not imported (no type \`secmark\`): map tags { type inet_service : secmark; elements = { 22 : "ssh" } }
  # not imported (flag \`timeout\` is not supported: elements stay until they are taken out): set dead { type ipv4_addr; flags timeout; }
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    # by mark
    # not imported (\`ct mark\` is not supported: there is no connection tracking): ct mark 0x1 accept
    # not imported (\`meta secmark\` cannot be set: mark, priority and pkttype can): meta secmark set tcp dport map @tags
    tcp dport 22 accept
    # not imported (no set or map \`dead\` in table inet filter): ip saddr @dead drop
    # last
    # not imported (\`meta cgroup\` is not supported): meta cgroup 7 drop
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname ppp0 drop
    iif eth1 oifname "veth*" accept
    # not imported (no chain \`to_nat\` in table inet filter): jump to_nat
  }
}
table ip nat {
  # not imported (unexpected \`masquerade\`: not supported): oifname "ppp0" masquerade
  # not imported (chains of type \`nat\` are not supported here: there is no connection tracking): chain postrouting {
}
# not imported (family \`arp\` is not supported: ip, ip6, inet, netdev): table arp filter {
`);
    expect(findings).toEqual([
      "W0501 6: not imported: no type `secmark`",
      "W0501 7: not imported: flag `timeout` is not supported: elements stay until they are taken out",
      "W0501 12: not imported: `ct mark` is not supported: there is no connection tracking",
      "W0501 13: not imported: `meta secmark` cannot be set: mark, priority and pkttype can",
      "W0501 15: not imported: no set or map `dead` in table inet filter",
      "W0501 17: not imported: `meta cgroup` is not supported",
      "W0504 21: `ppp0` is not declared here: taken as an interface that the machine has, and up",
      "W0504 22: `eth1` is not declared here: taken as an interface that the machine has, and up",
      "W0501 23: not imported: no chain `to_nat` in table inet filter",
      "W0501 28: not imported: chains of type `nat` are not supported here: there is no connection tracking",
      "W0501 29: not imported: unexpected `masquerade`: not supported",
      "W0501 32: not imported: family `arp` is not supported: ip, ip6, inet, netdev",
    ]);
  });

  it("is as it was where nothing is missing", () => {
    const whole = `table inet t {\n  chain c {\n    type filter hook input priority 0;\n    tcp dport 22 accept\n  }\n}\n`;
    expect(admitted(whole)).toEqual({ text: whole, findings: [] });
  });

  it("leaves out a set for an element that a command adds", () => {
    const { text, findings } = admitted(
      `table ip t { set s { type ipv4_addr; size 1; }; chain c { type filter hook input priority 0; } }
      add element ip t s { 10.0.0.1, 10.0.0.256 }\nadd rule ip t c ip saddr @s drop`,
    );
    expect(errorsOf(text)).toEqual([]);
    expect(findings).toEqual([
      "W0501 2: not imported: `10.0.0.256` is no ipv4_addr",
      "W0501 3: not imported: no set or map `s` in table ip t",
    ]);
  });
});

it("a map whose values have several fields", () => {
  const { text, findings } = admitted(`table ip t {
  map to { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.0.0.1 . 8080 } }
  chain c { type filter hook input priority 0; }
}`);
  expect(errorsOf(text)).toEqual([]);
  expect(findings).toEqual(["W0501 2: not imported: a map's value is one field"]);
});

const listed = Object.values(listedRows()).filter((one): one is Extract<Listed, { text: string }> => "text" in one);
it(`${listed.length} rule sets that nft lists: the files have no errors, as text and as JSON`, () => {
  for (const { text, json } of listed) {
    expect([text, errorsOf(admitted(text).text)]).toEqual([text, []]);
    const value = parseNftJson(json);
    if (isNftJson(value)) expect([json, errorsOf(print(admit(importNftJson(value)).ast))]).toEqual([json, []]);
  }
}, 60_000);
