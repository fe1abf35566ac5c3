/**
 * The compiled engine: a wasm module over its linear memory, one Engine for each namespace in it.
 *
 *   load(wasm) -> Dataplane -> net("host") -> Engine
 *
 * Life of the memory: the module brings the image (abi.ts) at offset 0. Everything from `IMAGE.heap` on is the host's, given out
 * from there upwards and never taken back: batches, the trace region, neighbour tables that outgrew their place. When it ends
 * the memory grows, which detaches every view; so views are made for a use and not kept.
 */
import {
  COUNTERS,
  COUNTERS_BYTES,
  EXPORTS,
  FILTER_COUNTER,
  FILTER_COUNTER_BYTES,
  IMAGE,
  IMAGE_ALIGN,
  MAP,
  NET,
  NET_BYTES,
  type ProcessExport,
} from "./abi.ts";
import { batchBytes, DEFAULT_SLOT_SIZE, PacketBatch } from "./batch.ts";
import { imageOffset } from "./brand.ts";
import type { Engine, RuleCounter } from "./engine.ts";
import { COUNTER_TYPE, type Hook } from "./hooks.ts";
import { type AttachOptions, type Link, LinkError, Links } from "./links/links.ts";
import { type Program, ProgramError } from "./links/manifest.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import type { NamedMap } from "./maps/map.ts";
import { openMap } from "./maps/open.ts";
import { NeighbourTable, neighbourTableBytes } from "./neighbour.ts";
import type { Ip } from "./net/ip.ts";
import { Image } from "./routes/image.ts";
import { Routes } from "./routes/routes.ts";
import type { Trace } from "./trace.ts";
import { decodeTraces } from "./trace-decode.ts";
import { DropReason, Verdict } from "./verdict.ts";

/** @throws ManifestError when `wasm` is no vrfc module, or one that this runtime does not understand */
export async function load(wasm: Uint8Array<ArrayBuffer>): Promise<Dataplane> {
  const module = await WebAssembly.compile(wasm);
  const manifest = readManifest(module);
  return new Dataplane(await WebAssembly.instantiate(module), manifest);
}

/** By the names of Verdict and DropReason. */
export interface Counters {
  readonly verdicts: Readonly<Record<string, bigint>>;
  readonly reasons: Readonly<Record<string, bigint>>;
}

export class Dataplane {
  readonly manifest: Manifest;
  readonly memory: WebAssembly.Memory;
  /** Of the module: EXPORTS, and the registers that programs share. */
  readonly exports: WebAssembly.Exports;
  /** One engine for each namespace, in the manifest's order. */
  readonly nets: readonly Engine[];
  readonly #routes: Routes[] = [];
  readonly #links: readonly Links[];
  readonly #maps = new Map<string, NamedMap>();
  #mapMemory: Image | null = null;
  #heap: number;

  /** @param instance of a module whose manifest was read and found good; use `load` */
  constructor(instance: WebAssembly.Instance, manifest: Manifest) {
    const { [EXPORTS.memory]: memory, [EXPORTS.process]: process, [EXPORTS.trace]: trace } = instance.exports;
    this.manifest = manifest;
    this.exports = instance.exports;
    this.memory = memory as WebAssembly.Memory;
    this.#heap = this.word(IMAGE.heap);
    const programs = { process: process as ProcessExport, trace: trace as ProcessExport };
    this.#links = manifest.nets.map(
      (_, index) => new Links(this, manifest.nets, index, manifest.networks, this.word(IMAGE.netsOffset)),
    );
    this.nets = manifest.nets.map(
      (net, index) => new NetEngine(this, index, net.name, { ...programs, links: this.#links[index] }),
    );
  }

  /**
   * The engine of a namespace, by name or by its place in the file.
   * @throws RangeError when there is none
   */
  net(which: string | number): Engine {
    return this.nets[this.#index(which)];
  }

  /**
   * The IPv4 routes of a namespace, to be changed between batches.
   * @throws RangeError when there is no such namespace
   */
  routes(which: string | number): Routes {
    const index = this.#index(which);
    this.#routes[index] ??= new Routes(this, index);
    return this.#routes[index];
  }

  /**
   * Attaches a program, or a base chain (`compileProgram`), where its text puts it or where the options say; from the next batch on packets
   * meet it.
   * @param hook the program's; it was compiled, and checked, for that one
   * @throws ProgramError, LinkError, as Links.attach; EINVAL when the hook is another
   */
  attach(hook: Hook, program: Program, options: AttachOptions = {}): Link {
    const { name, net, hook: own } = program.manifest;
    if (hook !== own) throw new LinkError("EINVAL", `program ${name} is for ${own}`);
    const links = this.#links[this.manifest.nets.findIndex((one) => one.name === net)];
    if (links === undefined) throw new ProgramError("does-not-fit", `program ${name} is for a namespace ${net}`);
    return links.attach(program, options);
  }

  /**
   * The programs attached in a namespace, to be changed between batches.
   * @throws RangeError when there is no such namespace
   */
  links(which: string | number): Links {
    return this.#links[this.#index(which)];
  }

  /**
   * A named set or map, to be read and changed between batches.
   * @param which the namespace; absent: the only one that has a map of this name
   * @throws RangeError when there is none, or several namespaces have one
   */
  map(name: string, which?: string | number): NamedMap {
    const nets = which === undefined ? [...this.nets.keys()] : [this.#index(which)];
    const found = nets.flatMap((net) => {
      const { chains, devices } = this.manifest.nets[net];
      const set = chains.sets.find((each) => each.name === name);
      return set?.map ? [{ net, map: set.map, devices }] : [];
    });
    if (found.length === 0) throw new RangeError(`no set or map ${name} in this module`);
    if (found.length > 1) throw new RangeError(`several namespaces have a ${name}: say which`);
    const [{ net, map, devices }] = found;
    const key = `${net} ${name}`;
    const known = this.#maps.get(key);
    if (known !== undefined) return known;
    this.#mapMemory ??= new Image(this);
    const opened = openMap(name, map, this.#mapMemory, devices);
    this.#maps.set(key, opened);
    return opened;
  }

  #index(which: string | number): number {
    const index = typeof which === "number" ? which : this.manifest.nets.findIndex((net) => net.name === which);
    if (this.nets[index] === undefined) throw new RangeError(`no namespace ${which} in this module`);
    return index;
  }

  /** Offset of a namespace's NET record. */
  netRecord(net: number): number {
    return this.word(IMAGE.netsOffset) + net * NET_BYTES;
  }

  /** How many packets of a namespace ended with each verdict, and of the dropped ones for which reason, since it was loaded. */
  counters(net: number): Counters {
    const record = this.word(IMAGE.netsOffset) + net * NET_BYTES;
    const view = new DataView(this.memory.buffer, this.word(record + NET.counters), COUNTERS_BYTES);
    const read = (table: Readonly<Record<string, number>>, offset: number) =>
      Object.fromEntries(Object.entries(table).map(([name, n]) => [name, view.getBigUint64(offset + n * 8, true)]));
    return { verdicts: read(Verdict, COUNTERS.verdicts), reasons: read(DropReason, COUNTERS.reasons) };
  }

  /** All of linear memory, as it is now. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer);
  }

  word(offset: number): number {
    return new DataView(this.memory.buffer).getUint32(offset, true);
  }

  setWord(offset: number, value: number): void {
    new DataView(this.memory.buffer).setUint32(offset, value, true);
  }

  /**
   * Takes zeroed bytes from the heap for good.
   * @returns their offset, a multiple of IMAGE_ALIGN and of 64
   * @throws RangeError when the memory cannot grow that far
   */
  allocate(bytes: number): number {
    const offset = Math.ceil(this.#heap / HEAP_ALIGN) * HEAP_ALIGN;
    const missing = offset + bytes - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.#heap = offset + bytes;
    return offset;
  }
}

const PAGE_BYTES = 65536;
/** A cache line; batches ask for it. */
const HEAP_ALIGN = Math.max(64, IMAGE_ALIGN);
/** First size of the trace region: some hundred packets. */
const TRACE_BYTES = 256 * 1024;

interface Programs {
  readonly process: ProcessExport;
  readonly trace: ProcessExport;
  /** What is attached: XDP programs, which frames meet before, and all others' state. */
  readonly links: Links;
}

class NetEngine implements Engine {
  readonly name: string;
  readonly #dataplane: Dataplane;
  readonly #index: number;
  readonly #programs: Programs;
  #traceRegion: { readonly start: number; readonly bytes: number } | null = null;

  constructor(dataplane: Dataplane, index: number, netName: string, programs: Programs) {
    this.name = `wasm ${netName}`;
    this.#dataplane = dataplane;
    this.#index = index;
    this.#programs = programs;
  }

  createBatch(capacity: number, slotSize = DEFAULT_SLOT_SIZE): PacketBatch {
    const base = this.#dataplane.allocate(batchBytes(capacity, slotSize));
    return new PacketBatch(() => this.#dataplane.memory.buffer, imageOffset(base), capacity, slotSize);
  }

  /** @throws TypeError when the batch lives elsewhere than in this module's memory */
  process(batch: PacketBatch): void {
    this.#own(batch);
    this.#programs.links.process(batch.base, batch.count);
    batch.writeCount();
    this.#programs.process(this.#index, batch.base, batch.count);
    batch.readCount();
  }

  /**
   * Runs the trace build. What does not fit into the trace region is lost; then everything is put back as it was, the region
   * doubled, and the batch judged again.
   * @throws TypeError as `process`
   */
  trace(batch: PacketBatch): Trace[] {
    this.#own(batch);
    const before = this.#snapshot(batch);
    const restoreCounters = this.#saveMapCounters();
    const restoreLinks = this.#programs.links.snapshot();
    let region = this.#traceRegion ?? this.#reserveTrace(TRACE_BYTES);
    while (!this.#runTrace(batch, region)) {
      this.#dataplane.bytes.set(before.batch, batch.base);
      this.#dataplane.bytes.set(before.counters, this.#counters);
      this.#dataplane.bytes.set(before.filterState, this.#filterState.first);
      restoreCounters();
      restoreLinks();
      region = this.#reserveTrace(region.bytes * 2);
    }
    batch.readCount();
    const end = this.#dataplane.word(IMAGE.traceCursor);
    return decodeTraces(new DataView(this.#dataplane.memory.buffer, region.start, end - region.start), batch.count);
  }

  readCounters(): RuleCounter[] {
    const { view, first } = this.#filterState;
    return this.#dataplane.manifest.nets[this.#index].chains.counters.map((_, i) => {
      const at = first + i * FILTER_COUNTER_BYTES;
      const read = (offset: number) => view.getBigUint64(at + offset, true);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  }

  map(name: string): NamedMap {
    return this.#dataplane.map(name, this.#index);
  }

  setTime(nanoseconds: bigint): void {
    this.#filterState.view.setBigUint64(this.#record + NET.clock, nanoseconds, true);
  }

  get #filterState(): { readonly view: DataView; readonly first: number; readonly bytes: number } {
    const view = new DataView(this.#dataplane.memory.buffer);
    const word = (offset: number) => view.getUint32(this.#record + offset, true);
    return { view, first: word(NET.filterState), bytes: word(NET.filterStateBytes) };
  }

  setNeighbour(device: number, ip: Ip, mac: number | null): void {
    const table = this.#neighbours();
    if (mac === null) table.delete(device, ip);
    else if (!table.set({ ifindex: device, address: ip, mac })) {
      this.#growNeighbours();
      this.#neighbours().set({ ifindex: device, address: ip, mac });
    }
  }

  #own(batch: PacketBatch): void {
    if (batch.bytes.buffer !== this.#dataplane.memory.buffer)
      throw new TypeError("the batch is not of this engine: create it with createBatch");
  }

  get #record(): number {
    return this.#dataplane.word(IMAGE.netsOffset) + this.#index * NET_BYTES;
  }

  get #counters(): number {
    return this.#dataplane.word(this.#record + NET.counters);
  }

  /** What the program changes, but for the trace region. */
  #snapshot(batch: PacketBatch): Readonly<Record<"batch" | "counters" | "filterState", Uint8Array>> {
    const { bytes } = this.#dataplane;
    const { first, bytes: stateBytes } = this.#filterState;
    return {
      batch: bytes.slice(batch.base, batch.base + batchBytes(batch.capacity, batch.slotSize)),
      counters: bytes.slice(this.#counters, this.#counters + COUNTERS_BYTES),
      filterState: bytes.slice(first, first + stateBytes),
    };
  }

  /** The counters that maps hold. @returns what puts them back as they are now */
  #saveMapCounters(): () => void {
    const plane = this.#dataplane;
    const { sets } = plane.manifest.nets[this.#index].chains;
    const saved = sets.flatMap(({ map }) => {
      if (map === null || typeof map.value !== "object" || map.value?.type !== COUNTER_TYPE) return [];
      const at = plane.word(map.record + MAP.values);
      return [{ at, bytes: plane.bytes.slice(at, at + plane.word(map.record + MAP.valueBytes)) }];
    });
    return () => {
      for (const { at, bytes } of saved) plane.bytes.set(bytes, at);
    };
  }

  #reserveTrace(bytes: number): { readonly start: number; readonly bytes: number } {
    this.#traceRegion = { start: this.#dataplane.allocate(bytes), bytes };
    return this.#traceRegion;
  }

  /** @returns false when a record was lost */
  #runTrace(batch: PacketBatch, { start, bytes }: { readonly start: number; readonly bytes: number }): boolean {
    this.#dataplane.setWord(IMAGE.traceCursor, start);
    this.#dataplane.setWord(IMAGE.traceEnd, start + bytes);
    this.#dataplane.setWord(IMAGE.traceLost, 0);
    this.#programs.links.trace(batch.base, batch.count);
    batch.writeCount();
    this.#programs.trace(this.#index, batch.base, batch.count);
    return this.#dataplane.word(IMAGE.traceLost) === 0;
  }

  #neighbours(): NeighbourTable {
    return new NeighbourTable(this.#dataplane.bytes, this.#dataplane.word(this.#record + NET.neighbours));
  }

  /** Moves the table to a place twice as large. The program finds the new one by the store that comes last. */
  #growNeighbours(): void {
    const slots = this.#neighbours().slots * 2;
    const offset = this.#dataplane.allocate(neighbourTableBytes(slots));
    const larger = new NeighbourTable(this.#dataplane.bytes, offset);
    larger.clear(slots);
    for (const entry of this.#neighbours().entries()) larger.set(entry);
    this.#dataplane.setWord(this.#record + NET.neighbours, offset);
  }
}
