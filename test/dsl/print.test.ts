/** The format. Run: npx vitest run test/dsl/print.test.ts */
import { describe, expect, test } from "vitest";
import { print } from "../../dsl/print.ts";
import { parseClean } from "./support.ts";

const format = (text: string): string => print(parseClean(text));

test("nothing is nothing", () => {
  expect(format("")).toBe("");
  expect(format("\n\n  \n")).toBe("");
  expect(format("# only this")).toBe("# only this\n");
});

describe("blocks", () => {
  test("of properties go on a line when they fit", () => {
    expect(format("interface vethr1 {\n  master vrf\n  address 10.0.0.1/24\n}")).toBe(
      "interface vethr1 { master vrf; address 10.0.0.1/24 }\n",
    );
  });

  test("and on lines when they do not, or when a comment or a blank line is in them", () => {
    const addresses = Array.from({ length: 6 }, (_, i) => `address 10.0.${i}.1/24`);
    expect(format(`vrf red { ${addresses.join("; ")} }`)).toBe(`vrf red {\n  ${addresses.join("\n  ")}\n}\n`);
    expect(format("vrf red { table 10 # why\n}")).toBe("vrf red {\n  table 10 # why\n}\n");
    expect(format("vrf red { table 10\n\nup }")).toBe("vrf red {\n  table 10\n\n  up\n}\n");
  });

  test("of statements are on lines; empty ones are not", () => {
    expect(format("namespace ns0 { route default dev eth0 }")).toBe("namespace ns0 {\n  route default dev eth0\n}\n");
    expect(format("namespace ns0 {\n}\ninterface eth0\nvrf red {}")).toBe(
      "namespace ns0 {}\ninterface eth0 {}\nvrf red {}\n",
    );
  });

  test("of one ping go on a line", () => {
    expect(format('test "a" {\n ping 10.0.0.1 expect reply\n}')).toBe('test "a" { ping 10.0.0.1 expect reply }\n');
    expect(format('test "a" { ping 10.0.0.1; ping 10.0.0.2 }')).toBe(
      'test "a" {\n  ping 10.0.0.1\n  ping 10.0.0.2\n}\n',
    );
  });
});

describe("comments", () => {
  test.each([
    ["above and behind", "# above\nrule 5 nop # behind\n"],
    ["a header of its own", "# header\n\n# above\nrule 5 nop\n"],
    ["at the end of blocks and of the text", "namespace a {\n  rule 5 nop\n\n  # tail\n}\n\n# end\n"],
    ["behind the brace", "namespace a { # behind\n  rule 5 nop\n}\n"],
    ["sections and the line for the shell", "#!/usr/bin/env vrfc\n## section\nrule 5 nop\n#\n"],
    ["between next hops", "route default # default\n  # one\n  nexthop dev a # 1\n  nexthop dev b # 2\nrule 5 nop\n"],
  ])("%s stay", (_, text) => {
    expect(format(text)).toBe(text);
  });

  test("that stand elsewhere move to the first line or above it", () => {
    expect(format("vrf red {\n table 10\n} # behind the block")).toBe("vrf red { table 10 } # behind the block\n");
    expect(format("namespace a { # one\n rule 5 nop\n} # two")).toBe("# two\nnamespace a { # one\n  rule 5 nop\n}\n");
    expect(format("route default \\\n  dev a # behind the second line")).toBe(
      "route default dev a # behind the second line\n",
    );
  });

  test("several blank lines become one, at the begin of a block none", () => {
    expect(format("\n\nnamespace a {\n\n\n  rule 5 nop\n\n\n\n  rule 6 nop\n\n}\n\n\n")).toBe(
      "namespace a {\n  rule 5 nop\n\n  rule 6 nop\n}\n",
    );
  });
});
