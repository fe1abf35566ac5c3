/** What the importer, which keeps a kernel's tables while a script runs, makes of commands; and what a loaded module says of them. */
import { check } from "../../dsl/check.ts";
import type { Model } from "../../dsl/model.ts";
import { RouteError } from "../../runtime/refusal.ts";
import { importForReplay } from "../../src/import/replay.ts";

/** The network after the commands, and what each of them was refused with (null: nothing). */
export function imported(
  setup: readonly string[],
  commands: readonly string[],
): { model: Model; refusals: (string | null)[] } {
  const replay = importForReplay([...setup, ...commands]);
  const lineAt = (offset: number): number => replay.source.text.slice(0, offset).split("\n").length - 1;
  const refusals = commands.map((): string | null => null);
  for (const { severity, kernel, message, primary } of replay.diagnostics) {
    const i = lineAt(primary.span.start) - setup.length;
    if (i >= 0) refusals[i] = severity === "error" ? (kernel ?? message) : `${severity}: ${message}`;
  }
  const { model, diagnostics } = check(replay.ast, replay.source);
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return { model, refusals };
}

/** Null, or what was said. */
export function refusal(change: () => void): string | null {
  try {
    change();
    return null;
  } catch (error) {
    if (!(error instanceof RouteError)) throw error;
    return error.message;
  }
}
