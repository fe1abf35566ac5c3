/** How well engines answer as the kernel does: one row a recording, engine and kind of question. */
import { replay } from "../../src/replay.ts";
import { compareAnswers, type Difference } from "../../src/replay-compare.ts";
import type { ReplayEngine } from "./engines.ts";
import type { Recording } from "./recordings.ts";

export interface Row {
  readonly recording: string;
  readonly engine: string;
  /** e.g. "hooks of frames". */
  readonly kind: string;
  readonly agree: number;
  readonly total: number;
  /** Of those that do not agree: not answered, and said so. */
  readonly unsupported: number;
  /** Of those that were answered; 100 when none was. */
  readonly percent: number;
}

export interface Conformance {
  readonly rows: readonly Row[];
  /** What was answered, and differently; with the row's words in front. */
  readonly differences: readonly (Difference & { readonly engine: string })[];
}

export async function conformance(
  { name, scenarios }: Recording,
  engines: Readonly<Record<string, ReplayEngine>>,
): Promise<Conformance> {
  const rows: Row[] = [];
  const found: (Difference & { engine: string })[] = [];
  for (const [engine, options] of Object.entries(engines)) {
    const { counts, differences } = compareAnswers(scenarios, await replay(scenarios, options));
    for (const { kind, same, total } of counts) {
      const unsupported = differences.filter((one) => one.kind === kind && isUnsupported(one)).length;
      const answered = total - unsupported;
      const percent = answered === 0 ? 100 : (100 * same) / answered;
      rows.push({ recording: name, engine, kind, agree: same, total, unsupported, percent });
    }
    found.push(...differences.filter((one) => !isUnsupported(one)).map((one) => ({ ...one, engine })));
  }
  return { rows, differences: found };
}

/** The comparison shows the reason in place of an answer, or the answer that holds it. */
const isUnsupported = ({ got }: Difference): boolean =>
  typeof got === "string" || (typeof got === "object" && got !== null && "unsupported" in got);

export function tableText(rows: readonly Row[]): string {
  const head = ["recording", "engine", "kind", "agree", "total", "unsupported", "percent"];
  const lines = rows.map((row) => [
    ...[row.recording, row.engine, row.kind],
    ...[`${row.agree}`, `${row.total}`, `${row.unsupported}`, row.percent.toFixed(2)],
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)));
  const padded = (line: readonly string[]): string =>
    line.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return [head, ...lines].map(padded).join("\n");
}
