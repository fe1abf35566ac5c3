/**
 * The lists of programs that a namespace's packets meet at its points (LINK_POINTS), and the places of their entries in the
 * module's table. Changed between batches: a packet meets the list as it was, or as it is.
 */
import { EXPORTS } from "../abi/exports.ts";
import { LINK, LINK_BYTES, LINK_POINTS, linkPoint, MOST_LINKS } from "../abi/links.ts";
import { NET } from "../abi/net.ts";
import { entriesOf, type ProgramManifest } from "./manifest.ts";
import type { ProgramHost, Running } from "./running.ts";

/** What of a program that runs is put into lists. */
type Attachable = Pick<Running, "exports" | "manifest">;

/** A program's entry at a point. */
interface Entry {
  readonly link: number;
  readonly point: number;
  readonly device: number;
  readonly priority: number;
  /** In the table; that of the one which traces is the next. */
  readonly place: number;
  /** Offset of the LINK. */
  readonly record: number;
}

export class LinkLists {
  readonly #host: ProgramHost;
  /** Offset of the NET record. */
  readonly #net: number;
  readonly #lists: readonly Entry[][] = LINK_POINTS.map(() => []);
  readonly #freePlaces: number[] = [];
  readonly #freeRecords: number[] = [];

  constructor(host: ProgramHost, net: number) {
    this.#host = host;
    this.#net = net;
  }

  /** Is there room at all points of the program? */
  hasRoom({ hook, families }: ProgramManifest, devices: number): boolean {
    return families.every((family) => this.#lists[linkPoint(hook, family)].length + devices <= MOST_LINKS);
  }

  /** Records for a program's places. @throws MemoryError */
  reserve({ families }: ProgramManifest, devices: number): void {
    while (this.#freeRecords.length < families.length * devices)
      this.#freeRecords.push(this.#host.allocate(LINK_BYTES));
  }

  /** @param devices ifindexes; 0 at the hooks of the IP layer @throws MemoryError, but behind `reserve`; nothing has changed then */
  add(link: number, running: Attachable, devices: readonly number[], priority: number): void {
    this.reserve(running.manifest, devices.length);
    const { hook, families } = running.manifest;
    for (const [i, family] of families.entries()) {
      const point = linkPoint(hook, family);
      for (const device of devices) {
        const place = this.#freePlaces.pop() ?? this.#table.grow(2);
        const record = this.#freeRecords.pop()!;
        this.#insert({ link, point, device, priority, place, record });
        this.#fill(place, running, i);
      }
      this.#write(point);
    }
  }

  /** The link's entries are another program's from now on, which sees the same packets. */
  exchange(link: number, running: Attachable): void {
    for (const [i, family] of running.manifest.families.entries())
      for (const { place } of this.#lists[linkPoint(running.manifest.hook, family)].filter((one) => one.link === link))
        this.#fill(place, running, i);
  }

  /** Places in the table of a link's program, each with that of its entry in `entriesOf`. */
  placesOf(link: number, { manifest: { hook, families } }: Attachable): [place: number, entry: number][] {
    return families.flatMap((family, i) =>
      this.#lists[linkPoint(hook, family)]
        .filter((one) => one.link === link)
        .map(({ place }): [number, number] => [place, i]),
    );
  }

  remove(link: number): void {
    for (const [point, list] of this.#lists.entries()) {
      const gone = list.filter((entry) => entry.link === link);
      if (gone.length === 0) continue;
      list.splice(0, list.length, ...list.filter((entry) => entry.link !== link));
      this.#write(point);
      for (const { place, record } of gone) {
        this.#table.set(place, null);
        this.#table.set(place + 1, null);
        this.#freePlaces.push(place);
        this.#freeRecords.push(record);
      }
    }
  }

  /** At netfilter's hooks before its equals (nf_hook_entries_grow), at tc behind them. */
  #insert(entry: Entry): void {
    const list = this.#lists[entry.point];
    const isTc = LINK_POINTS[entry.point].hook.startsWith("tc");
    const before = list.findIndex(({ priority }) => (isTc ? priority > entry.priority : priority >= entry.priority));
    list.splice(before < 0 ? list.length : before, 0, entry);
  }

  #fill(place: number, { exports, manifest }: Attachable, entry: number): void {
    const [hot, traced] = entriesOf(manifest)[entry];
    this.#table.set(place, exports[hot]);
    this.#table.set(place + 1, exports[traced]);
  }

  /** The records of a list, from its end, and last the words that a packet finds it by. */
  #write(point: number): void {
    let next = 0;
    for (const { record, place, device, priority, link } of this.#lists[point].toReversed()) {
      this.#host.setWord(record + LINK.next, next);
      this.#host.setWord(record + LINK.place, place);
      this.#host.setWord(record + LINK.device, device);
      this.#host.setWord(record + LINK.priority, priority);
      this.#host.setWord(record + LINK.id, link);
      next = record;
    }
    this.#host.setWord(this.#net + NET.links + 4 * point, next);
    const linked = this.#host.word(this.#net + NET.linked) & ~(1 << point);
    this.#host.setWord(this.#net + NET.linked, linked | (next === 0 ? 0 : 1 << point));
  }

  get #table(): WebAssembly.Table {
    return this.#host.exports[EXPORTS.table] as WebAssembly.Table;
  }
}
