// Page tables, read from guest RAM: the walk of one address, and whole trees.
//
// Nothing is set or cached by looking: A and D stay as they are.
import type { Pmap } from "../hal/pmap.ts";
import type { Kernel } from "../kernel.ts";

const PTE_V = 1, PTE_LEAF = 14, FRAME0 = 0x80000;

/** One valid entry of a table. */
export interface PteLine {
  /** 2 for the root's entries. */
  readonly level: number;
  readonly index: number;
  readonly va: number;
  /** The entry, its two words. */
  readonly pteLo: number;
  readonly pteHi: number;
  readonly pa: number;
  readonly isLeaf: boolean;
}

/** A run of pages with the same rights, as QEMU's `info mem` shows them. */
export interface MemRun { readonly va: number; readonly pa: number; readonly size: number; readonly attr: string }

/** How a pmap's tables translate an address, level by level. */
export function pagewalk(kernel: Kernel, pm: Pmap, va: number): ReturnType<Kernel["machine"]["walkFrom"]> {
  return kernel.machine.walkFrom(pm.rootPg + FRAME0, va);
}

/** Every valid entry, depth first, in order of address. => `half`: "user" leaves the kernel's half out */
export function entries(kernel: Kernel, pm: Pmap, half: "user" | "all"): PteLine[] {
  const { i32 } = kernel.hal.mem, found: PteLine[] = [];
  const table = (pg: number, level: number, base: number): void => {
    for (let index = 0; index < 512; index++) {
      if (level === 2 && half === "user" && index >= 256) return;
      const at = pg * 1024 + index * 2, pteLo = i32[at]!, pteHi = i32[at + 1]!;
      if ((pteLo & PTE_V) === 0) continue;
      const pfn = (pteHi & 0x3fffff) * 0x400000 + (pteLo >>> 10), raw = base + index * 4096 * 512 ** level;
      // The upper half of 39 bits is sign-extended.
      const va = raw >= 2 ** 38 ? raw - 2 ** 39 : raw, isLeaf = (pteLo & PTE_LEAF) !== 0;
      found.push({ level, index, va, pteLo, pteHi, pa: pfn * 4096, isLeaf });
      if (!isLeaf && level > 0) table(pfn - FRAME0, level - 1, raw);
    }
  };
  table(pm.rootPg, 2, 0);
  return found;
}

const ATTR: readonly (readonly [number, string])[] = [[2, "r"], [4, "w"], [8, "x"], [16, "u"], [32, "g"], [64, "a"], [128, "d"]];

/** Leaves joined where addresses and rights go on. */
export function memRuns(kernel: Kernel, pm: Pmap): MemRun[] {
  const runs: { va: number; pa: number; size: number; attr: string }[] = [];
  for (const e of entries(kernel, pm, "all")) {
    if (!e.isLeaf) continue;
    const attr = ATTR.map(([bit, letter]) => ((e.pteLo & bit) !== 0 ? letter : "-")).join(""), size = 4096 * 512 ** e.level, last = runs.at(-1);
    if (last !== undefined && last.attr === attr && last.va + last.size === e.va && last.pa + last.size === e.pa) last.size += size;
    else runs.push({ va: e.va, pa: e.pa, size, attr });
  }
  return runs;
}
