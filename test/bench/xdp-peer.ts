/**
 * The XDP programs of peers/xdp.bpf.c beside us: the same routes, neighbours and frames, in a network namespace of their own. This kernel may
 * have no VRF devices: `ip rule iif` and a table for each stand for them, both for bpf_fib_lookup and in what the others look up.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { formatMac, writeMac } from "../../runtime/net/mac.ts";
import { type Racer, WrongAnswer } from "./harness.ts";

/** What the programs forward by. Numbers of hops are from 1. */
export interface XdpNetwork {
  readonly devices: readonly {
    readonly name: string;
    readonly ifindex: number;
    readonly mac: number;
    readonly vrf: number;
    readonly address: string;
  }[];
  readonly hops: readonly {
    readonly ifindex: number;
    readonly mac: number;
    readonly neighbour: number;
    readonly address: string;
  }[];
  /** Shorter ones first. hop LOCAL: this host. */
  readonly routes: readonly {
    readonly vrf: number;
    readonly network: number;
    readonly length: number;
    readonly hop: number;
  }[];
}
export const LOCAL = 0x7fff;

const NAMESPACE = `vrfc-xdp-${process.pid}`;
const MTU = 1500;
const SLOT = 72;
const DEBIAN = "apt-get install clang gcc libbpf-dev iproute2";

/** Programs that are built, or why they are not. */
export type XdpPrograms =
  | { readonly ok: true; readonly folder: string; readonly program: string; readonly object: string }
  | { readonly ok: false; readonly why: string };

export function buildXdp(): XdpPrograms {
  const why = (what: string): XdpPrograms => ({ ok: false, why: `XDP with dir24, trie, fib: ${what}` });
  if (process.getuid?.() !== 0) return why("bpf(2) wants root");
  const source = ["./peers/xdp.c", "../../../test/bench/peers/xdp.c"]
    .map((path) => new URL(path, import.meta.url).pathname)
    .find(existsSync);
  if (source === undefined) return why("peers/xdp.c is not there");
  const folder = mkdtempSync(join(tmpdir(), "vrfc-xdp-"));
  const [program, object] = [join(folder, "xdp"), join(folder, "xdp.o")];
  const machine = spawnSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const bpf = ["-O2", "-g", "-target", "bpf", `-I/usr/include/${machine}`, "-c", "-o", object];
  const steps: [string, string[]][] = [
    ["clang", [...bpf, join(dirname(source), "xdp.bpf.c")]],
    ["gcc", ["-O2", "-o", program, source, "-lbpf"]],
  ];
  for (const [command, args] of steps) {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status === 0) continue;
    rmSync(folder, { recursive: true });
    return why(`${DEBIAN}${stderr ? `: ${stderr.split("\n")[0]}` : ""}`);
  }
  return { ok: true, folder, program, object };
}

export class XdpPeer {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #slots: number;
  readonly names: string[] = [];

  private constructor(process: ChildProcess, slots: number) {
    this.#process = process;
    this.#slots = slots;
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  /** @throws Error with what ip, bpf(2) or the verifier says */
  static async start(
    { folder, program, object }: XdpPrograms & { ok: true },
    network: XdpNetwork,
    frames: readonly { readonly device: number; readonly bytes: Uint8Array }[],
    slotBytes: number,
  ): Promise<XdpPeer> {
    writeTables(folder, network, frames);
    setUp(folder, network);
    const args = ["netns", "exec", NAMESPACE, program, object, folder, String(frames.length), String(slotBytes)];
    const peer = new XdpPeer(spawn("ip", args, { stdio: ["pipe", "pipe", "inherit"] }), frames.length);
    for (let words = await peer.#line(); words[0] !== "done"; words = await peer.#line()) peer.names.push(words[1]);
    return peer;
  }

  async #line(): Promise<string[]> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the XDP programs' process ended");
    return value.split(" ");
  }

  async #ask(command: string): Promise<number> {
    this.#process.stdin!.write(`${command}\n`);
    return Number((await this.#line())[1]);
  }

  /** @throws WrongAnswer when frames come out otherwise than by us */
  async racers(expected: number): Promise<Racer[]> {
    for (const name of this.names) {
      const sum = await this.#ask(`check ${name}`);
      if (name !== FLOOR && sum !== expected) throw new WrongAnswer(`XDP ${name}: checksum ${sum}, not ${expected}`);
    }
    return this.names.map((name) => ({
      name: name === FLOOR ? "XDP test-run floor" : `XDP ${name}`,
      sample: async () => (await this.#ask(`run ${name}`)) / this.#slots,
    }));
  }

  async end(): Promise<void> {
    this.#process.stdin!.end();
    if (this.#process.exitCode === null) await once(this.#process, "exit");
    spawnSync("ip", ["netns", "del", NAMESPACE]);
  }
}
const FLOOR = "floor_of";

/** As xdp.c sums up the first 60 bytes of each frame. */
export function checksumOf(frames: Iterable<Uint8Array>): number {
  let sum = 0;
  for (const frame of frames) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    for (let at = 0; at < 60; at += 4) sum = (Math.imul(sum, 31) + view.getUint32(at, true)) >>> 0;
  }
  return sum;
}

function writeTables(
  folder: string,
  { devices, hops, routes }: XdpNetwork,
  frames: readonly { readonly device: number; readonly bytes: Uint8Array }[],
): void {
  const records = <T>(
    name: string,
    items: readonly T[],
    size: number,
    write: (item: T, view: DataView, bytes: Uint8Array) => void,
  ) => {
    const bytes = new Uint8Array(items.length * size);
    for (const [i, item] of items.entries()) {
      const own = bytes.subarray(i * size, (i + 1) * size);
      write(item, new DataView(own.buffer, own.byteOffset, size), own);
    }
    writeFileSync(join(folder, name), bytes);
  };
  const words = (view: DataView, ...values: number[]) => {
    for (const [i, value] of values.entries()) view.setUint32(4 * i, value, true);
  };
  records("devices", devices, 24, ({ ifindex, vrf, mac }, view, bytes) => {
    words(view, ifindex, 1, MTU, vrf);
    writeMac(bytes, 16, mac);
  });
  records("hops", hops, 20, ({ ifindex, neighbour, mac }, view, bytes) => {
    words(view, ifindex, MTU);
    writeMac(bytes, 8, neighbour);
    writeMac(bytes, 14, mac);
  });
  records("routes", routes, 16, ({ vrf, network, length, hop }, view) => words(view, vrf, network, length, hop));
  records("frames", frames, SLOT, ({ device, bytes }, view, own) => {
    words(view, device, bytes.length);
    own.set(bytes, 8);
  });
}

function setUp(folder: string, { devices, hops, routes }: XdpNetwork): void {
  const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
  const table = (vrf: number) => 100 + vrf;
  const nameOf = (ifindex: number) => devices.find((device) => device.ifindex === ifindex)!.name;
  const lines = devices.flatMap(({ name, ifindex, mac, address }) => [
    `link add ${name} index ${ifindex} address ${formatMac(mac)} type veth peer name ${name}p index ${1000 + ifindex}`,
    `link set ${name}p up`,
    `link set ${name} up`,
    `addr add ${address} dev ${name} noprefixroute`,
  ]);
  for (const { name, vrf } of devices) lines.push(`rule add pref 1000 iif ${name} lookup ${table(vrf)}`);
  for (const { address, ifindex, neighbour } of hops.filter((hop) => hop.address !== ""))
    lines.push(`neigh add ${address} dev ${nameOf(ifindex)} lladdr ${formatMac(neighbour)} nud permanent`);
  for (const { vrf, network, length, hop } of routes)
    if (hop !== LOCAL) {
      const { ifindex, address } = hops[hop - 1];
      const via = address === "" ? "scope link" : `via ${address} onlink`;
      lines.push(`route add ${dotted(network)}/${length} ${via} dev ${nameOf(ifindex)} table ${table(vrf)}`);
    }
  const file = join(folder, "ip");
  writeFileSync(file, `${lines.join("\n")}\n`);
  const commands = [
    ["ip", "netns", "add", NAMESPACE],
    [
      "ip",
      "netns",
      "exec",
      NAMESPACE,
      "sh",
      "-c",
      "ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done",
    ],
    ["ip", "-n", NAMESPACE, "-batch", file],
  ];
  for (const [command, ...args] of commands) {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  }
}
