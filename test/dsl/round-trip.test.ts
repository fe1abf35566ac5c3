/**
 * parse and print are inverse to each other, and neither ever throws.
 * Run: npx vitest run test/dsl/round-trip.test.ts; a failure prints its seed.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { print } from "../../dsl/print.ts";
import { renderDiagnostics } from "../../dsl/render.ts";
import { tokenize } from "../../dsl/tokens.ts";
import { file } from "./arbitrary-ast.ts";
import { EVERYTHING, parseClean, parseText, withoutSpans } from "./support.ts";

describe("print, then parse", () => {
  test("gives the same tree", () => {
    fc.assert(
      fc.property(file, (ast) => {
        expect(withoutSpans(parseClean(print(ast)))).toEqual(withoutSpans(ast));
      }),
      { numRuns: 300 },
    );
  });

  test("and print again, gives the same text", () => {
    fc.assert(
      fc.property(file, (ast) => {
        const text = print(ast);
        expect(print(parseClean(text))).toBe(text);
      }),
    );
  });
});

// Texts that went wrong somewhere: characters taken out, put in, exchanged; lines mixed.

const piece = fc.oneof(
  fc.constantFrom(
    ...'{};="#\\\n \t\r/:-0',
    "}\n",
    "via ",
    "route ",
    "nexthop via ",
    "vrf { ",
    'test "x" {',
    "expect ",
    " # c\n",
  ),
  fc.string({ unit: "binary", maxLength: 3 }),
);
interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: string;
}
const edit: fc.Arbitrary<Edit> = fc.record({ at: fc.nat(EVERYTHING.length), remove: fc.nat(12), insert: piece });
const mutated = fc
  .array(edit, { minLength: 1, maxLength: 4 })
  .map((edits) =>
    edits.reduce((text, { at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove), EVERYTHING),
  );

/** The same text in another layout: comments, blank lines, continued lines. What is meant stays the same. */
const layout = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { minLength: 60, maxLength: 60 }).map((choices) =>
  EVERYTHING.split("\n")
    .map((line, i) => {
      const [end, inside] = choices[i % choices.length];
      const ends = ["", " # behind", "\n", "\n# below", "\n\n  ## below a blank line\n", "  ", "\t#close behind", "\r"];
      const words = /["#]/.test(line) ? line : line.replaceAll(" ", [" ", " \\\n ", "\t"][inside] ?? " ");
      return words + ends[end];
    })
    .join("\n"),
);

const words = fc.constantFrom(..."{};=\n", ...EVERYTHING.split(/\s+/));
const soup = fc.array(words, { maxLength: 60 }).map((all) => all.join(" "));
const anything = fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), soup, mutated);

function spansOf(value: unknown): { start: number; end: number }[] {
  if (typeof value !== "object" || value === null) return [];
  const own = "span" in value ? [value.span as { start: number; end: number }] : [];
  return [...own, ...Object.values(value).flatMap(spansOf)];
}

describe("whatever the text", () => {
  test("parse, print and render do not throw, and every span is inside the text", () => {
    fc.assert(
      fc.property(anything, (text) => {
        const { ast, diagnostics } = parseText(text);
        print(ast);
        renderDiagnostics({ name: "policy", text }, diagnostics, { color: true });
        for (const { start, end } of spansOf([
          ast,
          diagnostics,
          diagnostics.flatMap((d) => d.help.map((h) => ({ ...h.edit }))),
        ])) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(end).toBeGreaterThanOrEqual(start);
          expect(end).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("what was understood of it prints to a text that is understood the same", () => {
    fc.assert(
      fc.property(anything, (text) => {
        const { ast } = parseText(text);
        const printed = print(ast);
        expect(print(parseClean(printed))).toBe(printed);
      }),
      { numRuns: 300 },
    );
  });

  test("formatting keeps the tree and every comment, however it is laid out", () => {
    fc.assert(
      fc.property(layout, (text) => {
        const ast = parseClean(text);
        const printed = print(ast);
        const comments = (of: string) =>
          tokenize(of)
            .comments.map((c) => c.image.replace(/^#[ \t]?/, "").trimEnd())
            .sort();
        expect(comments(printed)).toEqual(comments(text));
        expect(withoutComments(parseClean(printed))).toEqual(withoutComments(ast));
        expect(withoutComments(ast)).toEqual(withoutComments(parseClean(EVERYTHING)));
      }),
    );
  });

  test("one line makes one error at most", () => {
    const oneLine = fc
      .array(
        words.filter((word) => !/[{};\n]/.test(word)),
        { minLength: 1, maxLength: 20 },
      )
      .map((all) => all.join(" "));
    fc.assert(
      fc.property(oneLine, (text) => {
        const { diagnostics } = parseText(text.replaceAll("#", ""));
        expect(diagnostics.filter((d) => d.severity === "error").length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });

  test("ten thousand braces, quotes or colons are no matter", () => {
    for (const text of ["{", "}", '"', ":", "vrf x {", "chain { ", "nexthop via\n", "\\\n"].map((part) =>
      part.repeat(10_000),
    )) {
      expect(() => print(parseText(text).ast)).not.toThrow();
    }
  });
});

/** Comments may move when they stood in the middle of a statement, and blank lines with them. */
function withoutComments(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutComments);
  if (typeof value !== "object" || value === null) return value;
  const dropped = ["span", "comments", "trailing", "tail", "blankBefore"];
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !dropped.includes(key))
      .map(([key, part]) => [key, withoutComments(part)]),
  );
}
