/**
 * forwarding/router.sh and forwarding/router_broadcast.sh: packets that look odd and must be forwarded all the same, and
 * directed broadcasts with bc_forwarding off and on.
 *
 *   w1 ---- p1 192.0.2.1/24     [ r ]  p2 198.51.100.1/24 ---- w2        2001:db8:1::1/64, 2001:db8:2::1/64
 *                                      p3 198.51.200.1/24 ---- w3
 *
 * The hosts of the scripts are VRFs of the same machine; here frames are sent and received on bare wires, and the hosts'
 * MACs are known. What a script checks by a reply of a host is checked by the frame that reaches the host.
 */
import { type Command, frame, type Script, type SelfTest } from "../selftest.ts";
import { echoFrame, type Sent, udpFrame } from "./frames.ts";

const HOST_MAC = "02:00:00:00:00:99";
const mac = (n: number): string => `02:00:00:00:00:1${n}`;
const BROADCAST = "ff:ff:ff:ff:ff:ff";

const port = (n: number, subnet: string): Command[] => [
  `ip link add w${n} type veth peer name p${n} address ${mac(n)} netns r`,
  `ip link set dev w${n} up`,
  `ip -n r link set dev p${n} up`,
  `ip -n r addr add ${subnet}.1/24 dev p${n}`,
  `ip -n r -6 addr add 2001:db8:${n}::1/64 dev p${n} nodad`,
  `ip -n r neigh add ${subnet}.2 lladdr ${HOST_MAC} nud permanent dev p${n}`,
  `ip -n r neigh add 2001:db8:${n}::2 lladdr ${HOST_MAC} nud permanent dev p${n}`,
];

const ROUTER: readonly Command[] = [
  "ip netns add r",
  "ip netns exec r sysctl -qw net.ipv6.conf.default.accept_dad=0",
  ...port(1, "192.0.2"),
  ...port(2, "198.51.100"),
  ...port(3, "198.51.200"),
  "ip netns exec r sysctl -qw net.ipv4.ip_forward=1",
  "ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1",
];

const fromH1 = (from: string, to: string): Sent => ({ port: "w1", from, to, mac: mac(1) });
const udp = (from: string, to: string): string => `udp ${from}:54321 > ${to}:12345 ttl 63 length 8`;
const udp6 = (from: string, to: string): string => `udp [${from}]:54321 > [${to}]:12345 hlim 63 length 8`;

const edges: SelfTest = {
  group: "ALL_TESTS",
  name: "edge packets",
  setup: [
    ...ROUTER,
    "ip netns exec r sysctl -qw net.ipv4.conf.all.rp_filter=0",
    "ip netns exec r sysctl -qw net.ipv4.conf.p1.rp_filter=0",
    "ip -n r neigh add 169.254.1.1 lladdr 00:11:22:33:44:55 nud permanent dev p2",
    "ip -n r route add 169.254.1.0/24 dev p2",
  ],
  asks: [
    frame(
      "ping_ipv4: forwarded",
      udpFrame(fromH1("192.0.2.2", "198.51.100.2")),
      `w2: ${udp("192.0.2.2", "198.51.100.2")}`,
    ),
    frame("sip_in_class_e", udpFrame(fromH1("240.0.0.1", "198.51.100.2")), `w2: ${udp("240.0.0.1", "198.51.100.2")}`),
    frame(
      "ipv4_sip_equal_dip",
      udpFrame(fromH1("198.51.100.2", "198.51.100.2")),
      `w2: ${udp("198.51.100.2", "198.51.100.2")}`,
    ),
    frame(
      "ipv4_dip_link_local",
      udpFrame(fromH1("192.0.2.2", "169.254.1.1")),
      `w2: ${udp("192.0.2.2", "169.254.1.1")}`,
    ),
    frame(
      "ping_ipv6: forwarded",
      udpFrame(fromH1("2001:db8:1::2", "2001:db8:2::2")),
      `w2: ${udp6("2001:db8:1::2", "2001:db8:2::2")}`,
    ),
    frame(
      "ipv6_sip_equal_dip",
      udpFrame(fromH1("2001:db8:2::2", "2001:db8:2::2")),
      `w2: ${udp6("2001:db8:2::2", "2001:db8:2::2")}`,
    ),
  ],
};

const ANSWER_BROADCASTS = "ip netns exec r sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0";
const bcForwarding = (on: 0 | 1): Command[] =>
  ["all", "p1", "p2"].map((dev) => `ip netns exec r sysctl -qw net.ipv4.conf.${dev}.bc_forwarding=${on}`);

const H1 = { port: "w1", from: "192.0.2.2", router: "192.0.2.1", mac: mac(1) };
const H2 = { port: "w2", from: "198.51.100.2", router: "198.51.100.1", mac: mac(2) };
const echo = ({ port, from, mac }: typeof H1, to: string) =>
  echoFrame({ port, from, to, mac: to === "255.255.255.255" ? BROADCAST : mac });
const replies = ({ port, router, from }: typeof H1): string =>
  `${port}: icmp echo reply ${router} > ${from} ttl 64 id 1 seq 1`;
const forwarded = ({ from }: typeof H1, to: string, port: string): string =>
  `${port}: icmp echo request ${from} > ${to} ttl 63 id 1 seq 1`;

/** The router does not answer: it forwards out of the device that the packet came in by, and says so. */
const sentBack = (host: typeof H1, to: string): string => {
  const { port, router, from } = host;
  const request = `icmp echo request ${from} > ${to} ttl 63 id 1 seq 1`;
  return `${forwarded(host, to, port)}, ${port}: icmp redirect for the host ${router} > ${from} ttl 64 (for ${request})`;
};

const broadcasts: SelfTest[] = [
  {
    group: "ping_ipv4",
    name: "bc_forwarding off",
    setup: [...ROUTER, ANSWER_BROADCASTS, ...bcForwarding(0)],
    asks: [
      ...["198.51.100.255", "198.51.200.255", "192.0.2.255", "255.255.255.255"].map((to) =>
        frame(`h1 > ${to}`, echo(H1, to), replies(H1)),
      ),
      ...["192.0.2.255", "198.51.200.255", "198.51.100.255", "255.255.255.255"].map((to) =>
        frame(`h2 > ${to}`, echo(H2, to), replies(H2)),
      ),
    ],
  },
  {
    group: "ping_ipv4",
    name: "bc_forwarding on",
    setup: [...ROUTER, ANSWER_BROADCASTS, ...bcForwarding(1)],
    asks: [
      frame("h1 > net2", echo(H1, "198.51.100.255"), forwarded(H1, "198.51.100.255", "w2")),
      frame("h1 > net3", echo(H1, "198.51.200.255"), forwarded(H1, "198.51.200.255", "w3")),
      frame("h1 > net1", echo(H1, "192.0.2.255"), sentBack(H1, "192.0.2.255")),
      frame("h1 > all", echo(H1, "255.255.255.255"), replies(H1)),
      frame("h2 > net1", echo(H2, "192.0.2.255"), forwarded(H2, "192.0.2.255", "w1")),
      frame("h2 > net3", echo(H2, "198.51.200.255"), forwarded(H2, "198.51.200.255", "w3")),
      frame("h2 > net2", echo(H2, "198.51.100.255"), sentBack(H2, "198.51.100.255")),
      frame("h2 > all", echo(H2, "255.255.255.255"), replies(H2)),
    ],
  },
];

export const router: Script = { script: "forwarding/router.sh", tests: [edges] };
export const routerBroadcast: Script = { script: "forwarding/router_broadcast.sh", tests: broadcasts };
