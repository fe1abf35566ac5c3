/**
 * Many VRFs: 64-byte frames through 1, 16, 256 and 4,000 of them with 100 routes each, the frames spread over all. Bytes are those of the image, of
 * everything: devices, addresses, routes, look-up structures; also said for each route.
 */
import { checkText } from "../../dsl/check-text.ts";
import { load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { Random } from "../../src/bench/random.ts";
import { compileModel } from "../../src/compile.ts";
import { measure, type Variant } from "./harness.ts";
import { BATCH, type Frame, PAYLOAD, variant } from "./packets.ts";
import type { BenchOptions, Group, Report } from "./report.ts";

const COUNTS = [1, 16, 256, 4000];
const ROUTES = 100;
const NEXT_HOPS = 16;
const SLOTS = 16384;
const SLOT_SIZE = 128;
const MAC = 0x0200_0000_1000;
const BASELINE = "1 VRF";

export async function vrfs(options: BenchOptions): Promise<Report> {
  const streams = new Map(BURSTS.map((burst): [number, Variant[]] => [burst, []]));
  const notes: string[] = [];
  for (const count of options.quick ? COUNTS.slice(0, 2) : COUNTS) {
    const name = count === 1 ? BASELINE : `${count} VRFs`;
    options.progress(`${name}: compiling`);
    const drawn = prefixesOf(count, options.seed);
    const { model, diagnostics } = checkText(vrfText(drawn));
    if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
    const { artifact, layout } = await compileModel(model);
    const bytes = layout.image.length;
    notes.push(`${name}: ${(bytes / (count * ROUTES)).toFixed(0)} bytes of the image a route`);
    const dataplane = await load(artifact);
    for (const [burst, variants] of streams) {
      const frames = framesOf(drawn, burst, options.seed);
      variants.push({ ...variant(name, dataplane, model, frames, SLOT_SIZE), bytes });
    }
  }
  const groups: Group[] = [];
  for (const [burst, variants] of streams) {
    options.progress(`bursts of ${burst}`);
    const results = await measure(variants, { rounds: options.rounds, baseline: BASELINE });
    const table = `VRFs of ${ROUTES} routes, ${burst} frames of one in a row`;
    groups.push({ table, family: 4, prefixes: ROUTES, stream: "in-prefix", baseline: BASELINE, results });
  }
  return { bench: "vrfs", unit: "64-byte frames forwarded, batches of 256", groups, said: notes };
}

/** Frames of one VRF that come one behind the other. */
const BURSTS = [1, 32];

/** Of each VRF: networks of /16 to /24, outside of 10/8 and 127/8. */
type Prefixes = readonly (readonly { readonly address: number; readonly length: number }[])[];

export function prefixesOf(vrfs: number, seed: number): Prefixes {
  const random = new Random(seed);
  return Array.from({ length: vrfs }, () => {
    const taken = new Map<string, { address: number; length: number }>();
    while (taken.size < ROUTES) {
      const length = 16 + random.below(9);
      const address = (((11 + random.below(100)) << 24) | (random.below(2 ** (length - 8)) << (32 - length))) >>> 0;
      taken.set(`${address}/${length}`, { address, length });
    }
    return [...taken.values()];
  });
}

/** The i-th route of a VRF, without the word `route`. */
export const routeLine = ({ address, length }: Prefixes[number][number], i: number): string =>
  `${formatIp(address)}/${length} via 10.0.1.${2 + (i % NEXT_HOPS)}`;

export interface TextOptions {
  /** How the text says the routes of a VRF; absent: one by one. */
  readonly routesOf?: (v: number) => string;
  /** Next hops of each VRF that are known as neighbours; absent: all. */
  readonly neighbours?: number;
}

/** In by inV, out by outV and one of its next hops. */
export function vrfText(drawn: Prefixes, { routesOf, neighbours: known = NEXT_HOPS }: TextOptions = {}): string {
  const oneByOne = (v: number): string => drawn[v].map((route, i) => `route ${routeLine(route, i)}`).join("\n  ");
  const vrfs = drawn.map((_, v) => {
    const neighbours = Array.from(
      { length: known },
      (_, hop) => `neighbour 10.0.1.${2 + hop} dev out${v} lladdr ${formatMac(MAC + v)}`,
    );
    return `vrf red${v} { table ${1000 + v} }
interface in${v} { index ${20000 + 2 * v}; master red${v}; address 10.0.0.1/24; lladdr ${formatMac(MAC + v)} }
interface out${v} { index ${20001 + 2 * v}; master red${v}; address 10.0.1.1/24 }
table ${1000 + v} {
  ${(routesOf ?? oneByOne)(v)}
  route unreachable default metric 4278198272
}
${neighbours.join("\n")}`;
  });
  return `sysctl net.ipv4.ip_forward = 1\n${vrfs.join("\n")}\n`;
}

export function framesOf(drawn: Prefixes, burst: number, seed: number): Frame[] {
  const random = new Random(seed + 1);
  let v = 0;
  return Array.from({ length: SLOTS - (SLOTS % BATCH) }, (_, i): Frame => {
    if (i % burst === 0) v = random.below(drawn.length);
    const { address, length } = drawn[v][random.below(ROUTES)];
    const destination = address + random.below(2 ** (32 - length));
    const header = { tos: 0, identification: i & 0xffff, dontFragment: true, ttl: 255, protocol: 17 };
    const packet = ipv4Packet({ ...header, source: 0x0a00_0007, destination }, new Uint8Array(PAYLOAD));
    const ethernet = { destination: MAC + v, source: 2, type: EtherType.IPV4 };
    return { device: 20000 + 2 * v, bytes: ethernetFrame(ethernet, packet) };
  });
}
