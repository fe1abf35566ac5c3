/**
 * `poptrie`: H. Asai, Y. Ohara, "Poptrie: A Compressed Trie with Population Count for Fast and Scalable Software IP Routing Table Lookup",
 * SIGCOMM 2015, IPv4, for comparison: a look-up branches at each level, a table cannot change, and it is never chosen.
 *
 *   +0   u32 bits of the direct table   +4  u32 offset of the nodes   +8  u32 offset of the leaves   +12  u32 bytes of a leaf: 1, 2 or 4
 *   +64  direct table: u32 by the first bits of the address: DIRECT_LEAF and a value, or the number of a node
 *   ...  nodes of 24 bytes, each for 6 bits of the address
 *          +0   u64 vector    bit v: the next node is for v; otherwise a leaf
 *          +8   u64 leafvec   bit v: the leaf for v begins a run of equal ones
 *          +16  u32 first     number of its first child; children stand in a row, in the order of their bits
 *          +20  u32 leaves    number of its first leaf, likewise
 *   ...  leaves, each a value, 0 for no match
 *
 * With as many bits before v as there are set up to v: child number = first + popcount(vector & (2 << v) - 1) - 1, leaf number
 * = leaves + popcount(leafvec & (2 << v) - 1) - 1. The direct table has 18 bits, as in the paper; tables that small caches hold have 12.
 * Bits behind the address's end are 0.
 *
 * Example: 10.0.0.0/8 -> 1, 10.16.64.0/18 -> 2, direct table of 12 bits. Cells 0x0a0 to 0x0af are leaves of 1, but for 0x0a1: node 0, for
 * bits 12 to 17. Of its 64 values 1, 000001, is the /18. No children: vector 0. Leaves are 1 for 0, 2 for 1 and 1 for 2 to 63, so
 * leafvec is 0b111. 10.16.64.9: v is 1, two bits of leafvec up to it: the second leaf, 2. 10.17.0.0: v is 4, the third leaf, 1.
 */
import type { Family, Ip } from "../net/ip.ts";
import { columnsOf, type PrefixColumns } from "./columns.ts";
import { buildDag, type Dag } from "./dag.ts";
import type { LpmEntry, LpmImage, LpmStructure } from "./lpm.ts";
import { type CellBytes, cellBytesFor } from "./strides.ts";

export const POPTRIE = {
  DIRECT_BITS: 0,
  NODES: 4,
  LEAVES: 8,
  LEAF_BYTES: 12,
  DIRECT: 64,
  DIRECT_LEAF: 0x8000_0000,
  NODE_BITS: 6,
  NODE: { BYTES: 24, VECTOR: 0, LEAFVEC: 8, FIRST: 16, LEAVES: 20 },
  /** After the last leaf: code that is not specialised reads leaves of any width by loads of 4. */
  PADDING: 4,
} as const;
const { NODE, NODE_BITS } = POPTRIE;
const DIRECT_BITS = 18;
const DIRECT_BITS_OF_FEW = 12;
/** A direct table of 1 MiB is more than so few routes are worth. */
const FEW = 1 << 14;

export interface PoptrieShape {
  readonly directBits: number;
  readonly leafBytes: CellBytes;
}

export function poptrieShape({ bytes }: LpmImage): PoptrieShape {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    directBits: view.getUint32(POPTRIE.DIRECT_BITS, true),
    leafBytes: view.getUint32(POPTRIE.LEAF_BYTES, true) as CellBytes,
  };
}

/** Levels of nodes below the direct table. */
export const nodeLevels = (directBits: number): number => Math.ceil((32 - directBits) / NODE_BITS);

/** Ids of the diagram that `bits` bits lead to from one of them. */
function below({ values, low, high }: Dag, id: number, bits: number): Int32Array {
  let ids = Int32Array.of(id);
  for (let bit = 0; bit < bits; bit++) {
    const next = new Int32Array(2 * ids.length);
    ids.forEach((each, i) => {
      const isLeaf = each < values.length;
      next[2 * i] = isLeaf ? each : low[each - values.length];
      next[2 * i + 1] = isLeaf ? each : high[each - values.length];
    });
    ids = next;
  }
  return ids;
}

interface Node {
  readonly vector: bigint;
  readonly leafvec: bigint;
  readonly first: number;
  readonly leaves: number;
}

export function buildPoptrie(columns: PrefixColumns): LpmImage {
  const dag = buildDag(columns);
  const { values } = dag;
  const prefixes = columns.lengths.length;
  const directBits = prefixes > FEW ? DIRECT_BITS : DIRECT_BITS_OF_FEW;
  /** Of each node its id; a level behind the other. */
  const ids: number[] = [];
  const direct = Uint32Array.from(below(dag, dag.root, directBits), (id) =>
    id < values.length ? POPTRIE.DIRECT_LEAF + values[id] : ids.push(id) - 1,
  );
  const nodes: Node[] = [];
  const leaves: number[] = [];
  for (let n = 0; n < ids.length; n++) {
    const [first, firstLeaf] = [ids.length, leaves.length];
    let [vector, leafvec, last] = [0n, 0n, -1];
    for (const [v, id] of below(dag, ids[n], NODE_BITS).entries()) {
      if (id >= values.length) {
        vector |= 1n << BigInt(v);
        ids.push(id);
      } else if (id !== last) {
        leafvec |= 1n << BigInt(v);
        leaves.push(values[id]);
        last = id;
      }
    }
    nodes.push({ vector, leafvec, first, leaves: firstLeaf });
  }
  return { kind: "poptrie", family: 4, bytes: assemble({ directBits, direct, nodes, leaves }), prefixes };
}

interface Parts {
  readonly directBits: number;
  readonly direct: Uint32Array;
  readonly nodes: readonly Node[];
  readonly leaves: readonly number[];
}

function assemble({ directBits, direct, nodes, leaves }: Parts): Uint8Array {
  const leafBytes = cellBytesFor(leaves.reduce((a, b) => Math.max(a, b), 0) + 1);
  const nodesOffset = POPTRIE.DIRECT + direct.byteLength;
  const leavesOffset = nodesOffset + nodes.length * NODE.BYTES;
  const end = leavesOffset + leaves.length * leafBytes + POPTRIE.PADDING;
  const bytes = new Uint8Array(Math.ceil(end / 4) * 4);
  new Uint32Array(bytes.buffer).set([directBits, nodesOffset, leavesOffset, leafBytes]);
  new Uint32Array(bytes.buffer).set(direct, POPTRIE.DIRECT / 4);
  const view = new DataView(bytes.buffer);
  for (const [n, node] of nodes.entries()) {
    const at = nodesOffset + n * NODE.BYTES;
    view.setBigUint64(at + NODE.VECTOR, node.vector, true);
    view.setBigUint64(at + NODE.LEAFVEC, node.leafvec, true);
    view.setUint32(at + NODE.FIRST, node.first, true);
    view.setUint32(at + NODE.LEAVES, node.leaves, true);
  }
  for (const [i, value] of leaves.entries()) {
    const at = leavesOffset + i * leafBytes;
    if (leafBytes === 1) view.setUint8(at, value);
    else if (leafBytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
  }
  return bytes;
}

const popcount = (bits: bigint): number => bits.toString(2).replaceAll("0", "").length;

function lookup(image: LpmImage, address: Ip): number {
  const { bytes } = image;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { directBits, leafBytes } = poptrieShape(image);
  const ip = Number(address);
  const cell = view.getUint32(POPTRIE.DIRECT + 4 * (ip >>> (32 - directBits)), true);
  if (cell >= POPTRIE.DIRECT_LEAF) return cell - POPTRIE.DIRECT_LEAF;
  let node = cell;
  for (let depth = directBits; ; depth += NODE_BITS) {
    const at = view.getUint32(POPTRIE.NODES, true) + node * NODE.BYTES;
    const v = BigInt((ip << depth) >>> (32 - NODE_BITS));
    const upTo = (vector: bigint): number => popcount(vector & ((2n << v) - 1n)) - 1;
    const vector = view.getBigUint64(at + NODE.VECTOR, true);
    if ((vector >> v) & 1n) {
      node = view.getUint32(at + NODE.FIRST, true) + upTo(vector);
      continue;
    }
    const leaf = view.getUint32(at + NODE.LEAVES, true) + upTo(view.getBigUint64(at + NODE.LEAFVEC, true));
    const place = view.getUint32(POPTRIE.LEAVES, true) + leaf * leafBytes;
    if (leafBytes === 1) return view.getUint8(place);
    return leafBytes === 2 ? view.getUint16(place, true) : view.getUint32(place, true);
  }
}

export const poptrie: LpmStructure = {
  kind: "poptrie",
  families: [4],
  build: (_family: Family, entries: readonly LpmEntry[]) => buildPoptrie(columnsOf(4, entries)),
  lookup,
};
