/** `vrfc test FILE...`: the file's `test` blocks, reported as a test runner does. */

import type { Model } from "../../../dsl/model.ts";
import { runTests, type TestRun } from "../../test-run.ts";
import { renderStory, story } from "../../walk/story.ts";
import { type Painter, painter } from "../colour.ts";
import { EXIT, UsageError } from "../io.ts";
import { colourOption, engineOption, modelOf, type PolicyOptions, someFiles } from "../policy.ts";

export interface TestOptions extends PolicyOptions {
  readonly walk?: boolean;
  readonly engine: string;
  readonly json?: boolean;
}

export async function run(files: readonly string[], options: TestOptions): Promise<number> {
  const kind = engineOption(options.engine);
  const paint = painter(colourOption(options.color));
  const reports: { file: string; model: Model; runs: TestRun[] }[] = [];
  for (const file of someFiles(files)) {
    const model = modelOf(file, options);
    if (model === null) return EXIT.FINDINGS;
    if (model.tests.length === 0) throw new UsageError(`${file} has no \`test\` blocks`);
    reports.push({ file, model, runs: await runTests(model, kind) });
  }
  const tests = reports.flatMap((report) => report.runs);
  const failed = tests.filter((t) => !t.passed).length;
  if (options.json) {
    console.log(
      JSON.stringify(
        { schema: "vrfc.test/2", engine: kind, passed: tests.length - failed, failed, files: reports.map(reportJson) },
        null,
        2,
      ),
    );
  } else {
    for (const { file, model, runs } of reports) {
      console.log(paint.faint(`${file}: kernel ${model.kernel}, engine ${kind}`));
      for (const test of runs) process.stdout.write(reportText(test, model, options.walk === true, paint));
    }
    console.log(`\n${tests.length - failed} passed, ${failed} failed`);
  }
  return failed === 0 ? EXIT.OK : EXIT.FINDINGS;
}

function reportText(test: TestRun, model: Model, withWalk: boolean, paint: Painter): string {
  const mark = test.passed ? paint.good("ok  ") : paint.bad("FAIL");
  const steps = test.steps.map((step) => {
    const said = step.failure === null ? paint.good(step.outcome) : paint.bad(`${step.failure} (line ${step.line})`);
    const walked = withWalk ? `${renderStory(story(step.events, test.nets, model.source), paint)}` : "";
    return `${withWalk ? "\n" : ""}  ${step.command}: ${said}\n${walked}`;
  });
  return `${withWalk ? "\n" : ""}${mark} ${paint.strong(test.name)}\n${steps.join("")}`;
}

const reportJson = ({ file, model, runs }: { file: string; model: Model; runs: TestRun[] }) => ({
  file,
  kernel: model.kernel,
  tests: runs.map((test) => ({
    name: test.name,
    passed: test.passed,
    steps: test.steps.map((step) => ({
      kind: step.kind,
      command: step.command,
      line: step.line,
      outcome: step.outcome,
      failure: step.failure,
      walk: story(step.events, test.nets, model.source),
    })),
  })),
});
