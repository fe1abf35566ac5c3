/**
 * Files of rules, test/cases/nft/NAME.case and test/cases/nft-plan/NAME.case, as far as their tests read them alike:
 *
 *   # ...                  the file's own comment
 *   :ip forward            the table's family and the hook of what follows; or a program's hook (`:xdp`, `:tc ingress`)
 *   + set s { ... }        declared beside it
 *   tcp dport ssh          a rule
 *     ...                  what the test finds
 */
import { readdirSync, readFileSync } from "node:fs";

export interface Section {
  /** As it stands behind the colon. */
  readonly line: string;
  readonly declarations: readonly string[];
  readonly rules: readonly string[];
}

/** Of the indented lines nothing is kept. */
export function sectionsOf(text: string): { head: string[]; sections: Section[] } {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith(" "));
  const sections: { line: string; declarations: string[]; rules: string[] }[] = [];
  for (const line of lines) {
    if (line.startsWith(":")) sections.push({ line: line.slice(1), declarations: [], rules: [] });
    else if (line.startsWith("+")) sections.at(-1)?.declarations.push(line.slice(1));
    else if (!line.startsWith("#")) sections.at(-1)?.rules.push(line);
  }
  return { head: lines.filter((line) => line.startsWith("#")), sections };
}

/** The texts of a directory's files, which are named from the repository's `test/cases`. */
export function caseTexts(directory: string, ending = ".case"): string[] {
  const url = new URL(`cases/${directory}/`, import.meta.url);
  return readdirSync(url)
    .filter((file) => file.endsWith(ending))
    .map((file) => readFileSync(new URL(file, url), "utf8"));
}

export const isProgram = (context: string): boolean => /^(xdp|tc )/.test(context);
