/** What holds for any packet: nothing throws, nothing outside the slot is touched, checksums stay right, flows keep their path. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deviceNamed } from "../../dsl/model.ts";
import { HEADROOM } from "../../runtime/batch.ts";
import { multipathHash } from "../../runtime/multipath.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { writeU16 } from "../../runtime/net/wire.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { fib_rebalance } from "../../src/reference/fib_semantics.ts";
import { Iphdr, ip_decrease_ttl } from "../../src/reference/iphdr.ts";
import { frameOf, hostOf, ipPacketOf } from "./support.ts";

const POLICY = `
sysctl net.ipv4.ip_forward = 1
vrf red { table 10; address 10.5.0.1/32 }
interface a { master red; address 10.0.0.1/24 }
interface b { master red; address 10.0.1.1/24; mtu 600 }
interface c { address 10.2.0.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
route 10.6.0.0/16 dev red
table 10 { route 10.2.0.0/16 dev c }
rule 900 dport 1-1000 lookup 10
`;

describe("any bytes", () => {
  const host = hostOf(POLICY);
  const a = deviceNamed(host.net, "a")!;
  const batch = host.engine.createBatch(3, 512);
  /** The slots before and after the packet's, and the room behind it in its own. */
  const GUARD = 0xa5;

  function judge(entry: Entry, device: number, bytes: Uint8Array): void {
    batch.bytes.fill(GUARD, batch.slot(0), batch.slot(0) + 3 * batch.slotSize);
    batch.count = 1;
    const i = batch.put(bytes, { entry, device });
    batch.column("nextHop")[i] = batch.slot(i);
    batch.count = 3;
    for (const other of [0, 2]) batch.column("entry")[other] = 99; // no entry: left alone
    host.engine.trace(batch);
    const end = batch.slot(i) + HEADROOM + bytes.length;
    const outside = [
      ...batch.bytes.subarray(batch.slot(0), batch.slot(1)),
      ...batch.bytes.subarray(end, batch.slot(2) + batch.slotSize),
    ];
    expect(outside.every((byte) => byte === GUARD)).toBe(true);
    const verdict = batch.column("verdict")[i];
    expect(Object.values(Verdict)).toContain(verdict);
    expect(verdict).not.toBe(Verdict.NONE);
    const data = batch.column("data")[i];
    expect(data).toBeGreaterThanOrEqual(batch.slot(i));
    expect(data + batch.column("length")[i]).toBeLessThanOrEqual(verdict === Verdict.DROP ? Infinity : end);
  }

  const anyBytes = fc.uint8Array({ maxLength: 512 - HEADROOM });
  /** A frame that gets past the checksum, with bytes of the header and behind it at random. */
  const nearlyGood = fc
    .tuple(
      fc.uint8Array({ minLength: 20, maxLength: 80 }),
      fc.integer({ min: 0, max: 15 }),
      fc.constantFrom("10.0.0.7", "127.0.0.1", "0.0.0.0"),
    )
    .map(([noise, ihl, from]) => {
      const frame = frameOf({ from, to: "10.0.1.7", payload: noise }, a.mac);
      frame.set(noise.subarray(0, 9), 14 + 1);
      frame[14] = 0x40 | ihl;
      writeU16(frame, 14 + 2, Math.min(noise[2], frame.length - 14));
      writeU16(frame, 14 + 10, 0);
      writeU16(frame, 14 + 10, checksum(frame.subarray(14, 14 + ihl * 4)));
      return frame;
    });
  const anyEntry = fc.constantFrom(...Object.values(Entry).filter((entry) => entry !== Entry.JUDGED));
  const anyDevice = fc.integer({ min: 0, max: 7 });

  test("are judged, and nothing outside the packet is touched", () => {
    fc.assert(
      fc.property(anyEntry, anyDevice, fc.oneof(anyBytes, nearlyGood), (entry, device, bytes) =>
        judge(entry, device, bytes),
      ),
      { numRuns: 2000 },
    );
  });

  test("to each destination", () => {
    const any = fc.constantFrom(
      "10.0.1.7",
      "10.0.0.1",
      "10.6.1.1",
      "9.9.9.9",
      "224.0.0.1",
      "255.255.255.255",
      "127.0.0.1",
      "10.2.0.9",
      "0.0.0.0",
    );
    fc.assert(
      fc.property(anyEntry, anyDevice, any, any, fc.nat(255), fc.nat(350), (entry, device, from, to, ttl, size) => {
        const words = { from, to, ttl, payload: new Uint8Array(size) };
        judge(entry, device, entry === Entry.RECEIVE ? frameOf(words, a.mac) : ipPacketOf(words));
      }),
      { numRuns: 2000 },
    );
  });
});

test("ip_decrease_ttl: the checksum stays right for any header", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (bytes) => {
      bytes[0] = 0x45;
      bytes[8] = Math.max(1, bytes[8]);
      writeU16(bytes, 10, 0);
      writeU16(bytes, 10, checksum(bytes));
      const before = bytes[8];
      ip_decrease_ttl(new Iphdr(bytes, 0));
      expect([bytes[8], checksum(bytes)]).toEqual([before - 1, 0]);
    }),
  );
});

describe("multipath", () => {
  const policy = (weights: readonly number[], hashPolicy: number) => `
    sysctl net.ipv4.ip_forward = 1
    sysctl net.ipv4.fib_multipath_hash_policy = ${hashPolicy}
    interface eth0 { address 10.0.0.1/16 }
    ${weights.map((_, i) => `interface eth${i + 1} { address 10.${i + 1}.0.1/24 }`).join("\n")}
    route 9.0.0.0/8 ${weights.map((w, i) => `nexthop via 10.${i + 1}.0.2 weight ${w}`).join(" ")}`;
  const gateway = (story: string) => /via (\S+)/.exec(story)![1];

  test.each([[[1, 1]], [[1, 3]], [[2, 1, 5]]])("weights %j are kept over 2000 flows, within 3 of 100", (weights) => {
    const host = hostOf(policy(weights, 0));
    const counts = weights.map(() => 0);
    for (let n = 2; n < 2002; n++) {
      const { story } = host.receive("eth0", { from: `10.0.${n >> 8}.${n & 255}`, to: `9.9.${n % 97}.9` });
      counts[Number(gateway(story).split(".")[1]) - 1]++;
    }
    const total = weights.reduce((a, b) => a + b);
    for (const [i, weight] of weights.entries()) expect(Math.abs(counts[i] / 2000 - weight / total)).toBeLessThan(0.03);
  });

  test("policy 0 does not see ports, policy 1 does", () => {
    const paths = (hashPolicy: number) => {
      const host = hostOf(policy([1, 1], hashPolicy));
      const ports = Array.from({ length: 64 }, (_, i) => Uint8Array.of(4, i, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4));
      return new Set(
        ports.map((payload) =>
          gateway(host.receive("eth0", { from: "10.0.0.7", to: "9.9.9.9", protocol: 17, payload }).story),
        ),
      );
    };
    expect([paths(0).size, paths(1).size]).toEqual([1, 2]);
  });

  test("an ICMP error takes the path of the flow that it quotes", () => {
    const host = hostOf(policy([1, 1], 0));
    for (let n = 0; n < 32; n++) {
      const flow = { from: `10.0.0.${n + 2}`, to: "9.9.9.9" };
      const error = Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0, ...ipPacketOf(flow).subarray(0, 28));
      const { story } = host.receive("eth0", { from: "10.0.0.99", to: "9.1.1.1", payload: error });
      expect(gateway(story)).toBe(gateway(host.receive("eth0", flow).story));
    }
  });

  test("a bound socket takes its device's next hop, whatever the hash", () => {
    const host = hostOf(policy([1, 1], 0));
    for (let n = 1; n < 16; n++)
      expect(host.output("eth2", { from: "0.0.0.0", to: `9.9.9.${n}` }).story).toContain("via 10.2.0.2");
  });

  test("both directions of a flow hash alike", () => {
    const address = fc.integer({ min: 0, max: 0xffffffff });
    const port = fc.nat(0xffff);
    fc.assert(
      fc.property(address, address, port, port, fc.nat(255), (a, b, p, q, protocol) => {
        const hash = multipathHash(a, b, p, q, protocol);
        expect(multipathHash(b, a, q, p, protocol)).toBe(hash);
        expect(hash >= 0 && hash < 2 ** 31).toBe(true);
      }),
    );
  });

  test("known hashes: other implementations must give the same", () => {
    expect(multipathHash(0, 0, 0, 0, 0)).toBe(896327536);
    expect(multipathHash(0x0a000007, 0x0a000107, 0, 0, 0)).toBe(1990031466);
    expect(multipathHash(0xffffffff, 1, 65535, 53, 17)).toBe(382173740);
  });

  test("bounds: the last one is the highest hash, dead next hops are never picked", () => {
    const host = hostOf(policy([1, 2], 0));
    const [route] = host.net.routes.filter((r) => r.nexthops.length === 2);
    expect(fib_rebalance(route.nexthops)).toEqual([715827882, 2147483647]);
    expect(fib_rebalance(route.nexthops.map((nh, i) => ({ ...nh, dead: i === 0 })))).toEqual([-1, 2147483647]);
  });
});
