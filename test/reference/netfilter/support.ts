/**
 * One rule at one hook of a router, and one packet: what the rule did.
 *
 *   10.0.0.7 -- eth0 | host | eth1 -- 10.0.1.7        2001:db8:0::7 -- eth0 | eth1 -- 2001:db8:1::7
 *   10.2.0.7 -- red0 | VRF red, table 100             10.2.0.1/24
 */
import type { Engine } from "../../../runtime/engine.ts";
import { foldChecksum, pseudoHeaderSum, wordSum } from "../../../runtime/net/checksum.ts";
import { parseIp } from "../../../runtime/net/ip.ts";
import { parseMac } from "../../../runtime/net/mac.ts";
import { TcpFlag, tcpSegment } from "../../../runtime/net/tcp.ts";
import { writeU16 } from "../../../runtime/net/wire.ts";
import { type Host, hostOf, type Outcome } from "../support.ts";

const router = (rest: string): string => `
sysctl net.ipv4.ip_forward = 1
sysctl net.ipv6.conf.all.forwarding = 1
vrf red { table 100 }
interface eth0 { address 10.0.0.1/24; address 2001:db8:0::1/64 }
interface eth1 { address 10.0.1.1/24; address 2001:db8:1::1/64 }
interface red0 { master red; address 10.2.0.1/24 }
${rest}
`;

export function routerWith(rest: string): Host {
  const host = hostOf(router(rest));
  const knows = (name: string, address: string) => {
    const device = host.net.devices.find((d) => d.name === name)!;
    host.engine.setNeighbour(device.ifindex, parseIp(address)!, parseMac("02:00:00:00:00:bb")!);
  };
  knows("eth0", "10.0.0.7");
  knows("eth1", "10.0.1.7");
  knows("eth1", "10.0.1.9");
  knows("red0", "10.2.0.7");
  knows("eth1", "2001:db8:1::7");
  return host;
}

export const chain = (hook: string, rules: string, policy = "accept"): string =>
  `table inet t { chain c { type filter hook ${hook} priority 0; policy ${policy};\n${rules}\n} }`;

/** Packets that the only counter counted. */
export const counted = (engine: Engine): number => Number(engine.readCounters()[0].packets);

/** Chains alone, of a trace. */
export const chainStory = ({ story }: Outcome): string =>
  story
    .split(" | ")
    .filter((step) => /^(chain|c\[|sub\[|policy|log) ?/.test(step))
    .join(" | ");

/** A TCP segment or UDP datagram with a good checksum. */
export function segment(
  from: string,
  to: string,
  { sport = 1234, dport = 80, flags = TcpFlag.SYN as number, data = new Uint8Array() } = {},
): Uint8Array {
  const [source, destination] = [parseIp(from)!, parseIp(to)!];
  const fields = { sourcePort: sport, destinationPort: dport, sequence: 7, acknowledgment: 9, flags, window: 1000 };
  return tcpSegment({ ...fields, data }, source, destination);
}

export function datagram(from: string, to: string, { sport = 1234, dport = 53, checksum = true } = {}): Uint8Array {
  const bytes = new Uint8Array(12);
  writeU16(bytes, 0, sport);
  writeU16(bytes, 2, dport);
  writeU16(bytes, 4, bytes.length);
  bytes.set([1, 2, 3, 4], 8);
  const sum = pseudoHeaderSum(parseIp(from)!, parseIp(to)!, 17, bytes.length) + wordSum(bytes);
  if (checksum) writeU16(bytes, 6, foldChecksum(sum));
  return bytes;
}
