/**
 * Links: programs and base chains attached to a loaded module, exchanged and taken off, between batches.
 *
 *   attach -> Link -> update, detach
 *
 * At xdp the host offers each batch to the program of a device, and then to the module; a device has one. At all other points the module
 * itself calls what is attached (points.ts), in the order of priorities, chains of its own included. Where nothing is attached a packet
 * meets nothing more than before. Of several threads the first attaches, while no other is inside of a batch, and tells them (notice.ts).
 * k:net/core/dev.c dev_xdp_attach; net/netfilter/core.c nf_hook_entries_grow; kernel/bpf/syscall.c link_update, link_detach.
 */
import { LINK_POINTS } from "../abi/links.ts";
import { NET_BYTES } from "../abi/net.ts";
import type { RuleCounter } from "../engine.ts";
import type { Hook } from "../hooks.ts";
import type { Manifest, NetManifest } from "../manifest.ts";
import type { NamedMap } from "../maps/map.ts";
import type { MapMemory } from "../maps/store.ts";
import { MemoryError, refusing } from "../refusal.ts";
import type { Share } from "../share.ts";
import { type Program, ProgramError, type ProgramManifest } from "./manifest.ts";
import type { Attached, Notice, Told, XdpEntry } from "./notice.ts";
import { LinkLists } from "./points.ts";
import { type ProgramHost, Runner, type Running } from "./running.ts";

export interface AttachOptions {
  /** ifindex, at the hooks of devices; else where the program's text puts it. */
  readonly device?: number;
  /** Signed 32 bits, lower ones run first; else that of the program's text. At xdp it has no meaning. */
  readonly priority?: number;
  /** At xdp: takes the place of a program that is there, which else is an error. */
  readonly replace?: boolean;
}

/** Why nothing was attached; `code` as the kernel's errno. */
export class LinkError extends Error {
  override readonly name = "LinkError";
  readonly code: "EBUSY" | "ENODEV" | "EOPNOTSUPP" | "ENOLINK" | "EINVAL" | "E2BIG" | "ENOMEM";

  constructor(code: LinkError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

export interface Link {
  readonly id: number;
  readonly hook: Hook;
  /** ifindexes; none at the hooks of the IP layer. */
  readonly devices: readonly number[];
  readonly priority: number;
  readonly program: ProgramManifest;
  readonly attached: boolean;
  /**
   * The next batch meets the other program, at the same place. Counters with a name that it has too go on; named sets and maps with the same key,
   * value and kind keep their contents.
   * @returns what the counters of the program that goes have counted, as `readCounters`
   * @throws ProgramError, LinkError: the old program goes on. ENOMEM; E2BIG: a map's contents are more than the new `size`
   */
  update(program: Program): RuleCounter[];
  /** Once more does nothing. @returns the last counts, as `readCounters` */
  detach(): RuleCounter[];
  /** What the counters of the program have counted, by their places in its manifest; of one that is detached nothing. */
  readCounters(): RuleCounter[];
  /**
   * A named set or map that the program asks, to be read and changed between batches. It is that of the program which the link has when it is asked,
   * and after `detach` every call throws ENOLINK.
   * @throws RangeError when the program asks none of this name
   * @throws LinkError ENOLINK
   */
  map(name: string): NamedMap;
}

/** The links of a namespace. */
export class Links implements Attached {
  readonly #net: NetManifest;
  readonly #networks: string;
  readonly #runner: Runner;
  readonly #lists: LinkLists;
  readonly #links = new Map<number, AttachedLink>();
  /** Those of them that are offered whole batches. */
  #xdp: readonly AttachedLink[] = [];
  #nextId = 1;
  readonly #share: Share;
  readonly #tell: (told: readonly Told[]) => void;
  /** Programs that have run. */
  #ran = 0;
  readonly #ids = new WeakMap<Running, number>();

  /**
   * @param memory where programs and their maps have theirs
   * @param net which of the namespaces
   * @param netsOffset of the first NET record
   * @param shared what several threads have in common, and what tells the others what is attached
   */
  constructor(
    host: ProgramHost,
    memory: MapMemory,
    { nets, networks }: Pick<Manifest, "nets" | "networks">,
    { net, netsOffset }: { readonly net: number; readonly netsOffset: number },
    { share, notice }: { readonly share: Share; readonly notice: Notice | null },
  ) {
    this.#net = nets[net];
    this.#networks = networks;
    this.#share = share;
    this.#runner = new Runner(host, memory, this.#net.devices, share);
    this.#lists = new LinkLists(host, netsOffset + net * NET_BYTES);
    this.#tell = (told) => notice?.tell(net, told);
  }

  /**
   * @throws ProgramError when the program was compiled for other networks
   * @throws LinkError ENODEV; EOPNOTSUPP: the device has no wire (xdp), or the module sends no copies; EBUSY: the device has a program
   * (xdp); E2BIG: there are MOST_LINKS; EINVAL; ENOMEM. What was attached goes on then
   */
  attach(program: Program, options: AttachOptions = {}): Link {
    return this.#share.alone(() => refusing(noMemory, () => this.#attach(program, options)));
  }

  #attach(program: Program, { device, priority = program.manifest.priority, replace = false }: AttachOptions): Link {
    const { manifest } = program;
    const devices = this.#devicesFor(manifest, device);
    this.#checkFit(manifest);
    if (priority !== (priority | 0)) throw new LinkError("EINVAL", `priority ${priority} is no number of 32 bits`);
    const before = manifest.hook === "xdp" ? this.#xdpAt(devices[0], replace) : null;
    const places = devices.length === 0 ? [0] : devices;
    if (manifest.hook !== "xdp" && !this.#lists.hasRoom(manifest, places.length))
      throw new LinkError("E2BIG", `${manifest.hook} has as many links as it can have`);
    if (manifest.hook !== "xdp") this.#lists.reserve(manifest, places.length);
    const running = this.#runner.start(program);
    const link: AttachedLink = new AttachedLink(this.#nextId++, { devices, priority }, running, {
      alone: (change) => this.#share.alone(change),
      update: (next) => refusing(noMemory, () => this.#update(link, next)),
      detach: () => this.#detach(link),
      counters: () => this.#runner.counters(link.running),
      map: (name) => link.running.maps.open(name),
    });
    this.#links.set(link.id, link);
    if (manifest.hook !== "xdp") this.#lists.add(link.id, running, places, priority);
    try {
      this.#changed();
    } catch (error) {
      this.#detach(link);
      throw error;
    }
    before?.detach();
    return link;
  }

  /** There is one more thread, or another program: whatever asks what is attached finds it so. */
  #changed(): void {
    const links = [...this.#links.values()];
    this.#xdp = links.filter(({ hook }) => hook === "xdp");
    if (this.#share.threads !== null) this.#tell(links.map((link) => this.#told(link)));
  }

  #told({ id: link, hook, devices, running }: AttachedLink): Told {
    const { wasm, state, owns } = running;
    const id = this.#ids.get(running) ?? ++this.#ran;
    this.#ids.set(running, id);
    const isXdp = hook === "xdp";
    const places = isXdp ? [] : this.#lists.placesOf(link, running);
    return { id, wasm: wasm!, state, owns, device: isXdp ? devices[0] : null, places };
  }

  /** A thread has got a seat. */
  seated(): void {
    const links = [...this.#links.values()];
    if (links.length === 0) return;
    for (const { running } of links) this.#runner.seat(running);
    this.#share.alone(() => this.#changed());
  }

  list(): Link[] {
    return [...this.#links.values()];
  }

  /** Offers a batch to every XDP program. */
  process(batch: number, count: number): void {
    this.#offer("process", batch, count);
  }

  trace(batch: number, count: number): void {
    this.#offer("trace", batch, count);
  }

  /** @returns what puts the programs' state back as it is now */
  snapshot(): () => void {
    return this.#runner.snapshot([...this.#links.values()].map(({ running }) => running));
  }

  #offer(entry: "process" | "trace", batch: number, count: number): void {
    // An iterator would be garbage of every batch.
    for (let i = 0; i < this.#xdp.length; i++) {
      const { devices, running } = this.#xdp[i];
      (running.exports[entry] as XdpEntry)(batch, count, devices[0]);
    }
  }

  #checkFit({ name, net, networks, copies, threads }: ProgramManifest): void {
    const several = this.#share.threads !== null;
    if (threads !== several)
      throw new ProgramError(
        "does-not-fit",
        `program ${name} was compiled for ${threads ? "several threads" : "one thread"}, the module for ${several ? "several" : "one"}`,
      );
    if (networks !== this.#networks || net !== this.#net.name)
      throw new ProgramError("does-not-fit", `program ${name} was compiled for other networks`);
    if (copies && !this.#net.chains.copies)
      throw new LinkError(
        "EOPNOTSUPP",
        `program ${name} copies frames, and the module has no chain that does: it sends none`,
      );
  }

  #devicesFor({ hook, devices }: ProgramManifest, device: number | undefined): readonly number[] {
    const ofIp = LINK_POINTS.some((point) => point.hook === hook && point.family !== null);
    if (ofIp && device !== undefined) throw new LinkError("EINVAL", `${hook} is no hook of a device`);
    const chosen = device === undefined ? devices : [device];
    for (const one of chosen) {
      const found = this.#net.devices.find(({ ifindex }) => ifindex === one);
      if (found === undefined) throw new LinkError("ENODEV", `no device ${one}`);
      if (hook === "xdp" && found.kind !== "veth" && found.kind !== "dummy")
        throw new LinkError("EOPNOTSUPP", `device ${one} has no wire: XDP is of veth and dummy devices`);
    }
    return chosen;
  }

  #xdpAt(device: number, replace: boolean): Link | null {
    const before = [...this.#links.values()].find((link) => link.hook === "xdp" && link.devices[0] === device) ?? null;
    if (this.#net.chains.xdp.includes(device) || (before !== null && !replace))
      throw new LinkError("EBUSY", `device ${device} has an XDP program already`);
    return before;
  }

  #update(link: AttachedLink, program: Program): RuleCounter[] {
    const { hook, families } = link.program;
    const { manifest } = program;
    this.#checkFit(manifest);
    if (manifest.hook !== hook || `${manifest.families}` !== `${families}`)
      throw new LinkError("EINVAL", `program ${manifest.name} does not see the packets that link ${link.id} is for`);
    const [before, next] = [link.running, this.#runner.start(program)];
    try {
      this.#runner.inherit(before, next);
    } catch (error) {
      this.#runner.stop(next);
      if (!(error instanceof RangeError) || error instanceof MemoryError) throw error;
      throw new LinkError("E2BIG", error.message);
    }
    this.#exchange(link, next);
    try {
      this.#changed();
    } catch (error) {
      this.#exchange(link, before);
      this.#runner.stop(next);
      throw error;
    }
    return this.#runner.stop(before);
  }

  #exchange(link: AttachedLink, running: Running): void {
    if (link.hook !== "xdp") this.#lists.exchange(link.id, running);
    link.running = running;
  }

  #detach(link: AttachedLink): RuleCounter[] {
    this.#links.delete(link.id);
    this.#lists.remove(link.id);
    const counted = this.#runner.stop(link.running);
    this.#changed();
    return counted;
  }
}

const noMemory = ({ message }: MemoryError): LinkError => new LinkError("ENOMEM", message);

interface Owner {
  /** Runs what changes, or reads, what threads share. */
  alone<T>(run: () => T): T;
  update(program: Program): RuleCounter[];
  detach(): RuleCounter[];
  counters(): RuleCounter[];
  map(name: string): NamedMap;
}

class AttachedLink implements Link {
  readonly id: number;
  readonly hook: Hook;
  readonly devices: readonly number[];
  readonly priority: number;
  running: Running;
  readonly #owner: Owner;
  #attached = true;

  constructor(id: number, { devices, priority }: Pick<Link, "devices" | "priority">, running: Running, owner: Owner) {
    this.id = id;
    this.hook = running.manifest.hook;
    this.devices = devices;
    this.priority = priority;
    this.running = running;
    this.#owner = owner;
  }

  get program(): ProgramManifest {
    return this.running.manifest;
  }

  get attached(): boolean {
    return this.#attached;
  }

  update(program: Program): RuleCounter[] {
    this.#checkAttached();
    return this.#owner.alone(() => this.#owner.update(program));
  }

  detach(): RuleCounter[] {
    if (!this.#attached) return [];
    return this.#owner.alone(() => {
      this.#attached = false;
      return this.#owner.detach();
    });
  }

  readCounters(): RuleCounter[] {
    return this.#attached ? this.#owner.counters() : [];
  }

  map(name: string): NamedMap {
    const current = (): NamedMap => {
      this.#checkAttached();
      return this.#owner.map(name);
    };
    return new Proxy(current(), {
      get: (_, member) => {
        const map = current();
        const value: unknown = Reflect.get(map, member, map);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => this.#owner.alone(() => value.apply(map, args));
      },
    });
  }

  #checkAttached(): void {
    if (!this.#attached) throw new LinkError("ENOLINK", `link ${this.id} is detached`);
  }
}
