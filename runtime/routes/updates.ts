/** Streams of route changes as columns, and what of them is refused before anything changes. */
import { type Family, formatIp } from "../net/ip.ts";

/** Changes as columns, `count` of them, in order. */
export interface RouteUpdates {
  readonly count: number;
  /** Absent: 4. */
  readonly family?: Family;
  /** Networks without host bits, host order: a word each, of IPv6 four, the most significant first. */
  readonly address: Uint32Array;
  readonly length: Uint8Array;
  /** What `nextHop` gave: the route is replaced; 0: it is deleted. */
  readonly nextHop: Uint32Array;
}

export interface UpdateResult {
  readonly replaced: number;
  readonly deleted: number;
  /** Deletions of routes that there are not. */
  readonly missing: number;
}

/** @throws RangeError where an address has host bits */
export const checkNetworks = (updates: RouteUpdates): void =>
  updates.family === 6 ? checkNetworks6(updates) : checkNetworks4(updates);

function checkNetworks4({ count, address, length }: RouteUpdates): void {
  for (let i = 0; i < count; i++) {
    const mask = length[i] === 0 ? 0 : -1 << (32 - length[i]);
    if (length[i] > 32 || (address[i] & ~mask) !== 0)
      throw new RangeError(`update ${i}: ${formatIp(address[i])}/${length[i]} is no network`);
  }
}

function checkNetworks6({ count, address, length }: RouteUpdates): void {
  for (let i = 0; i < count; i++)
    for (let word = 0; word < 4; word++) {
      const bits = Math.min(32, Math.max(0, length[i] - 32 * word));
      const mask = bits === 0 ? 0 : -1 << (32 - bits);
      if (length[i] > 128 || (address[4 * i + word] & ~mask) !== 0)
        throw new RangeError(
          `update ${i}: ${formatIp(ipOf(address.subarray(4 * i, 4 * i + 4)))}/${length[i]} is no network`,
        );
    }
}

/** The address of four words, the most significant first. */
export const ipOf = (key: Uint32Array): bigint => key.reduce((ip, word) => (ip << 32n) | BigInt(word), 0n);
