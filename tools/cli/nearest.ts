// "Did you mean": the known word that differs least from a mistyped one.

/** => insertions, deletions, changes and swaps of neighbours that make one word the other */
function editDistance(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const change = d[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      d[i]![j] = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d[i]![j] = Math.min(d[i]![j]!, d[i - 2]![j - 2]! + 1);
    }
  }
  return d[a.length]![b.length]!;
}

/** => a word that `word` begins, or one of at most two changes, fewer in short words; undefined when none is near */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const begun = known.filter((k) => word.length > 1 && k.startsWith(word));
  if (begun.length === 1) return begun[0];
  const most = word.length < 5 ? 1 : 2;
  return known.map((k) => [editDistance(word, k), k] as const).filter(([n]) => n <= most).sort(([a], [b]) => a - b)[0]?.[1];
}

/** => `; did you mean X?`, or nothing */
export function didYouMean(word: string, known: readonly string[], prefix = ""): string {
  const found = nearest(word, known);
  return found === undefined ? "" : `; did you mean ${prefix}${found}?`;
}
