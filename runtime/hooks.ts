/**
 * The attachment points, in the kernel's order and with the kernel's devices.
 *
 *   receive  xdp -> tc ingress -> netdev ingress                        in = device
 *            -> prerouting in=device -> l3mdev receive (device -> VRF) -> prerouting in=VRF
 *            -> rules, table, source validation
 *            -> input in=VRF                                             local delivery
 *             | forward in=VRF out=egress -> postrouting in=VRF out=egress -> transmit
 *
 *   local    rules, table
 *            -> l3mdev transmit when the route leaves by a slave, direct:
 *               output out=VRF -> postrouting out=VRF -> output out=slave -> postrouting in=VRF out=slave -> transmit
 *             | route leaves by the VRF device itself:
 *               output out=VRF -> postrouting out=VRF -> egress VRF -> vrf_xmit -> rules, table
 *               -> output out=slave -> postrouting in=VRF out=slave -> transmit
 *                | destination local to the VRF: vrf_local_xmit -> ingress VRF -> prerouting in=VRF -> input in=VRF
 *
 *   transmit netdev egress -> tc egress -> device
 *
 * Sources: k:net/core/dev.c __netif_receive_skb_core, k:net/ipv4/ip_input.c, ip_output.c, k:drivers/net/vrf.c,
 * and measurements of kernel 6.1.
 */
export const HOOKS = [
  "xdp",
  "tc ingress",
  "netdev ingress",
  "prerouting",
  "input",
  "forward",
  "output",
  "postrouting",
  "netdev egress",
  "tc egress",
] as const;
export type Hook = (typeof HOOKS)[number];
/** Where programs stand. */
export type ProgramHook = Extract<Hook, "xdp" | "tc ingress" | "tc egress">;

/** The five netfilter hooks of the IP layer, as the kernel's recordings name them. */
export const NETFILTER_HOOKS: readonly Hook[] = ["prerouting", "input", "forward", "output", "postrouting"];

/**
 * BPF_MAP_TYPE_*: `hash`; `array` (key 0 .. size-1, all there, 0 at first); `counters` (an array that `counter name KEY map @MAP` adds
 * packets and bytes to); `lpm_trie` (elements are prefixes, the longest decides); `devmap` (an array of ifindexes for REDIRECT, of
 * which 0 is none).
 */
export const MAP_KINDS = ["hash", "array", "counters", "lpm_trie", "devmap"] as const;
export type MapKind = (typeof MAP_KINDS)[number];

/** BPF_MAP_TYPE_ARRAY and its like: the key is an index. */
export const isArray = (kind: string | null): boolean => kind === "array" || kind === "devmap" || kind === "counters";
/** Most elements of an array, all of which take memory. */
export const ARRAY_LIMIT = 1 << 20;

/** Type of a map's values that count packets: packets in the upper 64 bits, bytes in the lower. */
export const COUNTER_TYPE = "counter";
export const COUNTER_BITS = 128;
