/** ip_do_fragment: the pieces fit, and together are the packet. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fragment } from "../../runtime/host/fragment.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { writeU16 } from "../../runtime/net/wire.ts";

const header = { tos: 4, identification: 99, dontFragment: true, ttl: 7, protocol: 17, source: 1, destination: 2 };

test("pieces fit the MTU, start on multiples of 8, and hold every byte once", () => {
  const data = fc.uint8Array({ minLength: 1, maxLength: 3000 });
  fc.assert(
    fc.property(data, fc.integer({ min: 68, max: 1500 }), fc.boolean(), fc.nat(100), (payload, mtu, more, at) => {
      const packet = ipv4Packet(header, payload);
      writeU16(packet, 6, (more ? 0x2000 : 0) | at);
      writeU16(packet, 10, 0);
      writeU16(packet, 10, checksum(packet.subarray(0, 20)));
      let next = at * 8;
      const views = fragment(packet, mtu).map((piece) => new Ipv4View(piece));
      for (const [i, view] of views.entries()) {
        expect(view.check()).toBeNull();
        expect(view.bytes.length).toBeLessThanOrEqual(mtu);
        expect(view.fragmentOffset).toBe(next);
        expect(view.moreFragments).toBe(more || i < views.length - 1);
        expect([view.dontFragment, view.identification, view.ttl, view.tos]).toEqual([false, 99, 7, 4]);
        next += view.payload.length;
      }
      expect(Buffer.concat(views.map((view) => view.payload))).toEqual(Buffer.from(payload));
    }),
  );
});

test("options: all in the first piece, only copied ones later", () => {
  const packet = new Uint8Array(28 + 100);
  packet.set(ipv4Packet(header, new Uint8Array(108)));
  packet[0] = 0x47;
  // record route (7, not copied), no-operation, router alert (148, copied)
  packet.set([7, 3, 4, 1, 148, 4, 0, 0], 20);
  writeU16(packet, 6, 0);
  writeU16(packet, 10, 0);
  writeU16(packet, 10, checksum(packet.subarray(0, 28)));
  const options = fragment(packet, 68).map((piece) => [...new Ipv4View(piece).options]);
  expect(options).toEqual([
    [7, 3, 4, 1, 148, 4, 0, 0],
    [1, 1, 1, 1, 148, 4, 0, 0],
    [1, 1, 1, 1, 148, 4, 0, 0],
  ]);
});
