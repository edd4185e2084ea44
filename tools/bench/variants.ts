// Other ways to translate that were tried and left, or are parts of the way that was chosen: each is the CPU set once more
// with one setting changed (emu/jit/tuning.ts). The figures of their day and the reasons are in emu/jit/README.md.

export interface Variant {
  readonly name: string;
  /** For --tune. */
  readonly tune: string;
}

export const VARIANTS: readonly Variant[] = [
  { name: "hot at 3000", tune: "hot=3000" }, { name: "hot at 30000", tune: "hot=30000" }, { name: "loops kept", tune: "whole=5000" }, { name: "slice ends", tune: "passes=0" },
  { name: "no folding", tune: "fold=0" }, { name: "no unrolling", tune: "unroll=0" }, { name: "no page caches", tune: "caches=0" }, { name: "no shared checks", tune: "groups=0" },
];
