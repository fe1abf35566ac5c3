/**
 * The image under construction: a buffer that grows, and the regions reserved in it. One that goes on behind another has a copy of its head
 * alone, the records that are written last; what lies between is finished, and stays where it is.
 *
 *   head | finished | tail -> grows
 */
import { align, IMAGE_ALIGN } from "../runtime/abi/image.ts";
import { addressField } from "../runtime/neighbour.ts";
import type { Ip } from "../runtime/net/ip.ts";

export interface Region {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

const FIRST_BYTES = 4096;

export class ImageWriter {
  readonly regions: Region[];
  readonly #head: Uint8Array<ArrayBuffer>;
  /** Where the tail starts. */
  readonly #start: number;
  readonly #headView: DataView;
  #tail = new Uint8Array(FIRST_BYTES);
  #tailView = new DataView(this.#tail.buffer);
  #end: number;

  /** @param start aligned, where another one has ended, whose bytes start with `head` */
  constructor(start = 0, head: Uint8Array = new Uint8Array(), regions: readonly Region[] = []) {
    this.regions = [...regions];
    this.#head = new Uint8Array(head);
    this.#headView = new DataView(this.#head.buffer);
    this.#start = start;
    this.#end = start;
  }

  /**
   * Reserves zeroed bytes behind everything so far. Nothing is recorded for an empty region.
   * @param alignment a power of two, at least the image's
   */
  reserve(name: string, bytes: number, alignment = IMAGE_ALIGN): number {
    const offset = (this.#end + alignment - 1) & -alignment;
    this.#end = offset + bytes;
    let room = this.#tail.length;
    while (room < this.#end - this.#start) room *= 2;
    if (room > this.#tail.length) {
      const larger = new Uint8Array(room);
      larger.set(this.#tail);
      this.#tail = larger;
      this.#tailView = new DataView(larger.buffer);
    }
    if (bytes > 0) this.regions.push({ name, offset, bytes });
    return offset;
  }

  /** Reserves a place for bytes, and writes them. */
  reserveBytes(name: string, bytes: Uint8Array): number {
    const offset = this.reserve(name, bytes.length);
    this.#tail.set(bytes, offset - this.#start);
    return offset;
  }

  /** The same for the bytes of words, and of narrower numbers. */
  reserveWords(name: string, { buffer, byteOffset, byteLength }: Uint8Array | Uint16Array | Uint32Array): number {
    return this.reserveBytes(name, new Uint8Array(buffer, byteOffset, byteLength));
  }

  /** Writes the given fields of a record whose field offsets are `fields`. */
  words<Field extends string>(
    offset: number,
    fields: Readonly<Record<Field, number>>,
    values: Partial<Record<Field, number>>,
  ): void {
    const [view, from] = offset < this.#head.length ? [this.#headView, offset] : [this.#tailView, offset - this.#start];
    for (const field in values) view.setUint32(from + fields[field], values[field]!, true);
  }

  /** Lets `write` fill the bytes of a reserved place. */
  view(offset: number, bytes: number, write: (view: Uint8Array) => void): void {
    write(this.#from(offset).subarray(0, bytes));
  }

  /** An address as it stands in a record: 16 bytes, IPv4 in the first 4. */
  address(offset: number, address: Ip): void {
    this.#from(offset).set(addressField(address));
  }

  /** First aligned byte behind everything reserved. */
  end(): number {
    return align(this.#end);
  }

  /** What it has itself, in place: a copy is the caller's to make. */
  parts(): { readonly head: Uint8Array<ArrayBuffer>; readonly tail: Uint8Array<ArrayBuffer> } {
    return { head: this.#head, tail: this.#tail.subarray(0, this.end() - this.#start) };
  }

  #from(offset: number): Uint8Array {
    if (offset < this.#head.length) return this.#head.subarray(offset);
    if (offset < this.#start) throw new RangeError(`${offset} lies in what is finished`);
    return this.#tail.subarray(offset - this.#start);
  }
}
