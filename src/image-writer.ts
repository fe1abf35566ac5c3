/** The image under construction: a buffer that grows, and the regions reserved in it. */
import { align, IMAGE_ALIGN } from "../runtime/abi.ts";
import { addressField } from "../runtime/neighbour.ts";
import type { Ip } from "../runtime/net/ip.ts";

export interface Region {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

export class ImageWriter {
  readonly regions: Region[];
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #end: number;

  /** Goes on behind a copy of what another one has written. */
  constructor(before: Uint8Array = new Uint8Array(), regions: readonly Region[] = []) {
    this.regions = [...regions];
    this.#bytes = new Uint8Array(before.length + (before.length >>> 3) + 4096);
    this.#bytes.set(before);
    this.#view = new DataView(this.#bytes.buffer);
    this.#end = before.length;
  }

  /**
   * Reserves zeroed bytes behind everything so far. Nothing is recorded for an empty region.
   * @param alignment a power of two, at least the image's
   */
  reserve(name: string, bytes: number, alignment = IMAGE_ALIGN): number {
    const offset = (this.#end + alignment - 1) & -alignment;
    this.#end = offset + bytes;
    while (this.#bytes.length < this.#end) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    if (bytes > 0) this.regions.push({ name, offset, bytes });
    return offset;
  }

  /** Reserves a place for words, and writes them. */
  reserveWords(name: string, words: Uint32Array): number {
    const offset = this.reserve(name, words.byteLength);
    new Uint32Array(this.#bytes.buffer, offset, words.length).set(words);
    return offset;
  }

  /** Writes the given fields of a record whose field offsets are `fields`. */
  words<Field extends string>(
    offset: number,
    fields: Readonly<Record<Field, number>>,
    values: Partial<Record<Field, number>>,
  ): void {
    for (const field in values) this.#view.setUint32(offset + fields[field], values[field]!, true);
  }

  /** Lets `write` fill the bytes of a reserved place. */
  view(offset: number, bytes: number, write: (view: Uint8Array) => void): void {
    write(this.#bytes.subarray(offset, offset + bytes));
  }

  /** An address as it stands in a record: 16 bytes, IPv4 in the first 4. */
  address(offset: number, address: Ip): void {
    this.#bytes.set(addressField(address), offset);
  }

  /** First aligned byte behind everything reserved. */
  end(): number {
    return align(this.#end);
  }

  /** Everything so far, in place: a copy is the caller's to make. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.end());
  }
}
