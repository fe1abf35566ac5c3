/**
 * The packet of `vrfc explain`, in words:
 *
 *   packet   = ( "in" DEVICE | "out" [ DEVICE ] ) [ PROTOCOL ] SOURCE ">" DESTINATION { option }
 *   PROTOCOL = "icmp" | "icmp6" | "udp" | "tcp" | NUMBER                     the family's ICMP when absent
 *   option   = "sport" N | "dport" N | "ttl" N | "hoplimit" N | "mark" N | "tos" N | "uid" N | "length" N
 *
 * `in vethr1` is a frame received by that device, `out` a packet of a local socket, `out vrf` one of a socket bound to a
 * device. A source of 0.0.0.0 or :: lets the host choose. `hoplimit` is IPv6's word for `ttl`, and does the same.
 */

import { parseIp } from "../../dsl/address.ts";
import { suggest } from "../../dsl/suggest.ts";
import { wordTable } from "../../dsl/word-table.ts";
import { familyOf, type Ip } from "../../runtime/net/ip.ts";
import { IpProtocol } from "../../runtime/net/ipv4.ts";
import { UsageError } from "./io.ts";

export interface PacketSpec {
  readonly direction: "in" | "out";
  /** Empty: a socket bound to no device. */
  readonly device: string;
  readonly protocol: number;
  readonly source: Ip;
  readonly destination: Ip;
  readonly sport: number;
  readonly dport: number;
  readonly ttl: number;
  readonly mark: number;
  readonly tos: number;
  readonly uid: number;
  /** Bytes of payload after the transport header. */
  readonly length: number;
}

const { ICMP, ICMPV6, TCP, UDP } = IpProtocol;
const protocols: Readonly<Record<string, number>> = wordTable({ icmp: ICMP, tcp: TCP, udp: UDP, icmp6: ICMPV6 });
const synonyms: Readonly<Record<string, Option>> = wordTable({ hoplimit: "ttl" });
const limits = wordTable({
  sport: 65535,
  dport: 65535,
  ttl: 255,
  mark: 0xffffffff,
  tos: 255,
  uid: 0xfffffffe,
  length: 1400,
} as const);
type Option = keyof typeof limits;
const defaults: Record<Option, number> = { sport: 40000, dport: 80, ttl: 64, mark: 0, tos: 0, uid: 0, length: 56 };

/** @throws UsageError that says which word was not understood and what was expected there */
export function parsePacketSpec(text: string): PacketSpec {
  const words = text
    .replaceAll(">", " > ")
    .split(/\s+/)
    .filter((w) => w !== "");
  let at = 0;
  const fail = (expected: string): never => {
    throw new UsageError(
      `packet \`${text}\`: expected ${expected}, found ${at < words.length ? `\`${words[at]}\`` : "the end"} (e.g. 'in vethr1 icmp 10.0.0.7 > 10.0.1.7')`,
    );
  };
  const isAddress = (word: string | undefined) => word !== undefined && parseIp(word).ok;

  const direction = words[at++];
  if (direction !== "in" && direction !== "out") {
    at = 0;
    return fail("`in DEVICE` or `out [DEVICE]`");
  }
  let device = "";
  const bare = isAddress(words[at]) || (words[at] in protocols && isAddress(words[at + 1]));
  if (direction === "in" || !bare) device = words[at++] ?? fail("a device");
  const named = !isAddress(words[at]);
  const given = named ? protocolNumber(words[at]) : ICMP;
  if (given === undefined) return fail("icmp, icmp6, udp, tcp or a protocol number");
  if (named) at++;
  const address = (what: string): Ip => {
    const parsed = words[at] === undefined ? fail(what) : parseIp(words[at]);
    if (!parsed.ok) return fail(what);
    at++;
    return parsed.value;
  };
  const source = address("the source address");
  if (words[at] !== ">") fail("`>`");
  at++;
  const destination = address("the destination address");
  if (familyOf(source) !== familyOf(destination))
    throw new UsageError(`packet \`${text}\`: source and destination are of different families`);
  const ipv6 = familyOf(source) === 6;
  // `icmp` is the family's own.
  const protocol = ipv6 && given === ICMP ? ICMPV6 : given;
  const options = { ...defaults };
  while (at < words.length) {
    const name = synonyms[words[at]] ?? words[at];
    if (!(name in limits)) {
      const near = suggest(name, Object.keys(limits));
      fail(`${near === null ? "" : `\`${near}\`? or `}one of ${Object.keys(limits).join(", ")}`);
    }
    at++;
    const value = Number(words[at]);
    if (words[at] === undefined || !Number.isInteger(value) || value < 0 || value > limits[name as Option])
      fail(`a number from 0 to ${limits[name as Option]}`);
    options[name as Option] = value;
    at++;
  }
  return { direction, device, protocol, source, destination, ...options };
}

function protocolNumber(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  if (word in protocols) return protocols[word];
  const n = Number(word);
  return /^\d+$/.test(word) && n <= 255 ? n : undefined;
}
