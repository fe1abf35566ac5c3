/** `npm run conformance`: how well every engine answers as the kernel does, on recordings or, with --kernel, anew. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { OracleUnavailable } from "../kernel/guest-image.ts";
import { askKernel } from "../kernel/oracle.ts";
import { recorded } from "../kernel/recorded.ts";
import { ENGINES } from "./engines.ts";
import { generate } from "./generate.ts";
import { knownDifferences } from "./known.ts";
import { ownRecordings, type Recording, readRecording } from "./recordings.ts";
import { type Conformance, conformance, type Row, tableText } from "./table.ts";

const HELP = `npm run conformance -- [FILE.json[.gz] ...] [options]

Replays the recordings under test/ and the files named, on every engine, and prints how often each answers as the kernel did.
"unsupported" questions were not answered, and said so; the percentage is of the others.

  --only          not those under test/
  --engine NAME   ${Object.keys(ENGINES).join(", ")}; may be repeated (default: reference, compiled-O0)
                  c: the module translated by wasm2c; slow, needs wabt and a C compiler
  --least N       percent that every row must reach (default 99.5), but for the known differences
                  of test/conformance/known.ts; else the status is 1
  --verbose N     differences to print (default 0)
  --json          print JSON

  --kernel        instead: draw networks, ask a real kernel (Debian's, in QEMU) about them, and compare
  --seed N        of the draw (default: of the clock)
  --networks N    of each kind, look-ups and frames (default 4)
  --queries N     a network (default 150)
  --frames N      a network (default 120)
  --family F      of the frames: 4, 6 or both (default both)
  --keep FILE     write what was asked and answered, a recording like those of the tests
  --help          this

Status 0: all rows reach the percentage. 1: one does not. 2: wrong use, or no kernel can be asked here.`;

class UsageError extends Error {}

function options(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        only: { type: "boolean", default: false },
        engine: { type: "string", multiple: true, default: ["reference", "compiled-O0"] },
        least: { type: "string", default: "99.5" },
        verbose: { type: "string", default: "0" },
        json: { type: "boolean", default: false },
        kernel: { type: "boolean", default: false },
        seed: { type: "string" },
        networks: { type: "string", default: "4" },
        queries: { type: "string", default: "150" },
        frames: { type: "string", default: "120" },
        family: { type: "string", default: "both" },
        keep: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
type Options = ReturnType<typeof options>["values"];

function count(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 0) throw new UsageError(`--${name} takes a whole number, not ${text}`);
  return n;
}

function percent(text: string): number {
  const n = Number(text);
  if (!(n >= 0 && n <= 100)) throw new UsageError(`--least takes a percentage, not ${text}`);
  return n;
}

/** Asks the kernel about networks that a seed determines. */
async function fresh(values: Options): Promise<Recording> {
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : count("seed", values.seed);
  if (!["4", "6", "both"].includes(values.family)) throw new UsageError(`--family ${values.family}: 4, 6 or both`);
  const scenarios = generate({
    seed,
    networks: count("networks", values.networks),
    queries: count("queries", values.queries),
    frames: count("frames", values.frames),
    kinds: { ipv4: values.family !== "6", ipv6: values.family !== "4" },
  });
  console.error(
    `seed ${seed}; again: npm run conformance -- --kernel --seed ${seed} --networks ${values.networks} --family ${values.family}`,
  );
  const answers = await askKernel(scenarios, { say: (line) => console.error(line) });
  // nft itself ends at a few rule sets (an assertion of evaluate.c).
  for (const { name, failed } of answers) if (failed !== undefined) console.error(`left out: ${name}: ${failed}`);
  const recording = scenarios.flatMap((scenario, i) =>
    answers[i].failed === undefined ? [recorded(scenario, answers[i])] : [],
  );
  if (values.keep !== undefined) writeFileSync(values.keep, gzipSync(JSON.stringify(recording), { level: 9 }));
  return { name: `kernel, seed ${seed}`, scenarios: recording };
}

const read = (file: string): Recording => {
  try {
    return readRecording(file);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
};

async function main(args: string[]): Promise<number> {
  const { values, positionals } = options(args);
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const unknown = values.engine.find((name) => !(name in ENGINES));
  if (unknown !== undefined) throw new UsageError(`--engine ${unknown}: one of ${Object.keys(ENGINES).join(", ")}`);
  for (const name of values.engine) {
    const obstacle = ENGINES[name].obstacle?.() ?? null;
    if (obstacle !== null) throw new UsageError(`--engine ${name}: ${obstacle}`);
  }
  const engines = Object.fromEntries(values.engine.map((name) => [name, ENGINES[name]]));
  const least = percent(values.least);
  const files = positionals.map(read);
  const recordings = values.kernel ? [await fresh(values)] : [...(values.only ? [] : ownRecordings()), ...files];
  const results: Conformance[] = [];
  for (const recording of recordings) results.push(await conformance(recording, engines));
  print(results, values);
  return results.every(({ rows }) => rows.every((row) => row.percent >= least || isKnown(row))) ? 0 : 1;
}

/** No more differences than are known of this recording. */
const isKnown = ({ recording, kind, agree, total, unsupported }: Row): boolean =>
  total - agree - unsupported <= knownDifferences(recording, kind);

function print(results: readonly Conformance[], values: Options): void {
  const rows = results.flatMap((result) => result.rows);
  const differences = results.flatMap((result) => result.differences).slice(0, count("verbose", values.verbose));
  if (values.json) {
    console.log(JSON.stringify({ schema: "vrfc.conformance/1", rows, differences }, null, 2));
    return;
  }
  console.log(tableText(rows));
  for (const { engine, kind, scenario, asked, expected, got } of differences) {
    console.log(`\n${kind}, ${scenario}, ${engine}`);
    for (const [word, what] of Object.entries({ asked, kernel: expected, vrfc: got }))
      console.log(`  ${word.padEnd(8)}${JSON.stringify(what)}`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof OracleUnavailable)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
