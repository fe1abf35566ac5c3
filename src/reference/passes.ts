/**
 * Passes of one packet through the IP layer: what lo or a VRF device was given to send waits until the pass that gave it has ended
 * (kernel: the backlog queue of netif_rx), so a packet that goes round and round nests in nothing.
 */
import { DropReason, Verdict } from "../../runtime/verdict.ts";
import type { NetNamespace } from "./net.ts";
import { kfree_skb, type SkBuff } from "./skb.ts";

/**
 * Each netif_rx by lo costs a TTL, and at most ten VRF transmissions nest in one (XMIT_RECURSION_LIMIT): 255 * 11 and the first. Only
 * a chain that raises the TTL has a packet come so far; the kernel would never be done with it.
 */
export const MAX_PASSES = 255 * 11 + 1;

/** @returns no verdict yet: `pass` gives it */
export function next_pass(skb: SkBuff, pass: () => Verdict): Verdict {
  skb.next = pass;
  return Verdict.NONE;
}

/** @param first the verdict of the first pass */
export function run_passes(net: NetNamespace, skb: SkBuff, first: Verdict): Verdict {
  let verdict = first;
  for (let passes = 0; passes < MAX_PASSES; passes++) {
    const pass = skb.next;
    if (pass === null) return verdict;
    skb.next = null;
    verdict = pass();
  }
  return kfree_skb(net, skb, DropReason.RECURSION);
}
