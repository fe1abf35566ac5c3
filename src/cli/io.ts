/** Reading and writing for the commands: `-` is standard input or output; a fault of the environment is a `UsageError`. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Source } from "../../dsl/span.ts";

/** Exit statuses: all well, findings in what was read, wrong use or a fault of the environment. */
export const EXIT = { OK: 0, FINDINGS: 1, USAGE: 2 } as const;

/** The user asked for something that cannot be done: the message says what and why; exit status 2. */
export class UsageError extends Error {}

export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path === "-" ? 0 : path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${reason(error)}`);
  }
}

export function readSource(path: string): Source {
  return { name: path === "-" ? "<stdin>" : path, text: new TextDecoder().decode(readBytes(path)) };
}

export function writeOutput(path: string, content: string | Uint8Array): void {
  if (path === "-") {
    process.stdout.write(content);
    return;
  }
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${reason(error)}`);
  }
}

/** Whether nobody reads standard output any more (`| head`): what goes on by itself then ends. */
export const output = { closed: false };

/** A reader that goes is no fault: what is printed from then on is lost, and the command ends as it would have. */
export function outliveReaders(): void {
  const tolerate = (error: NodeJS.ErrnoException): void => {
    if (error.code !== "EPIPE") throw error;
  };
  process.stderr.on("error", tolerate);
  process.stdout.on("error", (error) => {
    tolerate(error);
    output.closed = true;
  });
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOSPC: "no space left",
};
const reason = (error: unknown): string => {
  const code = (error as { code?: string }).code ?? "";
  return reasons[code] ?? (error as Error).message;
};
