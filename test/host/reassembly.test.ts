/** ip_defrag by itself: what the recordings of test/kernel do not show. */
import { expect, test } from "vitest";
import type { Clock } from "../../runtime/host/events.ts";
import { fragment } from "../../runtime/host/fragment.ts";
import { type Fragment, Reassembly } from "../../runtime/host/reassembly.ts";
import { Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";

const SECOND = 1_000_000;

class ManualClock implements Clock {
  now = 0;
  #timers: { at: number; action: () => void }[] = [];
  after(delay: number, action: () => void): void {
    this.#timers.push({ at: this.now + delay, action });
  }
  pass(seconds: number): void {
    this.now += seconds * SECOND;
    const due = this.#timers.filter(({ at }) => at <= this.now);
    this.#timers = this.#timers.filter(({ at }) => at > this.now);
    for (const { action } of due) action();
  }
}

const VRF = 9;
/** Devices 1 and 2 are of no VRF, 3, 4 and the VRF itself of one. */
const domainOf = (device: number): number => (device >= 3 ? VRF : 0);

function setUp() {
  const clock = new ManualClock();
  const expired: [Fragment, number][] = [];
  const reassembly = new Reassembly<Fragment>(clock, domainOf, (first, device) => expired.push([first, device]));
  return { clock, expired, reassembly };
}

const packet = (identification: number, size: number): Uint8Array =>
  ipv4Packet(
    { tos: 0, identification, dontFragment: false, ttl: 64, protocol: 17, source: 0x0a000002, destination: 0x0a000001 },
    Uint8Array.from({ length: size }, (_, i) => i * 7),
  );

const pieces = (identification: number, size: number): Uint8Array[] => fragment(packet(identification, size), 500);

test("what was cut is put together again, whatever came first", () => {
  const cut = pieces(1, 1400);
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  expect(cut).toHaveLength(3);
  for (const order of orders) {
    const { reassembly } = setUp();
    const results = order.map((k) => reassembly.add({ bytes: cut[k], device: 1 }));
    expect(results.slice(0, 2)).toEqual([null, null]);
    expect(results[2]?.bytes).toEqual(packet(1, 1400));
    expect(new Ipv4View(results[2]?.first.bytes ?? new Uint8Array(20)).fragmentOffset).toBe(0);
  }
});

test.each([
  { devices: [1, 2], whole: true },
  { devices: [3, 4], whole: true },
  { devices: [3, VRF], whole: true },
  { devices: [1, 3], whole: false },
])("fragments that came by $devices: $whole", ({ devices, whole }) => {
  const { reassembly } = setUp();
  const [first, last] = pieces(1, 600);
  reassembly.add({ bytes: first, device: devices[0] });
  expect(reassembly.add({ bytes: last, device: devices[1] }) !== null).toBe(whole);
});

test("after 30 seconds it is too late, and the first fragment is told of", () => {
  const { reassembly, clock, expired } = setUp();
  const [first, middle, last] = pieces(1, 1400);
  reassembly.add({ bytes: first, device: 3 });
  clock.pass(29);
  reassembly.add({ bytes: middle, device: 4 });
  expect(expired).toEqual([]);
  clock.pass(1);
  expect(expired).toEqual([[{ bytes: first, device: 3 }, 4]]);
  expect(reassembly.add({ bytes: last, device: 3 })).toBeNull();
  clock.pass(30);
  expect(expired).toHaveLength(1);
});

test("a packet that is whole expires no more", () => {
  const { reassembly, clock, expired } = setUp();
  for (const bytes of pieces(1, 600)) reassembly.add({ bytes, device: 1 });
  clock.pass(60);
  expect(expired).toEqual([]);
});

test.each([
  { others: 63, whole: true },
  { others: 64, whole: false },
])("$others fragments of other packets between two: whole $whole (ipfrag_max_dist)", ({ others, whole }) => {
  const { reassembly } = setUp();
  const [first, last] = pieces(1, 600);
  reassembly.add({ bytes: first, device: 1 });
  for (let k = 0; k < others; k++) reassembly.add({ bytes: pieces(100 + k, 600)[0], device: 1 });
  expect(reassembly.add({ bytes: last, device: 1 }) !== null).toBe(whole);
});
