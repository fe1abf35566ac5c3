/**
 * Links come and go while batches flow, at every hook that a forwarded packet passes: each packet is judged by what was attached when its
 * batch began, none is lost, counters add up, and memory stays as it is.
 */
import { expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Hook } from "../../runtime/hooks.ts";
import type { Link } from "../../runtime/links/links.ts";
import { loadProgram, type Program } from "../../runtime/links/manifest.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { compileProgram } from "../../src/program.ts";
import { frameOf, modelOf } from "../reference/support.ts";

const STEPS = Number(process.env.LINK_STEPS ?? 10_000);

const NETWORK = `
sysctl net.ipv4.ip_forward = 1
vrf red { index 2; table 100 }
interface a { index 3; lladdr 02:00:00:00:00:03; master red; address 10.0.0.1/24 }
interface b { index 4; lladdr 02:00:00:00:00:04; master red; address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
table ip own {
  counter owns { }
  chain own { type filter hook forward priority 0; counter name owns }
}
`;

/** In the order in which a packet passes them; the chain of the module itself counts at forward. */
const POINTS: readonly { readonly hook: Hook; readonly where: string; readonly passes: number }[] = [
  { hook: "xdp", where: "program p on xdp a", passes: 1 },
  { hook: "tc ingress", where: "program p on tc ingress a", passes: 1 },
  { hook: "netdev ingress", where: "type filter hook ingress device a priority 0;", passes: 1 },
  // Of the device, and of its VRF.
  { hook: "prerouting", where: "type filter hook prerouting priority 0;", passes: 2 },
  { hook: "forward", where: "type filter hook forward priority -1;", passes: 1 },
  { hook: "forward", where: "type filter hook forward priority 1;", passes: 1 },
  { hook: "postrouting", where: "type filter hook postrouting priority 0;", passes: 1 },
  { hook: "netdev egress", where: "type filter hook egress device b priority 0;", passes: 1 },
  { hook: "tc egress", where: "program p on tc egress b", passes: 1 },
];
/** Behind which of them the module's own chain counts. */
const OWN = 4;

/** What a program does besides counting: nothing that can be seen at xdp, else its bit of the mark; or it drops. */
const KINDS = ["first", "second", "drop"] as const;
type Kind = (typeof KINDS)[number];
const bitOf = (point: number, kind: Kind): number =>
  POINTS[point].hook === "xdp" || kind === "drop" ? 0 : 1 << (2 * point + KINDS.indexOf(kind));

function textOf(point: number, kind: Kind): string {
  const { where } = POINTS[point];
  const bit = bitOf(point, kind);
  const isProgram = where.startsWith("program");
  const dropped = isProgram ? (where.includes("xdp") ? "DROP" : "SHOT") : "drop";
  const rules = ["counter name seen", "counter", bit === 0 ? "" : `meta mark set meta mark or ${bit}`];
  const body = [...rules, kind === "drop" ? dropped : ""].filter((rule) => rule !== "").join("\n    ");
  const family = where.includes("device") ? "netdev" : "ip";
  return isProgram
    ? `${NETWORK}\ncounter seen { }\n${where} {\n    ${body}\n}\n`
    : `${NETWORK}\ntable ${family} t {\n  counter seen { }\n  chain p {\n    ${where}\n    ${body}\n  }\n}\n`;
}

async function programOf(point: number, kind: Kind): Promise<Program> {
  const { model, diagnostics } = checkText(textOf(point, kind), "programs.vrf");
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return loadProgram((await compileProgram(model, "p", { level: 1 })).artifact);
}

/** A small generator, so that a failure can be met again. */
function* draws(seed: number): Generator<number, never> {
  for (;;) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    yield seed >>> 8;
  }
}

test(`${STEPS} times attached, updated or detached at ${POINTS.length} points`, async () => {
  const main = (await compileModel(modelOf(NETWORK), { level: 1 })).artifact;
  const programs = await Promise.all(POINTS.map((_, i) => Promise.all(KINDS.map((kind) => programOf(i, kind)))));
  const dataplane = await load(main);
  const engine = dataplane.net(0);
  const batch = engine.createBatch(4);
  const frame = frameOf({ from: "10.0.0.7", to: "10.0.1.7" }, 0x020000000003);
  const links: ({ link: Link; kind: Kind } | null)[] = POINTS.map(() => null);
  const expected = POINTS.map(() => ({ seen: 0n, unnamed: 0n, reached: 0n }));
  let own = 0n;
  let [draw, packets] = [draws(7), 0];
  const memory = (): readonly number[] => [dataplane.memory.buffer.byteLength, dataplane.allocate(0)];
  /** Of a program: its named counter, and the one of the rule. */
  const noted = (point: number, program: Program, counted: readonly { packets: bigint }[], last: boolean): void => {
    const named = program.manifest.counters.findLastIndex(({ name }) => name === "seen");
    const rule = program.manifest.counters.findIndex(({ name }) => name === null);
    expected[point].unnamed += counted[rule].packets;
    if (last) expected[point].seen += counted[named].packets;
  };
  let steady: readonly number[] | null = null;
  for (let step = 0; step < STEPS; step++) {
    // All points have been in use by then.
    if (step === Math.floor(STEPS / 4)) steady = memory();
    const point = draw.next().value % POINTS.length;
    const pick = draw.next().value % KINDS.length;
    // Most programs let the packet pass, so that it comes to the last hooks too.
    const kind = KINDS[pick === 2 && draw.next().value % 4 !== 0 ? 0 : pick];
    const program = programs[point][KINDS.indexOf(kind)];
    const before = links[point];
    if (before === null) links[point] = { link: dataplane.attach(POINTS[point].hook, program), kind };
    else if (draw.next().value % 2 === 0) {
      noted(point, programs[point][KINDS.indexOf(before.kind)], before.link.update(program), false);
      before.kind = kind;
    } else {
      noted(point, programs[point][KINDS.indexOf(before.kind)], before.link.detach(), true);
      links[point] = null;
    }
    batch.count = 0;
    for (let i = 0; i < 3; i++) batch.put(frame, { device: 3, entry: Entry.RECEIVE });
    engine.process(batch);
    packets += 3;
    const dropsAt = links.findIndex((one) => one?.kind === "drop");
    const passed = dropsAt < 0 ? POINTS.length : dropsAt + 1;
    const mark = links.slice(0, passed).reduce((bits, one, i) => bits | (one === null ? 0 : bitOf(i, one.kind)), 0);
    for (let i = 0; i < 3; i++) {
      const verdict = dropsAt < 0 ? Verdict.TRANSMIT : Verdict.DROP;
      if (batch.column("verdict")[i] !== verdict || batch.column("mark")[i] !== mark)
        expect([step, batch.column("verdict")[i], batch.column("mark")[i]]).toEqual([step, verdict, mark]);
    }
    for (const [i, { passes }] of POINTS.entries())
      if (i < passed && links[i] !== null) expected[i].reached += 3n * BigInt(links[i].kind === "drop" ? 1 : passes);
    if (passed > OWN + 1 || (passed === OWN + 1 && dropsAt < 0)) own += 3n;
  }
  for (const [point, one] of links.entries())
    if (one !== null) noted(point, programs[point][KINDS.indexOf(one.kind)], one.link.detach(), true);
  for (const [point, { seen, unnamed, reached }] of expected.entries())
    expect([point, seen, unnamed]).toEqual([point, reached, reached]);
  expect(engine.readCounters().map((counter) => counter.packets)).toEqual([own]);
  const { verdicts } = dataplane.counters(0);
  expect(verdicts.TRANSMIT + verdicts.DROP).toBe(BigInt(packets));
  expect(memory()).toEqual(steady);
}, 120_000);
