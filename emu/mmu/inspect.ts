// Questions about translation, answered as plain data and without side effects: no A or D bit is set, nothing is cached.
import type { Ram } from "../bus/ram.ts";
import { PTE_A, PTE_D, PTE_G, PTE_R, PTE_U, PTE_V, PTE_W, PTE_X, vpnAt } from "./walk.ts";

/** One step of a walk. */
export interface WalkStep {
  level: number;
  ptePa: number;
  pteLo: number;
  pteHi: number;
  /** Letters of the set bits, as in "VRWXUGAD". */
  bits: string;
  /** Frame that the PTE names. */
  pfn: number;
  leaf: boolean;
}

export interface WalkReport {
  va: number;
  steps: WalkStep[];
  /** Where the address leads, or null. */
  pa: number | null;
  /** Why it leads nowhere; empty otherwise. */
  problem: string;
}

const LETTERS: readonly (readonly [number, string])[] = [
  [PTE_V, "V"], [PTE_R, "R"], [PTE_W, "W"], [PTE_X, "X"], [PTE_U, "U"], [PTE_G, "G"], [PTE_A, "A"], [PTE_D, "D"],
];

/** The letters of a PTE's low bits. */
export function pteBits(pte: number): string {
  return LETTERS.filter(([bit]) => (pte & bit) !== 0).map(([, letter]) => letter).join("");
}

/** Walks the tables for an address. => levels 3 for Sv39, 4 for Sv48, 0 for bare */
export function pageWalk(ram: Ram, levels: number, rootPpn: number, va: number): WalkReport {
  const report: WalkReport = { va, steps: [], pa: null, problem: "" };
  if (levels === 0) return { ...report, pa: va };
  const limit = 2 ** (levels * 9 + 11);
  if (va < -limit || va >= limit) return { ...report, problem: "the address is not canonical" };
  const lo = va | 0, hi = Math.floor(va / 4294967296) | 0;
  let table = rootPpn;
  for (let level = levels - 1; level >= 0; level--) {
    const ptePa = table * 4096 + vpnAt(lo, hi, level) * 8;
    if (!ram.has(ptePa, 8)) return { ...report, problem: "the page table is not in RAM" };
    const at = (ptePa - ram.base) / 4, pteLo = ram.i32[at]!, pteHi = ram.i32[at + 1]!;
    const pfn = (pteHi & 0x3fffff) * 0x400000 + (pteLo >>> 10), leaf = (pteLo & (PTE_R | PTE_W | PTE_X)) !== 0;
    report.steps.push({ level, ptePa, pteLo, pteHi, bits: pteBits(pteLo), pfn, leaf });
    if ((pteLo & PTE_V) === 0) return { ...report, problem: "the entry is not valid" };
    if (leaf) {
      const span = 4096 * 512 ** level, offset = va - Math.floor(va / span) * span;
      return { ...report, pa: pfn * 4096 + offset };
    }
    table = pfn;
  }
  return { ...report, problem: "the last entry is a pointer" };
}
