// What the bench runs.

/** CPU kernels and their scales: about a quarter of a second on native hardware. */
export const CPU_PROGRAMS: Readonly<Record<string, number>> = {
  coremark: 6000, sha256: 300, qsort: 12, matmul: 30, strings: 2000, chase: 12, tlb: 150, nbody: 150, sieve: 60, fib: 12, bytecode: 16, records: 30, atomics: 30,
};

/** Debian's Linux from power-on to power-off, and what its /init runs between. */
export const BOOTS: Readonly<Record<string, readonly string[]>> = { boot: [], bootshells: ["/bench/os shells 20"] };

/** Operations of os.c: how often, in our guest and in the rivals; the unit that is reported; how much of it one is. */
export interface Operation { readonly name: string; readonly ours: number; readonly rival: number; readonly bytes?: number }
export const OPERATIONS: readonly Operation[] = [
  { name: "nullcall", ours: 2_000_000, rival: 400_000 }, { name: "forkexit", ours: 2000, rival: 400 }, { name: "forkexec", ours: 1000, rival: 100 },
  { name: "pipebw", ours: 20_000, rival: 1000, bytes: 65536 }, { name: "unixbw", ours: 10_000, rival: 1000, bytes: 65536 },
  { name: "pingpong", ours: 40_000, rival: 5000 }, { name: "faultanon", ours: 102_400, rival: 20_480 }, { name: "faultresident", ours: 204_800, rival: 40_960 },
  { name: "faultfile", ours: 409_600, rival: 40_960 },
  { name: "faultcow", ours: 51_200, rival: 20_480 }, { name: "filewrite", ours: 60_000, rival: 1000, bytes: 65536 },
  { name: "fileread", ours: 60_000, rival: 4000, bytes: 65536 }, { name: "shells", ours: 200, rival: 40 },
];
