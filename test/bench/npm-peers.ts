/**
 * What a JavaScript user would take from npm, behind one interface: a table in, the text of an address in, a value out. They take
 * addresses as text, so that is what they are given; it is made before the clock runs. None is installed by this project.
 */
import { BlockList } from "node:net";
import { type PrefixColumns, wordsOf } from "../../runtime/lpm/columns.ts";
import { type Family, formatIp, type Ip, readIpv6 } from "../../runtime/net/ip.ts";
import { prefixAt } from "./generate.ts";
import { type Racer, racerOf, verify } from "./harness.ts";
import { mmdbOf } from "./mmdb.ts";
import type { Table } from "./tables.ts";

interface NpmPeer {
  readonly name: string;
  /** To import, with the version that was measured; null: it is Node's own. */
  readonly needs: { readonly name: string; readonly version: string } | null;
  readonly families: readonly Family[];
  /** Says only whether there is a match: values then are 1. */
  readonly isSet: boolean;
  /** Compares one prefix after the other, so that a full table would take milliseconds an address. */
  readonly isLinear: boolean;
  /** @param module what was imported @returns null when the package does not do the table */
  // biome-ignore lint/suspicious/noExplicitAny: packages that are not installed have no types here
  build(module: any, table: PrefixColumns): ((address: string) => number) | null;
}

const PEERS: readonly NpmPeer[] = [
  {
    name: "mmdb-lib",
    needs: { name: "mmdb-lib", version: "3.0.3" },
    families: [4, 6],
    isSet: false,
    isLinear: false,
    build({ Reader }, table) {
      const file = mmdbOf(table);
      if (file === null) return null;
      const reader = new Reader(file);
      return (address) => reader.get(address) ?? 0;
    },
  },
  {
    name: "longest-prefix-match",
    needs: { name: "longest-prefix-match", version: "1.3.1" },
    families: [4, 6],
    isSet: false,
    isLinear: false,
    build({ default: LongestPrefixMatch }, table) {
      const lpm = new LongestPrefixMatch();
      for (const { prefix, value } of prefixesOf(table)) lpm.addPrefix(prefix, value);
      const bits = table.family === 4 ? "/32" : "/128";
      return (address) => lpm.getMatch(address + bits)[0] ?? 0;
    },
  },
  {
    name: "ip-set",
    needs: { name: "ip-set", version: "3.0.0" },
    families: [4],
    isSet: true,
    isLinear: false,
    build({ default: IpSet }, table) {
      const set = new IpSet();
      for (const { prefix } of prefixesOf(table)) set.add(prefix);
      return (address) => (set.contains(address) ? 1 : 0);
    },
  },
  {
    name: "cidr-matcher",
    needs: { name: "cidr-matcher", version: "2.1.1" },
    families: [4, 6],
    isSet: true,
    isLinear: true,
    build({ default: CidrMatcher }, table) {
      const matcher = new CidrMatcher(prefixesOf(table).map(({ prefix }) => prefix));
      return (address) => (matcher.contains(address) ? 1 : 0);
    },
  },
  {
    name: "ipaddr.js",
    needs: { name: "ipaddr.js", version: "2.5.0" },
    families: [4, 6],
    isSet: false,
    isLinear: true,
    build({ default: ipaddr }, table) {
      const rows = prefixesOf(table)
        .map(({ prefix, value }) => ({ range: ipaddr.parseCIDR(prefix), value }))
        .sort((a, b) => b.range[1] - a.range[1]);
      return (address) => {
        const ip = ipaddr.parse(address);
        return rows.find(({ range }) => ip.match(range))?.value ?? 0;
      };
    },
  },
  {
    name: "net.BlockList",
    needs: null,
    families: [4, 6],
    isSet: true,
    isLinear: true,
    build(_, table) {
      const list = new BlockList();
      const type = `ipv${table.family}` as const;
      for (const [i, length] of table.lengths.entries())
        list.addSubnet(formatIp(prefixAt(table, i).address), length, type);
      return (address) => (list.check(address, type) ? 1 : 0);
    },
  },
];

const prefixesOf = (table: PrefixColumns): { prefix: string; value: number }[] =>
  Array.from(table.values, (value, i) => {
    const { address, length } = prefixAt(table, i);
    return { prefix: `${formatIp(address)}/${length}`, value };
  });

/** Routes of the slice that those get that compare one by one, and addresses that they are asked. */
const SLICE = 1024;
const ASKED = { linear: 512, other: 16_384 };

/** Every so manieth prefix, as many as a slice has at most. */
export function sliceOf({ name, columns }: Table): Table {
  const { family, words, lengths, values } = columns;
  const each = Math.ceil(lengths.length / SLICE);
  if (each === 1) return { name, columns };
  const width = wordsOf(family);
  const kept = (_: number, i: number): boolean => i % each === 0;
  const slice = lengths.filter(kept);
  return {
    name: `${slice.length} of ${name}`,
    columns: {
      family,
      words: words.filter((_, w) => kept(0, Math.floor(w / width))),
      lengths: slice,
      values: values.filter(kept),
    },
  };
}

export interface BuiltPeer {
  readonly name: string;
  /** @throws WrongAnswer when an answer, or whether there is one, is not the expected */
  racer(addresses: Uint8Array, answers: Uint32Array): Promise<Racer>;
}

/**
 * The packages that are installed, with the table.
 * @param linear those that compare one by one, or the others
 * @param notes are told of those that are not there
 */
export async function buildNpmPeers(
  table: PrefixColumns,
  linear: boolean,
  notes: Set<string>,
  progress: (what: string) => void,
): Promise<BuiltPeer[]> {
  const built: BuiltPeer[] = [];
  for (const { name, needs, families, isSet, isLinear, build } of PEERS) {
    if (isLinear !== linear || !families.includes(table.family)) continue;
    const module = needs === null ? null : await import(needs.name).catch(() => undefined);
    if (module === undefined) {
      notes.add(`${name}: npm install --no-save --ignore-scripts ${needs!.name}@${needs!.version}`);
      continue;
    }
    progress(`${name} is building`);
    const look = build(module, table);
    if (look === null) continue;
    const label = isSet ? `${name} (a set)` : name;
    const racer = async (addresses: Uint8Array, answers: Uint32Array): Promise<Racer> => {
      const asked = textOf(table.family, addresses, isLinear ? ASKED.linear : ASKED.other);
      const expected = Array.from(answers.subarray(0, asked.length), (value) => (isSet ? Math.min(value, 1) : value));
      verify(label, asked.map(look), expected);
      const out = new Uint32Array(asked.length);
      const run = () => {
        for (let i = 0; i < out.length; i++) out[i] = look(asked[i]);
      };
      return racerOf({ name: label, operations: out.length, run });
    };
    built.push({ name: label, racer });
  }
  return built;
}

function textOf(family: Family, addresses: Uint8Array, most: number): string[] {
  const view = new DataView(addresses.buffer, addresses.byteOffset, addresses.byteLength);
  const bytes = family === 4 ? 4 : 16;
  const at = (i: number): Ip => (family === 4 ? view.getUint32(4 * i, true) : readIpv6(addresses, 16 * i));
  return Array.from({ length: Math.min(most, addresses.length / bytes) }, (_, i) => formatIp(at(i)));
}
