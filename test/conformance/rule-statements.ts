/** Random statements of nft's rules, and what ends one. */
import { pick } from "./draw.ts";
import { address, anyDevice, hasFamily, type Place, wire } from "./places.ts";

export function drawStatement(place: Place): string {
  const { random, family } = place;
  const kinds = [
    ...[mark, mark, mark],
    () => "meta priority set 6",
    // Times of a recording are too coarse for a rate: what matters here are buckets that run empty.
    () => `limit rate ${pick(random, ["1/hour burst 3 packets", "over 1/hour burst 5 packets"])}`,
    () => `limit rate ${pick(random, ["5 bytes/hour burst 300 bytes", "over 5 bytes/hour burst 300 bytes"])}`,
    () => "limit name few",
    () => "counter name all",
    () => `log prefix "drawn " level debug`,
    ...(place.writes ? [writing, writing, writing] : []),
    ...(family === "netdev" ? [() => `dup to "${wire(place)}"`, () => `dup to "${anyDevice(place)}"`] : []),
    ...(place.hook === "prerouting" || place.hook === "ingress"
      ? [() => `meta pkttype set ${pick(random, ["host", "other", "multicast"])}`]
      : []),
  ];
  return pick(random, kinds)(place);
}

const mark = ({ random, family }: Place): string =>
  `meta mark set ${pick(random, [
    ...["0x1", "0x2", "0x10", "mark or 0x2", "mark xor 0x3", "meta mark | 0x10", "mark and 0x1 xor 0x12"],
    ...["tcp dport map { 80 : 0x1, 22 : 0x2 }", "meta l4proto map { tcp : 0x1, udp : 0x2, icmp : 0x11 }"],
    ...(family === "ip6" ? [] : ["ip daddr map @marks", "ip dscp map { cs0 : 0x1, cs1-cs7 : 0x10 }"]),
  ])}`;

function writing(place: Place): string {
  const { random } = place;
  const kinds = [
    ...(hasFamily(place, 4)
      ? [
          () => `ip dscp set ${pick(random, ["af11", "cs1"])}`,
          () => `ip ecn set ${pick(random, ["ce", "ect1"])}`,
          () => `ip ttl set ${pick(random, [1, 2, 63])}`,
          () => `ip ${pick(random, ["saddr", "daddr"])} set ${address(place, 4)}`,
          () =>
            `ip daddr set ip saddr map { ${address(place, 4)} : ${address(place, 4)}, 0.0.0.0/1 : ${address(place, 4)} }`,
          () => "ip id set 0x1234",
          () => "ip frag-off set 0x4000",
          () => "icmp code set 1",
          () => "icmp sequence set 7",
          () => "@nh,8,8 set 0x20",
        ]
      : []),
    ...(hasFamily(place, 6)
      ? [
          () => `ip6 hoplimit set ${pick(random, [1, 61])}`,
          () => `ip6 ${pick(random, ["saddr", "daddr"])} set ${address(place, 6)}`,
          () => "ip6 dscp set af21",
          () => "ip6 flowlabel set 0x12345",
          () => "icmpv6 id set 9",
        ]
      : []),
    () => `udp ${pick(random, ["dport", "sport"])} set ${pick(random, [53, 4000])}`,
    () => `tcp ${pick(random, ["dport", "sport"])} set ${pick(random, [80, 4001])}`,
    () => pick(random, ["tcp flags set ack", "tcp window set 100", "udp checksum set 0", "udp length set 9"]),
    () => pick(random, ["@th,0,16 set 99", "@th,16,32 set 0x00350035", "@th,64,8 set 1"]),
    ...(place.family === "netdev"
      ? [
          () => `ether ${pick(random, ["daddr", "saddr"])} set ${pick(random, place.network.devices).mac}`,
          () => "@ll,48,48 set 0x020000000042",
        ]
      : []),
  ];
  return pick(random, kinds)();
}

export function drawVerdict(place: Place): string {
  const { random, hook, family } = place;
  // Regular chains lead nowhere: one would soon go round.
  const onward = hook === null ? ["accept", "return"] : ["jump sub", "goto sub", "jump next"];
  const word = pick(random, ["accept", "accept", "drop", "return", "continue", verdictMap(place), ...onward]);
  if (family === "netdev" && random.chance(0.3)) return `fwd to "${wire(place)}"`;
  return random.chance(family === "netdev" ? 0.1 : 0.25) ? reject(place) : word;
}

function verdictMap(place: Place): string {
  const { random, hook } = place;
  const away = hook === null ? "return" : "jump sub";
  return pick(random, [
    `meta l4proto vmap { tcp : ${pick(random, ["accept", "drop"])}, udp : ${away}, icmp : continue }`,
    "tcp dport vmap { 80 : drop, 22 : accept, 1000-2000 : return }",
    `meta mark vmap { 0x1 : accept, 0x2 : ${away}, 0x10-0x20 : drop }`,
    ...(hook === null ? [] : ["meta l4proto . th dport vmap @judged"]),
    ...(hasFamily(place, 4) ? [`ip saddr vmap { 0.0.0.0/1 : ${away}, 128.0.0.0/1 : accept }`] : []),
    ...(hasFamily(place, 6) ? [`ip6 daddr vmap { ${address(place, 6)} : drop, ff00::/8 : ${away} }`] : []),
  ]);
}

function reject({ random, family, hook }: Place): string {
  const kinds = {
    ip: ["icmp host-prohibited", "icmp net-unreachable", "icmp prot-unreachable", "icmp port-unreachable"],
    ip6: ["icmpv6 admin-prohibited", "icmpv6 no-route", "icmpv6 policy-fail", "icmpv6 reject-route"],
    inet: ["icmpx admin-prohibited", "icmpx host-unreachable", "icmpx no-route", "icmpx port-unreachable"],
    netdev: ["icmpx admin-prohibited", "icmpx host-unreachable"],
  }[family];
  const known = hook === "egress" ? kinds.slice(0, 1) : kinds;
  return random.chance(0.1) ? "reject" : `reject with ${pick(random, [...known, "tcp reset", "tcp reset"])}`;
}
