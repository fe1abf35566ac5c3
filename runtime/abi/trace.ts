/**
 * Trace records, one after the other from the start of the trace region:
 *
 *      0          4 ..
 *   0  event | args << 8     args words
 *
 * Events carry the fields of the TraceStep of the same name, in its order, as words. Devices are ifindexes; an id that may be
 * null is stored plus 1, null as 0; a selector as its index in SELECTORS plus 1; a hook, look-up kind as its index in
 * HOOKS, LOOKUPS; an address that may be of both families as five words: family (0: null) and the address as four words,
 * highest first, each in host order (an IPv4 address in the first).
 */
export const TraceEvent = {
  /** A packet of the batch starts: its index. */
  packet: 1,
  hook: 2,
  vrf_l3_rcv: 3,
  vrf_l3_out: 4,
  vrf_xmit: 5,
  vrf_local_xmit: 6,
  /** kind and the fields of Flow, with IPv4 addresses as one word each. */
  lookup: 7,
  rule: 8,
  fib: 9,
  suppress: 10,
  result: 11,
  /** device, gateway (five words), source (IPv4). */
  route: 12,
  fib_validate_source: 13,
  ip_forward: 14,
  ip_local_deliver: 15,
  /** device, next hop (five words), resolved. */
  neighbour: 16,
  transmit: 17,
  icmp_send: 18,
  send_error: 19,
  drop: 20,
  ip_fragment: 21,
  /** As lookup, with IPv6 addresses as four words each. */
  lookup6: 22,
  /** As route, with an IPv6 source as four words. */
  route6: 23,
  ip6_input: 24,
  ip6_forward: 25,
  icmpv6_send: 26,
  ip6_fragment: 27,
  /** chain. */
  nft_chain: 28,
  /** chain, rule, decision (index in RULE_DECISIONS), target + 1 (0: none). */
  nft_rule: 29,
  /** chain, policy (index in RULE_DECISIONS: accept or drop). */
  nft_policy: 30,
  /** chain, rule, place of the step in the rule. */
  nft_log: 31,
  nf_send_reset: 32,
  /** hook, device, program. */
  program: 33,
  /** program, rule, decision (index in RULE_DECISIONS), target + 1 (0: none). */
  program_rule: 34,
  /** program, rule, place of the step in the rule. */
  program_log: 35,
  /** program, decision (index in RULE_DECISIONS). */
  program_end: 36,
  /** id of a link, whose program begins. */
  link: 37,
  /** type << 8 | code of an ICMP error; 0: a TCP reset. */
  nft_reject_netdev: 38,
} as const;
export type TraceEvent = (typeof TraceEvent)[keyof typeof TraceEvent];

export const TRACE_WORD_BYTES = 4;
export const traceHeader = (event: number, args: number): number => event | (args << 8);
export const traceEventOf = (header: number): number => header & 0xff;
export const traceArgsOf = (header: number): number => header >>> 8;
