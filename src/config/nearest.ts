/** Letters and digits alone count: `max_entries` and `maxEntries` are the same mistake made twice. */
const essence = (word: string): string => word.toLowerCase().replace(/[^a-z0-9]/g, "");

/** The candidate a mistyped word most likely meant: a few slips away, or a longer name holding it. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const meant = essence(word);
  if (!meant || meant.length > 200) return undefined;
  const allowed = Math.min(3, Math.max(1, Math.floor(meant.length / 3)));
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: slips(meant, essence(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best && best.distance <= allowed) return best.candidate;
  if (meant.length < 3) return undefined;
  return candidates.filter((one) => holds(essence(one), meant)).sort((a, b) => a.length - b.length)[0];
}

/** Whether a name has the word in it, or, if that's long enough to mean something, all its letters in their order. */
function holds(name: string, word: string): boolean {
  if (name.includes(word) || word.length < 8) return name.includes(word);
  let matched = 0;
  for (const letter of name) if (letter === word[matched]) matched++;
  return matched === word.length;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function slips(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replaced, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
