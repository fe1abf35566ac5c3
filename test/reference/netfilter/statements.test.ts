/** Statements, verdicts, and what they make of a packet's way; kernel functions stand with the cases. */
import { describe, expect, test } from "vitest";
import { PacketFlag } from "../../../runtime/batch.ts";
import { checksum, foldChecksum, pseudoHeaderSum, wordSum } from "../../../runtime/net/checksum.ts";
import { IpProtocol, Ipv4View } from "../../../runtime/net/ipv4.ts";
import { TcpFlag, TcpView } from "../../../runtime/net/tcp.ts";
import { frameOf, type PacketWords } from "../support.ts";
import { chain, chainStory, counted, datagram, routerWith, segment } from "./support.ts";

const A = "10.0.0.7";
const B = "10.0.1.7";
const tcp: PacketWords = { from: A, to: B, protocol: IpProtocol.TCP, payload: segment(A, B) };
const udp: PacketWords = { from: A, to: B, protocol: IpProtocol.UDP, payload: datagram(A, B) };
const echo: PacketWords = { from: A, to: B };
const local: PacketWords = { from: "0.0.0.0", to: B };

describe("verdicts (nft_do_chain)", () => {
  const sub = (rules: string, subRules: string, policy?: string) =>
    chain("forward", rules, policy).replace("table inet t {", `table inet t { chain sub { ${subRules} }`);

  test.each([
    ["accept", chain("forward", "accept", "drop"), "chain c | c[0] accept", "TRANSMIT"],
    ["drop", chain("forward", "tcp dport 1\ndrop"), "chain c | c[1] drop", "DROP"],
    ["policy", chain("forward", "tcp dport 1 accept", "drop"), "chain c | policy drop", "DROP"],
    ["return", chain("forward", "return\naccept", "drop"), "chain c | c[0] return | policy drop", "DROP"],
    ["jump", sub("jump sub\ndrop", "counter"), "chain c | c[0] jump sub | sub[0] continue | c[1] drop", "DROP"],
    [
      "jump, return",
      sub("jump sub", "return\ndrop"),
      "chain c | c[0] jump sub | sub[0] return | policy accept",
      "TRANSMIT",
    ],
    ["goto", sub("goto sub\ndrop", "counter"), "chain c | c[0] goto sub | sub[0] continue | policy accept", "TRANSMIT"],
    [
      "vmap",
      sub("meta l4proto vmap { tcp : drop, icmp : jump sub }", "accept"),
      "chain c | c[0] jump sub | sub[0] accept",
      "TRANSMIT",
    ],
    ["vmap without", chain("forward", "meta l4proto vmap { tcp : drop }"), "chain c | policy accept", "TRANSMIT"],
    [
      "log",
      chain("forward", 'log prefix "x" tcp dport 1\nlog'),
      "chain c | log c[0].0 | log c[1].0 | c[1] continue | policy accept",
      "TRANSMIT",
    ],
  ])("%s", (_, text, story, verdict) => {
    const outcome = routerWith(text).receive("eth0", echo);
    expect({ story: chainStory(outcome), verdict: outcome.verdict }).toEqual({ story, verdict });
  });

  test("several base chains: each by its priority, until one drops", () => {
    const text = (name: string, priority: number, rules: string) =>
      `chain ${name} { type filter hook forward priority ${priority}; policy accept; ${rules} }`;
    const host = routerWith(
      `table inet t { ${text("late", 10, "counter")} ${text("early", -10, "accept")} ${text("middle", 0, "drop")} }`,
    );
    const { trace } = host.receive("eth0", echo);
    const entered = trace.flatMap((s) => (s.step === "nft_chain" ? [host.net.netfilter.chains[s.chain].name] : []));
    expect(entered).toEqual(["early", "middle"]);
    expect(counted(host.engine)).toBe(0);
  });

  test("a counter counts bytes from the IP header on, and stands where it stands", () => {
    const host = routerWith(chain("forward", "counter tcp dport 81 counter"));
    host.receive("eth0", tcp);
    expect(host.engine.readCounters()).toEqual([
      { packets: 1n, bytes: 40n },
      { packets: 0n, bytes: 0n },
    ]);
  });

  test("a drop while the packet passes its VRF ends it there (vrf_l3_rcv)", () => {
    const host = routerWith(chain("prerouting", 'iifname "red" drop'));
    const { story } = host.receive("red0", { from: "10.2.0.7", to: "10.2.0.1" });
    expect(story).toMatch(/l3mdev red0>red \| PREROUTING in=red \| chain c \| c\[0\] drop \| drop NETFILTER_DROP$/);
  });
});

describe("what a socket is told of a drop (NF_DROP_ERR)", () => {
  const flagged = (hook: string, rule: string, device: string, to: string) => {
    const { batch, why } = routerWith(chain(hook, rule)).output(device, { ...local, to });
    return [why, (batch.column("flags")[0] & PacketFlag.SEND_EPERM) !== 0];
  };
  test.each([
    ["output", "drop", "", B, true],
    ["postrouting", "drop", "", B, true],
    // vrf_l3_out: what it keeps counts as sent.
    ["output", 'oifname "red" drop', "red", "10.2.0.7", false],
    ["output", 'oifname "red0" drop', "red", "10.2.0.7", true],
    ["input", "drop", "", "10.0.0.1", false],
  ])("at %s, %s, bound to '%s', to %s", (hook, rule, device, to, told) => {
    expect(flagged(hook, rule, device, to)).toEqual(["NETFILTER_DROP", told]);
  });
});

describe("meta set (nft_meta_set_eval)", () => {
  test("a mark of prerouting steers the policy rules", () => {
    const host = routerWith(
      `${chain("prerouting", "ip daddr 10.9.0.0/16 meta mark set 0x5")}\nrule 100 fwmark 5 lookup 77\ntable 77 { route 10.9.0.0/16 via 10.0.1.7 }`,
    );
    const { verdict, batch } = host.receive("eth0", { from: A, to: "10.9.0.1" });
    expect([verdict, batch.column("mark")[0]]).toEqual(["TRANSMIT", 5]);
  });

  test("route: what a changed mark of an outgoing packet means (ip_route_me_harder)", () => {
    const host = routerWith(
      `table ip t { chain c { type route hook output priority 0; policy accept; meta mark set 0x5 } }\nrule 100 fwmark 5 lookup 77\ntable 77 { route 10.0.1.7/32 via 10.0.0.7 }`,
    );
    const { story } = host.output("", local);
    expect(story).toMatch(
      /OUTPUT out=eth1 \| chain c \| c\[0\] continue \| policy accept \| route .*\| POSTROUTING out=eth0/,
    );
  });
});

describe("header fields set, checksums mended (nft_payload_set_eval)", () => {
  test.each([
    ["ip dscp set cs1", echo],
    ["ip ttl set 7", echo],
    ["ip saddr set 10.9.9.9", tcp],
    ["ip daddr set 10.0.1.9", udp],
    ["tcp dport set 8080", tcp],
    ["udp sport set 99", udp],
  ])("%s", (rule, packet) => {
    const host = routerWith(chain("postrouting", rule));
    const ip = new Ipv4View(host.receive("eth0", packet).packet.subarray(14));
    expect(checksum(ip.bytes.subarray(0, 20))).toBe(0);
    const { source, destination, protocol, payload } = ip;
    if (protocol !== IpProtocol.ICMP)
      expect(foldChecksum(wordSum(payload) + pseudoHeaderSum(source, destination, protocol, payload.length))).toBe(0);
  });

  test("the port is written", () => {
    const { packet } = routerWith(chain("postrouting", "tcp dport set 8080")).receive("eth0", tcp);
    expect(new TcpView(new Ipv4View(packet.subarray(14)).payload).destinationPort).toBe(8080);
  });
});

describe("limit (nft_limit_eval)", () => {
  test("a burst, and then what time earns", () => {
    const host = routerWith(chain("forward", "limit rate 1/second burst 2 packets counter"));
    const send = (seconds: bigint, packets: number) => {
      host.engine.setTime(seconds * 1_000_000_000n);
      for (let i = 0; i < packets; i++) host.receive("eth0", echo);
      return counted(host.engine);
    };
    expect([send(100n, 5), send(101n, 5), send(200n, 5)]).toEqual([2, 3, 5]);
  });
});

describe("reject (nf_send_unreach, nf_send_reset)", () => {
  const bad = { ...udp, payload: datagram(A, B).map((byte, i) => (i === 11 ? byte ^ 1 : byte)) };
  test.each([
    ["reject", echo, "ICMP_ERROR", "3/3"],
    ["reject with icmpx admin-prohibited", echo, "ICMP_ERROR", "3/13"],
    ["reject with icmp host-unreachable", udp, "ICMP_ERROR", "3/1"],
    ["reject", bad, "DROP", "NETFILTER_DROP"],
    ["reject", { ...udp, payload: datagram(A, B, { checksum: false }) }, "ICMP_ERROR", "3/3"],
    ["meta l4proto tcp reject with tcp reset", tcp, "TCP_RESET", ""],
    [
      "meta l4proto tcp reject with tcp reset",
      { ...tcp, payload: segment(A, B, { flags: TcpFlag.RST }) },
      "DROP",
      "NETFILTER_DROP",
    ],
  ])("%s, case %#", (rule, packet, verdict, why) => {
    const outcome = routerWith(chain("forward", rule)).receive("eth0", packet);
    expect([outcome.verdict, outcome.why]).toEqual([verdict, why]);
  });

  test("of IPv6", () => {
    const outcome = routerWith(chain("forward", "reject")).receive("eth0", {
      from: "2001:db8::7",
      to: "2001:db8:1::7",
    });
    // The echo's checksum is that of an ICMP without a pseudo header: wrong.
    expect(outcome.why).toBe("NETFILTER_DROP");
  });

  test("at prerouting only where a route outside of VRFs leads back (nf_reject_fill_skb_dst)", () => {
    const host = routerWith(chain("prerouting", "reject"));
    expect(host.receive("eth0", echo).verdict).toBe("ICMP_ERROR");
    expect(host.receive("red0", { from: "10.2.0.7", to: "10.2.0.1" }).verdict).toBe("DROP");
  });

  test("a reset is routed by the VRF", () => {
    const host = routerWith(chain("input", "meta l4proto tcp reject with tcp reset"));
    const payload = segment("10.2.0.7", "10.2.0.1");
    const { batch } = host.receive("red0", { from: "10.2.0.7", to: "10.2.0.1", protocol: IpProtocol.TCP, payload });
    expect(batch.column("outDevice")[0]).toBe(host.net.devices.find((d) => d.name === "red")!.ifindex);
  });
});

describe("devices' hooks", () => {
  const netdev = (hook: string, device: string, rules: string) =>
    `table netdev n { chain c { type filter hook ${hook} device ${device} priority 0; policy accept; ${rules} } }`;

  test("ingress drops before the IP layer", () => {
    const { steps } = routerWith(netdev("ingress", "eth0", "ip saddr 10.0.0.7 drop")).receive("eth0", echo);
    expect(steps).toMatch(/netdev ingress eth0 \| chain c \| c\[0\] drop \| drop NETFILTER_DROP$/);
  });

  test("egress counts the Ethernet header too", () => {
    const host = routerWith(netdev("egress", "eth1", "counter"));
    host.receive("eth0", tcp);
    expect(host.engine.readCounters()[0]).toEqual({ packets: 1n, bytes: 54n });
  });

  test("egress does not count a VLAN tag, which is held aside (skb_vlan_untag)", () => {
    const out = netdev("egress", "eth1", "counter").replace("table netdev n", "table netdev m");
    const host = routerWith(`${netdev("ingress", "eth0", 'fwd to "eth1"')}\n${out}`);
    const plain = copyOf(host);
    const tagged = new Uint8Array([...plain.subarray(0, 12), 0x81, 0, 0, 5, ...plain.subarray(12)]);
    const { packet } = host.receiveFrame("eth0", tagged);
    expect(host.engine.readCounters()[0]).toEqual({ packets: 1n, bytes: BigInt(plain.length) });
    expect(packet).toEqual(tagged);
  });

  test("fwd sends the frame as it is (nf_fwd_netdev_egress)", () => {
    const host = routerWith(netdev("ingress", "eth0", 'fwd to "eth1"'));
    const { verdict, packet, batch, steps } = host.receive("eth0", { ...echo, ttl: 1 });
    expect([verdict, packet.length, new Ipv4View(packet.subarray(14)).ttl]).toEqual(["TRANSMIT", 98, 1]);
    expect(batch.column("outDevice")[0]).toBe(host.net.devices.find((d) => d.name === "eth1")!.ifindex);
    expect(steps).toMatch(/c\[0\] fwd \| netdev egress eth1/);
  });

  test("dup appends a copy to the batch, where there is room (nf_dup_netdev_egress)", () => {
    const host = routerWith(netdev("ingress", "eth0", 'dup to "red0"'));
    const batch = host.engine.createBatch(2);
    const frame = host.receive("eth0", echo); // room for one: the copy is lost
    expect(frame.batch.count).toBe(1);
    batch.put(copyOf(host), { entry: 0, device: host.net.devices.find((d) => d.name === "eth0")!.ifindex });
    const traces = host.engine.trace(batch);
    expect([batch.count, traces.length]).toEqual([2, 2]);
    expect([...batch.column("outDevice")]).toEqual(
      ["eth1", "red0"].map((name) => host.net.devices.find((d) => d.name === name)!.ifindex),
    );
    expect(batch.packet(1).length).toBe(98);
  });
});

const copyOf = (host: ReturnType<typeof routerWith>): Uint8Array =>
  frameOf(echo, host.net.devices.find((d) => d.name === "eth0")!.mac);
