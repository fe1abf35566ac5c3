/** What is fast about the look-ups and is no time: loads that wait for one another, and bytes a route. Tables: test/bench/generate.ts. */
import { describe, expect, test } from "vitest";
import { buildBlocks } from "../../runtime/lpm/blocks.ts";
import { columnsOf } from "../../runtime/lpm/columns.ts";
import { buildDir24 } from "../../runtime/lpm/dir24.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { lpmProc, shapeOf } from "../../src/lpm/emit.ts";
import type { Expr, Proc, Step } from "../../src/plan/ir.ts";
import { expressions, operands } from "../../src/plan/visit.ts";
import { generateTable } from "../bench/generate.ts";

/** Of the loads of a proc without loops, how many are in the longest row in which each needs the one before. */
function dependentLoads({ name, params, body }: Proc): number {
  const behind = new Map<string, number>(params.map((reg) => [reg.name, 0]));
  const rowOf = (e: Expr): number => {
    if (e.kind === "reg") return behind.get(e.reg.name)!;
    const row = Math.max(0, ...operands(e).map(rowOf));
    return e.kind === "load" ? row + 1 : row;
  };
  let longest = 0;
  const walk = (step: Step): void => {
    if (step.kind !== "set" && step.kind !== "return" && step.kind !== "if") throw new Error(`${name}: ${step.kind}`);
    const row = Math.max(0, ...expressions(step).map(rowOf));
    longest = Math.max(longest, row);
    if (step.kind === "set") behind.set(step.reg.name, Math.max(row, behind.get(step.reg.name) ?? 0));
    if (step.kind === "if") [...step.then, ...step.otherwise].forEach(walk);
  };
  body.forEach(walk);
  return longest;
}

const loadsOf = (image: LpmImage): number => dependentLoads(lpmProc(image.kind, image.family, shapeOf(image)));
const tableOf = (family: Family, prefixes: number) => generateTable({ family, prefixes, nextHops: 16, seed: 1 });

describe("with 16 next hops", () => {
  test.each([
    // One a level and one for the value of what is found there. Small tables may take what a cache holds; blocks are shared in large ones.
    [4, 256, 3, 300],
    [4, 16_384, 3, 75],
    [4, 100_000, 3, 15],
    [6, 256, 6, 600],
    [6, 16_384, 7, 360],
  ] as const)(
    "IPv%i, %i routes: at most %i loads one after the other, %i bytes a route",
    (family, prefixes, loads, bytes) => {
      const image = buildBlocks(tableOf(family, prefixes));
      expect(loadsOf(image)).toBeLessThanOrEqual(loads);
      expect(image.bytes.length / prefixes).toBeLessThanOrEqual(bytes);
    },
  );

  test("dir24: one load, two where a prefix is longer than /24", () => {
    const columns = tableOf(4, 256);
    expect(loadsOf(buildDir24(columns))).toBe(1);
    const longer = columnsOf(4, [{ address: 0x0a000001, length: 32, value: 1 }]);
    expect(loadsOf(buildDir24(longer))).toBe(2);
  });
});
