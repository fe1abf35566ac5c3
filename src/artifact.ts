/**
 * artifact: the wasm module that a text becomes, made self-contained by a manifest: what a host must know of it beyond
 * its exports (runtime/manifest.ts says what that is and reads it).
 *
 *   artifact = wasm module, custom section "vrfc" { manifest as JSON }        the section stands last
 */
import type { Model, Net, Origin } from "../dsl/model.ts";
import type { RouteColumns } from "../dsl/route-columns.ts";
import { ABI_VERSION } from "../runtime/abi/image.ts";
import { NET } from "../runtime/abi/net.ts";
import {
  type CostManifest,
  type LinesManifest,
  MANIFEST_SCHEMA,
  MANIFEST_SECTION,
  type Manifest,
  type MemoryManifest,
  type NetManifest,
  type OriginManifest,
  type SetManifest,
  type TableManifest,
} from "../runtime/manifest.ts";
import { costsOf } from "./cost.ts";
import { type Fib, prefixCount } from "./fib/fib.ts";
import { gatewayRules } from "./gateway-rules.ts";
import type { Layout, NetLayout } from "./layout.ts";
import { netConfig } from "./net-config.ts";
import type { SetLayout } from "./netfilter/layout.ts";
import { describeMap, namedOf } from "./netfilter/maps.ts";
import { copiesFrames } from "./netfilter/reach.ts";
import { networksDigest, sha256 } from "./networks.ts";
import type { Plan } from "./plan/ir.ts";
import { rememberedOf } from "./remember.ts";
import { VERSION } from "./version.ts";
import { concatenate, leb128, type Parts } from "./wasm/data.ts";

export interface ManifestInput {
  readonly model: Model;
  readonly fibs: readonly Fib[];
  readonly layout: Layout;
  /** The hot build as buildPlan made it: inlining would hide the proc that a packet's cost is taken from. */
  readonly plan: Plan;
  readonly simd?: boolean;
  /** Of a module for several threads: what its memory must have. */
  readonly pages: MemoryManifest["pages"];
}

export async function buildManifest({
  model,
  fibs,
  layout,
  plan,
  simd = false,
  pages,
}: ManifestInput): Promise<Manifest> {
  const { source, nets } = model;
  const files = filesOf(nets);
  const names = namesOf(files);
  const costs = costsOf(model, layout, fibs, plan);
  return {
    schema: MANIFEST_SCHEMA,
    abi: ABI_VERSION,
    vrfc: VERSION,
    kernel: model.kernel,
    features: [
      ...(["mutable-globals", "sign-extension", "multi-value", "bulk-memory"] as const),
      ...(simd ? (["simd"] as const) : []),
      ...(pages === null ? [] : (["threads"] as const)),
    ],
    memory: { heap: layout.heap, pages },
    networks: await networksDigest(model, layout),
    source: {
      name: source.name,
      sha256: await sha256(new TextEncoder().encode(source.text)),
      files: names,
    },
    nets: layout.nets.map((own, index) => netManifest(own, index, { fibs, files, names, costs, head: layout.head })),
  };
}

interface Shared {
  readonly fibs: readonly Fib[];
  /** Their places in the manifest's list. */
  readonly files: ReadonlyMap<string, number>;
  /** That list. */
  readonly names: readonly string[];
  readonly costs: readonly CostManifest[];
  /** Layout.head. */
  readonly head: Uint8Array;
}

function netManifest(own: NetLayout, index: number, { fibs, files, names, costs, head }: Shared): NetManifest {
  const { net, offset, counters, netfilter } = own;
  const neighbours = new DataView(head.buffer, head.byteOffset).getUint32(offset + NET.neighbours, true);
  const origins = (items: readonly Told[]) =>
    knownOrigins(items, [names], () => items.map(({ origin }) => originOf(origin, files)));
  return {
    ...netConfig(net),
    tables: fibs.filter((fib) => fib.net === net.index).map((fib) => tableManifest(fib, own)),
    rules: origins(net.rules),
    routes: origins(net.routes),
    lines: net.columns.map((columns) => knownLines(columns, [names], () => linesManifest(columns, files))),
    gatewayRules: gatewayRules(net, 4),
    gatewayRules6: gatewayRules(net, 6),
    layout: { net: offset, neighbours, counters },
    chains: {
      counters: net.netfilter.counters.map((counter) => namedOf(net.netfilter, counter)),
      sets: netfilter.sets.map((layout) => setManifest(net, layout)),
      copies: copiesFrames(net.netfilter),
      xdp: net.netfilter.programs.filter(({ hook }) => hook === "xdp").map(({ device }) => device),
    },
    cost: costs[index],
  };
}

function setManifest({ netfilter }: Net, layout: SetLayout): SetManifest {
  const { set, kind, record, decisions, elements } = layout;
  const map = set.name === null ? null : { record, ...describeMap(netfilter, set, decisions) };
  return { ...namedOf(netfilter, set), structure: kind, elements: elements.length, map };
}

function tableManifest(fib: Fib, { net, tables, tables6 }: NetLayout): TableManifest {
  const { table, family } = fib;
  const structure = (family === 4 ? tables : tables6).get(table)?.kind ?? null;
  return { id: table, name: net.tableNames.get(table) ?? `${table}`, family, structure, prefixes: prefixCount(fib) };
}

function filesOf(nets: readonly Net[]): Map<string, number> {
  const files = new Map<string, number>();
  for (const { rules, routes, columns } of nets)
    for (const items of [rules, routes, ...columns.map(({ sayings }) => sayings)])
      for (const name of knownNames(items, [], () => new Set(items.flatMap(({ origin }) => origin.file?.name ?? []))))
        if (!files.has(name)) files.set(name, files.size);
  return files;
}

/** The earlier list where it is the same, so that what depends on it is known by the object: there may be thousands of files. */
function namesOf(files: ReadonlyMap<string, number>): readonly string[] {
  const names = [...files.keys()];
  if (names.length !== lastNames.length || names.some((name, i) => name !== lastNames[i])) lastNames = names;
  return lastNames;
}
let lastNames: readonly string[] = [];

/** A rule or a route. */
type Told = { readonly origin: Origin };
const knownNames = rememberedOf<readonly Told[], ReadonlySet<string>>(1);
const knownOrigins = rememberedOf<readonly Told[], readonly OriginManifest[]>(1);

const knownLines = rememberedOf<RouteColumns, LinesManifest>(1);

function linesManifest({ said, lines, sayings }: RouteColumns, files: ReadonlyMap<string, number>): LinesManifest {
  const origins: OriginManifest[] = [];
  const places = new Map<string, number>();
  const placeOf = sayings.map(({ origin }) => {
    const key = `${origin.span?.start} ${origin.file!.name}`;
    const known = places.get(key) ?? origins.push(originOf(origin, files)) - 1;
    places.set(key, known);
    return known;
  });
  const runs: number[] = [];
  let end = 0;
  for (let row = 0; row < said.length; row++) {
    const origin = placeOf[said[row]];
    const last = runs.length - 3;
    if (lines[row] === end && runs[last] === origin) runs[last + 2]++;
    else runs.push(origin, lines[row], 1);
    end = lines[row] + 1;
  }
  return { origins, runs };
}

/** There may be a million of them. */
function originOf({ span, kernel, file }: Origin, files: ReadonlyMap<string, number>): OriginManifest {
  const origin: { -readonly [Field in keyof OriginManifest]: OriginManifest[Field] } = {};
  if (span !== undefined) origin.span = [span.start, span.end];
  if (kernel !== undefined) origin.kernel = kernel;
  if (file !== undefined) origin.file = [files.get(file.name)!, file.line];
  return origin;
}

/** @param wasm a module without a manifest, whole or in parts */
export const writeArtifact = (wasm: Uint8Array | Parts, manifest: Manifest): Uint8Array<ArrayBuffer> =>
  customSection(wasm, MANIFEST_SECTION, jsonOf(manifest, ["nets", "lines"]));

/**
 * As JSON.stringify writes it. What an earlier manifest had too is known by the object.
 * @param lists fields, of which the items of the one before have the next, that are lists whose items are kept one by one
 */
function jsonOf(value: unknown, [list, ...inItems]: readonly string[]): Parts {
  if (list === undefined || typeof value !== "object" || value === null || Array.isArray(value))
    return knownJson(value);
  return jsonObject(value, (key, field) =>
    key === list && Array.isArray(field) ? jsonArray(field.map((item) => jsonOf(item, inItems))) : knownJson(field),
  );
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function knownJson(value: unknown): Parts {
  const json = (): Parts => [utf8(JSON.stringify(value))];
  return typeof value === "object" && value !== null ? remembered(value, [], json) : json();
}
const remembered = rememberedOf<object, Parts>(1);

const jsonArray = (items: readonly Parts[]): Parts => [
  utf8("["),
  ...items.flatMap((item, i) => (i === 0 ? item : [utf8(","), ...item])),
  utf8("]"),
];

function jsonObject(object: object, partsOf: (key: string, value: unknown) => Parts): Parts {
  const fields = Object.entries(object).filter(([, value]) => value !== undefined);
  const parts = fields.map(([key, value], i) => [
    utf8(`${i === 0 ? "" : ","}${JSON.stringify(key)}:`),
    ...partsOf(key, value),
  ]);
  return [utf8("{"), ...parts.flat(), utf8("}")];
}

/** The module with one more custom section behind all others. */
export function customSection(
  wasm: Uint8Array | Parts,
  name: string,
  contents: Uint8Array | Parts,
): Uint8Array<ArrayBuffer> {
  const title = utf8(name);
  const payload = [leb128(title.length), title, ...(contents instanceof Uint8Array ? [contents] : contents)];
  const size = payload.reduce((sum, part) => sum + part.length, 0);
  return concatenate([...(wasm instanceof Uint8Array ? [wasm] : wasm), [CUSTOM_SECTION], leb128(size), ...payload]);
}

const CUSTOM_SECTION = 0;
