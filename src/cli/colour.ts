/** Colour by meaning. `--color auto` (the default) colours a terminal unless NO_COLOR is set (no-color.org). */
import picocolors from "picocolors";

export interface Painter {
  readonly strong: (s: string) => string;
  readonly faint: (s: string) => string;
  readonly good: (s: string) => string;
  readonly bad: (s: string) => string;
  readonly accent: (s: string) => string;
  readonly enabled: boolean;
}

export type ColourChoice = "auto" | "always" | "never";

export function painter(choice: ColourChoice, stream: { isTTY?: boolean } = process.stdout): Painter {
  const noColour = process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== "";
  const enabled = choice === "always" || (choice === "auto" && stream.isTTY === true && !noColour);
  const c = picocolors.createColors(enabled);
  return { strong: c.bold, faint: c.dim, good: c.green, bad: c.red, accent: c.cyan, enabled };
}
