/** Names of IP protocols that rules can select, as in protocols(5). The first name of a number is the one printed. */
const IP_PROTOCOLS = [
  ["icmp", 1],
  ["igmp", 2],
  ["ipencap", 4],
  ["tcp", 6],
  ["udp", 17],
  ["dccp", 33],
  ["ipv6", 41],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["ipv6-icmp", 58],
  ["icmpv6", 58],
  ["ospf", 89],
  ["ipip", 94],
  ["sctp", 132],
  ["udplite", 136],
] as const satisfies readonly (readonly [string, number])[];

export const ipProtocolNumber: ReadonlyMap<string, number> = new Map(IP_PROTOCOLS);
export const ipProtocolName: ReadonlyMap<number, string> = new Map(
  IP_PROTOCOLS.toReversed().map(([name, number]) => [number, name]),
);
