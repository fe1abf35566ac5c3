/** Files that hold what is expected to the letter. BLESS=1 writes them anew, and the difference is to be read in review. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";

export function expectGolden(file: URL | string, found: string): void {
  if (process.env.BLESS) writeFileSync(file, found);
  expect(found).toBe(readFileSync(file, "utf8"));
}
