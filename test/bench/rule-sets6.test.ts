import fc from "fast-check";
import { expect, test } from "vitest";
import { bitsOf, type Ip } from "../../runtime/net/ip.ts";
import { length6, mapped6 } from "./rule-sets6.ts";

const within = (network: Ip, length: number, address: Ip, bits: number): boolean =>
  (BigInt(network) ^ BigInt(address)) >> BigInt(bits - length) === 0n;

test("an IPv6 address is in a prefix where the IPv4 addresses that they stand for are", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(
      u32,
      fc.integer({ min: 0, max: 32 }),
      fc.integer({ min: 0, max: 32 }),
      u32,
      (address, length, same, low) => {
        const host = same === 32 ? 0 : (low & (0xffffffff >>> same)) >>> 0;
        const other = (address ^ host) >>> 0;
        const inside = within(address, length, other, bitsOf(4));
        expect(within(mapped6(address), length6(length), mapped6(other), bitsOf(6))).toBe(inside);
      },
    ),
  );
});
