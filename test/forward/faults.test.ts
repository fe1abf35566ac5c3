/**
 * What goes wrong on a real network, done to each forwarder while it runs. With VRFC_LONG=1 the runs under load are as long as they
 * should be: policies exchanged for a minute, memory watched for two.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask } from "../../src/forward/control.ts";
import type { DeviceCounters } from "../../src/forward/counters.ts";
import { MAIN, Namespaces } from "./namespaces.ts";
import { WIDER } from "./policies.ts";
import { C, NODE, NODE_THREADS, Program, QUICK, type Running, vrfcUp } from "./routers.ts";
import { type Delivered, TRAFFIC_ROUTES, Traffic, trafficObstacle } from "./traffic.ts";

const LONG = process.env.VRFC_LONG === "1";
const MEMORY_MS = LONG ? 120_000 : 4_000;
const RELOAD_MS = LONG ? 60_000 : 4_000;
/** Milliseconds in which even a busy machine has it running. */
const START = 90_000;
const POLICY = WIDER + TRAFFIC_ROUTES;
/** Packets a second that even a busy machine forwards. */
const RATE = 10_000;

for (const router of [NODE, NODE_THREADS, C]) {
  const why = router.obstacle() ?? trafficObstacle();
  describe.skipIf(why !== null)(`${router.name}${why === null ? "" : ` (${why})`}`, () => {
    const namespaces = new Namespaces();
    const folder = mkdtempSync(join(tmpdir(), "vrfc-faults-"));
    const file = join(folder, "policy.vrf");
    let running: Running;
    let traffic: Traffic;

    beforeAll(async () => {
      namespaces.open();
      writeFileSync(file, POLICY);
      traffic = new Traffic(folder);
      running = await router.start(namespaces, file, QUICK);
    }, START);
    afterAll(async () => {
      running?.kill("SIGKILL");
      await running?.ended;
      namespaces.close();
      rmSync(folder, { recursive: true });
    });
    const forwards = (...args: string[]): void =>
      expect(namespaces.ping("left", "10.0.1.7", ...args)).toContain("ttl=63");

    test("a neighbour changes its link-layer address, and says so by asking", () => {
      forwards();
      namespaces.ip("right", "link set veth2 address 02:00:00:00:99:99");
      namespaces.run("right", "ping", "-c1", "-W2", "10.0.1.1");
      forwards();
    });
    test("a device vanishes and returns", async () => {
      namespaces.ip("router", "link del vethr2");
      expect(namespaces.ping("left", "10.0.0.1")).toContain("ttl=64");
      namespaces.wire("right", "veth2", "vethr2", "10.0.1", "2001:db8:1:");
      await expect.poll(() => namespaces.ping("left", "10.0.1.7"), { timeout: 20_000 }).toContain("ttl=63");
      expect(namespaces.ping("router", "10.0.1.7", "-I", "vethr2")).toContain("ttl=64");
    });
    test(
      "frames of every length from 0 to 65,535, packets and random bytes",
      async () => {
        for (const [place, device] of [
          ["left", "veth1"],
          ["router", "vethr1"],
        ] as const)
          namespaces.ip(place, `link set ${device} mtu 65535`);
        const { sent, refused } = await traffic.lengths(namespaces, LONG ? 1 : 7);
        expect(sent).toBeGreaterThan(100 * refused);
        forwards("-W5");
        forwards("-s", "1400");
        expect(running.out).not.toMatch(/Error|error/);
      },
      START,
    );
    test(
      `memory stays flat under load for ${MEMORY_MS / 1000} s, and nothing is lost`,
      async () => {
        const load = { bytes: 60, rate: RATE, ways: 2 } as const;
        await traffic.load(namespaces, { ...load, milliseconds: MEMORY_MS / 4 });
        const before = memory(running.pid);
        expectAll(await traffic.load(namespaces, { ...load, milliseconds: MEMORY_MS }));
        expect(memory(running.pid) - before).toBeLessThan(24 * 2 ** 20);
      },
      3 * MEMORY_MS + START,
    );
    test(
      "SIGKILL: the kernel has its devices back, and the next one takes over what was left",
      async () => {
        running.kill("SIGKILL");
        expect(await running.ended).toBeNull();
        expect(namespaces.ip("router", "-br link")).not.toMatch(/^vrf/m);
        running = await router.start(namespaces, file, QUICK);
        forwards();
        expect(namespaces.ping("router", "10.0.0.7", "-I", "vrf")).toContain("ttl=64");
      },
      START,
    );
  });
}

/** Every packet came once, to where it was sent, and in its flow's order. */
const expectAll = ({ sent, received, strange, duplicates, reordered, unseen }: Delivered): void =>
  expect({ received, strange, duplicates, reordered, unseen }).toEqual({
    received: sent,
    strange: 0,
    duplicates: 0,
    reordered: 0,
    unseen: 0,
  });

const total = (devices: readonly DeviceCounters[], counter: string): number =>
  devices.reduce((sum, device) => sum + device[counter as "rxPackets"], 0);

/** Bytes of a process that are in memory. */
const memory = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;

const why = NODE.obstacle() ?? trafficObstacle();
test.skipIf(why !== null).each(["1", "2"])(
  `vrfc up --threads %s: another policy every 100 ms for ${RELOAD_MS / 1000} s, and no packet is lost or goes astray${why === null ? "" : ` (${why})`}`,
  async (threads) => {
    const namespaces = new Namespaces();
    const folder = mkdtempSync(join(tmpdir(), "vrfc-reload-"));
    const file = join(folder, "policy.vrf");
    const policies = [POLICY, POLICY.replace("10.0.2.0/24", "10.0.3.0/24")];
    try {
      namespaces.open();
      writeFileSync(file, POLICY);
      const traffic = new Traffic(folder);
      const control = join(folder, "control.sock");
      const up = await vrfcUp(namespaces, file, control, "-O", "0", "--threads", threads);
      // Packets to a neighbour that is not known yet wait for it, but not many.
      expect(namespaces.ping("left", "10.0.1.7")).toContain("ttl=63");
      let done = false;
      const load = traffic.load(namespaces, { bytes: 60, rate: RATE, milliseconds: RELOAD_MS, ways: 2 }).finally(() => {
        done = true;
      });
      for (let i = 1; !done; i++) {
        // At once, as editors do: half a file would be another policy.
        writeFileSync(`${file}.new`, policies[i % 2]);
        renameSync(`${file}.new`, file);
        up.kill("SIGHUP");
        await sleep(100);
      }
      const delivered = await load;
      expectAll(delivered);
      // What was counted stays, of all threads and policies.
      const { devices, verdicts } = (await ask(control, { command: "counters" })).reading!;
      for (const sum of [verdicts.TRANSMIT, ...["rxPackets", "txPackets"].map((counter) => total(devices, counter))]) {
        expect(sum).toBeGreaterThanOrEqual(delivered.sent);
        expect(sum).toBeLessThan(delivered.sent + 200);
      }
      const exchanged = up.out.split("reloaded").length - 1;
      console.info(`policies exchanged in ${RELOAD_MS / 1000} s: ${exchanged}`);
      expect(exchanged).toBeGreaterThan(RELOAD_MS / 2000);
      up.kill("SIGTERM");
      expect(await up.ended).toBe(0);
    } finally {
      namespaces.close();
      rmSync(folder, { recursive: true });
    }
  },
  RELOAD_MS + START,
);

/** Loaded before `vrfc up`: at SIGUSR2 its helping threads are ended, as a fault would end them. */
const ENDING_HELPERS = `
import { createRequire, syncBuiltinESMExports } from "node:module";
const threads = createRequire("/")("worker_threads");
threads.Worker = class extends threads.Worker {
  constructor(file, options) {
    super(file, options);
    if (String(file).endsWith("helper.js")) process.once("SIGUSR2", () => this.terminate());
  }
};
syncBuiltinESMExports();`;

const without = NODE.obstacle();
test.skipIf(without !== null)(
  `vrfc up --threads 2: a thread dies, all end and say so, and the machine is as it was${without === null ? "" : ` (${without})`}`,
  async () => {
    const namespaces = new Namespaces();
    const folder = mkdtempSync(join(tmpdir(), "vrfc-dies-"));
    const file = join(folder, "policy.vrf");
    try {
      namespaces.open();
      writeFileSync(file, POLICY);
      const preload = `data:text/javascript,${encodeURIComponent(ENDING_HELPERS)}`;
      const up = [MAIN, "up", file, "--control", `${file}.sock`, "-O", "0", "--threads", "2"];
      const running = new Program(namespaces, process.execPath, "--import", preload, ...up);
      await running.said("counters:");
      expect(namespaces.ping("left", "10.0.1.7")).toContain("ttl=63");
      expect(namespaces.ip("router", "-br link")).toMatch(/^vrf/m);
      running.kill("SIGUSR2");
      expect(await running.ended).toBe(2);
      expect(running.out).toContain("thread 1 has ended");
      expect(namespaces.ip("router", "-br link")).not.toMatch(/^vrf/m);
      // The same threads again, with nothing in the way.
      const next = await NODE_THREADS.start(namespaces, file, QUICK);
      expect(namespaces.ping("left", "10.0.1.7")).toContain("ttl=63");
      next.kill("SIGTERM");
      expect(await next.ended).toBe(0);
    } finally {
      namespaces.close();
      rmSync(folder, { recursive: true });
    }
  },
  START,
);
