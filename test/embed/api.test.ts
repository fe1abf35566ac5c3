/** The public surface of `vrfc/runtime`, held against its report. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { apiReport } from "./api-report.ts";

const REPORT = "runtime/runtime.api.md";
const HEAD = `# API of vrfc/runtime

Made by test/embed/api-report.ts (\`npm run api\` writes it anew): do not change it here. What each name means stands at its definition.

`;

test("the exports are what the report says (`npm run api`)", () => {
  const report = HEAD + apiReport("runtime/index.ts");
  if (process.env.BLESS === "1") writeFileSync(REPORT, report);
  expect(report).toBe(readFileSync(REPORT, "utf8"));
}, 120_000);
