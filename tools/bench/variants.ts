// Other ways to translate that were tried and left, or are parts of the way that was chosen: each is the CPU set, and Linux' boot, once
// more with one setting changed: of emu/jit/tuning.ts, or of V8. The figures of their day and the reasons are in emu/jit/README.md.

export interface Variant {
  readonly name: string;
  /** For --tune. */
  readonly tune?: string;
  /** Node's switches instead of those in .npmrc. */
  readonly node?: readonly string[];
}

const ONE_THREAD = "--v8-pool-size=1";

export const VARIANTS: readonly Variant[] = [
  { name: "hot at 3000", tune: "hot=3000" }, { name: "hot at 30000", tune: "hot=30000" }, { name: "loops kept", tune: "whole=5000" }, { name: "slice ends", tune: "passes=0" },
  { name: "no folding", tune: "fold=0" }, { name: "no unrolling", tune: "unroll=0" }, { name: "no page caches", tune: "caches=0" }, { name: "no shared checks", tune: "groups=0" },
  { name: "V8 counts first", node: [ONE_THREAD, "--wasm-dynamic-tiering"] }, { name: "four threads of V8", node: ["--v8-pool-size=4"] },
];
