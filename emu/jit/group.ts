// Accesses of a block that share one check: plain loads and stores off the same base register, while it keeps its value.
//
//   ld a0, 8(sp)  ld a1, 24(sp)  sd a2, 16(sp)     one group: base sp, bytes 8..32, with a store
//
// The bytes from the lowest to the highest are checked as if they were one access. Where they do not lie in one page, or
// the page may not be written, each access is looked up for itself. Of a frame that is known to reach over a page's end
// (frame.ts) each page has groups of its own.
import { stepFrame } from "./frame.ts";
import type { Insn } from "./region.ts";
import { sizeOfRow } from "./shape.ts";

export interface Group {
  readonly base: number;
  low: number;
  high: number;
  hasStore: boolean;
  /** Instructions of the block that belong to it. */
  readonly members: number[];
}

/** Wider groups would cross pages too often. */
const SPAN_MAX = 512;

const SP = 2;

/** Groups of two members at least. => frame: the stack pointer before the first, as of framesOf; by place in the block, null for an access by itself */
export function groupAccesses(insns: readonly Insn[], frame: number): (Group | null)[] {
  const open = new Map<number, Group>(), of: (Group | null)[] = insns.map(() => null);
  let sp = frame;
  const pageOf = (offset: number): number => Math.floor((sp + offset) / 4096);
  insns.forEach((insn, at) => {
    const { shape } = insn;
    if (shape.isAccess && insn.rs1 !== 0) {
      const low = insn.imm, high = low + sizeOfRow(insn.row), last = open.get(insn.rs1);
      const g = last !== undefined && insn.rs1 === SP && pageOf(Math.min(last.low, low)) < pageOf(Math.max(last.high, high) - 1) ? undefined : last;
      if (g !== undefined && Math.max(g.high, high) - Math.min(g.low, low) <= SPAN_MAX) {
        g.low = Math.min(g.low, low);
        g.high = Math.max(g.high, high);
        g.hasStore ||= shape.isStore;
        g.members.push(at);
        of[at] = g;
      } else {
        const fresh: Group = { base: insn.rs1, low, high, hasStore: shape.isStore, members: [at] };
        open.set(insn.rs1, fresh);
        of[at] = fresh;
      }
    }
    if (shape.writesX) open.delete(insn.rd);
    sp = stepFrame(sp, insn);
  });
  return of.map((g) => (g !== null && g.members.length > 1 ? g : null));
}
