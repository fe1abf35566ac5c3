/**
 * Registers of the packet in flight that only chains use (`struct nft_pktinfo`, `struct nf_hook_state`).
 */
import { type Reg, skbReg } from "../../ir.ts";

/** Ifindexes of the hook's input and output device; 0: none. */
export const hookIn = skbReg("hook_in");
export const hookOut = skbReg("hook_out");
/** pkt->tprot; NO_L4PROTO: none (NFT_PKTINFO_L4PROTO is not set). */
export const tprot = skbReg("tprot");
export const NO_L4PROTO = 0xffffffff;
/** Start of the transport header; NOWHERE in fragments but the first, and where there is none. */
export const thoff = skbReg("thoff");
/** The same, but for whoever does not ask whether the packet is a fragment. */
export const thoffAny = skbReg("thoff_any");
/** A cursor behind every packet: the guard of any byte fails. */
export const NOWHERE = 0xffffffff;
/** skb->priority. */
export const priority = skbReg("priority");
/** skb->protocol: EtherType. */
export const protocol = skbReg("protocol");
/** skb_mac_header_was_set, and the header is not empty: 1 or 0. */
export const macHeader = skbReg("mac_header");
/** skb->sk: a user's socket sends the packet: 1 or 0; the column `uid` says whose. */
export const skOwner = skbReg("sk_owner");
/** A socket's call to send is still on the stack, and learns of a drop: 1 or 0. */
export const sending = skbReg("sending");

/** sk->sk_bound_dev_if of the socket that sends: an ifindex, 0: none. */
export const skBound = skbReg("sk_bound");

/** Where a program's REDIRECT sends the packet: an ifindex. */
export const redirectDevice = skbReg("redirect_device");
/** skb_do_redirect sends the packet: netfilter, a layer above, is not asked at egress: 1 or 0. */
export const nfSkipEgress = skbReg("nf_skip_egress");

/** skb->data at the hook: what it sees starts here, a cursor. Set where a chain reads IPv4 options. */
export const hookData = skbReg("hook_data");
/** The hook, by its place in HOOKS. Set where a chain asks `fib`. */
export const hookNumber = skbReg("hook_number");

/** Transmissions by `fwd` and `dup` nested in each other (nf_dup_skb_recursion). */
export const dupRecursion = skbReg("dup_recursion");
/** The batch that the packet is in, where copies are appended to. Set where a chain makes some. */
export const batchBase = skbReg("batch_base");

/** The next LINK of the point that the packet passes (../links.ts); 0: no more. */
export const link = skbReg("link");

export const CHAIN_REGS: readonly Reg[] = [
  ...[
    hookIn,
    hookOut,
    tprot,
    thoff,
    thoffAny,
    priority,
    protocol,
    macHeader,
    skOwner,
    sending,
    skBound,
    redirectDevice,
    nfSkipEgress,
  ],
  ...[hookData, hookNumber, dupRecursion, batchBase, link],
];
