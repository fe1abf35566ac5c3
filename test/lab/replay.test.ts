/** What replay reads from a scenario, and what it says when it cannot answer. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePingCommand } from "../../src/ping-command.ts";
import { replay } from "../../src/replay.ts";

const FE80_1 = 0xfe80_0000_0000_0000_0000_0000_0000_0001n;

describe.each(["reference", "compiled"] as const)("frames, %s", (engine) => {
  const setup = [
    "ip netns add r",
    ...[0, 1].flatMap((i) => [
      `ip link add w${i} type veth peer name p${i} address 02:00:00:00:00:1${i} netns r`,
      `ip link set w${i} up`,
      `ip -n r link set p${i} up`,
      `ip -n r addr add 10.0.${i}.1/24 dev p${i}`,
    ]),
    "ip netns exec r sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    "ip -n r neigh replace fe80::700 lladdr 02:bb:00:00:00:07 dev p1 nud permanent",
  ];
  const header = "450000140000000040fd65e20a0000020a090001";
  const frame = { port: "w0", hex: `02000000001002000000000a0800${header}` };
  test.each([
    ["a next-hop object", ["ip -n r nexthop add id 1 via fe80::700 dev p1"], "nhid 1"],
    ["a group", ["ip -n r nexthop add id 1 via fe80::700 dev p1", "ip -n r nexthop add id 2 group 1"], "nhid 2"],
    ["the route itself", [], "via inet6 fe80::700 dev p1"],
  ])("an IPv4 route asks for the IPv6 gateway of %s", async (_, objects, way) => {
    const commands = [...setup, ...objects, `ip -n r route add 10.9.0.0/16 ${way}`];
    const [{ outputs }] = await replay([{ name: "s", setup: commands, ports: ["w1"], frames: [frame] }], { engine });
    expect(outputs?.[0].frames?.map(({ hex }) => hex.slice(0, 28))).toEqual(["02bb000000070200000000110800"]);
  });

  test.each([
    ["multicast 0.0.0.0/0", undefined],
    ["multicast 10.8.0.0/14", "10.0.1.9"],
    ["broadcast 0.0.0.0/0", "10.0.1.9"],
    ["unicast 0.0.0.0/0", "10.0.1.9"],
  ])("the gateway of a route of type %s", async (route, gateway) => {
    const commands = ["ip link add d0 type dummy", "ip link set d0 up", "ip addr add 10.0.1.1/24 dev d0"];
    commands.push("ip nexthop add id 1 via 10.0.1.9 dev d0", `ip route add ${route} nhid 1`);
    const [{ answers }] = await replay([{ name: "s", setup: commands, queries: [{ dst: "10.9.0.1" }] }], { engine });
    expect(answers?.[0]).toMatchObject({ dev: "d0", prefsrc: "10.0.1.1" });
    expect(answers?.[0].gateway).toBe(gateway);
  });

  test("a VRF device does not send what comes from an IPv4-mapped address to an IPv6 one", async () => {
    const mapped = "00000000000000000000ffff0a000001";
    const vrf = ["ip -n r link add red type vrf table 10", "ip -n r link set red up", "ip -n r link set p0 master red"];
    const commands = [...setup, ...vrf, "ip -n r -6 route add 2001:db8:c::/64 dev red table 10"];
    const hex = (source: string) =>
      `0200000000100200000000aa86dd6000000000081140${source}20010db8000c000000000000000000d70035003500080000`;
    const frames = [mapped, "20010db800ff00000000000000000001"].map((source) => ({ port: "w0", hex: hex(source) }));
    const [{ outputs }] = await replay([{ name: "s", setup: commands, hooks_in: ["r"], frames }], { engine });
    expect(outputs?.[0].hooks?.map(({ hook, iif, oif }) => [hook, iif, oif])).toEqual([
      ["prerouting", "p0", null],
      ["prerouting", "red", null],
      ["forward", "red", "red"],
      ["postrouting", "red", "red"],
    ]);
    // Any other goes round until its hop limit is used up.
    expect(outputs?.[1].hooks?.length).toBeGreaterThan(100);
  });

  test.each([
    ["0800", 1514, undefined],
    ["0800", 1515, "EMSGSIZE"],
    ["8100", 1518, undefined],
    ["8100", 1519, "EMSGSIZE"],
  ])("the port sends no more than its MTU: type %s, %i bytes", async (type, bytes, refused) => {
    const hex = `02000000001002000000000a${type}`.padEnd(2 * bytes, "0");
    const [{ outputs }] = await replay([{ name: "s", setup, frames: [{ port: "w0", hex }] }], { engine });
    expect(outputs?.[0].refused).toBe(refused);
  });

  test.each([
    [2_900_000, 0],
    [3_100_000, 1],
  ])("counters read after %i µs: a neighbour that does not answer is given up after 3 s", async (at, errors) => {
    const commands = [...setup, "ip -n r route add 10.9.0.0/16 via 10.0.1.7"];
    const nft = {
      r: "table ip t { chain c { type filter hook output priority 0; icmp type destination-unreachable counter; } }",
    };
    const asked = { name: "s", setup: commands, nft, frames: [frame], expect: { counted_at: at } };
    const [{ counters }] = await replay([asked], { engine });
    expect(counters?.r[0][0]).toBe(errors);
  });

  const addresses = `20010db8ff000000000000000000001420010db80001000000000000000000d7`;
  const later = (next: string) => `${next}000800cc98880f`;
  test.each<[string, string, string, string | null]>([
    ["a later fragment", "2c", `${later("3a")}0102030405060708`, "ICMPv6"],
    ["the same behind another", "2c", `${later("2c")}${later("3a")}0102030405060708`, "ICMPv6"],
    ["options behind a later fragment", "2c", `${later("00")}3a00050200000100`, null],
    ["no next header behind options", "00", "3b00050200000100", "59"],
    ["options that are cut short", "3c", "3a", null],
    ["ESP", "32", "0102030405060708", null],
  ])("the protocol that the log shows: %s", async (_, next, payload, proto) => {
    const length = (payload.length / 2).toString(16).padStart(4, "0");
    const hex = `0200000000100200000000aa86dd60000000${length}${next}40${addresses}${payload}`;
    const asked = { name: "s", setup, hooks_in: ["r"], frames: [{ port: "w0", hex }] };
    const [{ outputs }] = await replay([asked], { engine });
    expect(outputs?.[0].hooks?.[0]).toMatchObject({ hook: "prerouting", iif: "p0", proto });
  });
});

describe("ping commands", () => {
  const defaults = { namespace: ".", device: "", source: 0, count: 1 };
  test.each([
    ["ping -c1 -W1 10.0.0.7 -I vrf", { ...defaults, destination: 0x0a000007, device: "vrf", timeout: 1 }],
    [
      "ip netns exec ns0 ping -t1 -c 1 -W 0.5 10.0.1.7",
      { ...defaults, namespace: "ns0", destination: 0x0a000107, ttl: 1, timeout: 0.5 },
    ],
    [
      "ping -q -n -c3 -s 8 -Q 0x10 -m 5 -I 10.0.0.1 -I vrf 10.0.0.7",
      { destination: 0x0a000007, count: 3, size: 8, tos: 16, mark: 5, source: 0x0a000001, device: "vrf" },
    ],
    ["ping -4 -c1 10.0.0.7", { ...defaults, destination: 0x0a000007 }],
    ["ping -6 -c1 ::1", { ...defaults, destination: 1n, hostname: "::1", zone: "" }],
    ["ping -c1 fe80::1%eth0", { destination: FE80_1, hostname: "fe80::1%eth0", zone: "eth0", device: "" }],
    ["ping -c1 -I fe80::1%eth0 ff02::2", { source: FE80_1, device: "eth0", zone: "" }],
  ])("%s", (text, command) => {
    expect(parsePingCommand(text)).toMatchObject(command);
  });
  test.each([
    ["ping 10.0.0.7", "ping without -c never ends"],
    ["ping -c1", "ping without a destination"],
    ["ping -c1 example.org", "ping destination example.org"],
    ["ping -c1 ::ffff:10.0.0.1", "ping destination ::ffff:10.0.0.1"],
    ["ping -c1 2001:db8::1%eth0", "ping destination 2001:db8::1%eth0"],
    ["ping -4 -c1 2001:db8::1", "ping -4 of the other family"],
    ["ping -6 -c1 10.0.0.1", "ping -6 of the other family"],
    ["ping -c1 10.0.0.1 10.0.0.2", "ping destination 10.0.0.2"],
    ["ping -c1 -I 2001:db8::1 10.0.0.1", "ping -I of the other family"],
    ["ping -c1 -t 256 10.0.0.1", "ping -t 256"],
    ["ping -c0 10.0.0.1", "ping -c 0"],
    ["ping -c1 10.0.0.1 -W", "ping -W "],
    ["ping -c1 -b 10.0.0.255", "ping option -b"],
    ["ping -c1 10.0.0.1 | tail -1", "not a plain ping command: ping -c1 10.0.0.1 | tail -1"],
    ["traceroute 10.0.0.1", "not a plain ping command: traceroute 10.0.0.1"],
  ])("%s: %s", (text, unsupported) => {
    expect(parsePingCommand(text)).toEqual({ unsupported });
  });
  test("any text is either a command or not, and never throws", () => {
    const words = fc.constantFrom(
      "ping",
      "ip",
      "netns",
      "exec",
      "-c",
      "-c1",
      "-I",
      "-t",
      "10.0.0.1",
      "fe80::1%eth0",
      "-6",
      "vrf",
      "-",
      "--",
      "constructor",
      "-constructor",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((list) => list.join(" ")),
        ),
        (text) => {
          const command = parsePingCommand(text);
          return "unsupported" in command || command.count >= 1;
        },
      ),
    );
  });
});

describe("what cannot be answered says why", () => {
  test("look-ups, frames, and pings over a network that is not all understood", async () => {
    const [answer] = await replay(
      [
        {
          name: "s",
          setup: ["ip link add br0 type bridge"],
          queries: [{ dst: "10.0.0.1" }],
          frames: [{ port: "p0", hex: "00" }],
          pings: ["ping -c1 127.0.0.1"],
        },
      ],
      { engine: "reference" },
    );
    expect(answer).toEqual({
      name: "s",
      answers: [{ unsupported: expect.any(String) }],
      outputs: [{ unsupported: expect.any(String) }],
      pings: [{ cmd: "ping -c1 127.0.0.1", unsupported: expect.stringContaining("bridge") }],
    });
  });
  test("a namespace that the set-up never made; a command that fails here", async () => {
    const pings = ["ping -c1 127.0.0.1", "ip netns exec none ping -c1 127.0.0.1"];
    const [good, bad] = await replay(
      [
        { name: "s", pings, hooks_in: ["."] },
        { name: "t", setup: ["ip link add red type vrf"], pings },
      ],
      {
        engine: "reference",
      },
    );
    expect(good.pings).toMatchObject([{ rc: 0, hooks: { length: 8 } }, { unsupported: "no namespace none" }]);
    const why = expect.stringContaining("VRF table id is missing");
    expect(bad.pings).toEqual(pings.map((cmd) => ({ cmd, unsupported: why })));
  });
  test("look-ups with a protocol that Linux takes none of", async () => {
    const queries = [
      { dst: "127.0.0.1", proto: 47 },
      { dst: "127.0.0.1", proto: 58 },
      { dst: "::1", proto: 1 },
      { dst: "127.0.0.1", proto: 1 },
    ];
    const [answer] = await replay([{ name: "s", queries }], { engine: "reference" });
    expect(answer.answers?.map(({ error }) => error)).toEqual(["ENOTSUP", "ENOTSUP", "ENOTSUP", undefined]);
  });
  test("only the hooks of the namespaces asked for", async () => {
    const [answer] = await replay([{ name: "s", pings: ["ping -c1 127.0.0.1"] }], { engine: "reference" });
    expect(answer.pings).toMatchObject([{ rc: 0, hooks: [] }]);
  });
});
