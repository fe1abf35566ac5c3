/** What no text can say, but an AST that an importer builds: the checker relies on nothing that the parser has looked at. */
import { expect, test } from "vitest";
import type { File, Route } from "../../dsl/ast.ts";
import { check, parse } from "../../dsl/index.ts";

const source = { name: "test.vrf", text: "interface eth0 { address 10.0.0.1/24 }\nroute 10.1.0.0/16 dev eth0\n" };

/** The codes found when the route is changed. */
function codesWith(change: (route: Route) => Route): string[] {
  const { ast } = parse(source);
  const items = ast.items.map((item) => (item.kind === "route" ? change(item) : item));
  return check({ ...ast, items } as File, source).diagnostics.map((d) => d.code);
}

test.each<[string, (route: Route) => Route]>([
  ["E0240", (route) => ({ ...route, family: { value: 6, span: route.span } })],
  ["E0241", (route) => ({ ...route, type: { value: "unreachabel", span: route.span } })],
  ["E0244", (route) => ({ ...route, prefix: { value: { address: 0, length: 33 }, span: route.span } })],
])("%s", (code, change) => {
  expect(codesWith(change)).toEqual([code]);
});

test("nothing changed, nothing found", () => {
  expect(codesWith((route) => route)).toEqual([]);
});
