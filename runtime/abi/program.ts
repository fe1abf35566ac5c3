/** What a program that is a module of its own, the module that it is attached to, and the host agree on. */
import type { Family } from "../net/ip.ts";

/** What a program's entry says of the packet. */
export const LinkResult = {
  /** The next program, or the next chain, is asked. */
  NEXT: 0,
  /** It has got its verdict, or another device has it to send. */
  ENDED: 1,
  /** At tc: it goes on, no further program is asked. */
  OK: 2,
} as const;

/**
 * Registers of the packet in flight that a module exports for programs, each an i32: names as the compiler has them (src/plan/build/skb.ts,
 * netfilter/registers.ts). Programs may set those of the second list.
 */
export const PROGRAM_REGISTERS = {
  reads: [
    ...["tail", "row", "stride", "slot", "l3", "iif", "l3slave", "doredirect", "ignore_df", "mc_loop"],
    ...["hook_in", "hook_out", "protocol", "mac_header", "sk_owner", "sending", "sk_bound", "batch_base"],
  ],
  sets: [
    ...["mac", "dev", "pkt_type", "mark", "priority", "xmit_recursion", "next"],
    ...["dst_input", "dst_output", "dst_dev", "dst_gateway", "dst_idev", "dst_type", "dst_mtu", "dst_error"],
    ...["redirect_device", "nf_skip_egress", "dup_recursion"],
  ],
} as const;

/**
 * Registers that the host gives to a program for several threads, each i32, another one in each thread: how far what the thread has for itself is
 * behind that of the program's state (ProgramManifest.state), and where the thread's area of the module is (WORKER).
 */
export const THREAD_REGISTERS = { own: "own", area: "area" } as const;

/**
 * What a program's module has of its own (links/), in a region that the host gives it: `self` is where that region is. Offsets of its MAP
 * records, counters and limits count from there, what the records say counts from the start of memory.
 */
export const STATE = { self: 0 } as const;
/** Structures are addressed from a little before their start, so nothing else stands here. */
export const STATE_BYTES = 64;

/** Name under which a module exports a register of PROGRAM_REGISTERS. */
export const registerExport = (name: string): string => `skb.${name}`;
/** Names of a program's exports, `name(copy)`: of its entry for the packets of an IP version, or frames; and of that which traces. */
export const programEntry = (family: Family | null): string =>
  family === null ? "frame" : family === 4 ? "ip" : "ip6";
export const tracedEntry = (entry: string): string => `${entry}.trace`;
