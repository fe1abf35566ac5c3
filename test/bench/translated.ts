/** The module translated to C (wasm2c, cc -O2) as a racer of `packets`: examples/forwarder-c/bench.c, on the same frames. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Model } from "../../dsl/model.ts";
import type { Engine } from "../../runtime/engine.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { cNetwork } from "../../src/c-network.ts";
import { makeTranslated } from "../embed/translated.ts";
import { type Racer, WrongAnswer } from "./harness.ts";

/** What a run consists of. */
export interface FrameRun {
  readonly frames: readonly { readonly device: number; readonly bytes: Uint8Array }[];
  readonly batch: number;
  readonly slotSize: number;
  /** Runs until frames are put back as they were. */
  readonly lives: number;
}

/** A sample takes at least so long. */
const SAMPLE_NS = 2e6;

export class Translated {
  readonly #folder = mkdtempSync(join(tmpdir(), "vrfc-bench-c-"));
  #process: ChildProcess | null = null;

  constructor(model: Model, artifact: Uint8Array) {
    makeTranslated(this.#folder, { wasm: artifact, names: cNetwork(model) }, "-O2", "bench");
  }

  /** @param engine whose answers are the right ones @throws WrongAnswer */
  async racer(run: FrameRun, engine: Engine): Promise<Racer> {
    const file = join(this.#folder, "frames");
    writeFileSync(file, encode(run));
    await this.end();
    const child = spawn(join(this.#folder, "bench"), [file], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = child;
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const line = async (): Promise<string> => {
      const { value, done } = await lines.next();
      if (done) throw new Error("bench of the translated module has ended");
      return value;
    };
    const [said, expected] = [await line(), `ready ${answersOf(run, engine)}`];
    if (said !== expected) throw new WrongAnswer(`the translated module says ${said}, not ${expected}`);
    const time = async (runs: number): Promise<number> => {
      child.stdin.write(`${runs}\n`);
      return Number(await line());
    };
    const repeats = Math.max(1, Math.ceil(SAMPLE_NS / (await time(1))));
    return { name: "C by wasm2c", sample: async () => (await time(repeats)) / (repeats * run.frames.length) };
  }

  async end(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null) return;
    child.stdin!.end();
    if (child.exitCode === null) await once(child, "exit");
  }

  async close(): Promise<void> {
    await this.end();
    rmSync(this.#folder, { recursive: true });
  }
}

/** As bench.c reads it; its namespace is the first. */
function encode({ frames, batch, slotSize, lives }: FrameRun): Uint8Array {
  const parts = frames.flatMap(({ device, bytes }) => [words(device, bytes.length), bytes]);
  return Buffer.concat([words(0, batch, slotSize, lives, frames.length), ...parts]);
}

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** How many packets are sent, and bench.c's sum over them. */
function answersOf({ frames, batch: size, slotSize }: FrameRun, engine: Engine): string {
  const batch = engine.createBatch(size, slotSize);
  let [sent, sum] = [0, 0];
  for (let start = 0; start < frames.length; start += size) {
    batch.count = 0;
    for (const { device, bytes } of frames.slice(start, start + size))
      batch.put(bytes, { entry: Entry.RECEIVE, device });
    engine.process(batch);
    for (let i = 0; i < batch.count; i++) {
      if (batch.column("verdict")[i] !== Verdict.TRANSMIT) continue;
      sent++;
      sum = (Math.imul(sum, 31) + batch.column("outDevice")[i]) >>> 0;
      for (const byte of batch.packet(i)) sum = (Math.imul(sum, 31) + byte) >>> 0;
    }
  }
  return `${sent} ${sum}`;
}
