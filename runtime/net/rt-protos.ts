/** Numbers of routing protocols, as routes carry them (kernel: RTPROT_*). */

/** rt_protos(5) as shipped with iproute2 6.1. */
export const RT_PROTOS: ReadonlyMap<string, number> = new Map([
  ["unspec", 0],
  ["redirect", 1],
  ["kernel", 2],
  ["boot", 3],
  ["static", 4],
  ["gated", 8],
  ["ra", 9],
  ["mrt", 10],
  ["zebra", 11],
  ["bird", 12],
  ["dnrouted", 13],
  ["xorp", 14],
  ["ntk", 15],
  ["dhcp", 16],
  ["keepalived", 18],
  ["babel", 42],
  ["openr", 99],
  ["bgp", 186],
  ["isis", 187],
  ["ospf", 188],
  ["rip", 189],
  ["eigrp", 192],
]);
export const RT_PROTO_NAMES: ReadonlyMap<number, string> = new Map(
  [...RT_PROTOS].map(([name, number]) => [number, name]),
);

/** Of a protocol as a checked text has it: by name where it has one, else its number as text. */
export const protocolNumber = (protocol: string): number => RT_PROTOS.get(protocol) ?? Number(protocol);
