/** Networks and route commands drawn at random, as shell scripts: the importer says what they come to, and which are refused. */
import fc from "fast-check";

/** Two VRFs of two interfaces each, one interface outside, main and table 100 with routes of their own. */
export const SETUP = `
sysctl -w net.ipv4.ip_forward=1
ip link add red type vrf table 10
ip link add blue type vrf table 20
ip link set red up
ip link set blue up
ip link add r1 type dummy
ip link add r2 type dummy
ip link add b1 type dummy
ip link add m1 type dummy
ip link add down type dummy
ip link set r1 master red
ip link set r2 master red
ip link set b1 master blue
ip addr add 10.0.1.1/24 dev r1
ip addr add 10.0.2.1/24 dev r2
ip addr add 10.0.2.9/24 dev r2
ip addr add 10.0.1.1/24 dev b1
ip addr add 192.168.0.1/24 dev m1
ip link set r1 up
ip link set r2 up
ip link set b1 up
ip link set m1 up
ip neigh add 10.0.1.7 lladdr 02:00:00:00:01:07 dev r1
ip neigh add 10.0.2.7 lladdr 02:00:00:00:02:07 dev r2
ip neigh add 192.168.0.7 lladdr 02:00:00:00:03:07 dev m1
ip neigh add 192.168.0.8 lladdr 02:00:00:00:03:08 dev m1
ip route add 10.9.0.0/16 via 192.168.0.7
ip route add default via 10.0.1.7 dev r1 table 10
ip route add blackhole 10.7.0.0/16 table 20
ip route add 10.8.0.0/16 via 192.168.0.8 table 100
ip rule add fwmark 1 lookup 100
`;

const prefix = fc.oneof(
  fc.constantFrom(
    "default",
    "10.0.0.0/8",
    "10.9.0.0/16",
    "10.9.1.0/24",
    "10.9.1.128/25",
    "10.9.1.200/32",
    "10.7.0.0/16",
  ),
  fc.constantFrom("10.8.0.0/16", "10.8.8.0/22", "10.0.3.0/24", "128.0.0.0/1", "10.9.1.1", "172.16.0.0/12"),
);
const table = fc.constantFrom("", " table 10", " table 10", " vrf red", " table 20", " table 100", " table main");
const hop = fc.constantFrom(
  " via 10.0.1.7",
  " via 10.0.1.7 dev r1",
  " via 10.0.2.7",
  " via 10.0.2.7 dev r2",
  " dev r1",
  " dev r2 scope link",
  " dev m1",
  " via 192.168.0.7",
  " via 192.168.0.8 dev m1",
  " via 172.31.0.1 dev m1 onlink",
  " via 10.0.1.8 dev b1",
  " nexthop via 10.0.1.7 weight 1 nexthop via 10.0.2.7 weight 3",
  " nexthop via 192.168.0.7 dev m1 nexthop dev b1",
  " via 10.77.0.1",
  " via 10.0.1.7 dev m1",
  " dev down",
  " dev nowhere",
);
const extras = fc.constantFrom(
  "",
  "",
  "",
  " metric 10",
  " metric 20",
  " tos 0x10",
  " src 10.0.2.9",
  " src 10.0.1.1",
  " mtu 1400",
  " proto static",
);
/** The parts that commands are drawn from; each begins with a space, or is empty. */
interface Words {
  readonly verbs: readonly string[];
  readonly prefix: fc.Arbitrary<string>;
  readonly table: fc.Arbitrary<string>;
  readonly hop: fc.Arbitrary<string>;
  readonly extras: fc.Arbitrary<string>;
  /** What `del` says of the next hop, and behind the table. */
  readonly deleted: readonly [fc.Arbitrary<string>, fc.Arbitrary<string>];
}

const type = fc.constantFrom("blackhole ", "unreachable ", "prohibit ", "throw ");

/** @returns lists of up to so many commands: words behind `ip route`. */
export function drawn({
  verbs,
  prefix,
  table,
  hop,
  extras,
  deleted,
}: Words): (count: number) => fc.Arbitrary<string[]> {
  const insert = fc
    .tuple(
      fc.constantFrom(...verbs),
      fc.oneof(
        { weight: 5, arbitrary: fc.tuple(fc.constant(""), prefix, hop) },
        { weight: 1, arbitrary: fc.tuple(type, prefix, fc.constant("")) },
      ),
      table,
      extras,
    )
    // iproute2 takes nothing behind a list of next hops.
    .map(([verb, [kind, to, via], where, more]) => `${verb} ${kind}${to}${where}${more}${via}`);
  const [deletedHop, deletedExtras] = deleted;
  const remove = fc
    .tuple(prefix, deletedHop, table, deletedExtras)
    .map(([to, via, where, more]) => `del ${to}${via}${where}${more}`);
  const command = fc.oneof({ weight: 3, arbitrary: insert }, { weight: 1, arbitrary: remove });
  return (count) => fc.array(command, { minLength: 1, maxLength: count, size: "max" });
}

export const commands = drawn({
  verbs: ["add", "add", "replace", "replace", "append", "prepend", "change"],
  ...{ prefix, table, hop, extras },
  deleted: [
    fc.oneof(
      fc.constant(""),
      fc.constant(""),
      hop.filter((h) => !h.includes("nexthop")),
    ),
    fc.constantFrom("", "", " metric 10", " tos 0x10"),
  ],
});
