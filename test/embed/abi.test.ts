/** The tables of runtime/ABI.md name every column, entry and verdict, by its number. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { COLUMNS } from "../../runtime/batch.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";

const page = readFileSync("runtime/ABI.md", "utf8");

/** Rows of the table with this first heading: number and name. */
function rowsOf(heading: string): [number, string][] {
  const table = page.slice(page.indexOf(`| ${heading} |`)).split("\n\n")[0];
  return [...table.matchAll(/^\| (\d+) `(\w+)` \|/gm)].map(([, number, name]) => [Number(number), name]);
}

test.each([
  ["column", COLUMNS.map((name, place) => [place, name])],
  ["entry", Object.entries(Entry).map(([name, number]) => [number, name])],
  ["verdict", Object.entries(Verdict).map(([name, number]) => [number, name])],
] as const)("each %s", (heading, all) => expect(rowsOf(heading)).toEqual(all));

test("where slots begin", () => expect(page).toContain(`base + 64 + ${COLUMNS.length} * capacity * 4`));
