/**
 * The newer format (draft-ietf-opsawg-pcapng): blocks of a type and a length, which stands at both ends. A section header sets the byte order
 * of what follows and forgets the interfaces; frames name theirs.
 *
 *      0          4          8                                       body of
 *   0  type       length     body ...  length                          section header     byte order, version, ...
 *                                                                      interface          u16 linkType, u16, snaplen
 *                                                                      enhanced packet    interface, time (8), captured, original, bytes
 *                                                                      packet (obsolete)  u16 interface, u16 drops, and on as enhanced
 *                                                                      simple packet      original, bytes; of interface 0
 */
import { type Capture, type CapturedFrame, Fields, LONGEST_CAPTURED } from "./format.ts";

const Block = { SECTION: 0x0a0d0d0a, INTERFACE: 1, PACKET: 2, SIMPLE_PACKET: 3, ENHANCED_PACKET: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Type and length, and the length again. */
const [HEAD_BYTES, LEAST_BYTES] = [8, 12];
/** Bytes of a body before its frame. */
const PACKET_BYTES = 20;

interface Interface {
  readonly linkType: number;
  /** 0: without a limit. */
  readonly snapLength: number;
}

/** @returns null: it is no such file */
export function readPcapng(bytes: Uint8Array): Capture | null {
  if (bytes.length < HEAD_BYTES + 4 || new Fields(bytes, true).u32(0) !== Block.SECTION) return null;
  const frames: CapturedFrame[] = [];
  const capture = (problem: string | null): Capture => ({ format: "pcapng", frames, problem });
  let fields = new Fields(bytes, true);
  let interfaces: Interface[] = [];
  for (let at = 0; at < bytes.length; ) {
    const which = `the block at byte ${at}`;
    if (at + LEAST_BYTES > bytes.length) return capture(`it ends within ${which}`);
    if (fields.u32(at) === Block.SECTION) {
      const little = [true, false].find((order) => new Fields(bytes, order).u32(at + HEAD_BYTES) === BYTE_ORDER_MAGIC);
      if (little === undefined) return capture(`the section at byte ${at} does not tell its byte order`);
      fields = new Fields(bytes, little);
      interfaces = [];
    }
    const length = fields.u32(at + 4);
    if (length < LEAST_BYTES || length % 4 !== 0) return capture(`${which} is said to be of ${length} bytes`);
    const end = at + length;
    if (end > bytes.length) return capture(`it ends within ${which}, of ${length} bytes`);
    if (fields.u32(end - 4) !== length) return capture(`${which} has two lengths: ${length}, ${fields.u32(end - 4)}`);
    const problem = readBlock(bytes, fields, { at, end: end - 4 }, interfaces, frames);
    if (problem !== null) return capture(`${which} ${problem}`);
    at = end;
  }
  return capture(null);
}

/** @returns what is wrong with it, or null */
function readBlock(
  bytes: Uint8Array,
  fields: Fields,
  { at, end }: { readonly at: number; readonly end: number },
  interfaces: Interface[],
  frames: CapturedFrame[],
): string | null {
  const type = fields.u32(at);
  const body = at + HEAD_BYTES;
  const least = { [Block.INTERFACE]: 8, [Block.SIMPLE_PACKET]: 4 }[type] ?? PACKET_BYTES;
  const known = ([Block.INTERFACE, Block.PACKET, Block.SIMPLE_PACKET, Block.ENHANCED_PACKET] as number[]).includes(
    type,
  );
  if (!known) return null;
  if (end - body < least) return `is too short, ${end - body} bytes`;
  if (type === Block.INTERFACE) {
    interfaces.push({ linkType: fields.u16(body), snapLength: fields.u32(body + 4) });
    return null;
  }
  const simple = type === Block.SIMPLE_PACKET;
  const number = simple ? 0 : type === Block.PACKET ? fields.u16(body) : fields.u32(body);
  const from = interfaces[number];
  if (from === undefined) return `is of interface ${number}, and there are ${interfaces.length}`;
  const start = body + (simple ? 4 : PACKET_BYTES);
  const snapped = Math.min(fields.u32(body), from.snapLength || Number.POSITIVE_INFINITY);
  const captured = simple ? snapped : fields.u32(body + 12);
  if (captured > LONGEST_CAPTURED || start + captured > end)
    return `has a frame that is said to be of ${captured} bytes`;
  frames.push({ linkType: from.linkType, bytes: bytes.subarray(start, start + captured) });
  return null;
}
