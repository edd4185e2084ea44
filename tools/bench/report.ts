// Ratios and tables.

export interface Row {
  readonly name: string;
  /** Milliseconds, or nanoseconds for each operation; by column. */
  readonly values: Readonly<Record<string, number | undefined>>;
  /** Millions of guest instructions a second, ours: the table shows them when a row has them. */
  readonly mips?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length === 0 ? NaN : sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}

/** How many times as fast `ours` is as another column, by row; undefined where one is missing. */
export function ratios(rows: readonly Row[], ours: string, other: string): (number | undefined)[] {
  return rows.map((r) => {
    const a = r.values[ours], b = r.values[other];
    return a !== undefined && b !== undefined ? b / a : undefined;
  });
}

/** The table as text: times, then ratios to `ours`, then the mean and the least of each ratio. */
export function table(rows: readonly Row[], ours: string, columns: readonly string[], unit: string): string {
  const others = columns.filter((c) => c !== ours), byColumn = new Map(others.map((c) => [c, ratios(rows, ours, c)]));
  const mips = rows.some((r) => r.mips !== undefined), speed = (cell: string): string[] => (mips ? [cell] : []);
  const head = ["", ...speed("MIPS"), ...columns.map((c) => `${c} ${unit}`), ...others.map((c) => `x ${c}`)];
  const body = rows.map((r, i) => [r.name, ...speed(number(r.mips)), ...columns.map((c) => number(r.values[c])), ...others.map((c) => ratio(byColumn.get(c)![i]))]);
  const known = (c: string): number[] => byColumn.get(c)!.filter((v) => v !== undefined);
  const foot = (name: string, f: (v: number[]) => number): string[] =>
    [name, ...speed(""), ...columns.map(() => ""), ...others.map((c) => (known(c).length === 0 ? "-" : ratio(f(known(c)))))];
  const all = [head, ...body, foot("geometric mean", geometricMean), foot("least", (v) => Math.min(...v))];
  const widths = head.map((_, i) => Math.max(...all.map((line) => line[i]!.length)));
  return all.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ").trimEnd()).join("\n");
}

/** The line about memory: over several runs, the most of each. */
export function overheadLine(runs: readonly { readonly peakMiB: number; readonly endMiB: number }[]): string {
  if (runs.length === 0) return "the emulator's own overhead beyond guest RAM: not known on this host";
  const most = (of: (r: (typeof runs)[number]) => number): string => Math.max(...runs.map(of)).toFixed(0);
  return `the emulator's own overhead beyond guest RAM: ${most((r) => r.peakMiB)} MiB at its peak, ${most((r) => r.endMiB)} MiB at the end`;
}

/**
 * What the host's huge pages do to the ratios. => enabled: as Linux' transparent_hugepage/enabled has it, or null; "" where nothing is to be said
 */
export function hugePagesLine(enabled: string | null): string {
  if (enabled === null || !enabled.includes("[madvise]")) return "";
  return "huge pages go only to who asks for them on this host: QEMU does, Node cannot. As root, `echo always >/sys/kernel/mm/transparent_hugepage/enabled` gives them to both\n";
}

const number = (v: number | undefined): string => (v === undefined ? "-" : v >= 100 ? v.toFixed(0) : v.toPrecision(3));
const ratio = (v: number | undefined): string => (v === undefined ? "-" : v.toFixed(2));
