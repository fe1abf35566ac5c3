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
import { threadId } from "node:worker_threads";

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
  const probe = `vrfc-probe-${process.pid}-${threadId}`;
  if (spawnSync("ip", ["netns", "add", probe]).status !== 0) return "no network namespaces here";
  spawnSync("ip", ["netns", "del", probe]);
  return null;
}

const newest = (folder: string): number =>
  Math.max(...readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs));

export type Place = "left" | "router" | "right";

export class Namespaces {
  static #count = 0;
  /** Tests of other files run at the same time, in threads of this process. */
  readonly #id = `vrfc${process.pid}-${threadId}-${Namespaces.#count++}`;

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

  ping(place: Place, ...args: string[]): string {
    return this.run(place, "ping", "-c1", "-W3", ...args).out;
  }

  /** The same without waiting for it here, so that what else this process does goes on. */
  async during(place: Place, command: string, ...args: string[]): Promise<string> {
    const child = this.spawn(place, command, ...args);
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text) => {
        out += text;
      });
    await new Promise((resolve) => child.once("close", resolve));
    return out;
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
