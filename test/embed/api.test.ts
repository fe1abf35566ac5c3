/** The public surface of `vrfc/runtime`, held against its report. */
import { test } from "vitest";
import { expectGolden } from "../golden.ts";
import { apiReport } from "./api-report.ts";

const REPORT = "runtime/runtime.api.md";
const HEAD = `# API of vrfc/runtime

Made by test/embed/api-report.ts (\`npm run api\` writes it anew): do not change it here. What each name means stands at its definition.

`;

test("the exports are what the report says (`npm run api`)", () => {
  const report = HEAD + apiReport("runtime/index.ts");
  expectGolden(REPORT, report);
}, 120_000);
