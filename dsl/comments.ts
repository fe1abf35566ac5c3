/**
 * Comments find their statements.
 *
 *   # above the statement          a line of its own goes to the token below it: a statement, or the end of a block
 *   vrf red {  # behind            behind code: to the last token of the line
 *     table 10
 *     # tail of the block
 *   }
 *
 * A blank line between two comments, or between a comment and its statement, is remembered as null.
 */
import { endOf, type Tokens } from "./tokens.ts";

export interface Comments {
  /** Comments on lines of their own above the token with this index; `tokens.all.length` stands for the end of the text. */
  above(index: number): readonly (string | null)[];
  /** Comments behind the token, on its line. */
  behind(index: number): readonly string[];
  /** There is a blank line above the token, or above the comments that belong to it. */
  blankAbove(index: number): boolean;
}

interface Above {
  readonly lines: (string | null)[];
  readonly start: number;
}

export function attachComments(tokens: Tokens): Comments {
  const { text, all, comments } = tokens;
  const above = new Map<number, Above>();
  const behind = new Map<number, string[]>();
  const written = all.filter((token) => token.image !== "" && !/^[;\n]$/.test(token.image));
  let next = 0;
  for (const comment of comments) {
    while (next < written.length && written[next].startOffset < comment.startOffset) next++;
    const words = wordsOf(comment.image);
    const before = written[next - 1];
    if (before !== undefined && !text.slice(endOf(before), comment.startOffset).includes("\n")) {
      entry(behind, before.payload.index, () => []).push(words);
    } else {
      const owner = next < written.length ? written[next].payload.index : all.length;
      const { lines } = entry(above, owner, () => ({ lines: [], start: comment.startOffset }));
      if (lines.length > 0 && blankLineBefore(text, comment.startOffset)) lines.push(null);
      lines.push(words);
    }
  }
  for (const [index, { lines }] of above)
    if (index < all.length && blankLineBefore(text, all[index].startOffset)) lines.push(null);
  return {
    above: (index) => above.get(index)?.lines ?? [],
    behind: (index) => behind.get(index) ?? [],
    blankAbove: (index) => blankLineBefore(text, above.get(index)?.start ?? all[index]?.startOffset ?? text.length),
  };
}

function entry<T>(map: Map<number, T>, key: number, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Without the `#`, one blank behind it, and blanks at the end. */
const wordsOf = (comment: string): string =>
  comment
    .slice(1)
    .replace(/^[ \t]/, "")
    .trimEnd();

function blankLineBefore(text: string, offset: number): boolean {
  let newlines = 0;
  for (let i = offset - 1; i >= 0 && newlines < 2; i--) {
    if (text[i] === "\n") newlines++;
    else if (!/\s/.test(text[i])) break;
  }
  return newlines === 2;
}
