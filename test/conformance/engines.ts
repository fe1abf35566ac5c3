/** The engines that answer in the kernel's place, by the names that the command line gives them. */
import type { ReplayOptions } from "../../src/replay.ts";

export type ReplayEngine = Pick<ReplayOptions, "engine" | "level">;

export const ENGINES: Readonly<Record<string, ReplayEngine>> = {
  reference: { engine: "reference" },
  "compiled-O0": { engine: "compiled", level: 0 },
  "compiled-O1": { engine: "compiled", level: 1 },
  "compiled-O2": { engine: "compiled", level: 2 },
};
