/**
 * The rows of one IPv4 table (dsl/route-columns.ts) while it is filled: found by their prefix as lines come in, taken out again when another
 * route gets the same prefix, sorted at the end.
 *
 *   slots    open addressing, at most half in use: row + 1, 0: free; none as long as rows come sorted, as routers print them
 *   lengths  GONE for a row that was taken out: it fits no prefix, and its slot stays
 */
import { type RouteId, routeId, type TableId } from "../../runtime/brand.ts";
import { mask4 } from "../../runtime/net/ip.ts";
import { type RouteColumns, rowOf, type SaidRoute } from "../route-columns.ts";
import type { RouteDraft } from "./fib.ts";

const GONE = 255;
const FIRST_ROWS = 64;
/** Rows that a sort key has room for. */
const MOST_ROWS = 2 ** 26;

export class RowTable {
  readonly sayings: SaidRoute[] = [];
  #count = 0;
  #gone = 0;
  #addresses = new Uint32Array(FIRST_ROWS);
  #lengths = new Uint8Array(FIRST_ROWS);
  #said = new Uint32Array(FIRST_ROWS);
  #lines = new Uint32Array(FIRST_ROWS);
  #slots: Uint32Array | null = null;
  /** Those that rows have or had. */
  readonly #hasLength = new Uint8Array(33);

  get isFull(): boolean {
    return this.#count === MOST_ROWS;
  }

  /** @returns -1: no row has this prefix */
  find(address: number, length: number): number {
    if (this.#slots !== null) return this.#slots[this.#slotOf(this.#slots, address, length)] - 1;
    const row = this.#rowFrom(address, length);
    return row < this.#count && this.#addresses[row] === address && this.#lengths[row] === length ? row : -1;
  }

  /** @param address a network that no row has */
  add(address: number, length: number, said: number, line: number): void {
    if (this.#count === this.#lengths.length) this.#grow();
    if (this.#slots === null && this.#rowFrom(address, length) < this.#count) this.#fillSlots();
    const row = this.#count++;
    this.#addresses[row] = address;
    this.#lengths[row] = length;
    this.#said[row] = said;
    this.#lines[row] = line;
    this.#hasLength[length] = 1;
    if (this.#slots !== null) this.#slots[this.#slotOf(this.#slots, address, length)] = row + 1;
  }

  /** The row's route, which is a row no more. */
  take(row: number): RouteDraft {
    const route = this.route(row);
    if (this.#slots === null) this.#fillSlots();
    this.#lengths[row] = GONE;
    this.#gone++;
    return route;
  }

  route(row: number): RouteDraft {
    const { id: _, ...route } = rowOf({ ...this.#columns(), firstId: routeId(0) }, row);
    return route;
  }

  /** The row of exactly so long a prefix that holds the address; -1: there is none. */
  holding(address: number, length: number): number {
    return this.#hasLength[length] === 0 ? -1 : this.find((address & mask4(length)) >>> 0, length);
  }

  finish(table: TableId, firstId: RouteId, sayings: readonly SaidRoute[]): RouteColumns {
    const { addresses, lengths, said, lines } = this.#columns();
    const order = this.#slots === null ? null : this.#order();
    if (order === null) return { table, firstId, addresses, lengths, said, lines, sayings };
    return {
      table,
      firstId,
      addresses: order.map((row) => addresses[row]),
      lengths: Uint8Array.from(order, (row) => lengths[row]),
      said: order.map((row) => said[row]),
      lines: order.map((row) => lines[row]),
      sayings,
    };
  }

  #columns() {
    const count = this.#count;
    return {
      addresses: this.#addresses.subarray(0, count),
      lengths: this.#lengths.subarray(0, count),
      said: this.#said.subarray(0, count),
      lines: this.#lines.subarray(0, count),
      sayings: this.sayings,
    };
  }

  /** Of sorted rows the first that does not stand before a prefix; mostly one is asked for that stands behind them all. */
  #rowFrom(address: number, length: number): number {
    const [addresses, lengths] = [this.#addresses, this.#lengths];
    let [from, to] = [0, this.#count];
    for (let row = to - 1; from < to; row = (from + to) >>> 1)
      if ((addresses[row] - address || lengths[row] - length) < 0) from = row + 1;
      else to = row;
    return from;
  }

  /** Rows that are there, sorted: by numbers of 64 bits, address, length and row, which typed arrays compare without a call. */
  #order(): Uint32Array<ArrayBuffer> {
    const keys = new BigUint64Array(this.#count - this.#gone);
    const halves = new Uint32Array(keys.buffer);
    let at = 0;
    for (let row = 0; row < this.#count; row++) {
      if (this.#lengths[row] === GONE) continue;
      halves[at + LOW] = this.#lengths[row] * MOST_ROWS + row;
      halves[at + 1 - LOW] = this.#addresses[row];
      at += 2;
    }
    keys.sort();
    return Uint32Array.from({ length: keys.length }, (_, i) => halves[2 * i + LOW] % MOST_ROWS);
  }

  /** Where the row of a prefix stands, or would. */
  #slotOf(slots: Uint32Array, address: number, length: number): number {
    const [addresses, lengths] = [this.#addresses, this.#lengths];
    const mask = slots.length - 1;
    let slot = hashOf(address, length) & mask;
    for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const row = slots[slot] - 1;
      if (addresses[row] === address && lengths[row] === length) break;
    }
    return slot;
  }

  #grow(): void {
    const room = 2 * this.#lengths.length;
    this.#addresses = copied(this.#addresses, new Uint32Array(room));
    this.#lengths = copied(this.#lengths, new Uint8Array(room));
    this.#said = copied(this.#said, new Uint32Array(room));
    this.#lines = copied(this.#lines, new Uint32Array(room));
    if (this.#slots !== null) this.#fillSlots();
  }

  #fillSlots(): void {
    const slots = new Uint32Array(2 * this.#lengths.length);
    for (let row = 0; row < this.#count; row++)
      if (this.#lengths[row] !== GONE) slots[this.#slotOf(slots, this.#addresses[row], this.#lengths[row])] = row + 1;
    this.#slots = slots;
  }
}

/** Which half of a number of 64 bits stands first. */
const LOW = new Uint32Array(BigUint64Array.of(1n).buffer)[0] === 1 ? 0 : 1;

function copied<T extends Uint32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

function hashOf(address: number, length: number): number {
  const hash = Math.imul(address ^ Math.imul(length, 0x9e3779b1), 0x85ebca6b);
  return hash ^ (hash >>> 15);
}
