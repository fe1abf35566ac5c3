/**
 * The compiled module translated to C, as an engine: wasm2c and a C compiler make examples/forwarder-c's `judge` of it, which stands in
 * for the WebAssembly instance. Linear memory goes there and comes back with each call, by named pipes, so that batches, traces,
 * neighbours, counters and maps are all the runtime's own.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { readManifest } from "../../runtime/manifest.ts";
import { cNetwork } from "../../src/c-network.ts";
import { compileModel } from "../../src/compile.ts";
import { projectRoot } from "../conformance/recordings.ts";

const WASM_RT = "/usr/share/wabt/wasm2c/wasm-rt-impl.c";

/** Why nothing can be translated here; null: it can. */
export function translationObstacle(): string | null {
  const missing = ["wasm2c", "cc", "make", "mkfifo"].find((tool) => spawnSync(tool, ["--version"]).error !== undefined);
  if (missing !== undefined) return `no ${missing} here`;
  return existsSync(WASM_RT) ? null : `no ${WASM_RT} here`;
}

/** Makes programs of examples/forwarder-c in `folder`. @param flags for the C compiler */
export function makeTranslated(
  folder: string,
  network: { wasm: Uint8Array; names: string },
  flags: string,
  ...what: string[]
) {
  const sources = join(projectRoot(), "examples/forwarder-c");
  writeFileSync(join(folder, "network.wasm"), network.wasm);
  writeFileSync(join(folder, "network-names.h"), network.names);
  const variables = ["CC=cc", "NETWORK=", `SOURCES=${sources}`, `RUNTIME=${join(projectRoot(), "runtime/c")}`];
  const args = ["-s", "-f", join(sources, "Makefile"), ...variables, `CFLAGS=${flags}`, ...what];
  execFileSync("make", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

let running: Judge | null = null;

/** Engines of a model, translated at level 2. Those that were opened before end: one network is asked at a time. */
export async function openTranslated(model: Model): Promise<readonly Engine[]> {
  const { artifact } = await compileModel(model, { level: 2 });
  const module = await WebAssembly.compile(artifact);
  const { memory } = new WebAssembly.Instance(module).exports as { memory: WebAssembly.Memory };
  running?.close();
  const judge = new Judge({ wasm: artifact, names: cNetwork(model) }, memory);
  running = judge;
  const exports = {
    [EXPORTS.memory]: memory,
    [EXPORTS.process]: (net: number, batch: number, count: number) => judge.ask([0, net, batch, count]),
    [EXPORTS.trace]: (net: number, batch: number, count: number) => judge.ask([1, net, batch, count]),
  };
  return new Dataplane({ exports } as unknown as WebAssembly.Instance, readManifest(module)).nets;
}

class Judge {
  readonly #memory: WebAssembly.Memory;
  readonly #folder = mkdtempSync(join(tmpdir(), "vrfc-judge-"));
  readonly #requests: number;
  readonly #answers: number;
  readonly #leave = (): void => this.close();

  constructor(network: { wasm: Uint8Array; names: string }, memory: WebAssembly.Memory) {
    this.#memory = memory;
    process.once("exit", this.#leave);
    makeTranslated(this.#folder, network, "-O0", "judge");
    const pipes = ["requests", "answers"].map((name) => join(this.#folder, name));
    execFileSync("mkfifo", pipes);
    spawn(join(this.#folder, "judge"), pipes, { stdio: ["ignore", "inherit", "inherit"] }).unref();
    // Each waits for the other end.
    this.#requests = openSync(pipes[0], "w");
    this.#answers = openSync(pipes[1], "r");
  }

  ask(words: readonly [what: number, net: number, batch: number, count: number]): void {
    const bytes = new Uint8Array(this.#memory.buffer);
    writeAll(this.#requests, new Uint8Array(Uint32Array.of(...words, bytes.length).buffer));
    writeAll(this.#requests, bytes);
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(this.#answers, bytes, at, bytes.length - at, null);
      if (read === 0) throw new Error("the translated module has ended");
      at += read;
    }
  }

  close(): void {
    process.off("exit", this.#leave);
    for (const pipe of [this.#requests, this.#answers]) if (pipe !== undefined) closeSync(pipe);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function writeAll(pipe: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(pipe, bytes, at);
}
