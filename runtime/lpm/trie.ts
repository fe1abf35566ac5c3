/** Prefixes that come and go, as a structure is mended from them: of keys of 32 bits (prefix-trie.ts), or of 128 (prefix-trie6.ts). */
import type { Family } from "../net/ip.ts";

/** Number of a node; 0 is no node. */
export type Node = number;

export interface Trie<Address> {
  readonly family: Family;
  /** Prefixes. */
  readonly size: number;
  readonly root: Node;
  keyOf(node: Node): Address;
  lengthOf(node: Node): number;
  /** 0: the node has no prefix, it is a fork. */
  valueOf(node: Node): number;
  below(node: Node, bit: number): Node;
  /** Bit `depth` of the node's key, 0 the first. */
  bitOf(node: Node, depth: number): number;
  /** `count` bits of an address from bit `from` on, as a number. */
  bits(address: Address, from: number, count: number): number;
  /** The node of exactly this prefix, if it is there. */
  find(address: Address, length: number): Node;
  /** The next shorter prefix around a node. */
  coverOf(node: Node): Node;
  /** Gives a prefix that is there another value. @param value not 0 */
  setValue(node: Node, value: number): void;
  /** What the owner has noted of a prefix; 0 at first. */
  noteOf(node: Node): number;
  setNote(node: Node, note: number): void;
  /** Sets the value of a prefix, which may be there. @param value not 0 @throws MemoryError; nothing has changed then */
  set(address: Address, length: number, value: number): Node;
  /** Takes a prefix out; there is memory to `set` it again. @returns a node that holds all prefixes inside it, 0: there are none */
  delete(node: Node): Node;
  /** All prefixes, one before those inside it, ascending. */
  forEach(visit: (node: Node) => void): void;
  /** The key's words as columns have them. */
  writeKey(node: Node, words: Uint32Array, at: number): void;
}
