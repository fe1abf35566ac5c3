/**
 * The neighbours of a namespace, read and changed between batches: `ip neigh add | replace | change | del` as the kernel means them,
 * for both families. What is refused throws a NeighbourError and leaves everything as it was.
 *
 *   dataplane.neighbours("host").replace("10.0.0.7 lladdr 02:00:00:00:00:07 dev eth0")
 *   dataplane.neighbours("host").run("ip -6 neigh del fe80::7 dev eth0")
 *   dataplane.neighbours("host").replace({ address: 0x0a000007, lladdr: 0x020000000007, dev: 2 })
 *
 * There is one state, known: who answers is the caller's to find out (runtime/host does it, by ARP and neighbour discovery, through
 * `Engine.setNeighbour`, and sees the same entries).
 */
import type { DeviceConfig } from "./host/config.ts";
import type { NeighbourEntry } from "./neighbour.ts";
import { type Ip, parseIp } from "./net/ip.ts";
import { type Mac, parseMac } from "./net/mac.ts";
import { NeighbourError, NO_MEMORY, refusing } from "./refusal.ts";
import { Errno } from "./verdict.ts";

export interface NeighbourSpec {
  /** Text, or a number (IPv4, host order) or a bigint (IPv6). */
  readonly address: string | Ip;
  /** Text, or 48 bits as a number. */
  readonly lladdr?: string | Mac;
  /** Name, or ifindex. */
  readonly dev: string | number;
}

/** The table as its owner has it. */
export interface NeighbourStore {
  get(ifindex: number, address: Ip): Mac | null;
  /** @param mac null: the address is not known any more */
  set(ifindex: number, address: Ip, mac: Mac | null): void;
  entries(): Iterable<NeighbourEntry>;
}

const refuse = (errno: Errno, message: string): never => {
  throw new NeighbourError(errno, message);
};
const NOT_THERE = "RTNETLINK answers: No such file or directory";

interface Parsed {
  readonly address: Ip;
  readonly lladdr: Mac | null;
  readonly ifindex: number;
}

export class Neighbours {
  readonly #store: NeighbourStore;
  readonly #devices: readonly DeviceConfig[];

  /** Use `Dataplane.neighbours`. */
  constructor(store: NeighbourStore, devices: readonly DeviceConfig[]) {
    this.#store = store;
    this.#devices = devices;
  }

  /** @throws NeighbourError EEXIST when the address is known */
  add(neighbour: string | NeighbourSpec): void {
    const parsed = this.#parse(neighbour);
    if (this.#isKnown(parsed)) refuse(Errno.EEXIST, "RTNETLINK answers: File exists");
    this.#set(parsed);
  }

  replace(neighbour: string | NeighbourSpec): void {
    this.#set(this.#parse(neighbour));
  }

  /** @throws NeighbourError ENOENT when the address is not known */
  change(neighbour: string | NeighbourSpec): void {
    const parsed = this.#parse(neighbour);
    if (!this.#isKnown(parsed)) refuse(Errno.ENOENT, NOT_THERE);
    this.#set(parsed);
  }

  /** @throws NeighbourError ENOENT when the address is not known */
  delete(neighbour: string | NeighbourSpec): void {
    const parsed = this.#parse(neighbour);
    if (!this.#isKnown(parsed)) refuse(Errno.ENOENT, NOT_THERE);
    this.#store.set(parsed.ifindex, parsed.address, null);
  }

  /** A command as it is typed: `[ip [-4 | -6]] neigh add|replace|change|del ADDRESS lladdr MAC dev NAME [nud permanent]`. */
  run(command: string): void {
    const [, verb, rest] =
      /^\s*(?:ip\s+(?:-[46]\s+)?)?(?:(?:neighbour|neighbor|neigh|n)\s+)?(\S+)\s+(.*)$/s.exec(command) ?? [];
    if (verb === "add") this.add(rest);
    else if (verb === "replace") this.replace(rest);
    else if (verb === "change" || verb === "chg") this.change(rest);
    else if (verb === "del" || verb === "delete") this.delete(rest);
    else refuse(Errno.EINVAL, `Command "${verb ?? command}" is unknown: add, replace, change or del`);
  }

  /** The link-layer address, as a number; null: not known. @throws NeighbourError for a device that there is not */
  get(address: string | Ip, dev: string | number): Mac | null {
    return this.#store.get(this.#deviceOf(dev), this.#addressOf(address));
  }

  /** All that are known, in no particular order. Good as long as nothing changes. */
  entries(): Iterable<NeighbourEntry> {
    return this.#store.entries();
  }

  #isKnown = ({ ifindex, address }: Parsed): boolean => this.#store.get(ifindex, address) !== null;

  #set({ ifindex, address, lladdr }: Parsed): void {
    if (lladdr === null)
      throw new NeighbourError(Errno.EOPNOTSUPP, "a neighbour without lladdr is one that is not known yet");
    refusing(
      () => new NeighbourError(Errno.ENOMEM, NO_MEMORY),
      () => this.#store.set(ifindex, address, lladdr),
    );
  }

  #parse(neighbour: string | NeighbourSpec): Parsed {
    const spec = typeof neighbour === "string" ? parseNeighbour(neighbour) : neighbour;
    return { address: this.#addressOf(spec.address), lladdr: macOf(spec.lladdr), ifindex: this.#deviceOf(spec.dev) };
  }

  #addressOf(said: string | Ip): Ip {
    if (typeof said === "number" && Number.isInteger(said) && said >= 0 && said <= 0xffffffff) return said;
    if (typeof said === "bigint" && said === BigInt.asUintN(128, said)) return said;
    const address = typeof said === "string" ? parseIp(said) : null;
    return address ?? refuse(Errno.EINVAL, `Error: any valid prefix is expected rather than "${said}".`);
  }

  #deviceOf(said: string | number): number {
    const device = this.#devices.find(({ name, ifindex }) => said === name || said === ifindex);
    return device?.ifindex ?? refuse(Errno.ENODEV, `Cannot find device "${said}"`);
  }
}

function macOf(said: string | Mac | undefined): Mac | null {
  if (said === undefined) return null;
  const mac = typeof said === "string" ? parseMac(said) : said;
  const isMac = mac !== null && Number.isInteger(mac) && mac >= 0 && mac < 2 ** 48;
  return isMac ? mac : refuse(Errno.EINVAL, "Error: Invalid link address.");
}

/** @throws NeighbourError that names the word */
function parseNeighbour(text: string): NeighbourSpec {
  const words = text.trim().split(/\s+/);
  const draft: { address?: string; lladdr?: string; dev?: string } = {};
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    const next = (): string => words[++at] ?? refuse(Errno.EINVAL, `${word}: a word is missing behind it`);
    if (word === "lladdr") draft.lladdr = next();
    else if (word === "dev") draft.dev = next();
    else if (word === "nud") {
      const state = next();
      if (state !== "permanent")
        refuse(Errno.EOPNOTSUPP, `nud ${state}: an address is known for good until it is deleted`);
    } else if (draft.address === undefined) draft.address = word === "to" ? next() : word;
    else refuse(Errno.EINVAL, `Error: either "to" is duplicate, or "${word}" is a garbage.`);
  }
  const { address, dev } = draft;
  if (address === undefined || address === "" || dev === undefined)
    return refuse(Errno.EINVAL, "Device and destination are required arguments.");
  return { ...draft, address, dev };
}
