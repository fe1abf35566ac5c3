/**
 * Five-tuple rule sets and traffic for them: ClassBench's where there are files of them, else drawn in their shapes.
 *
 *   NAME.rules.gz    `src/length dst/length first-last first-last protocol` a line, the protocol a number or `any`; first match wins
 *   NAME.trace.gz    16 bytes a packet: u32 src, u32 dst, u16 sport, u16 dport, u8 protocol, 3 nothing; little endian
 *   NAME.expect.gz   u32 a packet: the rule that matches first
 *
 * The shapes (D. Taylor, J. Turner, "ClassBench: A Packet Classification Benchmark", 2005), as they are drawn here:
 *   acl   sources and destinations are hosts and small nets of a few sites, source ports any, destination ports mostly single
 *   fw    many wildcards on either side, ports and ranges on both, few protocols
 *   ipc   hosts and nets on both sides, some ports, more protocols
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Random, zipf } from "../../src/bench/random.ts";

export const SHAPES = ["acl", "fw", "ipc"] as const;
export type RuleShape = (typeof SHAPES)[number];

export interface FiveTupleRule {
  readonly src: number;
  readonly srcLength: number;
  readonly dst: number;
  readonly dstLength: number;
  /** First and last. */
  readonly sport: readonly [number, number];
  readonly dport: readonly [number, number];
  /** Null: any. */
  readonly protocol: number | null;
}

/** Headers as columns. */
export interface Traffic {
  readonly src: Uint32Array;
  readonly dst: Uint32Array;
  readonly sport: Uint16Array;
  readonly dport: Uint16Array;
  readonly protocol: Uint8Array;
  /** The rule that matches first. */
  readonly expected: Uint32Array;
}

export interface RuleSet {
  readonly name: string;
  readonly rules: readonly FiveTupleRule[];
  traffic(count: number): Traffic;
}

/** @param folder of files; null, or where the files of this set are not: drawn */
export function ruleSet(shape: RuleShape, size: number, folder: string | null, seed: number): RuleSet {
  const name = `${shape}_${size}`;
  return folder !== null && existsSync(join(folder, `${name}.rules.gz`))
    ? readSet(folder, name)
    : drawnSet(shape, size, seed);
}

const WHOLE: readonly [number, number] = [0, 65535];
const mask = (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0);

function readSet(folder: string, name: string): RuleSet {
  const read = (kind: string): Buffer => gunzipSync(readFileSync(join(folder, `${name}.${kind}.gz`)));
  const prefix = (text: string): [number, number] => {
    const [address, length] = text.split("/");
    const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    return [(value & mask(Number(length))) >>> 0, Number(length)];
  };
  const range = (text: string) => text.split("-").map(Number) as [number, number];
  const rules = read("rules")
    .toString()
    .trim()
    .split("\n")
    .map((line): FiveTupleRule => {
      const [from, to, sport, dport, protocol] = line.split(" ");
      const [src, srcLength] = prefix(from);
      const [dst, dstLength] = prefix(to);
      const ports = { sport: range(sport), dport: range(dport) };
      return { src, srcLength, dst, dstLength, ...ports, protocol: protocol === "any" ? null : Number(protocol) };
    });
  const traffic = (most: number): Traffic => {
    const [trace, expect] = [read("trace"), read("expect")];
    const count = Math.min(most, trace.length / 16);
    const own = emptyTraffic(count);
    for (let i = 0; i < count; i++) {
      own.src[i] = trace.readUInt32LE(16 * i);
      own.dst[i] = trace.readUInt32LE(16 * i + 4);
      own.sport[i] = trace.readUInt16LE(16 * i + 8);
      own.dport[i] = trace.readUInt16LE(16 * i + 10);
      own.protocol[i] = trace[16 * i + 12];
      own.expected[i] = expect.readUInt32LE(4 * i);
    }
    return own;
  };
  return { name, rules, traffic };
}

const emptyTraffic = (count: number): Traffic => ({
  src: new Uint32Array(count),
  dst: new Uint32Array(count),
  sport: new Uint16Array(count),
  dport: new Uint16Array(count),
  protocol: new Uint8Array(count),
  expected: new Uint32Array(count),
});

// ---- drawn

interface Profile {
  /** Prefix lengths of sources and destinations, each as likely as it stands here. */
  readonly src: readonly number[];
  readonly dst: readonly number[];
  /** How often a port is any, a range, or one of a few. */
  readonly sport: readonly [any: number, range: number];
  readonly dport: readonly [any: number, range: number];
  readonly protocols: readonly (number | null)[];
  /** Networks that prefixes are taken from. */
  readonly sites: number;
}

const PROFILES: Readonly<Record<RuleShape, Profile>> = {
  acl: {
    ...{ src: [32, 32, 32, 32, 31, 28, 24, 24, 16, 0], dst: [32, 32, 32, 30, 27, 24, 23] },
    ...{ sport: [1, 0], dport: [0.25, 0.1], protocols: [6, 6, 6, 17, 1, null], sites: 40 },
  },
  fw: {
    ...{ src: [0, 0, 0, 1, 2, 20, 28, 32, 32], dst: [0, 0, 2, 6, 20, 28, 32, 32, 32] },
    ...{ sport: [0.7, 0.15], dport: [0.35, 0.2], protocols: [6, 6, 6, 17, 17, 1, 47, null], sites: 12 },
  },
  ipc: {
    ...{ src: [32, 32, 32, 31, 29, 26, 24, 20, 8, 0], dst: [32, 32, 32, 31, 28, 24, 18, 0] },
    ...{ sport: [0.75, 0.1], dport: [0.5, 0.15], protocols: [6, 6, 17, 17, 1, 50, null], sites: 60 },
  },
};
const PORTS = [
  20, 21, 22, 23, 25, 53, 67, 68, 80, 110, 119, 123, 135, 139, 143, 161, 162, 179, 389, 443, 445, 514, 993, 1433, 1521,
  3306, 3389, 8080,
];
const RANGES: readonly (readonly [number, number])[] = [
  [1024, 65535],
  [0, 1023],
  [5190, 5193],
  [6000, 6063],
  [32768, 61000],
  [135, 139],
];

/** As many different rules, the more specific ones mostly first, the last for everything. */
function drawnSet(shape: RuleShape, size: number, seed: number): RuleSet {
  const random = new Random(seed * 31 + SHAPES.indexOf(shape) * 7 + size);
  const { sites, ...profile } = PROFILES[shape];
  const of = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const networks = Array.from({ length: sites }, () => (random.u32() & 0xffff0000) >>> 0);
  const ranks = zipf(sites, 0.8);
  const address = (length: number): number => {
    const network = networks[ranks.draw(random)];
    return ((network | (random.below(1 << 8) << (8 * random.below(2)))) & mask(length)) >>> 0;
  };
  const port = ([any, range]: readonly [number, number]): readonly [number, number] => {
    const u = random.unit();
    if (u < any) return WHOLE;
    if (u < any + range) return of(RANGES);
    const one = of(PORTS);
    return [one, one];
  };
  const seen = new Map<string, FiveTupleRule>();
  for (let tries = 0; seen.size < size - 1 && tries < 50 * size; tries++) {
    const [srcLength, dstLength] = [of(profile.src), of(profile.dst)];
    const protocol = of(profile.protocols);
    const ported = protocol === 6 || protocol === 17;
    const rule: FiveTupleRule = {
      ...{ src: address(srcLength), srcLength, dst: address(dstLength), dstLength, protocol },
      ...{ sport: ported ? port(profile.sport) : WHOLE, dport: ported ? port(profile.dport) : WHOLE },
    };
    seen.set(JSON.stringify(rule), rule);
  }
  const bits = (rule: FiveTupleRule): number => rule.srcLength + rule.dstLength + 24 * random.unit();
  const sorted = [...seen.values()].map((rule) => ({ rule, bits: bits(rule) })).sort((a, b) => b.bits - a.bits);
  const last = { src: 0, srcLength: 0, dst: 0, dstLength: 0, sport: WHOLE, dport: WHOLE, protocol: null };
  const rules = [...sorted.map(({ rule }) => rule), last];
  return { name: `${shape}_${size}, drawn`, rules, traffic: (count) => drawnTraffic(rules, count, random) };
}

/** Half of it flows by Zipf's law, a third fresh headers in a rule, the rest crossed between rules or anything. */
function drawnTraffic(rules: readonly FiveTupleRule[], count: number, random: Random): Traffic {
  const own = emptyTraffic(count);
  const within = (network: number, length: number): number => (network | (random.u32() & ~mask(length))) >>> 0;
  const between = ([first, last]: readonly [number, number]): number => first + random.below(last - first + 1);
  const rule = (): FiveTupleRule => rules[random.below(rules.length)];
  const put = (i: number, a: FiveTupleRule, b: FiveTupleRule, c: FiveTupleRule): void => {
    own.src[i] = within(a.src, a.srcLength);
    own.dst[i] = within(b.dst, b.dstLength);
    own.sport[i] = between(a.sport);
    own.dport[i] = between(c.dport);
    own.protocol[i] = c.protocol ?? random.below(256);
  };
  const flows = Array.from({ length: Math.min(count, 8192) }, (_, i) => {
    const one = rule();
    put(i, one, one, one);
    return [own.src[i], own.dst[i], own.sport[i], own.dport[i], own.protocol[i]];
  });
  const ranks = zipf(flows.length, 1);
  for (let i = 0; i < count; i++) {
    const u = random.unit();
    if (u < 0.5) {
      [own.src[i], own.dst[i], own.sport[i], own.dport[i], own.protocol[i]] = flows[ranks.draw(random)];
    } else if (u < 0.85) {
      const one = rule();
      put(i, one, one, one);
    } else if (u < 0.95) {
      put(i, rule(), rule(), rule());
    } else {
      put(i, rules[rules.length - 1], rules[rules.length - 1], rules[rules.length - 1]);
    }
  }
  own.expected.set(linearSearch(rules, own));
  return own;
}

/** The first rule that matches, one after the other; there is a last one for everything. */
export function linearSearch(
  rules: readonly FiveTupleRule[],
  { src, dst, sport, dport, protocol }: Traffic,
): Uint32Array {
  const column = (f: (rule: FiveTupleRule) => number): Uint32Array => Uint32Array.from(rules, f);
  const [networks, masks] = [column((r) => r.src), column((r) => mask(r.srcLength))];
  const [networks2, masks2] = [column((r) => r.dst), column((r) => mask(r.dstLength))];
  return src.map((from, i) => {
    for (let r = 0; r < rules.length; r++) {
      if ((from & masks[r]) >>> 0 !== networks[r] || (dst[i] & masks2[r]) >>> 0 !== networks2[r]) continue;
      const { sport: s, dport: d, protocol: p } = rules[r];
      const ports = s[0] <= sport[i] && sport[i] <= s[1] && d[0] <= dport[i] && dport[i] <= d[1];
      if (ports && (p === null || p === protocol[i])) return r;
    }
    return rules.length;
  });
}
