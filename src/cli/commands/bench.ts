/** `vrfc bench FILE`: how fast the policy judges a capture's frames, or frames that are drawn from its routes. */
import { availableParallelism } from "node:os";
import type { Device, Model, Net } from "../../../dsl/model.ts";
import { deviceNamed } from "../../../dsl/model.ts";
import { writeMac } from "../../../runtime/net/mac.ts";
import { BATCH } from "../../bench/batches.ts";
import { type Bench, Disagreement, type Measured, openBench, repeated } from "../../bench/measure.ts";
import { loadShared, MOST_WORKERS, runThreads } from "../../bench/threads.ts";
import { drawTraffic, type Received, type Traffic } from "../../bench/traffic.ts";
import { WorkerDied } from "../../bench/workers.ts";
import { readCapture } from "../../capture/capture.ts";
import { asEthernet } from "../../capture/ethernet.ts";
import { openEngines } from "../../engines.ts";
import { painter } from "../colour.ts";
import { EXIT, readBytes, UsageError } from "../io.ts";
import { colourOption, modelOf, namespaceNamed, numberOption, type PolicyOptions } from "../policy.ts";

export interface BenchOptions extends PolicyOptions {
  readonly namespace: string;
  readonly device?: string | readonly string[];
  readonly pcap?: string;
  readonly traffic: string;
  readonly frames: number;
  readonly seconds: number;
  readonly seed: number;
  readonly threads: number;
  readonly json?: boolean;
}

/** Frames in the engine's memory, at the most: each has a slot as large as the longest needs. */
const MOST_FRAMES = 65_536;
const MOST_SLOT_BYTES = 512 * 2 ** 20;

export async function run(file: string, options: BenchOptions): Promise<number> {
  const threads = numberOption("threads", options.threads, 1, MOST_WORKERS);
  const seconds = numberOption("seconds", options.seconds, 1, 3600);
  const paint = painter(colourOption(options.color));
  const model = modelOf(file, options);
  if (model === null) return EXIT.FINDINGS;
  const net = namespaceNamed(model, options.namespace);
  const { frames, source, skipped } = framesOf(net, options);
  let result: Result;
  try {
    const [bench, measured] = await measure(model, net, frames, { threads, seconds });
    result = [net, frames, source, skipped, bench, measured];
  } catch (error) {
    if (error instanceof WorkerDied) console.error(`vrfc: ${error.message}`);
    else if (error instanceof Disagreement)
      console.error(`vrfc: the compiled program and the reference disagree: ${error.message}`);
    else throw error;
    return EXIT.FINDINGS;
  }
  if (options.json) console.log(JSON.stringify(reportOf(...result), null, 2));
  else for (const line of linesOf(...result)) console.log(paint.faint(line));
  return EXIT.OK;
}

/** One thread runs a module as it is embedded usually; several one with a shared memory. */
async function measure(
  model: Model,
  net: Net,
  frames: readonly Received[],
  { threads, seconds }: { readonly threads: number; readonly seconds: number },
): Promise<[Bench, Measured]> {
  const reference = (await openEngines(model, "reference"))[net.index];
  if (threads === 1) {
    const bench = openBench((await openEngines(model, "compiled", 2))[net.index], reference, frames);
    return [bench, await bench.run(seconds)];
  }
  const processors = availableParallelism();
  if (threads > processors)
    console.error(`vrfc: ${threads} threads, ${processors} processors: what a thread waits for one counts too`);
  const dataplane = await loadShared(model);
  const bench = openBench(dataplane.net(net.index), reference, frames);
  const work = { net: net.index, frames: repeated(frames, threads), workers: threads, seconds };
  try {
    return [bench, await runThreads(dataplane, reference, work)];
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--threads ${threads}: ${error.message}`);
    throw error;
  }
}

interface Frames {
  readonly frames: readonly Received[];
  /** Where they are from. */
  readonly source: string;
  /** Frames of the capture that are not fed in, by reason. */
  readonly skipped: ReadonlyMap<string, number>;
}

function framesOf(net: Net, options: BenchOptions): Frames {
  const devices = devicesOf(net, options.device);
  if (options.pcap !== undefined) return captured(options.pcap, devices);
  const traffic = trafficOf(options.traffic);
  const count = numberOption("frames", options.frames, 1, MOST_FRAMES);
  const seed = numberOption("seed", options.seed, 0, 2 ** 32 - 1);
  try {
    return { frames: drawTraffic(net, devices, traffic, count, seed), source: options.traffic, skipped: new Map() };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--traffic ${options.traffic}: ${error.message}`);
    throw error;
  }
}

function trafficOf(text: string): Traffic {
  if (text === "uniform" || text === "in-prefix") return { kind: text };
  const s = /^zipf:(\d+(?:\.\d+)?)$/.exec(text)?.[1];
  if (s === undefined || Number(s) > 10)
    throw new UsageError(`--traffic ${text}: expected uniform, in-prefix or zipf:S, with S from 0 to 10`);
  return { kind: "zipf", s: Number(s) };
}

function devicesOf(net: Net, names: string | readonly string[] | undefined): Device[] {
  if (names !== undefined)
    return [names].flat().map((name) => {
      const device = deviceNamed(net, String(name));
      if (device === undefined)
        throw new UsageError(
          `namespace ${net.name} has no device \`${name}\`; there are ${net.devices.map((d) => d.name).join(", ")}`,
        );
      return device;
    });
  const devices = net.devices.filter(({ kind, up, addresses }) => up && addresses.length > 0 && isWire(kind));
  if (devices.length === 0)
    throw new UsageError(`namespace ${net.name} has no interface that is up and has an address`);
  return devices;
}
const isWire = (kind: Device["kind"]): boolean => kind === "veth" || kind === "dummy";

/** The capture's frames, received by the devices in turn. One that went to a host's address goes to the device's. */
function captured(path: string, devices: readonly Device[]): Frames {
  const capture = readCapture(readBytes(path));
  if (capture === null) throw new UsageError(`${path} is no capture: neither pcap nor pcapng`);
  if (capture.problem !== null) console.error(`vrfc: ${path}: ${capture.problem}; what stands before is taken`);
  const frames: Received[] = [];
  const skipped = new Map<string, number>();
  let longest = 0;
  for (const frame of capture.frames) {
    const bytes = asEthernet(frame);
    const room = typeof bytes !== "string" && (frames.length + 1) * Math.max(longest, bytes.length) <= MOST_SLOT_BYTES;
    if (typeof bytes === "string" || !room || frames.length === MOST_FRAMES) {
      const why = typeof bytes === "string" ? bytes : "no room for more";
      skipped.set(why, (skipped.get(why) ?? 0) + 1);
      continue;
    }
    longest = Math.max(longest, bytes.length);
    const device = devices[frames.length % devices.length];
    frames.push({ device, bytes: addressed(bytes, device) });
  }
  if (frames.length === 0) {
    const reasons = [...skipped].map(([why, count]) => `${count} of ${why}`).join(", ");
    throw new UsageError(`${path} has no frame to receive${reasons === "" ? "" : `: ${reasons}`}`);
  }
  return { frames, source: path, skipped };
}

function addressed(bytes: Uint8Array, device: Device): Uint8Array {
  const isGroup = (bytes[0] & 1) !== 0;
  if (isGroup) return bytes;
  const copy = Uint8Array.from(bytes);
  writeMac(copy, 0, device.mac);
  return copy;
}

type Result = [Net, readonly Received[], string, Frames["skipped"], Bench, Measured];

function reportOf(...[net, frames, source, skipped, { verdicts, verified }, measured]: Result): object {
  return {
    schema: "vrfc.bench/1",
    namespace: net.name,
    devices: [...new Set(frames.map(({ device }) => device.name))],
    frames: frames.length,
    source,
    skipped: Object.fromEntries(skipped),
    verified,
    verdicts: Object.fromEntries(verdicts),
    threads: measured.workers.length,
    batch: BATCH,
    packets: measured.packets,
    nsPerPacket: measured.ns,
    millionPerSecond: measured.millionPerSecond,
    batchLatencyMicroseconds: measured.latency,
    workers: measured.workers.map(({ frames, ns }) => ({ frames, nsPerPacket: ns })),
    node: process.version,
  };
}

function* linesOf(...[net, frames, source, skipped, { verdicts, verified }, measured]: Result): Iterable<string> {
  const devices = [...new Set(frames.map(({ device }) => device.name))].join(", ");
  yield `namespace ${net.name}: ${frames.length} frames of ${source}, received by ${devices}`;
  for (const [why, count] of skipped) yield `  left out: ${count}, ${why}`;
  yield `  ${verified} of them judged as the reference judges them`;
  for (const [name, count] of verdicts)
    yield `  ${name.padEnd(12)} ${String(count).padStart(8)}  ${((100 * count) / frames.length).toFixed(1)} %`;
  const { ns, millionPerSecond, latency, packets, workers } = measured;
  const threads = workers.length === 1 ? "one thread" : `${workers.length} threads together`;
  yield `${ns.toFixed(1)} ns a packet, ${millionPerSecond.toFixed(2)} M/s, ${threads}, ${packets} packets`;
  if (workers.length > 1)
    for (const [k, { frames, ns }] of workers.entries())
      yield `  worker ${k + 1}: ${ns === null ? "no flow" : `${ns.toFixed(1)} ns a packet, ${frames} frames a round`}`;
  yield `batches of ${BATCH}: ${latency.p50.toFixed(1)} us (p50), ${latency.p99.toFixed(1)} us (p99)`;
}
