/**
 * The hash that chooses among the next hops of a multipath route. Linux takes SipHash with a key drawn at boot, so only its
 * distribution can be agreed with; ours has a fixed seed, so that a flow takes the same path in every engine and every run.
 *
 *   key    = (a, b, ports, protocol)          a <= b: the two addresses, ports: the lower one in the high half,
 *                                             so both directions of a flow hash alike (__flow_hash_consistentify)
 *   hash   = MurmurHash3_x86_32(key as four words, MULTIPATH_SEED) >>> 1         31 bits, as fib_multipath_hash gives them
 *
 * Which fields are in the key is net.ipv4.fib_multipath_hash_policy's choice (k:net/ipv4/route.c fib_multipath_hash): 0 the
 * addresses, of an ICMP error those of the packet it quotes; 1 the five-tuple. Fields not in the key are 0.
 */

/** The bytes "vrfc", for want of a better number. */
export const MULTIPATH_SEED = 0x63667276;

/** Constants of MurmurHash3_x86_32 (Austin Appleby, public domain). */
export const MURMUR = { c1: 0xcc9e2d51, c2: 0x1b873593, n: 0xe6546b64, f1: 0x85ebca6b, f2: 0xc2b2ae35 } as const;

const KEY_BYTES = 16;

const rotl = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

function mixWord(hash: number, word: number): number {
  const k = Math.imul(rotl(Math.imul(word, MURMUR.c1), 15), MURMUR.c2);
  return (Math.imul(rotl(hash ^ k, 13), 5) + MURMUR.n) | 0;
}

function finish(hash: number): number {
  let h = hash ^ KEY_BYTES;
  h = Math.imul(h ^ (h >>> 16), MURMUR.f1);
  h = Math.imul(h ^ (h >>> 13), MURMUR.f2);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * @param source, destination IPv4 addresses
 * @returns 0 .. 2^31-1, to be compared with the next hops' upper bounds
 */
export function multipathHash(
  source: number,
  destination: number,
  sport: number,
  dport: number,
  protocol: number,
): number {
  const [a, b] = source <= destination ? [source, destination] : [destination, source];
  const [low, high] = sport <= dport ? [sport, dport] : [dport, sport];
  let hash = mixWord(MULTIPATH_SEED, a);
  hash = mixWord(hash, b);
  hash = mixWord(hash, (low << 16) | high);
  hash = mixWord(hash, protocol);
  return finish(hash) >>> 1;
}

/** Never picked: as the signed number that bounds are, below every hash. */
export const NEVER_PICKED = -1;

/**
 * fib_rebalance: each live hop gets a share of the 31-bit hashes by its weight; its bound is the share's last hash.
 * Weights 1 and 2: shares of 2^31/3, bounds 715827882 and 2147483647.
 */
export function upperBounds(hops: readonly { readonly dead: boolean; readonly weight: number }[]): number[] {
  const total = hops.reduce((sum, hop) => sum + (hop.dead ? 0 : hop.weight), 0);
  let weight = 0;
  return hops.map((hop) => {
    if (hop.dead) return NEVER_PICKED;
    weight += hop.weight;
    return divideRoundClosest(2 ** 31 * weight, total) - 1;
  });
}

/** DIV_ROUND_CLOSEST_ULL; exact: the dividend stays below 2^53 for weights up to 2^22 in sum. */
const divideRoundClosest = (dividend: number, divisor: number): number =>
  Math.floor((dividend + Math.floor(divisor / 2)) / divisor);
