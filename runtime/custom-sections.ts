/**
 * Custom sections of a WebAssembly module's bytes.
 *
 *   module    = "\0asm" 01 00 00 00, { section }
 *   section   = id: u8, size: LEB128 u32, size bytes
 *   custom    = section of id 0: name (LEB128 length, UTF-8), contents
 */

const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** The bytes are no WebAssembly module. */
export class SectionError extends Error {
  override readonly name = "SectionError";
}

/**
 * Contents of the custom sections of that name, in a module that nobody has compiled.
 *
 * @throws SectionError
 */
export function customSectionsOf(wasm: Uint8Array, called: string): Uint8Array[] {
  if (MAGIC_AND_VERSION.some((byte, i) => wasm[i] !== byte)) throw new SectionError("not a WebAssembly module");
  const found: Uint8Array[] = [];
  const reader = { bytes: wasm, at: MAGIC_AND_VERSION.length };
  while (reader.at < wasm.length) {
    const id = wasm[reader.at++];
    const section = take(reader, leb128(reader));
    if (id !== 0) continue;
    const inside = { bytes: section, at: 0 };
    const name = take(inside, leb128(inside));
    if (new TextDecoder().decode(name) === called) found.push(section.subarray(inside.at));
  }
  return found;
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

function take(reader: Reader, length: number): Uint8Array {
  const start = reader.at;
  if (length > reader.bytes.length - start) throw truncated();
  reader.at = start + length;
  return reader.bytes.subarray(start, reader.at);
}

/** An unsigned 32-bit number: seven bits a byte, lowest first, the top bit says that more follow. */
function leb128(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    if (reader.at >= reader.bytes.length) throw truncated();
    const byte = reader.bytes[reader.at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw truncated();
}

const truncated = (): SectionError =>
  new SectionError("not a WebAssembly module: a section does not end where it says");
