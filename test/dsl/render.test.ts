/** How diagnostics are shown. Run: npx vitest run test/dsl/render.test.ts */
import { expect, test } from "vitest";
import type { Diagnostic } from "../../dsl/diagnostic.ts";
import { diagnosticsToJson, renderDiagnostics } from "../../dsl/render.ts";

const text = `vrf red { table 10 }
vrf blue { table 20 }
interface eth0 { master red }

interface eth0 { master blue }
`;
const source = { name: "lab.vrf", text };
const spanOf = (word: string, from = 0) => ({
  start: text.indexOf(word, from),
  end: text.indexOf(word, from) + word.length,
});
const twice: Diagnostic = {
  code: "E0208",
  severity: "error",
  message: "device `eth0` is defined twice",
  primary: { span: spanOf("eth0", 70), message: "here again" },
  secondary: [{ span: spanOf("eth0"), message: "first here" }],
  help: [
    { message: "put both into one block" },
    { message: "take the line away", edit: { span: { start: 73, end: 104 }, text: "" } },
    { message: "or add one", edit: { span: { start: 43, end: 43 }, text: "interface eth1 {}\n" } },
  ],
  kernel: "RTNETLINK answers: File exists",
};

test("second labels, what Linux says, and edits of whole lines", () => {
  expect(renderDiagnostics(source, [twice], { color: false })).toBe(`error[E0208]: device \`eth0\` is defined twice
  --> lab.vrf:5:11
   |
 3 | interface eth0 { master red }
   |           ---- first here
...
 5 | interface eth0 { master blue }
   |           ^^^^ here again
   |
   = note: Linux says: RTNETLINK answers: File exists
help: put both into one block
help: take the line away
   |
 5 - interface eth0 { master blue }
help: or add one
   |
 3 + interface eth1 {}

`);
});

test("colour changes nothing but colour", () => {
  const coloured = renderDiagnostics(source, [twice], { color: true });
  expect(coloured).toContain("\u001b[");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  expect(coloured.replaceAll(/\u001b\[\d+m/g, "")).toBe(renderDiagnostics(source, [twice], { color: false }));
});

test("several labels on one line", () => {
  const line: Diagnostic = {
    ...{ code: "E0000", severity: "warning", message: "three", help: [] },
    primary: { span: spanOf("table"), message: "in the middle" },
    secondary: [
      { span: spanOf("red"), message: "left" },
      { span: spanOf("10"), message: "right" },
    ],
  };
  expect(renderDiagnostics(source, [line], { color: false })).toBe(`warning[E0000]: three
  --> lab.vrf:1:11
   |
 1 | vrf red { table 10 }
   |     ---   ^^^^^ -- right
   |     |     |
   |     |     in the middle
   |     left

`);
});

test("of a very long line the part that matters is shown", () => {
  const long = `${"x ".repeat(500)}HERE ${"y ".repeat(500)}`;
  const at = { start: 1000, end: 1004 };
  const diagnostic: Diagnostic = {
    ...twice,
    primary: { span: at, message: "this" },
    secondary: [],
    help: [],
    kernel: "",
  };
  const rows = renderDiagnostics({ name: "x", text: long }, [diagnostic], { color: false }).split("\n");
  expect(rows[3].length).toBeLessThan(180);
  expect(rows[3].indexOf("HERE")).toBe(rows[4].indexOf("^^^^"));
});

test("an escape sequence in a policy does not reach the terminal", () => {
  const evil: Diagnostic = {
    ...twice,
    message: "\u001b[2J",
    primary: { span: { start: 0, end: 1 }, message: "" },
    secondary: [],
    help: [],
  };
  expect(renderDiagnostics({ name: "x", text: "\u001b[31m\u202e" }, [evil], { color: false })).not.toMatch(
    /[\u202e]|\p{Cc}(?<!\n)/u,
  );
});

test("JSON", () => {
  expect(diagnosticsToJson([{ source, diagnostics: [twice] }])).toEqual({
    schema: "vrfc.diagnostics/1",
    diagnostics: [
      {
        code: "E0208",
        severity: "error",
        message: "device `eth0` is defined twice",
        ...{ file: "lab.vrf", line: 5, column: 11, endLine: 5, endColumn: 15 },
        lineText: "interface eth0 { master blue }",
        label: "here again",
        notes: [
          {
            message: "first here",
            ...{ line: 3, column: 11, endLine: 3, endColumn: 15 },
            lineText: "interface eth0 { master red }",
          },
        ],
        kernel: "RTNETLINK answers: File exists",
        help: [
          { message: "put both into one block", edit: null },
          {
            message: "take the line away",
            edit: { start: 73, end: 104, text: "", line: 4, column: 1, endLine: 5, endColumn: 31 },
          },
          {
            message: "or add one",
            edit: { start: 43, end: 43, text: "interface eth1 {}\n", line: 3, column: 1, endLine: 3, endColumn: 1 },
          },
        ],
      },
    ],
  });
});
