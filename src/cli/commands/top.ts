/** `vrfc top`: what a running forwarder counts, as rates; on a terminal a page that is drawn anew, else lines. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Reading } from "../../forward/counters.ts";
import { rates, renderTop } from "../../forward/top.ts";
import { EXIT, output } from "../io.ts";
import { numberOption } from "../policy.ts";
import { answerOf, type ControlOptions } from "./reload.ts";

export interface TopOptions extends ControlOptions {
  readonly interval: string | number;
  readonly count?: string | number;
  readonly json?: boolean;
}

/** Clears the screen, and goes to its first line. */
const HOME = "\x1b[H\x1b[2J";
const SECOND_MS = 1000;

export async function run(options: TopOptions): Promise<number> {
  const interval = numberOption("interval", options.interval, 1, 3600);
  const rounds = options.count === undefined ? Number.POSITIVE_INFINITY : numberOption("count", options.count, 1, 1e9);
  if (options.json) {
    console.log(JSON.stringify(await read(options)));
    return EXIT.OK;
  }
  let before = await read(options);
  for (let round = 0; round < rounds && !output.closed; round++) {
    await sleep(interval * SECOND_MS);
    const after = await read(options);
    const page = renderTop(rates(before, after));
    process.stdout.write(process.stdout.isTTY ? HOME + page : `${page}\n`);
    before = after;
  }
  return EXIT.OK;
}

const read = async (options: ControlOptions): Promise<Reading> => (await answerOf(options, "counters")).reading!;
