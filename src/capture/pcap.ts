/**
 * The older format, of libpcap (draft-ietf-opsawg-pcap): a header, then records to the end of the file. The magic number tells the byte order,
 * and whether times are in micro- or nanoseconds.
 *
 *      0          4          8          12                              0          4          8          12
 *   0  magic      version    zone       accuracy                     0  seconds    fraction   captured   original
 *  16  snaplen    linkType                                          16  bytes, `captured` of them
 */
import { type Capture, type CapturedFrame, Fields, LONGEST_CAPTURED } from "./format.ts";

const HEADER_BYTES = 24;
const RECORD_BYTES = 16;
const MAGICS = [0xa1b2c3d4, 0xa1b23c4d];

/** @returns null: it is no such file */
export function readPcap(bytes: Uint8Array): Capture | null {
  if (bytes.length < 4) return null;
  const little = [true, false].find((order) => MAGICS.includes(new Fields(bytes, order).u32(0)));
  if (little === undefined) return null;
  const fields = new Fields(bytes, little);
  const frames: CapturedFrame[] = [];
  const capture = (problem: string | null): Capture => ({ format: "pcap", frames, problem });
  if (bytes.length < HEADER_BYTES) return capture("it ends within its header");
  if (fields.u16(4) !== 2) return capture(`its format is of version ${fields.u16(4)}.${fields.u16(6)}, not 2`);
  // The upper bits tell of frame check sequences.
  const linkType = fields.u32(20) & 0xffff;
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const which = `frame ${frames.length + 1}, at byte ${at}`;
    if (at + RECORD_BYTES > bytes.length) return capture(`it ends within the header of ${which}`);
    const captured = fields.u32(at + 8);
    if (captured > LONGEST_CAPTURED) return capture(`${which}, is said to be of ${captured} bytes`);
    const end = at + RECORD_BYTES + captured;
    if (end > bytes.length) return capture(`it ends within ${which}`);
    frames.push({ linkType, bytes: bytes.subarray(at + RECORD_BYTES, end) });
    at = end;
  }
  return capture(null);
}
