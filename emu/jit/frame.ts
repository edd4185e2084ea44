// Where in its page the stack pointer is, block by block: functions step it by constants, so what it was when a region became hot
// says where the region's frames lie. A guess, for whoever comes in later may have another frame: group.ts goes by it to keep apart
// what lies on two pages, and nothing breaks where it is wrong.
import type { Insn, Region } from "./region.ts";
import { rowNamed } from "../isa/table.ts";

const SP = 2, ROW_ADDI = rowNamed("addi");
/** Of a stack pointer: nothing is known of it. */
export const NO_FRAME = NaN;

/** The stack pointer behind an instruction. => sp: before it */
export function stepFrame(sp: number, insn: Insn): number {
  if (!insn.shape.writesX || insn.rd !== SP) return sp;
  return insn.row === ROW_ADDI && insn.rs1 === SP ? sp + insn.imm : NO_FRAME;
}

/** The stack pointer at the begin of each block, counted from some page. => entrySp: where the region begins, likewise; or NO_FRAME */
export function framesOf(region: Region, entrySp: number): Float64Array {
  const frames = new Float64Array(region.blocks.length).fill(NO_FRAME), first = region.entries[0]!, work = [first];
  frames[first] = entrySp;
  for (let id = work.pop(); id !== undefined; id = work.pop()) {
    const block = region.blocks[id]!, behind = block.insns.reduce(stepFrame, frames[id]!);
    for (const next of block.succ) {
      if (Number.isNaN(behind) || !Number.isNaN(frames[next]!)) continue;
      frames[next] = behind;
      work.push(next);
    }
  }
  return frames;
}
