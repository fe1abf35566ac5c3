/** IP options: what is wrong with them, what a host writes into them, and what its answers carry. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileOptions, echoOptions, forwardOptions, scanOptions, withOptions } from "../../runtime/host/options.ts";
import { checksum } from "../../runtime/net/checksum.ts";
import { Ipv4View, ipv4Packet } from "../../runtime/net/ipv4.ts";
import { ip } from "./fake-engine.ts";

const HERE = ip("10.0.0.1");
const entries = { address: () => HERE, time: 0x01020304, isUnicast: () => false };

/** A packet with these options, in hexadecimal, a multiple of four bytes. */
function packetWith(options: string): Uint8Array {
  const [source, destination] = [ip("10.0.0.7"), ip("10.0.1.7")];
  const header = { tos: 0, identification: 0, dontFragment: false, ttl: 64, protocol: 17, source, destination };
  return withOptions(ipv4Packet(header, new Uint8Array(8)), Uint8Array.from(Buffer.from(options, "hex")));
}

const optionsOf = (packet: Uint8Array): string => Buffer.from(new Ipv4View(packet).options).toString("hex");

/** Where ip_options_compile points to, in bytes from the start of the IP header. */
const scans: readonly (readonly [string, string, number | null])[] = [
  ["no-operations", "01010101", null],
  ["an unknown option", "1f040000", null],
  ["an option without a length", "0101011f", 23],
  ["a length below two", "1f010000", 20],
  ["a length beyond the header", "1f050000", 20],
  ["record route without a pointer", "07020400", 21],
  ["record route, pointer below four", "07070300000000" + "00", 22],
  ["record route, no room for a whole address", "0706040000000000", 22],
  ["record route, full", "0707080a00000100", null],
  ["record route twice", "07030407030400" + "00", 23],
  ["timestamp too short", "44030500", 21],
  ["timestamp, pointer below five", "44080400" + "00000000", 22],
  ["timestamp, no room for address and time", "44080501" + "00000000", 22],
  ["timestamp, overflow at its limit", "440405f0", 23],
  ["router alert too short", "94030000", 21],
  ["source route, pointer below four", "8307030a00000100", 22],
  ["two source routes", "8303048903040000", 23],
  ["a label without a domain", "8606000000010000", 21],
  ["a label of a domain that nobody configured", "8608000000010000", 22],
];

test.each(scans)("%s", (_, options, problem) => {
  const packet = packetWith(options);
  expect(scanOptions(packet).problem).toBe(problem);
  expect(optionsOf(packet), "a scan changes nothing").toBe(options);
});

test("a source route is found, loose or strict", () => {
  expect(scanOptions(packetWith("8307040a00000100")).sourceRoute).toBe(20);
  expect(scanOptions(packetWith("018907040a000001")).sourceRoute).toBe(21);
  expect(scanOptions(packetWith("01010101")).sourceRoute).toBe(0);
});

describe("what this host enters", () => {
  const compiled: readonly (readonly [string, string, string])[] = [
    ["its address in a route", "0707040000000000", "0707080a00000100"],
    ["nothing in a full route", "0707080a00010100", "0707080a00010100"],
    ["the time", "4408050000000000", "4408090001020304"],
    ["address and time", "440c05010000000000000000", "440c0d010a00000101020304"],
    ["the time at its own address", "440c05030a00000100000000", "440c0d030a00000101020304"],
    ["one more overflow", "44040500", "44040510"],
    ["nothing behind the end", "00010203", "00000000"],
  ];
  test.each(compiled)("%s", (_, before, after) => {
    const packet = packetWith(before);
    compileOptions(packet, entries);
    expect(optionsOf(packet)).toBe(after);
  });

  test("no time at an address of another host", () => {
    const packet = packetWith("440c05030a00000900000000");
    compileOptions(packet, { ...entries, isUnicast: () => true });
    expect(optionsOf(packet)).toBe("440c05030a00000900000000");
  });

  test("a forwarded route names the address on the way out, under a new checksum", () => {
    const packet = packetWith("0707040000000000");
    const options = compileOptions(packet, entries);
    forwardOptions(packet, options, () => ip("10.0.1.1"));
    expect(optionsOf(packet)).toBe("0707080a00010100");
    expect(checksum(packet.subarray(0, 28))).toBe(0);
  });
});

describe("what an answer carries", () => {
  const echoes: readonly (readonly [string, string, string])[] = [
    ["the route, with a second entry on the way out", "070b0400000000000000000000000000", "070b0c0a0000010a00000100"],
    ["the times of both ways", "440c05000000000000000000", "440c0d000102030401020304"],
    ["a full route as it is", "0707080a00010100", "0707080a00010100"],
    ["neither router alert nor unknown options", "940400001f040000", ""],
  ];
  test.each(echoes)("%s", (_, before, after) => {
    const packet = packetWith(before);
    const options = compileOptions(packet, entries);
    const echoed = echoOptions(packet, options, { ...entries, source: HERE });
    expect(Buffer.from(echoed ?? []).toString("hex")).toBe(after);
  });

  test("none where an entry of the way in leaves no room for its twin", () => {
    const packet = packetWith("070a04000000000000000000");
    const options = compileOptions(packet, entries);
    expect(echoOptions(packet, options, { ...entries, source: HERE })).toBeNull();
  });
});

test("any options are read within the header, and a header is never made longer", () => {
  const anyOptions = fc.uint8Array({ minLength: 4, maxLength: 40 }).map((b) => b.slice(0, b.length & ~3));
  fc.assert(
    fc.property(anyOptions, (bytes) => {
      const packet = packetWith(Buffer.from(bytes).toString("hex"));
      const payload = packet.slice(20 + bytes.length);
      const options = compileOptions(packet, entries);
      expect(packet.subarray(20 + bytes.length)).toEqual(payload);
      const echoed = options.problem === null ? echoOptions(packet, options, { ...entries, source: HERE }) : null;
      expect(echoed?.length ?? 0).toBeLessThanOrEqual(40);
    }),
  );
});
