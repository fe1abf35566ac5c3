/**
 * Other people's libraries: a program of C beside this file that is built where its library is there, told when to run, and measured by
 * its own clock. What it says and is told stands at the head of each program (peers/).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Racer, WrongAnswer } from "./harness.ts";

export type Built = { readonly ok: true; readonly program: string } | { readonly ok: false; readonly why: string };

/** Beside this file, or in the source tree that this file was compiled from. */
const FOLDERS = ["./peers/", "../../../test/bench/peers/"];

/** @param name of `peers/NAME.c`; @param packages that pkg-config knows */
export function buildPeer(name: string, folder: string, packages: readonly string[] = ["libdpdk"]): Built {
  const why = (what: string): Built => ({ ok: false, why: what });
  const source = FOLDERS.map((path) => new URL(`${path}${name}.c`, import.meta.url).pathname).find(existsSync);
  if (source === undefined) return why(`peers/${name}.c is not there`);
  const flags = (kind: string) =>
    packages.length === 0
      ? { status: 0, stdout: "" }
      : spawnSync("pkg-config", [kind, ...packages], { encoding: "utf8" });
  const [cflags, libs] = [flags("--cflags"), flags("--libs")];
  if (cflags.status !== 0 || libs.status !== 0) return why("apt-get install gcc pkg-config libdpdk-dev");
  const program = join(folder, name);
  const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");
  const args = ["-O3", ...words(cflags.stdout), "-march=native", "-o", program, source, ...words(libs.stdout)];
  const gcc = spawnSync("gcc", args, { encoding: "utf8" });
  return gcc.status === 0 ? { ok: true, program } : why(gcc.stderr ?? "apt-get install gcc");
}

/** One way to look up, and what the peer says of its table. */
export interface PeerMethod {
  readonly name: string;
  readonly buildMs: number;
  /** Where the peer says it. */
  readonly bytes: number | null;
  /** To build it again; where the peer says it. */
  readonly againMs: number | null;
}

/** A running program. */
export class Peer {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly methods: PeerMethod[] = [];
  /** `NAME: REASON` of what does not hold the table. */
  readonly skipped: string[] = [];

  private constructor(process: ChildProcess) {
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  static async start(program: string, args: readonly string[]): Promise<Peer> {
    const peer = new Peer(spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] }));
    for (;;) {
      const [word, name, ...rest] = (await peer.#line()).split(" ");
      if (word === "done") return peer;
      const [buildMs, bytes = null, againMs = null] = rest.map(Number);
      if (word === "ready") peer.methods.push({ name, buildMs, bytes, againMs });
      else if (word === "skip") peer.skipped.push(`${name}: ${rest.join(" ")}`);
    }
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("a program of peers ended");
    return value;
  }

  async #ask(command: string): Promise<number> {
    this.#process.stdin!.write(`${command}\n`);
    return Number((await this.#line()).split(" ")[1]);
  }

  /**
   * All methods on a stream.
   * @param file to hand the stream over in
   * @throws WrongAnswer
   */
  async racers(stream: Uint8Array, expected: number, file: string): Promise<Racer[]> {
    writeFileSync(file, stream);
    const count = await this.#ask(`stream ${file}`);
    for (const { name } of this.methods) {
      const sum = await this.#ask(`check ${name}`);
      if (sum !== expected) throw new WrongAnswer(`${name}: checksum ${sum}, not ${expected}`);
      await this.#ask(`run ${name}`);
    }
    return this.methods.map(({ name, bytes }) => ({
      name,
      ...(bytes === null ? {} : { bytes }),
      sample: async () => (await this.#ask(`run ${name}`)) / count,
    }));
  }

  async end(): Promise<void> {
    this.#process.stdin!.end();
    if (this.#process.exitCode === null) await once(this.#process, "exit");
  }
}

/** As the peers compute it: the sum of value * (index + 1) modulo 2^32. */
export function checksum(answers: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < answers.length; i++) sum = (sum + Math.imul(answers[i], i + 1)) >>> 0;
  return sum;
}
