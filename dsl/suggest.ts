/** Did-you-mean: the known word that a misspelt one was probably meant to be. */

/**
 * Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours count one each.
 * Stops early and answers `limit + 1` when it is more than `limit`.
 */
export function editDistance(a: string, b: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2] + 1);
      row.push(least);
    }
    if (Math.min(...row) > limit) return limit + 1;
    before = above;
  }
  return Math.min(row[b.length], limit + 1);
}

/** The candidate nearest to `word` (the first of equals) when at most a third of the letters differ; case does not count. */
export function suggest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let limit = Math.max(1, Math.floor(word.length / 3));
  const lower = word.toLowerCase();
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase(), limit);
    if (distance > limit) continue;
    best = candidate;
    limit = distance - 1;
    if (limit < 0) break;
  }
  return best;
}
