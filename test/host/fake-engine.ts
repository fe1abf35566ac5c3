/**
 * A tiny engine for tests of the host side: one namespace without VRFs, routes as a list, no hooks, no source checks. It
 * judges by plain look-ups and knows nothing of Linux beyond the verdicts.
 */
import { batchBytes, NEXT_HOP_IN_SLOT, PacketBatch, SOURCE_IN_SLOT } from "../../runtime/batch.ts";
import { imageOffset } from "../../runtime/brand.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { DeviceConfig, NetConfig } from "../../runtime/host/config.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { ETHERNET_HEADER_BYTES, EthernetView, EtherType, emitEthernet } from "../../runtime/net/ethernet.ts";
import { type Ipv4, inPrefix, lastAddress, type Prefix, parseIp, readIpv4, writeIpv4 } from "../../runtime/net/ip.ts";
import { Ipv4View } from "../../runtime/net/ipv4.ts";
import { type Mac, parseMac } from "../../runtime/net/mac.ts";
import { RouteTypeCode } from "../../runtime/net/route-types.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Errno, Verdict } from "../../runtime/verdict.ts";

export const ip = (text: string): Ipv4 => parseIp(text) as Ipv4;

export interface FakeRoute {
  readonly to: string;
  readonly device: number;
  readonly via?: string;
}

interface Found {
  readonly type: number;
  readonly device: number;
  readonly nextHop: Ipv4;
}

export class FakeEngine implements Engine {
  readonly name = "fake";
  /** The meta columns of every packet judged, for assertions. */
  readonly seen: { entry: number; device: number; mark: number; flags: number }[] = [];
  readonly #config: NetConfig;
  readonly #routes: readonly FakeRoute[];
  readonly #neighbours = new Map<string, Mac>();

  constructor(config: NetConfig, routes: readonly FakeRoute[] = []) {
    this.#config = config;
    this.#routes = routes;
    for (const { device, address, mac } of config.neighbours) this.setNeighbour(device, ip(address), parseMac(mac));
  }

  createBatch(capacity: number, slotSize?: number): PacketBatch {
    const buffer = new ArrayBuffer(batchBytes(capacity, slotSize ?? 2048));
    return new PacketBatch(() => buffer, imageOffset(0), capacity, slotSize);
  }
  process(batch: PacketBatch): void {
    for (let i = 0; i < batch.count; i++) batch.column("verdict")[i] = this.#judge(batch, i);
  }
  trace(batch: PacketBatch): [][] {
    this.process(batch);
    return Array.from({ length: batch.count }, () => []);
  }
  readCounters(): [] {
    return [];
  }
  setTime(): void {}
  map(name: string): never {
    throw new RangeError(`no map ${name}`);
  }
  setNeighbour(device: number, address: number | bigint, mac: number | null): void {
    if (mac === null) this.#neighbours.delete(`${device} ${address}`);
    else this.#neighbours.set(`${device} ${address}`, mac);
  }

  #judge(batch: PacketBatch, i: number): Verdict {
    const column = (name: Parameters<PacketBatch["column"]>[0]) => batch.column(name)[i];
    const set = (name: Parameters<PacketBatch["column"]>[0], value: number) => {
      batch.column(name)[i] = value;
    };
    const entry = column("entry") as Entry;
    const device = column("device");
    this.seen.push({ entry, device, mark: column("mark"), flags: column("flags") });
    if (entry === Entry.XMIT) {
      set("outDevice", device);
      return Verdict.TRANSMIT;
    }
    if (entry === Entry.RECEIVE) {
      if (new EthernetView(batch.packet(i)).type !== EtherType.IPV4) return Verdict.PASS;
      set("data", column("data") + ETHERNET_HEADER_BYTES);
      set("length", column("length") - ETHERNET_HEADER_BYTES);
    }
    const data = column("data");
    const view = new Ipv4View(batch.bytes.subarray(data, data + column("length")));
    set("l3", data);
    set("skbDevice", device);
    set("sdif", entry === Entry.RECEIVE ? device : 0);
    const refuse = (verdict: Verdict, error: number): Verdict => {
      set("error", error);
      return verdict;
    };

    if (entry === Entry.NEIGHBOUR)
      return this.#send(batch, i, {
        type: RouteTypeCode.unicast,
        device,
        nextHop: readIpv4(batch.bytes, column("nextHop")),
      });
    const found = this.#route(view.destination);
    if (found === null)
      return entry === Entry.RECEIVE
        ? refuse(Verdict.ICMP_ERROR, 3 << 8)
        : refuse(Verdict.SEND_ERROR, Errno.ENETUNREACH);
    set("routeType", found.type);
    set("outDevice", found.device);
    const local = found.type === RouteTypeCode.local;
    const source = local ? view.destination : this.#source(found.device);
    if (entry === Entry.LOOKUP) {
      set("source", batch.slot(i) + SOURCE_IN_SLOT);
      writeIpv4(batch.bytes, batch.slot(i) + SOURCE_IN_SLOT, view.source === 0 ? source : view.source);
      return Verdict.FOUND;
    }
    if (entry === Entry.ROUTE_INPUT) return Verdict.FOUND;
    if (entry === Entry.OUTPUT && view.source === 0) rewrite(view, () => writeIpv4(view.bytes, 12, source));
    if (found.type !== RouteTypeCode.unicast) {
      set("sdif", 0);
      return Verdict.LOCAL;
    }
    if (entry === Entry.RECEIVE) {
      if (view.ttl <= 1) return refuse(Verdict.ICMP_ERROR, 11 << 8);
      rewrite(view, () => {
        view.bytes[8]--;
      });
    }
    return this.#send(batch, i, found);
  }

  #route(destination: Ipv4): Found | null {
    for (const device of this.#config.devices)
      for (const prefix of prefixes(device)) {
        if (prefix.address === destination) return { type: RouteTypeCode.local, device: 1, nextHop: destination };
        if (lastAddress(prefix) === destination)
          return { type: RouteTypeCode.broadcast, device: device.ifindex, nextHop: destination };
        if (inPrefix(prefix, destination))
          return { type: RouteTypeCode.unicast, device: device.ifindex, nextHop: destination };
      }
    const route = this.#routes.find((r) => inPrefix(prefix(r.to), destination));
    if (route === undefined) return null;
    return {
      type: RouteTypeCode.unicast,
      device: route.device,
      nextHop: route.via === undefined ? destination : ip(route.via),
    };
  }

  #source(device: number): Ipv4 {
    const first = this.#config.devices.find((d) => d.ifindex === device)?.addresses[0]?.address;
    return first === undefined ? 0 : ip(first);
  }

  #send(batch: PacketBatch, i: number, { device, nextHop }: Found): Verdict {
    batch.column("outDevice")[i] = device;
    const neighbour = this.#neighbours.get(`${device} ${nextHop}`);
    if (neighbour === undefined) {
      batch.column("nextHop")[i] = batch.slot(i) + NEXT_HOP_IN_SLOT;
      writeIpv4(batch.bytes, batch.slot(i) + NEXT_HOP_IN_SLOT, nextHop);
      return Verdict.UNRESOLVED;
    }
    const mac = parseMac(this.#config.devices.find((d) => d.ifindex === device)?.mac ?? "") ?? 0;
    const data = batch.column("data")[i] - ETHERNET_HEADER_BYTES;
    emitEthernet(
      { destination: neighbour, source: mac, type: EtherType.IPV4 },
      batch.bytes.subarray(data, data + ETHERNET_HEADER_BYTES),
    );
    batch.column("data")[i] = data;
    batch.column("length")[i] += ETHERNET_HEADER_BYTES;
    return Verdict.TRANSMIT;
  }
}

function rewrite(view: Ipv4View, change: () => void): void {
  change();
  writeU16(view.bytes, 10, 0);
  writeU16(view.bytes, 10, checksum(view.bytes.subarray(0, view.headerLength)));
}

const prefix = (text: string): Prefix => {
  const [address, length] = text.split("/");
  return { address: ip(address), length: Number(length) };
};
const prefixes = (device: DeviceConfig): Prefix[] =>
  device.addresses.map((a) => ({ address: ip(a.address), length: a.prefixLength }));

const SYSCTL: NetConfig["sysctl"] = {
  tcpL3mdevAccept: false,
  udpL3mdevAccept: false,
  rawL3mdevAccept: true,
  ipDefaultTtl: 64,
  icmpEchoIgnoreAll: false,
  icmpEchoIgnoreBroadcasts: true,
  icmpErrorsUseInboundIfaddr: false,
};

/** `device(2, "veth0", ["10.0.0.1/24"], [1, 2])`: ifindex, name, addresses, peer as namespace and ifindex. */
export function device(
  ifindex: number,
  name: string,
  addresses: readonly string[] = [],
  peer: readonly [number, number] | null = null,
): DeviceConfig {
  return {
    ifindex,
    name,
    kind: ifindex === 1 ? "loopback" : "veth",
    mac:
      ifindex === 1
        ? "00:00:00:00:00:00"
        : `02:00:00:00:${name.length.toString(16).padStart(2, "0")}:${checksumOf(name)}`,
    mtu: 1500,
    up: true,
    master: 0,
    addresses: addresses.map((a) => ({
      address: a.split("/")[0],
      prefixLength: Number(a.split("/")[1]),
      scope: ifindex === 1 ? 254 : 0,
      secondary: false,
    })),
    forwarding6: false,
    forwardsBroadcasts: false,
    anycast: [],
    peer: peer === null ? null : { net: peer[0], ifindex: peer[1] },
  };
}

const checksumOf = (name: string): string =>
  ([...name].reduce((sum, c) => sum * 3 + c.charCodeAt(0), 7) & 0xff).toString(16).padStart(2, "0");

export function config(
  name: string,
  devices: readonly DeviceConfig[],
  change: Partial<NetConfig["sysctl"]> = {},
): NetConfig {
  return {
    name,
    devices: [device(1, "lo", ["127.0.0.1/8"]), ...devices],
    neighbours: [],
    prefsrcRoutes6: [],
    onLinkRoutes6: [],
    sysctl: { ...SYSCTL, ...change },
  };
}
