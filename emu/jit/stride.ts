// Base registers that stay on one page for long: the stack pointer and its like, and in a loop those that nothing in it
// changes but small steps. Accesses off them remember the page in a page slot (hart/layout.ts) instead of looking
// into the TLB: in locals of the function the pages were two more values for each to carry through every loop.
import type { Region } from "./region.ts";
import type { Part } from "./structure.ts";
import { rowNamed } from "../isa/table.ts";

const ROW_ADDI = rowNamed("addi"), STEP_MAX = 512;
/** sp, gp and tp. */
export const ALWAYS_STEADY = (1 << 2) | (1 << 3) | (1 << 4);

/** By block: the x registers that are steady there, and the number of the innermost loop around it, 0 for none. */
export interface Steady { readonly bases: Int32Array; readonly loops: Int32Array }

export function steadyBases(region: Region, parts: readonly Part[]): Steady {
  const bases = new Int32Array(region.blocks.length).fill(ALWAYS_STEADY), loops = new Int32Array(region.blocks.length);
  let count = 0;
  const visit = (part: Part): number[] => {
    if (part.heads === null) return [part.block];
    const inner = part.parts.map((p) => ({ blocks: visit(p), isLoop: p.heads !== null })), blocks = inner.flatMap((p) => p.blocks), loop = ++count;
    let leaping = 0;
    for (const id of blocks) {
      const { insns, skipped } = region.blocks[id]!;
      for (const insn of skipped.length > 0 ? [...insns, ...skipped] : insns) {
        const isStep = insn.row === ROW_ADDI && insn.rd === insn.rs1 && Math.abs(insn.imm) <= STEP_MAX;
        if (insn.shape.writesX && !isStep) leaping |= 1 << insn.rd;
      }
    }
    for (const p of inner) {
      if (p.isLoop) continue;
      for (const id of p.blocks) {
        bases[id] = ALWAYS_STEADY | ~leaping;
        loops[id] = loop;
      }
    }
    return blocks;
  };
  parts.forEach(visit);
  return { bases, loops };
}
