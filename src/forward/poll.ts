/** poll(2) over what has a descriptor. */
import { type Native, NativeBuffer } from "./native.ts";

/** struct pollfd: s32 descriptor, s16 events, s16 what happened. */
const POLLFD = { bytes: 8, events: 4, happened: 6 } as const;
const POLLIN = 1;

export class Poll<End extends { readonly fd: number }> {
  readonly #native: Native;
  readonly #ends: readonly End[];
  readonly #buffer: NativeBuffer;

  /** @param ends whose descriptors stay as they are */
  constructor(native: Native, ends: readonly End[]) {
    this.#native = native;
    this.#ends = ends;
    this.#buffer = new NativeBuffer(native, Math.max(1, ends.length) * POLLFD.bytes);
    for (const [i, { fd }] of ends.entries()) {
      this.#buffer.view.setInt32(i * POLLFD.bytes, fd, true);
      this.#buffer.view.setUint16(i * POLLFD.bytes + POLLFD.events, POLLIN, true);
    }
  }

  /** Waits until there is something to read. @param milliseconds the most @returns where */
  wait(milliseconds: number): readonly End[] {
    const { view, address } = this.#buffer;
    if (this.#native.poll(address, this.#ends.length, milliseconds) <= 0) return [];
    return this.#ends.filter((_, i) => view.getUint16(i * POLLFD.bytes + POLLFD.happened, true) !== 0);
  }
}
