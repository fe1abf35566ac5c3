/** The engines that answer in the kernel's place, by the names that the command line gives them. */

import type { ReplayOptions } from "../../src/replay.ts";
import { openTranslated, translationObstacle } from "../embed/translated.ts";

export interface ReplayEngine extends Pick<ReplayOptions, "engine" | "level"> {
  /** Why it cannot be had here; null: it can. */
  readonly obstacle?: () => string | null;
}

export const ENGINES: Readonly<Record<string, ReplayEngine>> = {
  reference: { engine: "reference" },
  "compiled-O0": { engine: "compiled", level: 0 },
  "compiled-O1": { engine: "compiled", level: 1 },
  "compiled-O2": { engine: "compiled", level: 2 },
  c: { engine: openTranslated, obstacle: translationObstacle },
};
