/** What may stand in the middle: `vrfc up`, the forwarder in C, and the kernel itself, to compare with. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cNetwork } from "../../src/c-network.ts";
import { compile } from "../../src/compile.ts";
import { makeTranslated, translationObstacle } from "../embed/translated.ts";
import { MAIN, type Namespaces, obstacle } from "./namespaces.ts";

export interface Router {
  readonly name: string;
  /** Why it cannot be had here; null: it can. */
  obstacle(): string | null;
  /** Forwards in the router's namespace as the file says. */
  start(namespaces: Namespaces, file: string): Promise<Running>;
}

/** A process that forwards. */
export interface Running {
  /** What it has said. */
  readonly out: string;
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Its exit status; null: a signal ended it. */
  readonly ended: Promise<number | null>;
}

const START_MS = 30_000;

export class Program implements Running {
  out = "";
  readonly ended: Promise<number | null>;
  readonly #process: ChildProcess;

  /** `ip netns exec` becomes the command itself. */
  constructor(namespaces: Namespaces, command: string, ...args: string[]) {
    this.#process = namespaces.spawn("router", command, ...args);
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.setEncoding("utf8").on("data", (text) => {
        this.out += text;
      });
    this.ended = new Promise((resolve) => this.#process.once("exit", (status) => resolve(status)));
  }

  get pid(): number {
    return this.#process.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits until it has said this, `times` times. */
  async said(text: string, times = 1): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (this.out.split(text).length <= times) {
      if (Date.now() > deadline || this.#process.exitCode !== null)
        throw new Error(`it has not said ${JSON.stringify(text)}, but\n${this.out}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** `vrfc up`. @param args further ones */
export async function vrfcUp(
  namespaces: Namespaces,
  file: string,
  control: string,
  ...args: string[]
): Promise<Program> {
  const up = new Program(namespaces, process.execPath, MAIN, "up", file, "--control", control, ...args);
  await up.said("counters:");
  return up;
}

export const NODE: Router = {
  name: "vrfc up",
  obstacle,
  start: (namespaces, file) => vrfcUp(namespaces, file, `${file}.sock`),
};

export const NODE_THREADS: Router = {
  name: "vrfc up --threads 2",
  obstacle,
  start: (namespaces, file) => vrfcUp(namespaces, file, `${file}.sock`, "--threads", "2"),
};

export const C: Router = {
  name: "forwarder in C",
  obstacle: () => obstacle() ?? translationObstacle(),
  start: async (namespaces, file) => {
    const folder = mkdtempSync(join(tmpdir(), "vrfc-forwarder-c-"));
    const { artifact, model } = await compile({ name: file, text: readFileSync(file, "utf8") });
    makeTranslated(folder, { wasm: artifact!, names: cNetwork(model!) }, "-O2", "forwarder");
    const running = new Program(namespaces, join(folder, "forwarder"), "-n", "host");
    void running.ended.then(() => rmSync(folder, { recursive: true }));
    await running.said("forwarding for namespace host");
    return running;
  },
};

/** The addresses of the seed's router, in a namespace without a VRF. */
export const KERNEL: Router = {
  name: "kernel",
  obstacle,
  start: async (namespaces) => {
    const addresses = [
      ["vethr1", "10.0.0.1/24"],
      ["vethr2", "10.0.1.1/24"],
      ["vethr1", "2001:db8:0::1/64"],
      ["vethr2", "2001:db8:1::1/64"],
    ] as const;
    const nodad = (address: string): string => (address.includes(":") ? " nodad" : "");
    for (const [device, address] of addresses)
      namespaces.ip("router", `addr add ${address} dev ${device}${nodad(address)}`);
    const forward = (value: number): void => {
      for (const setting of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"])
        namespaces.run("router", "sh", "-c", `echo ${value} >/proc/sys/net/${setting}`);
    };
    forward(1);
    let end = (_: number): void => {};
    const ended = new Promise<number>((resolve) => {
      end = resolve;
    });
    const kill = (): void => {
      forward(0);
      for (const [device, address] of addresses) namespaces.ip("router", `addr del ${address} dev ${device}`);
      end(0);
    };
    return { out: "", pid: 0, kill, ended };
  },
};
