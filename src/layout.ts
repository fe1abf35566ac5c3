/**
 * layout: what stands where in linear memory, and the bytes that stand there when a module is loaded. The plan is built
 * against a layout, so that it reads records at constant offsets.
 *
 *   layout = image, heap, { net layout }, { region }
 *   region = name, offset, bytes                        aligned, disjoint, in ascending order, covering the image
 *
 * The records are drawn in runtime/abi.
 */
import type { Model, Net, Route } from "../dsl/model.ts";
import { DEVICE_BYTES } from "../runtime/abi/device.ts";
import { TABLE } from "../runtime/abi/fib.ts";
import { ABI_VERSION, CACHE_LINE, IMAGE, IMAGE_BYTES, IMAGE_MAGIC, WORKER_BYTES } from "../runtime/abi/image.ts";
import { COUNTERS_BYTES, NET, NET_BYTES } from "../runtime/abi/net.ts";
import type { IfIndex, TableId } from "../runtime/brand.ts";
import type { LpmKind } from "../runtime/lpm/lpm.ts";
import { NeighbourTable, neighbourSlots, neighbourTableBytes } from "../runtime/neighbour.ts";
import type { Family } from "../runtime/net/ip.ts";
import type { Fib } from "./fib/fib.ts";
import { ImageWriter, type Region } from "./image-writer.ts";
import { layoutAddresses, layoutAddresses6, layoutGroups6, writeDevice } from "./layout-devices.ts";
import { layoutTables, type TableLayout } from "./layout-tables.ts";
import { type LpmShape, lpmProcName } from "./lpm/emit.ts";
import { type ClassifierOptions, type Classifiers, layoutClassifiers } from "./netfilter/classifier/layout.ts";
import { layoutFilterState, layoutSets, type NetfilterLayout, type SetLayout } from "./netfilter/layout.ts";
import { rememberedOf } from "./remember.ts";
import { isPlain, LONG_LIST, layoutRuleList, type RuleListLayout } from "./rules/layout.ts";
import { suppressedLengths } from "./shared-table.ts";
import { sourceFilter } from "./source-filter.ts";
import { concatenate, type Segment } from "./wasm/data.ts";

export interface Layout {
  /** Initial contents of linear memory from offset 0, put together when it is asked for: there may be many megabytes. */
  readonly image: Uint8Array;
  /** First byte after the image: the host's. */
  readonly heap: number;
  /** What a thread has for itself, to the heap. */
  readonly worker: number;
  /** The image as it is without chains, whose part stands behind it: where a program finds devices, tables and routes. */
  readonly networks: Uint8Array<ArrayBuffer>;
  /** Of the image, up to the end of the namespaces' records. */
  readonly head: Uint8Array;
  /** The image in parts, of which the one that devices, neighbours and routes alone decide is the same object for as long as they are. */
  readonly segments: readonly Segment[];
  readonly nets: readonly NetLayout[];
  /** Of IPv4 tables, those that most have: `TABLE.shape` is the place here plus 1. */
  readonly shapes: readonly LpmShape[];
  readonly regions: readonly Region[];
}

/** Offsets of one namespace's records. */
export interface NetLayout {
  readonly net: Net;
  readonly offset: number;
  readonly devices: ReadonlyMap<IfIndex, number>;
  /** Of IPv4, and of IPv6. */
  readonly tables: ReadonlyMap<TableId, TableLayout>;
  readonly tables6: ReadonlyMap<TableId, TableLayout>;
  /** Own IPv4 addresses -> DEVICE. */
  readonly addresses: TableLayout;
  readonly counters: number;
  readonly netfilter: NetfilterLayout;
  /** Null: there are too many gaps for one. */
  readonly deviceIndex: DeviceIndex | null;
  /** sourceFilter (source-filter.ts); null: each source is looked up. */
  readonly sourceFilter: IndexedBytes | null;
  /** Of each family; null: its rules are code. */
  readonly ruleLists: Readonly<Record<Family, RuleListLayout | null>>;
}

/** The DEVICE of each ifindex below `length`, 0 where there is none: `offset` has the offset of each page, of DEVICES_OF_PAGE words. */
export interface DeviceIndex {
  readonly offset: number;
  readonly length: number;
}
export const DEVICES_OF_PAGE = 256;

export interface IndexedBytes {
  readonly offset: number;
  readonly length: number;
}

export interface LayoutOptions {
  /** Forces one look-up structure for all tables that it can hold; absent: chosen by size. */
  readonly lpm?: LpmKind;
  /** Which lists of rules become classifiers; absent: by their length. */
  readonly classifiers?: ClassifierOptions;
  /** Rule lists from this length on are data, not code; absent: where that is worth it. */
  readonly longList?: number;
}

export function layout(model: Model, fibs: readonly Fib[], options: LayoutOptions = {}): Layout {
  const { records, networks, unchanged, shapes, regions, nets: known } = fixedOf(model, fibs, options);
  const image = new ImageWriter(networks.length, networks.subarray(0, unchanged.offset), regions);
  const fixed = known.map((own, i): FixedLayout => ({ ...own, net: model.nets[i] }));
  const sets = fixed.map(({ net }) => layoutSets(image, titleOf(net), net.netfilter));
  const classifiers = fixed.map(({ net }) =>
    layoutClassifiers(image, titleOf(net), net.netfilter, options.classifiers),
  );
  const worker = image.reserve("trace region of a thread", WORKER_BYTES);
  const placed = fixed.map((net, i) => layoutState(image, net, { sets: sets[i], classifiers: classifiers[i] }));
  const workerBytes = image.end() - worker;
  // Behind all else, so that nothing moves when a rule changes.
  const nets = placed.map((net) => ({ ...net, ruleLists: layoutRuleLists(image, model, net, options) }));
  const heap = image.end();
  image.words(0, IMAGE, {
    magic: IMAGE_MAGIC,
    version: ABI_VERSION,
    nets: nets.length,
    netsOffset: records,
    heap,
    traceCursor: heap,
    traceEnd: heap,
    worker,
    workerBytes,
  });
  image.address(IMAGE.loopback, 1n);
  const { head, tail } = image.parts();
  const segments = [{ offset: 0, bytes: head }, unchanged, { offset: networks.length, bytes: tail }];
  let whole: Uint8Array | null = null;
  return {
    get image() {
      whole ??= concatenate(segments.map(({ bytes }) => bytes));
      return whole;
    },
    ...{ heap, worker, networks, head, segments, nets, shapes, regions: image.regions },
  };
}

/** What stands first: what devices, neighbours and routes alone decide. */
interface Fixed {
  readonly records: number;
  readonly networks: Uint8Array<ArrayBuffer>;
  /** Of that, all behind the records of nets: nothing of it is written any more. */
  readonly unchanged: Segment;
  readonly shapes: Layout["shapes"];
  readonly regions: readonly Region[];
  readonly nets: readonly FixedLayout[];
}

/** Made once for as long as only rules and chains are others. */
function fixedOf({ nets }: Model, fibs: readonly Fib[], options: Pick<LayoutOptions, "lpm">): Fixed {
  if (nets.length === 0) return layoutFixed(nets, fibs, options);
  const given = nets.flatMap(({ rules, netfilter: _, ...others }) => [
    suppressedLengths(rules).join(),
    ...Object.values(others),
  ]);
  return rememberedFixed(nets[0].routes, [options.lpm, ...fibs, ...given], () => layoutFixed(nets, fibs, options));
}

const rememberedFixed = rememberedOf<readonly Route[], Fixed>(1);

function layoutFixed(nets: readonly Net[], fibs: readonly Fib[], options: Pick<LayoutOptions, "lpm">): Fixed {
  const image = new ImageWriter();
  image.reserve("image header", IMAGE_BYTES);
  const records = image.reserve("net records", nets.length * NET_BYTES);
  const fixed = nets.map((net, i) => {
    const own = fibs.filter((fib) => fib.net === net.index);
    return layoutNet(image, net, records + i * NET_BYTES, own, options);
  });
  const shapes = commonShapes(image, fixed);
  const networks = image.parts().tail;
  const offset = records + nets.length * NET_BYTES;
  const unchanged = { offset, bytes: networks.subarray(offset) };
  return { records, networks, unchanged, shapes, regions: image.regions, nets: fixed };
}

/** More shapes than these are looked up by the code that reads any. */
const MOST_SHAPES = 4;

/** Writes `TABLE.shape` of every IPv4 table. */
function commonShapes(image: ImageWriter, nets: readonly Pick<NetLayout, "tables">[]): LpmShape[] {
  const tables = nets.flatMap(({ tables }) => [...tables.values()]);
  const byName = new Map<string, TableLayout[]>();
  for (const table of tables) {
    if (table.shape === null) continue;
    const name = lpmProcName(table.kind, 4, table.shape);
    const same = byName.get(name);
    if (same === undefined) byName.set(name, [table]);
    else same.push(table);
  }
  const common = [...byName.values()].sort((a, b) => b.length - a.length).slice(0, MOST_SHAPES);
  for (const [i, same] of common.entries()) for (const { offset } of same) image.words(offset, TABLE, { shape: i + 1 });
  return common.map(([{ shape }]) => shape!);
}

/** All of a namespace but its chains, and what its packets leave behind. */
type FixedLayout = Omit<NetLayout, "counters" | "netfilter" | "ruleLists">;

const titleOf = (net: Net): string => `net ${net.index} (${net.name})`;

function layoutNet(
  image: ImageWriter,
  net: Net,
  offset: number,
  fibs: readonly Fib[],
  options: Pick<LayoutOptions, "lpm">,
): FixedLayout {
  const name = titleOf(net);
  const firstDevice = image.reserve(`${name} devices`, net.devices.length * DEVICE_BYTES, CACHE_LINE);
  const devices = new Map(net.devices.map((device, i) => [device.ifindex, firstDevice + i * DEVICE_BYTES]));
  const tableOptions = { ...options, suppressed: suppressedLengths(net.rules) };
  const tables = layoutTables(image, `${name} table`, ofFamily(fibs, 4), tableOptions, devices);
  const tables6 = layoutTables(image, `${name} IPv6 table`, ofFamily(fibs, 6), tableOptions, devices);
  const byIfindex = new Map(net.devices.map((device) => [device.ifindex, device]));
  for (const device of net.devices) {
    const master = device.master === 0 ? null : byIfindex.get(device.master)!;
    writeDevice(image, net, device, devices, { master, tables: tables.byId, tables6: tables6.byId });
    layoutAddresses6(image, `${name} IPv6 addresses of ${device.name}`, device, devices);
    layoutGroups6(image, `${name} IPv6 groups of ${device.name}`, net, device, devices);
  }
  const addresses = layoutAddresses(image, `${name} addresses`, net, devices);
  const deviceIndex = layoutDeviceIndex(image, `${name} devices by ifindex`, devices);
  const sourceFilter = layoutSourceFilter(image, `${name} source filter`, fibs);
  image.words(offset, NET, {
    devices: firstDevice,
    deviceCount: net.devices.length,
    tables: tables.first,
    tableCount: tables.byId.size,
    neighbours: layoutNeighbours(image, `${name} neighbours`, net),
    addresses: addresses.offset,
    tables6: tables6.first,
    tableCount6: tables6.byId.size,
  });
  return {
    ...{ net, offset, devices, tables: tables.byId, tables6: tables6.byId, addresses },
    ...{ deviceIndex, sourceFilter },
  };
}

/** What packets leave behind: each thread has it for itself (WORKER of runtime/abi/image.ts). */
function layoutState(
  image: ImageWriter,
  fixed: FixedLayout,
  lists: { readonly sets: readonly SetLayout[]; readonly classifiers: Classifiers },
): Omit<NetLayout, "ruleLists"> {
  const name = titleOf(fixed.net);
  const counters = image.reserve(`${name} counters`, COUNTERS_BYTES);
  const state = layoutFilterState(image, name, fixed.net.netfilter);
  image.words(fixed.offset, NET, {
    counters,
    filterState: state.counters,
    filterStateBytes: state.stateBytes,
  });
  return { ...fixed, counters, netfilter: { space: "image", ...state, ...lists } };
}

/** Words of the index at the most: of each device, and besides. Numbers are mostly given in a few rows. */
const INDEX_WORDS_PER_DEVICE = 16;
const INDEX_WORDS = 2048;

function layoutDeviceIndex(image: ImageWriter, name: string, devices: NetLayout["devices"]): DeviceIndex | null {
  const pageOf = (ifindex: number): number => Math.floor(ifindex / DEVICES_OF_PAGE);
  const count = pageOf(Math.max(...devices.keys())) + 1;
  const used = [...new Set([...devices.keys()].map(pageOf))];
  // One more, which is empty, for all that are not used.
  const words = count + DEVICES_OF_PAGE * (used.length + 1);
  if (words > INDEX_WORDS_PER_DEVICE * devices.size + INDEX_WORDS) return null;
  const offset = image.reserve(name, 4 * words);
  image.view(offset, 4 * words, (bytes) => {
    const index = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const placeOf = (k: number): number => 4 * (count + DEVICES_OF_PAGE * k);
    for (let page = 0; page < count; page++) index.setUint32(4 * page, offset + placeOf(used.length), true);
    for (const [k, page] of used.entries()) index.setUint32(4 * page, offset + placeOf(k), true);
    for (const [ifindex, device] of devices) {
      const page = index.getUint32(4 * pageOf(ifindex), true) - offset;
      index.setUint32(page + 4 * (ifindex % DEVICES_OF_PAGE), device, true);
    }
  });
  return { offset, length: count * DEVICES_OF_PAGE };
}

function layoutSourceFilter(image: ImageWriter, name: string, fibs: readonly Fib[]): IndexedBytes | null {
  const cells = sourceFilter(fibs);
  if (cells === null) return null;
  const offset = image.reserve(name, cells.length);
  image.view(offset, cells.length, (bytes) => bytes.set(cells));
  return { offset, length: cells.length };
}

function layoutRuleLists(
  image: ImageWriter,
  { kernel }: Model,
  { net, offset, tables, tables6 }: Omit<NetLayout, "ruleLists">,
  { longList = LONG_LIST }: LayoutOptions,
): NetLayout["ruleLists"] {
  const listOf = (family: Family): RuleListLayout | null => {
    const rules = net.rules.filter((rule) => rule.family === family);
    if (rules.length < longList || !isPlain(rules)) return null;
    const name = `net ${net.index} (${net.name}) IPv${family} rules`;
    const tableOf = (id: number) => (family === 4 ? tables : tables6).get(id as TableId)?.offset ?? 0;
    const list = layoutRuleList(image, { name, net, kernel, family, rules, tableOf });
    image.words(offset, NET, { [family === 4 ? "ruleList" : "ruleList6"]: list.offset });
    return list.layout;
  };
  return { 4: listOf(4), 6: listOf(6) };
}

const ofFamily = (fibs: readonly Fib[], family: Family): Fib[] => fibs.filter((fib) => fib.family === family);

function layoutNeighbours(image: ImageWriter, name: string, net: Net): number {
  const slots = neighbourSlots(net.neighbours.length);
  const bytes = neighbourTableBytes(slots);
  const offset = image.reserve(name, bytes);
  image.view(offset, bytes, (view) => {
    const table = new NeighbourTable(view, 0);
    table.clear(slots);
    for (const { device, address, mac } of net.neighbours) table.set({ ifindex: device, address, mac });
  });
  return offset;
}

/**
 * The regions of a layout, one a line:
 *
 *   0x00000000       64  image header
 *   0x00000040       32  net records
 */
export function printLayout({ regions, heap }: Layout): string {
  const line = (offset: number, bytes: string, name: string) =>
    `0x${offset.toString(16).padStart(8, "0")} ${bytes.padStart(8)}  ${name}\n`;
  return regions.map(({ offset, bytes, name }) => line(offset, `${bytes}`, name)).join("") + line(heap, "", "heap");
}
