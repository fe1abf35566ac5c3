/** Random numbers that a seed determines: the same tables and traffic on every machine. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** sfc32 (C. Doty-Humphrey, PractRand): small, fast, passes the usual batteries. */
  constructor(seed: number) {
    this.#a = seed >>> 0;
    this.#b = (seed / 2 ** 32) >>> 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 16; i++) this.u32();
  }

  u32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 <= x < 1 */
  unit(): number {
    return this.u32() / 2 ** 32;
  }

  /** An integer, 0 <= n < below. */
  below(below: number): number {
    return Math.floor(this.unit() * below);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** The lower `bits` bits, random. */
  bits(bits: number): bigint {
    let value = 0n;
    for (let have = 0; have < bits; have += 32) value = (value << 32n) | BigInt(this.u32());
    return BigInt.asUintN(bits, value);
  }
}

/** Draws 0 .. weights.length-1 in proportion to the weights. */
export class Weighted {
  readonly #sums: Float64Array;

  constructor(weights: readonly number[]) {
    let sum = 0;
    this.#sums = Float64Array.from(weights, (weight) => (sum += weight));
  }

  draw(random: Random): number {
    const at = random.unit() * this.#sums[this.#sums.length - 1];
    let low = 0;
    let high = this.#sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sums[middle] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Zipf: rank k has weight 1 / (k + 1)^s. */
export const zipf = (ranks: number, s: number): Weighted =>
  new Weighted(Array.from({ length: ranks }, (_, k) => 1 / (k + 1) ** s));
