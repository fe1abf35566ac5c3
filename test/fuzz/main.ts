/**
 * `npm run fuzz`: draws namespaces and packets for as long as it is told, and expects every engine to say the same of them:
 * the reference, the plan interpreted, and the wasm, at all levels and with every look-up structure that is small enough.
 * What differs is made small, and printed with the line that brings it back.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import type { Model } from "../../dsl/model.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { LpmKind } from "../../runtime/lpm/lpm.ts";
import { type BackEndOptions, compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { expectAgreement } from "../compiled/agree.ts";
import { planEngines } from "../compiled/plan-engine.ts";
import { anyModel } from "../compiled/random-model.ts";
import { anyPacket } from "../compiled/random-packets.ts";

const HELP = `npm run fuzz -- [options]

  --minutes N   how long (default 10)
  --seed N      of the draw (default: of the clock)
  --path P      of one failure, as it was printed
  --help        this

Status 0: every engine agreed. 1: two did not. 2: wrong use.`;

/** DIR-24-8 is 16 MiB a table, which is too much for as many. */
const STRUCTURES: readonly (LpmKind | undefined)[] = [undefined, "linear", "blocks", "ranges", "spill"];
const MINUTE = 60_000;
/** Milliseconds between two lines of progress. */
const REPORT = 30_000;

interface Variant {
  readonly level: 0 | 1 | 2;
  readonly lpm: LpmKind | undefined;
}
const anyVariant: fc.Arbitrary<Variant> = fc.record({
  // Optimising costs seconds; most of what can go wrong does so without.
  level: fc.constantFrom(0, 0, 0, 1, 2),
  lpm: fc.constantFrom(...STRUCTURES),
});
const packets = fc.array(anyPacket, { minLength: 1, maxLength: 60, size: "max" });

async function enginesOf(model: Model, { level, lpm }: Variant): Promise<Engine[]> {
  const options: BackEndOptions & { level: Variant["level"] } = { level, ...(lpm === undefined ? {} : { lpm }) };
  const dataplane = await load((await compileModel(model, options)).artifact);
  return [referenceEngine(model.nets[0], model.kernel), planEngines(model, options)[0], dataplane.net(0)];
}

interface Run {
  readonly minutes: number;
  readonly seed: number;
  readonly path?: string;
}

/** @returns true when all engines agreed */
async function fuzz({ minutes, seed, path }: Run): Promise<boolean> {
  let [networks, judged, said] = [0, 0, Date.now()];
  const property = fc.asyncProperty(anyModel(), packets, anyVariant, async (model, drawn, variant) => {
    expectAgreement(await enginesOf(model, variant), drawn);
    networks++;
    judged += drawn.length;
    if (Date.now() - said < REPORT) return;
    said = Date.now();
    console.log(`${networks} networks, ${judged} packets`);
  });
  const result = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: minutes * MINUTE,
    ...(path === undefined ? {} : { path, endOnFailure: true }),
  });
  console.log(`${networks} networks, ${judged} packets, seed ${seed}`);
  if (!result.failed) return true;
  console.log(fc.defaultReportMessage(result));
  console.log(`again: npm run fuzz -- --seed ${seed} --path ${result.counterexamplePath}`);
  return false;
}

function wholeNumber(name: string, text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n)) throw new TypeError(`--${name} takes a whole number, not ${text}`);
  return n;
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: "string", default: "10" },
      seed: { type: "string" },
      path: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new TypeError(`--minutes takes a number above 0, not ${values.minutes}`);
  const seed = values.seed === undefined ? Date.now() & 0x7fffffff : wholeNumber("seed", values.seed);
  const agreed = await fuzz({ minutes, seed, ...(values.path === undefined ? {} : { path: values.path }) });
  return agreed ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // parseArgs, too, throws these.
  if (!(error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
