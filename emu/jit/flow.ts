// Dataflow over a region. Guest registers live in wasm locals; three questions follow:
//
//   dirtyIn(b)   which locals may differ from the hart's block when b begins: what an exit has to store
//   liveIn(b)    which locals must hold their register when b begins: what an entry has to load
//   need(b)      how many instructions may pass from b to the next check of the budget
//
// A call stores what is dirty, and nothing is in locals behind it until the return site loads it. Register sets are bit
// masks: one word for x registers, one for f registers.
import { type Block, END_CALL, END_FALL, END_JUMP, type Insn, type Region } from "./region.ts";

export interface Flow {
  readonly dirtyX: Int32Array;
  readonly dirtyF: Int32Array;
  readonly liveX: Int32Array;
  readonly liveF: Int32Array;
  /** Every register that some block touches. */
  readonly usedX: number;
  readonly usedF: number;
}

/** What one block does to registers. */
class BlockSets {
  /** Read before written in the block. */
  exposedX = 0;
  exposedF = 0;
  defX = 0;
  defF = 0;
  /** Written before the first place that may leave: what is dirty at the beginning and not here must be valid. */
  readonly firstLeaveX: number;
  readonly firstLeaveF: number;

  constructor(block: Block, isChecked: boolean) {
    let left = isChecked, leaveX = 0, leaveF = 0;
    for (const insn of block.insns) {
      const { shape } = insn;
      if (!left && shape.mayLeave) {
        left = true;
        leaveX = this.defX;
        leaveF = this.defF;
      }
      this.exposedX |= readsX(insn) & ~this.defX;
      this.exposedF |= readsF(insn) & ~this.defF;
      if (shape.writesX) this.defX |= 1 << insn.rd;
      if (shape.writesF) this.defF |= 1 << insn.rd;
    }
    // What is skipped or not: the old value is needed, and there is one afterwards.
    for (const insn of block.skipped) {
      this.exposedX |= (readsX(insn) | (1 << insn.rd)) & ~this.defX;
      this.defX |= 1 << insn.rd;
    }
    this.defX &= ~1;
    this.exposedX &= ~1;
    const staysIn = block.end === END_FALL || block.end === END_JUMP;
    if (!left && staysIn && block.succ.length === block.targets.length) {
      leaveX = -1;
      leaveF = -1;
    } else if (!left) {
      leaveX = this.defX;
      leaveF = this.defF;
    }
    this.firstLeaveX = leaveX;
    this.firstLeaveF = leaveF;
  }
}

export function readsX({ shape, rs1, rs2 }: Insn): number {
  return (shape.readsX1 ? 1 << rs1 : 0) | (shape.readsX2 ? 1 << rs2 : 0);
}

export function readsF({ shape, rs1, rs2, rs3 }: Insn): number {
  return (shape.readsF1 ? 1 << rs1 : 0) | (shape.readsF2 ? 1 << rs2 : 0) | (shape.readsF3 ? 1 << rs3 : 0);
}

/** => isChecked: blocks that check the budget first, and so may leave before anything else */
export function analyse(region: Region, isChecked: readonly boolean[]): Flow {
  const { blocks } = region, n = blocks.length, sets = blocks.map((b) => new BlockSets(b, isChecked[b.id]!));
  const dirtyX = new Int32Array(n), dirtyF = new Int32Array(n), liveX = new Int32Array(n), liveF = new Int32Array(n);
  let usedX = 0, usedF = 0;
  for (const s of sets) {
    usedX |= s.exposedX | s.defX;
    usedF |= s.exposedF | s.defF;
  }
  for (let changed = true; changed;) {
    changed = false;
    for (const b of blocks) {
      // Behind a call nothing is dirty.
      if (b.end === END_CALL) continue;
      const s = sets[b.id]!, outX = dirtyX[b.id]! | s.defX, outF = dirtyF[b.id]! | s.defF;
      for (const t of b.succ) {
        if ((outX & ~dirtyX[t]!) === 0 && (outF & ~dirtyF[t]!) === 0) continue;
        dirtyX[t]! |= outX;
        dirtyF[t]! |= outF;
        changed = true;
      }
    }
  }
  for (let changed = true; changed;) {
    changed = false;
    for (let i = n - 1; i >= 0; i--) {
      const b = blocks[i]!, s = sets[i]!;
      let x = 0, f = 0;
      // What a return site wants, it loads itself.
      if (b.end !== END_CALL) {
        for (const t of b.succ) {
          x |= liveX[t]!;
          f |= liveF[t]!;
        }
      }
      x = (x & ~s.defX) | s.exposedX | (dirtyX[i]! & ~s.firstLeaveX);
      f = (f & ~s.defF) | s.exposedF | (dirtyF[i]! & ~s.firstLeaveF);
      if (x === liveX[i] && f === liveF[i]) continue;
      liveX[i] = x;
      liveF[i] = f;
      changed = true;
    }
  }
  return { dirtyX, dirtyF, liveX, liveF, usedX, usedF };
}

/** The longest way, in instructions, from each checked block to the next. => every cycle has a checked block */
export function budgetNeeds(region: Region, isChecked: readonly boolean[]): Int32Array {
  const { blocks } = region, need = new Int32Array(blocks.length).fill(-1);
  const visit = (id: number): number => {
    if (need[id]! >= 0) return need[id]!;
    const b = blocks[id]!;
    let longest = 0;
    for (const t of b.succ) if (!isChecked[t]) longest = Math.max(longest, visit(t));
    return (need[id] = b.insns.length + b.skipped.length + longest);
  };
  for (let i = blocks.length - 1; i >= 0; i--) visit(i);
  return need;
}
