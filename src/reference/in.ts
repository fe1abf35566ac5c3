/** Kinds of IPv4 address (k:include/linux/in.h). */

export const INADDR_LOOPBACK = 0x7f000001;
/** 224.0.0.1, all systems on this subnet: every device that is up has joined it (k:net/ipv4/igmp.c ip_mc_up). */
export const IGMP_ALL_HOSTS = 0xe0000001;

export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;

/** 127/8. */
export const ipv4_is_loopback = (addr: number): boolean => addr >>> 24 === 127;
/** 224/4. */
export const ipv4_is_multicast = (addr: number): boolean => addr >>> 28 === 14;
/** 224.0.0/24, never forwarded. */
export const ipv4_is_local_multicast = (addr: number): boolean => addr >>> 8 === 0xe00000;
export const ipv4_is_lbcast = (addr: number): boolean => addr === 0xffffffff;
/** 0.0.0.0 alone: the rest of 0/8 is ordinary unicast since 5.3. */
export const ipv4_is_zeronet = (addr: number): boolean => addr === 0;
