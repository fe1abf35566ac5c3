/**
 * The lines of a file of routes, read from its bytes: a line that begins with an IPv4 prefix is that prefix and a rest, which a file says
 * over and over; all else is words. What stands where in `1.0.4.0/22 via 10.0.0.3 dev eth0`:
 *
 *   start      rest                     end
 *   1.0.4.0/22 via 10.0.0.3 dev eth0    \n
 */
const LINE = 10;
const SPACE = 32;
const DOT = 46;
const SLASH = 47;

export class RouteLines {
  readonly #bytes: Uint8Array;
  /** Of the next line. */
  #at = 0;
  #start = 0;
  #end = 0;
  #rest = 0;
  #hash = 0;
  /** From 1. */
  number = 0;
  /** -1: the line does not begin with a network as programs write it, and a blank behind it. */
  length = -1;
  address = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Goes on to the next line. @returns false behind the last */
  next(): boolean {
    const bytes = this.#bytes;
    if (this.#at > bytes.length) return false;
    this.number++;
    this.#start = this.#at;
    this.length = this.#prefix();
    this.#rest = this.#at;
    let hash = 0x811c9dc5;
    let at = this.#at;
    for (; at < bytes.length && bytes[at] !== LINE; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
    this.#hash = hash;
    this.#end = at;
    this.#at = at + 1;
    return true;
  }

  get text(): string {
    return new TextDecoder().decode(this.#bytes.subarray(this.#start, this.#end)).replace(/\r$/, "");
  }

  /** What stands behind the prefix: a number that is the same for the same bytes, and seldom for others. */
  get hash(): number {
    return this.#hash;
  }

  /** Where that stands, to be compared with. */
  get rest(): { readonly start: number; readonly end: number } {
    return { start: this.#rest, end: this.#end };
  }

  /** The same stands behind this line's prefix. */
  says({ start, end }: { readonly start: number; readonly end: number }): boolean {
    if (this.#end - this.#rest !== end - start) return false;
    for (let i = start, k = this.#rest; i < end; i++, k++) if (this.#bytes[i] !== this.#bytes[k]) return false;
    return true;
  }

  #prefix(): number {
    let address = 0;
    for (let i = 0; i < 4; i++) {
      if (i > 0 && this.#bytes[this.#at++] !== DOT) return -1;
      const octet = this.#number();
      if (octet < 0 || octet > 255) return -1;
      address = (address << 8) | octet;
    }
    let length = 32;
    if (this.#bytes[this.#at] === SLASH) {
      this.#at++;
      length = this.#number();
      if (length < 0 || length > 32) return -1;
    }
    if (this.#bytes[this.#at] !== SPACE) return -1;
    if (length < 32 && address << length !== 0) return -1;
    this.address = address >>> 0;
    return length;
  }

  /** Decimal, of at most three digits, without zeros in front; -1 when there is none. */
  #number(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    let n = 0;
    for (let digit = bytes[this.#at] - 48; digit >= 0 && digit <= 9; digit = bytes[++this.#at] - 48) n = n * 10 + digit;
    const digits = this.#at - start;
    return digits === 0 || digits > 3 || (digits > 1 && bytes[start] === 48) ? -1 : n;
  }
}
