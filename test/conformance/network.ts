/**
 * Random networks as a user would set them up: one to three VRFs, some devices in them and some outside, addresses and routes
 * of both families that overlap on purpose, rules with every selector and action, settings, and changes to what is there.
 *
 *   vrfs -> devices -> addresses -> next-hop objects -> routes -> rules -> settings -> changes -> neighbours
 *
 * Nothing keeps a command from being one that the kernel refuses: the kernel says which, and what it refused is no part of
 * the recorded network.
 */
import { formatIp, type Ip, inPrefix, network, type Prefix, parseIp } from "../../runtime/net/ip.ts";
import type { Random } from "../../src/bench/random.ts";
import { between, pick, some } from "./draw.ts";

export interface DrawnDevice {
  readonly name: string;
  readonly mac: string;
  /** Of all addresses given to it: the subnet, and whom it may hold besides. */
  readonly subnets: DrawnSubnet[];
}
export interface DrawnSubnet {
  readonly own: Ip;
  readonly length: number;
  readonly neighbours: readonly Ip[];
}

export interface DrawnNetwork {
  readonly commands: readonly string[];
  readonly devices: readonly DrawnDevice[];
  readonly vrfs: readonly string[];
  /** Addresses of this host. */
  readonly own: readonly Ip[];
  readonly neighbours: readonly Ip[];
  /** Addresses that only routes lead to. */
  readonly far: readonly Ip[];
}

export interface NetworkKind {
  /** Devices are wires between the root namespace (w0, w1, ..) and namespace `r` (p0, p1, ..), or dummies of the root. */
  readonly wires: boolean;
}

export const ROUTER = "r";
const TABLES = [10, 20, 77, 300, 1001, 4000000];
const FREE_TABLES = [100, 101, 254];
const FAR4 = ["172.16.0.0/12", "192.168.0.0/16", "203.0.113.0/24", "10.0.0.0/8"] as const;
const FAR6 = ["2001:db8:ff00::/40", "fd00::/8", "2001:db8::/32"] as const;
const METRICS = [0, 0, 0, 5, 100, 1024];
const UNREACHABLE_METRIC = 4278198272;

export function drawNetwork(random: Random, kind: NetworkKind): DrawnNetwork {
  const drawing = new Drawing(random, kind);
  drawing.vrfs();
  drawing.devices();
  drawing.settings();
  drawing.nexthops();
  drawing.routes();
  drawing.rules();
  drawing.changes();
  if (kind.wires) drawing.neighbours();
  return drawing.result();
}

const ip4 = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
const DB8 = 0x2001_0db8n << 96n;
const isIpv6 = (ip: Ip): ip is bigint => typeof ip === "bigint";

class Drawing {
  readonly #random: Random;
  readonly #wires: boolean;
  readonly #commands: string[] = [];
  readonly #devices: DrawnDevice[] = [];
  readonly #vrfs: { readonly name: string; readonly table: number }[] = [];
  readonly #own: Ip[] = [];
  readonly #far: Ip[];
  readonly #nexthopIds: Record<4 | 6, number[]> = { 4: [], 6: [] };

  constructor(random: Random, { wires }: NetworkKind) {
    this.#random = random;
    this.#wires = wires;
    const far = (bases: readonly string[]) => Array.from({ length: 7 }, () => this.#inside(parse(pick(random, bases))));
    this.#far = [...far(FAR4), ...far(FAR6)];
  }

  result(): DrawnNetwork {
    const neighbours = this.#devices.flatMap(({ subnets }) => subnets.flatMap((subnet) => subnet.neighbours));
    const vrfs = this.#vrfs.map(({ name }) => name);
    return { commands: this.#commands, devices: this.#devices, vrfs, own: this.#own, neighbours, far: this.#far };
  }

  vrfs(): void {
    const random = this.#random;
    if (this.#wires) this.#commands.push(`ip netns add ${ROUTER}`);
    // What was asked for in vain is not asked for again: counters would tell when.
    if (this.#wires)
      this.#sysctl(...["ipv4", "ipv6"].map((family) => `net.${family}.neigh.default.retrans_time_ms=600000`));
    if (this.#wires) this.#sysctl("net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.router_solicitations=0");
    const names = ["red", "blue", "green"].slice(0, between(random, 1, 3));
    for (const [i, name] of names.entries()) {
      const table =
        random.chance(0.1) && i > 0 ? this.#vrfs[0].table : TABLES[(i * 2 + random.below(2)) % TABLES.length];
      this.#vrfs.push({ name, table });
      this.#ip(`link add ${name} type vrf table ${table}`);
      if (!random.chance(0.03)) this.#ip(`link set dev ${name} up`);
      if (random.chance(0.4)) this.#ip(`route add unreachable default metric ${UNREACHABLE_METRIC} table ${table}`);
      if (random.chance(0.3)) this.#ip(`-6 route add unreachable default metric ${UNREACHABLE_METRIC} table ${table}`);
    }
  }

  devices(): void {
    const count = between(this.#random, 3, 6);
    for (let i = 0; i < count; i++) this.#device(i);
    for (const { name } of this.#vrfs) {
      if (this.#random.chance(0.6))
        this.#ownAddress(name, ip4(1, 1, this.#random.below(3), this.#random.below(9) + 1), 32);
      if (this.#random.chance(0.4))
        this.#ownAddress(name, DB8 | (0xffn << 80n) | BigInt(this.#random.below(9) + 1), 128);
    }
    if (this.#random.chance(0.2)) this.#ownAddress("lo", ip4(1, 1, 9, 9), 32);
  }

  #device(i: number): void {
    const random = this.#random;
    const name = `p${i}`;
    const mac = `02:00:00:00:00:1${i}`;
    if (this.#wires) {
      this.#commands.push(`ip link add w${i} type veth peer name ${name} address ${mac} netns ${ROUTER}`);
      this.#commands.push(`ip link set dev w${i} up`);
    } else this.#ip(`link add ${name} address ${mac} type dummy`);
    if (random.chance(0.7)) this.#ip(`link set dev ${name} master ${pick(random, this.#vrfs).name}`);
    if (random.chance(0.15)) this.#ip(`link set dev ${name} mtu ${pick(random, [1280, 1300, 1400])}`);
    if (random.chance(0.15)) this.#ip(`link set dev ${name} group ${pick(random, [1, 2])}`);
    if (!random.chance(0.02)) this.#ip(`link set dev ${name} up`);
    const device: DrawnDevice = { name, mac, subnets: [] };
    this.#devices.push(device);
    for (let n = between(random, 1, 2); n > 0; n--) {
      const own = ip4(10, random.below(2), random.below(4), between(random, 1, 254));
      device.subnets.push(this.#subnet(name, own, pick(random, [24, 24, 24, 26, 30, 31, 32])));
    }
    if (random.chance(0.75)) {
      const own =
        DB8 | (BigInt(random.below(3)) << 80n) | (BigInt(random.below(3)) << 64n) | BigInt(between(random, 1, 0xff));
      device.subnets.push(this.#subnet(name, own, pick(random, [64, 64, 64, 112, 127, 128])));
    }
  }

  #subnet(device: string, own: Ip, length: number): DrawnSubnet {
    this.#ownAddress(device, own, length);
    const prefix = { address: network(own, length), length };
    const others = Array.from({ length: 4 }, () => this.#inside(prefix));
    return { own, length, neighbours: [...new Set(others)].filter((ip) => ip !== own) };
  }

  #ownAddress(device: string, own: Ip, length: number): void {
    this.#own.push(own);
    const scope = !isIpv6(own) && this.#random.chance(0.05) ? " scope link" : "";
    this.#ip(`addr add ${formatIp(own)}/${length} dev ${device}${scope}${isIpv6(own) ? " nodad" : ""}`);
  }

  settings(): void {
    const random = this.#random;
    if (random.chance(0.97)) this.#sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    if (this.#wires)
      this.#sysctl("net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0", "net.ipv4.tcp_timestamps=0");
    const conf = (key: string, value: number) => () =>
      `net.ipv4.conf.${pick(random, this.#devices).name}.${key}=${value}`;
    const drawn = some(random, [
      [0.25, () => `net.ipv4.conf.all.rp_filter=${between(random, 1, 2)}`],
      [0.25, conf("rp_filter", between(random, 1, 2))],
      [0.1, conf("forwarding", 0)],
      [0.15, conf("accept_local", 1)],
      [0.1, conf("route_localnet", 1)],
      [0.15, conf("bc_forwarding", 1)],
      [0.1, () => "net.ipv4.conf.all.bc_forwarding=1"],
      [0.15, conf("send_redirects", 0)],
      [0.1, () => "net.ipv4.conf.all.send_redirects=0"],
      [0.1, conf("drop_unicast_in_l2_multicast", 1)],
      [0.1, () => "net.ipv4.icmp_errors_use_inbound_ifaddr=1"],
      [0.1, () => "net.ipv4.icmp_echo_ignore_broadcasts=0"],
      [0.1, () => `net.ipv4.ip_default_ttl=${pick(random, [32, 255])}`],
      [0.1, () => "net.ipv4.raw_l3mdev_accept=0"],
      [0.1, () => "net.ipv4.tcp_l3mdev_accept=1"],
      [0.1, () => "net.ipv4.udp_l3mdev_accept=1"],
      [0.2, () => `net.ipv4.fib_multipath_hash_policy=${pick(random, [1, 1, 3])}`],
    ]);
    for (const setting of drawn) this.#sysctl(setting);
  }

  nexthops(): void {
    const random = this.#random;
    if (!random.chance(0.4)) return;
    let id = 1;
    for (const family of [4, 4, 6] as const) {
      this.#ip(`nexthop add id ${id} ${this.#hop(family)}`);
      this.#nexthopIds[family].push(id++);
    }
    if (random.chance(0.3)) {
      this.#ip(`nexthop add id ${id} blackhole`);
      this.#nexthopIds[4].push(id++);
    }
    // Which of a group is taken cannot be agreed on, and shows in every frame.
    if (this.#wires || this.#nexthopIds[4].length < 2) return;
    this.#ip(`nexthop add id ${id} group ${this.#nexthopIds[4][0]},${between(random, 1, 3)}/${this.#nexthopIds[4][1]}`);
    this.#nexthopIds[4].push(id++);
  }

  routes(): void {
    for (let n = between(this.#random, 10, 22); n > 0; n--) this.#route(4);
    for (let n = between(this.#random, 5, 12); n > 0; n--) this.#route(6);
  }

  #route(family: 4 | 6): void {
    const random = this.#random;
    const verb = random.chance(0.85) ? "add" : pick(random, ["append", "replace", "prepend", "change", "del"]);
    const metric = pick(random, METRICS);
    const tail = [
      ...(random.chance(0.8) ? [this.#table()] : []),
      ...(metric === 0 ? [] : [`metric ${metric}`]),
      ...(random.chance(0.06) && family === 4 ? [`tos ${pick(random, ["0x10", "0x08"])}`] : []),
      ...(random.chance(0.05) ? [`mtu ${pick(random, [1280, 1400])}`] : []),
    ];
    const prefix = this.#prefix(family);
    const type = random.chance(0.25) ? pick(random, ROUTE_TYPES) : "";
    const six = family === 6 ? "-6 " : "";
    const way = type === "" || DEVICE_TYPES.includes(type) ? this.#way(family) : "";
    // iproute2 wants a list of next hops last.
    const words = way.startsWith("nexthop") ? [type, prefix, ...tail, way] : [type, prefix, way, ...tail];
    this.#ip(`${six}route ${verb} ${words.filter((word) => word !== "").join(" ")}`);
  }

  #table(): string {
    const random = this.#random;
    const vrf = pick(random, this.#vrfs);
    if (random.chance(0.15)) return `vrf ${vrf.name}`;
    return `table ${random.chance(0.75) ? vrf.table : pick(random, FREE_TABLES)}`;
  }

  #prefix(family: 4 | 6): string {
    const random = this.#random;
    if (random.chance(0.12)) return "default";
    const [bases, lengths] = family === 4 ? [FAR4, LENGTHS4] : [FAR6, LENGTHS6];
    const base = parse(pick(random, bases));
    const known = this.#far.filter((ip) => isIpv6(ip) === (family === 6));
    const subnets = [...this.#own].filter((ip) => isIpv6(ip) === (family === 6));
    const source = random.chance(0.6) ? known : random.chance(0.5) ? subnets : [];
    const inside = source.length > 0 ? pick(random, source) : this.#inside(base);
    const length = pick(random, lengths);
    return `${formatIp(network(inside, length))}/${length}`;
  }

  /** Where a route leads. */
  #way(family: 4 | 6): string {
    const random = this.#random;
    const ids = this.#nexthopIds[family];
    if (ids.length > 0 && random.chance(0.2)) return `nhid ${pick(random, ids)}`;
    if (!this.#wires && random.chance(0.12)) {
      const hops = Array.from(
        { length: between(random, 1, 3) },
        () => `nexthop ${this.#hop(family)} weight ${between(random, 1, 4)}`,
      );
      return hops.join(" ");
    }
    // A VRF, which leaks into its table; or a device.
    if (random.chance(0.1)) return `dev ${pick(random, this.#vrfs).name}`;
    if (random.chance(0.03)) return "dev lo";
    const source = random.chance(0.12) ? this.#sourceOf(family) : "";
    if (random.chance(0.2)) return `dev ${pick(random, this.#devices).name}${source}`;
    return `${this.#hop(family)}${source}${random.chance(0.1) ? " onlink" : ""}`;
  }

  #sourceOf(family: 4 | 6): string {
    const own = this.#own.filter((ip) => isIpv6(ip) === (family === 6));
    return own.length === 0 ? "" : ` src ${formatIp(pick(this.#random, own))}`;
  }

  #hop(family: 4 | 6): string {
    const random = this.#random;
    const device = pick(random, this.#devices);
    const inDevice = device.subnets.filter(({ own }) => isIpv6(own) === (family === 6));
    const neighbours = inDevice.flatMap((subnet) => subnet.neighbours);
    if (family === 4 && random.chance(0.04)) return `via inet6 ${formatIp(linkLocal(device))} dev ${device.name}`;
    if (family === 6 && random.chance(0.1)) return `via ${formatIp(linkLocal(device))} dev ${device.name}`;
    const gateway =
      neighbours.length > 0 && random.chance(0.95)
        ? pick(random, neighbours)
        : pick(
            random,
            this.#far.filter((ip) => isIpv6(ip) === (family === 6)),
          );
    return `via ${formatIp(gateway)} dev ${device.name}`;
  }

  rules(): void {
    const random = this.#random;
    if (random.chance(0.5))
      for (const six of ["", "-6 "]) {
        this.#ip(`${six}rule add pref 32765 lookup local`);
        this.#ip(`${six}rule del pref 0`);
      }
    for (let n = random.below(7); n > 0; n--) this.#rule(4);
    for (let n = random.below(5); n > 0; n--) this.#rule(6);
  }

  #rule(family: 4 | 6): void {
    const random = this.#random;
    const anyDevice = () => pick(random, [...this.#devices, ...this.#vrfs, { name: "lo" }, { name: "gone" }]).name;
    const prefix = () => this.#prefix(family).replace("default", family === 4 ? "0.0.0.0/0" : "::/0");
    const selectors = some(random, [
      [0.1, () => "not"],
      [0.35, () => `from ${prefix()}`],
      [0.35, () => `to ${prefix()}`],
      [0.25, () => `iif ${anyDevice()}`],
      [0.12, () => `oif ${anyDevice()}`],
      [0.15, () => `fwmark ${pick(random, ["0x1", "0x2", "0x2/0xf", "0x10/0x10", "0x1/0xff"])}`],
      [0.12, () => `tos ${pick(random, family === 4 ? ["0x10", "0x08", "0x04"] : ["0x10", "0x08", "0xb8", "0x20"])}`],
      [0.15, () => `ipproto ${pick(random, ["1", "6", "17", "58"])}`],
      [0.12, () => `sport ${pick(random, ["53", "1000-2000", "40000"])}`],
      [0.12, () => `dport ${pick(random, ["53", "80", "1000-2000"])}`],
      [0.08, () => `uidrange ${pick(random, ["0-0", "1000-2000"])}`],
    ]);
    const pref = random.chance(0.15) ? pick(random, [999, 1000, 5000]) : between(random, 1, 32000);
    const [action, suppressible] = this.#action(pref);
    const suppress = suppressible
      ? some(random, [
          [0.15, () => `suppress_prefixlength ${pick(random, [0, 8, 16, 24])}`],
          [0.08, () => `suppress_ifgroup ${pick(random, [0, 1])}`],
        ])
      : [];
    this.#ip(`${family === 6 ? "-6 " : ""}rule add pref ${pref} ${[...selectors, action, ...suppress].join(" ")}`);
  }

  #action(pref: number): [action: string, lookup: boolean] {
    const random = this.#random;
    const table = () => pick(random, [...this.#vrfs.map((vrf) => vrf.table), ...FREE_TABLES]);
    if (random.chance(0.65)) return [`lookup ${table()}`, true];
    if (random.chance(0.2)) return ["l3mdev", true];
    if (random.chance(0.3)) return [`goto ${pick(random, [32766, 32767, between(random, pref + 1, 32768)])}`, false];
    return [
      pick(random, ["blackhole", "unreachable", "prohibit", "nop", "l3mdev prohibit", "l3mdev unreachable"]),
      false,
    ];
  }

  /** What happens to a network after it was set up. */
  changes(): void {
    const random = this.#random;
    const device = () => pick(random, this.#devices).name;
    const vrf = () => pick(random, this.#vrfs).name;
    const drawn = some(random, [
      [0.1, () => `link set dev ${device()} down`],
      [0.04, () => `link set dev ${vrf()} down`],
      [0.08, () => `link set dev ${device()} nomaster`],
      [0.08, () => `link set dev ${device()} master ${vrf()}`],
      [this.#wires ? 0 : 0.05, () => `link del dev ${device()}`],
      [0.02, () => `link del dev ${vrf()}`],
      [0.08, () => `addr del ${this.#someAddress()}`],
    ]);
    for (const change of drawn) this.#ip(change);
    const bounced = device();
    if (random.chance(0.08)) for (const state of ["down", "up"]) this.#ip(`link set dev ${bounced} ${state}`);
  }

  #someAddress(): string {
    const device = pick(this.#random, this.#devices);
    const { own, length } = pick(this.#random, device.subnets);
    return `${formatIp(own)}/${length} dev ${device.name}`;
  }

  /** Every neighbour on every device that may ask for it, but for a few, which then stay unresolved. */
  neighbours(): void {
    const all = new Set(this.#devices.flatMap(({ subnets }) => subnets.flatMap((subnet) => subnet.neighbours)));
    for (const [i, device] of this.#devices.entries()) {
      const onLink = (ip: Ip) =>
        device.subnets.some(({ own, length }) => inPrefix({ address: network(own, length), length }, ip));
      const known = [...all, ...this.#own].filter(onLink);
      for (const ip of [...new Set([...known, ...this.#far, linkLocal(device)])]) {
        if (this.#random.chance(0.003)) continue;
        const last = Number(isIpv6(ip) ? ip & 0xffn : ip & 0xff);
        const mac = `02:bb:00:00:0${i}:${last.toString(16).padStart(2, "0")}`;
        this.#ip(`neigh replace ${formatIp(ip)} lladdr ${mac} dev ${device.name} nud permanent`);
      }
    }
  }

  #inside({ address, length }: Prefix): Ip {
    if (isIpv6(address)) {
      const bits = BigInt(128 - length);
      // Some close together, most far apart.
      return (
        address |
        (this.#random.chance(0.5) ? this.#random.bits(Number(bits)) : this.#random.bits(Math.min(8, Number(bits))))
      );
    }
    return (address | Number(this.#random.bits(32 - length))) >>> 0;
  }

  /** @param command of `ip`, of the namespace that has the network */
  #ip(command: string): void {
    const options = /^(-6) /.exec(command)?.[1];
    const rest = options === undefined ? command : command.slice(3);
    this.#commands.push(["ip", ...(this.#wires ? ["-n", ROUTER] : []), ...(options ? [options] : []), rest].join(" "));
  }

  #sysctl(...settings: string[]): void {
    this.#commands.push(`${this.#wires ? `ip netns exec ${ROUTER} ` : ""}sysctl -qw ${settings.join(" ")}`);
  }
}

const ROUTE_TYPES = [
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "throw",
  "local",
  "broadcast",
  "multicast",
  "anycast",
];
const DEVICE_TYPES = ["local", "broadcast", "multicast", "anycast"];
const LENGTHS4 = [8, 12, 16, 20, 22, 23, 24, 25, 26, 28, 30, 31, 32, 32];
const LENGTHS6 = [32, 40, 48, 56, 64, 64, 96, 112, 126, 127, 128, 128];

const linkLocal = ({ name }: DrawnDevice): bigint => (0xfe80n << 112n) | BigInt(0x700 + Number(name.slice(1)));

function parse(text: string): Prefix {
  const [address, length] = text.split("/");
  return { address: parseIp(address)!, length: Number(length) };
}
