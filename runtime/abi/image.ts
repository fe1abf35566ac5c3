/**
 * The binary interface between compiler, wasm program and host: where everything stands in linear memory. The compiler
 * writes the image with these constants, the emitted program reads it, the host patches it; none has a copy of its own.
 * All words are little-endian u32 unless a field says otherwise; offsets are absolute in linear memory, 0 means "none"
 * (the header stands at 0, so no record can). Each record has its one home in a file beside this one; batches are drawn in batch.ts.
 *
 *   0         image header                            IMAGE
 *             per namespace: net record               NET                      net.ts
 *                            device records           DEVICE                   device.ts
 *                            IPv6 addresses           ADDRESS6                 device.ts
 *                            table descriptors        TABLE                    fib.ts
 *                            look-up structures                                runtime/lpm
 *                            FIB entries              FIB_ENTRY, FIB_ALIAS     fib.ts, each followed by its aliases
 *                            next hops                NEXT_HOP                 fib.ts
 *                            sets and maps of chains  MAP                      netfilter.ts, runtime/maps/structure.ts
 *                            neighbour table          NEIGHBOUR_TABLE          neighbour.ts
 *   worker    what packets leave behind               WORKER                   `workerBytes` in all
 *             per namespace: counters                 COUNTERS                 net.ts
 *                            chain counters, limits   FILTER_COUNTER, LIMIT    netfilter.ts
 *                            scratch memory of chains
 *             long rule lists                         RULE_LIST, RULE          rules.ts
 *   heap      the host's: batches, trace region, neighbour tables that outgrew their place
 *
 * In a module that several threads share (runtime/threads.ts) each of them has an area as large as that at `worker`, as a processor has its
 * per-CPU area in the kernel: what stands at A in the image is for a thread at A + BATCH_HEADER.worker. Only LIMITs are there once.
 *
 * What may change while packets flow is in memory (device flags, routes, next hops, neighbours); what the program text
 * fixes (short rule lists, chains) is code. Numbers are append-only: a reader of version N reads every later N.
 */

/** `IMAGE.magic`: "VRFC" as the bytes stand in memory. */
export const IMAGE_MAGIC = 0x43465256;
/** Incremented when a program and a host of different versions would misunderstand each other. */
export const ABI_VERSION = 10;
/** Every record and region starts at a multiple of this many bytes. */
export const IMAGE_ALIGN = 16;
/** DEVICEs, TABLEs and NEXT_HOPs have lines of their own: of a packet of a VRF that has not been asked lately each is a miss. */
export const CACHE_LINE = 64;

/** Of WebAssembly's memory. */
export const PAGE_BYTES = 65536;
/** 2 GiB: offsets stay positive as signed numbers. */
export const MAXIMUM_PAGES = 32768;

/**
 *      0          4          8          12
 *   0  magic      version    nets       netsOffset       nets: count; netsOffset: first NET record
 *  16  heap       traceCursor traceEnd  traceLost
 *  32  any (16 bytes)                                    the unspecified address, ::
 *  48  loopback (16 bytes)                               the loopback address, ::1
 *  64  worker     workerBytes                            what each thread has for itself
 *
 * `heap` is the first byte that the host may use. The trace build appends records at `traceCursor`, never beyond
 * `traceEnd`; a record that does not fit sets `traceLost` to 1 and is not written. The host sets all three before a call.
 */
export const IMAGE = {
  magic: 0,
  version: 4,
  nets: 8,
  netsOffset: 12,
  heap: 16,
  traceCursor: 20,
  traceEnd: 24,
  traceLost: 28,
  any: 32,
  loopback: 48,
  worker: 64,
  workerBytes: 68,
} as const;
export const IMAGE_BYTES = 80;

/** At the start of a thread's area: the trace region of a module for several threads, as IMAGE has it for others. */
export const WORKER = { traceCursor: 0, traceEnd: 4, traceLost: 8 } as const;
export const WORKER_BYTES = 16;

/** Rounds up to IMAGE_ALIGN. */
export const align = (offset: number): number => (offset + IMAGE_ALIGN - 1) & -IMAGE_ALIGN;
