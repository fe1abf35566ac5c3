/** Recordings of the kernel: those of the project's tests, and further files. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { type Scenario, scenarioFault } from "../../src/scenario.ts";

export interface Recording {
  readonly name: string;
  readonly scenarios: readonly Scenario[];
}

/** The project's folder: recordings stay in it when the TypeScript is compiled into dist. */
export function projectRoot(): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "test/kernel/agent.py"))) root = dirname(root);
  return root;
}

/** Every list of scenarios with a kernel's answers under test/, in the order of their paths. */
export function ownRecordings(): Recording[] {
  const folder = join(projectRoot(), "test");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.json(\.gz)?$/.test(name),
  );
  return files.sort().flatMap((file) => {
    const content = readJson(join(folder, file));
    return isRecording(content) ? [{ name: join("test", file), scenarios: content }] : [];
  });
}

/** @throws Error when the file is no recording */
export function readRecording(file: string): Recording {
  const content = readJson(file);
  const fault = scenarioFault(content);
  if (fault !== null) throw new Error(`${file}: ${fault}`);
  if (!isRecording(content)) throw new Error(`${file}: no scenario with answers of a kernel`);
  return { name: file, scenarios: content };
}

const isRecording = (content: unknown): content is Scenario[] =>
  scenarioFault(content) === null && (content as Scenario[]).some(({ expect }) => expect !== undefined);

function readJson(file: string): unknown {
  const bytes = readFileSync(file);
  return JSON.parse((bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString());
}
