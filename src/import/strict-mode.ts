/**
 * net.vrf.strict_mode = 1 allows each table to one VRF (drivers/net/vrf.c): a second VRF of the table is refused
 * (vrf_map_register_dev), and so is the setting while a table is shared (vrf_strict_mode_change).
 */
import type { Device, NetNs } from "./state.ts";
import { Refused } from "./words.ts";

const KEY = "net.vrf.strict_mode";

const vrfs = (ns: NetNs): Device[] => ns.devices.filter((device) => device.kind === "vrf");

/** @param table of a VRF that is being added */
export function requireFreeTable(ns: NetNs, table: NonNullable<Device["table"]>): void {
  if (Number(ns.sysctl(KEY) ?? 0) === 0) return;
  const owner = vrfs(ns).find((vrf) => vrf.table.value === table.value);
  if (owner === undefined) return;
  throw new Refused("Error: Table is used by another VRF.", table.span, {
    span: owner.name.span,
    message: `\`${owner.name.value}\` has table ${table.value}`,
  });
}

/** Before a setting is written. */
export function requireUnsharedTables(ns: NetNs, key: string, value: string, span: Device["name"]["span"]): void {
  if (key !== KEY || Number(value) === 0) return;
  if (Number(value) !== 1) throw new Refused(`sysctl: setting key "${KEY}": Invalid argument`, span);
  const list = vrfs(ns);
  const second = list.find((vrf, i) => list.findIndex((other) => other.table.value === vrf.table.value) < i);
  if (second === undefined) return;
  throw new Refused(`sysctl: setting key "${KEY}": Device or resource busy`, span, {
    span: second.name.span,
    message: `\`${second.name.value}\` shares table ${second.table.value}`,
  });
}
