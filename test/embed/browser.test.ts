/**
 * Headless Chromium: examples/browser as it is after it has run what its address asks for, and the runtime in workers: of both kinds, and
 * of several threads over one memory.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import { POLICY } from "../threads/network.ts";
import { transpiled } from "../transpiled.ts";
import { Chromium, isThere } from "./chromium.ts";

/** Beside the example, where the runtime is in their reach. */
const PAGES = ["workers.html", "worker.js", "thread.js"];

describe.skipIf(!isThere)(`in a browser${isThere ? "" : " (no chromium here)"}`, () => {
  let chromium: Chromium;
  let folder: string;
  let server: ChildProcess;
  let address: string;
  beforeAll(async () => {
    // As a checkout is after `npm run build` and `vrfc compile`.
    folder = transpiled();
    mkdirSync(join(folder, "dist"));
    cpSync(join(folder, "runtime"), join(folder, "dist/runtime"), { recursive: true });
    for (const path of ["examples/browser", "examples/seed.vrf"]) cpSync(path, join(folder, path), { recursive: true });
    const seed = { name: "seed.vrf", text: readFileSync("examples/seed.vrf", "utf8") };
    writeFileSync(join(folder, "examples/browser/seed.wasm"), (await compile(seed, { level: 0 })).artifact!);
    const threads = await compile({ name: "threads.vrf", text: POLICY }, { level: 0, threads: true });
    writeFileSync(join(folder, "examples/browser/threads.wasm"), threads.artifact!);
    for (const name of PAGES) cpSync(`test/embed/pages/${name}`, join(folder, "examples/browser", name));
    server = spawn(process.execPath, [join(folder, "examples/browser/serve.js"), "0"]);
    chromium = new Chromium();
    address = await new Promise((resolve) => server.stdout!.once("data", (line) => resolve(`${line}`.trim())));
  }, 60_000);
  afterAll(async () => {
    await chromium?.close();
    server?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The example's text when it has run the commands. */
  const page = (words: string, ...commands: string[]): Promise<string> =>
    chromium.textOf(`${address}?${new URLSearchParams(commands.map((command) => ["run", command]))}`, words);

  test("loads the seed, pings, and shows the walk", async () => {
    const text = await page("rtt min");
    expect(text).toContain("64 bytes from 10.0.1.7: icmp_seq=1 ttl=63");
    expect(text).toContain("host: icmp echo request 10.0.0.7 > 10.0.1.7 ttl 64 id 1 seq 1 vethr1");
    expect(text).toMatch(/table vrf found .*, line 21 /);
    expect(text).toContain("forward ttl 64 → 63");
  }, 60_000);

  test("workers, module and classic, load the bytes; threads share a memory that the page changes", async () => {
    const text = await chromium.textOf(address.replace("index.html", "workers.html"), "thread:");
    expect(text).toContain("module worker: host, ns0, ns1");
    expect(text).toContain("classic worker: host, ns0, ns1");
    expect(text).toContain("thread: ICMP_ERROR UNRESOLVED");
  }, 60_000);

  test("changes routes while it runs, and says what is refused", async () => {
    const route = "ip route add 10.9.0.0/16 via 10.0.1.7 table 100";
    expect(await page("received", "ns0: ping 10.9.9.9")).toContain("0 received");
    const after = await page("received", `host: ${route}`, "ns0: ping 10.9.9.9");
    expect(after).toMatch(/found: added since .* via 10\.0\.1\.7 dev vethr2 .* sent vethr2/);
    expect(await page("answers", `host: ${route}`, `host: ${route}`)).toContain("RTNETLINK answers: File exists");
    expect(await page("say:", "ns0: ping nowhere")).toContain("say: ping ADDRESS");
  }, 120_000);
});
