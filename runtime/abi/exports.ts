/**
 * Names of the module's exports. `process(net, batch, count)`, `trace(net, batch, count)`: judge packets 0 .. count-1; `table`: of functions,
 * where attached programs stand. The registers of PROGRAM_REGISTERS are exported under `registerExport(name)`. `initialize()`, of a module for
 * several threads alone: puts the image into the memory that was imported; to be called once, in the first instance.
 */
export const EXPORTS = {
  memory: "memory",
  process: "process",
  trace: "trace",
  table: "programs",
  initialize: "initialize",
} as const;
/** What a module for several threads, and a program's, imports. */
export const MEMORY_IMPORT = { module: "vrfc", memory: "memory" } as const;
/** Index of a net in the module, offset of a batch, packets. */
export type ProcessExport = (net: number, batch: number, count: number) => void;
