/** Rule sets as `nft -j list ruleset` shows them, against the text that they were loaded from; each form of the schema. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { importNft } from "../../src/import/nft/import.ts";
import { importNftJson } from "../../src/import/nft/json.ts";
import type { Json } from "../../src/import/nft/json-terms.ts";

const read = (name: string) => JSON.parse(gunzipSync(readFileSync(new URL(name, import.meta.url))).toString());
type Ruleset = { readonly nftables: readonly Json[] };
const loaded = read("recorded-rule-sets.json.gz") as readonly { name: string; nft: Record<string, string> }[];
const listed = read("listed-rule-sets.json.gz") as Readonly<Record<string, { json: Ruleset; text: string }>>;

/** What a rule set means where no device is. */
function meaning(text: string): unknown {
  const { model, diagnostics } = checkText(text);
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
  return JSON.parse(
    JSON.stringify(model!.nets[0].netfilter, (key, value) =>
      key === "span" || key === "origin" ? undefined : typeof value === "bigint" ? `${value}` : value,
    ),
  );
}

/** nft shows these otherwise than they were loaded: matches in another order, or a load of two bytes as one of one. */
const SHOWN_OTHERWISE = ["chains-21-10", "chains-21-19", "chains-21-22"];

describe("what a kernel lists", () => {
  it.each(loaded)("$name", ({ name, nft }) => {
    const [text] = Object.values(nft);
    const json = importNftJson(listed[name].json);
    expect(json.diagnostics).toEqual([]);
    const asText = importNft({ name, text: listed[name].text });
    expect(asText.diagnostics).toEqual([]);
    const fromJson = meaning(print(json.ast));
    expect(fromJson).toEqual(meaning(print(asText.ast)));
    if (!SHOWN_OTHERWISE.includes(name)) expect(fromJson).toEqual(meaning(text));
  });
});

/** The rule that statements make. */
function ruleOf(...expr: Json[]): { rule: string; why: string | undefined } {
  const { source, diagnostics } = importNftJson({
    nftables: [{ rule: { family: "inet", table: "t", chain: "c", handle: 3, expr } }],
  });
  const why = diagnostics.find(({ code }) => code === "W0501")?.message;
  return { rule: source.text.trim().replace("add rule inet t c ", ""), why };
}
const field = (protocol: string, name: string): Json => ({ payload: { protocol, field: name } });
const match = (left: Json, right: Json, op = "=="): Json => ({ match: { op, left, right } });
const meta = (key: string): Json => ({ meta: { key } });

describe("rules", () => {
  it.each<[string, Json]>([
    ["tcp dport 22", match(field("tcp", "dport"), 22)],
    ["tcp dport != 22-80", match(field("tcp", "dport"), { range: [22, 80] }, "!=")],
    ["tcp dport { 22, 80-90 }", match(field("tcp", "dport"), { set: [22, { range: [80, 90] }] })],
    ["ip saddr 10.0.0.0/8", match(field("ip", "saddr"), { prefix: { addr: "10.0.0.0", len: 8 } })],
    ["ip6 saddr @bad", match(field("ip6", "saddr"), "@bad")],
    ["tcp flags syn", match(field("tcp", "flags"), "syn", "in")],
    ["tcp flags == syn", match(field("tcp", "flags"), "syn")],
    ["tcp flags & (syn | ack) == syn", match({ "&": [field("tcp", "flags"), ["syn", "ack"]] }, "syn")],
    [
      "tcp flags & (fin | (syn | rst)) != ack",
      match({ "&": [field("tcp", "flags"), { "|": ["fin", { "|": ["syn", "rst"] }] }] }, "ack", "!="),
    ],
    ["meta mark & 255 == 1", match({ "&": [meta("mark"), 255] }, 1)],
    ["ct state established,related", match({ ct: { key: "state" } }, ["established", "related"], "in")],
    ['meta iifname "eth0 1"', match(meta("iifname"), "eth0 1")],
    ["@th,16,16 22", match({ payload: { base: "th", offset: 16, len: 16 } }, 22)],
    ["fib saddr . iif oif missing", match({ fib: { result: "oif", flags: ["saddr", "iif"] } }, false)],
    ["fib daddr type local", match({ fib: { result: "type", flags: "daddr" } }, "local")],
    ["exthdr frag exists", match({ exthdr: { name: "frag" } }, true)],
    ["frag id 5", match({ exthdr: { name: "frag", field: "id" } }, 5)],
    ["tcp option maxseg size 1460", match({ "tcp option": { name: "maxseg", field: "size" } }, 1460)],
    ["ip option rr exists", match({ "ip option": { name: "rr" } }, true)],
    ["ip saddr . tcp dport @s", match({ concat: [field("ip", "saddr"), field("tcp", "dport")] }, "@s")],
    [
      "ip saddr vmap { 1.1.1.1 : drop, 2.2.2.2 : jump d }",
      {
        vmap: {
          key: field("ip", "saddr"),
          data: {
            set: [
              ["1.1.1.1", { drop: null }],
              ["2.2.2.2", { jump: { target: "d" } }],
            ],
          },
        },
      },
    ],
    [
      "meta mark set tcp dport map { 22 : 1 }",
      { mangle: { key: meta("mark"), value: { map: { key: field("tcp", "dport"), data: { set: [[22, 1]] } } } } },
    ],
    [
      "tcp option maxseg size set 1400",
      { mangle: { key: { "tcp option": { name: "maxseg", field: "size" } }, value: 1400 } },
    ],
    ["ip ttl set 5", { mangle: { key: field("ip", "ttl"), value: 5 } }],
    ["counter", { counter: null }],
    ["counter packets 5 bytes 300", { counter: { packets: 5, bytes: 300 } }],
    ["counter name seen", { counter: "seen" }],
    ["limit rate over 10/second burst 3 packets", { limit: { rate: 10, burst: 3, per: "second", inv: true } }],
    [
      "limit rate 5 mbytes/minute burst 10 kbytes",
      { limit: { rate: 5, rate_unit: "mbytes", per: "minute", burst: 10, burst_unit: "kbytes" } },
    ],
    ["limit name slow", { limit: "slow" }],
    ['log prefix "x: " level info', { log: { prefix: "x: ", level: "info" } }],
    ["log group 2 snaplen 33", { log: { group: 2, snaplen: 33 } }],
    ["log flags all", { log: { flags: "all" } }],
    ["reject", { reject: null }],
    ["reject with tcp reset", { reject: { type: "tcp reset" } }],
    ["reject with icmpx admin-prohibited", { reject: { type: "icmpx", expr: "admin-prohibited" } }],
    ["dup to eth1", { dup: { dev: "eth1" } }],
    ["fwd to eth1", { fwd: { dev: "eth1" } }],
    ["goto far", { goto: { target: "far" } }],
  ])("%s", (text, expr) => {
    expect(ruleOf(expr)).toEqual({ rule: text, why: undefined });
  });

  it.each<[string, Json]>([
    ["`masquerade` is not supported", { masquerade: null }],
    ["`numgen` is not supported", match({ numgen: { mode: "inc", mod: 2 } }, 1)],
    ["extensions of iptables (`xt`) are not supported", { xt: null }],
    ["`log colour` is not supported", { log: { colour: 1 } }],
    ["`fwd` to an address is not supported", { fwd: { dev: "eth1", addr: "1.1.1.1", family: "ip" } }],
    [
      "elements with `timeout` are not in vrfc",
      match(field("ip", "saddr"), { set: [{ elem: { val: "1.1.1.1", timeout: 5 } }] }),
    ],
    ["expected one key, found 2", { accept: null, drop: null }],
  ])("not imported: %s", (why, expr) => {
    const { rule, why: found } = ruleOf(expr);
    expect(found).toBe(`not imported: ${why}`);
    expect(rule).toMatch(/^# not imported/);
  });
});

it("objects and commands", () => {
  const { ast, diagnostics } = importNftJson({
    nftables: [
      { metainfo: { version: "1.0.6", json_schema_version: 1 } },
      { add: { table: { family: "ip", name: "gone" } } },
      { flush: { ruleset: null } },
      { table: { family: "netdev", name: "t", comment: "of a device" } },
      {
        set: {
          family: "netdev",
          table: "t",
          name: "s",
          type: ["ipv4_addr", "inet_service"],
          flags: ["interval"],
          size: 9,
        },
      },
      { map: { family: "netdev", table: "t", name: "m", type: "ipv4_addr", map: "verdict" } },
      { counter: { family: "netdev", table: "t", name: "seen", packets: 1, bytes: 60 } },
      { limit: { family: "netdev", table: "t", name: "slow", rate: 10, per: "second", burst: 5 } },
      {
        chain: {
          family: "netdev",
          table: "t",
          name: "in",
          type: "filter",
          hook: "ingress",
          dev: "eth0",
          prio: -5,
          policy: "drop",
        },
      },
      { chain: { family: "netdev", table: "t", name: "c" } },
      { rule: { family: "netdev", table: "t", chain: "c", comment: "all", expr: [{ accept: null }] } },
      { insert: { rule: { family: "netdev", table: "t", chain: "c", expr: [{ counter: "seen" }] } } },
      { element: { family: "netdev", table: "t", name: "m", elem: [["1.1.1.1", { jump: { target: "c" } }]] } },
      { flowtable: { family: "netdev", table: "t", name: "f" } },
    ],
  });
  expect(diagnostics.map(({ message }) => message)).toEqual(["not imported: `flowtable` is not supported"]);
  expect(print(ast)).toBe(`# of a device
table netdev t {
  set s {
    type ipv4_addr . inet_service
    flags interval
    size 9
  }
  map m {
    type ipv4_addr : verdict
    elements = { 1.1.1.1 : jump c }
  }
  counter seen {
    packets 1 bytes 60
  }
  limit slow {
    rate 10/second burst 5 packets
  }
  chain in {
    type filter hook ingress device eth0 priority -5; policy drop;
  }
  chain c {
    counter name seen
    accept comment "all"
  }
}
# not imported (\`flowtable\` is not supported): {"flowtable":{"family":"netdev","table":"t","name":"f"}}
`);
});

it("never throws", () => {
  const words = [
    "rule",
    "chain",
    "table",
    "set",
    "expr",
    "match",
    "left",
    "right",
    "set",
    "elem",
    "name",
    "family",
    "&",
  ];
  const key = fc.constantFrom(...words);
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 3 }),
    ),
  }));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 4 }), (nftables) => {
      const { ast } = importNftJson({ nftables });
      print(ast);
    }),
    { numRuns: 300 },
  );
});
