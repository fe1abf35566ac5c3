/** Places of linear memory, to be put back as they were. */
export interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/** @returns what puts the places back as they are now */
export function snapshot(memory: WebAssembly.Memory, places: readonly Place[]): () => void {
  const saved = places.map(({ offset, bytes }) => ({
    offset,
    copy: new Uint8Array(memory.buffer).slice(offset, offset + bytes),
  }));
  return () => {
    for (const { offset, copy } of saved) new Uint8Array(memory.buffer).set(copy, offset);
  };
}
