/** Random matches of nft's rules: every field that dsl/LANGUAGE.md names, in every way to ask for it. */
import { between, pick } from "./draw.ts";
import { address, anyDevice, hasFamily, hasInput, hasOutput, type Place, prefix, wire } from "./places.ts";

export function drawMatch(place: Place): string {
  const kinds = [
    ...(hasFamily(place, 4) ? [ipv4, ipv4, icmp] : []),
    ...(hasFamily(place, 6) ? [ipv6, ipv6, icmpv6] : []),
    ...[fib, transport, transport, meta, meta, raw, devices, devices],
    ...(place.family === "netdev" ? [link, link] : []),
  ];
  return pick(place.random, kinds)(place);
}

/** One of the texts; only it is drawn. */
const oneOf = (place: Place, ...texts: (() => string)[]): string => pick(place.random, texts)();
const operator = ({ random }: Place): string => pick(random, ["", "", "!= ", "< ", "> ", "<= ", ">= "]);

function ipv4(place: Place): string {
  const { random } = place;
  const side = pick(random, ["saddr", "daddr"]);
  const one = () => address(place, 4);
  const many = () => prefix(place, 4);
  return oneOf(
    place,
    () => `ip ${side} ${many()}`,
    () => `ip ${side} != ${many()}`,
    () => `ip ${side} { ${many()}, ${one()} }`,
    () => `ip ${side} != { ${one()}, ${one()}, ${one()} }`,
    () => `ip ${side} ${pick(random, ["", "!= "])}@some4`,
    () => `ip ${side} & 255.255.0.255 == ${one().replace(/\d+(\.\d+)$/, "0$1")}`,
    () => `ip ttl ${pick(random, ["> 1", "< 64", "64", "!= 63"])}`,
    () => `ip protocol ${pick(random, ["icmp", "{ tcp, udp }", "tcp", "!= udp"])}`,
    () => `ip dscp ${pick(random, ["!= cs0", "cs2", "0x04", "{ ef, cs1 }"])}`,
    () => `ip ecn ${pick(random, ["not-ect", "ce", "!= ect0"])}`,
    () => `ip version ${pick(random, [4, 6])}`,
    () => `ip hdrlength ${operator(place)}5`,
    () => `ip length ${operator(place)}${between(random, 28, 120)}`,
    () => `ip id ${operator(place)}30000`,
    () => `ip checksum > 32768`,
    () => `ip frag-off ${pick(random, ["& 0x1fff != 0", "& 0x2000 != 0", "0", "& 0x4000 == 0x4000"])}`,
    () =>
      `ip option ${pick(random, ["rr exists", "ra exists", "lsrr missing", "ssrr exists", "ra value 0", "rr length 39"])}`,
    () => `ip saddr . ip daddr { ${one()} . ${one()}, ${many()} . 0.0.0.0/1 }`,
    () => `ip protocol . th dport @services`,
    () => `ip daddr . tcp dport { ${one()} . 80, ${many()} . 1-60000 }`,
  );
}

function ipv6(place: Place): string {
  const { random } = place;
  const side = pick(random, ["saddr", "daddr"]);
  return oneOf(
    place,
    () => `ip6 ${side} ${prefix(place, 6)}`,
    () => `ip6 ${side} != ${prefix(place, 6)}`,
    () => `ip6 ${side} { ${prefix(place, 6)}, ff00::/8 }`,
    () => `ip6 ${side} ${pick(random, ["", "!= "])}@some6`,
    () => `ip6 hoplimit ${pick(random, ["> 1", "64", "!= 63"])}`,
    () => `ip6 nexthdr ${pick(random, ["tcp", "udp", "{ 0, 43, 44, 60 }"])}`,
    () => `ip6 version 6`,
    () => `ip6 dscp ${pick(random, ["!= cs0", "cs2", "{ ef, cs1 }"])}`,
    () => `ip6 ecn ${pick(random, ["not-ect", "ce"])}`,
    () => `ip6 length ${operator(place)}${between(random, 8, 100)}`,
    () => `exthdr ${pick(random, ["frag", "hbh", "dst", "rt"])} ${pick(random, ["exists", "missing"])}`,
    () =>
      pick(random, [
        "frag more-fragments 1",
        "frag frag-off > 0",
        "frag nexthdr udp",
        "hbh nexthdr != 59",
        "rt type 0",
      ]),
    () => pick(random, ["rt seg-left 0", "rt hdrlength 2", "dst nexthdr { tcp, udp, 58 }", "frag id > 100"]),
    () => `ip6 saddr . ip6 daddr { ${address(place, 6)} . ${address(place, 6)}, ::/0 . ${prefix(place, 6)} }`,
  );
}

const icmp = ({ random }: Place): string =>
  pick(random, [
    "icmp type echo-request",
    "icmp type { echo-reply, destination-unreachable, time-exceeded }",
    "icmp type != echo-request",
    "icmp code 0",
    "icmp code { host-unreachable, 13 }",
    "icmp id > 1000",
    "icmp sequence < 40000",
    "icmp mtu 0",
  ]);

const icmpv6 = ({ random }: Place): string =>
  pick(random, [
    "icmpv6 type echo-request",
    "icmpv6 type { 1, 2, 3, 4 }",
    "icmpv6 type != { 130-143 }",
    "icmpv6 code 0",
    "icmpv6 code { 1, 4 }",
    "icmpv6 id > 1000",
    "icmpv6 mtu > 1279",
  ]);

const transport = (place: Place): string => {
  const { random } = place;
  const protocol = pick(random, ["tcp", "udp", "th"]);
  const port = `${protocol} ${pick(random, ["sport", "dport"])}`;
  return oneOf(
    place,
    () => `${port} ${operator(place)}${pick(random, [22, 53, 80, 1500])}`,
    () => `${port} ${pick(random, ["1000-1999", "!= 1000-40000", "{ 53, 80 }", "!= { 22, 80, 1000-2000 }"])}`,
    () => `${port} ${pick(random, ["", "!= "])}@ports`,
    () =>
      `tcp flags ${pick(random, ["syn", "& (syn | ack) == syn", "syn / syn,ack,rst", "! fin", "!= syn", "{ ack, 0x18 }"])}`,
    () =>
      `tcp ${pick(random, ["doff 5", "doff > 5", "window 65535", "urgptr 0", "sequence > 2000000000", "reserved 0"])}`,
    () =>
      `tcp option ${pick(random, ["maxseg exists", "maxseg missing", "maxseg size > 1000", "sack-perm exists", "window missing", "window count 7", "timestamp exists", "nop exists", "eol missing"])}`,
    () => `udp ${pick(random, ["length > 20", "length 8-30", "checksum != 0"])}`,
    () =>
      pick(random, [
        "sctp dport < 30000",
        "udplite sport > 100",
        "dccp dport > 100",
        "ah spi > 5",
        "esp spi > 5",
        "comp cpi > 5",
      ]),
  );
};

/** What is asked of marks and classes is not what nobody has set: some rules before have. */
const meta = (place: Place): string => {
  const { random } = place;
  return oneOf(
    place,
    () => `meta l4proto ${pick(random, ["{ icmp, ipv6-icmp }", "tcp", "!= tcp", "{ tcp, udp }", "> 17", "ipv6-icmp"])}`,
    () =>
      `meta mark ${pick(random, ["0", "!= 0", "& 0x3 != 0", "0x10", "& 0xf == 0x1", "{ 0x1, 0x2 }", "and 0x11 == 0x11"])}`,
    () => `meta pkttype ${pick(random, ["{ broadcast, multicast }", "host", "!= host", "other"])}`,
    () => `meta length ${operator(place)}${between(random, 40, 160)}`,
    () => `meta protocol ${pick(random, ["ip6", "ip", "{ ip, ip6 }", "!= ip", "arp"])}`,
    () => `meta nfproto ${pick(random, ["ipv4", "ipv6"])}`,
    () => `meta priority ${pick(random, ["6", "0:6", "!= 0"])}`,
    () => `meta skuid ${pick(random, ["0", "!= 0"])}`,
    () => `meta protocol . meta l4proto { ip . icmp, ip6 . tcp, ip . udp }`,
  );
};

/** Not where a flow label stands: the kernel chooses those of its own packets. */
const raw = (place: Place): string =>
  oneOf(
    place,
    () => "@th,16,16 53",
    () => "@th,0,16 & 0xff00 == 0x9c00",
    () => "@th,100,4 & 0x8 != 0",
    () => "@nh,72,8 { 6, 17 }",
    () => "@nh,64,8 64",
    () => "@nh,0,4 6",
    () => "@nh,3,13 > 2560",
    () => "@ih,0,8 > 100",
    () => "@ih,4,20 < 0x80000",
    () => "@ll,0,8 & 0x3 == 2",
    () => "@ll,40,16 > 0x1000",
    () => `@th,${pick(place.random, [160, 224, 400])},8 >= 0`,
  );

const devices = (place: Place): string => {
  const { random } = place;
  const side = hasInput(place) && (!hasOutput(place) || random.chance(0.5)) ? "i" : "o";
  const wildcard = () => pick(random, ["p*", "re*", "b*", "lo*"]);
  return oneOf(
    place,
    () => `${side}ifname "${anyDevice(place)}"`,
    () => `${side}ifname != "${anyDevice(place)}"`,
    () => `${side}ifname "${wildcard()}"`,
    () => `${side}ifname { "${anyDevice(place)}", "${wildcard()}" }`,
    () => `${side}if ${pick(random, ["", "!= "])}"${anyDevice(place)}"`,
    () => `${side}ifgroup ${pick(random, ["default", "1", "!= 2"])}`,
    () => `${side}iftype ${pick(random, ["ether", "loopback", "!= loopback"])}`,
    () => `meta nfproto . meta ${side}ifname { ipv4 . "${anyDevice(place)}", ipv6 . "${anyDevice(place)}" }`,
    () =>
      side === "i"
        ? `meta sdifname ${pick(random, ["", "!= "])}"${anyDevice(place)}"`
        : `meta ${side}if "${wire(place)}"`,
    () =>
      side === "i" ? `meta sdif ${pick(random, ["", "!= "])}"${wire(place)}"` : `meta ${side}ifname "${wire(place)}"`,
  );
};

function fib(place: Place): string {
  const { random } = place;
  const flags = pick(random, ["", "", " . iif", " . oif", " . mark"]);
  const asked = oneOf(
    place,
    () =>
      `type ${pick(random, ["local", "unicast", "!= unicast", "{ broadcast, multicast }", "{ blackhole, unreachable, prohibit }"])}`,
    () => `oif ${pick(random, ["exists", "missing", "0", `"${anyDevice(place)}"`])}`,
    () => `oifname ${pick(random, ["", "!= "])}"${anyDevice(place)}"`,
  );
  return `fib ${pick(random, ["saddr", "daddr"])}${flags} ${asked}`;
}

const link = (place: Place): string => {
  const { random } = place;
  return oneOf(
    place,
    () =>
      `ether ${pick(random, ["saddr", "daddr"])} ${pick(random, ["", "!= "])}${pick(random, place.network.devices).mac}`,
    () => `ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00`,
    () => `ether type ${pick(random, ["ip", "ip6", "arp", "!= ip", "0x88cc"])}`,
    () => pick(random, ["vlan id 2", "vlan id < 3", "vlan pcp 0", "vlan type ip", "vlan dei 0"]),
    () => pick(random, ["arp operation request", "arp operation != reply", "arp htype 1", "arp plen 4"]),
  );
};
