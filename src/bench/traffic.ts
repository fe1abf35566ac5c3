/**
 * Traffic for a network, drawn from its own routes: IPv4 frames of 64 bytes (with the frame check sequence), from hosts of the
 * receiving device's subnet to destinations of the table that the device's packets are looked up in.
 *
 *   uniform     any unicast address
 *   in-prefix   a route, and any address in it
 *   zipf:S      FLOWS such addresses, the k-th drawn in proportion to 1 / k^S
 */
import type { Device, Net, Route } from "../../dsl/model.ts";
import { allRoutes } from "../../dsl/route-columns.ts";
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { IpProtocol, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Random, zipf } from "./random.ts";

export type Traffic =
  | { readonly kind: "uniform" }
  | { readonly kind: "in-prefix" }
  | { readonly kind: "zipf"; readonly s: number };

/** A frame, and the device that receives it. */
export interface Received {
  readonly device: Device;
  readonly bytes: Uint8Array;
}

const FLOWS = 65_536;
/** 64 bytes without headers and the frame check sequence. */
const PAYLOAD = new Uint8Array(60 - 14 - 20);
/** Of 198.18.0.0/15, which is for benchmarks (RFC 2544), where a device has no subnet with room for hosts. */
const BENCHMARK_NETWORK = 0xc612_0000;

/** @param devices that receive in turn. @throws RangeError when a drawing needs a route and there is none */
export function drawTraffic(
  net: Net,
  devices: readonly Device[],
  traffic: Traffic,
  count: number,
  seed: number,
): Received[] {
  const random = new Random(seed);
  const destinations = devices.map((device) => destinationsOf(net, device, traffic, random));
  return Array.from({ length: count }, (_, i) => {
    const device = devices[i % devices.length];
    const header = {
      ...{ tos: 0, identification: i & 0xffff, dontFragment: true, ttl: 64, protocol: IpProtocol.UDP },
      source: hostOf(device, random),
      destination: destinations[i % devices.length](),
    };
    const ethernet = { destination: device.mac, source: 0x0200_0000_0001, type: EtherType.IPV4 };
    return { device, bytes: ethernetFrame(ethernet, ipv4Packet(header, PAYLOAD)) };
  });
}

/** A neighbour of the device, not the device itself. */
function hostOf({ addresses }: Device, random: Random): number {
  const own = addresses.find(({ prefix }) => typeof prefix.address === "number" && prefix.length <= 29);
  if (own === undefined) return BENCHMARK_NETWORK + random.below(2 ** 17);
  const hosts = 2 ** (32 - own.prefix.length);
  const address = own.prefix.address as number;
  const network = address - (address % hosts);
  const offset = 1 + random.below(hosts - 2);
  return network + offset === address ? network + (offset === 1 ? 2 : 1) : network + offset;
}

function destinationsOf(net: Net, device: Device, traffic: Traffic, random: Random): () => number {
  if (traffic.kind === "uniform") return () => 2 ** 24 + random.below(223 * 2 ** 24);
  const table = net.devices.find(({ ifindex }) => ifindex === device.master)?.table ?? RT_TABLE_MAIN;
  const routes = allRoutes(net).filter((route) => isDestination(route) && route.table === table);
  if (routes.length === 0) throw new RangeError(`table ${table}, of ${device.name}, has no IPv4 route to send to`);
  const inPrefix = (): number => {
    const { address, length } = routes[random.below(routes.length)].prefix;
    return (address as number) + Math.floor(random.unit() * 2 ** (32 - length));
  };
  if (traffic.kind === "in-prefix") return inPrefix;
  const flows = Array.from({ length: FLOWS }, inPrefix);
  const ranks = zipf(FLOWS, traffic.s);
  return () => flows[ranks.draw(random)];
}

const isDestination = ({ family, type }: Route): boolean => family === 4 && type === "unicast";
