/** What a policy means, part by part: every default written out as the kernel has it. */
import { describe, expect, test } from "vitest";
import { printModel } from "../../dsl/index.ts";
import type { DeviceConf, Net, Route } from "../../dsl/model.ts";
import { deviceNamed, Scope } from "../../dsl/model.ts";
import { formatIp, formatPrefix, parseIp } from "../../runtime/net/ip.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { findingsOf, hostOf, modelOf } from "./policy.ts";

const routesOf = (net: Net, where: (route: Route) => boolean): string[] =>
  net.routes.filter(where).map((r) => `${r.table} ${r.type} ${formatPrefix(r.prefix)}`);
const userRoute = (net: Net): Route => net.routes.find((r) => r.protocol === "boot")!;
const deviceOf = (net: Net, name: string) => deviceNamed(net, name)!;

describe("devices", () => {
  test("lo is always there, up, with ifindex 1", () => {
    const [lo] = hostOf("").devices;
    expect(lo).toMatchObject({ name: "lo", ifindex: 1, kind: "loopback", up: true, mtu: 65536, mac: 0 });
    expect(lo.addresses.map((a) => formatPrefix(a.prefix))).toEqual(["127.0.0.1/8", "::1/128"]);
  });

  test("ifindexes follow the text, around the fixed ones", () => {
    const net = hostOf(
      "vrf red { table 10 }; interface a { index 3 }; interface b { }; interface c { index 9 }; interface d { }",
    );
    expect(net.devices.map((d) => `${d.ifindex} ${d.name}`)).toEqual(["1 lo", "2 red", "3 a", "4 b", "9 c", "5 d"]);
  });

  test("kinds, MTUs, masters and tables", () => {
    const net = hostOf(
      "vrf red { table 10 }; interface a { master red }; interface b { type dummy; mtu 9000; down; group 7 }",
    );
    expect(net.devices.slice(1)).toMatchObject([
      { name: "red", kind: "vrf", table: 10, mtu: 65575, master: 0, qdiscDefault: true },
      { name: "a", kind: "veth", table: 0, mtu: 1500, master: 2, peer: null, up: true },
      { name: "b", kind: "dummy", mtu: 9000, up: false, group: 7 },
    ]);
    expect(net.tableNames.get(net.devices[1].table)).toBe("red");
  });

  test("a qdisc on a VRF takes the direct way out", () => {
    expect(deviceOf(hostOf("vrf red { table 10; qdisc pfifo }"), "red").qdiscDefault).toBe(false);
    expect(deviceOf(hostOf("vrf red { table 10; qdisc noqueue }"), "red").qdiscDefault).toBe(true);
  });

  test("MAC addresses are locally administered and unique over all namespaces", () => {
    const model = modelOf(
      "interface a { }; interface b { lladdr 02:00:00:01:00:02 }\nnamespace n { interface a { }; vrf v { table 1 } }",
    );
    const macs = model.nets.flatMap((net) => net.devices.slice(1).map((d) => formatMac(d.mac)));
    expect(new Set(macs).size).toBe(macs.length);
    expect(macs.every((mac) => mac.startsWith("02:"))).toBe(true);
    expect(macs[1]).toBe("02:00:00:01:00:02");
  });

  test.each([
    ["said at the first end", "peer n b", ""],
    ["said at the second end", "", "peer host a"],
    ["said at both", "peer n b", "peer host a"],
  ])("a wire %s joins both", (_, here, there) => {
    const [host, n] = modelOf(
      `namespace host { interface a { ${here} } }\nnamespace n { interface b { ${there} } }`,
    ).nets;
    expect(deviceOf(host, "a").peer).toEqual({ net: 1, ifindex: 2 });
    expect(deviceOf(n, "b").peer).toEqual({ net: 0, ifindex: 2 });
  });
});

describe("sysctls", () => {
  const conf = (text: string, device = "a"): DeviceConf =>
    deviceOf(hostOf(`${text}\ninterface a { }\ninterface b { }`), device).conf;

  test.each<[string, Partial<DeviceConf>]>([
    ["", { forwarding4: false, rpFilter: 0, sendRedirects: true, acceptLocal: false }],
    ["sysctl net.ipv4.ip_forward = 1", { forwarding4: true }],
    ["sysctl net.ipv4.conf.all.forwarding = 1", { forwarding4: true, forwarding6: false }],
    ["sysctl net.ipv6.conf.all.forwarding = 1", { forwarding4: false, forwarding6: true }],
    // The order counts: writing `all` writes every device.
    ["sysctl net.ipv4.ip_forward = 1\nsysctl net.ipv4.conf.a.forwarding = 0", { forwarding4: false }],
    ["sysctl net.ipv4.conf.a.forwarding = 0\nsysctl net.ipv4.ip_forward = 1", { forwarding4: true }],
    ["sysctl net.ipv4.conf.a.forwarding = 1\nsysctl net.ipv4.ip_forward = 0", { forwarding4: true }],
    // The larger of `all` and the device's own.
    ["sysctl net.ipv4.conf.all.rp_filter = 1\nsysctl net.ipv4.conf.a.rp_filter = 2", { rpFilter: 2 }],
    ["sysctl net.ipv4.conf.all.rp_filter = 2\nsysctl net.ipv4.conf.a.rp_filter = 1", { rpFilter: 2 }],
    ["sysctl net.ipv4.conf.all.rp_filter = 7", { rpFilter: 2 }],
    // Either.
    ["sysctl net.ipv4.conf.a.accept_local = 1", { acceptLocal: true }],
    ["sysctl net.ipv4.conf.all.route_localnet = 1", { routeLocalnet: true }],
    ["sysctl net.ipv4.conf.a.send_redirects = 0", { sendRedirects: true }],
    [
      "sysctl net.ipv4.conf.a.send_redirects = 0\nsysctl net.ipv4.conf.all.send_redirects = 0",
      { sendRedirects: false },
    ],
    // Both.
    ["sysctl net.ipv4.conf.a.bc_forwarding = 1", { bcForwarding: false }],
    ["sysctl net.ipv4.conf.a.bc_forwarding = 1\nsysctl net.ipv4.conf.all.bc_forwarding = 1", { bcForwarding: true }],
    // `default` wherever it stands, and in sysctl's other spelling.
    ["sysctl net.ipv4.conf.default.rp_filter = 1", { rpFilter: 1 }],
    ["sysctl net/ipv4/conf/default/forwarding = 1", { forwarding4: true }],
  ])("%s", (text, expected) => {
    expect(conf(text)).toMatchObject(expected);
  });

  test("one device's setting is not another's", () => {
    expect(conf("sysctl net.ipv4.conf.a.rp_filter = 1", "b").rpFilter).toBe(0);
  });

  test("per namespace", () => {
    const text =
      "sysctl net.ipv4.tcp_l3mdev_accept = 1\nsysctl net.ipv4.raw_l3mdev_accept = 0\nsysctl net.ipv4.ip_default_ttl = 99";
    expect(hostOf(text).sysctl).toMatchObject({
      tcpL3mdevAccept: true,
      udpL3mdevAccept: false,
      rawL3mdevAccept: false,
      ipDefaultTtl: 99,
    });
  });
});

describe("routes made by the kernel", () => {
  const made = (text: string) => routesOf(hostOf(text), (r) => r.family === 4 && r.nexthops[0].device !== 1);

  test.each<[string, string[]]>([
    [
      "interface a { address 10.0.0.1/24 }",
      ["254 unicast 10.0.0.0/24", "255 local 10.0.0.1/32", "255 broadcast 10.0.0.255/32"],
    ],
    ["interface a { address 10.0.0.1/31 }", ["254 unicast 10.0.0.0/31", "255 local 10.0.0.1/32"]],
    ["interface a { address 10.0.0.1/32 }", ["255 local 10.0.0.1/32"]],
    ["interface a { address 10.0.0.1/24 noprefixroute }", ["255 local 10.0.0.1/32", "255 broadcast 10.0.0.255/32"]],
    ["interface a { address 10.0.0.1 peer 10.9.0.1/32 }", ["254 unicast 10.9.0.1/32", "255 local 10.0.0.1/32"]],
    ["interface a { down; address 10.0.0.1/24 }", ["255 local 10.0.0.1/32"]],
    [
      "vrf v { table 7 }; interface a { master v; address 10.0.0.1/31 }",
      ["7 unicast 10.0.0.0/31", "7 local 10.0.0.1/32"],
    ],
    ["vrf v { table 7; address 10.0.0.1/32 }", ["7 local 10.0.0.1/32"]],
    [
      'kernel "5.4"\ninterface a { address 10.0.0.1/24 }',
      ["254 unicast 10.0.0.0/24", "255 broadcast 10.0.0.0/32", "255 local 10.0.0.1/32", "255 broadcast 10.0.0.255/32"],
    ],
  ])("%s", (text, expected) => {
    expect(made(text)).toEqual(expected);
  });

  test("say which address they are made of", () => {
    const net = hostOf("interface a { address 10.0.0.1/24 }");
    const connected = net.routes.find((r) => formatPrefix(r.prefix) === "10.0.0.0/24")!;
    expect(connected).toMatchObject({ protocol: "kernel", scope: Scope.LINK, prefsrc: 0x0a000001 });
    expect(connected.origin.kernel).toBe("kernel: connected route of 10.0.0.1/24 on a");
    expect(connected.origin.span).toEqual({ start: 14, end: 33 });
  });

  test("of a secondary address bear the primary's source", () => {
    const net = hostOf("interface a { address 10.0.0.1/24; address 10.0.0.2/24 }");
    const local = net.routes.find((r) => formatPrefix(r.prefix) === "10.0.0.2/32")!;
    expect(deviceOf(net, "a").addresses.map((a) => a.secondary)).toEqual([false, true, false]);
    expect(local.prefsrc).toBe(0x0a000001);
  });

  test("IPv6: none where it is switched off", () => {
    const net = hostOf("sysctl net.ipv6.conf.a.disable_ipv6 = 1\ninterface a { }");
    expect(routesOf(net, (r) => r.family === 6)).toEqual(["255 local ::1/128"]);
  });

  test("IPv6: the link-local address comes with the carrier", () => {
    const text = (there: string) =>
      `namespace host { interface a { peer n b } }\nnamespace n { interface b { ${there} } }`;
    expect(deviceOf(hostOf(text("")), "a").addresses.map((a) => formatPrefix(a.prefix))).toEqual([
      "fe80::ff:fe00:2/64",
    ]);
    expect(deviceOf(hostOf(text("down")), "a").addresses).toEqual([]);
  });
});

describe("routes", () => {
  const BASE =
    "vrf red { table 10; address 1.1.1.1/32 }\ninterface a { master red; address 10.0.0.1/24 }\ninterface b { address 10.1.0.1/24; address 2001:db8::1/64 }\n";
  const route = (line: string) => userRoute(hostOf(BASE + line));

  test.each<[string, Partial<Route>]>([
    ["route 1.0.0.0/8 dev b", { table: 254 as never, scope: Scope.LINK, metric: 0, protocol: "boot", type: "unicast" }],
    ["route 1.0.0.0/8 via 10.1.0.7", { scope: Scope.UNIVERSE }],
    ["route 2001::/32 dev b", { family: 6, scope: Scope.UNIVERSE, metric: 1024 }],
    ["route 2001::/32 dev b metric 0", { metric: 1024 }],
    ["route default via fe80::1 dev b", { family: 6 }],
    ["route default dev b", { family: 4 }],
    ["route inet6 default dev b", { family: 6 }],
    ["route 1.0.0.0/8 dev a vrf red", { table: 10 as never }],
    ["table red { route 1.0.0.0/8 dev a }", { table: 10 as never }],
    ["table 77 { route unreachable default }", { table: 77 as never, nexthops: [], scope: Scope.UNIVERSE }],
    ["route local 1.0.0.0/8 dev b", { table: 255 as never, scope: Scope.HOST }],
    ["route broadcast 1.0.0.0/8 dev b", { table: 255 as never, scope: Scope.LINK }],
    ["route multicast 224.9.0.0/16 dev b", { table: 254 as never, scope: Scope.LINK }],
    ["route 2001:db8:7::7/32 dev b", { prefix: { address: 0x20010db8n << 96n, length: 32 } }],
  ])("%s", (line, expected) => {
    expect(route(line)).toMatchObject(expected);
  });

  test.each<[string, string, number]>([
    // Through b, in the gateway's subnet.
    ["route 1.0.0.0/8 via 10.1.0.7", "b 10.1.0.7 253", 0x0a010001],
    // The gateway is this host's own address: a direct route.
    ["route 1.0.0.0/8 via 10.1.0.1", "b 10.1.0.1 254", 0x0a010001],
    ["route 1.0.0.0/8 via 10.0.0.7 vrf red", "a 10.0.0.7 253", 0x0a000001],
    ["route 1.0.0.0/8 via 10.0.0.7 dev a", "a 10.0.0.7 253", 0x0a000001],
    ["route 1.0.0.0/8 dev red", "red - 254", 0x01010101],
    ["route 1.0.0.0/8 via 9.9.9.9 dev b onlink", "b 9.9.9.9 253", 0x0a010001],
    ["route 1.0.0.0/8 via 0.0.0.0 dev b", "b - 254", 0x0a010001],
    ["route 1.0.0.0/8 via inet6 2001:db8::7", "b 2001:db8::7 253", 0x0a010001],
  ])("%s: device, gateway, scope and source of the next hop", (line, expected, source) => {
    const net = hostOf(BASE + line);
    const [hop] = userRoute(net).nexthops;
    const name = net.devices.find((d) => d.ifindex === hop.device)!.name;
    expect(`${name} ${hop.gateway === null ? "-" : formatIp(hop.gateway)} ${hop.scope}`).toBe(expected);
    expect(hop.source).toBe(source);
  });

  test("a device without an address borrows one of its VRF, never of another", () => {
    const source = (text: string) => userRoute(hostOf(`vrf red { table 10 }\n${text}`)).nexthops[0].source;
    expect(
      source(
        "interface a { master red }\ninterface b { master red; address 10.0.0.1/24 }\nroute 1.0.0.0/8 dev a vrf red",
      ),
    ).toBe(0x0a000001);
    expect(
      source("interface a { master red }\ninterface b { address 10.0.0.1/24 }\nroute 1.0.0.0/8 dev a vrf red"),
    ).toBe(0);
    expect(source("interface a { }\ninterface b { address 10.0.0.1/24 }\nroute 1.0.0.0/8 dev a")).toBe(0x0a000001);
  });

  test("an IPv6 gateway is taken for an IPv4 one when the source is chosen: its first four bytes (recorded from Linux 6.1)", () => {
    const text = "interface b { address 10.1.0.1/24; address 32.1.13.1/24; address 2001:db8:2::1/64 }\n";
    const source = (via: string) =>
      formatIp(userRoute(hostOf(`${text}route 1.0.0.0/8 via inet6 ${via} dev b`)).nexthops[0].source);
    expect(source("2001:db8:2::5")).toBe("32.1.13.1");
    expect(source("fe80::5")).toBe("10.1.0.1");
  });

  test("within a prefix: larger TOS, then smaller metric, then as written", () => {
    const lines = ["metric 100", "tos 0x10 metric 300", "", "tos 0x08", "metric 50"].map(
      (w) => `route 1.0.0.0/8 dev b ${w}`,
    );
    const routes = hostOf(BASE + lines.join("\n")).routes.filter((r) => r.protocol === "boot");
    expect(routes.map((r) => [r.tos, r.metric])).toEqual([
      [16, 300],
      [8, 0],
      [0, 0],
      [0, 50],
      [0, 100],
    ]);
  });

  test("multipath", () => {
    const { nexthops } = route("route 1.0.0.0/8 nexthop via 10.1.0.7 weight 3 nexthop via 10.0.0.7 dev a");
    expect(nexthops.map((n) => [n.device, n.weight])).toEqual([
      [4, 3],
      [3, 1],
    ]);
  });

  test("nexthop objects are written out", () => {
    const objects =
      "nexthop 1 via 10.1.0.7 dev b\nnexthop 2 via 10.0.0.7 dev a\nnexthop 3 group 1,5/2\nnexthop 4 blackhole\n";
    expect(route(`${objects}route 1.0.0.0/8 nhid 3`).nexthops).toMatchObject([
      { device: 4, weight: 5 },
      { device: 3, weight: 1 },
    ]);
    expect(route(`${objects}route 1.0.0.0/8 nhid 4`)).toMatchObject({ type: "blackhole", nexthops: [] });
  });

  test("in a 5.4 kernel a slave's gateway is not found from main", () => {
    const line = "route 1.0.0.0/8 via 10.0.0.7 dev a";
    const codes = (kernel: "5.4" | "6.1") =>
      findingsOf(BASE + line, { kernel }).diagnostics.filter((d) => d.severity === "error");
    expect(codes("6.1")).toEqual([]);
    expect(codes("5.4").map((d) => d.code)).toEqual(["E0236"]);
  });

  test("ids are positions", () => {
    const net = hostOf(BASE);
    expect(net.routes.every((r, i) => r.id === i)).toBe(true);
    expect(net.rules.every((r, i) => r.id === i)).toBe(true);
  });

  test("from a file, each with its line", () => {
    const text = `${BASE}table 10 { routes from "rib.txt" }`;
    const readFile = () =>
      "# list\n1.0.0.0/8 via 10.0.0.7\n\nunreachable default metric 4278198272\n2.0.0.0/8 nexthop via 10.0.0.7 weight 2 nexthop via 10.0.0.8\n";
    const routes = hostOf(text, { readFile }).routes.filter((r) => r.protocol === "boot");
    expect(routes.map((r) => [formatPrefix(r.prefix), r.type, r.nexthops.length, r.origin.file?.line])).toEqual([
      ["0.0.0.0/0", "unreachable", 0, 4],
      ["1.0.0.0/8", "unicast", 1, 2],
      ["2.0.0.0/8", "unicast", 2, 5],
    ]);
  });
});

describe("rules", () => {
  const prefs = (net: Net, family: 4 | 6) => net.rules.filter((r) => r.family === family).map((r) => r.pref);
  const VRF = "vrf red { table 10 }\n";

  test("the kernel's own", () => {
    expect(prefs(hostOf(""), 4)).toEqual([0, 32766, 32767]);
    expect(prefs(hostOf(""), 6)).toEqual([0, 32766]);
    expect(prefs(hostOf(VRF), 4)).toEqual([0, 1000, 32766, 32767]);
    expect(prefs(hostOf(VRF), 6)).toEqual([0, 1000, 32766]);
    const l3mdev = hostOf(VRF).rules[1];
    expect(l3mdev).toMatchObject({ l3mdev: true, action: { kind: "lookup", table: null }, protocol: "kernel" });
  });

  test.each<[string, number[]]>([
    ["rule 500 lookup 5\nrule 400 lookup 5", [0, 400, 500, 1000, 32766, 32767]],
    // Without a preference: just before the second rule.
    ["rule lookup 5\nrule lookup 6", [0, 998, 999, 1000, 32766, 32767]],
    ["rule 0 lookup 5\nrule lookup 6", [0, 0, 0, 1000, 32766, 32767]],
    ["rule 32765 lookup local\nno rule 0", [1000, 32765, 32766, 32767]],
    ["no rule lookup main\nno rule l3mdev", [0, 32767]],
  ])("preferences after %s", (text, expected) => {
    expect(prefs(hostOf(VRF + text), 4)).toEqual(expected);
  });

  test("equal preferences keep the order of the text", () => {
    const rules = hostOf("rule 100 lookup 5\nrule 100 lookup 4\nrule 100 lookup 6").rules.filter((r) => r.pref === 100);
    expect(rules.map((r) => r.action)).toEqual([5, 4, 6].map((table) => ({ kind: "lookup", table })));
  });

  test("each family has its list; l3mdev is for both", () => {
    const net = hostOf(
      "rule 100 from 10.0.0.0/8 lookup 5\nrule 101 from 2001:db8::/32 lookup 5\nrule inet6 102 lookup 5\nrule 103 lookup 5\nrule 104 l3mdev",
    );
    expect(prefs(net, 4)).toEqual([0, 100, 103, 104, 32766, 32767]);
    expect(prefs(net, 6)).toEqual([0, 101, 102, 104, 32766]);
  });

  test("goto finds the first rule of its preference, or stays unresolved", () => {
    const rules = hostOf("rule 100 goto 300\nrule 200 goto 250\nrule 300 nop\nrule 300 lookup 5").rules;
    expect(rules[1].action).toEqual({ kind: "goto", pref: 300, target: 3 });
    expect(rules[2].action).toEqual({ kind: "goto", pref: 250, target: null });
  });

  test("every selector", () => {
    const line =
      "rule 100 not from 10.0.0.1/8 to 10.2.0.0/16 iif lo oif b fwmark 0x1/0xff tos 0x10 ipproto tcp sport 1-9 dport 80 uidrange 0-5 lookup 5 suppress_prefixlength 0 suppress_ifgroup 7 protocol static";
    expect(hostOf(`interface b { }\n${line}`).rules[1]).toMatchObject({
      not: true,
      from: { address: 0x0a000000, length: 8 },
      to: { address: 0x0a020000, length: 16 },
      iif: { name: "lo", ifindex: 1 },
      oif: { name: "b", ifindex: 2 },
      fwmark: { mark: 1, mask: 255 },
      tos: 16,
      ipproto: 6,
      sport: { first: 1, last: 9 },
      dport: { first: 80, last: 80 },
      uidrange: { first: 0, last: 5 },
      suppressPrefixLength: 0,
      suppressIfGroup: 7,
      protocol: "static",
      action: { kind: "lookup", table: 5 },
    });
  });
});

describe("tests of a policy", () => {
  const SEED = `
namespace host { vrf red { table 10 }; interface a { master red; address 10.0.0.1/24; peer n b } }
namespace n { interface b { address 10.0.0.7/24 }; route default via 10.0.0.1 }
`;

  test("run on the file's network, or on one with their additions", () => {
    const model = modelOf(`${SEED}
test "plain" { in n ping 10.0.0.1 -t 9 expect reply ttl 64 from 10.0.0.1 }
test "more" {
  namespace host { vrf red { address 1.1.1.1/32 }; route 2.2.2.2/32 via 10.0.0.7 src 1.1.1.1 vrf red }
  namespace n { interface lo { address 2.2.2.2/32 } }
  ping 2.2.2.2 -I red expect reply
}`);
    const [plain, more] = model.tests;
    expect(plain.nets).toBeNull();
    expect(plain.steps).toMatchObject([
      {
        net: 1,
        destination: parseIp("10.0.0.1"),
        ttl: 9,
        expect: { kind: "reply", ttl: 64, from: parseIp("10.0.0.1") },
      },
    ]);
    expect(more.steps).toMatchObject([{ net: 0, bindDevice: 2, ttl: 64 }]);
    expect(userRoute(more.nets![0]).prefsrc).toBe(0x01010101);
    expect(deviceOf(more.nets![1], "lo").addresses.map((a) => formatPrefix(a.prefix))).toContain("2.2.2.2/32");
    expect(routesOf(model.nets[0], (r) => r.protocol === "boot")).toEqual([]);
  });

  test("show an error in an addition once, where it stands", () => {
    const { diagnostics } = findingsOf(`${SEED}test "t" { namespace n { route default via 10.9.0.1 metric 5 } }`);
    expect(diagnostics.filter((d) => d.severity === "error").map((d) => d.code)).toEqual(["E0236"]);
  });
});

test("the dump of a model names every origin", () => {
  const text =
    "vrf red { table 10 }\ninterface a { master red; address 10.0.0.1/24 }\nroute unreachable default vrf red\n";
  const dump = printModel(modelOf(text));
  expect(dump).toMatch(/^kernel 6\.1$/m);
  expect(dump).toMatch(/^ {4}3 a veth master red 02:00:00:00:00:03 mtu 1500 up +line 2$/m);
  expect(dump).toMatch(
    /^ {4}1000: from all lookup \[l3mdev-table\] +kernel: rule added with the first VRF, red \(line 1\)$/m,
  );
  expect(dump).toMatch(
    /^ {4}10\.0\.0\.0\/24 dev a proto kernel scope link src 10\.0\.0\.1 +kernel: connected route of 10\.0\.0\.1\/24 on a \(line 2\)$/m,
  );
  expect(dump).toMatch(/^ {4}unreachable default proto boot scope global +line 3$/m);
});
