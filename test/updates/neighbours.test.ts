/** Neighbours by hand: in `ip neigh`'s words and as numbers, of both families; packets see them, refusals change nothing. */
import { beforeAll, describe, expect, test } from "vitest";
import { DEVICE, DEVICE_BYTES } from "../../runtime/abi/device.ts";
import { IMAGE } from "../../runtime/abi/image.ts";
import { MOST_CHANGES, NEIGHBOUR_TABLE } from "../../runtime/abi/neighbour.ts";
import { NET } from "../../runtime/abi/net.ts";
import { type Dataplane, load } from "../../runtime/dataplane.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../runtime/net/ipv6.ts";
import { formatMac, readMac } from "../../runtime/net/mac.ts";
import { NeighbourError } from "../../runtime/refusal.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";
import { compile } from "../../src/compile.ts";

const POLICY = `sysctl net.ipv4.ip_forward = 1
sysctl net.ipv6.conf.all.forwarding = 1
interface in { address 10.0.0.1/24; address 2001:db8:1::1/64; lladdr 02:00:00:00:10:01 }
interface out { address 10.0.1.1/24; address 2001:db8:2::1/64; lladdr 02:00:00:00:10:02 }
route 20.0.0.0/8 via 10.0.1.70
neighbour 10.0.1.9 dev out lladdr 02:00:00:00:00:09`;

let loaded: Dataplane;
beforeAll(async () => {
  const { artifact } = await compile({ name: "policy.vrf", text: POLICY }, { level: 0 });
  loaded = await load(artifact!);
});

/** The link-layer destination of a frame that is forwarded to an address; null: the neighbour is not known. */
function sentTo(address: string): string | null {
  const frame = sent(address);
  return frame === null ? null : formatMac(readMac(frame, 0));
}

/** The frame that is forwarded. */
function sent(address: string): Uint8Array | null {
  const destination = parseIp(address)!;
  const packet =
    typeof destination === "number"
      ? ipv4Packet(
          {
            tos: 0,
            identification: 1,
            dontFragment: true,
            ttl: 9,
            protocol: 17,
            source: parseIp("10.0.0.9") as number,
            destination,
          },
          new Uint8Array(8),
        )
      : ipv6Packet(
          {
            trafficClass: 0,
            flowLabel: 0,
            nextHeader: 17,
            hopLimit: 9,
            source: parseIp("2001:db8:1::9") as bigint,
            destination,
          },
          new Uint8Array(8),
        );
  const type = typeof destination === "number" ? EtherType.IPV4 : EtherType.IPV6;
  const batch = loaded.net(0).createBatch(1);
  const frame = ethernetFrame({ destination: 0x020000001001, source: 0x020000000002, type }, packet);
  batch.put(frame, { entry: Entry.RECEIVE, device: device("in") });
  loaded.net(0).process(batch);
  const [verdict] = batch.column("verdict");
  if (verdict === Verdict.UNRESOLVED) return null;
  expect(verdict).toBe(Verdict.TRANSMIT);
  return batch.packet(0);
}
const device = (name: string): number => loaded.manifest.nets[0].devices.find((d) => d.name === name)!.ifindex;

describe("neighbours", () => {
  test.each(["10.0.1.7", "2001:db8:2::7"])("%s comes, moves and goes", (address) => {
    const neighbours = loaded.neighbours("host");
    expect(sentTo(address)).toBe(null);
    neighbours.add(`${address} lladdr 02:00:00:00:00:07 dev out nud permanent`);
    expect(sentTo(address)).toBe("02:00:00:00:00:07");
    neighbours.change(`to ${address} dev out lladdr 02:00:00:00:00:08`);
    expect(sentTo(address)).toBe("02:00:00:00:00:08");
    neighbours.replace({ address: parseIp(address)!, dev: device("out"), lladdr: 0x02000000000a });
    expect(sentTo(address)).toBe("02:00:00:00:00:0a");
    expect(neighbours.get(address, "out")).toBe(0x02000000000a);
    expect([...neighbours.entries()].map((entry) => entry.mac)).toContain(0x02000000000a);
    neighbours.run(`ip neigh del ${address} dev out`);
    expect(sentTo(address)).toBe(null);
    expect(neighbours.get(address, "out")).toBe(null);
  });

  test("those of the text are there, and change as others do", () => {
    const neighbours = loaded.neighbours(0);
    expect(sentTo("10.0.1.9")).toBe("02:00:00:00:00:09");
    neighbours.run("neigh replace 10.0.1.9 lladdr 02:00:00:00:00:99 dev out");
    expect(sentTo("10.0.1.9")).toBe("02:00:00:00:00:99");
  });

  test("a thousand of them, in a table that grows", () => {
    const neighbours = loaded.neighbours("host");
    const base = parseIp("2001:db8:2::1:0") as bigint;
    for (let i = 0; i < 1000; i++)
      neighbours.add({ address: base + BigInt(i), dev: "out", lladdr: 0x020000010000 + i });
    for (let i = 0; i < 1000; i++) expect(neighbours.get(base + BigInt(i), "out")).toBe(0x020000010000 + i);
    expect(sentTo("2001:db8:2::1:3e7")).toBe("02:00:00:01:03:e7");
    for (let i = 0; i < 1000; i++) neighbours.delete({ address: base + BigInt(i), dev: "out" });
    expect(sentTo("2001:db8:2::1:3e7")).toBe(null);
  });

  test("what a next hop remembers of its gateway and device lasts until either changes", () => {
    const neighbours = loaded.neighbours("host");
    const twice = (): (string | null)[] => [sentTo("20.1.2.3"), sentTo("20.4.5.6")];
    expect(twice()).toEqual([null, null]);
    neighbours.add("10.0.1.70 lladdr 02:00:00:00:00:70 dev out");
    expect(twice()).toEqual(["02:00:00:00:00:70", "02:00:00:00:00:70"]);
    neighbours.change("10.0.1.70 dev out lladdr 02:00:00:00:00:71");
    expect(twice()).toEqual(["02:00:00:00:00:71", "02:00:00:00:00:71"]);
    for (let i = 0; i < 100; i++) {
      neighbours.add({ address: 0x0a000180 + i, dev: "out", lladdr: 0x020000010000 + i });
      if (i % 9 === 0) expect(twice()).toEqual(["02:00:00:00:00:71", "02:00:00:00:00:71"]);
    }
    neighbours.delete({ address: parseIp("10.0.1.70")!, dev: "out" });
    expect(twice()).toEqual([null, null]);
    neighbours.add("10.0.1.70 lladdr 02:00:00:00:00:72 dev out");
    expect(twice()).toEqual(["02:00:00:00:00:72", "02:00:00:00:00:72"]);

    const net = loaded.word(IMAGE.netsOffset);
    const out =
      loaded.word(net + NET.devices) +
      DEVICE_BYTES * loaded.manifest.nets[0].devices.findIndex((d) => d.name === "out");
    const changes = loaded.word(net + NET.neighbours) + NEIGHBOUR_TABLE.changes;
    const macAt = out + DEVICE.mac + 5;
    expect(formatMac(readMac(sent("20.1.2.3")!, 6))).toBe("02:00:00:00:10:02");
    loaded.bytes[macAt] = 0x99;
    loaded.setWord(changes, loaded.word(changes) + 1);
    expect(formatMac(readMac(sent("20.1.2.3")!, 6))).toBe("02:00:00:00:10:99");
    loaded.bytes[macAt] = 0x02;
    loaded.setWord(changes, MOST_CHANGES);
    expect(formatMac(readMac(sent("20.1.2.3")!, 6))).toBe("02:00:00:00:10:02");
    neighbours.change("10.0.1.70 dev out lladdr 02:00:00:00:00:73");
    expect(loaded.word(changes)).toBe(1);
    expect(twice()).toEqual(["02:00:00:00:00:73", "02:00:00:00:00:73"]);
  });

  test.each([
    ["add 10.0.1.9 lladdr 02:00:00:00:00:01 dev out", "EEXIST", "RTNETLINK answers: File exists"],
    ["change 10.0.1.44 lladdr 02:00:00:00:00:01 dev out", "ENOENT", "RTNETLINK answers: No such file or directory"],
    ["del 10.0.1.44 dev out", "ENOENT", "RTNETLINK answers: No such file or directory"],
    ["add 10.0.1.44 lladdr 02:00:00:00:00:01 dev nowhere", "ENODEV", 'Cannot find device "nowhere"'],
    ["add 10.0.1.44 lladdr 02:00:00:00:01 dev out", "EINVAL", "Error: Invalid link address."],
    ["add 10.0.1.444 lladdr 02:00:00:00:00:01 dev out", "EINVAL", "10.0.1.444"],
    ["add 10.0.1.44 lladdr 02:00:00:00:00:01", "EINVAL", "Device and destination are required arguments."],
    ["add 10.0.1.44 dev out", "EOPNOTSUPP", "lladdr"],
    ["add 10.0.1.44 lladdr 02:00:00:00:00:01 dev out nud stale", "EOPNOTSUPP", "nud stale"],
    ["add 10.0.1.44 dev out lladdr", "EINVAL", "lladdr"],
    ["add 10.0.1.44 10.0.1.45 dev out", "EINVAL", "garbage"],
    ["frob 10.0.1.44 dev out", "EINVAL", "frob"],
  ])("refused: %s", (command, code, words) => {
    const neighbours = loaded.neighbours("host");
    const before = [...neighbours.entries()];
    const refusal = (() => {
      try {
        return neighbours.run(command);
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(NeighbourError);
    expect((refusal as NeighbourError).code).toBe(code);
    expect((refusal as NeighbourError).message).toContain(words);
    expect([...neighbours.entries()]).toEqual(before);
  });
});
