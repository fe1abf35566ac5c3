/**
 * Dumps of a live machine (`ip -j`), recorded with Linux 6.1: of networks that a script had set up, which must answer every
 * look-up as the script's does, and of one with a bit of everything.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import type { Model } from "../../dsl/model.ts";
import { parse } from "../../dsl/parse.ts";
import { print } from "../../dsl/print.ts";
import { openEngines } from "../../src/engines.ts";
import { type Dump, LISTS, readDump } from "../../src/import/ip-json/form.ts";
import { type DumpImportOptions, importDump } from "../../src/import/ip-json/import.ts";
import { importForReplay } from "../../src/import/replay.ts";
import { RouteGetter } from "../../src/replay-routes.ts";
import type { Query, RouteAnswer } from "../../src/scenario.ts";

type Json = Record<string, unknown>;
interface Recorded {
  /** Two namespaces, with what commands can make. */
  readonly live: Record<string, Json>;
  /** Routes and rules of `live` as printed with `-N`. */
  readonly numeric: Json;
  readonly networks: readonly {
    readonly name: string;
    readonly setup: readonly string[];
    readonly dump: Json;
    readonly queries: readonly Query[];
  }[];
}
const recorded = JSON.parse(
  gunzipSync(readFileSync(new URL("recorded-dumps.json.gz", import.meta.url))).toString(),
) as Recorded;

function dumpOf(value: unknown): Dump {
  const dump = readDump(value);
  if (typeof dump === "string") throw new Error(dump);
  return dump;
}

function imported(value: unknown, options: DumpImportOptions = {}): { text: string; told: string[] } {
  const { ast, source, diagnostics } = importDump(dumpOf(value), "dump", options);
  const told = diagnostics.map(
    ({ code, message, kernel, primary: { span } }) =>
      `${code} ${source.text.slice(span.start, span.end)}: ${message}${kernel ? ` [${kernel}]` : ""}`,
  );
  return { text: print(ast), told };
}

function modelOf(text: string): Model {
  const source = { name: "live.vrf", text };
  const { ast, diagnostics } = parse(source);
  expect(diagnostics).toEqual([]);
  const { model, diagnostics: findings } = check(ast, source);
  expect(findings.filter((d) => d.severity === "error")).toEqual([]);
  return model as Model;
}

async function answers(model: Model, queries: readonly Query[]): Promise<RouteAnswer[]> {
  const [engine] = await openEngines(model, "reference");
  const getter = new RouteGetter(model.nets[0], engine);
  return queries.map((query) => getter.answer(query));
}

describe.each(recorded.networks)("the dump of $name", ({ setup, dump, queries }) => {
  it("answers every look-up as its script does", async () => {
    const { text, told } = imported(dump);
    expect(told).toEqual([]);
    const script = importForReplay(setup);
    const byScript = check(script.ast, script.source).model as Model;
    expect(await answers(modelOf(text), queries)).toEqual(await answers(byScript, queries));
  });
});

describe("a machine with a bit of everything", () => {
  let text = "";
  let told: string[] = [];
  beforeAll(() => {
    ({ text, told } = imported(recorded.live));
  });

  /** What was typed on the machine, and the line of vrfc that it is. */
  const LINES: readonly (readonly [typed: string, line: string])[] = [
    ["sysctl net.ipv4.ip_forward=1", "sysctl net.ipv4.ip_forward = 1"],
    ["sysctl net.ipv4.conf.d0.rp_filter=2", "sysctl net.ipv4.conf.d0.rp_filter = 2"],
    ["ip link add red type vrf table 10", "vrf red { table 10; lladdr c6:82:1f:bd:12:b8 }"],
    ["ip link set d0 mtu 1400", "mtu 1400"],
    ["ip link set d0 group 5", "group 5"],
    ["ip addr add 10.5.0.1 peer 10.5.0.2/32", "address 10.5.0.1/32 peer 10.5.0.2"],
    ["ip addr add 10.6.0.1/24 noprefixroute metric 77", "address 10.6.0.1/24 metric 77 noprefixroute"],
    ["ip route del 10.9.0.0/24 dev w0", "address 10.9.0.1/24 noprefixroute"],
    ["ip link add w0 type veth peer name w0 netns a", "peer a w0"],
    ["ip link add v0 type veth peer name v1", "peer host v0"],
    ["ip link add dn type dummy (and never up)", "lladdr 52:87:93:f2:7e:f4; down }"],
    ["ip nexthop add id 2 via 10.9.0.7 dev w0 onlink", "nexthop 2 via 10.9.0.7 dev w0 onlink"],
    ["ip nexthop add id 3 blackhole", "nexthop 3 blackhole"],
    ["ip nexthop add id 4 group 1,3/2,5", "nexthop 4 group 1,3/2,5"],
    ["ip -6 nexthop add id 5 dev d0", "nexthop inet6 5 dev d0"],
    ["ip route add 10.22.0.0/16 nhid 3", "route 10.22.0.0/16 nhid 3"],
    ["ip route add 10.23.0.0/16 via inet6 2001:db8::9 dev d0", "route 10.23.0.0/16 via 2001:db8::9 dev d0"],
    ["ip route add … mtu 1300 proto static", "route 10.24.0.0/16 via 10.0.0.9 dev d0 proto static mtu 1300"],
    ["ip -6 route add unreachable 2001:db8:30::/48", "route unreachable 2001:db8:30::/48"],
    ["ip neigh add … nud permanent", "neighbour 10.0.0.9 lladdr 02:00:00:00:00:09 dev d0"],
    ["ip rule add … fwmark 1 proto static", "rule 100 from 10.0.0.0/8 fwmark 0x1 lookup 77 proto static"],
    ["ip rule add pref 101 l3mdev unreachable", "rule inet 101 l3mdev unreachable"],
    ["ip rule add … suppress_ifgroup 5", "rule 102 iif nodev lookup 10 suppress_ifgroup 5"],
    ["ip rule add pref 103 nop", "rule 103 nop"],
    ["ip rule add pref 104 goto 900", "rule 104 goto 900"],
    ["ip rule add not …", "rule 105 not from 10.0.0.0/8 tos 0x10 sport 10-20 lookup 77"],
    ["ip rule del pref 32767", "no rule inet 32767 lookup default"],
    ["ip netns add a (and lo never up)", "interface lo { down }"],
  ];
  it.each(LINES)("%s", (_, line) => {
    expect(text).toContain(line);
  });

  it("is a network without errors", () => {
    const { nets } = modelOf(text);
    expect(nets.map((net) => net.devices.map(({ name, ifindex }) => `${name} ${ifindex}`))).toEqual([
      ["lo 1", "red 2", "d0 3", "v1 4", "v0 5", "w0 6", "dn 7"],
      ["lo 1", "w0 2"],
    ]);
  });

  it("says what it could not take", () => {
    expect(told).toMatchInlineSnapshot(`
      [
        "W0502 route 10.24.0.0/16 via 10.0.0.9 dev d0 table 10 proto static mtu 1300 advmss 1000: \`advmss 1000\` has no counterpart in vrfc",
        "W0506 : 1 neighbours are not permanent: they are asked for again when they are needed",
      ]
    `);
  });

  it("is the same as printed with numbers", () => {
    const { live, numeric } = recorded;
    expect(imported({ ...live, ".": { ...live["."], ...numeric } }).text).toBe(text);
  });
});

const LO = { ifindex: 1, ifname: "lo", flags: ["LOOPBACK", "UP"] };
const D0 = { ifindex: 2, ifname: "d0", flags: ["UP"], linkinfo: { info_kind: "dummy" }, address: "02:00:00:00:00:07" };
const EMPTY = { rule: [], rule6: [], route: [], route6: [], addr: [], sysctl: {} };

describe("what a dump does not say", () => {
  it("is taken as the kernel has it, and told", () => {
    const { text, told } = imported({ link: [LO, D0, { ...D0, ifindex: 5, ifname: "d1" }] });
    expect(text).toContain("interface d1 { type dummy; lladdr 02:00:00:00:00:07; index 5 }");
    expect(text).toContain("sysctl net.ipv4.ip_forward = 1");
    expect(told).toEqual([
      "W0506 : the dump of `host` has no `addr`: without it no device has an address",
      "W0506 : the dump of `host` has no `rule`: the kernel's own IPv4 rules are taken",
      "W0506 : the dump of `host` has no `rule6`: the kernel's own IPv6 rules are taken",
      "W0506 : the dump of `host` has no `route`: no IPv4 routes are taken but those of addresses",
      "W0506 : the dump of `host` has no `route6`: no IPv6 routes are taken but those of addresses",
      "W0506 : the dump of `host` has no `sysctl`: settings such as rp_filter are taken as a kernel starts with them; IPv4 forwarding is taken to be on",
    ]);
  });

  it("is no forwarding where that is not to be assumed", () => {
    const { text } = imported({ link: [LO, D0, { ...D0, ifindex: 3, ifname: "d1" }] }, { assumeForwarding: false });
    expect(text).not.toContain("ip_forward");
  });

  it("may be another kind of device", () => {
    const port = { ifindex: 3, ifname: "e0", master: "br0", flags: [] };
    const bridge = { ifindex: 2, ifname: "br0", flags: ["UP"], linkinfo: { info_kind: "bridge" } };
    expect(imported({ ...EMPTY, link: [LO, bridge, port] }).told.filter((line) => !line.includes("lost"))).toEqual([
      "W0506 link br0: `br0` is a bridge device: taken as an interface whose wire leads elsewhere",
      "W0506 link e0: `e0` is a port of `br0`, which is no VRF: taken as a device of its own",
    ]);
  });
});

describe("a route whose gateway is reached no more", () => {
  it("is onlink", () => {
    const route = {
      dst: "10.0.0.0/8",
      gateway: "192.0.2.1",
      dev: "d0",
      type: "unicast",
      table: "main",
      scope: "global",
    };
    const { text } = imported({ ...EMPTY, link: [LO, D0], route: [route] });
    expect(text).toContain("route 10.0.0.0/8 via 192.0.2.1 dev d0 onlink");
  });

  it("is told when that does not help", () => {
    const route = { dst: "10.0.0.0/8", gateway: "192.0.2.1", dev: "gone", type: "unicast" };
    const { text, told } = imported({ ...EMPTY, link: [LO, D0], route: [route] });
    expect(text).not.toContain("10.0.0.0/8");
    expect(told.filter((line) => line.includes("10.0.0.0/8"))).toEqual([
      'W0501 route 10.0.0.0/8 via 192.0.2.1 dev gone onlink: not imported: Linux would refuse it now [Cannot find device "gone"]',
    ]);
  });
});

describe("what is no dump", () => {
  const FAULTS: readonly (readonly [value: unknown, fault: string])[] = [
    [[], "expected an object with the sections"],
    [{}, "there is no `link` section in it"],
    [{ ".": { link: {} } }, ".: link: expected a list of objects"],
    [{ link: [1] }, ".: link: expected a list of objects"],
    [{ link: [], sysctl: 7 }, ".: sysctl: expected the text"],
  ];
  it.each(FAULTS)("%j", (value, fault) => {
    expect(readDump(value)).toContain(fault);
  });

  it("never throws, whatever the members", () => {
    const leaf = fc.oneof(
      fc.constantFrom("d0", "10.0.0.1", "10.0.0.0/8", "default", "UP", "0x1", 7, null, true, {}),
      fc.string(),
    );
    const keys =
      "ifindex ifname flags mtu group address linkinfo info_kind info_data table master addr_info family local prefixlen priority src srclen fwmark l3mdev goto action dst gateway dev type nexthops weight metric metrics id via state lladdr".split(
        " ",
      );
    const entry = fc.dictionary(
      fc.constantFrom(...keys),
      fc.oneof(leaf, fc.array(leaf), fc.array(fc.dictionary(fc.constantFrom(...keys), leaf))),
    );
    const sections = fc.record(Object.fromEntries(LISTS.map((name) => [name, fc.array(entry, { maxLength: 4 })])));
    fc.assert(
      fc.property(sections, (value) => {
        parse({ name: "printed", text: imported(value).text });
      }),
      { numRuns: 150 },
    );
  });
});
