/** Ping through a router, over the fake engine: what ping prints, its exit status, and when neighbours give up. */
import { describe, expect, test } from "vitest";
import { createLab, type Lab } from "../../runtime/lab/lab.ts";
import { Errno } from "../../runtime/verdict.ts";
import { config, device, FakeEngine, ip } from "./fake-engine.ts";

/** client 10.0.0.7 -- 10.0.0.1 router 10.0.1.1 -- 10.0.1.7 server */
function threeHosts(rest = 0): Lab {
  const client = config("client", [device(2, "eth0", ["10.0.0.7/24"], [1, 2])]);
  const router = config("router", [
    device(2, "left", ["10.0.0.1/24"], [0, 2]),
    device(3, "right", ["10.0.1.1/24"], [2, 2]),
  ]);
  const server = config("server", [device(2, "eth0", ["10.0.1.7/24"], [1, 3])]);
  const nets = [
    { config: client, engine: new FakeEngine(client, [{ to: "0.0.0.0/0", device: 2, via: "10.0.0.1" }]) },
    { config: router, engine: new FakeEngine(router) },
    { config: server, engine: new FakeEngine(server, [{ to: "0.0.0.0/0", device: 2, via: "10.0.1.1" }]) },
  ];
  return createLab(nets, { rest });
}

describe("outcomes", () => {
  test("a reply over a router", () => {
    const ping = threeHosts().ping(0, { destination: ip("10.0.1.7") });
    expect(ping.outcome).toEqual({ kind: "reply", from: ip("10.0.1.7"), ttl: 63, seq: 1 });
    expect(ping.exitCode).toBe(0);
    expect(ping.stdout.split("\n").slice(0, 5)).toEqual([
      "PING 10.0.1.7 (10.0.1.7) 56(84) bytes of data.",
      expect.stringMatching(/^64 bytes from 10\.0\.1\.7: icmp_seq=1 ttl=63 time=0\.\d{3} ms$/),
      "",
      "--- 10.0.1.7 ping statistics ---",
      "1 packets transmitted, 1 received, 0% packet loss, time 0ms",
    ]);
  });

  test.each([
    [
      "10.0.1.7",
      { ttl: 1 },
      { kind: "icmp", from: ip("10.0.0.1"), type: 11, code: 0, info: 0, seq: 1 },
      "Time to live exceeded",
    ],
    [
      "192.0.2.9",
      {},
      { kind: "icmp", from: ip("10.0.0.1"), type: 3, code: 0, info: 0, seq: 1 },
      "Destination Net Unreachable",
    ],
    [
      "10.0.1.99",
      {},
      { kind: "icmp", from: ip("10.0.0.1"), type: 3, code: 1, info: 0, seq: 1 },
      "Destination Host Unreachable",
    ],
    [
      "10.0.0.99",
      {},
      { kind: "icmp", from: ip("10.0.0.7"), type: 3, code: 1, info: 0, seq: 1 },
      "Destination Host Unreachable",
    ],
  ])("an error on the way to %s %o", (destination, options, outcome, message) => {
    const ping = threeHosts().ping(0, { destination: ip(destination), ...options });
    expect(ping.outcome).toEqual(outcome);
    expect(ping.exitCode).toBe(1);
    expect(ping.stdout).toContain(`icmp_seq=1 ${message}\n`);
    expect(ping.stdout).toContain("1 packets transmitted, 0 received, +1 errors, 100% packet loss");
  });

  test.each([
    [
      "no such device",
      { destination: "10.0.1.7", device: "nodev" },
      "SO_BINDTODEVICE",
      Errno.ENODEV,
      "ping: SO_BINDTODEVICE nodev: No such device",
    ],
    [
      "an address of another host",
      { destination: "10.0.1.7", source: "9.9.9.9" },
      "bind",
      Errno.EADDRNOTAVAIL,
      "ping: bind: Cannot assign requested address",
    ],
    [
      "a broadcast address",
      { destination: "10.0.0.255" },
      "connect",
      Errno.EACCES,
      "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules",
    ],
  ])(
    "%s",
    (_, {
      destination,
      device,
      source,
    }: { destination: string; device?: string; source?: string }, call, errno, message) => {
      const ping = threeHosts().ping(0, {
        destination: ip(destination),
        device,
        source: source === undefined ? undefined : ip(source),
      });
      expect(ping.outcome).toEqual({ kind: "error", call, errno });
      expect([ping.exitCode, ping.stdout, ping.stderr]).toEqual([2, "", message]);
    },
  );

  test("no route: connect fails", () => {
    const ping = threeHosts().ping(1, { destination: ip("192.0.2.1") });
    expect([ping.exitCode, ping.stderr]).toEqual([2, "ping: connect: Network is unreachable"]);
  });

  test("to itself", () => {
    const ping = threeHosts().ping(0, { destination: ip("10.0.0.7") });
    expect(ping.outcome).toMatchObject({ kind: "reply", from: ip("10.0.0.7") });
    expect(ping.events.some((event) => event.kind === "frame")).toBe(false);
  });

  test("-I DEV names device and source, and warns when the source is another device's", () => {
    const bound = threeHosts().ping(0, { destination: ip("10.0.1.7"), device: "eth0" });
    expect(bound.stdout).toMatch(/^PING 10\.0\.1\.7 \(10\.0\.1\.7\) from 10\.0\.0\.7 eth0: 56\(84\) bytes of data\.\n/);
    expect(bound.stderr).toBe("");
    const other = threeHosts().ping(1, { destination: ip("10.0.0.7"), device: "right" });
    expect(other.stderr).toBe("ping: Warning: source address might be selected on device other than: right");
  });

  test("several requests", () => {
    const ping = threeHosts().ping(0, { destination: ip("10.0.1.7"), count: 3 });
    expect([ping.transmitted, ping.received, ping.exitCode]).toEqual([3, 3, 0]);
    expect(ping.stdout).toContain("3 packets transmitted, 3 received, 0% packet loss, time 2000ms");
  });
});

describe("time", () => {
  test("a ping that waits a second gives up before its neighbour does", () => {
    const lab = threeHosts();
    const short = lab.ping(0, { destination: ip("10.0.0.99"), timeout: 1 });
    expect([short.outcome.kind, short.exitCode]).toEqual(["nothing", 1]);
    const late = lab
      .idle(3)
      .flatMap((event) => (event.net === 0 && event.kind === "packet" ? [event.description] : []));
    expect(late).toEqual([expect.stringMatching(/^icmp destination host unreachable 0\.0\.0\.0 > 10\.0\.0\.7 /)]);
  });

  test("three ARP requests, a second apart", () => {
    const { events } = threeHosts().ping(0, { destination: ip("10.0.0.99"), timeout: 5 });
    const requests = events.flatMap((event) =>
      event.kind === "frame" && event.net === 0 ? [[event.description, Math.floor(event.time / 1e6)]] : [],
    );
    expect(requests).toEqual([0, 1, 2].map((second) => ["arp who-has 10.0.0.99 tell 10.0.0.7", second]));
  });

  test("runs are the same every time", () => {
    const run = () => {
      const lab = threeHosts();
      return [lab.ping(0, { destination: ip("10.0.1.7"), count: 2 }), lab.ping(2, { destination: ip("10.0.0.99") })];
    };
    expect(run()).toEqual(run());
  });

  test("a host tells a peer of missing routes once, then again after a second", () => {
    const lab = threeHosts();
    const outcome = () => lab.ping(0, { destination: ip("192.0.2.9"), timeout: 1 }).outcome.kind;
    expect([outcome(), outcome(), outcome(), outcome()]).toEqual(["icmp", "nothing", "icmp", "nothing"]);
    lab.idle(2);
    expect(outcome()).toBe("icmp");
    const rested = threeHosts(2);
    expect([1, 2, 3].map(() => rested.ping(0, { destination: ip("192.0.2.9") }).outcome.kind)).toEqual([
      "icmp",
      "icmp",
      "icmp",
    ]);
  });
});

describe("the record", () => {
  test("who did what, in order", () => {
    const { events } = threeHosts().ping(0, { destination: ip("10.0.0.1") });
    const echo = (type: string, from: string, to: string) => `icmp echo ${type} ${from} > ${to} ttl 64 id 1 seq 1`;
    const names = ["client", "router", "server"];
    expect(events.map((event) => `${event.kind} ${names[event.net]} ${event.description}`)).toEqual([
      "packet client udp 0.0.0.0:32768 > 10.0.0.1:1025 ttl 64 length 0",
      "packet client udp 10.0.0.7:32768 > 10.0.0.1:1025 ttl 64 length 0",
      `packet client ${echo("request", "0.0.0.0", "10.0.0.1")}`,
      "frame client arp who-has 10.0.0.1 tell 10.0.0.7",
      "packet router arp who-has 10.0.0.1 tell 10.0.0.7",
      expect.stringMatching(/^frame router arp 10\.0\.0\.1 is-at /),
      expect.stringMatching(/^packet client arp 10\.0\.0\.1 is-at /),
      `packet client ${echo("request", "10.0.0.7", "10.0.0.1")}`,
      `frame client ${echo("request", "10.0.0.7", "10.0.0.1")}`,
      `packet router ${echo("request", "10.0.0.7", "10.0.0.1")}`,
      `packet router ${echo("reply", "10.0.0.1", "10.0.0.7")}`,
      `frame router ${echo("reply", "10.0.0.1", "10.0.0.7")}`,
      `packet client ${echo("reply", "10.0.0.1", "10.0.0.7")}`,
    ]);
    expect(events.filter((event) => event.kind === "frame").map((event) => event.arp)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
