// Base registers that stay on one page for long: the stack pointer and its like, and in a loop those that nothing in it
// changes but small steps. Accesses off them remember the page in locals instead of looking into the TLB.
import type { Region } from "./region.ts";
import type { Part } from "./structure.ts";
import { rowNamed } from "../isa/table.ts";

const ROW_ADDI = rowNamed("addi"), STEP_MAX = 64;
/** sp, gp and tp. */
const ALWAYS_STEADY = (1 << 2) | (1 << 3) | (1 << 4);

/** By block, the x registers that are steady in the innermost loop around it. */
export function steadyBases(region: Region, parts: readonly Part[]): Int32Array {
  const steady = new Int32Array(region.blocks.length).fill(ALWAYS_STEADY);
  const visit = (part: Part): number[] => {
    if (part.heads === null) return [part.block];
    const inner = part.parts.map((p) => ({ blocks: visit(p), isLoop: p.heads !== null })), blocks = inner.flatMap((p) => p.blocks);
    let leaping = 0;
    for (const id of blocks) {
      const { insns, skipped } = region.blocks[id]!;
      for (const insn of skipped.length > 0 ? [...insns, ...skipped] : insns) {
        const isStep = insn.row === ROW_ADDI && insn.rd === insn.rs1 && Math.abs(insn.imm) <= STEP_MAX;
        if (insn.shape.writesX && !isStep) leaping |= 1 << insn.rd;
      }
    }
    for (const p of inner) if (!p.isLoop) for (const id of p.blocks) steady[id] = ALWAYS_STEADY | ~leaping;
    return blocks;
  };
  parts.forEach(visit);
  return steady;
}
