/**
 * The seed's script with real namespaces: the machine's kernel has no VRF, and `vrfc up`, with one thread and with two, then the forwarder in C, is the router in the
 * middle. The system's own ping, traceroute and iperf3 ask.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Namespaces, type Place } from "./namespaces.ts";
import { WIDER } from "./policies.ts";
import { C, KERNEL, NODE, NODE_THREADS, type Running } from "./routers.ts";

/** Milliseconds in which even a busy machine has it running. */
const START = 90_000;
const ROUTERS = [NODE, NODE_THREADS, C].map((router) => ({ router, why: router.obstacle() }));
const without = (tool: string, option: string): boolean => spawnSync(tool, [option]).error !== undefined;
const noTraceroute = without("traceroute", "--version");
const noIperf = without("iperf3", "--version");
const FAR = ["10.0.1.7", "2001:db8:1::7"];

/** Bits a second of a TCP stream of a second to the right neighbour. */
async function tcpRate(namespaces: Namespaces, to: string): Promise<number> {
  const server = namespaces.spawn("right", "iperf3", "-s", "-1", "--forceflush");
  await new Promise((resolve) => server.stdout?.once("data", resolve));
  const said = await namespaces.during("left", "iperf3", "-J", "-t", "1", "--connect-timeout", "5000", "-c", to);
  server.kill();
  const report = JSON.parse(said) as {
    readonly error?: string;
    readonly end: { sum_received: { bits_per_second: number } };
  };
  if (report.error !== undefined) throw new Error(report.error);
  return report.end.sum_received.bits_per_second;
}
const gigabits = (rate: number): string => `${(rate / 1e9).toFixed(2)} Gbit/s`;

for (const { router, why } of ROUTERS)
  describe.skipIf(why !== null)(`${router.name}${why === null ? "" : ` (${why})`}`, () => {
    const namespaces = new Namespaces();
    const folder = mkdtempSync(join(tmpdir(), "vrfc-seed-"));
    const ping = (place: Place, ...args: string[]): string => namespaces.ping(place, ...args);
    let running: Running;

    beforeAll(async () => {
      namespaces.open();
      namespaces.ip("left", "addr add 2.2.2.2/32 dev lo");
      const file = join(folder, "policy.vrf");
      writeFileSync(file, WIDER);
      running = await router.start(namespaces, file);
    }, START);
    afterAll(async () => {
      running?.kill("SIGKILL");
      await running?.ended;
      namespaces.close();
      rmSync(folder, { recursive: true });
    });

    const withRoute = (place: Place, route: string, what: () => void): void => {
      namespaces.ip(place, `route add ${route}`);
      what();
      namespaces.ip(place, `route del ${route}`);
    };

    test("case 1: forwarded between two slaves", () => {
      expect(ping("left", "10.0.1.7")).toContain("64 bytes from 10.0.1.7: icmp_seq=1 ttl=63");
    });
    test("case 2: a neighbour pings the address of a slave", () => {
      expect(ping("left", "10.0.0.1")).toContain("from 10.0.0.1: icmp_seq=1 ttl=64");
      expect(ping("left", "10.0.1.1")).toContain("from 10.0.1.1: icmp_seq=1 ttl=64");
    });
    test.each(["vrf", "vethr1"])("case 3: sent by the host, bound to %s", (device) => {
      const said = ping("router", "10.0.0.7", "-I", device);
      expect(said).toContain(`from 10.0.0.1 ${device}`);
      expect(said).toContain("64 bytes from 10.0.0.7: icmp_seq=1 ttl=64");
      expect(said).not.toContain("DUP");
    });
    test.each([
      ["case 4: sent by the host, main routes to the VRF", "vrf"],
      ["case 5: sent by the host, main routes to a slave", "vethr1"],
    ])("%s", (_, device) => {
      withRoute("router", `10.0.0.0/24 dev ${device}`, () => {
        expect(ping("router", "10.0.0.7")).toContain("64 bytes from 10.0.0.7: icmp_seq=1 ttl=64");
      });
    });
    test.each(["vrf", "vethr1"])("case 6: sent from an address of the VRF, bound to %s", (device) => {
      const said = ping("router", "2.2.2.2", "-I", device);
      expect(said).toContain("64 bytes from 2.2.2.2: icmp_seq=1 ttl=64");
      expect(said).toContain(`from 1.1.1.1 ${device}`);
    });
    test("IPv6: forwarded, answered, sent by the host, hop limit run out", () => {
      expect(ping("left", "2001:db8:1::7")).toContain("from 2001:db8:1::7: icmp_seq=1 ttl=63");
      expect(ping("left", "2001:db8::1")).toContain("from 2001:db8::1: icmp_seq=1 ttl=64");
      for (const device of ["vrf", "vethr1"])
        expect(ping("router", "2001:db8::7", "-I", device)).toContain("from 2001:db8::7: icmp_seq=1 ttl=64");
      expect(ping("left", "2001:db8:1::7", "-t1")).toContain("From 2001:db8::1 icmp_seq=1 Time exceeded: Hop limit");
    });
    test("errors are told to who sent: no route, a neighbour that does not answer, a TTL that has run out", () => {
      expect(ping("left", "192.0.2.1")).toContain("From 10.0.0.1 icmp_seq=1 Destination Net Unreachable");
      expect(ping("left", "10.0.1.7", "-t1")).toContain("From 10.0.0.1 icmp_seq=1 Time to live exceeded");
      expect(ping("left", "10.0.1.99", "-W5")).toContain("From 10.0.0.1 icmp_seq=1 Destination Host Unreachable");
      expect(ping("router", "192.0.2.1", "-I", "vrf")).toContain("Destination Net Unreachable");
    });
    test("`prohibit` is said with its code", async () => {
      // An error empties the bucket of errors to its receiver, which gets one a second.
      await new Promise((resolve) => setTimeout(resolve, 1100));
      expect(ping("left", "10.0.2.1")).toContain("From 10.0.0.1 icmp_seq=1 Packet filtered");
    });
    test.each(FAR)("fragments to %s", (to) => {
      expect(ping("left", to, "-s5000")).toContain("5008 bytes from");
    });
    test.each(FAR)("ping -f -c 20000 %s loses nothing", async (to) => {
      expect(await namespaces.during("left", "ping", "-q", "-f", "-c", "20000", to)).toContain(
        "20000 packets transmitted, 20000 received, 0% packet loss",
      );
    });
    test.skipIf(noTraceroute).each([
      ["10.0.1.7", "10.0.0.1"],
      ["2001:db8:1::7", "2001:db8::1"],
    ])("traceroute to %s%s", (to, router) => {
      const { out } = namespaces.run("left", "traceroute", "-n", "-w2", "-q2", to);
      const hops = out
        .split("\n")
        .slice(1, 3)
        .map((line) => line.trim().split(/ +/)[1]);
      expect(hops).toEqual([router, to]);
    });
    const rates: string[] = [];
    test.skipIf(noIperf).each(FAR)("iperf3 to %s", async (to) => {
      const rate = await tcpRate(namespaces, to);
      expect(rate).toBeGreaterThan(0);
      rates.push(`to ${to} ${gigabits(rate)}`);
    });
    test("SIGTERM: it ends, and all that was done to the machine is undone", async () => {
      running.kill("SIGTERM");
      expect(await running.ended).toBe(0);
      expect(namespaces.ip("router", "-br link")).not.toMatch(/^vrf/m);
      for (const family of ["-4", "-6"]) {
        expect(namespaces.ip("router", `${family} rule`)).not.toContain("lookup 100");
        expect(namespaces.ip("router", `${family} route show table all`)).not.toContain("table 100");
        expect(namespaces.ip("router", `${family} neigh`)).not.toContain("02:76:00:00:00:00");
      }
    });
    test.skipIf(noIperf)("iperf3 through the kernel, for comparison", async () => {
      const kernel = await KERNEL.start(namespaces, "");
      for (const to of FAR) rates.push(`kernel to ${to} ${gigabits(await tcpRate(namespaces, to))}`);
      kernel.kill("SIGTERM");
      console.info(`TCP, ${router.name}: ${rates.join(", ")}`);
    });
  });
