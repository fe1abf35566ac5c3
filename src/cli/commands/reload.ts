/** `vrfc reload`: has a running forwarder read its file anew. */
import { ask, controlPath } from "../../forward/control.ts";
import { ForwardError } from "../../forward/native.ts";
import { EXIT, UsageError } from "../io.ts";

export interface ControlOptions {
  readonly namespace: string;
  readonly control?: string;
}

/** @returns 1 when the file has errors, and so the policy stays */
export async function run(options: ControlOptions): Promise<number> {
  const { ok, why } = await answerOf(options, "reload");
  if (!ok) process.stderr.write(why ?? "");
  return ok ? EXIT.OK : EXIT.FINDINGS;
}

export async function answerOf({ namespace, control }: ControlOptions, command: "reload" | "counters") {
  try {
    return await ask(control ?? controlPath(namespace), { command });
  } catch (error) {
    if (error instanceof ForwardError) throw new UsageError(error.message);
    throw error;
  }
}
