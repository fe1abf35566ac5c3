/** Captures are read as they were written, in both byte orders; of a damaged one what stands before the damage, and no bytes make it throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readCapture } from "../../src/capture/capture.ts";
import { asEthernet } from "../../src/capture/ethernet.ts";

type Part = number | { readonly u16: number } | Uint8Array;

/** Numbers of 32 bits, of 16, and bytes, in a byte order. */
function written(little: boolean, ...parts: readonly Part[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (part instanceof Uint8Array) return part;
      const bytes = new DataView(new ArrayBuffer(typeof part === "number" ? 4 : 2));
      if (typeof part === "number") bytes.setUint32(0, part, little);
      else bytes.setUint16(0, part.u16, little);
      return new Uint8Array(bytes.buffer);
    }),
  );
}

const FRAMES = [new Uint8Array(60).fill(1), new Uint8Array(61).fill(2), new Uint8Array(0)];
const ETHERNET = 1;

const pcap = (little: boolean, magic = 0xa1b2c3d4, linkType = ETHERNET): Uint8Array =>
  written(
    little,
    ...[magic, { u16: 2 }, { u16: 4 }, 0, 0, 65535, linkType],
    ...FRAMES.flatMap((frame) => [7, 8, frame.length, frame.length + 9, frame]),
  );

/** A block around a body that is filled up to four bytes. */
function blockOf(little: boolean, type: number, ...body: readonly Part[]): Uint8Array {
  const bytes = written(little, ...body);
  const filled = Buffer.concat([bytes, new Uint8Array(-bytes.length & 3)]);
  return written(little, type, 12 + filled.length, filled, 12 + filled.length);
}
const section = (little: boolean) =>
  blockOf(little, 0x0a0d0d0a, 0x1a2b3c4d, { u16: 1 }, { u16: 0 }, -1 >>> 0, -1 >>> 0);
const interfaceOf = (little: boolean, linkType: number, snap = 0) =>
  blockOf(little, 1, { u16: linkType }, { u16: 0 }, snap);
const pcapng = (little: boolean): Uint8Array =>
  Buffer.concat([
    ...[section(little), interfaceOf(little, ETHERNET, 4096), blockOf(little, 5, 0, 1, 2)],
    blockOf(little, 6, 0, 1, 2, FRAMES[0].length, 99, FRAMES[0]),
    blockOf(little, 2, { u16: 0 }, { u16: 3 }, 1, 2, FRAMES[1].length, 61, FRAMES[1]),
    blockOf(little, 3, FRAMES[2].length, FRAMES[2]),
  ]);

describe.each([true, false])("little endian: %s", (little) => {
  test.each([
    ["pcap", pcap(little), "pcap"],
    ["pcap with nanoseconds", pcap(little, 0xa1b23c4d), "pcap"],
    ["pcapng", pcapng(little), "pcapng"],
  ])("%s", (_, bytes, format) => {
    const frames = FRAMES.map((frame) => ({ linkType: ETHERNET, bytes: Buffer.from(frame) }));
    const { frames: read, ...rest } = readCapture(bytes)!;
    expect(rest).toEqual({ format, problem: null });
    expect(read.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes) }))).toEqual(frames);
  });
});

test("a section forgets the interfaces of the one before, and has its own byte order", () => {
  const other = Buffer.concat([section(false), blockOf(false, 6, 0, 1, 2, 0, 0)]);
  expect(readCapture(Buffer.concat([pcapng(true), other]))).toMatchObject({
    frames: { length: 3 },
    problem: expect.stringContaining("is of interface 0, and there are 0"),
  });
});

describe("a damaged capture says what is wrong, and where", () => {
  const [whole, wholeNg] = [pcap(true), pcapng(true)];
  const second = 24 + 16 + 60;
  const edited = (bytes: Uint8Array, at: number, value: number): Uint8Array => {
    const copy = Uint8Array.from(bytes);
    new DataView(copy.buffer).setUint32(at, value, true);
    return copy;
  };
  test.each<[string, Uint8Array, number, string]>([
    ["its header", whole.subarray(0, 20), 0, "it ends within its header"],
    ["another version", edited(whole, 4, 9), 0, "its format is of version 9.0, not 2"],
    ["a record's header", whole.subarray(0, second + 5), 1, "it ends within the header of frame 2, at byte 100"],
    ["a frame", whole.subarray(0, second + 50), 1, "it ends within frame 2, at byte 100"],
    [
      "an absurd length",
      edited(whole, second + 8, 0x7fffffff),
      1,
      "frame 2, at byte 100, is said to be of 2147483647 bytes",
    ],
    ["a block", wholeNg.subarray(0, wholeNg.length - 1), 2, "it ends within the block at byte 260, of 16 bytes"],
    ["a block's length", edited(wholeNg, 4 + 28, 13), 0, "the block at byte 28 is said to be of 13 bytes"],
    ["two lengths", edited(wholeNg, 28 + 16, 24), 0, "the block at byte 28 has two lengths: 20, 24"],
    ["no byte order", edited(wholeNg, 8, 0), 0, "the section at byte 0 does not tell its byte order"],
    [
      "an absurd frame",
      edited(wholeNg, 72 + 8 + 12, 1000),
      0,
      "the block at byte 72 has a frame that is said to be of 1000 bytes",
    ],
  ])("%s", (_, bytes, frames, problem) => {
    expect(readCapture(bytes)).toMatchObject({ frames: { length: frames }, problem });
  });

  test("what is neither is null", () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(3), new Uint8Array(100), Buffer.from("GIF89a and more")])
      expect(readCapture(bytes)).toBe(null);
  });

  test("no damage makes it throw, or give frames that are not in the file", () => {
    const damage = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(whole, wholeNg, pcapng(false)), damage, fc.nat(400), (bytes, changes, end) => {
        const copy = Uint8Array.from(bytes.subarray(0, end));
        for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
        for (const frame of readCapture(copy)?.frames ?? []) {
          expect(frame.bytes.byteOffset + frame.bytes.length).toBeLessThanOrEqual(copy.length);
          asEthernet(frame);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("frames of other links", () => {
  const packet = Uint8Array.of(0x45, 0, 0, 20);
  test.each<[string, number, Uint8Array, number]>([
    ["IPv4 alone", 101, packet, 0x0800],
    ["IPv6 alone", 229, Uint8Array.of(0x60, 1), 0x86dd],
    ["Linux cooked", 113, Uint8Array.of(...new Array(14).fill(0), 8, 6, 9), 0x0806],
  ])("%s get an Ethernet header", (_, linkType, bytes, type) => {
    const frame = asEthernet({ linkType, bytes }) as Uint8Array;
    expect((frame[12] << 8) | frame[13]).toBe(type);
    expect(frame.at(-1)).toBe(bytes.at(-1));
  });
  test.each([
    ["cut off", 1, 13],
    ["cut off", 101, 0],
    ["cut off", 113, 15],
    ["link type 10 (FDDI)", 10, 99],
    ["link type 4711", 4711, 99],
  ])("%s", (why, linkType, length) => {
    expect(asEthernet({ linkType, bytes: new Uint8Array(length) })).toBe(why);
  });
});
