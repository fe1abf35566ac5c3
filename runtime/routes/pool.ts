/**
 * Records of a few sizes that come and go by the million: cut from chunks of memory, and kept by size when they are given back.
 * Also what the structures of changing tables get their memory from, one place each.
 */
import type { Memory } from "../lpm/block-store.ts";

const CHUNK = 1 << 16;
/** Records of more bytes get a place of their own. */
const LARGEST = 1 << 12;

export class RecordPool {
  readonly #memory: Pick<Memory, "allocate">;
  /** By bytes. */
  readonly #free = new Map<number, number[]>();
  #next = 0;
  #end = 0;
  #bytesInUse = 0;

  constructor(memory: Pick<Memory, "allocate">) {
    this.#memory = memory;
  }

  /** Bytes of records that were handed out, less those given back; records of the image come back without having been handed out. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** Bytes that are not zeroed, at a multiple of 16. @param bytes a multiple of 16 */
  allocate(bytes: number): number {
    const offset = this.#free.get(bytes)?.pop() ?? this.#fresh(bytes);
    this.#bytesInUse += bytes;
    return offset;
  }

  #fresh(bytes: number): number {
    if (bytes > LARGEST) return this.#memory.allocate(bytes);
    if (this.#end - this.#next < bytes) {
      this.#next = this.#memory.allocate(CHUNK);
      this.#end = this.#next + CHUNK;
    }
    this.#next += bytes;
    return this.#next - bytes;
  }

  free(offset: number, bytes: number): void {
    this.#bytesInUse -= bytes;
    this.#keep(offset, bytes);
  }

  #keep(offset: number, bytes: number): void {
    const list = this.#free.get(bytes);
    if (list === undefined) this.#free.set(bytes, [offset]);
    else list.push(offset);
  }
}
