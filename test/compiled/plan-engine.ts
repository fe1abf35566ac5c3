/** The plan itself as an engine: interpreted, step by step, over a buffer laid out as linear memory is. */
import type { Model } from "../../dsl/model.ts";
import { EXPORTS, FILTER_COUNTER, FILTER_COUNTER_BYTES, IMAGE, NET, NET_BYTES } from "../../runtime/abi.ts";
import { batchBytes, DEFAULT_SLOT_SIZE, PacketBatch } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import type { Engine } from "../../runtime/engine.ts";
import { openMap } from "../../runtime/maps/open.ts";
import type { MapMemory } from "../../runtime/maps/store.ts";
import { NeighbourTable } from "../../runtime/neighbour.ts";
import { decodeTraces } from "../../runtime/trace-decode.ts";
import { buildFib } from "../../src/fib/build.ts";
import { type LayoutOptions, layout } from "../../src/layout.ts";
import { describeMap } from "../../src/netfilter/maps.ts";
import { buildPlan } from "../../src/plan/build/index.ts";
import { interpret, traceRecorder } from "../../src/plan/interpret.ts";
import { type Level, optimize, withoutTrace } from "../../src/plan/optimize.ts";
import { validatePlan } from "../../src/plan/validate.ts";

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

/** One engine for each namespace. Batches are taken from a heap of `heapBytes`. */
export function planEngines(
  model: Model,
  { level, ...places }: { level: Level } & LayoutOptions,
  heapBytes = 1 << 20,
): Engine[] {
  const image = layout(model, buildFib(model), places);
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
  const process = interpret(hot, { memory });
  const trace = interpret(traced, { memory, onTrace: traceRecorder(memory, REGION) });
  const record = (index: number): number => view.getUint32(IMAGE.netsOffset, true) + index * NET_BYTES;
  return model.nets.map((_, index) => ({
    name: `plan -O${level} ${JSON.stringify(places)}`,
    createBatch(capacity, slotSize = DEFAULT_SLOT_SIZE) {
      const base = heap;
      heap += Math.ceil(batchBytes(capacity, slotSize) / 64) * 64;
      return new PacketBatch(() => memory.buffer, imageOffset(base), capacity, slotSize);
    },
    process(batch) {
      batch.writeCount();
      process.call(EXPORTS.process, [index, batch.base, batch.count]);
      batch.readCount();
    },
    trace(batch) {
      view.setUint32(IMAGE.traceCursor, image.heap, true);
      view.setUint32(IMAGE.traceEnd, image.heap + TRACE_BYTES, true);
      view.setUint32(IMAGE.traceLost, 0, true);
      batch.writeCount();
      trace.call(EXPORTS.process, [index, batch.base, batch.count]);
      batch.readCount();
      if (view.getUint32(IMAGE.traceLost, true) !== 0) throw new Error("the trace does not fit");
      const end = view.getUint32(IMAGE.traceCursor, true);
      return decodeTraces(new DataView(memory.buffer, image.heap, end - image.heap), batch.count);
    },
    readCounters() {
      const first = view.getUint32(record(index) + NET.filterState, true);
      return model.nets[index].netfilter.counters.map((_, i) => {
        const at = first + i * FILTER_COUNTER_BYTES;
        const read = (offset: number) => view.getBigUint64(at + offset, true);
        return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
      });
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
  }));
}
