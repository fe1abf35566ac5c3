/**
 * `forward`: real packets between the two neighbours of a router, in network namespaces on veth pairs: the kernel's own forwarding, the
 * forwarder in C, and `vrfc up`. One generator (test/forward/traffic.c) sends UDP packets of 256 flows one way, numbers them, and counts
 * what arrives, whole and at the right end.
 *
 *   left --veth-- router --veth-- right        three such, one for each router, so that rounds run in turn
 *
 * The generator's two threads, the kernel's work for the veths, and the router share the machine's cores: on few of them a router's
 * rate says how it does beside the generator, not what it could do alone.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Namespaces } from "../forward/namespaces.ts";
import { SEED_ROUTER } from "../forward/policies.ts";
import { C, KERNEL, NODE, type Router, type Running } from "../forward/routers.ts";
import { TRAFFIC_ROUTES, Traffic, trafficObstacle } from "../forward/traffic.ts";
import { type Measurement, median, WrongAnswer } from "./harness.ts";
import type { BenchOptions, Group, Report } from "./report.ts";

/** Bytes of a frame with its check sequence, which is not counted where frames are sent. */
const SIZES = [64, 1518] as const;
const CHECK_SEQUENCE = 4;
/** Milliseconds of a run as fast as the generator can, and of one at a given rate. */
const FLOOD_MS = { quick: 300, full: 1000 } as const;
const PROBE_MS = 400;
/** Halvings of the search for the highest rate without loss. */
const STEPS = { quick: 3, full: 7 } as const;

export async function forward(options: BenchOptions): Promise<Report> {
  const notes: string[] = [];
  const report = (groups: readonly Group[]): Report => ({
    bench: "forward",
    unit: "packets forwarded between network namespaces",
    groups,
    notes,
  });
  const obstacle = KERNEL.obstacle() ?? trafficObstacle();
  if (obstacle !== null) {
    notes.push(`all: ${obstacle}`);
    return report([]);
  }
  const folder = mkdtempSync(join(tmpdir(), "vrfc-bench-forward-"));
  const lanes: Lane[] = [];
  try {
    const traffic = new Traffic(folder);
    for (const router of [KERNEL, C, NODE]) {
      const why = router.obstacle();
      if (why !== null) notes.push(`${router.name}: ${why}`);
      else {
        options.progress(`${router.name} is starting`);
        lanes.push(await Lane.open(router, traffic, folder));
      }
    }
    const groups: Group[] = [];
    for (const size of SIZES) groups.push(await flood(lanes, size, options), await lossless(lanes, size, options));
    return report(groups);
  } finally {
    for (const lane of lanes) await lane.close();
    rmSync(folder, { recursive: true });
  }
}

/** A router between neighbours of its own. */
class Lane {
  readonly router: Router;
  readonly #namespaces: Namespaces;
  readonly #running: Running;
  readonly #traffic: Traffic;

  static async open(router: Router, traffic: Traffic, folder: string): Promise<Lane> {
    const namespaces = new Namespaces();
    try {
      namespaces.open();
      const file = join(folder, `${router.name.replaceAll(" ", "-")}.vrf`);
      writeFileSync(file, SEED_ROUTER + TRAFFIC_ROUTES);
      const running = await router.start(namespaces, file);
      if (router === KERNEL)
        for (const [net, hop] of [
          ["198.18.0.0/16", "10.0.1.7"],
          ["198.19.0.0/16", "10.0.0.7"],
        ])
          namespaces.ip("router", `route add ${net} via ${hop}`);
      // Who is not known yet loses packets.
      namespaces.ping("left", "10.0.1.7");
      return new Lane(router, namespaces, running, traffic);
    } catch (error) {
      namespaces.close();
      throw error;
    }
  }

  private constructor(router: Router, namespaces: Namespaces, running: Running, traffic: Traffic) {
    this.router = router;
    this.#namespaces = namespaces;
    this.#running = running;
    this.#traffic = traffic;
  }

  /** @param rate packets a second, 0: as many as can be @throws WrongAnswer when a packet goes astray */
  async run(
    size: number,
    rate: number,
    milliseconds: number,
  ): Promise<{ readonly received: number; readonly loss: number }> {
    const load = { bytes: size - CHECK_SEQUENCE, rate, milliseconds, ways: 1 } as const;
    const { sent, received, inTime, seconds, strange, duplicates } = await this.#traffic.load(this.#namespaces, load);
    if (strange + duplicates > 0)
      throw new WrongAnswer(`${this.router.name}: ${strange} packets went astray, ${duplicates} came twice`);
    return { received: inTime / seconds, loss: (sent - received) / sent };
  }

  async close(): Promise<void> {
    this.#running.kill("SIGTERM");
    await this.#running.ended;
    this.#namespaces.close();
  }
}

/** As fast as the generator can, which does not wait for the router; what has arrived by then counts, what waits in buffers is not lost. */
async function flood(lanes: readonly Lane[], size: number, { rounds, quick, progress }: BenchOptions): Promise<Group> {
  const runs = lanes.map((): { received: number; loss: number }[] => []);
  for (let round = 0; round < rounds; round++)
    for (let k = 0; k < lanes.length; k++) {
      const v = (k + round) % lanes.length;
      progress(`${size} bytes, flooded: ${lanes[v].router.name}`);
      runs[v].push(await lanes[v].run(size, 0, quick ? FLOOD_MS.quick : FLOOD_MS.full));
    }
  return group(lanes, `${size}-byte frames, as fast as they are sent`, runs);
}

/** The highest rate at which nothing is lost, by halving between nothing and what a flood was received at. */
async function lossless(lanes: readonly Lane[], size: number, { quick, progress }: BenchOptions): Promise<Group> {
  const runs: { received: number; loss: number }[][] = [];
  for (const lane of lanes) {
    let best: { received: number; loss: number } | null = null;
    const { received } = await lane.run(size, 0, PROBE_MS);
    let [low, high] = [0, received * 1.25];
    for (let step = 0; step < (quick ? STEPS.quick : STEPS.full); step++) {
      const rate = Math.round((low + high) / 2);
      progress(`${size} bytes, without loss: ${lane.router.name}, ${rate} a second`);
      const run = await lane.run(size, rate, PROBE_MS);
      if (run.loss === 0) [low, best] = [rate, run];
      else high = rate;
    }
    runs.push(best === null ? [] : [best]);
  }
  return group(lanes, `${size}-byte frames, the most without loss`, runs);
}

function group(
  lanes: readonly Lane[],
  table: string,
  runs: readonly (readonly { readonly received: number; readonly loss: number }[])[],
): Group {
  const medians = runs.map((samples) => median(samples.map(({ received }) => 1e9 / received)));
  const results = lanes.flatMap(({ router }, v): Measurement[] => {
    const ns = runs[v].map(({ received }) => 1e9 / received);
    if (ns.length === 0) return [];
    return [
      {
        variant: router.name,
        bytes: null,
        ns: { median: medians[v], min: Math.min(...ns), max: Math.max(...ns) },
        millionPerSecond: 1000 / medians[v],
        ratio: medians[0] / medians[v],
        loss: median(runs[v].map(({ loss }) => loss)),
      },
    ];
  });
  return { table, family: 4, prefixes: 4, stream: "256", baseline: lanes[0].router.name, results };
}
