/**
 * The trie of a table's prefixes (FIB_NODE of runtime/abi/fib.ts) as it is compiled: from sorted prefixes, each hung on the right edge of what
 * there is. Twin: `PrefixTrie.set` (runtime/lpm/prefix-trie.ts), prefix by prefix.
 *
 *   10.0.0.0/8, 10.1.0.0/16, 10.64.0.0/16: the edge is 8, 16; then the /16 diverges from 10.1.0.0/16 at bit 9, and a fork stands for both
 *
 *        10.0.0.0/8                       10.0.0.0/8
 *             | 0                              | 0
 *        10.1.0.0/16        ->            10.0.0.0/9 fork
 *                                      0 /            \ 1
 *                               10.1.0.0/16         10.64.0.0/16
 */
import { FIB_NODE, FIB_NODE_BYTES } from "../../runtime/abi/fib.ts";
import { mask4 } from "../../runtime/net/ip.ts";

/** Words of a node; node 0 is none. */
const NODE_WORDS = FIB_NODE_BYTES / 4;
const [KEY, LENGTH, RESULT] = [FIB_NODE.key / 4, FIB_NODE.length / 4, FIB_NODE.result / 4];
const [BELOW, ABOVE, ROUTE] = [FIB_NODE.below / 4, FIB_NODE.above / 4, FIB_NODE.route / 4];

/** Sorted by address, then length; no two the same. */
export interface TriePrefixes {
  readonly addresses: Uint32Array;
  readonly lengths: Uint8Array;
  /** Numbers of their entries, not 0. */
  readonly results: Uint32Array;
  /** RouteId + 1, 0: the entry says it. */
  readonly routes: Uint32Array;
}

export interface BuiltTrie {
  readonly nodes: Uint32Array;
  readonly root: number;
  /** Nodes one above the other, at the most. */
  readonly depth: number;
}

export function buildTrie({ addresses, lengths, results, routes }: TriePrefixes): BuiltTrie {
  const nodes = new Uint32Array(NODE_WORDS * 2 * Math.max(1, addresses.length));
  /** Nodes of the right edge, from the root down, and how many are below each of them, itself counted. */
  const edge = new Uint32Array(34);
  const heights = new Uint8Array(34);
  let [size, end, root] = [0, 1, 0];
  const create = (key: number, length: number): number => {
    nodes[end * NODE_WORDS + KEY] = key;
    nodes[end * NODE_WORDS + LENGTH] = length;
    return end++;
  };
  const hang = (above: number, node: number): void => {
    nodes[node * NODE_WORDS + ABOVE] = above;
    if (above === 0) {
      root = node;
      return;
    }
    const at = above * NODE_WORDS;
    nodes[at + BELOW + ((nodes[node * NODE_WORDS + KEY] >>> (31 - nodes[at + LENGTH])) & 1)] = node;
  };
  const push = (node: number, height: number): void => {
    edge[size] = node;
    heights[size++] = height;
  };
  const pop = (): number => {
    const node = edge[--size];
    if (size > 0) heights[size - 1] = Math.max(heights[size - 1], heights[size] + 1);
    return node;
  };
  for (let i = 0; i < addresses.length; i++) {
    const [address, length] = [addresses[i], lengths[i]];
    let beside = 0;
    while (size > 0) {
      const at = edge[size - 1] * NODE_WORDS;
      if (((nodes[at + KEY] ^ address) & mask4(nodes[at + LENGTH])) === 0) break;
      beside = pop();
    }
    let above = size === 0 ? 0 : edge[size - 1];
    if (beside !== 0) {
      const common = Math.clz32(nodes[beside * NODE_WORDS + KEY] ^ address);
      // On the other arm of the node above them, if not.
      if (above === 0 || common > nodes[above * NODE_WORDS + LENGTH]) {
        const fork = create((address & mask4(common)) >>> 0, common);
        hang(above, fork);
        hang(fork, beside);
        push(fork, heights[size] + 1);
        above = fork;
      }
    }
    const node = create(address, length);
    nodes[node * NODE_WORDS + RESULT] = results[i];
    nodes[node * NODE_WORDS + ROUTE] = routes[i];
    hang(above, node);
    push(node, 1);
  }
  while (size > 0) pop();
  return { nodes: nodes.subarray(0, end * NODE_WORDS), root, depth: heights[0] };
}
