/**
 * A rule list that is too long for code, and which of its rules a flow may match (src/rules/classifier.ts says how):
 *
 *      0          4          8          12
 *   0  first      end        count      pages            first, end: RULEs; pages: of 4,096 rules
 *  16  dimensions: { lpm, none, wild }                   lpm: structure of `blocks` that gives a class; none: the class of values that it
 *                                                        does not have; wild: the rules that do not ask, a page behind the other
 *
 *   class   offset of its vector of each page
 *   vector  summary, { word }                            u64 each; a word is 64 rules, the first in the highest bit. The summary says
 *                                                        which words are not 0; of a class only those are there, of `wild` all 64
 */
export const RULE_LIST = { first: 0, end: 4, count: 8, pages: 12, dimensions: 16 } as const;
export const RULE_DIMENSION = { lpm: 0, none: 4, wild: 8 } as const;
export const RULE_DIMENSION_BYTES = 12;
/** Of a list at most. */
export const RULE_DIMENSIONS = 6;
export const RULES_OF_WORD = 64;
export const WORDS_OF_PAGE = 64;
export const RULES_OF_PAGE = RULES_OF_WORD * WORDS_OF_PAGE;
/** A page of `wild`. */
export const RULE_PAGE_BYTES = 8 + 8 * WORDS_OF_PAGE;
export const RULE_LIST_BYTES = RULE_LIST.dimensions + RULE_DIMENSIONS * RULE_DIMENSION_BYTES;

/**
 *      0          4          8          12
 *   0  id         selectors  iif        oif              selectors: RuleSelector; the fields of those that are not set are 0
 *  16  mark       markMask   uidFirst   uidLast
 *  32  tos        ipproto    sportFirst sportLast
 *  48  dportFirst dportLast  action     argument         action: RuleActionCode, which says what the argument is
 *  64  table      suppress   ifgroup                     table: RT_TABLE of a look-up; suppress: prefix lengths below it, 0: none;
 *                                                        ifgroup: 0xffffffff: none
 *  80  from       fromMask   to         toMask           16 bytes each: IPv4 in host order in the first 4, IPv6 as on the wire
 */
export const RULE = {
  id: 0,
  selectors: 4,
  iif: 8,
  oif: 12,
  mark: 16,
  markMask: 20,
  uidFirst: 24,
  uidLast: 28,
  tos: 32,
  ipproto: 36,
  sportFirst: 40,
  sportLast: 44,
  dportFirst: 48,
  dportLast: 52,
  action: 56,
  argument: 60,
  table: 64,
  suppress: 68,
  ifgroup: 72,
  from: 80,
  fromMask: 96,
  to: 112,
  toMask: 128,
} as const;
export const RULE_BYTES = 144;

/** Bits of `RULE.selectors`: which are set, and how they are read. */
export const RuleSelector = {
  iif: 1 << 0,
  oif: 1 << 1,
  fwmark: 1 << 2,
  l3mdev: 1 << 3,
  uidrange: 1 << 4,
  from: 1 << 5,
  to: 1 << 6,
  tos: 1 << 7,
  ipproto: 1 << 8,
  sport: 1 << 9,
  dport: 1 << 10,
  /** Not all of the selectors shall match. */
  NOT: 1 << 11,
  /** Since 6.15: iif, oif is a VRF and means its domain. */
  IIF_DOMAIN: 1 << 12,
  OIF_DOMAIN: 1 << 13,
  /** The classifier does not know all of the rule's selectors: they are to be tested. */
  TEST: 1 << 14,
} as const;

export const RuleActionCode = {
  /** argument: TABLE, or 0 for a table without routes. */
  lookup: 0,
  /** The table of the flow's VRF. */
  lookupVrf: 1,
  /** argument: RULE, or 0 for a target that is not there. */
  goto: 2,
  /** argument: errno. */
  refuse: 3,
} as const;
