/** What the tests of maps that change share: a policy that asks every kind of map, packets for it, changes, and what comes of both. */
import fc from "fast-check";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import type { Engine, RuleCounter } from "../../runtime/engine.ts";
import type { NamedMap } from "../../runtime/maps/map.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { formatIp, type Ip, network } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { Entry } from "../../runtime/verdict.ts";

/** Elements by the names of the maps. */
type Contents = Readonly<Record<string, readonly string[]>>;

export const policy = (contents: Contents = {}): string => {
  const elements = (name: string) =>
    (contents[name] ?? []).length === 0 ? "" : `elements = { ${contents[name].join(", ")} }`;
  return `
  sysctl net.ipv4.ip_forward = 1
  interface a { index 4; address 10.0.0.1/24 }
  interface b { index 5; address 10.0.1.1/24 }
  map blocked {
    type ipv4_addr : verdict
    kind lpm_trie
    ${elements("blocked")}
  }
  map blocked6 {
    type ipv6_addr : verdict
    kind lpm_trie
    ${elements("blocked6")}
  }
  map outlets {
    type inet_service : iface_index
    kind devmap
    size 64
    ${elements("outlets")}
  }
  map classes {
    type mark : mark
    kind array
    size 8
    ${elements("classes")}
  }
  program scrub on xdp a {
    ip saddr vmap @blocked
    ip6 saddr vmap @blocked6
    REDIRECT udp dport map @outlets
  }
  table inet t {
    set hosts { type ipv4_addr; ${elements("hosts")} }
    set nets { type ipv4_addr; flags interval; ${elements("nets")} }
    set pairs { type ipv4_addr . inet_service; flags interval; ${elements("pairs")} }
    map marks { type ipv4_addr : mark; ${elements("marks")} }
    map ports { type inet_service : verdict; ${elements("ports")} }
    map hits { type inet_service : counter; kind counters; size 58 }
    map talkers { type ipv4_addr : counter; ${elements("talkers")} }
    map regions { type ipv4_addr : counter; kind lpm_trie; ${elements("regions")} }
    chain c {
      type filter hook prerouting priority 0;
      ip saddr @hosts counter
      ip saddr != @nets counter
      ip saddr . udp dport @pairs counter
      counter name udp dport map @hits counter
      counter name ip saddr map @talkers counter
      counter name ip saddr map @regions counter
      meta mark set ip saddr map @marks counter
      udp dport vmap @ports
      counter
    }
  }`;
};

export function modelOf(text: string): Model {
  const { model, diagnostics } = checkText(text);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (model === null || errors.length > 0) throw new Error(errors.map(({ message }) => message).join("\n"));
  return model;
}

const host = fc.integer({ min: 0, max: 40 }).map((n) => 0x0a000000 + n * 3);
const port = fc.integer({ min: 50, max: 60 });
const host6 = fc.integer({ min: 0, max: 20 }).map((n) => (0x20010db8n << 96n) | (BigInt(n) << 60n));
export const anyPacket = fc.tuple(fc.oneof(host, host, host6), port);
export type Packet = readonly [source: Ip, port: number];

export function frame([source, dport]: Packet): Uint8Array {
  const payload = Uint8Array.of(0, 99, dport >> 8, dport & 255, 0, 8, 0, 0);
  if (typeof source === "bigint") {
    const addresses = { source, destination: (0x20010db8n << 96n) | 1n };
    const packet = ipv6Packet({ hopLimit: 64, nextHeader: 17, trafficClass: 0, flowLabel: 0, ...addresses }, payload);
    return ethernetFrame({ destination: MAC, source: 0x02aa, type: EtherType.IPV6 }, packet);
  }
  const header = {
    tos: 0,
    identification: 1,
    dontFragment: true,
    ttl: 64,
    protocol: 17,
    source,
    destination: 0x0a000109,
  };
  return ethernetFrame({ destination: MAC, source: 0x02aa, type: EtherType.IPV4 }, ipv4Packet(header, payload));
}

const MAC = modelOf(policy()).nets[0].devices.find(({ ifindex }) => ifindex === 4)!.mac;

/** What becomes of packets, and what the rules count besides `before`. */
export function answers(
  engine: Engine,
  packets: readonly Packet[],
  before: readonly bigint[],
  readCounters: () => readonly RuleCounter[] = () => engine.readCounters(),
) {
  const batch = engine.createBatch(packets.length, 256);
  for (const packet of packets) batch.put(frame(packet), { entry: Entry.RECEIVE, device: 4 });
  engine.process(batch);
  const column = (name: "verdict" | "reason" | "mark" | "outDevice") =>
    Array.from(batch.column(name).subarray(0, batch.count));
  const counters = readCounters().map(({ packets: n }, i) => n - (before[i] ?? 0n));
  const [verdict, reason, mark, outDevice] = [column("verdict"), column("reason"), column("mark"), column("outDevice")];
  return { verdict, reason, mark, outDevice, counters };
}

/** An operation on a map and on its twin: the elements as the text has them. */
export const anyChange = fc.oneof(
  fc.record({ map: fc.constant("hosts"), key: host.map(formatIp), value: fc.constant(undefined) }),
  fc.record({
    map: fc.constant("nets"),
    key: host.map((address) => `${formatIp(address & ~3)}/30`),
    value: fc.constant(undefined),
  }),
  fc.record({
    map: fc.constant("pairs"),
    key: fc.tuple(host, port).map(([a, p]) => `${formatIp(a)}-${formatIp(a + 7)} . ${p}-${p + 3}`),
    value: fc.constant(undefined),
  }),
  fc.record({ map: fc.constant("marks"), key: host.map(formatIp), value: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ map: fc.constant("ports"), key: port.map(String), value: fc.constantFrom("accept", "drop") }),
  fc.record({
    map: fc.constant("blocked"),
    key: fc.tuple(host, fc.constantFrom(8, 24, 29, 30, 32)).map(([a, l]) => {
      const mask = l === 32 ? -1 : ~((1 << (32 - l)) - 1);
      return l === 32 ? formatIp(a) : `${formatIp((a & mask) >>> 0)}/${l}`;
    }),
    value: fc.constantFrom("DROP", "PASS", "TX"),
  }),
  fc.record({
    map: fc.constant("blocked6"),
    key: fc.tuple(host6, fc.constantFrom(0, 32, 64, 65, 67, 68)).map(([a, l]) => `${formatIp(network(a, l))}/${l}`),
    value: fc.constantFrom("DROP", "PASS", "TX"),
  }),
  fc.record({ map: fc.constant("outlets"), key: port.map(String), value: fc.constantFrom("a", "b") }),
  fc.record({ map: fc.constant("talkers"), key: host.map(formatIp), value: fc.constant(undefined) }),
  fc.record({
    map: fc.constant("regions"),
    key: fc.tuple(host, fc.constantFrom(8, 26, 29, 30)).map(([a, l]) => `${formatIp(network(a, l))}/${l}`),
    value: fc.constant(undefined),
  }),
);

const COUNTED = ["hits", "talkers", "regions"];
const CHANGED = ["hosts", "nets", "pairs", "marks", "ports", "blocked", "blocked6", "outlets", "talkers", "regions"];

/** The elements of maps as the text has them. */
export function contentsOf(maps: (name: string) => NamedMap): Contents {
  const text = (name: string, [key, value]: readonly [string, unknown]) =>
    value === null || COUNTED.includes(name)
      ? key
      : `${key} : ${name === "outlets" ? (value === 4 ? "a" : "b") : value}`;
  return Object.fromEntries(
    CHANGED.map((name) => [name, [...maps(name).entries()].map((element) => text(name, element))]),
  );
}

/** The elements of maps of counters. */
export const counted = (maps: (name: string) => NamedMap) =>
  COUNTED.map((name) => [...maps(name).entries()].sort(([a], [b]) => (a < b ? -1 : 1)));
