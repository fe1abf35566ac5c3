/**
 * Links: XDP programs attached to devices of a loaded module, and taken off, between batches.
 *
 *   attach -> Link -> update, detach      a device has one XDP program
 *
 * The host offers each batch to the programs, and then to the module: a namespace without links does nothing more than before.
 * k:net/core/dev.c dev_xdp_attach; kernel/bpf/syscall.c link_update, link_detach.
 */
import { DEVICE, DeviceFlag, EXPORTS, FILTER_COUNTER, FILTER_COUNTER_BYTES, IMAGE, NET_BYTES } from "./abi.ts";
import type { RuleCounter } from "./engine.ts";
import { PROGRAM_IMPORTS, type Program, ProgramError, type ProgramManifest } from "./program-manifest.ts";

/** `(batch, count, device)` */
type XdpExport = (batch: number, count: number, device: number) => void;

/** What links need of the module that they are on. */
export interface LinkHost {
  readonly memory: WebAssembly.Memory;
  word(offset: number): number;
  allocate(bytes: number): number;
}

export interface AttachOptions {
  /** ifindex; else where the program's text puts it. */
  readonly device?: number;
  /** Takes the place of a program that is there: else that is an error. */
  readonly replace?: boolean;
}

/** Why nothing was attached; `code` as the kernel's errno. */
export class LinkError extends Error {
  override readonly name = "LinkError";
  readonly code: "EBUSY" | "ENODEV" | "EOPNOTSUPP" | "ENOLINK";

  constructor(code: LinkError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

export interface Link {
  readonly id: number;
  readonly hook: "xdp";
  readonly device: number;
  readonly program: ProgramManifest;
  readonly attached: boolean;
  /** The next batch meets the other program, with counters and token buckets of its own. */
  update(program: Program): void;
  detach(): void;
  /** What the counters of the program have counted, by their places in its manifest; of one that is detached nothing. */
  readCounters(): RuleCounter[];
}

interface Running {
  readonly manifest: ProgramManifest;
  readonly process: XdpExport;
  readonly trace: XdpExport;
  readonly state: number;
  readonly bytes: number;
}

/** The links of a namespace. */
export class Links {
  readonly #host: LinkHost;
  readonly #net: number;
  readonly #taken: ReadonlySet<number>;
  readonly #links = new Map<number, XdpLink>();
  /** Regions that detached programs have left, by their size. */
  readonly #free = new Map<number, number[]>();
  #nextId = 1;

  /** @param taken devices with an XDP program in the module itself */
  constructor(host: LinkHost, net: number, taken: Iterable<number>) {
    this.#host = host;
    this.#net = net;
    this.#taken = new Set(taken);
  }

  /**
   * @throws ProgramError when the program was compiled for other networks
   * @throws LinkError ENODEV, EOPNOTSUPP (a device without a wire), EBUSY (it has a program)
   */
  attach(program: Program, { device = program.manifest.device, replace = false }: AttachOptions = {}): Link {
    this.#checkDevice(program.manifest, device);
    const before = this.#links.get(device);
    if (this.#taken.has(device) || (before !== undefined && !replace))
      throw new LinkError("EBUSY", `device ${device} has an XDP program already`);
    const running = this.#start(program);
    before?.detach();
    const link = new XdpLink(this.#nextId++, device, running, {
      start: (next) => this.#start(next),
      stop: (old) => this.#release(old.state, old.bytes),
      counters: (of) => this.#counters(of),
      remove: () => this.#links.delete(device),
    });
    this.#links.set(device, link);
    return link;
  }

  list(): Link[] {
    return [...this.#links.values()];
  }

  /** Offers a batch to every program. */
  process(batch: number, count: number): void {
    for (const { device, running } of this.#links.values()) running.process(batch, count, device);
  }

  trace(batch: number, count: number): void {
    for (const { device, running } of this.#links.values()) running.trace(batch, count, device);
  }

  /** @returns what puts the programs' state back as it is now */
  snapshot(): () => void {
    const { memory } = this.#host;
    const saved = [...this.#links.values()].map(({ running: { state, bytes } }) => ({
      state,
      copy: new Uint8Array(memory.buffer).slice(state, state + bytes),
    }));
    return () => {
      for (const { state, copy } of saved) new Uint8Array(memory.buffer).set(copy, state);
    };
  }

  #checkDevice({ name, image }: ProgramManifest, device: number): void {
    const record = this.#host.word(IMAGE.netsOffset) + this.#net * NET_BYTES;
    const at = (offset: number) => (offset + 4 <= this.#host.memory.buffer.byteLength ? this.#host.word(offset) : 0);
    const fits =
      image.net === record && image.devices.every(([ifindex, offset]) => at(offset + DEVICE.ifindex) === ifindex);
    if (!fits) throw new ProgramError("does-not-fit", `program ${name} was compiled for other networks`);
    const offset = image.devices.find(([ifindex]) => ifindex === device)?.[1];
    if (offset === undefined) throw new LinkError("ENODEV", `no device ${device}`);
    if (at(offset + DEVICE.flags) & (DeviceFlag.LOOPBACK | DeviceFlag.VRF))
      throw new LinkError("EOPNOTSUPP", `device ${device} has no wire: XDP is of veth and dummy devices`);
  }

  #start({ module, manifest, state: initial }: Program): Running {
    const { bytes } = manifest.state;
    const state = this.#free.get(bytes)?.pop() ?? this.#host.allocate(bytes);
    new Uint8Array(this.#host.memory.buffer).set(initial, state);
    const global = new WebAssembly.Global({ value: "i32", mutable: false }, state);
    const imports = { [PROGRAM_IMPORTS.memory]: this.#host.memory, [PROGRAM_IMPORTS.state]: global };
    try {
      const { exports } = new WebAssembly.Instance(module, { [PROGRAM_IMPORTS.module]: imports });
      const { [EXPORTS.process]: process, [EXPORTS.trace]: trace } = exports;
      return { manifest, process: process as XdpExport, trace: trace as XdpExport, state, bytes };
    } catch (error) {
      this.#release(state, bytes);
      throw new ProgramError("wrong-imports", `${error instanceof Error ? error.message : error}`);
    }
  }

  #release(state: number, bytes: number): void {
    const regions = this.#free.get(bytes) ?? [];
    regions.push(state);
    this.#free.set(bytes, regions);
  }

  #counters({ manifest, state }: Running): RuleCounter[] {
    const view = new DataView(this.#host.memory.buffer, state + manifest.state.counters);
    return manifest.counters.map((_, i) => {
      const read = (offset: number) => view.getBigUint64(i * FILTER_COUNTER_BYTES + offset, true);
      return { packets: read(FILTER_COUNTER.packets), bytes: read(FILTER_COUNTER.bytes) };
    });
  }
}

interface Owner {
  start(program: Program): Running;
  stop(running: Running): void;
  counters(running: Running): RuleCounter[];
  remove(): void;
}

class XdpLink implements Link {
  readonly id: number;
  readonly hook = "xdp";
  readonly device: number;
  readonly #owner: Owner;
  #running: Running;
  #attached = true;

  constructor(id: number, device: number, running: Running, owner: Owner) {
    this.id = id;
    this.device = device;
    this.#running = running;
    this.#owner = owner;
  }

  get program(): ProgramManifest {
    return this.#running.manifest;
  }

  get attached(): boolean {
    return this.#attached;
  }

  get running(): Running {
    return this.#running;
  }

  update(program: Program): void {
    if (!this.#attached) throw new LinkError("ENOLINK", `link ${this.id} is detached`);
    if (JSON.stringify(program.manifest.image) !== JSON.stringify(this.#running.manifest.image))
      throw new ProgramError("does-not-fit", `program ${program.manifest.name} was compiled for other networks`);
    const next = this.#owner.start(program);
    this.#owner.stop(this.#running);
    this.#running = next;
  }

  /** Once more does nothing. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#owner.remove();
    this.#owner.stop(this.#running);
  }

  readCounters(): RuleCounter[] {
    return this.#attached ? this.#owner.counters(this.#running) : [];
  }
}
