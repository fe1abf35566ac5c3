/** Packets for the network of script.ts, and what an engine makes of them, but for the numbers of routes. */
import fc from "fast-check";
import { COLUMNS, OFFSET_COLUMNS, type PacketBatch } from "../../runtime/batch.ts";
import type { Engine } from "../../runtime/engine.ts";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { Entry, Verdict } from "../../runtime/verdict.ts";

export interface Drawn {
  readonly entry: Entry;
  /** ifindex */
  readonly device: number;
  readonly mark: number;
  readonly packet: Uint8Array;
}

const address = fc
  .constantFrom("10.9.0.1", "10.9.1.1", "10.9.1.130", "10.9.1.200", "10.7.7.7", "10.8.8.8", "10.8.1.1", "10.0.1.7")
  .chain((text) => fc.constantFrom(text, "10.0.2.7", "10.0.3.3", "172.16.3.4", "200.1.1.1", "8.8.8.8", "192.168.0.9"))
  .map((text) => parseIp(text) as number);

export const packets: fc.Arbitrary<Drawn[]> = fc.array(
  fc
    .record({
      entry: fc.constantFrom(Entry.RECEIVE, Entry.RECEIVE, Entry.OUTPUT, Entry.LOOKUP),
      device: fc.integer({ min: 0, max: 8 }),
      mark: fc.constantFrom(0, 0, 1),
      source: fc.oneof(address, fc.constant(0)),
      destination: address,
      tos: fc.constantFrom(0, 0x10),
    })
    .map(({ entry, device, mark, source, destination, tos }) => {
      const from = entry === Entry.RECEIVE && source === 0 ? destination ^ 1 : source;
      const header = { tos, identification: 1, dontFragment: true, ttl: 9, protocol: 17, source: from, destination };
      return { entry, device, mark, packet: ipv4Packet(header, new Uint8Array(12)) };
    }),
  { minLength: 20, maxLength: 60, size: "max" },
);

/** Columns and bytes of each packet. @param macs of the devices by ifindex */
export function judge(engine: Engine, drawn: readonly Drawn[], macs: ReadonlyMap<number, number>): unknown[] {
  const batch = engine.createBatch(drawn.length, 512);
  for (const { entry, device, mark, packet } of drawn) {
    const frame = { destination: macs.get(device) ?? 0, source: 0x02aa, type: EtherType.IPV4 };
    batch.put(entry === Entry.RECEIVE ? ethernetFrame(frame, packet) : packet, { entry, device, mark });
  }
  engine.process(batch);
  return drawn.map((_, i) => judged(batch, i));
}

/** Offsets in the buffer count from the slot. */
function judged(batch: PacketBatch, i: number): unknown {
  const verdict = batch.column("verdict")[i];
  const shown = COLUMNS.filter(
    (name) => name !== "route" && (verdict !== Verdict.DROP || !["data", "length"].includes(name)),
  );
  const columns = shown.map((name) => {
    const value = batch.column(name)[i];
    return [name, OFFSET_COLUMNS.includes(name) && value !== 0 ? value - batch.slot(i) : value];
  });
  const next = batch.column("nextHop")[i];
  return {
    columns,
    nextHop: next === 0 ? null : [...batch.bytes.subarray(next, next + 4)],
    packet: verdict === Verdict.DROP ? null : [...batch.packet(i)],
  };
}
