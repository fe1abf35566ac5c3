/**
 * The seed's network with real namespaces: vrfc is the router in the middle, the kernel's own stacks are the neighbours.
 *
 *      left                     router                     right
 *   10.0.0.7 veth1 ------- vethr1   vethr2 ------- veth2 10.0.1.7
 *   2001:db8:0::7           (no address)           2001:db8:1::7
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { release } from "node:os";
import { join } from "node:path";

export const MAIN = "dist/src/cli/main.js";

/** Why these tests cannot be run here; null: they can. */
export function obstacle(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "root on Linux is needed";
  const [major, minor] = release().split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 6)) return `Linux ${release()} has no tcx`;
  for (const tool of ["ip", "ping"]) if (spawnSync(tool, ["-V"]).error !== undefined) return `no ${tool} here`;
  try {
    createRequire(import.meta.url).resolve("koffi");
  } catch {
    return "koffi is not installed";
  }
  if (!existsSync(MAIN) || newest("src/forward") > newest("dist/src/forward"))
    return "dist is older than the sources: npm run build";
  const probe = `vrfc-probe-${process.pid}`;
  if (spawnSync("ip", ["netns", "add", probe]).status !== 0) return "no network namespaces here";
  spawnSync("ip", ["netns", "del", probe]);
  return null;
}

const newest = (folder: string): number =>
  Math.max(...readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs));

export type Place = "left" | "router" | "right";

export class Namespaces {
  readonly #id = `vrfc${process.pid}`;

  name(place: Place): string {
    return `${this.#id}-${place}`;
  }

  /** `ip` in a namespace. */
  ip(place: Place, words: string): string {
    return execFileSync("ip", ["-n", this.name(place), ...words.split(" ")], { encoding: "utf8" });
  }

  /** A command in a namespace, to its end. */
  run(place: Place, command: string, ...args: string[]): { status: number | null; out: string } {
    const { status, stdout, stderr } = spawnSync("ip", ["netns", "exec", this.name(place), command, ...args], {
      encoding: "utf8",
      timeout: 20_000,
    });
    return { status, out: `${stdout}${stderr}` };
  }

  spawn(place: Place, command: string, ...args: string[]): ChildProcess {
    return spawn("ip", ["netns", "exec", this.name(place), command, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  }

  open(): void {
    for (const place of ["left", "router", "right"] as const) {
      execFileSync("ip", ["netns", "add", this.name(place)]);
      this.ip(place, "link set lo up");
    }
    this.wire("left", "veth1", "vethr1", "10.0.0", "2001:db8:0:");
    this.wire("right", "veth2", "vethr2", "10.0.1", "2001:db8:1:");
  }

  /** A neighbour's end with its addresses and default routes, and the router's with none. */
  wire(place: Place, own: string, router: string, net4: string, net6: string): void {
    this.ip("router", `link add ${router} type veth peer name ${own} netns ${this.name(place)}`);
    this.ip("router", `link set ${router} up`);
    this.ip(place, `addr add ${net4}.7/24 dev ${own}`);
    this.ip(place, `addr add ${net6}:7/64 dev ${own} nodad`);
    this.ip(place, `link set ${own} up`);
    this.ip(place, `route add default via ${net4}.1`);
    this.ip(place, `-6 route add default via ${net6}:1`);
  }

  close(): void {
    for (const place of ["left", "router", "right"] as const) spawnSync("ip", ["netns", "del", this.name(place)]);
  }
}

/** `vrfc up` in the router's namespace. */
export class Up {
  out = "";
  readonly control: string;
  readonly #process: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(namespaces: Namespaces, file: string, control: string) {
    this.control = control;
    this.#process = namespaces.spawn("router", process.execPath, MAIN, "up", file, "-O", "0", "--control", control);
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.setEncoding("utf8").on("data", (text) => {
        this.out += text;
      });
    this.ended = new Promise((resolve) => this.#process.once("exit", (status) => resolve(status)));
  }

  /** `ip netns exec` has become the command itself. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits until it has said this, `times` times. */
  async said(text: string, times = 1): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (this.out.split(text).length <= times) {
      if (Date.now() > deadline || this.#process.exitCode !== null)
        throw new Error(`\`vrfc up\` has not said ${JSON.stringify(text)}, but\n${this.out}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
