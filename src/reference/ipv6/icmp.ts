/** Types and codes of the ICMPv6 messages that the packet path sends or looks at (k:include/uapi/linux/icmpv6.h, RFC 4443). */

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PKT_TOOBIG = 2;
export const ICMPV6_TIME_EXCEED = 3;
export const ICMPV6_PARAMPROB = 4;

/** Codes of ICMPV6_DEST_UNREACH. */
export const ICMPV6_NOROUTE = 0;
export const ICMPV6_ADM_PROHIBITED = 1;
export const ICMPV6_NOT_NEIGHBOUR = 2;
/** Of ICMPV6_TIME_EXCEED. */
export const ICMPV6_EXC_HOPLIMIT = 0;
/** Of ICMPV6_PARAMPROB. */
export const ICMPV6_HDR_FIELD = 0;
export const ICMPV6_UNK_OPTION = 2;

/** RFC 4861: router solicitation to redirect, of which neighbour discovery consists. */
export const NDISC_ROUTER_SOLICITATION = 133;
export const NDISC_REDIRECT = 137;
export const isNdiscType = (type: number): boolean => type >= NDISC_ROUTER_SOLICITATION && type <= NDISC_REDIRECT;

export const icmpv6_is_err = (type: number): boolean => type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
