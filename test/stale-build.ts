/** Tests of what is built need a build of what is there. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const PARTS = ["runtime", "dsl", "src"];

/** Why `dist` is not what the sources would give; null: it is. */
export function staleBuild(): string | null {
  const part = PARTS.find((each) => !existsSync(`dist/${each}`) || newest(each) > newest(`dist/${each}`));
  return part === undefined ? null : `dist/${part} is older than ${part}: npm run build`;
}

const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => statSync(join(folder, name)).mtimeMs),
  );
