/** `vrfc up` between real devices, with the kernel's own stacks and the system's own `ping` around it. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MAIN, Namespaces, obstacle, type Place } from "./namespaces.ts";
import { WIDER } from "./policies.ts";
import { type Program, vrfcUp } from "./routers.ts";

const SEED = readFileSync("examples/seed.vrf", "utf8");

/** Milliseconds in which even a busy machine has it running. */
const START = 60_000;
const why = obstacle();

describe.skipIf(why !== null)(`vrfc up${why === null ? "" : ` (${why})`}`, () => {
  const namespaces = new Namespaces();
  const folder = mkdtempSync(join(tmpdir(), "vrfc-up-"));
  const file = join(folder, "policy.vrf");
  const control = join(folder, "control.sock");
  let up: Program;

  beforeAll(async () => {
    namespaces.open();
    namespaces.ip("left", "addr add 2.2.2.2/32 dev lo");
    writeFileSync(file, SEED);
    up = await vrfcUp(namespaces, file, control, "-O", "0");
  }, START);
  afterAll(async () => {
    up?.kill("SIGKILL");
    await up?.ended;
    namespaces.close();
    rmSync(folder, { recursive: true });
  });

  const ping = (place: Place, ...args: string[]): string => namespaces.ping(place, ...args);
  const vrfc = (...args: string[]): Promise<{ status: number | null; out: string }> =>
    new Promise((resolve) => {
      let out = "";
      const child = spawn(process.execPath, [MAIN, ...args, "--control", control]);
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text) => {
          out += text;
        });
      child.once("close", (status) => resolve({ status, out }));
    });
  test("case 1: forwarded between two slaves", () => {
    expect(ping("left", "10.0.1.7")).toContain("64 bytes from 10.0.1.7: icmp_seq=1 ttl=63");
  });
  test("a file with errors is not taken: the old policy stays, and who asked sees why", async () => {
    writeFileSync(file, "vrf vrf { tabel 100 }\n");
    const { status, out } = await vrfc("reload");
    expect(status).toBe(1);
    expect(out).toContain("vrf vrf { tabel 100 }");
    expect(up.out).toContain("not reloaded, the policy stays as it was");
    expect(ping("left", "10.0.1.7")).toContain("ttl=63");
  });

  test("nor is an empty one, as a file is for a moment that is being written", async () => {
    writeFileSync(file, "");
    const { status, out } = await vrfc("reload");
    expect({ status, out }).toEqual({ status: 1, out: "namespace host has no interface\n" });
    expect(ping("left", "10.0.1.7")).toContain("ttl=63");
  });

  describe("after a reload with more in it", () => {
    beforeAll(async () => {
      writeFileSync(file, WIDER);
      expect(await vrfc("reload")).toEqual({ status: 0, out: "" });
    }, START);

    test.each(["10.0.1.7", "2001:db8:1::7"])(
      "ping -f to %s, while the file is read anew, loses nothing",
      async (to) => {
        const flood = namespaces.spawn("left", "ping", "-q", "-f", "-c", "2000", to);
        let said = "";
        flood.stdout?.setEncoding("utf8").on("data", (text) => {
          said += text;
        });
        const done = new Promise((resolve) => flood.once("close", resolve));
        const before = up.out.split("reloaded").length;
        up.kill("SIGHUP");
        await done;
        expect(said).toContain("2000 packets transmitted, 2000 received, 0% packet loss");
        await up.said("reloaded", before);
      },
    );
    test("TCP, with frames that its sender left to be cut: every byte arrives", async () => {
      const bytes = 4_000_000;
      const server = `require("net").createServer((s) => { let n = 0; s.on("data", (d) => { n += d.length; })
        .on("end", () => { console.log("got", n); process.exit(); }); }).listen(7, "10.0.1.7", () => console.log("ready"))`;
      const right = namespaces.spawn("right", process.execPath, "-e", server);
      let said = "";
      const ready = new Promise<void>((resolve) => {
        right.stdout?.setEncoding("utf8").on("data", (text) => {
          said += text;
          if (said.includes("ready")) resolve();
        });
      });
      await ready;
      const client = `const s = require("net").connect(7, "10.0.1.7", () => s.end(Buffer.alloc(${bytes}, 1)))`;
      const left = namespaces.spawn("left", process.execPath, "-e", client);
      await new Promise((resolve) => right.once("close", resolve));
      left.kill();
      expect(said).toContain(`got ${bytes}`);
    });
    test("a server of this machine, bound to the VRF, and a client of its own", async () => {
      const echo = `const s = require("dgram").createSocket("udp4"); s.on("message", (m, from) => s.send(m, from.port, from.address));
        s.bind(9, "10.0.0.7", () => console.log("ready"))`;
      const left = namespaces.spawn("left", process.execPath, "-e", echo);
      await new Promise((resolve) => left.stdout?.once("data", resolve));
      // Node has no SO_BINDTODEVICE: main leads into the VRF, as in case 4.
      namespaces.ip("router", "route add 10.0.0.0/24 dev vrf");
      const ask = `const s = require("dgram").createSocket("udp4"); s.on("message", (m) => { console.log("heard " + m); process.exit(); });
        s.send("hello", 9, "10.0.0.7"); setTimeout(() => process.exit(1), 5000)`;
      expect(namespaces.run("router", process.execPath, "-e", ask).out).toContain("heard hello");
      namespaces.ip("router", "route del 10.0.0.0/24 dev vrf");
      left.kill();
    });
    test("`top` says what is counted: by device, hook, verdict, reason of a drop, rule and route", async () => {
      const dropped = "chain counted { type filter hook forward priority 0; udp dport 4242 drop;";
      writeFileSync(file, WIDER.replace(/chain counted \{[^;]*;/, dropped));
      expect(await vrfc("reload")).toEqual({ status: 0, out: "" });
      const datagram = `const s = require("dgram").createSocket("udp4"); s.send("x", 4242, "10.0.1.7", () => s.close())`;
      expect(namespaces.run("left", process.execPath, "-e", datagram).status).toBe(0);
      const { status, out } = await vrfc("top", "--count", "1");
      expect(status).toBe(0);
      expect(out).toMatch(/^vethr1 +\d+ +\d+\.\d\d +\d+ +\d+\.\d\d +0$/m);
      expect(out).toMatch(/^forward +\d+ +\d{4,}$/m);
      expect(out).toMatch(/^TRANSMIT +\d+ +\d{4,}$/m);
      expect(out).toMatch(/^NETFILTER_DROP +\d+ +1$/m);
      expect(out).toMatch(/^echoes +\d+ +\d{4,}$/m);
      expect(out).toMatch(/^10\.0\.1\.0\/24 dev vethr2 table vrf +\d+ +\d{4,}$/m);
      const { out: json } = await vrfc("top", "--json");
      expect(JSON.parse(json)).toMatchObject({ schema: "vrfc.counters/1", rules: [{ name: "echoes" }] });
    });
  });

  test("a second one at the same place is refused; so is a file whose devices are not here", async () => {
    const other = join(folder, "other.vrf");
    writeFileSync(other, "vrf red { table 10 }\ninterface eth99 { master red; address 10.9.0.1/24 }\n");
    const second = namespaces.run("router", process.execPath, MAIN, "up", file, "-O", "0", "--control", control);
    expect(second.out).toContain(`another forwarder listens at ${control}`);
    expect(second.status).toBe(2);
    expect(await vrfc("up", other)).toEqual({
      status: 2,
      out: "vrfc: no device eth99 on this machine, in this network namespace\n",
    });
  });
  test("a number of threads that there cannot be is refused", async () => {
    const { status, out } = await vrfc("up", file, "--threads", "0");
    expect(status).toBe(2);
    expect(out).toContain("--threads");
  });
  test("SIGTERM: all that was done to the machine is undone", async () => {
    up.kill("SIGTERM");
    expect(await up.ended).toBe(0);
    expect(up.out).toContain("stopped");
    expect(namespaces.ip("router", "-br link")).not.toMatch(/^vrf/m);
    for (const family of ["-4", "-6"]) {
      expect(namespaces.ip("router", `${family} rule`)).not.toContain("lookup 100");
      expect(namespaces.ip("router", `${family} route show table all`)).not.toContain("table 100");
    }
    const { status, out } = await vrfc("top");
    expect(out).toContain("no forwarder listens at");
    expect(status).toBe(2);
  });
});
