/**
 * Addresses as text. ip-num reads and writes them independently of runtime/net/ip.ts: the twin of the properties.
 * Run: npx vitest run test/dsl/address.test.ts
 */
import fc from "fast-check";
import { IPv4, IPv6 } from "ip-num";
import { describe, expect, test } from "vitest";
import { looksLikeMac, parseIp, parseMac, parsePrefix } from "../../dsl/address.ts";
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import { formatMac } from "../../runtime/net/mac.ts";

const ipv4 = fc.nat(0xffffffff);
const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: fc.bigInt(0n, 0xffffn) });
const ipv6 = fc
  .array(group, { minLength: 8, maxLength: 8 })
  .map((all) => all.reduce((ip, part) => (ip << 16n) | part, 0n));

describe("what is written is read", () => {
  test("IPv4, as ip-num has it", () => {
    fc.assert(
      fc.property(ipv4, (ip) => {
        expect(parseIp(formatIp(ip))).toEqual({ ok: true, value: ip });
        expect(parseIp(IPv4.fromNumber(BigInt(ip)).toString())).toEqual({ ok: true, value: ip });
        expect(new IPv4(formatIp(ip)).getValue()).toBe(BigInt(ip));
      }),
    );
  });

  test("IPv6, as ip-num has it: in full, and with the zeros left out", () => {
    fc.assert(
      fc.property(ipv6, (ip) => {
        expect(parseIp(formatIp(ip))).toEqual({ ok: true, value: ip });
        expect(parseIp(IPv6.fromBigInt(ip).toString())).toEqual({ ok: true, value: ip });
        if (ip >> 32n !== 0xffffn) expect(new IPv6(formatIp(ip)).getValue()).toBe(ip);
      }),
    );
  });

  test("prefixes keep their host bits", () => {
    const prefix = fc.oneof(
      fc.record({ address: ipv4, length: fc.nat(32) }),
      fc.record({ address: ipv6, length: fc.nat(128) }),
    );
    fc.assert(
      fc.property(prefix, (value) => {
        expect(parsePrefix(formatPrefix(value))).toEqual({ ok: true, value });
      }),
    );
  });

  test("link-layer addresses, in either case", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 48 - 1), (value) => {
        expect(parseMac(formatMac(value))).toEqual({ ok: true, value });
        expect(parseMac(formatMac(value).toUpperCase())).toEqual({ ok: true, value });
        expect(looksLikeMac(formatMac(value))).toBe(true);
        expect(parseIp(formatMac(value)).ok).toBe(false);
      }),
    );
  });
});

describe("whatever the text", () => {
  const anything = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."0123456789abcfx.:/% -") }),
  );

  test("an address or a reason", () => {
    fc.assert(
      fc.property(anything, (text) => {
        for (const parsed of [parseIp(text), parsePrefix(text), parseMac(text)]) {
          if (!parsed.ok) expect(parsed.reason).not.toBe("");
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("what is offered instead is right", () => {
    const sloppy = fc
      .tuple(fc.array(fc.nat(255), { minLength: 1, maxLength: 4 }), fc.nat(40))
      .map(([octets, n]) => `${octets.join(".")}/${n}`);
    fc.assert(
      fc.property(fc.oneof(anything, sloppy), (text) => {
        const parsed = parsePrefix(text);
        if (!parsed.ok && parsed.instead !== undefined)
          expect(parsePrefix(parsed.instead.replace(/\/.*/, "")).ok).toBe(true);
      }),
    );
  });
});

test.each([
  ["::", 0n],
  ["::1", 1n],
  ["::ffff:10.0.0.1", 0xffff_0a00_0001n],
  ["64:ff9b::10.0.0.1", (0x64ff9bn << 96n) | 0x0a000001n],
  ["2001:DB8::A", (0x20010db8n << 96n) | 10n],
])("%s", (text, value) => {
  expect(parseIp(text)).toEqual({ ok: true, value });
});

// ip-num takes some of these.
test.each([
  "fe80::1%eth0",
  "10.0.0.1 ",
  " 10.0.0.1",
  "010.0.0.1",
  "1e1.0.0.1",
  "+1.0.0.1",
  "0x0a.0.0.1",
  "10.0.0.0/-1",
  "10.0.0.0/ 8",
  "10.0.0.0/8/8",
  "::/0x10",
  "1::2::3",
  "::10.0.0",
  "",
])("`%s` is nothing", (text) => {
  expect(parsePrefix(text).ok).toBe(false);
  expect(parseIp(text).ok).toBe(false);
});
