/**
 * What runs: a compiled module and batches of packets in, verdicts out. Everything that a program which embeds the
 * forwarder needs; no package, no file system.
 *
 *   const dataplane = await load(wasm);
 *   const engine = dataplane.net("host");
 *   const batch = engine.createBatch(256);
 *   batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
 *   engine.process(batch);
 *   if (batch.column("verdict")[0] === Verdict.TRANSMIT) send(batch.column("outDevice")[0], batch.packet(0));
 */
export { ABI_VERSION } from "./abi/image.ts";
export { COLUMNS, type Column, DEFAULT_SLOT_SIZE, HEADROOM, PacketBatch, PacketFlag } from "./batch.ts";
export type { IfIndex, RouteId, RuleId, TableId } from "./brand.ts";
export { type Counters, Dataplane, join, load, loadSync, type ModuleSource } from "./dataplane.ts";
export type { Engine, RuleCounter } from "./engine.ts";
export { flowHash } from "./flow-hash.ts";
export { HOOKS, type Hook, NETFILTER_HOOKS } from "./hooks.ts";
export type { DeviceConfig, NetConfig } from "./host/config.ts";
export type { LabEvent } from "./host/events.ts";
export { createLab, type Lab, type LabNet, type LabOptions, type LabPing } from "./lab/lab.ts";
export { type AttachOptions, type Link, LinkError, type Links } from "./links/links.ts";
export { loadProgram, type Program, ProgramError, type ProgramManifest } from "./links/manifest.ts";
export { LpmKind } from "./lpm/lpm.ts";
export { type Manifest, ManifestError, readManifest } from "./manifest.ts";
export { type MapCounter, type MapKey, type MapValue, NamedMap } from "./maps/map.ts";
export type { NeighbourEntry } from "./neighbour.ts";
export type { NeighbourSpec, Neighbours } from "./neighbours.ts";
export { formatIp, type Ip, parseIp } from "./net/ip.ts";
export { formatMac, type Mac, parseMac } from "./net/mac.ts";
export { MemoryError, NeighbourError, RouteError } from "./refusal.ts";
export type { Routes } from "./routes/routes.ts";
export type { HopSpec, RouteSpec } from "./routes/spec.ts";
export type { RouteUpdates, UpdateResult } from "./routes/updates.ts";
export { type Succession, succeed } from "./succession.ts";
export { type Seat, type SeatOptions, type Threads, WorkerBusyError } from "./threads.ts";
export type { Flow, LookupKind, Selector, Trace, TraceStep } from "./trace.ts";
export { LOOKUPS, SELECTORS } from "./trace.ts";
export { DropReason, Entry, Errno, nameOf, Verdict } from "./verdict.ts";
