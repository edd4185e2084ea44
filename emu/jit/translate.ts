// Emits the function of a region.
//
//   (pc, left, retPc, how) -> left, or below 0
//     pc      not looked at: `how` says where it begins
//     left    instructions that may still retire; the result when it returned to retPc as a call wants it
//     retPc   where a return goes that is to be a return of this function; an odd number when nowhere
//     how     entry << DEPTH_BITS | calls that may still nest
//
//   locals <- registers by entry; structured body; each way out stores what is dirty:
//     call       core.go(target ...), then the return site loads what it wants
//     return     to retPc: the result is left; elsewhere: leave
//     leave      tail call of core.go: some other region, or back to the interpreter
//     punt       the instruction at pc is the interpreter's (result -1)
//     quit       the budget may not last to the next check (result -2)
import { DEPTH_BITS, DEPTH_MASK, RESULT_PUNT, RESULT_QUIT } from "./core.ts";
import { type Flow, analyse, budgetNeeds } from "./flow.ts";
import { framesOf } from "./frame.ts";
import { type Group, groupAccesses } from "./group.ts";
import { type Block, END_BRANCH, END_CALL, END_FALL, END_INDIRECT, END_JUMP, END_PUNT, type Insn, type Region } from "./region.ts";
import { type Frame, type Jump, StaticBuilder } from "./staticbuilder.ts";
import { ALWAYS_STEADY, type Steady, steadyBases } from "./stride.ts";
import { cycleHeads, type Part, structureOf } from "./structure.ts";
import type { Tuning } from "./tuning.ts";
import { unroll } from "./unroll.ts";
import { Emitter, F64, I32, I64 } from "./wasm.ts";
import { rowNamed, rows } from "../isa/table.ts";
import { CELL_STAMP, DATA_BANK, EPOCH, F0, LOOP_SLOTS, X0 } from "../hart/layout.ts";

/** Parameters of a region's function. */
const LEFT_ARG = 1, RET_ARG = 2, HOW_ARG = 3;
/** What a region's module imports of the core, in this order. */
export const CORE_FUNCTIONS = ["go", "miss", "stop", "float"] as const;
const CORE_GO = 0, CORE_MISS = 1, CORE_STOP = 2, CORE_FLOAT = 3;

const TABLE_MAX = 1024;
/** Instructions that are emitted at one step. */
const STEP_INSNS = 8;
const ROW_JAL = rowNamed("jal"), ROW_AUIPC = rowNamed("auipc");

/** Where a jump to a block goes: a label, and whether the label is a loop with several heads. */
interface Target { readonly depth: number; readonly select: boolean }

/** What translations depend on besides the guest's code. */
export interface HostBlock {
  /** Byte offset of the hart's block. */
  readonly hart: number;
  readonly fusedMadd: boolean;
  readonly tuning: Tuning;
  /** How a call to an address may go without a look-up, or null. */
  link(va: number): Link | null;
  /** The decoded record of an instruction, or -1: it has none that lasts. */
  record(va: number): number;
  /** A page slot for a loop; others may have it too. */
  takePageSlot(): number;
}

/** A callee: its function in the module, the cell that must be stamped with the epoch (-1: none), CELL_ENTRY of it. */
export interface Link { readonly fn: number; readonly cellAt: number; readonly entry: number }

/** Code that stores what is dirty and leaves: to other code at local pc, or to the interpreter with the result in local label. */
interface Exit { readonly depth: number; readonly x: number; readonly f: number; readonly isStop: boolean }

class RegionEmitter implements Frame {
  readonly e = new Emitter(4);
  readonly hart: number;
  readonly bank: number;
  readonly left = LEFT_ARG;
  readonly missFunction = CORE_MISS;
  private readonly region: Region;
  private readonly flow: Flow;
  readonly need: Int32Array;
  private readonly isChecked: boolean[];
  private readonly parts: Part[];
  private readonly builder: StaticBuilder;
  private readonly pc: number;
  /** Of a folded branch: its condition, and what it would have kept. */
  private readonly choice: { readonly cond: number; readonly old: readonly number[] };
  /** Which head a loop with several goes to next. */
  private readonly label: number;
  private readonly xs = new Int32Array(32).fill(-1);
  private readonly fs = new Int32Array(32).fill(-1);
  private readonly byVa: Map<number, Block>;
  private readonly targets = new Map<number, Target>();
  /** Heads that close the loops around the present place: a jump to one is a jump back. */
  private readonly inner = new Set<number>();
  /** Ways out that store the same registers share their code; the first is the innermost of the labels around the body. */
  private readonly exits: Exit[] = [];
  private readonly exitOf = new Map<string, Exit>();
  // Where emission stands: the block, its instruction, and what is dirty before it.
  private block!: Block;
  private at = 0;
  private dirtyX = 0;
  private dirtyF = 0;
  private sincePause = 0;

  readonly fusedMadd: boolean;

  readonly floatFunction = CORE_FLOAT;
  private readonly host: HostBlock;
  /** By place in the block: shared checks, and the locals that hold what they found. */
  private groups: (Group | null)[] = [];
  private readonly groupLocals: number[] = [];
  private readonly steady: Steady;
  /** By block, where its stack frame lies. */
  private readonly frames: Float64Array;
  /** Page slots of loops' base registers, by loop, register and kind. */
  private readonly loopSlots = new Map<number, number>();
  private groupNumbers = new Map<Group, number>();

  constructor(region: Region, host: HostBlock) {
    this.region = region;
    this.host = host;
    this.hart = host.hart;
    this.fusedMadd = host.fusedMadd;
    this.parts = structureOf(region);
    const heads = cycleHeads(this.parts);
    // A call takes as much of the budget as it likes.
    for (const b of region.blocks) if (b.end === END_CALL) b.succ.forEach((site) => heads.add(site));
    this.isChecked = region.blocks.map((b) => heads.has(b.id) || region.entries.includes(b.id));
    this.flow = analyse(region, this.isChecked);
    this.steady = steadyBases(region, this.parts);
    this.frames = framesOf(region, region.stackPlace);
    this.need = budgetNeeds(region, this.isChecked);
    this.bank = this.e.local(I32);
    this.label = this.e.local(I32);
    this.pc = this.e.local(I64);
    for (let r = 1; r < 32; r++) if ((this.flow.usedX & (1 << r)) !== 0) this.xs[r] = this.e.local(I64);
    for (let r = 0; r < 32; r++) if ((this.flow.usedF & (1 << r)) !== 0) this.fs[r] = this.e.local(F64);
    // The first block at an address is no copy.
    this.byVa = new Map([...region.blocks].reverse().map((b) => [b.va, b]));
    this.choice = { cond: this.e.local(I32), old: [this.e.local(I64), this.e.local(I64), this.e.local(I64)] };
    this.builder = new StaticBuilder(this);
  }

  xLocal(r: number): number { return this.xs[r]!; }
  fLocal(r: number): number { return this.fs[r]!; }

  *emit(): Generator<void, Emitter> {
    const { e } = this;
    e.i32(0).mem("i32.load", this.hart + DATA_BANK).set(this.bank);
    this.prologue();
    yield* this.sequence(this.parts, this.region.entries, -1);
    e.op("unreachable");
    yield;
    for (const exit of this.exits) this.emitExit(exit);
    // What the body needs around it is known now, so it goes in front.
    const front = new Emitter(0);
    for (const _ of this.exits) front.block();
    e.prepend(front);
    return e;
  }

  // ---- entries ----

  /** Loads what the chosen entry needs, and says which one it is. */
  private prologue(): void {
    const { e, region } = this, { entries } = region;
    if (entries.length === 1) return this.load(entries[0]!);
    for (let i = 0; i <= entries.length; i++) e.block();
    e.get(HOW_ARG).i32(DEPTH_BITS).op("i32.shr_u").brTable(entries.map((_, i) => i), 0);
    entries.forEach((id, i) => {
      e.op("end");
      this.load(id);
      e.i32(id).set(this.label).br(entries.length - 1 - i);
    });
    e.op("end");
  }

  /** Registers that must be in locals when a block begins. */
  private load(id: number): void {
    const { e, flow } = this;
    for (let r = 1; r < 32; r++) if ((flow.liveX[id]! & (1 << r)) !== 0) e.i32(0).mem("i64.load", this.hart + X0 + 8 * r).set(this.xs[r]!);
    for (let r = 0; r < 32; r++) if ((flow.liveF[id]! & (1 << r)) !== 0) e.i32(0).mem("f64.load", this.hart + F0 + 8 * r).set(this.fs[r]!);
  }

  private spill(x: number, f: number): void {
    const { e } = this;
    for (let r = 1; r < 32; r++) if ((x & (1 << r)) !== 0) e.i32(0).get(this.xs[r]!).mem("i64.store", this.hart + X0 + 8 * r);
    for (let r = 0; r < 32; r++) if ((f & (1 << r)) !== 0) e.i32(0).get(this.fs[r]!).mem("f64.store", this.hart + F0 + 8 * r);
  }

  // ---- structure ----

  /**
   * Parts one behind the other. A jump to a later part leaves the block that ends before it.
   *
   * => heads: blocks that this sequence is entered at; with several, local `label` says which
   * => next: the block that control falls to behind the sequence, or -1
   */
  private *sequence(parts: readonly Part[], heads: readonly number[], next: number): Generator<void, void> {
    const { e } = this, first = heads.length > 1 ? 0 : 1, base = e.depth;
    const saved = new Map<number, Target | undefined>();
    const aim = (block: number, target: Target): void => {
      if (!saved.has(block)) saved.set(block, this.targets.get(block));
      this.targets.set(block, target);
    };
    // The block before part k is the (parts.length - 1 - k)th opened.
    for (let k = parts.length - 1; k >= first; k--) {
      const these = this.headsOf(parts[k]!);
      e.block();
      // The head that closes the loop around is reached by the loop's own label.
      for (const b of these) if (!this.inner.has(b)) aim(b, { depth: e.depth, select: these.length > 1 });
    }
    if (heads.length > 1) this.dispatch(parts, heads, base);
    for (const [k, part] of parts.entries()) {
      if (k >= first) e.op("end");
      const following = k + 1 < parts.length ? this.headsOf(parts[k + 1]!) : [];
      const falls = k + 1 < parts.length ? (following.length === 1 ? following[0]! : -1) : next;
      if (part.heads !== null) yield* this.emitLoop(part, part.heads, falls);
      else if (this.emitBlock(this.region.blocks[part.block]!, falls)) yield;
    }
    for (const [block, target] of saved) {
      if (target === undefined) this.targets.delete(block);
      else this.targets.set(block, target);
    }
  }

  private headsOf(part: Part): readonly number[] {
    return part.heads ?? [part.block];
  }

  /** Goes to the part of the head in `label`. Heads are all in parts of this sequence. */
  private dispatch(parts: readonly Part[], heads: readonly number[], base: number): void {
    const { e } = this, limit = Math.max(...heads) + 1, depths: number[] = new Array(limit).fill(0);
    parts.forEach((part, k) => this.headsOf(part).forEach((b) => {
      // Block k was opened at base + parts.length - k.
      if (heads.includes(b)) depths[b] = e.depth - (base + parts.length - k);
    }));
    e.get(this.label).brTable(depths, depths[heads[0]!]!);
  }

  private *emitLoop(part: Part, heads: readonly number[], next: number): Generator<void, void> {
    const { e } = this, { cut } = part, saved = this.targets.get(cut), isOutermost = !this.inner.has(cut);
    e.loop();
    this.targets.set(cut, { depth: e.depth, select: heads.length > 1 });
    this.inner.add(cut);
    yield* this.sequence(part.parts, heads, next);
    if (isOutermost) this.inner.delete(cut);
    if (saved === undefined) this.targets.delete(cut);
    else this.targets.set(cut, saved);
    e.op("end");
  }

  // ---- blocks ----

  /** => whether it is time for a pause */
  private emitBlock(block: Block, next: number): boolean {
    const { e, flow, builder } = this, { id } = block;
    this.block = block;
    this.at = 0;
    this.dirtyX = flow.dirtyX[id]!;
    this.dirtyF = flow.dirtyF[id]!;
    if (this.isChecked[id] && block.insns.length > 0) {
      e.get(LEFT_ARG).i32(this.need[id]!).op("i32.lt_s");
      e.hint(false);
      e.if();
      this.stop(block.va, RESULT_QUIT);
      e.op("end");
    }
    if (block.insns.length > 0) e.get(LEFT_ARG).i32(block.insns.length).op("i32.sub").set(LEFT_ARG);
    builder.beginBlock();
    this.groups = this.host.tuning.groups === 1 ? groupAccesses(block.insns, this.frames[id]!) : [];
    this.groupNumbers = new Map();
    for (const insn of block.insns) {
      builder.begin(insn);
      rows[insn.row]!.sem(builder);
      if (insn.shape.writesX && insn.rd !== 0) this.dirtyX |= 1 << insn.rd;
      if (insn.shape.writesF) this.dirtyF |= 1 << insn.rd;
      this.at++;
    }
    this.emitEnd(block, next);
    this.sincePause += block.insns.length + 1;
    if (this.sincePause < STEP_INSNS) return false;
    this.sincePause = 0;
    return true;
  }

  sharedCheck(): { group: Group; local: number; isFirst: boolean } | null {
    const group = this.groups[this.at] ?? null;
    if (group === null) return null;
    const isFirst = !this.groupNumbers.has(group), n = this.groupNumbers.get(group) ?? this.groupNumbers.size;
    this.groupNumbers.set(group, n);
    if (n === this.groupLocals.length) this.groupLocals.push(this.e.local(I32));
    return { group, local: this.groupLocals[n]!, isFirst };
  }

  pageSlot(base: number, store: boolean): number {
    const { id } = this.block;
    if (base === 0 || this.host.tuning.caches !== 1 || (this.steady.bases[id]! & (1 << base)) === 0) return -1;
    const own = 2 * base + (store ? 1 : 0);
    if ((ALWAYS_STEADY & (1 << base)) !== 0) return own;
    const key = this.steady.loops[id]! * LOOP_SLOTS + own, slot = this.loopSlots.get(key) ?? this.host.takePageSlot();
    this.loopSlots.set(key, slot);
    return slot;
  }

  record(): number {
    return this.host.record(this.block.insns[this.at]!.va);
  }

  remaining(): number {
    return this.block.insns.length - this.at;
  }

  punt(): void {
    this.stop(this.block.insns[this.at]!.va, RESULT_PUNT);
  }

  /** Leaves at an address: to the interpreter, with a result. */
  private stop(va: number, result: number): void {
    this.e.i64(BigInt(va)).set(this.pc).i32(result).set(this.label);
    this.out(true);
  }

  /** Branches to the exit that stores what is dirty. */
  private out(isStop: boolean): void {
    const { dirtyX: x, dirtyF: f } = this, key = `${x} ${f} ${isStop}`;
    let exit = this.exitOf.get(key);
    if (exit === undefined) {
      exit = { depth: -this.exits.length, x, f, isStop };
      this.exits.push(exit);
      this.exitOf.set(key, exit);
    }
    this.e.br(this.e.depth - exit.depth);
  }

  private emitExit({ x, f, isStop }: Exit): void {
    const { e } = this;
    e.op("end");
    this.spill(x, f);
    if (isStop) e.get(this.pc).get(LEFT_ARG).i64(0n).get(this.label).returnCall(CORE_STOP);
    else this.leave();
  }

  private emitEnd(block: Block, next: number): void {
    const { e, builder } = this, jump = builder.jumpTaken;
    switch (block.end) {
      case END_FALL:
        if (block.skipped.length > 0) this.emitSkipped(block.skipped, jump);
        return this.edge(block.targets[0]!, next);
      case END_PUNT: return this.stop(block.endVa, RESULT_PUNT);
      case END_JUMP: return this.edge(block.targets[0]!, next);
      case END_BRANCH: {
        if (jump?.kind !== "branch") throw new Error("jit: a branch did not branch");
        return this.emitBranch(block, next, jump.cond.bytes);
      }
    }
    const last = block.insns.at(-1)!;
    if (jump?.kind === "relative") e.i64(BigInt(last.va + last.imm)).set(this.pc);
    else if (jump?.kind === "jump") e.raw(jump.target.bytes).set(this.pc);
    if (block.end === END_CALL) return this.emitCall(block, next);
    if (block.end === END_INDIRECT) return this.emitIndirect(block);
    this.spill(this.dirtyX, this.dirtyF);
    e.get(this.pc).get(RET_ARG).op("i64.eq");
    e.hint(true);
    e.if().get(LEFT_ARG).op("return").op("end");
    this.leave();
  }

  /** Does what the branch would skip, and keeps the old values where it does. */
  private emitSkipped(insns: readonly Insn[], jump: Jump | null): void {
    const { e, builder, choice } = this;
    if (jump?.kind !== "branch") throw new Error("jit: a branch did not branch");
    e.raw(jump.cond.bytes).set(choice.cond);
    e.get(LEFT_ARG).get(choice.cond).i32(insns.length).op("i32.mul").op("i32.add").i32(insns.length).op("i32.sub").set(LEFT_ARG);
    const written = [...new Set(insns.map((insn) => insn.rd).filter((r) => r !== 0))];
    written.forEach((r, i) => e.get(this.xs[r]!).set(choice.old[i]!));
    for (const insn of insns) {
      builder.begin(insn);
      rows[insn.row]!.sem(builder);
    }
    written.forEach((r, i) => {
      e.get(choice.old[i]!).get(this.xs[r]!).get(choice.cond).op("select").set(this.xs[r]!);
      builder.forget(r);
      this.dirtyX |= 1 << r;
    });
  }

  private emitBranch(block: Block, next: number, cond: readonly number[]): void {
    const { e } = this, [taken, fall] = block.targets as [number, number], target = this.plainTarget(taken);
    e.raw(cond);
    if (target !== null) e.brIf(e.depth - target.depth);
    else {
      e.if();
      this.edge(taken, -1);
      e.op("end");
    }
    this.edge(fall, next);
  }

  /** The block that the present one goes to at an address, if it is one of the region. */
  private blockAt(va: number): Block | undefined {
    const id = this.block.chosen?.get(va);
    return id !== undefined ? this.region.blocks[id] : this.byVa.get(va);
  }

  /** The label of a block that one branch instruction reaches. */
  private plainTarget(va: number): Target | null {
    const b = this.blockAt(va), target = b && this.targets.get(b.id);
    return target === undefined || target.select ? null : target;
  }

  /** Goes to an address: a block of the region or out. => next: what control falls to here */
  private edge(va: number, next: number): void {
    const { e } = this, b = this.blockAt(va);
    if (b === undefined) {
      e.i64(BigInt(va)).set(this.pc);
      return this.out(false);
    }
    if (b.id === next) return;
    const target = this.targets.get(b.id);
    if (target === undefined) throw new Error(`jit: no label for the block at ${va.toString(16)}`);
    if (target.select) e.i32(b.id).set(this.label);
    e.br(e.depth - target.depth);
  }

  /** On to local pc, by another region or the interpreter; what was dirty is stored. */
  private leave(): void {
    this.e.get(this.pc).get(LEFT_ARG).get(RET_ARG).get(HOW_ARG).i32(DEPTH_MASK).op("i32.and").returnCall(CORE_GO);
  }

  private emitCall(block: Block, next: number): void {
    const { e } = this, retVa = block.targets[0]!, site = this.byVa.get(retVa);
    this.spill(this.dirtyX, this.dirtyF);
    if (site === undefined) return this.leave();
    // Too deep: the callee runs in our place, and its return comes back by the return site's entry.
    e.get(HOW_ARG).i32(DEPTH_MASK).op("i32.and").op("i32.eqz");
    e.hint(false);
    e.if();
    this.leave();
    e.op("end");
    this.emitCallee(block, retVa);
    e.i32(0).op("i32.lt_s");
    e.hint(false);
    e.if().get(LEFT_ARG).op("return").op("end");
    this.load(site.id);
    this.edge(retVa, next);
  }

  /** The call itself. Leaves its result in `left`, and on the stack. => what is dirty is stored; one call may nest at least */
  private emitCallee(block: Block, retVa: number): void {
    const { e, hart } = this, target = callTarget(block), link = target === null ? null : this.host.link(target);
    const nested = () => e.get(HOW_ARG).i32(DEPTH_MASK).op("i32.and").i32(1).op("i32.sub");
    const go = () => {
      e.get(this.pc).get(LEFT_ARG).i64(BigInt(retVa));
      nested().call(CORE_GO);
    };
    if (link === null) go();
    else {
      const direct = () => {
        e.get(this.pc).get(LEFT_ARG).i64(BigInt(retVa));
        nested();
        if (link.entry !== 0) e.i32(link.entry).op("i32.or");
        e.call(link.fn);
      };
      if (link.cellAt < 0) direct();
      else {
        e.i32(0).mem("i32.load", link.cellAt + CELL_STAMP).i32(0).mem("i32.load", hart + EPOCH).op("i32.eq");
        e.hint(true);
        e.if(I32);
        direct();
        e.op("else");
        go();
        e.op("end");
      }
    }
    e.tee(LEFT_ARG);
  }

  private emitIndirect(block: Block): void {
    const vas = block.targets.filter((va) => this.byVa.has(va));
    if (vas.length > 0) {
      const low = Math.min(...vas), count = (Math.max(...vas) - low) / 2 + 1;
      if (count <= TABLE_MAX) this.emitSwitch(vas, low, count);
    }
    this.out(false);
  }

  /** A jump by address: br_table over the halfwords between the lowest and the highest target. */
  private emitSwitch(vas: readonly number[], low: number, count: number): void {
    const { e } = this, selecting = vas.filter((va) => this.targets.get(this.byVa.get(va)!.id)!.select);
    // Heads that need the label set get a trampoline each.
    const trampolines = new Map(selecting.map((va, i) => [va, i] as const));
    for (let i = 0; i <= trampolines.size; i++) e.block();
    const depths: number[] = new Array(count).fill(0);
    for (const va of vas) {
      const t = trampolines.get(va);
      depths[(va - low) / 2] = t !== undefined ? 1 + t : e.depth - this.targets.get(this.byVa.get(va)!.id)!.depth;
    }
    // Too far away becomes the last number, which is none of them.
    e.get(this.pc).i64(BigInt(low)).op("i64.sub").i64(1n).op("i64.shr_u").i64(BigInt(count));
    e.get(this.pc).i64(BigInt(low)).op("i64.sub").i64(1n).op("i64.shr_u").i64(BigInt(count)).op("i64.lt_u").op("select").op("i32.wrap_i64");
    e.brTable(depths, 0);
    // Innermost block ended: the default skips the trampolines, which end in this order.
    e.op("end");
    if (trampolines.size > 0) {
      this.out(false);
      for (const va of selecting) {
        e.op("end");
        this.edge(va, -1);
      }
    }
  }
}

/** Where a call goes, when its instruction, or auipc before it, says so. */
function callTarget(block: Block): number | null {
  const { insns } = block, last = insns.at(-1)!;
  if (last.row === ROW_JAL) return last.va + last.imm;
  const before = insns.at(-2);
  if (before === undefined || before.row !== ROW_AUIPC || before.rd !== last.rs1) return null;
  const target = before.va + before.imm + last.imm;
  return target % 2 === 0 ? target : null;
}

/** Addresses that the region calls. */
export function callTargets(region: Region): number[] {
  return [...new Set(region.blocks.filter((b) => b.end === END_CALL).map(callTarget).filter((va) => va !== null))];
}

/** The body of a region's function, and by block how many instructions must be left to enter it; in steps. */
export function* translateRegion(region: Region, host: HostBlock): Generator<void, { emitter: Emitter; needs: Int32Array }> {
  const emitter = new RegionEmitter(host.tuning.unroll > 0 ? unroll(region, host.tuning.unroll) : region, host);
  yield;
  return { emitter: yield* emitter.emit(), needs: emitter.need };
}
