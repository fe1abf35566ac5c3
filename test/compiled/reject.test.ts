/**
 * `reject` at the hooks that allow it: packets of both families with right and wrong checksums, fragments, extension headers;
 * the plan and wasm answer as the reference does, and every kind of answer occurs.
 */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { load } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { foldChecksum, pseudoHeaderSum, wordSum } from "../../runtime/net/checksum.ts";
import { type Ip, parseIp, writeIpv4, writeIpv6 } from "../../runtime/net/ip.ts";
import { writeMac } from "../../runtime/net/mac.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { fill, judged, SLOT_SIZE } from "./agree.ts";
import { planEngines } from "./plan-engine.ts";
import type { DrawnPacket } from "./random-packets.ts";

const HOOKS = ["prerouting", "input", "forward", "output"];

const network = (hook: string): string => `
sysctl net.ipv4.ip_forward = 1
sysctl net.ipv6.conf.all.forwarding = 1
vrf red { index 2; table 10 }
interface a { index 4; lladdr 02:00:00:00:00:04; master red; address 10.0.0.1/24; address 2001:db8::1/64 }
interface b { index 5; lladdr 02:00:00:00:00:05; master red; address 10.0.1.1/24; address 2001:db8:0:1::1/64 }
interface d { index 7; lladdr 02:00:00:00:00:07; address 10.0.3.1/24; address 2001:db8:0:3::1/64 }
table inet t {
  chain c {
    type filter hook ${hook} priority 0; policy accept;
    tcp dport 22 reject with tcp reset
    udp dport 9 reject with icmpx admin-prohibited
    reject
  }
}
`;

/** [source, destination]: of a VRF and of none, for the host and through it. */
const PAIRS = [
  ["10.0.0.7", "10.0.0.1"],
  ["10.0.0.7", "10.0.1.7"],
  ["10.0.3.7", "10.0.3.1"],
  ["172.16.0.1", "10.0.0.1"],
  ["10.0.0.7", "10.0.0.255"],
  ["10.0.0.1", "10.0.1.7"],
  ["2001:db8::7", "2001:db8::1"],
  ["2001:db8::7", "2001:db8:0:1::7"],
  ["2001:db8:0:3::7", "2001:db8:0:3::1"],
  ["2001:db8::7", "ff02::1"],
  ["::ffff:10.0.0.7", "2001:db8::1"],
  ["2001:db8::1", "2001:db8:0:1::7"],
].map((pair) => pair.map((text) => parseIp(text)!));

const PROTOCOLS = [
  { protocol: 6, bytes: 20, check: 16, port: 22 },
  { protocol: 6, bytes: 33, check: 16, port: 22, flags: 4 },
  { protocol: 6, bytes: 18, check: 16, port: 22 },
  { protocol: 6, bytes: 31, check: 16, port: 22 },
  { protocol: 17, bytes: 8, check: 6, port: 9 },
  { protocol: 17, bytes: 13, check: null, port: 9 },
  { protocol: 47, bytes: 8, check: null, port: 0 },
  { protocol: 99, bytes: 0, check: null, port: 0 },
];
type Segment = (typeof PROTOCOLS)[number];
/** What is wrong with the packet, or stands between its headers. */
const SPOILS = ["nothing", "checksum", "fragment", "first fragment", "extension"] as const;
type Spoil = (typeof SPOILS)[number];

function segment({ protocol, bytes, check, port, flags = 2 }: Segment, [from, to]: Ip[], spoil: Spoil): Uint8Array {
  const data = Uint8Array.from({ length: bytes }, (_, i) => (i * 37) & 0xff);
  if (bytes >= 8) writeU16(data, 2, port);
  if (protocol === 6) data[13] = flags;
  if (protocol === 6) data[12] = 0x50;
  if (protocol === 17) data.fill(0, 6, 8);
  if (check === null) return data;
  data.fill(0, check, check + 2);
  const right = foldChecksum(wordSum(data) + pseudoHeaderSum(from, to, protocol, bytes));
  writeU16(data, check, spoil === "checksum" ? right ^ 0x101 : right);
  return data;
}

function packet(of: Segment, pair: Ip[], spoil: Spoil): Uint8Array {
  const data = segment(of, pair, spoil);
  const [from, to] = pair;
  if (typeof from === "number") {
    const ip = new Uint8Array([0x45, 0, 0, 0, 1, 2, 0, 0, 64, of.protocol, ...new Array(10).fill(0), ...data]);
    writeU16(ip, 2, ip.length);
    writeU16(ip, 6, spoil === "fragment" ? 5 : spoil === "first fragment" ? 0x2000 : 0);
    writeIpv4(ip, 12, from);
    writeIpv4(ip, 16, to as number);
    writeU16(ip, 10, foldChecksum(wordSum(ip.subarray(0, 20))));
    return ip;
  }
  const fragment = (offset: number): number[] => [of.protocol, 0, offset >> 8, offset & 0xff, 0, 0, 0, 1];
  const between = {
    fragment: [44, fragment(0x28)],
    "first fragment": [44, fragment(1)],
    extension: [60, [51, 0, 1, 4, 0, 0, 0, 0, of.protocol, 1, ...new Array(10).fill(0)]],
  } as const;
  const [next, headers] = spoil in between ? between[spoil as keyof typeof between] : [of.protocol, []];
  const ip = new Uint8Array([0x60, 0, 0, 0, 0, 0, next, 64, ...new Array(32).fill(0), ...headers, ...data]);
  writeU16(ip, 4, ip.length - 40);
  writeIpv6(ip, 8, from);
  writeIpv6(ip, 24, to as bigint);
  return ip;
}

const BESIDES = { mark: 0, uid: 0, flags: 0, nextHop: new Uint8Array(16) };

const received = (bytes: Uint8Array, device: number): DrawnPacket => {
  const frame = new Uint8Array([...new Array(14).fill(0), ...bytes]);
  writeMac(frame, 0, 0x020000000000 + device);
  writeU16(frame, 12, bytes[0] >>> 4 === 6 ? 0x86dd : 0x0800);
  return { entry: Entry.RECEIVE, device, bytes: frame, ...BESIDES };
};

const packets: DrawnPacket[] = PAIRS.flatMap((pair) =>
  PROTOCOLS.flatMap((of) =>
    SPOILS.flatMap((spoil) => {
      const bytes = packet(of, pair, spoil);
      return [
        received(bytes, 4),
        received(bytes, 7),
        ...[0, 2].map((device) => ({ entry: Entry.OUTPUT, device, bytes, ...BESIDES })),
      ];
    }),
  ),
);

describe("reject", () => {
  const seen = new Set<string>();
  test.each(HOOKS)(
    "at %s: every engine agrees",
    async (hook) => {
      const { model, diagnostics } = checkText(network(hook));
      expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
      const compiled = (await load((await compileModel(model!, { level: 2 })).artifact)).net(0);
      const engines: Engine[] = [
        referenceEngine(model!.nets[0], model!.kernel),
        ...planEngines(model!, { level: 0 }),
        compiled,
      ];
      const own = engines.map((engine) => ({ engine, batch: engine.createBatch(40, SLOT_SIZE) }));
      for (let at = 0; at < packets.length; at += 40) {
        const answers = own.map(({ engine, batch }) => {
          fill(batch, packets.slice(at, at + 40));
          return { traces: engine.trace(batch), judged: judged(batch) };
        });
        for (const answer of answers.slice(1)) expect(answer).toEqual(answers[0]);
        const [{ batch }] = own;
        for (let i = 0; i < batch.count; i++) {
          const version = packets[at + i].bytes.at(packets[at + i].entry === Entry.RECEIVE ? 14 : 0)! >>> 4;
          seen.add(`${hook} ${version} ${batch.column("verdict")[i]}`);
        }
      }
      const answered = [4, 6].flatMap((version) =>
        [Verdict.ICMP_ERROR, Verdict.TCP_RESET, Verdict.DROP].map((verdict) => `${hook} ${version} ${verdict}`),
      );
      expect([...seen]).toEqual(expect.arrayContaining(answered));
    },
    120_000,
  );
});
