/** Links at the hooks of a module: their order among chains of its own, what they refuse, what a packet's trace says of them. */
import { beforeAll, describe, expect, test } from "vitest";
import { MOST_LINKS } from "../../runtime/abi/links.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { loadProgram, type Program, ProgramError } from "../../runtime/links/manifest.ts";
import type { Trace } from "../../runtime/trace.ts";
import { DropReason, Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { frameOf, modelOf } from "../reference/support.ts";

const NETWORK = `
sysctl net.ipv4.ip_forward = 1
vrf red { index 2; table 100 }
interface a { index 3; lladdr 02:00:00:00:00:03; master red; address 10.0.0.1/24 }
interface b { index 4; lladdr 02:00:00:00:00:04; master red; address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
`;
const OWN = `
table ip own {
  chain first { type filter hook forward priority 0; meta mark set 1 }
  chain second { type filter hook forward priority 10; meta mark 1 meta mark set 2 }
}
program own on tc ingress a {
  meta priority 7 SHOT
}
`;

const programOf = async (text: string, name: string, network = NETWORK): Promise<Program> =>
  loadProgram((await compileProgram(modelOf(`${network}${text}`), name, { level: 0 })).artifact);
/** A base chain at forward. */
const forwardChain = (rules: string, priority = 0): Promise<Program> =>
  programOf(`table ip t { chain p { type filter hook forward priority ${priority}; ${rules} } }`, "p");
const tcProgram = (rules: string): Promise<Program> => programOf(`program p on tc ingress a {\n${rules}\n}`, "p");

let main: Uint8Array<ArrayBuffer>;
let plain: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  main = (await compileModel(modelOf(NETWORK + OWN), { level: 0 })).artifact;
  plain = (await compileModel(modelOf(NETWORK), { level: 2 })).artifact;
});

/** A packet from a to b: how it ends, its mark, its trace. */
function forward(dataplane: Dataplane): { verdict: Verdict; reason: DropReason; mark: number; trace: Trace } {
  const engine = dataplane.net(0);
  const batch = engine.createBatch(1);
  const put = () =>
    batch.put(frameOf({ from: "10.0.0.7", to: "10.0.1.7" }, 0x020000000003), { entry: Entry.RECEIVE, device: 3 });
  put();
  engine.process(batch);
  const column = (name: "verdict" | "reason" | "mark"): number => batch.column(name)[0];
  const said = { verdict: column("verdict") as Verdict, reason: column("reason") as DropReason, mark: column("mark") };
  batch.count = 0;
  put();
  const [trace] = engine.trace(batch);
  expect([column("verdict"), column("reason"), column("mark")]).toEqual(Object.values(said));
  return { ...said, trace };
}

describe("order", () => {
  test.each([
    // [priority, sees the mark of the module's chains]
    [-5, 0],
    // Attached later, so before its equal.
    [0, 0],
    [5, 1],
    [10, 1],
    [11, 2],
  ])("a chain of priority %i among those of 0 and 10", async (priority, sees) => {
    const dataplane = await load(main);
    const chain = await forwardChain(`meta mark and 15 == ${sees} drop`);
    dataplane.attach("forward", chain, { priority });
    expect(forward(dataplane)).toMatchObject({ verdict: Verdict.DROP, reason: DropReason.NETFILTER_DROP });
  });

  test("among links the last one is the first of its priority, at tc the last", async () => {
    const dataplane = await load(plain);
    const writes = await forwardChain("meta mark 0 meta mark set 3");
    const other = await forwardChain("meta mark 0 meta mark set 4");
    const first = dataplane.attach("forward", writes);
    const second = dataplane.attach("forward", other);
    expect(forward(dataplane).mark).toBe(4);
    second.detach();
    expect(forward(dataplane).mark).toBe(3);
    first.detach();
    expect(forward(dataplane).mark).toBe(0);
    const programs = await Promise.all([
      tcProgram("meta mark 0 meta mark set 3"),
      tcProgram("meta mark 0 meta mark set 4"),
    ]);
    for (const program of programs) dataplane.attach("tc ingress", program);
    expect(forward(dataplane).mark).toBe(3);
  });

  test("a tc program that says OK is the last one, the module's own included", async () => {
    const dataplane = await load(main);
    const link = dataplane.attach("tc ingress", await tcProgram("meta priority set 7 OK"), { priority: 1 });
    expect(forward(dataplane)).toMatchObject({ verdict: Verdict.TRANSMIT });
    link.update(await tcProgram("meta priority set 7"));
    expect(forward(dataplane)).toMatchObject({ verdict: Verdict.DROP, reason: DropReason.TC_INGRESS });
  });
});

test("a trace names the link whose program begins; its ids are those of that program's text", async () => {
  const dataplane = await load(plain);
  const link = dataplane.attach("forward", await forwardChain("counter drop"));
  const { trace } = forward(dataplane);
  const at = trace.findIndex(({ step }) => step === "link");
  expect(trace.slice(at, at + 4)).toEqual([
    { step: "link", link: link.id },
    { step: "nft_chain", chain: 0 },
    { step: "nft_rule", chain: 0, rule: 0, decision: "drop", target: null },
    { step: "drop", reason: DropReason.NETFILTER_DROP },
  ]);
  // By process and by trace.
  expect(link.readCounters()).toMatchObject([{ packets: 2n }]);
  expect(link.detach()).toMatchObject([{ packets: 2n }]);
  expect(link.readCounters()).toEqual([]);
  expect(link.detach()).toEqual([]);
  expect(forward(dataplane)).toMatchObject({ verdict: Verdict.TRANSMIT });
});

test("a program that is gone is gone from the table", async () => {
  const dataplane = await load(plain);
  dataplane.attach("forward", await forwardChain("drop")).detach();
  const table = dataplane.exports.programs as WebAssembly.Table;
  expect(Array.from({ length: table.length }, (_, i) => table.get(i))).toEqual([null, null]);
});

test("a link of one device leaves others' frames alone", async () => {
  const dataplane = await load(plain);
  const drops = await programOf(
    "table netdev t { chain p { type filter hook ingress device a priority 0; drop } }",
    "p",
  );
  const elsewhere = dataplane.attach("netdev ingress", drops, { device: 4 });
  expect(elsewhere.devices).toEqual([4]);
  expect(forward(dataplane)).toMatchObject({ verdict: Verdict.TRANSMIT });
  dataplane.attach("netdev ingress", drops);
  expect(forward(dataplane)).toMatchObject({ verdict: Verdict.DROP });
});

describe("refused", () => {
  test("another hook, a device where there is none, a device that there is not, a wild priority", async () => {
    const dataplane = await load(plain);
    const chain = await forwardChain("drop");
    const tc = await tcProgram("SHOT");
    const code = (expected: string) => expect.objectContaining({ name: "LinkError", code: expected });
    expect(() => dataplane.attach("input", chain)).toThrow(code("EINVAL"));
    expect(() => dataplane.attach("forward", chain, { device: 3 })).toThrow(code("EINVAL"));
    expect(() => dataplane.attach("tc ingress", tc, { device: 9 })).toThrow(code("ENODEV"));
    expect(() => dataplane.attach("forward", chain, { priority: 2 ** 31 })).toThrow(code("EINVAL"));
    expect(dataplane.links(0).list()).toEqual([]);
    const link = dataplane.attach("forward", chain);
    expect(() => link.update(tc)).toThrow(code("EINVAL"));
    expect(forward(dataplane)).toMatchObject({ verdict: Verdict.DROP });
  });

  test("more than a point can have", async () => {
    const dataplane = await load(plain);
    const chain = await forwardChain("accept");
    const links = Array.from({ length: MOST_LINKS }, () => dataplane.attach("forward", chain));
    expect(() => dataplane.attach("forward", chain)).toThrow(expect.objectContaining({ code: "E2BIG" }));
    expect(forward(dataplane).trace.filter(({ step }) => step === "link")).toHaveLength(MOST_LINKS);
    links[0].detach();
    dataplane.attach("forward", chain);
  });

  test.each([
    ["an address", NETWORK.replace("10.0.0.1/24", "10.0.0.2/24")],
    ["a rule", `${NETWORK}rule 500 from 10.0.0.0/8 lookup 100\n`],
    ["a device's MTU", NETWORK.replace("index 3;", "index 3; mtu 1400;")],
    ["another kernel", `kernel "5.4"\n${NETWORK}`],
    ["a namespace", `namespace other {${NETWORK}}\n`],
  ])("other networks: %s", async (_, network) => {
    const text = "table ip t { chain p { type filter hook forward priority 0; drop } }";
    const closing = network.lastIndexOf("}\n") + 1;
    const chain = network.startsWith("namespace")
      ? await programOf("", "p", `${network.slice(0, closing - 1)}${text} }\n`)
      : await programOf(text, "p", network);
    const dataplane = await load(plain);
    const error = (() => {
      try {
        return dataplane.attach("forward", chain);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(ProgramError);
    expect(error).toMatchObject({ reason: "does-not-fit" });
  });

  test("copies, of a module that sends none", async () => {
    const copies = await programOf(
      'table netdev t { chain p { type filter hook ingress device a priority 0; dup to "b" } }',
      "p",
    );
    const dataplane = await load(plain);
    expect(() => dataplane.attach("netdev ingress", copies)).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
  });

  test("a chain that changes packets at postrouting, one that is no base chain, none", async () => {
    const text = (rules: string) =>
      modelOf(
        `${NETWORK}table ip t { chain p { type filter hook postrouting priority 0; ${rules} } chain q { accept } }`,
      );
    await expect(compileProgram(text("ip ttl set 9"), "p", { level: 0 })).rejects.toThrow("compile it in");
    await expect(compileProgram(text("accept"), "q", { level: 0 })).rejects.toThrow("no base chain q");
    await expect(compileProgram(text("accept"), "nobody", { level: 0 })).rejects.toThrow("no base chain nobody");
  });
});

test("the text's hook has its own fields only, as where chains are compiled in", () => {
  const at = (hook: string, rule: string) => () =>
    modelOf(`${NETWORK}table ip t { chain p { type filter hook ${hook} priority 0; ${rule} } }`);
  expect(at("prerouting", 'oifname "b" drop')).toThrow(/no output device at prerouting/);
  expect(at("postrouting", 'oifname "b" drop')).not.toThrow(/no output device/);
});
