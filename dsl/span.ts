/** A stretch of source text: UTF-16 offsets, `end` exclusive. Line and column are computed from the text when printed. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A named text: what the parser reads and diagnostics quote. */
export interface Source {
  /** Path or name as shown in messages. */
  readonly name: string;
  readonly text: string;
}

export const NO_SPAN: Span = { start: 0, end: 0 };

/** The line that holds an offset, without the blanks around it. */
export function lineText({ text }: Pick<Source, "text">, offset: number): string {
  const from = text.lastIndexOf("\n", offset - 1) + 1;
  const to = text.indexOf("\n", offset);
  return text.slice(from, to < 0 ? undefined : to).trim();
}

/** 1-based line of an offset. */
export function lineOf(source: Source, offset: number): number {
  let line = 1;
  for (let i = source.text.indexOf("\n"); i >= 0 && i < offset; i = source.text.indexOf("\n", i + 1)) line++;
  return line;
}
