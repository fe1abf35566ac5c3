/** Whatever the text: the importer does not throw, and what it makes can be printed, read again and checked. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import { parse } from "../../dsl/parse.ts";
import { print } from "../../dsl/print.ts";
import { imported } from "./helpers.ts";

const SEED = readFileSync(new URL("../../examples/seed.sh", import.meta.url), "utf8");

/** Words that lead far into the grammar. */
const WORD = fc.constantFrom(
  ..."ip link addr route rule neigh nexthop netns add del set replace append change flush exec -n -6 -4 -batch - dev type vrf veth dummy peer name master nomaster up down mtu table via nexthop weight metric src scope proto onlink nhid id group blackhole unreachable default 10.0.0.1 10.0.0.0/24 2001:db8::1 fe80::/10 0 1 4294967296 lo d0 red ns0 pref not from to iif oif fwmark 0x1/0xff tos ipproto sport 1-2 uidrange l3mdev goto nop lookup local main suppress_prefixlength lladdr 02:00:00:00:00:01 nud permanent ping -I -t red/d0 sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.default.rp_filter=2 ifconfig netmask echo > >> /proc/sys/net/ipv4/ip_forward << EOF ; && || | & ( ) { } # ' \" \\ $ $( $(( ${ ` for in do done if fi while case esac function constructor __proto__ toString".split(
    " ",
  ),
  "\n",
  "",
);
const LINE = fc.array(WORD, { maxLength: 12 }).map((words) => words.join(" "));
const SCRIPT = fc
  .array(fc.oneof(LINE, fc.constantFrom(...SEED.split("\n")), fc.string({ maxLength: 20 })), { maxLength: 30 })
  .map((lines) => lines.join("\n"));

/** The seed's script with some characters taken out, put in or moved. */
const MUTATION = fc
  .array(fc.tuple(fc.nat(SEED.length), fc.nat(12), fc.oneof(fc.string({ maxLength: 6 }), WORD)), {
    minLength: 1,
    maxLength: 6,
  })
  .map((edits) =>
    edits.reduce((text, [at, length, insert]) => text.slice(0, at) + insert + text.slice(at + length), SEED),
  );

function survives(text: string): void {
  const { ast, diagnostics } = imported(text);
  for (const { primary, secondary } of diagnostics)
    for (const { span } of [primary, ...secondary]) {
      expect(span.start).toBeGreaterThanOrEqual(0);
      expect(span.end).toBeGreaterThanOrEqual(span.start);
      expect(span.end).toBeLessThanOrEqual(text.length);
    }
  const policy = print(ast);
  parse({ name: "printed", text: policy });
  check(ast, { name: "script", text });
}

describe("any text", () => {
  it("of words of the grammar", () => fc.assert(fc.property(SCRIPT, survives), { numRuns: 400 }));
  it("that is nearly the seed's script", () => fc.assert(fc.property(MUTATION, survives), { numRuns: 200 }));
  it("at all", () => fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), survives), { numRuns: 200 }));
});

it("prints to text that reads back without errors, for scripts of real commands", () => {
  const command = fc.constantFrom(...SEED.split("\n").filter((line) => line !== "" && !line.startsWith("#")));
  fc.assert(
    fc.property(fc.array(command, { maxLength: 30 }), (lines) => {
      const text = print(imported(lines.join("\n")).ast);
      expect(parse({ name: "printed", text }).diagnostics).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
