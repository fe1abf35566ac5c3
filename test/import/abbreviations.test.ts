/** iproute2 takes any prefix of most words: the short way and the long way must mean the same. */
import { describe, expect, it } from "vitest";
import { findings, printed } from "./helpers.ts";

const SETUP = `ip link add red type vrf table 10
ip link set dev red up
ip link add d0 type dummy
ip link set dev d0 master red
ip link set dev d0 up
ip address add 10.0.0.1/24 dev d0
ip netns add ns0
`;

const PAIRS: readonly (readonly [short: string, long: string])[] = [
  ["ip l a d1 type dummy", "ip link add d1 type dummy"],
  ["ip l a dev d1 up type dummy", "ip link add d1 type dummy\nip link set d1 up"],
  ["ip li ad name d1 mtu 1400 type dummy", "ip link add d1 mtu 1400 type dummy"],
  ["ip l a v0 type veth peer v1", "ip link add v0 type veth peer name v1"],
  ["ip l s d0 down", "ip link set dev d0 down"],
  ["ip l s d0 nom", "ip link set dev d0 nomaster"],
  ["ip l s d0 addr 02:00:00:00:00:01", "ip link set dev d0 address 02:00:00:00:00:01"],
  ["ip l d d0", "ip link delete dev d0"],
  ["ip l s d0 vrf red", "ip link set dev d0 master red"],
  ["ip a a 1.1.1.1/32 dev red", "ip address add 1.1.1.1/32 dev red"],
  ["ip a a dev red 1.1.1.1", "ip addr add local 1.1.1.1/32 dev red"],
  ["ip a a 10.0.0.2/24 brd + dev d0", "ip address add 10.0.0.2/24 dev d0"],
  ["ip a a 10.0.0.2/24 pref 5 dev d0", "ip address add 10.0.0.2/24 metric 5 dev d0"],
  ["ip a d 10.0.0.1/24 dev d0", "ip address delete 10.0.0.1/24 dev d0"],
  ["ip a f d0", "ip address flush dev d0"],
  ["ip a f dev d0 to 10.0.0.0/8", "ip address flush dev d0"],
  ["ip r a 10.1.0.0/16 via 10.0.0.2 vr red", "ip route add 10.1.0.0/16 via 10.0.0.2 vrf red"],
  ["ip ro a to 10.1.0.0/16 via inet 10.0.0.2 t 10 pri 7", "ip route add 10.1.0.0/16 via 10.0.0.2 table 10 metric 7"],
  ["ip r a 10.1/16 via 10.0.0.2 v red", "ip route add 10.1.0.0/16 via 10.0.0.2 vrf red"],
  ["ip r a default oif d0 ta 10 ds 10", "ip route add default dev d0 table 10 tos 0x10"],
  [
    "ip r a vrf red unreachable default metric 4278198272",
    "ip route add unreachable default vrf red metric 4278198272",
  ],
  ["ip r a unreachable to 10.9.0.0/16", "ip route add unreachable 10.9.0.0/16"],
  ["ip r r 10.1.0.0/16 dev d0 t 10", "ip route replace 10.1.0.0/16 dev d0 table 10"],
  ["ip r a 10.1.0.0/16 dev d0\nip r d 10.1.0.0/16", ""],
  ["ip r a 10.1.0.0/16 dev d0\nip r f t main", ""],
  ["ip -6 r a default dev d0", "ip -family inet6 route add default dev d0"],
  ["ip -f inet6 r a unreachable default", "ip -6 route add unreachable default"],
  ["ip ru a from 10.0.0.0/8 ta 10 pri 5", "ip rule add from 10.0.0.0/8 lookup 10 preference 5"],
  [
    "ip rule add order 5 to 10.0.0.0/8 sup_pl 0",
    "ip rule add pref 5 to 10.0.0.0/8 lookup main suppress_prefixlength 0",
  ],
  ["ip ru a p 5 dev d0 prohibit", "ip rule add pref 5 iif d0 type prohibit"],
  ["ip ru d p 0", "ip rule delete preference 0"],
  [
    "ip n a 10.0.0.2 lladdr 2:0:0:0:0:1 dev d0",
    "ip neighbour add to 10.0.0.2 lladdr 02:00:00:00:00:01 dev d0 nud permanent",
  ],
  ["ip nei r 10.0.0.2 ll 2:0:0:0:0:1 dev d0", "ip neighbor replace 10.0.0.2 lladdr 02:00:00:00:00:01 dev d0"],
  ["ip nex a id 7 via 10.0.0.2 dev d0", "ip nexthop add id 7 via 10.0.0.2 dev d0"],
  ["ip net a x", "ip netns add x"],
  ["ip netn del ns0", "ip netns delete ns0"],
  ["ip -n ns0 l s lo up", "ip netns exec ns0 ip link set dev lo up"],
  ["ip -net ns0 l s lo up", "ip -netns ns0 link set lo up"],
  ["ip -o -d -br -n ns0 l s lo up", "ip -n ns0 link set lo up"],
  ["sudo -E /sbin/ip l s d0 down", "ip link set d0 down"],
  [
    "ip netns exec ns0 sysctl -qw net.ipv4.ip_forward=1",
    "ip netns exec ns0 sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
  ],
  ["sysctl net/ipv4/conf/d0/rp_filter=2", "echo 2 | sudo tee /proc/sys/net/ipv4/conf/d0/rp_filter"],
  ["ip -b - <<X\nlink add d1 type dummy\nlink set d1 up\nX", "ip link add d1 type dummy\nip link set d1 up"],
  ["ip -batch - <<'X'\n# more\naddr add 1.1.1.1/32 dev red\nX", "ip addr add 1.1.1.1/32 dev red"],
  ["ifconfig d0 10.0.0.7 netmask 255.255.255.0", "ip addr del 10.0.0.1/24 dev d0\nip addr add 10.0.0.7/24 dev d0"],
  ["ifconfig d0:1 10.5.0.7/16", "ip addr add 10.5.0.7/16 dev d0"],
  ["ifconfig d0 inet6 add 2001:db8::1/64 mtu 1400", "ip addr add 2001:db8::1/64 dev d0\nip link set d0 mtu 1400"],
  ["ifconfig d0 down", "ip link set d0 down"],
  ["tc q add dev red root handle 1: pfifo", "tc qdisc add dev red root pfifo"],
  [
    'echo "100 blue" >> /etc/iproute2/rt_tables\nip r a unreachable default table blue',
    "ip route add unreachable default table 100",
  ],
];

describe("abbreviations", () => {
  it.each(PAIRS)("%s", (short, long) => {
    expect(findings(SETUP + short)).toEqual([]);
    expect(printed(SETUP + short)).toBe(printed(SETUP + long));
  });

  it("are refused where iproute2 wants the whole word", () => {
    expect(findings(`${SETUP}ip link set d0 mt 1400\nip route add 10.0.0.0/8 de d0`)).toEqual([
      'E0501 8: Error: either "dev" is duplicate, or "mt" is a garbage.',
      'E0501 9: Error: either "to" is duplicate, or "de" is a garbage.',
    ]);
  });
});
