/** Random look-ups in a drawn network: of its own addresses, its neighbours, what routes lead to, and odd ones. */
import { formatIp, type Ip } from "../../runtime/net/ip.ts";
import type { Random } from "../../src/bench/random.ts";
import type { Query } from "../../src/scenario.ts";
import { between, pick } from "./draw.ts";
import type { DrawnNetwork } from "./network.ts";

const ODD4 = [0, 0x7f000001, 0xe0000001, 0xef010101, 0xffffffff, 0xf0000001, 0x08080808];
const ODD6 = ["::1", "ff02::1", "ff0e::1", "fe80::7", "2001:4860:4860::8888", "::"];

export function drawQuery(random: Random, network: DrawnNetwork): Query {
  const isIpv6 = random.chance(0.4);
  const ofFamily = (ips: readonly Ip[]) => ips.filter((ip) => (typeof ip === "bigint") === isIpv6).map(formatIp);
  const [own, neighbours, far] = [network.own, network.neighbours, network.far].map(ofFamily);
  const odd = isIpv6 ? ODD6 : ODD4.map(formatIp);
  const address = (weights: readonly [number, number, number]): string => {
    const lists = [own, neighbours, far, odd];
    const at = random.unit();
    const list = lists[weights.filter((limit) => at >= limit).length];
    return pick(random, list.length > 0 ? list : odd);
  };
  const dst = address([0.2, 0.5, 0.95]);
  const device = () =>
    pick(random, [...network.devices, ...network.vrfs.map((name) => ({ name })), { name: "lo" }]).name;
  const received = random.chance(0.45);
  const maybe = <T>(probability: number, key: string, draw: () => T) =>
    random.chance(probability) ? { [key]: draw() } : {};
  const proto = random.chance(0.35) ? pick(random, [1, 6, 17, isIpv6 ? 58 : 47]) : undefined;
  // The kernel takes ports only of protocols that have them.
  const ports = proto === 6 || proto === 17 || random.chance(0.05);
  return {
    dst,
    ...(received ? { iif: device(), src: address([0.15, 0.7, 0.95]) } : maybe(0.4, "oif", device)),
    ...(received ? {} : maybe(0.25, "src", () => address([0.8, 0.9, 0.98]))),
    ...maybe(0.25, "mark", () => pick(random, [0, 1, 2, 0x10, 0x11, 0x12])),
    ...maybe(0.15, "tos", () => pick(random, [4, 8, 16, 0x20, 0xb8])),
    ...(proto === undefined ? {} : { proto }),
    ...(ports ? maybe(0.6, "sport", () => pick(random, [53, 40000, between(random, 900, 2100)])) : {}),
    ...(ports ? maybe(0.6, "dport", () => pick(random, [53, 80, between(random, 900, 2100)])) : {}),
    ...maybe(0.1, "uid", () => pick(random, [0, 1000, 1500])),
    ...maybe(0.25, "fibmatch", () => true),
  };
}
