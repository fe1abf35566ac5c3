/**
 * Policy rules: 64-byte frames through a list of `rule P from PREFIX lookup TABLE`, each frame of a source that one of the rules is for,
 * all rules as often. Every frame's source is validated too, so the list is walked twice, the second time without a match but main's.
 *
 *   in0 10.0.0.1/24 -> rule i: from 20.i.i.0/24 lookup 100 + i % 4 -> table: 30.0.0.0/8 via 10.0.1.2 -> out0
 *
 * `as code` is the same list as tests one behind the other, the only form up to LONG_LIST.
 */
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { type BackEndOptions, compileModel } from "../../src/compile.ts";
import { measure, type Variant } from "./harness.ts";
import { BATCH, type Frame, PAYLOAD, variant } from "./packets.ts";
import type { BenchOptions, Report } from "./report.ts";

const LISTS = [1, 16, 256, 4096];
const TABLES = 4;
const SLOTS = 4096;
const SLOT_SIZE = 128;
const MAC = 0x0200_0000_1000;
const BASELINE = "1 rule";

export async function rules(options: BenchOptions): Promise<Report> {
  const variants: Variant[] = [];
  const add = async (name: string, count: number, backEnd: BackEndOptions = {}): Promise<void> => {
    options.progress(`${name}: compiling`);
    const model = modelOf(count);
    const { artifact } = await compileModel(model, backEnd);
    variants.push(variant(name, await load(artifact), model, framesOf(count), SLOT_SIZE));
  };
  for (const count of options.quick ? LISTS.slice(0, 3) : LISTS)
    await add(count === 1 ? BASELINE : `${count} rules`, count);
  for (const count of [16, 256]) await add(`${count} rules, as code`, count, { longList: Number.POSITIVE_INFINITY });
  await add("1 rule, as data", 1, { longList: 1 });
  options.progress("measuring");
  const results = await measure(variants, { rounds: options.rounds, baseline: BASELINE });
  const group = { table: "rules from a prefix", family: 4, prefixes: TABLES, stream: "all rules'" } as const;
  return {
    bench: "rules",
    unit: "64-byte frames forwarded, batches of 256",
    groups: [{ ...group, baseline: BASELINE, results }],
  };
}

/** Of rule i: 20.0.0.0/24, 20.0.1.0/24, ... */
const prefixOf = (i: number): number => ((20 << 24) | (i << 8)) >>> 0;

export function modelOf(count: number): Model {
  const lines = Array.from(
    { length: count },
    (_, i) => `rule ${100 + i} from ${formatIp(prefixOf(i))}/24 lookup ${100 + (i % TABLES)}`,
  );
  const { model, diagnostics } = checkText(`sysctl net.ipv4.ip_forward = 1
    interface in0 { index 11; address 10.0.0.1/24; lladdr ${formatMac(MAC)} }
    interface out0 { index 12; address 10.0.1.1/24 }
    neighbour 10.0.1.2 dev out0 lladdr ${formatMac(MAC)}
    route 20.0.0.0/8 via 10.0.0.2
    ${Array.from({ length: TABLES }, (_, t) => `table ${100 + t} { route 30.0.0.0/8 via 10.0.1.2 }`).join("\n")}
    ${lines.join("\n")}`);
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}

/** Rules are taken in a row with a stride that no list's length divides. */
const STRIDE = 2741;

export const framesOf = (count: number, slots = SLOTS): Frame[] =>
  Array.from({ length: slots - (slots % BATCH) }, (_, i): Frame => {
    const header = { tos: 0, identification: i, dontFragment: true, ttl: 255, protocol: 17 };
    const source = prefixOf((i * STRIDE) % count) + 7;
    const packet = ipv4Packet({ ...header, source, destination: 0x1e00_0001 + i }, new Uint8Array(PAYLOAD));
    return { device: 11, bytes: ethernetFrame({ destination: MAC, source: 2, type: EtherType.IPV4 }, packet) };
  });
