/**
 * The neighbour table: (device, address) -> link-layer address, in linear memory, where the program looks it up and the
 * host writes what ARP told it. Open addressing over a power of two of slots; the records are drawn in abi/neighbour.ts.
 *
 * A slot is free (device 0, ends a search), in use, or gone (forgotten: may be taken again, does not end a search). `used`
 * counts the slots that are not free; keeping it at most half of all keeps searches short and one slot free.
 */
import {
  MOST_CHANGES,
  NEIGHBOUR,
  NEIGHBOUR_BYTES,
  NEIGHBOUR_GONE,
  NEIGHBOUR_TABLE,
  neighbourHash,
} from "./abi/neighbour.ts";
import { type Ip, readIpv4, readIpv6, writeIpv4, writeIpv6 } from "./net/ip.ts";
import { type Mac, readMac, writeMac } from "./net/mac.ts";

export interface NeighbourEntry {
  readonly ifindex: number;
  readonly address: Ip;
  readonly mac: Mac;
}

/** Bytes of a table of `slots` slots. */
export const neighbourTableBytes = (slots: number): number => NEIGHBOUR_TABLE.slots + slots * NEIGHBOUR_BYTES;

/** Slots for a table that holds `entries` and has room to learn as many more, and not less than 16. */
export function neighbourSlots(entries: number): number {
  let slots = 16;
  while (slots < entries * 4) slots *= 2;
  return slots;
}

/** One table in `bytes`, at `offset`. Views do not survive the growth of a wasm memory: make one, use it, let it go. */
export class NeighbourTable {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offset: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  /** Makes an empty table. @param slots a power of two @param before the table whose place it takes */
  clear(slots: number, before: NeighbourTable | null = null): void {
    this.#bytes.fill(0, this.#offset, this.#offset + neighbourTableBytes(slots));
    this.#view.setUint32(this.#offset + NEIGHBOUR_TABLE.mask, slots - 1, true);
    this.#changed(before?.changes ?? 0);
  }

  get slots(): number {
    return this.#word(this.#offset + NEIGHBOUR_TABLE.mask) + 1;
  }

  /** Slots that are not free. */
  get used(): number {
    return this.#word(this.#offset + NEIGHBOUR_TABLE.used);
  }

  /** How often it has changed: what next hops remember holds as long as this is the same. */
  get changes(): number {
    return this.#word(this.#offset + NEIGHBOUR_TABLE.changes);
  }

  #changed(before = this.changes): void {
    this.#view.setUint32(this.#offset + NEIGHBOUR_TABLE.changes, before === MOST_CHANGES ? 1 : before + 1, true);
  }

  /** @returns false when the entry is new and has no room: the caller moves to a larger table */
  set({ ifindex, address, mac }: NeighbourEntry): boolean {
    const { found, vacant } = this.#search(ifindex, address);
    if (found !== null) {
      writeMac(this.#bytes, found + NEIGHBOUR.mac, mac);
      this.#changed();
      return true;
    }
    const fresh = this.#word(vacant + NEIGHBOUR.device) === 0;
    if (fresh && (this.used + 1) * 2 > this.slots) return false;
    this.#bytes.set(addressField(address), vacant + NEIGHBOUR.address);
    writeMac(this.#bytes, vacant + NEIGHBOUR.mac, mac);
    this.#view.setUint32(vacant + NEIGHBOUR.family, typeof address === "number" ? 4 : 6, true);
    if (fresh) this.#view.setUint32(this.#offset + NEIGHBOUR_TABLE.used, this.used + 1, true);
    // Last: with the device the entry can be found.
    this.#view.setUint32(vacant + NEIGHBOUR.device, ifindex, true);
    this.#changed();
    return true;
  }

  get(ifindex: number, address: Ip): Mac | null {
    const { found } = this.#search(ifindex, address);
    return found === null ? null : readMac(this.#bytes, found + NEIGHBOUR.mac);
  }

  delete(ifindex: number, address: Ip): void {
    const { found } = this.#search(ifindex, address);
    if (found === null) return;
    this.#view.setUint32(found + NEIGHBOUR.device, NEIGHBOUR_GONE, true);
    this.#changed();
  }

  *entries(): Iterable<NeighbourEntry> {
    for (let i = 0; i < this.slots; i++) {
      const slot = this.#slot(i);
      const ifindex = this.#word(slot + NEIGHBOUR.device);
      if (ifindex === 0 || ifindex === NEIGHBOUR_GONE) continue;
      const read = this.#word(slot + NEIGHBOUR.family) === 4 ? readIpv4 : readIpv6;
      yield {
        ifindex,
        address: read(this.#bytes, slot + NEIGHBOUR.address),
        mac: readMac(this.#bytes, slot + NEIGHBOUR.mac),
      };
    }
  }

  /** The entry's slot, and the first slot of its search that a new entry may take. */
  #search(ifindex: number, address: Ip): { found: number | null; vacant: number } {
    const field = addressField(address);
    const family = typeof address === "number" ? 4 : 6;
    let vacant: number | null = null;
    for (let i = neighbourHash(ifindex, addressWords(field)); ; i++) {
      const slot = this.#slot(i);
      const device = this.#word(slot + NEIGHBOUR.device);
      if (device === 0) return { found: null, vacant: vacant ?? slot };
      if (device === NEIGHBOUR_GONE) vacant ??= slot;
      else if (device === ifindex && this.#word(slot + NEIGHBOUR.family) === family && this.#hasAddress(slot, field))
        return { found: slot, vacant: slot };
    }
  }

  #hasAddress(slot: number, field: Uint8Array): boolean {
    return field.every((byte, i) => this.#bytes[slot + NEIGHBOUR.address + i] === byte);
  }

  #slot(i: number): number {
    return this.#offset + NEIGHBOUR_TABLE.slots + (i & (this.slots - 1)) * NEIGHBOUR_BYTES;
  }

  #word(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
}

/** An address as it stands in a record: 16 bytes, IPv4 in the first 4. */
export function addressField(address: Ip): Uint8Array {
  const field = new Uint8Array(16);
  if (typeof address === "number") writeIpv4(field, 0, address);
  else writeIpv6(field, 0, address);
  return field;
}

function addressWords(field: Uint8Array): [number, number, number, number] {
  const view = new DataView(field.buffer);
  return [0, 4, 8, 12].map((at) => view.getUint32(at, true)) as [number, number, number, number];
}
