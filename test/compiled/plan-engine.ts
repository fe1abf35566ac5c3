/** The plan itself as an engine: interpreted, step by step, over a buffer laid out as linear memory is. */
import type { Model } from "../../dsl/model.ts";
import { EXPORTS } from "../../runtime/abi/exports.ts";
import { IMAGE } from "../../runtime/abi/image.ts";
import { NET, NET_BYTES } from "../../runtime/abi/net.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES } from "../../runtime/abi/netfilter.ts";
import { batchBytes, DEFAULT_SLOT_SIZE, PacketBatch } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import type { Engine, RuleCounter } from "../../runtime/engine.ts";
import { entriesOf } from "../../runtime/links/manifest.ts";
import { LinkLists } from "../../runtime/links/points.ts";
import { placeState, type Running } from "../../runtime/links/running.ts";
import { openMap } from "../../runtime/maps/open.ts";
import type { MapMemory } from "../../runtime/maps/store.ts";
import { NeighbourTable } from "../../runtime/neighbour.ts";
import { decodeTraces } from "../../runtime/trace-decode.ts";
import { buildFib } from "../../src/fib/build.ts";
import { type LayoutOptions, layout } from "../../src/layout.ts";
import { describeMap } from "../../src/netfilter/maps.ts";
import type { Value } from "../../src/plan/arithmetic.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import { interpret, traceRecorder } from "../../src/plan/interpret.ts";
import type { Plan } from "../../src/plan/ir.ts";
import { type Level, optimize, withoutTrace } from "../../src/plan/optimize.ts";
import { validatePlan } from "../../src/plan/validate.ts";
import type { CompiledProgram } from "../../src/program.ts";

const TRACE_BYTES = 1 << 20;
const REGION = { cursor: IMAGE.traceCursor, end: IMAGE.traceEnd, lost: IMAGE.traceLost };

/** For what maps change in place: there is no room for another structure. */
class FixedMemory implements MapMemory {
  readonly buffer: ArrayBuffer;
  readonly words: Uint32Array;

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
    this.words = new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
  }
  allocate(): never {
    throw new RangeError("the interpreter's memory does not grow");
  }
  free(): void {}
}

interface PlanOptions extends LayoutOptions {
  readonly level: Level;
  /** Attached, in the first namespace, in their order. */
  readonly programs?: readonly CompiledProgram[];
}

/** One engine for each namespace. Batches are taken from a heap of `heapBytes`. */
export const planEngines = (model: Model, options: PlanOptions, heapBytes = 1 << 20): Engine[] =>
  enginesOf(model, options, heapBytes).engines;

/** Programs attached to the first namespace's engine, all of it interpreted. */
export function attachedPlanEngine(
  model: Model,
  programs: readonly CompiledProgram[],
): { readonly engine: Engine; readonly linked: () => RuleCounter[][] } {
  const { engines, linked } = enginesOf(model, { level: 0, programs }, 1 << 20);
  return { engine: engines[0], linked };
}

function enginesOf(
  model: Model,
  { level, programs = [], ...structures }: PlanOptions,
  heapBytes: number,
): { readonly engines: Engine[]; readonly linked: () => RuleCounter[][] } {
  const image = layout(model, buildFib(model), structures);
  const built = buildPlan(model, image);
  const traced = optimize(built, level);
  const hot = optimize(withoutTrace(buildPlan(model, image, { fast: true })), level);
  for (const plan of [built, traced, hot]) {
    const violations = validatePlan(plan);
    if (violations.length > 0) throw new Error(violations.join("\n"));
  }
  const memory = new Uint8Array(image.heap + TRACE_BYTES + heapBytes);
  memory.set(image.image);
  const view = new DataView(memory.buffer);
  let heap = Math.ceil((image.heap + TRACE_BYTES) / 64) * 64;
  const allocate = (bytes: number): number => {
    const base = heap;
    heap += Math.ceil(bytes / 64) * 64;
    return base;
  };
  const onTrace = traceRecorder(memory, REGION);
  const registers = new Map<string, Value>();
  const places = new Map<number, Entry>();
  const table = (place: number, args: readonly Value[]): Value | null => places.get(place)!(args);
  const process = interpret(hot, { memory, registers, table });
  const trace = interpret(traced, { memory, registers, table: (place, args) => table(place + 1, args), onTrace });
  const record = (index: number): number => view.getUint32(IMAGE.netsOffset, true) + index * NET_BYTES;
  const running = programs.map((program): Pick<Running, "manifest" | "exports" | "state"> => {
    const state = allocate(program.state.length);
    placeState(new Uint32Array(memory.buffer, 0, memory.length >>> 2), state, program.manifest, program.state);
    const entry = (plan: Plan, name: string): Entry => {
      const interpreted = interpret(plan, { memory, state, registers, onTrace });
      return (args) => interpreted.call(name, args);
    };
    const hotPlan = withoutTrace(program.plan);
    const exports = entriesOf(program.manifest).flatMap(([name, tracing]) => [
      [name, entry(hotPlan, name)],
      [tracing, entry(program.plan, name)],
    ]);
    return { manifest: program.manifest, exports: Object.fromEntries(exports), state };
  });
  const ofXdp = running.filter(({ manifest }) => manifest.hook === "xdp");
  const offer = (which: 0 | 1, { base, count }: PacketBatch): void => {
    for (const { manifest, exports } of ofXdp)
      (exports[entriesOf(manifest)[0][which]] as unknown as Entry)([base, count, manifest.devices[0]]);
  };
  const lists = new LinkLists(
    {
      memory: { buffer: memory.buffer } as unknown as WebAssembly.Memory,
      exports: { [EXPORTS.table]: tableOf(places) },
      word: (at) => view.getUint32(at, true),
      setWord: (at, value) => view.setUint32(at, value, true),
      allocate,
    },
    record(0),
  );
  for (const [i, one] of running.entries()) {
    const { hook, devices, priority } = one.manifest;
    if (hook !== "xdp") lists.add(i + 1, one, devices.length === 0 ? [0] : devices, priority);
  }
  const countersFrom = (first: number, count: number): RuleCounter[] =>
    Array.from({ length: count }, (_, i) => {
      const read = (offset: number) => view.getBigUint64(first + i * FILTER_COUNTER_BYTES + offset, true);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  const linked = () =>
    running.map(({ manifest, state }) => countersFrom(state + manifest.state.counters, manifest.counters.length));
  const engines = model.nets.map(
    (_, index): Engine => ({
      name: `plan -O${level} ${JSON.stringify(structures)}`,
      createBatch(capacity, slotSize = DEFAULT_SLOT_SIZE) {
        const base = allocate(batchBytes(capacity, slotSize));
        return new PacketBatch(() => memory.buffer, imageOffset(base), capacity, slotSize);
      },
      process(batch) {
        if (index === 0) offer(0, batch);
        batch.writeCount();
        process.call(EXPORTS.process, [index, batch.base, batch.count]);
        batch.readCount();
      },
      trace(batch) {
        view.setUint32(IMAGE.traceCursor, image.heap, true);
        view.setUint32(IMAGE.traceEnd, image.heap + TRACE_BYTES, true);
        view.setUint32(IMAGE.traceLost, 0, true);
        if (index === 0) offer(1, batch);
        batch.writeCount();
        trace.call(EXPORTS.process, [index, batch.base, batch.count]);
        batch.readCount();
        if (view.getUint32(IMAGE.traceLost, true) !== 0) throw new Error("the trace does not fit");
        const end = view.getUint32(IMAGE.traceCursor, true);
        return decodeTraces(new DataView(memory.buffer, image.heap, end - image.heap), batch.count);
      },
      readCounters() {
        const first = view.getUint32(record(index) + NET.filterState, true);
        return countersFrom(first, model.nets[index].netfilter.counters.length);
      },
      map(name) {
        const { netfilter } = model.nets[index];
        const of = image.nets[index].netfilter.sets.find(({ set }) => set.name === name);
        if (of === undefined) throw new RangeError(`no set or map ${name}`);
        const manifest = { record: of.record, ...describeMap(netfilter, of.set, of.decisions) };
        return openMap(name, manifest, new FixedMemory(memory.buffer), model.nets[index].devices);
      },
      setTime(nanoseconds) {
        view.setBigUint64(record(index) + NET.clock, nanoseconds, true);
      },
      setNeighbour(device, ip, mac) {
        const table = new NeighbourTable(memory, view.getUint32(record(index) + NET.neighbours, true));
        if (mac === null) table.delete(device, ip);
        else if (!table.set({ ifindex: device, address: ip, mac })) throw new Error("no room for the neighbour");
      },
    }),
  );
  return { engines, linked };
}

type Entry = (args: readonly Value[]) => Value | null;

/** What LinkLists asks of a table. */
function tableOf(places: Map<number, Entry>): WebAssembly.Table {
  let length = 0;
  return {
    grow: (by: number) => {
      length += by;
      return length - by;
    },
    set: (place: number, entry: unknown) => places.set(place, entry as Entry),
  } as unknown as WebAssembly.Table;
}
