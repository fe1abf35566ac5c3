/**
 * The manifest: what a host must know of a compiled module beyond its exports. JSON, UTF-8, in the module's custom
 * section "vrfc", written by src/artifact.ts and read here.
 *
 * A module is a file that came from somewhere. What cannot be read, or does not say what it must, is refused with a
 * ManifestError that names the reason, before anything of it runs.
 */
import { ABI_VERSION } from "./abi/image.ts";
import { customSectionsOf, SectionError } from "./custom-sections.ts";
import { HOOKS, type Hook, MAP_KINDS, type MapKind } from "./hooks.ts";
import type { DeviceConfig, NetConfig } from "./host/config.ts";
import { LpmKind } from "./lpm/lpm.ts";
import type { Named } from "./maps/names.ts";
import { bitsOf, familyOf, parseIp } from "./net/ip.ts";
import { parseMac } from "./net/mac.ts";
import {
  type Check,
  fits,
  flag,
  list,
  matching,
  nullOr,
  oneOf,
  optional,
  pair,
  record,
  refuse,
  ShapeError,
  text,
  U32,
  u32,
  whole,
} from "./shape.ts";

export const MANIFEST_SECTION = "vrfc";
export const MANIFEST_SCHEMA = "vrfc.manifest/1";

/** Wasm features beyond the MVP, by the names of their proposals. */
const WASM_FEATURES = ["mutable-globals", "sign-extension", "multi-value", "bulk-memory", "simd", "threads"] as const;
export type WasmFeature = (typeof WASM_FEATURES)[number];

export interface Manifest {
  readonly schema: typeof MANIFEST_SCHEMA;
  /** ABI_VERSION of the compiler that made the module. */
  readonly abi: number;
  /** Version of that compiler. */
  readonly vrfc: string;
  /** Whose behaviour the module has where Linux kernels differ: "5.4", "6.1", "6.15". */
  readonly kernel: string;
  /** What the host's wasm engine must know. */
  readonly features: readonly WasmFeature[];
  readonly memory: MemoryManifest;
  /** SHA-256, hexadecimal, of what programs that are attached must know alike: devices, addresses, routes, rules. */
  readonly networks: string;
  readonly source: SourceManifest;
  /** In the order of the text: the index is the `net` of `process` and `trace`. */
  readonly nets: readonly NetManifest[];
}

/** Of linear memory as it is when the module is loaded. */
export interface MemoryManifest {
  /** First byte behind the image, from where on batches may be put. */
  readonly heap: number;
  /** Of a module for several threads: the shared memory that it imports, in pages of 64 KiB. null: it brings its own. */
  readonly pages: { readonly initial: number; readonly maximum: number } | null;
}

/** The text that the module was compiled from; not the text itself. */
export interface SourceManifest {
  readonly name: string;
  /** SHA-256 of its UTF-8 bytes, hexadecimal: tells whether spans fit a text at hand. */
  readonly sha256: string;
  /** Names of the files that the text reads routes from; `Origin.file` counts in it. */
  readonly files: readonly string[];
}

/** One namespace: what its host plays with, and what its program is made of. */
export interface NetManifest extends NetConfig {
  readonly tables: readonly TableManifest[];
  /** By rule id and route id: where each comes from. */
  readonly rules: readonly OriginManifest[];
  readonly routes: readonly OriginManifest[];
  /** The ids behind those of `routes`: of lines of files, whose routes are many. */
  readonly lines: readonly LinesManifest[];
  /** Offsets in memory of the namespace's records (abi/net.ts). */
  readonly layout: { readonly net: number; readonly neighbours: number; readonly counters: number };
  /** IPv4's rules, and IPv6's, in order, as far as they decide by which device a gateway is reached. */
  readonly gatewayRules: readonly GatewayRule[];
  readonly gatewayRules6: readonly GatewayRule[];
  readonly chains: ChainsManifest;
  readonly cost: CostManifest;
}

/** A rule for the flows of a gateway's look-up: of this host, to an address, perhaps by a device; nothing else is said of them. */
export interface GatewayRule {
  /** Asks for what no such flow has: does not match (with `not`: matches). */
  readonly never: boolean;
  readonly not: boolean;
  /** A prefix. */
  readonly to: string | null;
  /** ifindex; -1: of a device that there is not. */
  readonly oif: number | null;
  readonly l3mdev: boolean;
  readonly action: "lookup" | "goto" | "nop" | "refuse";
  /** Of lookup; null: the VRF's. */
  readonly table: number | null;
  /** Of goto: its place in the list; null: none. */
  readonly target: number | null;
  /** -1: off. */
  readonly suppressPrefixLength: number;
  readonly suppressIfGroup: number;
}

/** What chains keep in memory: names for the host, by id. Null: a rule's own. */
export interface ChainsManifest {
  readonly counters: readonly Named[];
  readonly sets: readonly SetManifest[];
  /** Are copies of frames (`dup`) sent? A program that makes some can be attached then. */
  readonly copies: boolean;
  /** Devices with an XDP program, by ifindex. */
  readonly xdp: readonly number[];
}

export interface SetManifest extends Named {
  /** What it is searched by (maps/structure.ts). */
  readonly structure: string;
  readonly elements: number;
  /** Of a set or map with a name: what the host must know to change it. */
  readonly map: MapManifest | null;
}

export interface MapManifest {
  /** Offset of its MAP record. */
  readonly record: number;
  readonly key: readonly MapField[];
  /** null: a set. */
  readonly value: MapField | "verdict" | null;
  /** `flags interval`: elements may be ranges. */
  readonly interval: boolean;
  /** `kind ...`; null: a set or map of chains. */
  readonly storage: MapKind | null;
  /** Most elements; of arrays the length. null: no limit. */
  readonly size: number | null;
  /** What a verdict map's elements may say, in nft's words; their values count in it. */
  readonly decisions: readonly string[];
}

export interface MapField {
  /** nft's name of the type: "ipv4_addr", "inet_service", ... */
  readonly type: string;
  readonly bits: number;
}

export interface TableManifest {
  /** RT_TABLE_*, 1 .. 2^32-1. */
  readonly id: number;
  /** As printed: "main", "100". */
  readonly name: string;
  readonly family: 4 | 6;
  /** Null: not in the image. */
  readonly structure: LpmKind | null;
  readonly prefixes: number;
}

export interface OriginManifest {
  /** Start and end in the text, in UTF-16 units. */
  readonly span?: readonly [number, number];
  /** What the kernel itself made it for. */
  readonly kernel?: string;
  /** Index in `SourceManifest.files`, and line from 1. */
  readonly file?: readonly [number, number];
}

/** Routes of one table, in the order of their ids. */
export interface LinesManifest {
  /** What they may come from. */
  readonly origins: readonly OriginManifest[];
  /** Three numbers for as many as follow one another: which of `origins`, the line of the first, how many. */
  readonly runs: readonly number[];
}

/**
 * The most wasm instructions, with the routes, neighbours and elements that the module was compiled with. A packet's way is a row of passes:
 * one from where it comes in to where it leaves, ends, or is handed to a device without a wire, which brings it back for another.
 * Number.MAX_SAFE_INTEGER stands for all that is more.
 */
export interface CostManifest {
  /** The first pass of a packet, whatever it is, and all that is done for it besides. */
  readonly pass: number;
  /** Each further pass. */
  readonly again: number;
  /** The first pass of each copy that chains make of a packet (`dup`); null: they make none. */
  readonly copy: number | null;
  /** Further passes of a packet or copy. */
  readonly passes: number;
  /** From the wire to a wire, of an IPv4 and an IPv6 packet. */
  readonly forwarded4: number;
  readonly forwarded6: number;
  /** Of that, when nothing on the way has anything to say; null: there is no short way. */
  readonly shortWay: number | null;
  /** Packets longer than this may take more. */
  readonly packetBytes: number;
  /** What is attached, and where packets come to it. */
  readonly points: readonly PointCost[];
}

export interface PointCost {
  readonly hook: Hook;
  /** Of the packets that pass there; null: all frames. */
  readonly family: 4 | 6 | null;
  /** ifindex; null: any device. */
  readonly device: number | null;
  /** Of all that is attached there. */
  readonly instructions: number;
  /** Programs or base chains, in their order. */
  readonly attached: readonly { readonly name: string; readonly instructions: number }[];
}

export type ManifestErrorReason =
  | "not-wasm"
  | "no-manifest"
  | "several-manifests"
  | "malformed-json"
  | "malformed-manifest"
  | "wrong-abi"
  | "unknown-feature";

/** Why a module is refused. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
  readonly reason: ManifestErrorReason;

  constructor(reason: ManifestErrorReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** @throws ManifestError when `wasm` is no vrfc module, or not one that this runtime understands */
export function readManifest(wasm: Uint8Array | WebAssembly.Module): Manifest {
  const found = wasm instanceof Uint8Array ? sectionsOf(wasm) : sectionsOfModule(wasm);
  if (found.length === 0) throw new ManifestError("no-manifest", "this WebAssembly module was not made by vrfc");
  if (found.length > 1) throw new ManifestError("several-manifests", `the module has ${found.length} manifests`);
  return parseManifest(found[0]);
}

function sectionsOf(wasm: Uint8Array): Uint8Array[] {
  try {
    return customSectionsOf(wasm, MANIFEST_SECTION);
  } catch (error) {
    throw error instanceof SectionError ? new ManifestError("not-wasm", error.message) : error;
  }
}

const sectionsOfModule = (module: WebAssembly.Module): Uint8Array[] =>
  WebAssembly.Module.customSections(module, MANIFEST_SECTION).map((contents) => new Uint8Array(contents));

function parseManifest(contents: Uint8Array): Manifest {
  const found = parseJson(contents);
  // Whoever made it for another ABI may have meant other fields, so that comes first.
  const abi = typeof found === "object" && found !== null && "abi" in found ? found.abi : undefined;
  if (typeof abi === "number" && abi !== ABI_VERSION)
    throw new ManifestError("wrong-abi", `the module speaks ABI ${abi}, this runtime ABI ${ABI_VERSION}`);
  try {
    manifest(found, "manifest");
    const checked = found as Manifest;
    const devices = checked.nets.map((net) => new Set(net.devices.map(({ ifindex }) => ifindex)));
    for (const i of checked.nets.keys()) checkReferences(checked, devices, i);
    return checked;
  } catch (error) {
    throw error instanceof ShapeError ? new ManifestError("malformed-manifest", error.message) : error;
  }
}

/** Numbers that stand for something else in the manifest stand for something that is there. */
function checkReferences(
  { nets, memory, source }: Manifest,
  devices: readonly ReadonlySet<number>[],
  index: number,
): void {
  const [net, path] = [nets[index], `manifest.nets[${index}]`];
  const has = (of: number, ifindex: number) => devices[of]?.has(ifindex) ?? false;
  const expect = (good: boolean, at: string, expected: string, value: unknown): void => {
    if (!good) refuse(`${path}.${at}`, expected, value);
  };
  for (const [i, { master, peer, addresses }] of net.devices.entries()) {
    expect(master === 0 || has(index, master), `devices[${i}].master`, "the ifindex of a device", master);
    if (peer !== null) expect(has(peer.net, peer.ifindex), `devices[${i}].peer`, "a device", peer);
    for (const [k, { address, prefixLength }] of addresses.entries()) {
      const bits = bitsOf(familyOf(parseIp(address)!));
      expect(prefixLength <= bits, `devices[${i}].addresses[${k}].prefixLength`, `at most ${bits}`, prefixLength);
    }
  }
  for (const [i, { device }] of net.neighbours.entries())
    expect(has(index, device), `neighbours[${i}].device`, "the ifindex of a device", device);
  for (const [name, offset] of Object.entries(net.layout))
    expect(offset < memory.heap, `layout.${name}`, "an offset in the image", offset);
  for (const list of ["rules", "routes"] as const)
    for (const [i, { file }] of net[list].entries())
      if (file !== undefined)
        expect(file[0] < source.files.length, `${list}[${i}].file`, "the index of a file", file[0]);
  for (const [i, { origins, runs }] of net.lines.entries()) {
    for (const [k, { file }] of origins.entries())
      expect(file !== undefined && file[0] < source.files.length, `lines[${i}].origins[${k}].file`, "a file", file);
    expect(runs.length % 3 === 0, `lines[${i}].runs`, "three numbers for each run", runs.length);
    for (let k = 0; k < runs.length; k += 3)
      expect(runs[k] < origins.length, `lines[${i}].runs[${k}]`, "the index of an origin", runs[k]);
  }
}

/** How many routes a namespace was compiled with: their ids are the numbers below. */
export const routesOfManifest = ({ routes, lines }: Pick<NetManifest, "routes" | "lines">): number =>
  lines.reduce(
    (sum, { runs }) => runs.reduce((all, count, k) => (k % 3 === 2 ? all + count : all), sum),
    routes.length,
  );

function parseJson(contents: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(contents));
  } catch (error) {
    throw new ManifestError(
      "malformed-json",
      `the manifest is not JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
}

const mac = fits("a MAC address", (value) => typeof value === "string" && parseMac(value) !== null);
const address = fits("an IP address", (value) => typeof value === "string" && parseIp(value) !== null);

const instructions = whole(0, Number.MAX_SAFE_INTEGER);

const device = record<DeviceConfig>({
  ifindex: whole(1, U32),
  name: text,
  kind: oneOf("loopback", "veth", "dummy", "vrf"),
  mac,
  mtu: u32,
  up: flag,
  master: u32,
  addresses: list(
    record<DeviceConfig["addresses"][number]>({
      address,
      prefixLength: whole(0, 128),
      scope: whole(0, 255),
      secondary: flag,
      peer: optional(address),
    }),
  ),
  forwarding6: flag,
  forwardsBroadcasts: flag,
  anycast: list(address),
  peer: nullOr(record<NonNullable<DeviceConfig["peer"]>>({ net: u32, ifindex: whole(1, U32) })),
});

const mapField = record<MapField>({ type: text, bits: whole(1, 128) });

export const mapManifest = record<MapManifest>({
  record: u32,
  key: list(mapField),
  value: nullOr((value, path) => (value === "verdict" ? undefined : mapField(value, path))),
  interval: flag,
  storage: nullOr(oneOf(...MAP_KINDS)),
  size: nullOr(u32),
  decisions: list(text),
});

const origin = record<OriginManifest>({ span: optional(pair), kernel: optional(text), file: optional(pair) });

const gatewayRule = record<GatewayRule>({
  never: flag,
  not: flag,
  to: nullOr(text),
  oif: nullOr(whole(-1, U32)),
  l3mdev: flag,
  action: oneOf("lookup", "goto", "nop", "refuse"),
  table: nullOr(u32),
  target: nullOr(u32),
  suppressPrefixLength: whole(-1, U32),
  suppressIfGroup: whole(-1, U32),
});

const net = record<NetManifest>({
  name: text,
  devices: list(device),
  neighbours: list(record<NetConfig["neighbours"][number]>({ device: u32, address, mac })),
  prefsrcRoutes6: list(u32),
  onLinkRoutes6: list(record<NetConfig["onLinkRoutes6"][number]>({ route: u32, address })),
  sysctl: record<NetConfig["sysctl"]>({
    tcpL3mdevAccept: flag,
    udpL3mdevAccept: flag,
    rawL3mdevAccept: flag,
    ipDefaultTtl: whole(1, 255),
    icmpEchoIgnoreAll: flag,
    icmpEchoIgnoreBroadcasts: flag,
    icmpErrorsUseInboundIfaddr: flag,
  }),
  tables: list(
    record<TableManifest>({
      id: u32,
      name: text,
      family: oneOf(4, 6),
      structure: nullOr(oneOf(...Object.keys(LpmKind))),
      prefixes: u32,
    }),
  ),
  rules: list(origin),
  routes: list(origin),
  lines: list(record<LinesManifest>({ origins: list(origin), runs: list(u32) })),
  gatewayRules: list(gatewayRule),
  gatewayRules6: list(gatewayRule),
  chains: record<ChainsManifest>({
    counters: list(record<Named>({ name: nullOr(text), table: nullOr(text) })),
    sets: list(
      record<SetManifest>({
        name: nullOr(text),
        table: nullOr(text),
        structure: text,
        elements: u32,
        map: nullOr(mapManifest),
      }),
    ),
    copies: flag,
    xdp: list(u32),
  }),
  layout: record<NetManifest["layout"]>({ net: u32, neighbours: u32, counters: u32 }),
  cost: record<CostManifest>({
    ...{ pass: instructions, again: instructions, passes: u32, forwarded4: instructions, forwarded6: instructions },
    copy: nullOr(instructions),
    shortWay: nullOr(instructions),
    packetBytes: u32,
    points: list(
      record<PointCost>({
        hook: oneOf(...HOOKS),
        family: nullOr(oneOf(4, 6)),
        device: nullOr(u32),
        instructions,
        attached: list(record<PointCost["attached"][number]>({ name: text, instructions })),
      }),
    ),
  }),
});

const features: Check = (value, path) => {
  list(text)(value, path);
  const unknown = (value as string[]).find((name) => !(WASM_FEATURES as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new ManifestError("unknown-feature", `the module needs the WebAssembly feature ${unknown}`);
};

/** Of a memory of 32 bits. */
const MOST_PAGES = 65536;

export const sha256 = matching("64 hexadecimal digits", /^[0-9a-f]{64}$/);

const manifest = record<Manifest>({
  schema: oneOf(MANIFEST_SCHEMA),
  abi: oneOf(ABI_VERSION),
  vrfc: text,
  kernel: text,
  features,
  memory: record<MemoryManifest>({
    heap: u32,
    pages: nullOr(
      record<NonNullable<MemoryManifest["pages"]>>({ initial: whole(1, MOST_PAGES), maximum: whole(1, MOST_PAGES) }),
    ),
  }),
  networks: sha256,
  source: record<SourceManifest>({
    name: text,
    sha256,
    files: list(text),
  }),
  nets: list(net),
});
