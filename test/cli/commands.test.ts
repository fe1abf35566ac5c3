/** Each command as a user runs it: what it prints, where, and its exit status. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { load } from "../../runtime/dataplane.ts";
import { loadProgram } from "../../runtime/links/manifest.ts";
import { main } from "../../src/cli/cli.ts";

const SEED = "examples/seed.vrf";
const SEED6 = "examples/seed6.vrf";
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "vrfc-"));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function vrfc(...argv: string[]): Promise<Outcome> {
  let out = "";
  let err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += text;
    return true;
  });
  vi.spyOn(console, "log").mockImplementation((text) => {
    out += `${text}\n`;
  });
  vi.spyOn(console, "info").mockImplementation((text) => {
    out += `${text}\n`;
  });
  vi.spyOn(console, "error").mockImplementation((text) => {
    err += `${text}\n`;
  });
  const status = await main(argv);
  vi.restoreAllMocks();
  return { status, out, err };
}

/** A file with this text; its path. */
function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("wrong use exits with 2 and says what is right", () => {
  test.each([
    [["chek", SEED], "no command `chek`; did you mean `check`?"],
    [["check"], "no file given"],
    [["check", "nowhere.vrf"], "cannot read nowhere.vrf: no such file"],
    [["check", SEED, "--kernel", "2.4"], "--kernel 2.4: expected one of 5.4, 6.1, 6.15"],
    [["check", SEED, "--color", "red"], "--color red: expected auto, always or never"],
    [["check", "--explain", "E9999"], "--explain E9999: no such diagnostic"],
    [["check", SEED, "--nope"], "Unknown option `--nope`"],
    [["dump", SEED], "dump needs --stage"],
    [["dump", SEED, "--stage", "ssa"], "--stage ssa: expected one of ast, model, fib, plan, layout, wat"],
    [["compile", SEED, "-O", "3"], "--optimize 3: expected one of 0, 1, 2"],
    [["compile", SEED, "--program", "nobody"], "--program: no program and no base chain nobody in this text"],
    [["compile", SEED, "-o", "no/where/at/all.wasm"], "cannot write no/where/at/all.wasm"],
    [["explain", SEED, "in vethr9 10.0.0.7 > 10.0.1.7"], "no device `vethr9`; there are lo, vrf, vethr1, vethr2"],
    [
      ["explain", SEED, "in lo 10.0.0.7 > 10.0.1.7"],
      "host and ns0 and ns1 have a device `lo`: say which with --namespace",
    ],
    [["explain", SEED, "in vethr1 10.0.0.7"], "expected `>`"],
    [["ping", SEED, "10.0.0.7", "--from", "ns7"], "no namespace `ns7`; there are host, ns0, ns1"],
    [["ping", SEED, "10.0.0.7", "-I", "vethr9"], "-I vethr9: namespace host has no such device"],
    [
      ["ping", SEED6, "2001:db8::7", "-I", "10.0.0.1"],
      "-I 10.0.0.1: an address of another family than the destination",
    ],
    [["ping", SEED, "10.0.0"], "`10.0.0` is not an address"],
    [["ping", SEED, "10.0.0.7", "-t", "0"], "--ttl 0: expected a number from 1 to 255"],
    [["ping", SEED, "10.0.0.7", "--engine", "kernel"], "--engine kernel: expected one of compiled, reference"],
    [["replay", SEED], "not JSON"],
    [["up", "-"], "up needs a file that it can read again"],
    [["top", "--control", "/nowhere/at/all.sock"], "no forwarder listens at /nowhere/at/all.sock"],
    [["top", "--interval", "0"], "--interval 0: expected a number from 1 to 3600"],
    [["reload", "--control", "/nowhere/at/all.sock"], "no forwarder listens at /nowhere/at/all.sock"],
  ])("vrfc %j", async (argv, message) => {
    const { status, out, err } = await vrfc(...argv);
    expect(err).toContain(message);
    expect({ status, out }).toEqual({ status: 2, out: "" });
  });
  test("no command at all", async () => {
    const { status, out } = await vrfc();
    expect(status).toBe(2);
    for (const command of [
      "check",
      "fmt",
      "compile",
      "dump",
      "import",
      "explain",
      "ping",
      "test",
      "replay",
      "up",
      "reload",
      "top",
    ])
      expect(out).toContain(`\n  ${command} `);
  });
  test.each([
    ["[1]", "[0]: expected a scenario, an object"],
    ["{}", "expected a list of scenarios"],
    ['[{"name": 1}]', "[0].name: expected a string"],
    ['[{"name": "a", "pings": "ping"}]', "[0].pings: expected a list of commands"],
    ['[{"name": "a", "queries": [{}]}]', "[0].queries: expected a list of look-ups with a `dst`"],
    ["\x1f\x8bnonsense", "damaged gzip data"],
  ])("replay of %j", async (text, message) => {
    const { status, err } = await vrfc("replay", file("scenarios.json", Buffer.from(text, "latin1")));
    expect(err).toContain(message);
    expect(status).toBe(2);
  });
});

describe("check", () => {
  test("a note is no finding", async () => {
    const { status, out } = await vrfc("check", SEED);
    expect(out).toContain("note[W0310]: VRF `vrf` has no default route");
    expect(status).toBe(0);
  });
  test("errors are findings, with place, carets and help; one does not hide the next", async () => {
    const { status, out } = await vrfc(
      "check",
      file("bad.vrf", "vrf red { tabel 10 }\ninterface eth0 { master rad }\n"),
    );
    expect(status).toBe(1);
    expect(out).toContain("error[E0103]");
    expect(out).toContain("bad.vrf:1:11");
    expect(out).toContain("^^^^^");
    expect(out).toContain("did you mean `red`?");
  });
  test("JSON", async () => {
    const { status, out } = await vrfc("check", "-j", file("bad.vrf", "vrf red { tabel 10 }\n"));
    expect(status).toBe(1);
    const report = JSON.parse(out);
    expect(report.schema).toBe("vrfc.diagnostics/1");
    expect(report.diagnostics).toContainEqual(
      expect.objectContaining({ code: "E0103", severity: "error", line: 1, column: 11 }),
    );
  });
  test("--cost bounds the work of a packet, whole and in each chain", async () => {
    const chain = "chain edge { type filter hook forward priority 0; policy drop; ip protocol 17 counter accept }";
    const { status, out } = await vrfc(
      "check",
      "--cost",
      file("chain.vrf", `sysctl net.ipv4.ip_forward = 1\n${chain}\n`),
    );
    expect(status).toBe(0);
    const [, packet] = /namespace host: at most (\d+) instructions a packet and pass/.exec(out)!;
    const [, edge] = / {2}forward, IPv4: \d+\n {4}chain edge: (\d+)/.exec(out)!;
    expect(Number(edge)).toBeGreaterThan(5);
    expect(Number(edge)).toBeLessThan(Number(packet));
    expect(out).toMatch(/^bounded: .*\nin bounds: .*\ninitialised: .*\nknown hooks: /m);
  });
  test("--explain knows the importer's codes too", async () => {
    const { status, out } = await vrfc("check", "--explain", "W0505");
    expect(status).toBe(0);
    expect(out).toContain("--no-assume-forwarding");
  });
  test("replay says of how many recordings the pace is not recorded", { timeout: 120_000 }, async () => {
    const { status, out } = await vrfc("replay", "test/kernel/chains.json.gz", "--engine", "reference");
    expect(status).toBe(0);
    expect(out).toContain("3 of 3 do not say when frames were sent");
    const { paced } = JSON.parse((await vrfc("replay", "test/kernel/statements.json.gz", "-j")).out);
    expect(paced).toBe(0);
  });
  test("--explain", async () => {
    const { status, out } = await vrfc("check", "--explain", "W0310");
    expect(status).toBe(0);
    expect(out).toContain("route unreachable default vrf red metric 4278198272");
  });
});

describe("fmt", () => {
  test("changes the file, and then nothing more", async () => {
    const path = file("ugly.vrf", "# why\nvrf   red{table 10}\n\n\n\ninterface eth0{master red;address 10.0.0.1/24}\n");
    expect((await vrfc("fmt", "--check", path)).status).toBe(1);
    expect((await vrfc("fmt", path)).status).toBe(0);
    const once = readFileSync(path, "utf8");
    expect(once).toContain("# why\nvrf red { table 10 }\n");
    expect((await vrfc("fmt", "--check", path)).status).toBe(0);
  });
  test("leaves a file with syntax errors alone", async () => {
    const path = file("broken.vrf", "vrf   red{tabel 10}\n");
    const { status, err } = await vrfc("fmt", path);
    expect(status).toBe(1);
    expect(err).toContain("E0103");
    expect(readFileSync(path, "utf8")).toBe("vrf   red{tabel 10}\n");
  });
  test("leaves a file alone that would not be read again as it is", async () => {
    const text = 'chain c { type "" hook input priority 0 }\n';
    const path = file("odd.vrf", text);
    const { status, err } = await vrfc("fmt", path);
    expect(status).toBe(1);
    expect(err).toContain("left alone");
    expect(readFileSync(path, "utf8")).toBe(text);
  });
});

describe("compile and dump", () => {
  test("one self-contained module that loads", { timeout: 120_000 }, async () => {
    const path = join(folder, "seed.wasm");
    const { status, out } = await vrfc("compile", SEED, "-o", path);
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining("seed.wasm: ") });
    const wasm = readFileSync(path);
    expect(WebAssembly.Module.imports(new WebAssembly.Module(wasm))).toEqual([]);
    const dataplane = await load(wasm);
    expect(dataplane.net("host").name).toContain("wasm");
  });
  test("a program alone, which the module of the same networks takes", { timeout: 120_000 }, async () => {
    const networks = readFileSync(SEED, "utf8").replace(/^test "[\s\S]*/m, "");
    const [main, alone] = [join(folder, "main.wasm"), join(folder, "alone.wasm")];
    const chain = "namespace host { chain late { type filter hook forward priority 7; counter drop } }\n";
    await vrfc("compile", file("networks.vrf", networks), "-o", main, "-O", "0");
    const both = file("both.vrf", `${networks}\n${chain}`);
    const { status, out, err } = await vrfc("compile", both, "--program", "late", "-o", alone, "-O", "0", "--json");
    expect({ status, err }).toEqual({ status: 0, err: "" });
    expect(JSON.parse(out).manifest).toMatchObject({ name: "late", hook: "forward", families: [4, 6], priority: 7 });
    const dataplane = await load(readFileSync(main));
    const link = dataplane.attach("forward", await loadProgram(readFileSync(alone)));
    expect(dataplane.links("host").list()).toEqual([link]);
  });
  test("a policy with errors compiles to nothing", async () => {
    const path = join(folder, "none.wasm");
    const { status, err } = await vrfc("compile", file("bad.vrf", "vrf red { }\n"), "-o", path);
    expect(status).toBe(1);
    expect(err).toContain("VRF table id is missing");
    expect(() => readFileSync(path)).toThrow();
  });
  test.each([
    ["ast", '"kind": "namespace"'],
    ["model", "1000: from all lookup [l3mdev-table]"],
    ["fib", "10.0.0.0/24"],
    ["plan", "fib_lookup"],
    ["layout", "host"],
    ["wat", "(module"],
  ])("dump --stage %s", { timeout: 120_000 }, async (stage, part) => {
    const { status, out } = await vrfc("dump", SEED, "--stage", stage, "-O", "0");
    expect(status).toBe(0);
    expect(out).toContain(part);
  });
});

describe("import", () => {
  test("what cannot be expressed is reported with its line, and kept", async () => {
    const script = file("net.sh", "ip link add red type vrf table 10\niptables -A FORWARD -j DROP\n");
    const { status, out, err } = await vrfc("import", script);
    expect(status).toBe(1);
    expect(out).toContain("vrf red { table 10");
    expect(out).toContain("iptables -A FORWARD -j DROP");
    expect(err).toContain("net.sh:2:1");
  });

  const RULES = "flush ruleset\ntable inet t {\n  chain c {\n    tcp dport 22 accept\n  }\n}\n";
  const LISTED = {
    nftables: [
      { metainfo: { json_schema_version: 1 } },
      { table: { family: "inet", name: "t", handle: 1 } },
      { chain: { family: "inet", table: "t", name: "c", handle: 1 } },
      {
        rule: {
          ...{ family: "inet", table: "t", chain: "c" },
          expr: [
            { match: { op: "==", left: { payload: { protocol: "tcp", field: "dport" } }, right: 22 } },
            { accept: null },
          ],
        },
      },
    ],
  };
  test.each([
    ["nft", [], RULES],
    ["nft-json", [], JSON.stringify(LISTED)],
    ["nft", ["nft"], RULES],
    ["nft-json", ["nft-json"], JSON.stringify(LISTED)],
  ])("a rule set of %s, said with %j", async (name, words, text) => {
    const { status, out } = await vrfc("import", ...words, file(`rules.${name}`, text));
    expect(status).toBe(0);
    expect(out).toBe(RULES.replace("flush ruleset\n", ""));
  });

  test("JSON of something else is no rule set", async () => {
    const { status, err } = await vrfc("import", "nft-json", file("other.json", '{"nf": 1}'));
    expect(status).toBe(2);
    expect(err).toContain("not what `nft -j list ruleset` prints");
  });
});

describe.each(["reference", "compiled"])("on the %s engine", (engine) => {
  const timeout = 120_000;
  test("explain names the rules that did not match, and the line behind each", { timeout }, async () => {
    const { status, out } = await vrfc("explain", SEED, "out udp 0.0.0.0 > 10.0.0.7 dport 53", "--engine", engine);
    expect(status).toBe(0);
    expect(out).toMatch(/1000: from all lookup \[l3mdev-table\] +no match: flow in no VRF/);
    expect(out).toContain("=> SEND FAILS");
    const forwarded = await vrfc("explain", SEED, "in vethr1 icmp 10.0.0.7 > 10.0.1.7", "--engine", engine);
    expect(forwarded.out).toMatch(/table 100 \(vrf\): 10\.0\.1\.0\/24 dev vethr2 .*seed\.vrf:\d+/);
    expect(forwarded.out).toContain("=> SENT");
  });
  test("explain -j", { timeout }, async () => {
    const { out } = await vrfc("explain", SEED, "in vethr1 icmp 10.0.0.7 > 10.0.1.7 ttl 1", "--engine", engine, "-j");
    const report = JSON.parse(out);
    expect(report).toMatchObject({ schema: "vrfc.explain/1", kernel: "6.1", namespace: "host", verdict: "ICMP_ERROR" });
    expect(report.steps.at(-1)).toMatchObject({ step: "icmp_send", detail: "11/0 Time to live exceeded" });
  });
  test("explain tells what the reason of a drop means", { timeout }, async () => {
    const router = file(
      `router-${engine}.vrf`,
      "interface a { address 10.0.0.1/24 }\ninterface b { address 10.0.1.1/24 }\n",
    );
    const packet = (source: string) => [
      "explain",
      router,
      `in a udp ${source} > 10.0.1.7 dport 53`,
      "--engine",
      engine,
    ];
    expect((await vrfc(...packet("10.0.0.7"))).out).toMatch(
      /=> DROPPED +IP_INADDRERRORS: .*net\.ipv4\.ip_forward .* is 0/,
    );
    expect((await vrfc(...packet("127.0.0.7"))).out).toMatch(/=> DROPPED +MARTIAN_SOURCE: no packet may come from/);
  });
  test("explain and ping tell what was counted, and where", { timeout }, async () => {
    const firewall = "examples/firewall.vrf";
    const packet = "in guests tcp 10.1.0.7 > 192.0.2.7 dport 22";
    const { out } = await vrfc("explain", firewall, packet, "--engine", engine);
    expect(out).toMatch(/ counters\n +refused packets 1 bytes 96 {2}\(examples\/firewall\.vrf:50\)\n$/);
    const ping = ["ping", firewall, "--from", "guests", "192.0.2.7", "--engine", engine];
    expect((await vrfc(...ping)).out).toMatch(
      /host: counters\n +answers packets 1 bytes 84 .*:49\)\n +counter packets 1 bytes 84 .*:74\)\nreply/,
    );
    const report = JSON.parse((await vrfc(...ping, "-j")).out);
    expect(report.counters).toEqual([
      {
        namespace: "host",
        counters: [expect.objectContaining({ name: "answers", packets: 1, bytes: 84 }), expect.anything()],
      },
    ]);
  });

  test("IPv6: explain and ping", { timeout }, async () => {
    const explained = await vrfc(
      "explain",
      SEED6,
      "in vethr1 2001:db8::7 > 2001:db8:1::7 hoplimit 9",
      "--engine",
      engine,
    );
    expect(explained.status).toBe(0);
    expect(explained.out).toContain("table 100 (vrf): 2001:db8:1::/64 dev vethr2");
    expect(explained.out).toContain("hop limit 9 -> 8");
    expect(explained.out).toMatch(/=> SENT\s+vethr2/);
    const unrouted = await vrfc("ping", SEED6, "2001:db8:99::1", "--from", "ns0", "--engine", engine);
    expect([unrouted.status, unrouted.out.trimEnd().split("\n").at(-1)]).toEqual([
      1,
      "unreachable net from 2001:db8::1",
    ]);
    const group = await vrfc("ping", SEED6, "ff02::1%veth1", "--from", "ns0", "--engine", engine);
    expect([group.status, group.out.trimEnd().split("\n").at(-1)]).toEqual([
      0,
      expect.stringMatching(/^reply ttl 64 from fe80::/),
    ]);
  });

  test("ping", { timeout }, async () => {
    const reply = await vrfc("ping", SEED, "10.0.1.7", "--from", "ns0", "--engine", engine);
    expect(reply.status).toBe(0);
    expect(reply.out).toMatch(/reply ttl 63 from 10\.0\.1\.7\n$/);
    const none = await vrfc("ping", SEED, "192.0.2.1", "-I", "vrf", "--engine", engine);
    expect(none.status).toBe(1);
    expect(none.err).toContain("ping: connect: Network is unreachable");
  });
  test("test", { timeout }, async () => {
    const { status, out } = await vrfc("test", SEED, "--engine", engine);
    expect(status).toBe(0);
    expect(out).toMatch(/6 passed, 0 failed\n$/);
  });
  test("a failing test says what was expected, and where", { timeout }, async () => {
    const policy = file(
      "failing.vrf",
      'interface eth0 { address 10.0.0.1/24 }\ntest "none" { ping 10.9.9.9 expect reply ttl 64 }\n',
    );
    const { status, out } = await vrfc("test", policy, "--engine", engine);
    expect(status).toBe(1);
    expect(out).toContain("FAIL none");
    expect(out).toContain("expected reply ttl 64, got error ENETUNREACH (connect) (line 2)");
    expect(out).toMatch(/0 passed, 1 failed\n$/);
  });
});

test("check and fmt never load binaryen", async () => {
  vi.doMock("binaryen", () => {
    throw new Error("binaryen was loaded");
  });
  expect((await vrfc("check", SEED)).status).toBe(0);
  expect((await vrfc("fmt", "--check", SEED)).status).toBe(0);
  vi.doUnmock("binaryen");
});
