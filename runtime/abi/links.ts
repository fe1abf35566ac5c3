/** Where programs can be attached to a loaded module, and what its memory says of those that are (runtime/links). */
import type { Hook } from "../hooks.ts";
import type { Family } from "../net/ip.ts";

/** Where programs can be attached to a module: the hooks of the IP layer, each for both IP versions, and of devices. At xdp see links/links.ts. */
export const LINK_POINTS = [
  ...(["prerouting", "input", "forward", "output", "postrouting"] as const).flatMap((hook) =>
    ([4, 6] as const).map((family) => ({ hook, family })),
  ),
  ...(["netdev ingress", "netdev egress", "tc ingress", "tc egress"] as const).map((hook) => ({ hook, family: null })),
] as const;
/** Its place in LINK_POINTS; -1: programs are not attached there. */
export const linkPoint = (hook: Hook, family: Family | null): number =>
  LINK_POINTS.findIndex((point) => point.hook === hook && point.family === family);

/**
 * A program attached at a point of a namespace, in the order in which they run. Written by the host.
 *
 *      0          4          8          12
 *   0  next       place      device     priority         next: LINK; place: of its entry in the module's table, of that for traces one more
 *  16  id                                                device: ifindex, 0 at the hooks of the IP layer; priority: signed
 */
export const LINK = { next: 0, place: 4, device: 8, priority: 12, id: 16 } as const;
export const LINK_BYTES = 32;
/** At one point, at the most (as BPF_MPROG_MAX). */
export const MOST_LINKS = 64;
