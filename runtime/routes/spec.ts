/**
 * A route as `ip route` says it, read without help of a parser.
 *
 *   route = [ TYPE ] PREFIX { via [inet] ADDRESS | dev NAME | onlink | weight N | metric N | tos T | table T | vrf NAME | scope S
 *                           | proto P | src ADDRESS | mtu N | nexthop { via | dev | weight | onlink } }
 *
 * As in iproute2: `default` is 0.0.0.0/0, an address without length is /32, `tos` is hexadecimal, a route without `table` is
 * in main.
 */
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../brand.ts";
import { type Family, type Ip, network, parseIp } from "../net/ip.ts";
import { ROUTE_TYPES } from "../net/route-types.ts";
import { RT_PROTOS } from "../net/rt-protos.ts";
import { RouteError } from "../refusal.ts";
import { Errno } from "../verdict.ts";

export interface HopSpec {
  readonly via?: string;
  readonly dev?: string;
  /** 1 .. 256 */
  readonly weight?: number;
  readonly onlink?: boolean;
}

export interface RouteSpec extends HopSpec {
  /** Needed where neither prefix nor gateway tells: a `default` by a device. Absent: what they tell, or 4. */
  readonly family?: Family;
  /** "10.1.0.0/16", "10.1.2.3", "default" */
  readonly prefix: string;
  readonly type?: string;
  /** Several next hops; then none is said beside them. */
  readonly nexthops?: readonly HopSpec[];
  readonly metric?: number;
  readonly tos?: number;
  /** Number or name. */
  readonly table?: number | string;
  readonly vrf?: string;
  readonly scope?: number | string;
  readonly proto?: number | string;
  readonly src?: string;
  readonly mtu?: number;
}

export const ROUTE_SCOPES: Readonly<Record<string, number>> = {
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
};
export const TABLE_NAMES: Readonly<Record<string, number>> = {
  default: RT_TABLE_DEFAULT,
  main: RT_TABLE_MAIN,
  local: RT_TABLE_LOCAL,
};
const TYPES: readonly string[] = ROUTE_TYPES.slice(1);

const refuse = (message: string): never => {
  throw new RouteError(Errno.EINVAL, message);
};

type Draft = { -readonly [K in keyof RouteSpec]?: RouteSpec[K] };
type HopDraft = { -readonly [K in keyof HopSpec]?: HopSpec[K] };

/** @throws RouteError that names the word */
export function parseRoute(text: string): RouteSpec {
  const words = text.trim().split(/\s+/);
  const draft: Draft = {};
  const hops: HopDraft[] = [];
  let at = 0;
  const next = (word: string): string => words[at++] ?? refuse(`${word}: a word is missing behind it`);
  const number = (word: string, radix = 10): number => {
    const said = next(word);
    const value = Number(/^0x/i.test(said) ? said : Number.parseInt(said, radix));
    const good = /^(0x)?[0-9a-f]+$/i.test(said) && Number.isSafeInteger(value) && value <= 0xffffffff;
    return good ? value : refuse(`${word} ${said}: not a number`);
  };
  const hopWord = (word: string, hop: HopDraft): boolean => {
    if (word === "via") {
      const said = next(word);
      hop.via = said === "inet" || said === "inet6" ? next(said) : said;
    } else if (word === "dev" || word === "oif") hop.dev = next(word);
    else if (word === "weight") hop.weight = number(word);
    else if (word === "onlink") hop.onlink = true;
    else return false;
    return true;
  };
  while (at < words.length) {
    const word = words[at++];
    const hop = hops.at(-1);
    if (word === "nexthop") hops.push({});
    else if (hop !== undefined && hopWord(word, hop)) continue;
    else if (hop !== undefined) refuse(`Error: "nexthop" or end of line is expected instead of "${word}"`);
    else if (word !== "weight" && hopWord(word, draft)) continue;
    else if (word === "metric" || word === "priority" || word === "preference") draft.metric = number(word);
    else if (word === "tos" || word === "dsfield") draft.tos = number(word, 16);
    else if (word === "table") draft.table = next(word);
    else if (word === "vrf") draft.vrf = next(word);
    else if (word === "scope") draft.scope = next(word);
    else if (word === "proto" || word === "protocol") draft.proto = next(word);
    else if (word === "src") draft.src = next(word);
    else if (word === "mtu") draft.mtu = number(word);
    else if (word === "to" && draft.prefix === undefined) draft.prefix = next(word);
    else if (draft.prefix === undefined && draft.type === undefined && TYPES.includes(word)) draft.type = word;
    else if (draft.prefix === undefined) draft.prefix = word;
    else refuse(`${word}: not a word of a route that can be changed here`);
  }
  if (draft.prefix === undefined) refuse("a route has a prefix");
  if (hops.length > 0) draft.nexthops = hops;
  return draft as RouteSpec;
}

/** Of the prefix; of `default` the first gateway's, or IPv4. */
export function familyOfRoute({ family, prefix, via, nexthops }: RouteSpec): Family {
  const told = prefix === "default" ? (via ?? nexthops?.find((hop) => hop.via !== undefined)?.via) : prefix;
  return family ?? (told?.includes(":") ? 6 : 4);
}

/** The next hops that are said, one by one; none of a route that refuses. */
export const hopsOf = (spec: RouteSpec): readonly HopSpec[] =>
  spec.nexthops ?? (spec.via !== undefined || spec.dev !== undefined ? [spec] : []);

/** Network and length; what an IPv6 prefix says behind its length does not matter (ipv6_addr_prefix). */
export function prefixOf6(text: string): { address: bigint; length: number } {
  if (text === "default") return { address: 0n, length: 0 };
  const { address, length } = splitPrefix(text, 128);
  return typeof address === "bigint"
    ? { address: network(address, length) as bigint, length }
    : refuse(`${text}: not an IPv6 prefix`);
}

function splitPrefix(text: string, bits: number): { address: Ip | null; length: number } {
  const [ip, said, ...more] = text.split("/");
  const length = said === undefined ? bits : /^\d+$/.test(said) ? Number(said) : -1;
  return { address: more.length > 0 || length < 0 || length > bits ? null : parseIp(ip), length };
}

/** Network and length. */
export function prefixOf(text: string): { address: number; length: number } {
  if (text === "default") return { address: 0, length: 0 };
  const { address, length } = splitPrefix(text, 32);
  if (typeof address !== "number") return refuse(`${text}: not an IPv4 prefix`);
  const mask = length === 0 ? 0 : -1 << (32 - length);
  if ((address & ~mask) !== 0) refuse("Error: Invalid prefix for given prefix length.");
  return { address, length };
}

export function addressOf(word: string, text: string): number {
  const address = parseIp(text);
  if (typeof address === "bigint")
    throw new RouteError(Errno.EOPNOTSUPP, `${word} ${text}: IPv6 is not supported here`);
  return address ?? refuse(`${word} ${text}: not an address`);
}

export const typeOf = (spec: RouteSpec): string => {
  const type = spec.type ?? "unicast";
  return TYPES.includes(type) ? type : refuse(`no route type ${type}`);
};

export const numbered = (word: string, said: number | string, names: Readonly<Record<string, number>>): number => {
  if (typeof said === "number") return said;
  const value = Object.hasOwn(names, said) ? names[said] : /^\d+$/.test(said) ? Number(said) : undefined;
  return value ?? refuse(`${word} ${said}: there is none`);
};

export const protocolOf = (said: number | string): number => {
  const value = numbered("proto", said, Object.fromEntries(RT_PROTOS));
  return value <= 255 ? value : refuse(`proto ${said}: there is none`);
};
