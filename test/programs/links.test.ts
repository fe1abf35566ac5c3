/**
 * XDP programs as modules of their own, attached to a loaded module: they do what the reference does with the same text, and come and go
 * while batches flow.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { LinkError } from "../../runtime/links/links.ts";
import { loadProgram, type Program, ProgramError } from "../../runtime/links/manifest.ts";
import { DropReason, Entry, Verdict } from "../../runtime/verdict.ts";
import { customSection } from "../../src/artifact.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "../compiled/agree.ts";
import { anyPrograms, readChains } from "../compiled/random-chains.ts";
import { anyModel } from "../compiled/random-model.ts";
import { anyPacket } from "../compiled/random-packets.ts";

const SEED = Number(process.env.FC_SEED ?? 17);
const RUNS = Number(process.env.FC_RUNS ?? 3);

const withoutXdp = (model: Model): Model => ({
  ...model,
  nets: model.nets.map((net) => ({
    ...net,
    netfilter: { ...net.netfilter, programs: net.netfilter.programs.filter(({ hook }) => hook !== "xdp") },
  })),
});

/** By length; every list, with tables; every list, with none. */
const CLASSIFIERS = [{}, { from: 1 }, { from: 1, budget: 0 }];

describe("random programs, attached", () => {
  const drawn = fc.sample(
    fc
      .tuple(anyModel(), anyPrograms)
      .map(([model, text]) => ({
        ...model,
        nets: model.nets.map((net) => ({ ...net, netfilter: readChains(text) })),
      }))
      .filter(({ nets }) => nets[0].netfilter.programs.some(({ hook }) => hook === "xdp")),
    { seed: SEED, numRuns: RUNS },
  );
  const packets = fc.sample(anyPacket, { seed: SEED, numRuns: 60 });
  test.each(drawn.map((model, i) => [i, model] as const))(
    "network %i: as the reference",
    async (i, model) => {
      const { programs, counters } = model.nets[0].netfilter;
      const xdp = programs.filter(({ hook }) => hook === "xdp");
      const reference = referenceEngine(model.nets[0], model.kernel);
      const own = reference.createBatch(packets.length, SLOT_SIZE);
      const dataplane = await load((await compileModel(withoutXdp(model), { level: 0 })).artifact);
      const links = await Promise.all(
        xdp.map(async ({ name }) =>
          dataplane
            .links(0)
            .attach(
              await loadProgram(
                (await compileProgram(model, name, { level: i === 0 ? 2 : 0, classifiers: CLASSIFIERS[i % 3] }))
                  .artifact,
              ),
            ),
        ),
      );
      const engine = dataplane.net(0);
      const batch = engine.createBatch(packets.length, SLOT_SIZE);
      for (let round = 0; round < 4; round++) {
        const now = BigInt(round) * 300_000_000n;
        for (const one of [reference, engine]) one.setTime(now);
        fill(own, packets);
        fill(batch, packets);
        const expected = reference.trace(own);
        if (round % 2 === 0) expect(engine.trace(batch)).toEqual(expected);
        else engine.process(batch);
        const entries = batch.column("entry");
        for (let k = 0; k < batch.count; k++) if (entries[k] === Entry.JUDGED) entries[k] = Entry.RECEIVE;
        expect(judged(batch)).toEqual(judged(own));
        const counted = links.map((link) => link.readCounters());
        const sums = engine.readCounters().map((main, id) =>
          counted.reduce(
            (sum, one) => ({
              packets: sum.packets + one[id].packets - counters[id].packets,
              bytes: sum.bytes + one[id].bytes - counters[id].bytes,
            }),
            main,
          ),
        );
        expect(sums).toEqual(reference.readCounters());
      }
    },
    120_000,
  );
});

const NETWORK = `
namespace host {
  vrf red { table 100 }
  interface a { address 10.0.0.1/24 }
  interface b { address 10.0.1.1/24 }
`;
const text = (rules: string): string => `${NETWORK}  program gate on xdp a {\n    ${rules}\n  }\n}\n`;

function modelOf(source: string): Model {
  const { model, diagnostics } = checkText(source, "programs.vrf");
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}

describe("links", () => {
  let main: Uint8Array<ArrayBuffer>;
  let dropping: Program;
  let sending: Program;
  let bytes: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    main = (await compileModel(modelOf(`${NETWORK}}\n`), { level: 0 })).artifact;
    bytes = (await compileProgram(modelOf(text("counter DROP")), "gate", { level: 0 })).artifact;
    dropping = await loadProgram(bytes);
    sending = await loadProgram((await compileProgram(modelOf(text("counter TX")), "gate", { level: 0 })).artifact);
  });

  const frame = new Uint8Array(60).fill(0xff);
  /** Verdict and reason of frames received on the devices. */
  const judge = (dataplane: Dataplane, batch: ReturnType<Dataplane["nets"][0]["createBatch"]>, devices: number[]) => {
    batch.count = 0;
    for (const device of devices) batch.put(frame, { device, entry: Entry.RECEIVE });
    dataplane.net(0).process(batch);
    return devices.map((_, i) => [batch.column("verdict")[i], batch.column("reason")[i]]);
  };
  const dropped = [Verdict.DROP, DropReason.XDP];
  const sent = [Verdict.TRANSMIT, 0];
  const passed = [Verdict.PASS, 0];

  test("attach, update, detach: the next batch meets what is attached, on its device alone", async () => {
    const dataplane = await load(main);
    const batch = dataplane.net(0).createBatch(4);
    const links = dataplane.links("host");
    const [a, b] = dataplane.manifest.nets[0].devices.filter(({ name }) => /^[ab]$/.test(name)).map((d) => d.ifindex);
    expect(judge(dataplane, batch, [a, b])).toEqual([passed, passed]);
    const link = links.attach(dropping);
    expect(link).toMatchObject({ hook: "xdp", devices: [a], program: { name: "gate" }, attached: true });
    expect(judge(dataplane, batch, [a, b, a])).toEqual([dropped, passed, dropped]);
    expect(link.readCounters()).toEqual([{ packets: 2n, bytes: 120n }]);
    const verdicts = dataplane.counters(0).verdicts;
    expect(verdicts.DROP).toBe(2n);
    expect(link.update(sending)).toEqual([{ packets: 2n, bytes: 120n }]);
    expect(link.readCounters()).toEqual([{ packets: 0n, bytes: 0n }]);
    expect(judge(dataplane, batch, [a, b])).toEqual([sent, passed]);
    links.attach(dropping, { device: b });
    expect(links.list().map(({ devices }) => devices)).toEqual([[a], [b]]);
    expect(judge(dataplane, batch, [a, b])).toEqual([sent, dropped]);
    link.detach();
    link.detach();
    expect(judge(dataplane, batch, [a, b])).toEqual([passed, dropped]);
    expect(() => link.update(dropping)).toThrow(LinkError);
  });

  test("ten thousand programs come and go: no frame is lost, and memory stays as it is", async () => {
    const dataplane = await load(main);
    const batch = dataplane.net(0).createBatch(4);
    const links = dataplane.links(0);
    const warm = links.attach(sending);
    warm.update(dropping);
    warm.detach();
    const size = dataplane.memory.buffer.byteLength;
    const heap = dataplane.allocate(0);
    let counted = 0n;
    for (let i = 0; i < 2500; i++) {
      const link = links.attach(dropping);
      const [device] = link.devices;
      expect(judge(dataplane, batch, [device, device])).toEqual([dropped, dropped]);
      counted += link.readCounters()[0].packets;
      link.update(sending);
      expect(judge(dataplane, batch, [device])).toEqual([sent]);
      counted += link.readCounters()[0].packets;
      link.update(dropping);
      link.detach();
      expect(judge(dataplane, batch, [device])).toEqual([passed]);
    }
    expect(counted).toBe(7500n);
    expect(dataplane.memory.buffer.byteLength).toBe(size);
    expect(dataplane.allocate(0)).toBe(heap);
  }, 60_000);

  test("a device has one program, and needs a wire", async () => {
    const dataplane = await load(main);
    const links = dataplane.links(0);
    const first = links.attach(dropping);
    expect(() => links.attach(sending)).toThrow(expect.objectContaining({ code: "EBUSY" }));
    expect(links.list()).toEqual([first]);
    const second = links.attach(sending, { replace: true });
    expect(first.attached).toBe(false);
    expect(links.list()).toEqual([second]);
    const red = dataplane.manifest.nets[0].devices.find(({ name }) => name === "red")!.ifindex;
    expect(() => links.attach(sending, { device: red })).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
    expect(() => links.attach(sending, { device: 99 })).toThrow(expect.objectContaining({ code: "ENODEV" }));
    const whole = await load((await compileModel(modelOf(text("DROP")), { level: 0 })).artifact);
    expect(() => whole.links(0).attach(sending)).toThrow(expect.objectContaining({ code: "EBUSY" }));
  });

  test("a program of other networks does not fit", async () => {
    const interfaces = ["x", "a", "y", "z"].map((name) => `  interface ${name} { }\n`).join("");
    const other = modelOf(`namespace host {\n${interfaces}  program gate on xdp a {\n    DROP\n  }\n}\n`);
    const program = await loadProgram((await compileProgram(other, "gate", { level: 0 })).artifact);
    const dataplane = await load(main);
    expect(() => dataplane.links(0).attach(program)).toThrow(expect.objectContaining({ reason: "does-not-fit" }));
    expect(dataplane.links(0).list()).toEqual([]);
  });

  /** The module without its custom sections (those stand last), and with these instead. */
  const rewritten = (change: (manifest: Record<string, unknown>) => unknown): Uint8Array<ArrayBuffer> => {
    const json = new TextEncoder().encode(JSON.stringify(change({ ...dropping.manifest })));
    const renamed = bytes.slice();
    const at = Buffer.from(renamed).indexOf("vrfc.program");
    renamed[at] = "x".charCodeAt(0);
    return customSection(renamed, "vrfc.program", json);
  };
  const mapAt = (record: number) => ({
    name: "s",
    map: {
      record,
      key: [{ type: "mark", bits: 32 }],
      value: null,
      interval: false,
      storage: null,
      size: null,
      decisions: [],
    },
  });
  const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  test.each([
    ["no module", () => Uint8Array.of(1, 2, 3), "not-wasm"],
    ["a module of somebody else", () => EMPTY, "no-manifest"],
    ["the packet path itself", () => main, "no-manifest"],
    ["another ABI", () => rewritten((m) => ({ ...m, abi: 9999 })), "wrong-abi"],
    ["another schema", () => rewritten((m) => ({ ...m, schema: "vrfc.program/0" })), "malformed-manifest"],
    ["a manifest that is null", () => rewritten(() => null), "malformed-manifest"],
    ["no devices", () => rewritten((m) => ({ ...m, devices: [null] })), "malformed-manifest"],
    ["another family", () => rewritten((m) => ({ ...m, families: [5] })), "malformed-manifest"],
    ["no networks", () => rewritten((m) => ({ ...m, networks: "" })), "malformed-manifest"],
    [
      "more state than there is",
      () => rewritten((m) => ({ ...m, state: { bytes: 1 << 20, counters: 0 } })),
      "malformed-manifest",
    ],
    ["no sets", () => rewritten(({ sets: _, ...rest }) => rest), "malformed-manifest"],
    ["a set that cannot be", () => rewritten((m) => ({ ...m, sets: [{ name: "s", map: {} }] })), "malformed-manifest"],
    [
      "a map outside of its state",
      () => rewritten((m) => ({ ...m, sets: [mapAt(dropping.manifest.state.bytes - 16)] })),
      "malformed-manifest",
    ],
    [
      "more counters than its state has",
      () => rewritten((m) => ({ ...m, counters: Array.from({ length: 1000 }, () => ({ name: null })) })),
      "malformed-manifest",
    ],
    ["a map between words", () => rewritten((m) => ({ ...m, sets: [mapAt(2)] })), "malformed-manifest"],
    ["a hook that there is not", () => rewritten((m) => ({ ...m, hook: "tc" })), "malformed-manifest"],
    ["a program of another hook", () => rewritten((m) => ({ ...m, hook: "tc ingress" })), "wrong-exports"],
    [
      "the manifest alone",
      () =>
        customSection(
          customSection(EMPTY, "vrfc.program", new TextEncoder().encode(JSON.stringify(dropping.manifest))),
          "vrfc.state",
          dropping.state,
        ),
      "wrong-exports",
    ],
  ] as const)("%s is refused", async (_, wasm, reason) => {
    const error = await loadProgram(wasm() as Uint8Array<ArrayBuffer>).catch((found: unknown) => found);
    expect(error).toBeInstanceOf(ProgramError);
    expect((error as ProgramError).reason).toBe(reason);
  });
});
