/**
 * A table as a MaxMind DB (MaxMind, "MaxMind DB File Format Specification", 2.0), which mmdb-lib looks up in. Its search tree is
 * the table's decision diagram (runtime/lpm/dag.ts) as it stands: a record of 32 bits for either value of a bit.
 *
 *   nodes, 8 bytes each   record below node count: a node; equal: nothing found; above: offset of data, 16 too much
 *   16 bytes of 0
 *   data                  each value, a u32
 *   the marker, metadata
 *
 * What is stored is typed: the highest 3 bits of a byte say what follows, the lowest 5 how many bytes or elements (short ones alone are written here).
 */
import type { PrefixColumns } from "../../runtime/lpm/columns.ts";
import { buildDag } from "../../runtime/lpm/dag.ts";

const SEPARATOR = 16;
const MARKER = Buffer.concat([Buffer.of(0xab, 0xcd, 0xef), Buffer.from("MaxMind.com")]);
const TYPE = { string: 2, uint16: 5, uint32: 6, map: 7, array: 4, uint64: 2 };

/** @returns null for a table that says the same of all addresses */
export function mmdbOf(columns: PrefixColumns): Buffer | null {
  const { values, low, high, root } = buildDag(columns);
  const leaves = values.length;
  const count = low.length;
  if (root < leaves) return null;
  const data = [...values].map((value) => number(TYPE.uint32, value, 4));
  const dataBytes = data[0].length;
  /** The root changes places with node 0. */
  const node = (id: number): number => (id === root ? 0 : id === leaves ? root - leaves : id - leaves);
  const record = (id: number): number => {
    if (id >= leaves) return node(id);
    return id === 0 ? count : count + SEPARATOR + id * dataBytes;
  };
  const tree = Buffer.alloc(8 * count + SEPARATOR);
  for (let i = 0; i < count; i++) {
    const at = 8 * node(leaves + i);
    tree.writeUInt32BE(record(low[i]), at);
    tree.writeUInt32BE(record(high[i]), at + 4);
  }
  return Buffer.concat([tree, ...data, MARKER, metadata(columns.family, count)]);
}

function metadata(family: 4 | 6, nodes: number): Buffer {
  const fields = {
    node_count: number(TYPE.uint32, nodes, 4),
    record_size: number(TYPE.uint16, 32, 2),
    ip_version: number(TYPE.uint16, family, 2),
    database_type: text("routes"),
    languages: extended(TYPE.array, 0),
    binary_format_major_version: number(TYPE.uint16, 2, 2),
    binary_format_minor_version: number(TYPE.uint16, 0, 2),
    build_epoch: Buffer.concat([extended(TYPE.uint64, 8), Buffer.alloc(8)]),
    description: Buffer.of(TYPE.map << 5),
  };
  const pairs = Object.entries(fields).flatMap(([name, value]) => [text(name), value]);
  return Buffer.concat([Buffer.of((TYPE.map << 5) | Object.keys(fields).length), ...pairs]);
}

const text = (content: string): Buffer =>
  Buffer.concat([Buffer.of((TYPE.string << 5) | content.length), Buffer.from(content)]);

function number(type: number, value: number, bytes: number): Buffer {
  const buffer = Buffer.of((type << 5) | bytes, ...Array<number>(bytes).fill(0));
  buffer.writeUIntBE(value, 1, bytes);
  return buffer;
}

/** Types from 8 on, 7 less. */
const extended = (type: number, size: number): Buffer => Buffer.of(size, type);
