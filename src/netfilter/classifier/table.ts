/**
 * Tables of two classes in memory. Rows of a large one are mostly alike: what a rare source adds to a destination changes few cells. So they
 * are cut into blocks of 16 cells, and equal blocks are one (as runtime/lpm/blocks.ts shares those of a trie): a load more, and a tenth of the bytes,
 * which are in a nearer cache then.
 *
 *   numbers    a row: the block of its cells 0 to 15, of 16 to 31, ...
 *   blocks     16 cells each
 *
 *   row 0   5 5 5 5 | 5 5 5 5        numbers   0 0        blocks   0   5 5 5 5        (of 4 here)
 *   row 1   5 5 7 5 | 5 5 5 5                  1 0                 1   5 5 7 5
 */

export type Cells = Uint16Array | Uint32Array;

export interface Table {
  /** Cell row * columns + column. */
  readonly cells: Cells;
  readonly columns: number;
  /** Null: the cells stand as they are. */
  readonly shared: SharedBlocks | null;
  /** In memory. */
  readonly bytes: number;
}

export interface SharedBlocks {
  /** Block numbers of a row. */
  readonly width: number;
  readonly numbers: Cells;
  readonly blocks: Cells;
}

export const BLOCK = 16;
/** Bytes from which on blocks are shared: less is in the second cache as it is. And how many times fewer it has to make them. */
const SHARED_FROM = 1 << 20;
const WORTH = 3;

const greatestOf = (cells: Cells): number => {
  let greatest = 0;
  for (let i = 0; i < cells.length; i++) if (cells[i] > greatest) greatest = cells[i];
  return greatest;
};

export const cellBytes = (greatest: number): 1 | 2 | 4 => (greatest < 0x100 ? 1 : greatest < 0x10000 ? 2 : 4);
/** Bytes of each of these cells in memory. */
export const bytesOfCell = (cells: Cells): 1 | 2 | 4 => cellBytes(greatestOf(cells));

export function tableOf(cells: Cells, columns: number): Table {
  const whole = cells.length * bytesOfCell(cells);
  const shared = whole < SHARED_FROM || columns < 2 * BLOCK ? null : shareBlocks(cells, columns);
  if (shared === null) return { cells, columns, shared, bytes: whole };
  const bytes = shared.numbers.length * bytesOfCell(shared.numbers) + shared.blocks.length * bytesOfCell(shared.blocks);
  return bytes * WORTH <= whole ? { cells, columns, shared, bytes } : { cells, columns, shared: null, bytes: whole };
}

/** Null: it would hardly be smaller. */
function shareBlocks(cells: Cells, columns: number): SharedBlocks | null {
  const rows = cells.length / columns;
  const width = Math.ceil(columns / BLOCK);
  const most = Math.floor((rows * width) / WORTH);
  const numbers = new Uint32Array(rows * width);
  // The last block of a row is filled up with its last cell.
  const blocks = new Uint32Array(BLOCK * (most + 1));
  const slots = new Int32Array(2 ** (1 + Math.ceil(Math.log2(most + 2))));
  const mask = slots.length - 1;
  let count = 0;
  for (let row = 0, place = 0; row < rows; row++) {
    const last = (row + 1) * columns - 1;
    for (let from = row * columns; from <= last; from += BLOCK, place++) {
      const own = BLOCK * count;
      let hash = 0;
      for (let i = 0; i < BLOCK; i++) {
        const cell = cells[Math.min(from + i, last)];
        blocks[own + i] = cell;
        hash = Math.imul(hash ^ cell, 0x9e3779b1);
        hash ^= hash >>> 15;
      }
      let slot = hash & mask;
      while (slots[slot] !== 0 && !same(blocks, BLOCK * (slots[slot] - 1), own)) slot = (slot + 1) & mask;
      if (slots[slot] === 0) {
        if (count === most) return null;
        slots[slot] = ++count;
      }
      numbers[place] = slots[slot] - 1;
    }
  }
  return { width, numbers, blocks: blocks.subarray(0, BLOCK * count) };
}

function same(cells: Cells, a: number, b: number): boolean {
  for (let i = 0; i < BLOCK; i++) if (cells[a + i] !== cells[b + i]) return false;
  return true;
}
