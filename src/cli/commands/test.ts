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
        { schema: "vrfc.test/1", engine: kind, passed: tests.length - failed, failed, files: reports.map(reportJson) },
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
  const pings = test.pings.map((ping) => {
    const said = ping.failure === null ? paint.good(ping.outcome) : paint.bad(`${ping.failure} (line ${ping.line})`);
    const walked = withWalk ? `${renderStory(story(ping.ping.events, test.nets, model.source), paint)}` : "";
    return `${withWalk ? "\n" : ""}  ${ping.command}: ${said}\n${walked}`;
  });
  return `${withWalk ? "\n" : ""}${mark} ${paint.strong(test.name)}\n${pings.join("")}`;
}

const reportJson = ({ file, model, runs }: { file: string; model: Model; runs: TestRun[] }) => ({
  file,
  kernel: model.kernel,
  tests: runs.map((test) => ({
    name: test.name,
    passed: test.passed,
    pings: test.pings.map((ping) => ({
      command: ping.command,
      line: ping.line,
      outcome: ping.outcome,
      failure: ping.failure,
      walk: story(ping.ping.events, test.nets, model.source),
    })),
  })),
});
