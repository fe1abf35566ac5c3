/** `struct flowi4`, `struct flowi6`: what rules and tables are asked about. Look-ups change it (l3mdev_update_flow), so it is mutable. */
import { ifIndex, LOOPBACK_IFINDEX } from "../../runtime/brand.ts";
import type { Flow } from "../../runtime/trace.ts";

/** FLOWI_FLAG_*; their values differ between releases and mean nothing outside. */
export const FlowFlag = {
  /** The source need not be an address of this host. */
  ANYSRC: 1,
  /** Profile 5.4: the VRF took the place of oif, so next hops need not leave by it (FLOWI_FLAG_SKIP_NH_OIF). */
  SKIP_NH_OIF: 2,
  /** Profile 6.15: l3mdev follows from oif, not from iif (FLOWI_FLAG_L3MDEV_OIF). */
  L3MDEV_OIF: 4,
} as const;

/** What the families share (`struct flowi_common`). */
export interface Flowi {
  iif: number;
  oif: number;
  l3mdev: number;
  mark: number;
  tos: number;
  protocol: number;
  sport: number;
  dport: number;
  uid: number;
  /** FlowFlag bits. */
  flags: number;
}

export interface Flowi4 extends Flowi {
  saddr: number;
  daddr: number;
}

export interface Flowi6 extends Flowi {
  saddr: bigint;
  daddr: bigint;
  flowlabel: number;
}

/** The TOS bits that routing looks at (IPTOS_RT_MASK). */
export const IPTOS_RT_MASK = 0x1c;

/** Everything 0, but iif is lo, as for all that starts on this host. */
const FLOWI: Flowi = {
  iif: LOOPBACK_IFINDEX,
  oif: 0,
  l3mdev: 0,
  mark: 0,
  tos: 0,
  protocol: 0,
  sport: 0,
  dport: 0,
  uid: 0,
  flags: 0,
};

type Given<F, A> = Partial<F> & { readonly saddr: A; readonly daddr: A };
export const flowi4 = (fields: Given<Flowi4, number>): Flowi4 => ({ ...FLOWI, ...fields });
export const flowi6 = (fields: Given<Flowi6, bigint>): Flowi6 => ({ ...FLOWI, flowlabel: 0, ...fields });

/** The bits of the traffic class that IPv6 rules look at: DSCP without ECN. */
export const INET_DSCP_MASK = 0xfc;

/** As traces hold it. */
export const traced6 = (fl: Flowi6): Flow => ({ ...traced(fl), tos: fl.tos & INET_DSCP_MASK });

/** As traces hold it. */
export const traced = (fl: Flowi4 | Flowi6): Flow => ({
  iif: ifIndex(fl.iif),
  oif: ifIndex(fl.oif),
  l3mdev: ifIndex(fl.l3mdev),
  saddr: fl.saddr,
  daddr: fl.daddr,
  mark: fl.mark,
  tos: fl.tos,
  protocol: fl.protocol,
  sport: fl.sport,
  dport: fl.dport,
  uid: fl.uid,
});
