/** Rule sets in the form of `nft -f`: recorded ones that a real kernel accepted, and each command by itself. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { importNft } from "../../src/import/nft/import.ts";
import { importForReplay } from "../../src/import/replay.ts";

interface Recorded {
  readonly name: string;
  readonly setup: readonly string[];
  readonly nft: Readonly<Record<string, string>>;
  /** How many counters `nft list ruleset` showed of each namespace. */
  readonly counters: Readonly<Record<string, number>>;
}
const recorded = JSON.parse(
  gunzipSync(readFileSync(new URL("recorded-rule-sets.json.gz", import.meta.url))).toString(),
) as readonly Recorded[];

describe("recorded rule sets", () => {
  it.each(recorded)("$name", ({ name, setup, nft, counters }) => {
    const { ast, source, leftOut } = importForReplay(setup, [], name, nft);
    expect(leftOut).toEqual([]);
    const { model, diagnostics } = check(ast, source, { kernel: "6.1" });
    expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
    for (const [ns, count] of Object.entries(counters)) {
      const net = model!.nets.find((one) => one.name === ns)!;
      expect(net.netfilter.counters.filter((counter) => counter.name === null)).toHaveLength(count);
    }
  });
});

it("reads sets of very many elements", () => {
  const elements = Array.from({ length: 150_000 }, (_, i) => `0x${i.toString(16)}`).join(", ");
  const set = (said: string): string => `table ip t {\n set s {\n type mark\n ${said}\n }\n}\n`;
  for (const text of [set(`elements = { ${elements} }`), `${set("")}add element ip t s { ${elements} }\n`]) {
    const { ast, diagnostics } = importNft({ name: "x", text });
    expect(diagnostics).toEqual([]);
    expect(ast.items).toMatchObject([{ items: [{ kind: "set", elements: { length: 150_000 } }] }]);
  }
});

it("names a namespace that is not there", () => {
  const { leftOut } = importForReplay([], [], "x", { r: "table ip t { }" });
  expect(leftOut).toEqual([{ command: "nft -f, in r", why: "there is no such namespace" }]);
});

/** The file that an import prints, without what went wrong. */
function imported(text: string): { text: string; findings: string[] } {
  const { ast, diagnostics } = importNft({ name: "rules.nft", text });
  return { text: print(ast), findings: diagnostics.map((d) => `${d.code} ${d.kernel ?? d.message}`) };
}
const block = (...lines: string[]): string => `${lines.join("\n")}\n`;

describe("commands", () => {
  it("builds tables by commands", () => {
    const { text, findings } = imported(`#!/usr/sbin/nft -f
      # begin anew
      flush ruleset
      add table filter
      add chain filter in { type filter hook input priority 0; policy drop; }
      add chain filter svc
      # from the office
      add rule filter in ip saddr 10.0.0.0/8 accept
      insert rule filter in iifname lo accept
      add rule filter in index 0 tcp dport 22 accept
      add set filter bad { type ipv4_addr; flags interval; }
      add element filter bad { 192.0.2.0/24, 198.51.100.7 }
      add counter filter seen
      add limit filter slow rate 10/second
      rule filter svc counter name seen drop
    `);
    expect(findings).toEqual([]);
    expect(text).toBe(
      block(
        "# begin anew",
        "table ip filter {",
        "  chain in {",
        "    type filter hook input priority 0; policy drop;",
        "    iifname lo accept",
        "    tcp dport 22 accept",
        "    # from the office",
        "    ip saddr 10.0.0.0/8 accept",
        "  }",
        "  chain svc {",
        "    counter name seen drop",
        "  }",
        "  set bad {",
        "    type ipv4_addr",
        "    flags interval",
        "    elements = { 192.0.2.0/24, 198.51.100.7 }",
        "  }",
        "  counter seen {}",
        "  limit slow {",
        "    rate 10/second",
        "  }",
        "}",
      ),
    );
    expect(checkText(text).diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
  });

  it.each([
    ["values", "define P = 22\ntable ip t { chain c { tcp dport $P accept; }; }", "tcp dport 22 accept"],
    ["sets", "define P = { 22, 80 }\ntable ip t { chain c { tcp dport $P accept; }; }", "tcp dport { 22, 80 } accept"],
    [
      "sets in sets",
      "define P = { 22, 80 }\ndefine Q = { $P, 443 }\ntable ip t { chain c { tcp dport { $Q, 8080 } accept; }; }",
      "tcp dport { 22, 80, 443, 8080 } accept",
    ],
    [
      "names of a block",
      "define D = eth0\ntable ip t { chain c { define D = eth1; iifname $D drop; }\nchain d { iifname $D drop; }; }",
      "iifname eth1 drop|iifname eth0 drop",
    ],
  ])("puts definitions in their places: %s", (_, source, rules) => {
    const { text, findings } = imported(source);
    expect(findings).toEqual([]);
    const found = text.split("\n").filter((line) => / (accept|drop)$/.test(line));
    expect(found.map((line) => line.trim()).join("|")).toBe(rules);
  });

  it("does not let definitions grow without end", () => {
    const lines = Array.from({ length: 40 }, (_, i) => `define A${i + 1} = { $A${i}, $A${i} }`);
    expect(imported(`define A0 = { 1 }\n${lines.join("\n")}`).findings).toEqual(["E0501 the definitions are too long"]);
  });

  it("adds to what is there, and takes away", () => {
    const { text, findings } = imported(`
      table inet t { chain a { type filter hook input priority 0; accept; }; set s { type ipv4_addr; elements = { 1.1.1.1 }; } }
      table inet t { chain a { drop; }; chain b { }; set s { type ipv4_addr; elements = { 2.2.2.2 }; } }
      table ip gone { chain c { drop; }; }
      delete table ip gone
      destroy table ip never
      delete chain inet t b
      flush chain inet t a
      add rule inet t a counter
      delete set inet t s
    `);
    expect(findings).toEqual([]);
    expect(text).toBe(
      block("table inet t {", "  chain a {", "    type filter hook input priority 0;", "    counter", "  }", "}"),
    );
  });

  it.each([
    ["add rule ip t c accept", "E0501 No such file or directory"],
    ["create table ip t\ncreate table ip t", "E0501 File exists"],
    ["table ip t { set s { type ipv4_addr; }; map s { type ipv4_addr : mark; } }", "E0501 File exists"],
    ["table ip t { chain c { tcp dport $NONE accept; }; }", "E0501 unknown identifier 'NONE'"],
    [
      'include "more.nft"',
      "W0501 not imported: `include` is not followed: put the files together, or import them one by one",
    ],
    [
      "table ip t { flowtable f { hook ingress priority 0; devices = { eth0 }; }; }",
      "W0501 not imported: `flowtable` is not supported",
    ],
    ["table ip t { chain c { masquerade; }; }", "W0501 not imported: unexpected `masquerade`: not supported"],
    ["delete rule ip t c handle 5", "W0501 not imported: only tables and what they hold by name can be taken away"],
    ["list ruleset", "W0501 not imported: `list` is not a command that vrfc knows"],
  ])("says what is not in the result: %s", (source, finding) => {
    const { text, findings } = imported(source);
    expect(findings).toContain(finding);
    expect(text).toContain(source.split("\n").at(-1)!.trim());
  });

  it("keeps what nft calls comments, as comments", () => {
    const { text, findings } = imported(`table ip t {
      comment "of the table"
      set s { type ipv4_addr; comment "of the set"; elements = { 10.0.0.1 comment "of the element" }; }
      counter n { comment "of the counter"; packets 1 bytes 60; }
      limit l { comment "of the limit"; rate 1/second; }
      chain c { comment "of the chain"; accept comment "of the rule"; }
    }`);
    expect(findings).toEqual([]);
    const lines = text.split("\n").map((line) => line.trim());
    for (const [what, item] of [
      ["table", "table ip t {"],
      ["set", "set s {"],
      ["counter", "counter n {"],
      ["limit", "limit l {"],
      ["chain", "chain c {"],
    ])
      expect(lines[lines.indexOf(`# of the ${what}`) + 1]).toBe(item);
    expect(text).toContain('10.0.0.1 comment "of the element"');
    expect(text).toContain('accept comment "of the rule"');
    // The same in a file of vrfc's own.
    expect(print(checkText(text).ast)).toBe(text);
    const own = print(
      checkText('table ip t {\n comment "of the table"\n chain c {\n comment "x"\n accept\n }\n}\n').ast,
    );
    expect(own).toBe(block("# of the table", "table ip t {", "  # x", "  chain c {", "    accept", "  }", "}"));
  });

  it("forgets handles and keeps comments", () => {
    const { text } = imported(`table ip t { # handle 1
      chain c { # handle 2
        # the first
        accept # handle 3
        drop # never
      }
    }`);
    expect(text).toBe(
      block("table ip t {", "  chain c {", "    # the first", "    accept", "    drop # never", "  }", "}"),
    );
  });
});

it("says at its name that a limit has no rate", () => {
  const { ast, diagnostics } = importNft({ name: "x", text: "table ip t {}\nadd limit ip t slow" });
  expect(print(ast)).not.toMatch(/^ *limit slow/m);
  expect(diagnostics.map(({ message }) => message)).toEqual([
    "not imported: `slow` needs something behind it: expected more",
  ]);
});

it("never throws, whatever the text", () => {
  const words = [
    ...[
      "add",
      "insert",
      "delete",
      "flush",
      "table",
      "chain",
      "rule",
      "set",
      "map",
      "element",
      "counter",
      "limit",
      "ip",
    ],
    ...[
      "inet",
      "t",
      "c",
      "{",
      "}",
      ";",
      "\n",
      "define",
      "X",
      "=",
      "$X",
      "index",
      "1",
      "ruleset",
      "type",
      "filter",
      "hook",
    ],
    ...[
      "input",
      "priority",
      "0",
      "tcp",
      "dport",
      "22",
      "accept",
      "@s",
      ",",
      ":",
      "# x\n",
      '"',
      "elements",
      "rate",
      "10/second",
    ],
    ...["devices", "include", "handle", "packets", "-", "(", "&", "vmap", "log", "flags", "policy"],
  ];
  const known = "table ip t { chain c { accept; }; set s { type ipv4_addr; }; }\n";
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 3 })), { maxLength: 20 }),
      (all) => {
        const text = known + all.join(" ");
        const { ast, diagnostics } = importNft({ name: "x", text });
        for (const { primary } of diagnostics) expect(primary.span.end).toBeLessThanOrEqual(text.length);
        check(ast, { name: "x", text });
        print(ast);
      },
    ),
    { numRuns: 2000 },
  );
});
