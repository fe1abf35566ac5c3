/** The manifest in its module: what is written is read back, and nothing else is taken for one. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ABI_VERSION } from "../../runtime/abi/image.ts";
import {
  MANIFEST_SCHEMA,
  MANIFEST_SECTION,
  type Manifest,
  ManifestError,
  type ManifestErrorReason,
  type NetManifest,
  readManifest,
} from "../../runtime/manifest.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { writeArtifact } from "../../src/artifact.ts";
import { compile } from "../../src/compile.ts";
import { VERSION } from "../../src/version.ts";

/** (module) */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

const net: NetManifest = {
  name: "host",
  devices: [
    {
      ifindex: 1,
      name: "lo",
      kind: "loopback",
      mac: "00:00:00:00:00:00",
      mtu: 65536,
      up: true,
      master: 0,
      addresses: [{ address: "127.0.0.1", prefixLength: 8, scope: 254, secondary: false }],
      forwarding6: false,
      forwardsBroadcasts: false,
      anycast: [],
      peer: null,
    },
    {
      ifindex: 6,
      name: "vrf",
      kind: "vrf",
      mac: "02:00:00:00:00:06",
      mtu: 65575,
      up: true,
      master: 0,
      addresses: [{ address: "fe80::1", prefixLength: 64, scope: 253, secondary: false }],
      forwarding6: false,
      forwardsBroadcasts: false,
      anycast: [],
      peer: null,
    },
    {
      ifindex: 7,
      name: "vethr1",
      kind: "veth",
      mac: "02:00:00:00:00:07",
      mtu: 1500,
      up: false,
      master: 6,
      addresses: [],
      forwarding6: true,
      forwardsBroadcasts: false,
      anycast: ["2001:db8::"],
      peer: { net: 0, ifindex: 7 },
    },
  ],
  neighbours: [{ device: 7, address: "10.0.0.7", mac: "02:00:00:00:00:ff" }],
  prefsrcRoutes6: [2],
  onLinkRoutes6: [{ route: 3, address: "2001:db8::" }],
  sysctl: {
    tcpL3mdevAccept: false,
    udpL3mdevAccept: false,
    rawL3mdevAccept: true,
    ipDefaultTtl: 64,
    icmpEchoIgnoreAll: false,
    icmpEchoIgnoreBroadcasts: true,
    icmpErrorsUseInboundIfaddr: false,
  },
  tables: [
    { id: 100, name: "vrf", family: 4, structure: "linear", prefixes: 3 },
    { id: 254, name: "main", family: 6, structure: null, prefixes: 0 },
  ],
  rules: [{ kernel: "kernel: rule of every namespace" }, { span: [10, 20] }],
  routes: [{ span: [30, 44], file: [0, 7] }],
  lines: [],
  layout: { net: 64, neighbours: 512, counters: 256 },
  gatewayRules: [],
  gatewayRules6: [],
  chains: {
    counters: [
      { name: null, table: null },
      { name: "shared", table: "inet t" },
    ],
    sets: [{ name: "blocked", table: null, structure: "hash", elements: 12, map: null }],
    copies: false,
    xdp: [3],
  },
  cost: {
    ...{
      pass: 12345,
      again: 4000,
      passes: 2806,
      forwarded4: 3000,
      forwarded6: 4000,
      shortWay: null,
      copy: 4000,
      packetBytes: 2048,
    },
    points: [{ hook: "xdp", family: null, device: 3, instructions: 90, attached: [{ name: "p", instructions: 90 }] }],
  },
};

const MANIFEST: Manifest = {
  schema: MANIFEST_SCHEMA,
  abi: ABI_VERSION,
  vrfc: VERSION,
  kernel: "6.1",
  features: ["sign-extension", "multi-value", "bulk-memory"],
  memory: { heap: 4096, pages: null },
  networks: "fedcba9876543210".repeat(4),
  source: { name: "seed.vrf", sha256: "0123456789abcdef".repeat(4), files: ["rib.txt"] },
  nets: [net],
};

/** The reason for which a module is refused. */
function reasonOf(wasm: Uint8Array | WebAssembly.Module): ManifestErrorReason {
  try {
    readManifest(wasm);
  } catch (error) {
    if (error instanceof ManifestError) return error.reason;
    throw error;
  }
  throw new Error("the module was accepted");
}

/** A module whose manifest is any JSON. */
const holding = (value: unknown): Uint8Array => writeArtifact(EMPTY, value as Manifest);
/** MANIFEST with one value somewhere in it replaced. */
function changed(path: string, value: unknown): Uint8Array {
  const copy = JSON.parse(JSON.stringify(MANIFEST));
  const keys = path.split(".");
  const last = keys.pop()!;
  // biome-ignore lint/suspicious/noExplicitAny: walks down JSON
  keys.reduce((at: any, key) => at[key], copy)[last] = value;
  return holding(copy);
}

const section = (name: string, contents: Uint8Array): Uint8Array => {
  const label = new TextEncoder().encode(name);
  return Uint8Array.of(0, 1 + label.length + contents.length, label.length, ...label, ...contents);
};

describe("round trip", () => {
  it("from bytes and from a module", () => {
    const wasm = writeArtifact(EMPTY, MANIFEST);
    expect(readManifest(wasm)).toEqual(MANIFEST);
    expect(readManifest(new WebAssembly.Module(wasm))).toEqual(MANIFEST);
  });

  it("behind other sections, and before some", () => {
    const before = [...EMPTY, ...section("name", Uint8Array.of(1, 2, 3)), ...section("vrf", Uint8Array.of())];
    const wasm = Uint8Array.of(
      ...writeArtifact(Uint8Array.from(before), MANIFEST),
      ...section("vrfcx", Uint8Array.of(9)),
    );
    expect(readManifest(wasm)).toEqual(MANIFEST);
  });

  const name = fc.string({ unit: "grapheme", maxLength: 300 });
  const ipText = fc.oneof(fc.nat(0xffffffff).map(formatIp), fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(formatIp));
  const anyNet = fc.record({
    name,
    address: ipText,
    mac: fc.nat(2 ** 48 - 1).map(formatMac),
    kernel: name,
    tables: fc.array(fc.record({ id: fc.nat(0xffffffff), name }), { maxLength: 300 }),
  });

  it("of any names, addresses and sizes", () => {
    const property = fc.property(fc.array(anyNet, { maxLength: 4 }), name, (nets, file) => {
      const manifest: Manifest = {
        ...MANIFEST,
        source: { ...MANIFEST.source, name: file },
        nets: nets.map((random) => ({
          ...net,
          name: random.name,
          neighbours: [{ device: 7, address: random.address, mac: random.mac }],
          rules: [{ kernel: random.kernel }],
          tables: random.tables.map((table) => ({ ...net.tables[0], ...table })),
        })),
      };
      const wasm = writeArtifact(EMPTY, manifest);
      expect(readManifest(wasm)).toEqual(manifest);
      expect(readManifest(new WebAssembly.Module(wasm))).toEqual(manifest);
    });
    fc.assert(property, { numRuns: 100 });
  });
});

describe("refused", () => {
  it.each<[string, ManifestErrorReason, Uint8Array]>([
    ["no bytes", "not-wasm", new Uint8Array()],
    ["text", "not-wasm", new TextEncoder().encode("namespace host {}")],
    ["another version of WebAssembly", "not-wasm", Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0)],
    ["a section longer than the file", "not-wasm", Uint8Array.of(...EMPTY, 0, 100, 1)],
    ["a length that does not end", "not-wasm", Uint8Array.of(...EMPTY, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)],
    ["a name longer than its section", "not-wasm", Uint8Array.of(...EMPTY, 0, 2, 9, 0x76)],
    ["a module from elsewhere", "no-manifest", EMPTY],
    ["two manifests", "several-manifests", writeArtifact(writeArtifact(EMPTY, MANIFEST), MANIFEST)],
    ["no JSON", "malformed-json", Uint8Array.of(...EMPTY, ...section(MANIFEST_SECTION, Uint8Array.of(0x7b)))],
    [
      "no UTF-8",
      "malformed-json",
      Uint8Array.of(...EMPTY, ...section(MANIFEST_SECTION, Uint8Array.of(0x22, 0xff, 0x22))),
    ],
    ["null", "malformed-manifest", holding(null)],
    ["a list", "malformed-manifest", holding([])],
    ["another ABI, whatever else it says", "wrong-abi", holding({ abi: ABI_VERSION + 1 })],
    ["an ABI that is no number", "malformed-manifest", changed("abi", "1")],
    ["another schema", "malformed-manifest", changed("schema", "vrfc.manifest/2")],
    ["a feature that is not known", "unknown-feature", changed("features", ["exceptions"])],
  ])("%s: %s", (_, reason, wasm) => {
    expect(reasonOf(wasm)).toBe(reason);
  });

  it.each<[string, unknown]>([
    ["memory.heap", -1],
    ["source.sha256", "abc"],
    ["source.files", "rib.txt"],
    ["nets", {}],
    ["nets.0.devices.0.ifindex", 0],
    ["nets.0.devices.0.kind", "bridge"],
    ["nets.0.devices.0.mac", "00:00"],
    ["nets.0.devices.0.up", 1],
    ["nets.0.devices.0.addresses.0.address", "10.0.0"],
    ["nets.0.devices.0.addresses.0.prefixLength", 33],
    ["nets.0.devices.2.master", 99],
    ["nets.0.devices.2.peer", { net: 3, ifindex: 1 }],
    ["nets.0.devices.2.peer", { net: 0, ifindex: 99 }],
    ["nets.0.neighbours.0.device", 99],
    ["nets.0.sysctl.ipDefaultTtl", 0],
    ["nets.0.sysctl.rawL3mdevAccept", undefined],
    ["nets.0.tables.0.structure", "hash"],
    ["nets.0.tables.0.prefixes", 1.5],
    ["nets.0.rules.1.span", [1]],
    ["nets.0.routes.0.file", [1, 7]],
    ["nets.0.layout.neighbours", 4096],
    ["nets.0.cost.pass", null],
    ["nets.0.cost.points.0.hook", "nowhere"],
    ["nets.0.cost.points.0.attached.0.instructions", -1],
  ])("%s = %j, with its path in the message", (path, value) => {
    const wasm = changed(path, value);
    expect(reasonOf(wasm)).toBe("malformed-manifest");
    const shown = path.replace(/\.(\d+)/g, "[$1]");
    expect(() => readManifest(wasm)).toThrow(`manifest.${shown}`);
  });

  it("any field missing", () => {
    const missing = ["schema", "abi", "vrfc", "kernel", "features", "memory", "source", "nets"];
    expect(missing.map((path) => reasonOf(changed(path, undefined)))).toEqual(missing.map(() => "malformed-manifest"));
  });

  it("fields that nobody knows yet are let be", () => {
    expect(readManifest(changed("nets.0.later", 1))).toMatchObject({ abi: ABI_VERSION });
  });
});

describe("corrupted bytes", () => {
  const artifact = writeArtifact(EMPTY, MANIFEST);
  /** Accepted or refused with the one error; never anything else. */
  const judged = (bytes: Uint8Array): boolean => {
    try {
      readManifest(bytes);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(ManifestError);
      return false;
    }
  };

  it("changed anywhere", () => {
    const change = fc.tuple(fc.nat(artifact.length - 1), fc.nat(255));
    const property = fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
      const bytes = artifact.slice();
      for (const [at, value] of changes) bytes[at] = value;
      judged(bytes);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it("cut off anywhere: refused", () => {
    for (let length = 0; length < artifact.length; length++) expect(judged(artifact.subarray(0, length))).toBe(false);
  });

  it("any bytes, with the right beginning or not", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(judged(bytes)).toBe(false);
      judged(Uint8Array.of(...EMPTY, ...bytes));
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it("any JSON in the section: refused", () => {
    const property = fc.property(fc.json({ maxDepth: 4 }), (json) => {
      expect(judged(holding(JSON.parse(json)))).toBe(false);
    });
    fc.assert(property, { numRuns: 500 });
  });
});

describe("of the seed's network", () => {
  const text = readFileSync(new URL("../../examples/seed.vrf", import.meta.url), "utf8");

  it("says what is in the module", async () => {
    const { artifact, model } = await compile({ name: "seed.vrf", text }, { level: 0 });
    const manifest = readManifest(artifact!);
    expect(manifest.source.name).toBe("seed.vrf");
    expect(manifest.source.sha256).toBe(createHash("sha256").update(text).digest("hex"));
    for (const [i, { name, tables, rules, routes, devices, cost }] of manifest.nets.entries()) {
      const own = model!.nets[i];
      expect(name).toBe(own.name);
      expect(devices.map(({ ifindex }) => ifindex)).toEqual(own.devices.map(({ ifindex }) => ifindex));
      expect([rules.length, routes.length]).toEqual([own.rules.length, own.routes.length]);
      expect(tables.reduce((sum, { prefixes }) => sum + prefixes, 0)).toBeGreaterThan(0);
      expect(cost.pass).toBeGreaterThan(1000);
    }
  });

  it("spans point at the lines that said it", async () => {
    const { manifest, model } = await compile({ name: "seed.vrf", text }, { level: 0 });
    const said = model!.nets.flatMap(({ index, routes }) => {
      const own = routes.filter(({ origin }) => origin.span !== undefined && origin.kernel === undefined);
      return own.map(({ id }) => manifest!.nets[index].routes[id].span!);
    });
    expect(said.length).toBeGreaterThan(0);
    for (const [start, end] of said) expect(text.slice(start, end)).toMatch(/^route /);
  });
});

it("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(VERSION).toBe(version);
});
