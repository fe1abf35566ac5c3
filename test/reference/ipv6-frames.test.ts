/**
 * IPv6 frames and pings as kernel 6.1 treated them, in two VRFs with leaks between them: multicast of every scope, link-local and
 * unspecified addresses, hop-by-hop options, refusing routes, sizes; with and without net.ipv6.conf.all.forwarding. Here is compared what
 * the engine itself decides: the netfilter hooks up to its verdict, the bytes of a frame that leaves, type and code of an error. Frames
 * of neighbour discovery, whose hooks the recording leaves out, are in ipv6-receive.test.ts.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { check } from "../../dsl/check.ts";
import { deviceNamed, type Model, type Net } from "../../dsl/model.ts";
import { NETFILTER_HOOKS } from "../../runtime/hooks.ts";
import { formatIp, parseIp } from "../../runtime/net/ip.ts";
import { Ipv6View, ipv6Packet } from "../../runtime/net/ipv6.ts";
import type { Trace } from "../../runtime/trace.ts";
import { Entry, Errno, nameOf, Verdict } from "../../runtime/verdict.ts";
import { openEngines } from "../../src/engines.ts";
import { importForReplay } from "../../src/import/replay.ts";
import { ROOT } from "../../src/import/state.ts";
import { referenceEngine } from "../../src/reference/engine.ts";

interface Hook {
  readonly hook: string;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly saddr: string;
  readonly icmp_type?: number;
}
interface Port {
  readonly port: string;
  readonly hex: string;
}
interface Recorded {
  readonly name: string;
  readonly setup: readonly string[];
  readonly frames?: readonly (Port & { readonly why: string })[];
  readonly pings?: readonly string[];
  readonly expect: {
    readonly outputs?: readonly { readonly frames: readonly Port[]; readonly hooks: readonly Hook[] }[];
    readonly pings?: readonly { readonly rc: number; readonly err?: string; readonly hooks: readonly Hook[] }[];
  };
}

const recorded: readonly Recorded[] = JSON.parse(
  gunzipSync(readFileSync(new URL("kernel-6.1-frames6.json.gz", import.meta.url))).toString(),
);

function modelOf({ setup, name }: Recorded): Model {
  const { ast, source } = importForReplay(setup, [], name);
  return check(ast, source, { kernel: "6.1" }).model!;
}

/** Netfilter hooks as `prerouting p0 -`. */
function walk(net: Net, trace: Trace): string[] {
  const name = (ifindex: number) => net.devices.find((dev) => dev.ifindex === ifindex)?.name ?? "-";
  return trace.flatMap((step) =>
    step.step === "hook" && NETFILTER_HOOKS.includes(step.hook)
      ? [`${step.hook} ${name(step.in)} ${name(step.out)}`]
      : [],
  );
}

const hookWords = ({ hook, iif, oif }: Hook): string => `${hook} ${iif ?? "-"} ${oif ?? "-"}`;
/** The host's redirect, from the port's own address, stands in the midst of the packet's way. */
const isRedirect = ({ icmp_type, saddr }: Hook): boolean => icmp_type === 137 && saddr.includes("00ff:fe00");

const ICMP_TYPE = 14 + 40;

describe.each(recorded.filter(({ frames }) => frames).map((scenario) => [scenario.name, scenario] as const))(
  "%s",
  (_, scenario) => {
    const model = modelOf(scenario);
    const engines = model.nets.map((net) => referenceEngine(net, model.kernel));
    const root = model.nets.find(({ name }) => name === ROOT)!;

    test.each(scenario.frames!.map((frame, i) => [i, frame.why, frame.port, frame.hex] as const))(
      "%i: %s by %s",
      (i, _why, port, hex) => {
        const peer = deviceNamed(root, port)!.peer!;
        const batch = engines[peer.net].createBatch(1);
        batch.put(new Uint8Array(Buffer.from(hex, "hex")), { entry: Entry.RECEIVE, device: peer.ifindex });
        const hooks = walk(model.nets[peer.net], engines[peer.net].trace(batch)[0]);
        const kernel = scenario.expect.outputs![i];
        const wanted = kernel.hooks.filter((hook) => !isRedirect(hook)).map(hookWords);
        expect(hooks).toEqual(wanted.slice(0, hooks.length));
        switch (batch.column("verdict")[0]) {
          case Verdict.TRANSMIT:
            expect(hooks).toEqual(wanted);
            expect(kernel.frames.map((frame) => frame.hex)).toContain(Buffer.from(batch.packet(0)).toString("hex"));
            return;
          case Verdict.DROP:
            expect([hooks, kernel.frames]).toEqual([wanted, []]);
            return;
          case Verdict.ICMP_ERROR:
            for (const frame of kernel.frames) {
              const bytes = Buffer.from(frame.hex, "hex");
              expect(bytes.readUInt16BE(ICMP_TYPE)).toBe(batch.column("error")[0]);
            }
        }
      },
    );
  },
);

test.each(recorded.filter(({ frames }) => frames).map((scenario) => [scenario.name, scenario] as const))(
  "%s: the compiled engine has the same traces and columns",
  async (_, scenario) => {
    const model = modelOf(scenario);
    const root = model.nets.find(({ name }) => name === ROOT)!;
    const compiled = await openEngines(model, "compiled");
    const reference = model.nets.map((net) => referenceEngine(net, model.kernel));
    for (const { port, hex } of scenario.frames!) {
      const peer = deviceNamed(root, port)!.peer!;
      const [got, wanted] = [compiled, reference].map((engines) => {
        const batch = engines[peer.net].createBatch(1);
        batch.put(new Uint8Array(Buffer.from(hex, "hex")), { entry: Entry.RECEIVE, device: peer.ifindex });
        const [trace] = engines[peer.net].trace(batch);
        const verdict = batch.column("verdict")[0];
        const bytes = verdict === Verdict.DROP ? "" : Buffer.from(batch.packet(0)).toString("hex");
        const columns = (["verdict", "reason", "outDevice", "skbDevice", "sdif", "route", "error"] as const).map(
          (column) => batch.column(column)[0],
        );
        return { hex, trace, bytes, columns };
      });
      expect(got).toEqual(wanted);
    }
  },
  60_000,
);

describe("pings: what the socket's packet does before it is somebody else's", () => {
  const scenario = recorded.find(({ pings }) => pings)!;
  const model = modelOf(scenario);
  const net = model.nets.find(({ name }) => name === "r")!;
  const engine = referenceEngine(net, model.kernel);

  /** Exit status 2: ping could not even connect, and says so in the errno's words. */
  const WORDS: Record<string, string> = {
    "Network is unreachable": "ENETUNREACH",
    "No route to host": "EHOSTUNREACH",
    "Permission denied": "EACCES",
    "Invalid argument": "EINVAL",
  };

  test.each(scenario.pings!.map((cmd, i) => [cmd.replace(/^.*-w1 /, ""), i] as const))("%s", (words, i) => {
    const [, device = "", address, zone = device, size] = parsePing(words);
    const index = zone === "" ? 0 : deviceNamed(net, zone)!.ifindex;
    const batch = engine.createBatch(1);
    batch.put(echoRequest(address, Number(size ?? 56)), { entry: Entry.OUTPUT, device: index });
    const hooks = walk(net, engine.trace(batch)[0]);
    const kernel = scenario.expect.pings![i];
    expect(hooks).toEqual(kernel.hooks.slice(0, hooks.length).map(hookWords));
    const verdict = batch.column("verdict")[0];
    expect(verdict === Verdict.SEND_ERROR).toBe(kernel.hooks.length === 0);
    const why = Object.keys(WORDS).find((text) => kernel.err?.includes(`connect: ${text}`));
    if (why !== undefined) expect(nameOf(Errno, batch.column("error")[0])).toBe(WORDS[why]);
    if (kernel.hooks.length === 0) return;
    const sent = new Ipv6View(batch.bytes.subarray(batch.column("l3")[0]));
    expect(formatIp(sent.source)).toBe(formatIp(parseIp(kernel.hooks[0].saddr)!));
  });

  const parsePing = (words: string): (string | undefined)[] => {
    const [, device, size, address, zone] = /^(?:-I (\S+) )?(?:-s (\d+) )?([^\s%]+)(?:%(\S+))?$/.exec(words)!;
    return [words, device, address, zone, size];
  };

  function echoRequest(address: string | undefined, size: number): Uint8Array {
    const payload = new Uint8Array(8 + size);
    payload[0] = 128;
    const destination = parseIp(address!) as bigint;
    return ipv6Packet(
      { trafficClass: 0, flowLabel: 0, nextHeader: 58, hopLimit: 64, source: 0n, destination },
      payload,
    );
  }
});
