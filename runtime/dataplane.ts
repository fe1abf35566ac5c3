/**
 * The compiled engine: a wasm module over its linear memory, one Engine for each namespace in it.
 *
 *   load(wasm) -> Dataplane -> net("host") -> Engine
 *
 * Of a module for several threads each thread has a Dataplane, over one memory (threads.ts).
 *
 * Life of the memory: the module brings the image (abi/image.ts) at offset 0. Everything from `IMAGE.heap` on is the host's, given out
 * from there upwards and never taken back: batches, the trace region, neighbour tables that outgrew their place. When it ends
 * the memory grows, which detaches every view; so views are made for a use and not kept. A worker has an arena of it, which does not grow.
 */

import { EXPORTS, MEMORY_IMPORT, type ProcessExport } from "./abi/exports.ts";
import { IMAGE, IMAGE_ALIGN, PAGE_BYTES } from "./abi/image.ts";
import { COUNTERS, NET, NET_BYTES } from "./abi/net.ts";
import { FILTER_COUNTER, FILTER_COUNTER_BYTES } from "./abi/netfilter.ts";
import { BATCH_HEADER, batchBytes, DEFAULT_SLOT_SIZE, PacketBatch } from "./batch.ts";
import { imageOffset } from "./brand.ts";
import type { Engine, RuleCounter } from "./engine.ts";
import type { Hook } from "./hooks.ts";
import { type AttachOptions, type Link, LinkError, Links } from "./links/links.ts";
import { type Program, ProgramError } from "./links/manifest.ts";
import { counterPlaces } from "./links/maps.ts";
import { type Attached, Joined, Notice } from "./links/notice.ts";
import { type Manifest, ManifestError, readManifest } from "./manifest.ts";
import type { NamedMap } from "./maps/map.ts";
import { called, shortName } from "./maps/names.ts";
import { openMap } from "./maps/open.ts";
import { NeighbourTable, neighbourTableBytes } from "./neighbour.ts";
import { Neighbours } from "./neighbours.ts";
import type { Ip } from "./net/ip.ts";
import { MemoryError } from "./refusal.ts";
import { Image } from "./routes/image.ts";
import { Routes } from "./routes/routes.ts";
import { advance, Share } from "./share.ts";
import { type Place, snapshot } from "./snapshot.ts";
import { GATE_BYTES, type Seat, Threads } from "./threads.ts";
import type { Trace } from "./trace.ts";
import { decodeTraces } from "./trace-decode.ts";
import { DropReason, Verdict } from "./verdict.ts";

/** What a module can be loaded from: its bytes, what `fetch` gave or will give, or what WebAssembly has compiled of it. */
export type ModuleSource = BufferSource | Response | PromiseLike<Response> | WebAssembly.Module;

/**
 * @throws ManifestError when `source` is no vrfc module, or one that this runtime does not understand
 * @throws RangeError when there is not the memory that a module for several threads asks for
 */
export async function load(source: ModuleSource): Promise<Dataplane> {
  const module = await moduleOf(source);
  const manifest = readManifest(module);
  const memory = sharedMemory(manifest);
  return new Dataplane(
    await WebAssembly.instantiate(module, importsOf(memory)),
    manifest,
    memory && { module, memory },
  );
}

/** `load` without a promise, for threads that may wait: not the main thread of a page. */
export function loadSync(module: WebAssembly.Module): Dataplane {
  const manifest = readManifest(module);
  const memory = sharedMemory(manifest);
  return new Dataplane(new WebAssembly.Instance(module, importsOf(memory)), manifest, memory && { module, memory });
}

/** In a worker: takes part in what another thread has loaded. One thread at a time has a seat. */
export function join(seat: Seat): Dataplane {
  const instance = new WebAssembly.Instance(seat.module, importsOf(seat.memory));
  return new Dataplane(instance, readManifest(seat.module), seat);
}

async function moduleOf(source: ModuleSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  const response = await source;
  if (!response.ok) throw new ManifestError("not-wasm", `${response.url}: status ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** Of a module for several threads. */
function sharedMemory({ memory: { pages } }: Manifest): WebAssembly.Memory | null {
  return pages && new WebAssembly.Memory({ ...pages, shared: true });
}

const importsOf = (memory: WebAssembly.Memory | null): WebAssembly.Imports =>
  memory === null ? {} : { [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.memory]: memory } };

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
  /** By their records. */
  readonly #maps = new Map<number, NamedMap>();
  readonly #mapMemory: Image;
  #heap: number;
  /** First byte behind an arena that does not grow. */
  readonly #end: number;
  readonly #share: Share;

  /**
   * @param instance of a module whose manifest was read and found good; use `load`, `loadSync` or `join`
   * @param shared of a module for several threads: a seat, or what thread 0 shall give to others
   */
  constructor(
    instance: WebAssembly.Instance,
    manifest: Manifest,
    shared: Seat | Pick<Seat, "module" | "memory"> | null = null,
  ) {
    const { [EXPORTS.memory]: memory, [EXPORTS.process]: process, [EXPORTS.trace]: trace } = instance.exports;
    this.manifest = manifest;
    this.exports = instance.exports;
    this.memory = memory as WebAssembly.Memory;
    const seat = shared !== null && "area" in shared ? shared : null;
    if (shared !== null && seat === null) (instance.exports[EXPORTS.initialize] as () => void)();
    this.#heap = seat?.arena.offset ?? this.word(IMAGE.heap);
    this.#end = seat === null ? Number.POSITIVE_INFINITY : seat.arena.offset + seat.arena.bytes;
    const [image, bytes] = [this.word(IMAGE.worker), this.word(IMAGE.workerBytes)];
    const place = shared && (seat ?? { ...shared, worker: 0, gate: this.allocate(GATE_BYTES) });
    const threads = place && new Threads(place, bytes, (size) => this.allocate(size));
    this.#share = new Share(this.memory, threads, { image, bytes, offset: seat?.area ?? image });
    this.#mapMemory = new Image(this);
    const programs = { process: process as ProcessExport, trace: trace as ProcessExport, share: this.#share };
    const joined = threads && seat && new Joined(this, this.#share, threads);
    const notice = threads && new Notice(threads, this.#mapMemory);
    const netsOffset = this.word(IMAGE.netsOffset);
    this.#links = manifest.nets.map(
      (_, net) => new Links(this, this.#mapMemory, manifest, { net, netsOffset }, { share: this.#share, notice }),
    );
    if (threads !== null)
      threads.onSeat = () => {
        for (const links of this.#links) links.seated();
      };
    this.nets = manifest.nets.map((net, index) => {
      const links = joined?.of(index) ?? this.#links[index];
      return new NetEngine(this, index, net.name, { ...programs, links });
    });
  }

  /**
   * What its threads have in common.
   * @throws TypeError when the module is for one thread: compile it with `threads`
   */
  get threads(): Threads {
    const { threads } = this.#share;
    if (threads === null) throw new TypeError("this module is for one thread: it was compiled without --threads");
    return threads;
  }

  /**
   * The engine of a namespace, by name or by its place in the file.
   * @throws RangeError when there is none
   */
  net(which: string | number): Engine {
    return this.nets[this.#index(which)];
  }

  /**
   * The routes of a namespace, to be changed between batches.
   * @throws RangeError when there is no such namespace
   * @throws TypeError in a worker
   */
  routes(which: string | number): Routes {
    const index = this.#index(which);
    this.#routes[index] ??= this.#share.changing("routes are changed", new Routes(this, index));
    return this.#routes[index];
  }

  /**
   * The neighbours of a namespace, to be read and changed between batches.
   * @throws RangeError when there is no such namespace
   */
  neighbours(which: string | number): Neighbours {
    const index = this.#index(which);
    const table = () => new NeighbourTable(this.bytes, this.word(this.netRecord(index) + NET.neighbours));
    const store = {
      get: (ifindex: number, address: Ip) => table().get(ifindex, address),
      set: (ifindex: number, address: Ip, mac: number | null) => this.nets[index].setNeighbour(ifindex, address, mac),
      entries: () => table().entries(),
    };
    return new Neighbours(store, this.manifest.nets[index].devices);
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
    const index = this.manifest.nets.findIndex((one) => one.name === net);
    if (index < 0) throw new ProgramError("does-not-fit", `program ${name} is for a namespace ${net}`);
    return this.links(index).attach(program, options);
  }

  /**
   * The programs attached in a namespace, to be changed between batches.
   * @throws RangeError when there is no such namespace
   * @throws TypeError in a worker
   */
  links(which: string | number): Links {
    this.#share.threads?.requireFirst("programs are attached");
    return this.#links[this.#index(which)];
  }

  /**
   * A named set or map, to be read and changed between batches.
   * @param name of one that several tables have, behind that of its table: `filter blocked`, `ip filter blocked`
   * @param which the namespace; absent: the only one that has a map of this name
   * @throws RangeError when there is none, or several tables or namespaces have one
   * @throws TypeError in a worker
   */
  map(name: string, which?: string | number): NamedMap {
    const nets = which === undefined ? [...this.nets.keys()] : [this.#index(which)];
    const found = nets.flatMap((net) => {
      const { chains, devices } = this.manifest.nets[net];
      return called(chains.sets, name).flatMap((set) => {
        const title = shortName(chains.sets, set);
        return set.map === null || title === null ? [] : [{ net, title, map: set.map, devices }];
      });
    });
    const [first, other] = found;
    if (first === undefined) throw new RangeError(`no set or map ${name} in this module`);
    if (other !== undefined && found.some(({ net }) => net !== first.net))
      throw new RangeError(`several namespaces have a ${name}: say which`);
    if (other !== undefined)
      throw new RangeError(`several tables have a ${name}: say ${found.map((one) => one.title).join(" or ")}`);
    const { title, map, devices } = first;
    const known = this.#maps.get(map.record);
    if (known !== undefined) return known;
    const opened = this.#share.changing("maps are changed", openMap(title, map, this.#mapMemory, devices));
    this.#maps.set(map.record, opened);
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

  /**
   * How many packets of a namespace ended with each verdict, and of the dropped ones for which reason, since it was loaded. With
   * several threads: of all, asked of thread 0; of its own, asked of a worker.
   */
  counters(net: number): Counters {
    const counters = this.word(this.netRecord(net) + NET.counters);
    const read = (table: Readonly<Record<string, number>>, offset: number) =>
      Object.fromEntries(Object.entries(table).map(([name, n]) => [name, this.#share.sum(counters + offset + n * 8)]));
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
   * @throws MemoryError, a RangeError, when the memory cannot grow that far, or a worker's arena is used up; nothing is taken then
   */
  allocate(bytes: number): number {
    const offset = Math.ceil(this.#heap / HEAP_ALIGN) * HEAP_ALIGN;
    if (offset + bytes > this.#end)
      throw new MemoryError(`no ${bytes} bytes are left in the worker's arena: give its seat more`);
    const missing = offset + bytes - this.memory.buffer.byteLength;
    if (missing > 0 && !this.#grow(missing)) throw new MemoryError(`the memory cannot grow by ${missing} bytes`);
    this.#heap = offset + bytes;
    // Whoever had the seat before has left something.
    if (this.#end !== Number.POSITIVE_INFINITY) this.bytes.fill(0, offset, this.#heap);
    return offset;
  }

  /** By more than is asked for, if it can: each time it grows all views are made anew. */
  #grow(missing: number): boolean {
    const ahead = Math.min(this.memory.buffer.byteLength * GROWTH, MOST_AHEAD);
    return [Math.max(missing, ahead), missing].some((bytes) => {
      try {
        this.memory.grow(Math.ceil(bytes / PAGE_BYTES));
        return true;
      } catch {
        return false;
      }
    });
  }
}

/** Of what it has, the part that the memory grows by at least, and the most of that in bytes. */
const GROWTH = 1 / 8;
const MOST_AHEAD = 1 << 26;
/** A cache line; batches ask for it. */
const HEAP_ALIGN = Math.max(64, IMAGE_ALIGN);
/** First size of the trace region: some hundred packets. */
const TRACE_BYTES = 256 * 1024;

interface Programs {
  readonly process: ProcessExport;
  readonly trace: ProcessExport;
  /** What is attached: XDP programs, which frames meet before, and all others' state. */
  readonly links: Attached;
  readonly share: Share;
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
    const { area, batches } = this.#programs.share;
    this.#dataplane.setWord(base + BATCH_HEADER.worker, area.offset - area.image);
    const batch = new PacketBatch(() => this.#dataplane.memory.buffer, imageOffset(base), capacity, slotSize);
    batches.add(batch);
    return batch;
  }

  /**
   * Leaves nothing to the garbage collector.
   * @throws TypeError when the batch lives elsewhere than in this module's memory
   */
  process(batch: PacketBatch): void {
    this.#own(batch);
    const { links, process, share } = this.#programs;
    share.enter();
    try {
      links.process(batch.base, batch.count);
      batch.writeCount();
      process(this.#index, batch.base, batch.count);
      batch.readCount();
    } finally {
      share.leave();
    }
  }

  /**
   * Runs the trace build. What does not fit into the trace region is lost; then everything is put back as it was, the region
   * doubled, and the batch judged again. Other threads wait for it.
   * @throws TypeError as `process`
   */
  trace(batch: PacketBatch): Trace[] {
    this.#own(batch);
    return this.#programs.share.alone(() => this.#traceAlone(batch));
  }

  #traceAlone(batch: PacketBatch): Trace[] {
    const restore = snapshot(this.#dataplane.memory, this.#changed(batch));
    const restoreLinks = this.#programs.links.snapshot();
    let region = this.#traceRegion ?? this.#reserveTrace(TRACE_BYTES);
    while (!this.#runTrace(batch, region)) {
      restore();
      restoreLinks();
      region = this.#reserveTrace(region.bytes * 2);
    }
    batch.readCount();
    const end = this.#dataplane.word(this.#programs.share.traceWords.traceCursor);
    return decodeTraces(new DataView(this.#dataplane.memory.buffer, region.start, end - region.start), batch.count);
  }

  readCounters(): RuleCounter[] {
    const first = this.#dataplane.word(this.#record + NET.filterState);
    return this.#dataplane.manifest.nets[this.#index].chains.counters.map((_, i) => {
      const read = (offset: number) => this.#programs.share.sum(first + i * FILTER_COUNTER_BYTES + offset);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  }

  map(name: string): NamedMap {
    return this.#dataplane.map(name, this.#index);
  }

  setTime(nanoseconds: bigint): void {
    const { buffer } = this.#dataplane.memory;
    const at = this.#record + NET.clock;
    if (this.#programs.share.threads === null) new DataView(buffer).setBigUint64(at, nanoseconds, true);
    else advance(new BigUint64Array(buffer, at, 1), nanoseconds);
  }

  /** @throws TypeError in a worker */
  setNeighbour(device: number, ip: Ip, mac: number | null): void {
    const { share } = this.#programs;
    share.threads?.requireFirst("neighbours are changed");
    share.alone(() => this.#setNeighbour(device, ip, mac));
  }

  #setNeighbour(device: number, ip: Ip, mac: number | null): void {
    const table = this.#neighbours();
    if (mac === null) table.delete(device, ip);
    else if (!table.set({ ifindex: device, address: ip, mac })) {
      this.#growNeighbours();
      this.#neighbours().set({ ifindex: device, address: ip, mac });
    }
  }

  #own(batch: PacketBatch): void {
    if (!this.#programs.share.batches.has(batch))
      throw new TypeError("the batch is not of this engine: create it with createBatch");
  }

  get #record(): number {
    return this.#dataplane.word(IMAGE.netsOffset) + this.#index * NET_BYTES;
  }

  /**
   * What the program changes, but for the trace region: the batch, this thread's area, and the image's own, which has the limits; and the
   * counters that maps hold.
   */
  #changed(batch: PacketBatch): Place[] {
    const { area } = this.#programs.share;
    const maps = this.#dataplane.manifest.nets[this.#index].chains.sets.flatMap(({ map }) => map ?? []);
    return [
      { offset: batch.base, bytes: batchBytes(batch.capacity, batch.slotSize) },
      area,
      ...(area.offset === area.image ? [] : [{ offset: area.image, bytes: area.bytes }]),
      ...counterPlaces(maps, (offset) => this.#dataplane.word(offset)),
    ];
  }

  #reserveTrace(bytes: number): { readonly start: number; readonly bytes: number } {
    this.#traceRegion = { start: this.#dataplane.allocate(bytes), bytes };
    return this.#traceRegion;
  }

  /** @returns false when a record was lost */
  #runTrace(batch: PacketBatch, { start, bytes }: { readonly start: number; readonly bytes: number }): boolean {
    const { traceCursor, traceEnd, traceLost } = this.#programs.share.traceWords;
    this.#dataplane.setWord(traceCursor, start);
    this.#dataplane.setWord(traceEnd, start + bytes);
    this.#dataplane.setWord(traceLost, 0);
    this.#programs.links.trace(batch.base, batch.count);
    batch.writeCount();
    this.#programs.trace(this.#index, batch.base, batch.count);
    return this.#dataplane.word(traceLost) === 0;
  }

  #neighbours(): NeighbourTable {
    return new NeighbourTable(this.#dataplane.bytes, this.#dataplane.word(this.#record + NET.neighbours));
  }

  /** Moves the table to a place twice as large. The program finds the new one by the store that comes last. */
  #growNeighbours(): void {
    const slots = this.#neighbours().slots * 2;
    const offset = this.#dataplane.allocate(neighbourTableBytes(slots));
    const larger = new NeighbourTable(this.#dataplane.bytes, offset);
    larger.clear(slots, this.#neighbours());
    for (const entry of this.#neighbours().entries()) larger.set(entry);
    this.#dataplane.setWord(this.#record + NET.neighbours, offset);
  }
}
