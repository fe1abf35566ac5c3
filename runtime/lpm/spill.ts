/**
 * `spill`: an IPv4 table in two, so that few levels, the last with cells of a byte, settle nearly every address. `main` is
 * `blocks` (blocks.ts) of the routes up to /24, and tells 254 answers apart; what does not fit is in `rest`, `blocks` too, which
 * is asked where `main` says so. It is DIR-24-8's thought (P. Gupta, S. Lin, N. McKeown, 1998) that few prefixes are longer
 * than /24, used on values as well: of 256 next hops the rarest have few routes.
 *
 *   +0   u32 offset of `rest`'s image from this one's start
 *   +4   u32 offset of the values of the numbers 0 .. 254, u32 each; 0: the numbers are the values
 *   +64  `main`'s image: a number, 0 for no match, or SPILLED
 *   ...  `rest`'s image: values
 *
 * `rest` has the routes whose values have no number, those longer than /24 but where all in a /24 say what it does without
 * them, and for each /24 with such what its other addresses get. The values with most routes have numbers.
 *
 * Example: 10.0.0.0/8 -> 1, 10.1.2.128/25 -> 2, 11.0.0.0/8 -> 300. `main`: 10/8 -> 1, 10.1.2/24 -> SPILLED, 11/8 -> SPILLED.
 * `rest`: 10.1.2.0/24 -> 1, 10.1.2.128/25 -> 2, 11/8 -> 300.
 */
import type { Family, Ip } from "../net/ip.ts";
import { mask4 } from "../net/ip.ts";
import { type BlockOptions, type BlockShape, blockShape, blocks, buildBlocks } from "./blocks.ts";
import { columnsOf, type PrefixColumns, sortColumns } from "./columns.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";

export const SPILL = { REST: 0, VALUES: 4, MAIN: 64 } as const;
/** What `main` says of addresses that `rest` is to be asked of. */
export const SPILLED = 255;
/** Most routes are no longer. */
const MAIN_LENGTH = 24;
/** Bytes for `rest`: few levels, and small beside `main`. */
const REST_BUDGET = 256 << 10;
/** Values stand for themselves where at most one route in so many has one that is no number. */
const ONE_IN = 64;

export interface SpillShape {
  readonly main: BlockShape;
  readonly rest: BlockShape;
  /** Numbers stand for values of a table. */
  readonly numbered: boolean;
}

/** @param options of `main`: strides of 24 bits in sum, of less where no route is as long */
export function buildSpill(unsorted: PrefixColumns, options: BlockOptions = {}): LpmImage {
  if (unsorted.family !== 4) throw new RangeError("spill is for IPv4");
  const columns = sortColumns(unsorted);
  const { numberOf, values } = numbersOf(columns.values);
  const { main, rest } = divide(columns, numberOf);
  const [mainImage, restImage] = [buildBlocks(main, options), buildBlocks(rest, { budget: REST_BUDGET })];
  const restAt = align(SPILL.MAIN + mainImage.bytes.length);
  const valuesAt = align(restAt + restImage.bytes.length);
  const bytes = new Uint8Array(valuesAt + (values === null ? 0 : 4 * values.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(SPILL.REST, restAt, true);
  bytes.set(mainImage.bytes, SPILL.MAIN);
  bytes.set(restImage.bytes, restAt);
  if (values !== null) {
    view.setUint32(SPILL.VALUES, valuesAt, true);
    new Uint32Array(bytes.buffer, valuesAt).set(values);
  }
  return { kind: "spill", family: 4, bytes, prefixes: columns.lengths.length };
}

const align = (n: number): number => Math.ceil(n / 64) * 64;

/** @returns the number of a value, SPILLED where it has none, and the values by number, null where they are the numbers */
function numbersOf(of: Uint32Array): { numberOf: (value: number) => number; values: Uint32Array | null } {
  const large = of.reduce((count, value) => count + (value < SPILLED ? 0 : 1), 0);
  if (large * ONE_IN <= of.length) return { numberOf: (value) => Math.min(value, SPILLED), values: null };
  const routes = new Map<number, number>();
  for (const value of of) routes.set(value, (routes.get(value) ?? 0) + 1);
  const common = [...routes.keys()].sort((a, b) => routes.get(b)! - routes.get(a)!).slice(0, SPILLED - 1);
  const numbers = new Map(common.map((value, i) => [value, i + 1]));
  return { numberOf: (value) => numbers.get(value) ?? SPILLED, values: Uint32Array.of(0, ...common) };
}

/** @param columns sorted: a prefix stands right before those inside it */
function divide({ words, lengths, values }: PrefixColumns, numberOf: (value: number) => number) {
  const [main, rest] = [new Rows(lengths.length), new Rows(2 * lengths.length)];
  const contains = (outer: number, inner: number): boolean =>
    ((words[inner] ^ words[outer]) & mask4(lengths[outer])) === 0;
  /** Routes up to /24 that contain the one at hand, one inside the other. */
  const around: number[] = [];
  for (let i = 0; i < lengths.length; ) {
    while (around.length > 0 && !contains(around.at(-1)!, i)) around.pop();
    if (lengths[i] <= MAIN_LENGTH) {
      const number = numberOf(values[i]);
      main.add(words[i], lengths[i], number);
      if (number === SPILLED) rest.add(words[i], lengths[i], values[i]);
      around.push(i++);
      continue;
    }
    const [from, network] = [i, words[i] >>> (32 - MAIN_LENGTH)];
    while (i < lengths.length && words[i] >>> (32 - MAIN_LENGTH) === network) i++;
    const outer = around.at(-1);
    const inherited = outer === undefined ? 0 : values[outer];
    if (values.subarray(from, i).every((value) => value === inherited)) continue; // that say nothing else
    const address = (network << (32 - MAIN_LENGTH)) >>> 0;
    const isRoute = outer !== undefined && lengths[outer] === MAIN_LENGTH;
    if (isRoute) main.setLast(SPILLED);
    else main.add(address, MAIN_LENGTH, SPILLED);
    if (inherited !== 0 && !(isRoute && numberOf(inherited) === SPILLED)) rest.add(address, MAIN_LENGTH, inherited);
    for (let k = from; k < i; k++) rest.add(words[k], lengths[k], values[k]);
  }
  return { main: main.columns(), rest: rest.columns() };
}

/** Columns that grow, up to a length. */
class Rows {
  readonly #words: Uint32Array;
  readonly #lengths: Uint8Array;
  readonly #values: Uint32Array;
  #count = 0;

  constructor(most: number) {
    this.#words = new Uint32Array(most);
    this.#lengths = new Uint8Array(most);
    this.#values = new Uint32Array(most);
  }

  add(word: number, length: number, value: number): void {
    this.#words[this.#count] = word;
    this.#lengths[this.#count] = length;
    this.#values[this.#count++] = value;
  }

  setLast(value: number): void {
    this.#values[this.#count - 1] = value;
  }

  columns(): PrefixColumns {
    const count = this.#count;
    return {
      family: 4,
      words: this.#words.subarray(0, count),
      lengths: this.#lengths.subarray(0, count),
      values: this.#values.subarray(0, count),
    };
  }
}

/** The images inside of one. */
export function spillParts({ bytes }: Pick<LpmImage, "bytes">): { readonly main: LpmImage; readonly rest: LpmImage } {
  const restAt = new DataView(bytes.buffer, bytes.byteOffset).getUint32(SPILL.REST, true);
  const part = (from: number): LpmImage => ({ kind: "blocks", family: 4, bytes: bytes.subarray(from), prefixes: 0 });
  return { main: part(SPILL.MAIN), rest: part(restAt) };
}

const valuesOf = ({ bytes }: Pick<LpmImage, "bytes">): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(SPILL.VALUES, true);

export function spillShape(image: Pick<LpmImage, "bytes">): SpillShape {
  const { main, rest } = spillParts(image);
  return { main: blockShape(main), rest: blockShape(rest), numbered: valuesOf(image) !== 0 };
}

function lookup(image: LpmImage, address: Ip): number {
  const { main, rest } = spillParts(image);
  const number = blocks.lookup(main, address);
  if (number === SPILLED) return blocks.lookup(rest, address);
  const values = valuesOf(image);
  const { buffer, byteOffset } = image.bytes;
  return values === 0 ? number : new DataView(buffer, byteOffset).getUint32(values + 4 * number, true);
}

export const spill: LpmStructure = {
  kind: "spill",
  families: [4],
  build: (family: Family, entries: readonly LpmEntry[]) => buildSpill(columnsOf(family, entries)),
  lookup,
};
