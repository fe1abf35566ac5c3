/**
 * What a host in C must know of a program besides its module: what stands in the custom sections (runtime/links/manifest.ts), as a header.
 * Names begin with the program's.
 *
 *   guard_state[]               first bytes of its state
 *   GUARD_COUNTERS              where in that its first FILTER_COUNTER is
 *   GUARD_PRIORITY              signed
 *   GUARD_ENTRIES(ENTRY)        ENTRY(function, point): what it exports, and at which VRFC_POINT it is called; nothing at XDP
 *   GUARD_DEVICES(DEVICE)       DEVICE(ifindex), at the hooks of devices
 *   GUARD_MAPS(MAP)             MAP(name, offset): of the sets and maps with a name, where in the state their MAP records are
 */
import { programEntry } from "../runtime/abi/program.ts";
import type { ProgramManifest } from "../runtime/links/manifest.ts";
import { pointName } from "./c-header.ts";

/** The text of the header. */
export function cProgram(manifest: ProgramManifest, state: Uint8Array): string {
  const { name, hook, families, devices, priority, sets } = manifest;
  const own = name.replace(/\W/g, "_");
  const upper = own.toUpperCase();
  const entries =
    hook === "xdp" ? [] : families.map((family) => [programEntry(family), `VRFC_POINT_${pointName(hook, family)}`]);
  const lists = {
    ENTRIES: entries,
    DEVICES: devices.map((device) => [device]),
    MAPS: sets.map((set) => [set.name.replace(/\W/g, "_"), `${set.map.record}u`]),
  };
  return [
    `/* Program ${name} on ${hook}: what a host must know besides the module. Made by \`vrfc compile --c-program\`. */`,
    `#define ${upper}_COUNTERS ${manifest.state.counters}u`,
    `#define ${upper}_COUNTER_COUNT ${manifest.counters.length}u`,
    `#define ${upper}_PRIORITY (${priority})`,
    ...Object.entries(lists).map(([list, elements]) =>
      [`#define ${upper}_${list}(X)`, ...elements.map((one) => `X(${one.join(", ")})`)].join(" "),
    ),
    `static const uint8_t ${own}_state[${state.length}] = {`,
    ...lines(state),
    "};\n",
  ].join("\n");
}

const BYTES_OF_A_LINE = 32;

function lines(bytes: Uint8Array): string[] {
  const starts = Array.from({ length: Math.ceil(bytes.length / BYTES_OF_A_LINE) }, (_, i) => i * BYTES_OF_A_LINE);
  return starts.map((at) => `${bytes.subarray(at, at + BYTES_OF_A_LINE).join(",")},`);
}
