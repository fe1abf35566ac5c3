/**
 * A memory with the images of one table and one stream of addresses, the batch procs over it as wasm, and the twins:
 *
 *   image | image | ... | addresses | results
 */
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import type { LpmImage } from "../../runtime/lpm/lpm.ts";
import { lpmBatchProc, lpmSimdBatchProc, shapeOf } from "../../src/lpm/emit.ts";
import type { Proc } from "../../src/plan/ir.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import { generateAddresses, type Stream } from "./generate.ts";
import { type Variant, verify } from "./harness.ts";
import { referenceAnswers } from "./reference.ts";
import { twinOf } from "./twins.ts";

export interface Contestant {
  readonly name: string;
  readonly image: LpmImage;
  /** Look-ups interleaved in portable wasm, wasm with SIMD, or the JavaScript twin. */
  readonly code: { readonly lanes: number; readonly specialised: boolean } | "simd" | "javascript";
}

/** Look-ups a call: a usual batch of packets. A call costs about 5 ns. */
const BATCH = 256;
/** Compares that `linear` may spend on a run; it is then asked fewer addresses than the others. */
const LINEAR_COMPARES = 2 ** 26;
const PAGE = 65536;

/** Of a result: as narrow as the table's values allow. */
const resultBytesOf = ({ values }: PrefixColumns): 1 | 2 | 4 => {
  const greatest = values.reduce((a, b) => Math.max(a, b), 0);
  return greatest < 2 ** 8 ? 1 : greatest < 2 ** 16 ? 2 : 4;
};

const resultsIn = (buffer: ArrayBuffer, offset: number, count: number, bytes: 1 | 2 | 4) =>
  new ({ 1: Uint8Array, 2: Uint16Array, 4: Uint32Array })[bytes](buffer, offset, count);

export class LookupRig {
  readonly #table: PrefixColumns;
  readonly #contestants: readonly Contestant[];
  readonly #bases: ReadonlyMap<LpmImage, number>;
  readonly #addresses: number;
  readonly #out: number;
  readonly #count: number;
  readonly #memory: WebAssembly.Memory;
  readonly #procs: WebAssembly.Exports;
  readonly #resultBytes: 1 | 2 | 4;
  #answers: Uint32Array = new Uint32Array(0);

  /** @param count addresses of a run, a multiple of BATCH */
  static async of(table: PrefixColumns, contestants: readonly Contestant[], count: number): Promise<LookupRig> {
    const procs = new Map<string, Proc>();
    for (const contestant of contestants) {
      const proc = procOf(contestant, resultBytesOf(table));
      if (proc !== null) procs.set(proc.name, proc);
    }
    const bases = new Map<LpmImage, number>();
    let end = 64;
    const reserve = (bytes: number): number => {
      const offset = end;
      end = Math.ceil((end + bytes) / 64) * 64;
      return offset;
    };
    for (const { image } of contestants) if (!bases.has(image)) bases.set(image, reserve(image.bytes.length));
    const addresses = reserve(count * (table.family === 4 ? 4 : 16));
    const out = reserve(count * 4);
    const pages = Math.ceil(end / PAGE);
    const { wasm } = await emitModule([{ plan: { procs: [...procs.values()], skb: [] }, suffix: "" }], {
      segments: [],
      initialPages: pages,
      maximumPages: pages,
      traceRegion: { cursor: 0, end: 4, lost: 8 },
      level: 2,
      simd: contestants.some(({ code }) => code === "simd"),
    });
    const { instance } = await WebAssembly.instantiate(wasm as Uint8Array<ArrayBuffer>);
    return new LookupRig(table, contestants, { bases, addresses, out, count }, instance.exports);
  }

  private constructor(
    table: PrefixColumns,
    contestants: readonly Contestant[],
    places: { bases: ReadonlyMap<LpmImage, number>; addresses: number; out: number; count: number },
    procs: WebAssembly.Exports,
  ) {
    this.#table = table;
    this.#contestants = contestants;
    this.#bases = places.bases;
    this.#addresses = places.addresses;
    this.#out = places.out;
    this.#count = places.count;
    this.#memory = procs.memory as WebAssembly.Memory;
    this.#procs = procs;
    this.#resultBytes = resultBytesOf(table);
    for (const [image, base] of this.#bases) new Uint8Array(this.#memory.buffer).set(image.bytes, base);
  }

  /** All contestants on a stream, their answers compared with the reference. @throws WrongAnswer */
  variants(stream: Stream, seed: number): Variant[] {
    const addresses = generateAddresses(this.#table, stream, this.#count, seed);
    new Uint8Array(this.#memory.buffer).set(addresses, this.#addresses);
    const expected = referenceAnswers(this.#table, addresses);
    this.#answers = expected;
    return this.#contestants.flatMap((contestant) => {
      const variant = this.#variant(contestant, expected);
      return variant === null ? [] : [variant];
    });
  }

  /** What every look-up of the last stream must answer. */
  get answers(): Uint32Array {
    return this.#answers;
  }

  /** The addresses of the last stream, as batches take them. */
  get addresses(): Uint8Array {
    return new Uint8Array(this.#memory.buffer, this.#addresses, this.#count * this.#addressBytes);
  }

  get #addressBytes(): number {
    return this.#table.family === 4 ? 4 : 16;
  }

  /** What is timed writes the results of every batch over those of the last, as its reader would have it. */
  #variant({ name, image, code }: Contestant, expected: Uint32Array): Variant | null {
    const operations = this.#operations(image);
    const bytes = image.bytes.length;
    const { buffer } = this.#memory;
    const stride = this.#addressBytes;
    const proc = procOf({ name, image, code }, this.#resultBytes);
    if (proc !== null) {
      const lookup = this.#procs[proc.name] as (base: number, addresses: number, out: number, count: number) => void;
      const base = this.#bases.get(image)!;
      const [addresses, out] = [this.#addresses, this.#out];
      const results = resultsIn(buffer, out, operations, this.#resultBytes);
      results.fill(-1);
      lookup(base, addresses, out, operations);
      verify(name, results, expected);
      const run = () => {
        for (let i = 0; i < operations; i += BATCH) lookup(base, addresses + i * stride, out, BATCH);
      };
      return { name, operations, bytes, run };
    }
    const twin = twinOf(image);
    if (twin === null) return null;
    const input = new Uint8Array(buffer, this.#addresses, operations * stride);
    const out = new Uint32Array(buffer, this.#out, operations);
    out.fill(-1);
    twin(input, out);
    verify(name, out, expected);
    return { name, operations, bytes, run: () => twin(input, out) };
  }

  #operations({ kind, prefixes }: LpmImage): number {
    if (kind !== "linear") return this.#count;
    const affordable = Math.floor(LINEAR_COMPARES / (prefixes + 1) / BATCH) * BATCH;
    return Math.min(this.#count, Math.max(BATCH, affordable));
  }
}

function procOf({ image, code }: Contestant, resultBytes: 1 | 2 | 4): Proc | null {
  if (code === "javascript") return null;
  if (code === "simd") return lpmSimdBatchProc(image, resultBytes);
  return lpmBatchProc(image.kind, image.family, code.lanes, code.specialised ? shapeOf(image) : null, resultBytes);
}
