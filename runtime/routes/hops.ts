/**
 * Lists of next hops in memory: routes with equal ones share a list, which lives as long as a route has it. Those that came
 * with the image stay there for good.
 */
import { DEVICE } from "../abi/device.ts";
import { NEXT_HOP, NEXT_HOP_BYTES, NextHopFlag } from "../abi/fib.ts";
import { upperBounds } from "../multipath.ts";
import { familyOf, type Ip, writeIpv4, writeIpv6 } from "../net/ip.ts";
import type { Image } from "./image.ts";
import type { RecordPool } from "./pool.ts";

export interface Hop {
  /** Offset of the DEVICE. */
  readonly device: number;
  /** 0 or 0n: the destination is on the link. */
  readonly gateway: Ip;
  readonly weight: number;
  readonly onlink: boolean;
  readonly scope: number;
  readonly dead: boolean;
  /** inet_select_addr of the device; IPv6: 0. */
  readonly source: number;
}

interface List {
  readonly key: string;
  readonly offset: number;
  readonly bytes: number;
  users: number;
}

export class HopLists {
  readonly #image: Image;
  readonly #pool: RecordPool;
  readonly #byKey = new Map<string, List>();
  readonly #byOffset = new Map<number, List>();

  constructor(image: Image, pool: RecordPool) {
    this.#image = image;
    this.#pool = pool;
  }

  /**
   * Offset of the list with one use more; 0 for none.
   * @param bounds of the hashes that choose each, where the list is not all that they choose from
   */
  intern(hops: readonly Hop[], bounds: readonly number[] = upperBounds(hops)): number {
    if (hops.length === 0) return 0;
    const key = hops.map((hop, i) => `${keyOf(hop)},${bounds[i]}`).join(";");
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.users++;
      return known.offset;
    }
    const bytes = hops.length * NEXT_HOP_BYTES;
    const list = { key, offset: this.#pool.allocate(bytes), bytes, users: 1 };
    for (const [i, hop] of hops.entries()) this.#write(list.offset + i * NEXT_HOP_BYTES, hop, bounds[i]);
    this.#byKey.set(key, list);
    this.#byOffset.set(list.offset, list);
    return list.offset;
  }

  use(offset: number): void {
    const list = this.#byOffset.get(offset);
    if (list !== undefined) list.users++;
  }

  release(offset: number): void {
    const list = this.#byOffset.get(offset);
    if (list === undefined || --list.users > 0) return;
    this.#byKey.delete(list.key);
    this.#byOffset.delete(list.offset);
    this.#pool.free(list.offset, list.bytes);
  }

  #write(at: number, { device, gateway, weight, onlink, scope, dead, source }: Hop, bound: number): void {
    const { words } = this.#image;
    words.fill(0, at >>> 2, (at + NEXT_HOP_BYTES) >>> 2);
    const put = (field: keyof typeof NEXT_HOP, value: number): void => {
      words[(at + NEXT_HOP[field]) >>> 2] = value;
    };
    put("device", device);
    put("ifindex", device === 0 ? 0 : words[(device + DEVICE.ifindex) >>> 2]);
    put("flags", (dead ? NextHopFlag.DEAD : 0) | (onlink ? NextHopFlag.ONLINK : 0));
    put("scope", scope);
    put("upperBound", bound);
    put("family", gateway ? familyOf(gateway) : 0);
    put("source", source);
    put("weight", weight);
    const bytes = new Uint8Array(words.buffer);
    if (typeof gateway === "number") writeIpv4(bytes, at + NEXT_HOP.gateway, gateway);
    else writeIpv6(bytes, at + NEXT_HOP.gateway, gateway);
  }
}

const keyOf = ({ device, gateway, weight, onlink, scope, dead, source }: Hop): string =>
  [device, typeof gateway, gateway, weight, onlink, scope, dead, source].join();

const COMPARED = ["device", "scope", "gateway", "family", "weight"] as const;

/** nh_comp of k:net/ipv4/fib_semantics.c: whether two lists say the same; that a hop is dead does not count. */
export function sameHops(words: Uint32Array, a: number, b: number, count: number): boolean {
  if (a === b) return true;
  for (let i = 0; i < count; i++) {
    const [x, y] = [a + i * NEXT_HOP_BYTES, b + i * NEXT_HOP_BYTES];
    if (COMPARED.some((field) => words[(x + NEXT_HOP[field]) >>> 2] !== words[(y + NEXT_HOP[field]) >>> 2]))
      return false;
    const flags = words[(x + NEXT_HOP.flags) >>> 2] ^ words[(y + NEXT_HOP.flags) >>> 2];
    if ((flags & NextHopFlag.ONLINK) !== 0) return false;
  }
  return true;
}
