/** Memory for structures that change, outside of any module: counts what is held, and refuses what was not given out. */
import type { Memory } from "../../runtime/lpm/block-store.ts";

export class TestMemory implements Memory {
  buffer = new ArrayBuffer(1 << 16);
  /** Offset -> bytes. */
  readonly #held = new Map<number, number>();
  readonly #free = new Map<number, number[]>();
  #end = 64;

  get bytesInUse(): number {
    return [...this.#held.values()].reduce((a, b) => a + b, 0);
  }

  allocate(bytes: number): number {
    const offset = this.#free.get(bytes)?.pop() ?? this.#fresh(bytes);
    new Uint8Array(this.buffer, offset, bytes).fill(0);
    this.#held.set(offset, bytes);
    return offset;
  }

  free(offset: number, bytes: number): void {
    if (this.#held.get(offset) !== bytes) throw new Error(`${bytes} bytes at ${offset} are not held`);
    this.#held.delete(offset);
    new Uint8Array(this.buffer, offset, bytes).fill(0xee);
    this.#free.set(bytes, [...(this.#free.get(bytes) ?? []), offset]);
  }

  /** Whatever outgrows the buffer moves, and the old one is detached, as a wasm memory's is. */
  #fresh(bytes: number): number {
    const offset = Math.ceil(this.#end / 64) * 64;
    this.#end = offset + bytes;
    if (this.#end > this.buffer.byteLength) {
      const larger = new ArrayBuffer(2 ** Math.ceil(Math.log2(this.#end)));
      new Uint8Array(larger).set(new Uint8Array(this.buffer));
      structuredClone(this.buffer, { transfer: [this.buffer] });
      this.buffer = larger;
    }
    return offset;
  }
}
