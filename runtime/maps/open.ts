/** The maps of a loaded module: each behind its MAP record, in the structure that its declaration asks for. */
import type { MapManifest } from "../manifest.ts";
import { ArrayStore } from "./array.ts";
import { HashStore } from "./hash.ts";
import { IntervalStore } from "./interval.ts";
import { formatRange } from "./keys.ts";
import { ListStore } from "./list.ts";
import { LpmStore } from "./lpm.ts";
import { type MapDevice, NamedMap } from "./map.ts";
import type { Key, SetShape } from "./shape.ts";
import { type MapMemory, MapRecord, type MemoryStore } from "./store.ts";
import { kindOfNamed } from "./structure.ts";

/** @param memory shared by all maps of a module */
export function openMap(
  name: string,
  manifest: MapManifest,
  memory: MapMemory,
  devices: readonly MapDevice[],
): NamedMap {
  return new NamedMap(name, manifest, openStore(name, manifest, memory), devices);
}

/** The elements of such a map. */
export function openStore(name: string, manifest: MapManifest, memory: MapMemory): MemoryStore {
  const { key, record } = manifest;
  const shape: SetShape = { ...manifest, name };
  const own = new MapRecord(memory, record);
  switch (kindOfNamed(shape)) {
    case "array":
      return new ArrayStore(shape, own);
    case "hash":
      return new HashStore(shape, own);
    case "interval":
      return new IntervalStore(shape, own, ([range]: Key) => formatRange(key[0], range));
    case "list":
      return new ListStore(shape, own);
    case "lpm":
      return new LpmStore(shape, own);
  }
}
