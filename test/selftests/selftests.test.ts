/**
 * The kernel's selftests: what the scripts assert holds of the recorded kernel, and of every engine; beyond that, an engine
 * passes the same netfilter hooks and gives the same bytes (src/replay-compare.ts).
 */
import { describe, expect, test } from "vitest";
import { check } from "../../dsl/check.ts";
import { importForReplay } from "../../src/import/replay.ts";
import { Networks, replay } from "../../src/replay.ts";
import { compareAnswers } from "../../src/replay-compare.ts";
import { COMPILE_TIMEOUT, QUICK_ENGINES } from "../lab/recordings.ts";
import { isPending } from "./pending.ts";
import { type Recording, readRecordings } from "./recordings.ts";
import { scripts } from "./scripts/index.ts";
import {
  type Ask,
  type Command,
  commandOf,
  isUnsupported,
  outcomes,
  type Script,
  type SelfTest,
  toScenario,
  withoutRefused,
} from "./selftest.ts";

/** `expect` beside the case that it belongs to. */
const labelled = ({ asks }: SelfTest, said: readonly string[]) => asks.map(({ about }, i) => `${about}: ${said[i]}`);
const wanted = (selftest: SelfTest) =>
  labelled(
    selftest,
    selftest.asks.map((ask) => ask.expect),
  );

describe.each(scripts)("the kernel: $script", (script) => {
  const recordings = readRecordings(script);
  test("was asked just this", () => {
    expect(recordings.map(({ expect: _, ...scenario }) => scenario)).toEqual(
      script.tests.map((selftest) => JSON.parse(JSON.stringify(toScenario(script, selftest)))),
    );
  });
  test.each(script.tests.map((selftest, i) => ({ ...selftest, i })))("$group: $name", ({ i, ...selftest }) => {
    const { expect: answer } = recordings[i];
    expect(answer.setup.map(({ cmd, rc, err }) => (rc === 0 ? cmd : { command: cmd, refused: err }))).toEqual(
      selftest.setup.map((command) =>
        typeof command === "string" ? command : { ...command, refused: expect.stringContaining(command.refused) },
      ),
    );
    expect(labelled(selftest, outcomes(selftest, answer))).toEqual(wanted(selftest));
  });
});

describe.each(scripts)("set-up: $script", ({ tests }) => {
  test.each(tests)("$group: $name", (selftest) => {
    const got = refusals(selftest.setup).sort(byCommand);
    const wanted = selftest.setup
      .flatMap((command) =>
        typeof command === "string" ? [] : [{ ...command, refused: expect.stringContaining(command.refused) }],
      )
      .sort(byCommand);
    expect(got).toEqual(wanted);
  });
});

/** Commands that are refused here, by the importer or by the checker, with the kernel's words; in no order. */
function refusals(setup: readonly Command[]): { command: string; refused: string }[] {
  const commands = setup.map(commandOf);
  const { ast, source, leftOut } = importForReplay(commands);
  const errors = check(ast, source).diagnostics.filter(({ severity }) => severity === "error");
  const lineOf = (offset: number) => source.text.slice(0, offset).split("\n").length - 1;
  return [
    ...leftOut.map(({ command, why }) => ({ command, refused: why })),
    ...errors.map(({ kernel, message, primary }) => ({
      command: commands[lineOf(primary.span.start)],
      refused: kernel ?? message,
    })),
  ];
}

const byCommand = (a: { command: string }, b: { command: string }): number => (a.command < b.command ? -1 : 1);

function questionOf(ask: Ask): unknown {
  if ("ping" in ask) return ask.ping;
  if ("query" in ask) return ask.query;
  return "frame" in ask ? ask.frame : ask.exchange;
}

const networks = new Networks();

describe.each(QUICK_ENGINES)("$name", (engine) => {
  describe.each(scripts)("$script", (script) => {
    const recordings = readRecordings(script);
    test.each(script.tests.map((selftest, i) => ({ ...selftest, i })))(
      "$group: $name",
      { timeout: COMPILE_TIMEOUT },
      async ({ i, ...selftest }) => {
        const { got, differences } = await answersOf(script, selftest, recordings[i]);
        const isOpen = selftest.asks.map((ask) => isPending(ask, engine.engine));
        // What is pending is still unsupported: else it is to be taken off the list.
        expect(got.map(isUnsupported)).toEqual(isOpen);
        const expected = wanted(selftest);
        expect(labelled(selftest, got).filter((_, k) => !isOpen[k])).toEqual(expected.filter((_, k) => !isOpen[k]));
        expect(differences).toEqual([]);
      },
    );
  });

  async function answersOf(script: Script, selftest: SelfTest, recording: Recording) {
    const scenario = { ...withoutRefused(script, selftest), expect: recording.expect };
    const [answer] = await replay([scenario], { ...engine, networks });
    const pending = selftest.asks.filter((ask) => isPending(ask, engine.engine));
    const isPendingQuestion = (asked: unknown) => pending.some((ask) => asked === questionOf(ask));
    const { differences } = compareAnswers([scenario], [answer]);
    return {
      got: outcomes(selftest, answer),
      differences: differences.filter(({ asked }) => !isPendingQuestion(asked)),
    };
  }
});
