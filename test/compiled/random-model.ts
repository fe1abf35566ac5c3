/**
 * Random namespaces as models: few devices, few addresses and many routes and rules over them, so that prefixes nest,
 * next hops die and rules collide. Some could never be typed into a kernel; every engine must agree on them all the same.
 */
import fc from "fast-check";
import { EMPTY_NETFILTER } from "../../dsl/chain-model.ts";
import {
  type Address,
  type Device,
  KERNEL_PROFILES,
  type Model,
  type Net,
  type NextHop,
  type Route,
  type Rule,
  type RuleAction,
  Scope,
} from "../../dsl/model.ts";
import { ifIndex, priority, routeId, ruleId, tableId } from "../../runtime/brand.ts";
import { type Family, type Ip, network, type Prefix, parseIp } from "../../runtime/net/ip.ts";
import { ROUTE_TYPES } from "../../runtime/net/route-types.ts";
import { inet_select_addr } from "../../src/reference/devinet.ts";
import { NetNamespace } from "../../src/reference/net.ts";

const ip = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;

/** Addresses of packets, devices, routes and rules alike. */
const ADDRESSES = [
  ip(10, 0, 0, 1),
  ip(10, 0, 0, 7),
  ip(10, 0, 1, 1),
  ip(10, 0, 1, 7),
  ip(10, 0, 2, 7),
  ip(10, 0, 0, 255),
  ip(172, 16, 0, 1),
  ip(192, 168, 0, 9),
  ip(127, 0, 0, 1),
  ip(127, 0, 0, 9),
  ip(224, 0, 0, 1),
  ip(224, 0, 0, 5),
  ip(239, 1, 1, 1),
  ip(255, 255, 255, 255),
  ip(0, 0, 0, 0),
  ip(0, 0, 0, 5),
  ip(240, 0, 0, 1),
];
const ip6 = (text: string): Ip => parseIp(text)!;
/** Likewise of IPv6. */
const ADDRESSES6 = [
  ...["2001:db8::1", "2001:db8::7", "2001:db8:0:1::1", "2001:db8:0:1::7", "2001:db8:0:2::7", "fd00::9", "2002::5"],
  ...["fe80::1", "fe80::7", "ff02::1", "ff02::5", "ff05::2", "ff0e::9", "::1", "::", "fec0::1", "2001:10::1"],
].map(ip6);
const UNICAST6 = ADDRESSES6.slice(0, 7);

/** Those that unicast packets go to; drawn more often. */
export const UNICAST = ADDRESSES.slice(0, 8);

export const anyAddress = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...UNICAST) },
  { weight: 1, arbitrary: fc.constantFrom(...ADDRESSES) },
);
export const anyAddress6 = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...UNICAST6) },
  { weight: 2, arbitrary: fc.constantFrom(...ADDRESSES6) },
);
const often = (probable: boolean) => fc.integer({ min: 0, max: 11 }).map((n) => (n === 0) !== probable);
/** A value once in `odds`, else null. */
const orNull = <T>(value: fc.Arbitrary<T>, odds = 4) =>
  fc.oneof({ weight: odds - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: value });
const IPV6_GATEWAY = 0xfe80_0000_0000_0000_0000_0000_0000_0007n;

const TABLES = [255, 254, 253, 10, 20, 77];
/** lo, two VRFs, two slaves of the first, one of the second, two of none, one with a far index. */
const DEVICES = [
  { ifindex: 1, name: "lo", kind: "loopback", master: 0, table: 0 },
  { ifindex: 2, name: "red", kind: "vrf", master: 0, table: 10 },
  { ifindex: 3, name: "blue", kind: "vrf", master: 0, table: 20 },
  { ifindex: 4, name: "a", kind: "veth", master: 2, table: 0 },
  { ifindex: 5, name: "b", kind: "veth", master: 2, table: 0 },
  { ifindex: 6, name: "c", kind: "veth", master: 3, table: 0 },
  { ifindex: 7, name: "d", kind: "veth", master: 0, table: 0 },
  { ifindex: 1000, name: "e", kind: "dummy", master: 0, table: 0 },
] as const;
export const IFINDEXES = DEVICES.map(({ ifindex }) => ifindex);
export const macOf = (ifindex: number): number => (ifindex === 1 ? 0 : 0x020000000000 + ifindex);
const anyIfindex = fc.constantFrom(...IFINDEXES);

const anyPrefix = fc
  .tuple(fc.constantFrom(...UNICAST, ...UNICAST, ...ADDRESSES), fc.constantFrom(0, 0, 3, 8, 16, 23, 24, 24, 31, 32, 32))
  .map(([address, length]) => ({ address: network(address, length), length }));

const anyPrefix6: fc.Arbitrary<Prefix> = fc
  .tuple(
    fc.constantFrom(...UNICAST6, ...UNICAST6, ...ADDRESSES6),
    fc.constantFrom(0, 0, 3, 10, 16, 48, 64, 64, 64, 120, 127, 128, 128),
  )
  .map(([address, length]) => ({ address: network(address, length), length }));

const anyConf = fc.record({
  forwarding4: often(true),
  forwarding6: often(true),
  rpFilter: fc.constantFrom(0, 0, 0, 1, 2),
  acceptLocal: often(false),
  routeLocalnet: often(false),
  bcForwarding: often(false),
  sendRedirects: fc.boolean(),
  ignoreRoutesWithLinkdown: fc.constant(false),
  dropUnicastInL2Multicast: often(false),
  dropUnicastInL2Multicast6: often(false),
  disableIpv6: fc.constant(false),
}) as fc.Arbitrary<Device["conf"]>;

const anyOwnAddress: fc.Arbitrary<Address> = fc
  .record({
    prefix: fc.record({ address: fc.constantFrom<Ip>(...UNICAST), length: fc.constantFrom(24, 24, 32, 8) }),
    scope: fc.constantFrom(Scope.UNIVERSE, Scope.UNIVERSE, Scope.LINK, Scope.HOST),
    secondary: often(false),
  })
  .map((address) => ({ ...address, peer: address.prefix.address, origin: {} }));

/** As many as scopes can be confused by. */
const anyOwnAddress6: fc.Arbitrary<Address> = fc
  .record({
    address: fc.constantFrom(
      ...UNICAST6,
      ip6("fe80::1"),
      ip6("fe80::7"),
      ip6("::1"),
      ip6("fec0::1"),
      ip6("2001:10::1"),
    ),
    length: fc.constantFrom(64, 64, 128, 10),
  })
  .map(({ address, length }) => ({
    prefix: { address, length },
    scope: Scope.UNIVERSE,
    secondary: false,
    peer: address,
    origin: {},
  }));

const anyDevices: fc.Arbitrary<Device[]> = fc.tuple(
  ...DEVICES.map((device) =>
    fc
      .record({
        up: often(true),
        mtu: fc.constantFrom(1500, 1500, 68, 120, 65536),
        group: fc.constantFrom(0, 0, 1),
        qdiscDefault: often(true),
        addresses: fc
          .tuple(fc.array(anyOwnAddress, { maxLength: 2 }), fc.array(anyOwnAddress6, { maxLength: 3 }))
          .map((lists) => lists.flat()),
        conf: anyConf,
      })
      .map((drawn) => ({ ...device, ...drawn, mac: macOf(device.ifindex), peer: null, origin: {} })),
  ),
) as unknown as fc.Arbitrary<Device[]>;

const anyHop = fc.record({
  device: anyIfindex,
  gateway: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 4, arbitrary: fc.constantFrom<Ip>(...UNICAST) },
    { weight: 1, arbitrary: fc.constant<Ip>(IPV6_GATEWAY) },
  ),
  weight: fc.integer({ min: 1, max: 5 }),
  onlink: fc.constant(false),
  scope: fc.constantFrom(Scope.LINK, Scope.LINK, Scope.HOST, Scope.UNIVERSE),
  dead: often(false),
});

const REFUSING = ["blackhole", "unreachable", "prohibit", "throw"];
const anyRoute = fc
  .record({
    table: fc.constantFrom(...TABLES),
    prefix: anyPrefix,
    type: fc.constantFrom(
      ...Array(12).fill("unicast"),
      "local",
      "local",
      "local",
      "broadcast",
      ...ROUTE_TYPES.slice(1),
    ),
    tos: fc.constantFrom(0, 0, 0, 0x10, 0x08),
    metric: fc.constantFrom(0, 100),
    scope: fc.constantFrom(Scope.UNIVERSE, Scope.LINK, Scope.HOST),
    prefsrc: orNull(fc.constantFrom<Ip>(...UNICAST)),
    nexthops: fc.oneof(
      { weight: 4, arbitrary: fc.array(anyHop, { minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: fc.array(anyHop, { minLength: 2, maxLength: 4 }) },
    ),
    mtu: orNull(fc.constantFrom(100, 1400), 6),
    kernel: often(true),
  })
  .map(({ kernel, nexthops, ...route }) => ({
    ...route,
    family: 4,
    protocol: "boot",
    origin: kernel ? { kernel: "drawn" } : {},
    nexthops: REFUSING.includes(route.type) ? [] : nexthops,
  })) as unknown as fc.Arbitrary<Omit<Route, "id">>;

/** Many of one prefix and metric, so that there are siblings. */
const anyRoute6 = fc
  .record({
    table: fc.constantFrom(...TABLES),
    prefix: anyPrefix6,
    type: fc.constantFrom(
      ...Array(14).fill("unicast"),
      ...["local", "local", "local", "anycast"],
      ...ROUTE_TYPES.slice(1),
    ),
    metric: fc.constantFrom(256, 1024, 1024),
    prefsrc: orNull(fc.constantFrom<Ip>(...UNICAST6)),
    nexthops: fc.array(
      fc.record({
        device: anyIfindex,
        gateway: orNull(fc.constantFrom<Ip>(...UNICAST6, ip6("fe80::1"), ip6("fe80::7")), 2),
        weight: fc.integer({ min: 1, max: 5 }),
        onlink: fc.constant(false),
        scope: fc.constant(Scope.UNIVERSE),
        dead: often(false),
        source: fc.constant(0n),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    mtu: orNull(fc.constantFrom(1280, 1400), 6),
    kernel: often(true),
  })
  .map(({ kernel, nexthops, ...route }) => ({
    ...route,
    family: 6,
    tos: 0,
    scope: Scope.UNIVERSE,
    protocol: "boot",
    origin: kernel ? { kernel: "drawn" } : {},
    nexthops: REFUSING.includes(route.type) ? [] : nexthops,
  })) as unknown as fc.Arbitrary<Omit<Route, "id">>;

/** Some of the routes that addresses bring with them, so that there is a way through. */
const connected = (table: number, address: number, length: number, type: string, device: number) => ({
  ...{
    table,
    prefix: { address, length },
    type,
    family: 4,
    tos: 0,
    metric: 0,
    protocol: "kernel",
    prefsrc: null,
    mtu: null,
  },
  scope: type === "local" ? Scope.HOST : Scope.LINK,
  origin: { kernel: "connected" },
  nexthops: [{ device, gateway: null, weight: 1, onlink: false, scope: Scope.HOST, dead: false }],
});
const connected6 = (table: number, address: Ip, length: number, type: string, device: number) => ({
  ...connected(table, 0, length, type, device),
  prefix: { address, length },
  family: 6,
  metric: 256,
  nexthops: [{ device, gateway: null, weight: 1, onlink: false, scope: Scope.UNIVERSE, dead: false, source: 0n }],
});
const anyConnected = fc.subarray([
  connected(10, ip(10, 0, 0, 0), 24, "unicast", 4),
  connected(10, ip(10, 0, 0, 1), 32, "local", 4),
  connected(10, ip(10, 0, 1, 0), 24, "unicast", 5),
  connected(10, ip(10, 0, 1, 1), 32, "local", 2),
  connected(20, ip(10, 0, 2, 0), 24, "unicast", 6),
  connected(254, ip(192, 168, 0, 0), 24, "unicast", 7),
  connected(254, ip(10, 0, 0, 0), 16, "unicast", 2),
  connected(10, ip(172, 16, 0, 0), 16, "unicast", 3),
  connected(20, ip(192, 168, 0, 0), 24, "unicast", 1),
  connected(255, ip(127, 0, 0, 0), 8, "local", 1),
  connected6(10, ip6("2001:db8::"), 64, "unicast", 4),
  connected6(10, ip6("2001:db8::1"), 128, "local", 4),
  connected6(10, ip6("2001:db8:0:1::"), 64, "unicast", 5),
  connected6(20, ip6("2001:db8:0:2::"), 64, "unicast", 6),
  connected6(254, ip6("fd00::"), 64, "unicast", 7),
  connected6(10, ip6("fe80::"), 64, "unicast", 4),
  connected6(10, ip6("fe80::"), 64, "unicast", 5),
  connected6(254, ip6("fe80::"), 64, "unicast", 7),
  connected6(10, ip6("ff00::"), 8, "multicast", 4),
  connected6(10, ip6("ff00::"), 8, "multicast", 5),
  connected6(255, ip6("::1"), 128, "local", 1),
]) as unknown as fc.Arbitrary<Omit<Route, "id">[]>;

const anyRange = fc
  .tuple(fc.constantFrom(0, 7, 8, 53, 2048), fc.constantFrom(0, 1, 1000, 65535))
  .map(([first, span]) => ({ first, last: Math.min(first + span, 65535) }));
const anyRuleDevice = fc.constantFrom(...IFINDEXES, -1).map((ifindex) => ({ name: `if${ifindex}`, ifindex }));
/** The rule's action before targets are known: a goto to one of the rules behind it. */
type DrawnAction =
  | { readonly kind: "lookup"; readonly table: number }
  | { readonly kind: "goto"; readonly ahead: number }
  | { readonly kind: "nop" | "blackhole" | "unreachable" | "prohibit" };
const anyAction: fc.Arbitrary<DrawnAction> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...TABLES).map((table) => ({ kind: "lookup" as const, table })) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 4 }).map((ahead) => ({ kind: "goto" as const, ahead })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("nop", "blackhole", "unreachable", "prohibit").map((kind) => ({ kind }) as DrawnAction),
  },
);

const anyRule = (anyPrefix: fc.Arbitrary<Prefix>) =>
  fc.record({
    pref: fc.constantFrom(5, 500, 900, 1000, 2000, 32766, 40000),
    not: often(false),
    from: orNull(anyPrefix),
    to: orNull(anyPrefix),
    iif: orNull(anyRuleDevice),
    oif: orNull(anyRuleDevice, 8),
    fwmark: orNull(fc.record({ mark: fc.constantFrom(0, 1, 2), mask: fc.constantFrom(1, 3, 0xffffffff) }), 8),
    tos: fc.constantFrom(0, 0, 0, 0x10),
    ipproto: fc.constantFrom(0, 0, 0, 1, 17),
    sport: orNull(anyRange, 8),
    dport: orNull(anyRange, 8),
    uidrange: orNull(anyRange, 8),
    l3mdev: often(false),
    suppressPrefixLength: fc.constantFrom(-1, -1, -1, 0, 8, 24),
    suppressIfGroup: fc.constantFrom(-1, -1, -1, 0, 1),
    action: anyAction,
    kernel: fc.constant(false),
  });
type DrawnRule = ReturnType<typeof anyRule> extends fc.Arbitrary<infer T> ? T : never;

const plain = {
  not: false,
  from: null,
  to: null,
  iif: null,
  oif: null,
  fwmark: null,
  tos: 0,
  ipproto: 0,
  sport: null,
  dport: null,
  uidrange: null,
  l3mdev: false,
  suppressPrefixLength: -1,
  suppressIfGroup: -1,
  kernel: true,
};
/** What every namespace with a VRF starts with. */
const KERNEL_RULES = [
  { ...plain, pref: 0, action: { kind: "lookup", table: 255 } },
  { ...plain, pref: 1000, l3mdev: true, action: { kind: "lookup", table: 0 } },
  { ...plain, pref: 32766, action: { kind: "lookup", table: 254 } },
  { ...plain, pref: 32767, action: { kind: "lookup", table: 253 } },
] as const;

/** Of IPv6, while there is no VRF. */
const KERNEL_RULES6 = [KERNEL_RULES[0], KERNEL_RULES[2]] as const;

/** Rules by preference, in insertion order among equals; gotos only ahead; table 0 stands for the VRF's. */
function finishRules(family: Family, first: number, kernels: readonly unknown[], drawn: readonly DrawnRule[]): Rule[] {
  const sorted = [...(kernels as DrawnRule[]), ...drawn].sort((a, b) => a.pref - b.pref);
  return sorted.map(({ kernel, action, ...rule }, i) => ({
    ...rule,
    id: ruleId(first + i),
    family,
    protocol: "boot",
    origin: kernel ? { kernel: "drawn" } : {},
    action: finishAction(action, i, first, sorted),
  })) as Rule[];
}

function finishAction(
  action: DrawnAction,
  i: number,
  first: number,
  sorted: readonly { pref: number; l3mdev: boolean }[],
): RuleAction {
  if (action.kind === "lookup") return { kind: "lookup", table: sorted[i].l3mdev ? null : tableId(action.table) };
  if (action.kind !== "goto") return action;
  const target = i + action.ahead;
  if (action.ahead === 0 || target >= sorted.length) return { kind: "goto", pref: priority(99999), target: null };
  return { kind: "goto", pref: priority(sorted[target].pref), target: ruleId(first + target) };
}

/** Within a prefix: TOS descending, then metric ascending, then as drawn. Sources are what the kernel would choose. */
function finishRoutes(drawn: readonly Omit<Route, "id">[], net: Net, kernel: Model["kernel"]): Route[] {
  const namespace = new NetNamespace(net, kernel);
  const sourceOf = (hop: NextHop, scope: number) => {
    const gateway =
      hop.gateway === null ? 0 : typeof hop.gateway === "number" ? hop.gateway : Number(hop.gateway >> 96n);
    return inet_select_addr(namespace, namespace.dev_get_by_index(hop.device)!, gateway, scope);
  };
  return [...drawn]
    .sort((a, b) => b.tos - a.tos || a.metric - b.metric)
    .map((route, id) => ({
      ...route,
      id: routeId(id),
      nexthops: route.nexthops.map((hop) => ({ ...hop, source: route.family === 4 ? sourceOf(hop, route.scope) : 0n })),
    }));
}

const anyNeighbours = fc.array(
  fc.record({
    address: fc.constantFrom<Ip>(...UNICAST, IPV6_GATEWAY),
    mac: fc.constantFrom(0x020000000707, 0x02aabbccddee),
    device: anyIfindex.map(ifIndex),
    origin: fc.constant({}),
  }),
  { maxLength: 12, size: "max" },
);

const SYSCTL = {
  ipv6Forwarding: true,
  tcpL3mdevAccept: false,
  udpL3mdevAccept: false,
  rawL3mdevAccept: true,
  vrfStrictMode: false,
  ipDefaultTtl: 64,
  icmpEchoIgnoreAll: false,
  icmpEchoIgnoreBroadcasts: true,
  icmpErrorsUseInboundIfaddr: false,
  ipForwardUsePmtu: false,
};

const anyHashPolicy = fc.constantFrom(0, 1, 2, 3) as fc.Arbitrary<0 | 1 | 2 | 3>;

/** A model of `nets` namespaces, all of one kernel, with up to so many rules of each family besides the kernel's. */
export const anyModel = (nets = 1, mostRules = 5): fc.Arbitrary<Model> =>
  fc
    .record({
      kernel: fc.constantFrom(...KERNEL_PROFILES, "6.1" as const),
      nets: fc.array(
        fc.record({
          devices: anyDevices,
          routes: fc
            .tuple(
              anyConnected,
              fc.array(anyRoute, { maxLength: 30, size: "max" }),
              fc.array(anyRoute6, { maxLength: 30, size: "max" }),
            )
            .map((lists) => lists.flat()),
          rules: fc.array(anyRule(anyPrefix), { maxLength: mostRules, size: "max" }),
          rules6: fc.option(fc.array(anyRule(anyPrefix6), { maxLength: mostRules, size: "max" }), { freq: 8 }),
          neighbours: anyNeighbours,
          fibMultipathHashPolicy: anyHashPolicy,
          fibMultipathHashPolicy6: anyHashPolicy,
        }),
        { minLength: nets, maxLength: nets },
      ),
    })
    .map(({ kernel, nets: drawn }) => ({
      source: { name: "drawn", text: "" },
      kernel,
      tests: [],
      nets: drawn.map(({ devices, routes, rules, rules6, neighbours, ...policies }, index): Net => {
        const rules4 = finishRules(4, 0, KERNEL_RULES, rules);
        const kernels6 = rules6 === null ? KERNEL_RULES6 : KERNEL_RULES;
        const net: Net = {
          name: `net${index}`,
          index,
          devices,
          routes: [],
          columns: [],
          rules: [...rules4, ...finishRules(6, rules4.length, kernels6, rules6 ?? [])],
          tableNames: new Map(),
          neighbours,
          sysctl: { ...SYSCTL, ...policies },
          netfilter: EMPTY_NETFILTER,
        };
        return { ...net, routes: finishRoutes(routes, net, kernel) };
      }),
    }));
