/** Linear memory as what changes routes sees it: words, and memory that is given out and taken back. */
import { TABLE } from "../abi/fib.ts";
import type { Memory } from "../lpm/block-store.ts";

/** What owns linear memory. */
export interface MemoryOwner {
  readonly memory: WebAssembly.Memory;
  /** Zeroed, for good, at a multiple of 64. @throws MemoryError when there is no more; nothing is taken then */
  allocate(bytes: number): number;
}

export class Image implements Memory {
  readonly #owner: MemoryOwner;
  #words: Uint32Array;
  /** Places that were given back, by their bytes. */
  readonly #free = new Map<number, number[]>();
  #bytesInUse = 0;

  constructor(owner: MemoryOwner) {
    this.#owner = owner;
    this.#words = new Uint32Array(owner.memory.buffer);
  }

  get buffer(): ArrayBufferLike {
    return this.#owner.memory.buffer;
  }

  /** All memory; word i stands at offset 4 * i. Good until the next `allocate`. */
  get words(): Uint32Array {
    if (this.#words.buffer !== this.#owner.memory.buffer) this.#words = new Uint32Array(this.#owner.memory.buffer);
    return this.#words;
  }

  /** Bytes that were allocated and not given back. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  allocate(bytes: number): number {
    const size = roundUp(bytes);
    const old = this.#free.get(size)?.pop();
    const offset = old ?? this.#owner.allocate(size);
    if (old !== undefined) new Uint8Array(this.buffer as ArrayBuffer, old, size).fill(0);
    this.#bytesInUse += size;
    return offset;
  }

  free(offset: number, bytes: number): void {
    const size = roundUp(bytes);
    this.#bytesInUse -= size;
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [offset]);
    else list.push(offset);
  }
}

/** Few different sizes, so that places are used again: steps of an eighth. */
function roundUp(bytes: number): number {
  const step = Math.max(64, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}

/** Word of a TABLE's field. */
export const tableWord = (table: number, field: keyof typeof TABLE): number => (table + TABLE[field]) >>> 2;
