/** A map that takes another's place: the contents of the old one, where both are alike. */
import type { MapManifest } from "../manifest.ts";
import type { NamedMap } from "./map.ts";

/** Have they the same key, value and kind? Their sizes may differ. */
export const isAlike = (a: MapManifest, b: MapManifest): boolean => shapeOf(a) === shapeOf(b);
const shapeOf = ({ key, value, interval, storage, decisions }: MapManifest): string =>
  JSON.stringify([key, value, interval, storage, decisions]);

/** @param map as `before` is @throws RangeError when it has not the room; it is as it was then */
export function inherit(map: NamedMap, before: NamedMap): void {
  map.replace(Array.from(before.entries(), ([key, value]) => [key, value ?? undefined] as const));
}
