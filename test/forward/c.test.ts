/** The forwarder in C refuses what it cannot do, and says why. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cNetwork } from "../../src/c-network.ts";
import { compile } from "../../src/compile.ts";
import { makeTranslated } from "../embed/translated.ts";
import { Namespaces } from "./namespaces.ts";
import { C } from "./routers.ts";

const why = C.obstacle();

describe.skipIf(why !== null)(`the forwarder in C refuses${why === null ? "" : ` (${why})`}`, () => {
  const namespaces = new Namespaces();
  const folder = mkdtempSync(join(tmpdir(), "vrfc-forwarder-c-"));
  beforeAll(async () => {
    namespaces.open();
    const source = { name: "seed.vrf", text: readFileSync("examples/seed.vrf", "utf8") };
    const { artifact, model } = await compile(source, { level: 0 });
    makeTranslated(folder, { wasm: artifact!, names: cNetwork(model!) }, "-O0", "forwarder");
  }, 90_000);
  afterAll(() => {
    namespaces.close();
    rmSync(folder, { recursive: true });
  });
  const run = (...args: string[]) => namespaces.run("router", join(folder, "forwarder"), ...args);

  test.each([
    [["-n", "nowhere"], "the network has no namespace nowhere"],
    [["-n", "host", "eth9"], "namespace host has no device eth9"],
    [["vrf"], "vrf is a VRF or a loopback"],
    [["-x"], "an option that there is not"],
  ])("%j, as wrong use, and lists what there is", (args, reason) => {
    const { status, out } = run(...args);
    expect(status).toBe(2);
    expect(out).toContain(reason);
    expect(out).toContain("  host: lo vrf vethr1 vethr2\n");
  });
  test.each([
    [["-n", "ns0"], "veth1 is not on this machine, in this network namespace"],
    [["vethr1", "vethr2"], "vethr1 is down"],
  ])("%j, which the machine cannot", (args, reason) => {
    namespaces.ip("router", "link set vethr1 down");
    const { status, out } = run(...args);
    namespaces.ip("router", "link set vethr1 up");
    expect({ status, isSaid: out.includes(reason) }).toEqual({ status: 1, isSaid: true });
    expect(namespaces.ip("router", "-br link")).not.toMatch(/^vrf/m);
  });
});
