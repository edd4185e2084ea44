// The privileged half of a hart: what generated code asks of TypeScript, traps, interrupts, and the supervisor's verbs.
//
//   generated code --Cold--> Privileged --> Csrs, Interrupts, traps (trap.ts)
//                                       \-> Mmu --> Tlb, Walker, Pmp, Bus
//
// Bare: a trap moves pc to a handler. Hosted: one that would enter S-mode stops Hart.run at its instruction.
import { SYS_JUMP, SYS_LEAVE, SYS_NEXT, SYS_TRAP } from "./cold.ts";
import { CHANGED_INTERRUPTS, CHANGED_PMP, CHANGED_TRANSLATION, type Csrs } from "./csr.ts";
import { CSR_SET, CSR_WRITE, csrExecute } from "./csraccess.ts";
import {
  CAUSE_ECALL_M, CAUSE_ECALL_S, CAUSE_ECALL_U, CAUSE_ILLEGAL, MPP_SHIFT, MSTATUS_MPRV, MSTATUS_MXR, MSTATUS_SUM, MSTATUS_TVM, MSTATUS_TW, PRIV_M,
  PRIV_S, PRIV_U, SATP,
} from "./csrnum.ts";
import { GO_ON, type Hart, type Privileged as HartPart, STOP_BUDGET, STOP_HALT, STOP_INTERRUPT, STOP_TRAP, STOP_WFI } from "./hart.ts";
import type { Interrupts } from "./interrupts.ts";
import { SIE_OPEN } from "./layout.ts";
import { enterTrap, isDelegated, returnFromM, returnFromS, type TrapState } from "./trap.ts";
import type { Engine } from "../jit/engine.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { SATP_SV39, SATP_SV48 } from "../mmu/walk.ts";

const ECALL = 0x73, MRET = 0x30200073, SRET = 0x10200073, WFI = 0x10500073;
const SFENCE_MASK = 0xfe007fff | 0, SFENCE_VMA = 0x12000073;
const OPCODE_FENCE = 0x0f;
const TWO32 = 4294967296;

/** Who sets A and D bits in page tables. */
export type AdMode = "hw" | "svade" | "svadu";

export interface PrivilegedOptions {
  readonly hosted: boolean;
  readonly ad: AdMode;
  readonly engine: Engine | null;
}

export class Privileged implements HartPart, TrapState {
  readonly csrs: Csrs;
  readonly interrupts: Interrupts;
  readonly mmu: Mmu;
  readonly options: PrivilegedOptions;
  private readonly hart: Hart;
  /** U, S or M. */
  priv = PRIV_M;
  /** In wfi, with nothing to wake it yet. */
  waiting = false;
  /** The machine was switched off, or wants a reset. */
  halted = false;
  /** run() shall return early: an alarm became the earliest. */
  private sliceOver = false;
  /** A hosted supervisor wants the exception that was raised. */
  private delivered = false;
  /** Traps taken, by cause; interrupts are counted at 16 + cause. */
  readonly trapCounts = new Float64Array(32);
  /** Fences, and addresses fenced; for statistics. */
  readonly fences = { va: 0, asid: 0, all: 0 };

  constructor(hart: Hart, csrs: Csrs, mmu: Mmu, options: PrivilegedOptions) {
    this.hart = hart;
    this.csrs = csrs;
    this.interrupts = csrs.interrupts;
    this.mmu = mmu;
    this.options = options;
    mmu.attach(this);
    hart.attach(this, options.engine);
  }

  /** The state after power-on; hosted, that of a supervisor about to run its first user program. */
  reset(pcLo: number, pcHi: number): void {
    this.csrs.reset();
    this.mmu.flushAll();
    this.priv = PRIV_M;
    this.waiting = this.halted = this.sliceOver = this.delivered = false;
    this.pcLo = pcLo;
    this.pcHi = pcHi;
    this.hart.clearReservation();
    if (this.options.hosted) this.becomeSupervised();
    this.settle();
  }

  /** What firmware would have set up: everything delegated, memory open, counters and Sstc usable. */
  private becomeSupervised(): void {
    const { csrs } = this;
    csrs.pmp.open();
    csrs.medeleg = 0xb3ff;
    csrs.interrupts.mideleg = 0x222;
    csrs.mcounteren = csrs.scounteren = 7;
    csrs.menvcfgHi = (1 << 31) | (this.options.ad === "svadu" ? 1 << 29 : 0);
    csrs.interrupts.sstc = true;
    csrs.float.fs = 1;
    this.priv = PRIV_U;
    csrs.changed |= CHANGED_TRANSLATION | CHANGED_INTERRUPTS;
  }

  // ---- registers ----

  get pcLo(): number { return this.hart.pcLo; }
  set pcLo(lo: number) { this.hart.pcLo = lo; }
  get pcHi(): number { return this.hart.pcHi; }
  set pcHi(hi: number) { this.hart.pcHi = hi; }

  // ---- Cold ----

  dataMiss(kind: number): number { return this.mmu.dataMiss(kind); }
  fetchMiss(): number { return this.mmu.fetchMiss(); }
  regionMiss(kind: number): number { return this.mmu.regionMiss(kind); }
  fetchSecond(): number { return this.mmu.fetchSecond(); }

  raise(cause: number, tvalLo: number, tvalHi: number): void {
    this.trapCounts[cause]!++;
    if (this.options.hosted && isDelegated(this.csrs, cause, false, this.priv)) {
      this.hart.cause = cause;
      this.hart.tvalLo = tvalLo;
      this.hart.tvalHi = tvalHi;
      this.delivered = true;
      return;
    }
    enterTrap(this.csrs, this, cause, false, tvalLo, tvalHi);
    this.settle();
  }

  system(insn: number, lenBytes: number): number {
    if ((insn & 0x7f) === OPCODE_FENCE) return SYS_NEXT;
    if ((insn & 0x7000) !== 0) return this.csrInstruction(insn, lenBytes);
    switch (insn) {
      case ECALL:
        this.raise(this.priv === PRIV_U ? CAUSE_ECALL_U : this.priv === PRIV_S ? CAUSE_ECALL_S : CAUSE_ECALL_M, 0, 0);
        return SYS_TRAP;
      case MRET: return returnFromM(this.csrs, this) ? this.returned() : this.illegal(insn);
      case SRET: return returnFromS(this.csrs, this) ? this.returned() : this.illegal(insn);
      case WFI: return this.waitForInterrupt(insn, lenBytes);
      default: return (insn & SFENCE_MASK) === SFENCE_VMA ? this.sfenceVma(insn) : this.illegal(insn);
    }
  }

  // ---- interrupts ----

  /** Drives one bit of mip. */
  setInterruptLine(irq: number, level: boolean): void {
    this.interrupts.setWire(irq, level);
    if (level) this.hart.leaveSoon();
  }

  /** run() shall return after the instruction under way, whatever is left of its budget. */
  endSlice(): void {
    if (!this.hart.running) return;
    this.sliceOver = true;
    this.hart.leaveSoon();
  }

  /** The machine was switched off, or wants a reset: run() returns STOP_HALT until `reset`. */
  stopMachine(): void {
    this.halted = true;
    this.hart.leaveSoon();
  }

  /** Hart.run asks before guest code runs. Takes the interrupt that is due; hosted, it stops run() and nothing moves. */
  before(): number {
    if (this.halted) return STOP_HALT;
    if (this.sliceOver) {
      this.sliceOver = false;
      return STOP_BUDGET;
    }
    if (this.waiting) {
      if (!this.interrupts.wakes()) return STOP_WFI;
      this.waiting = false;
    }
    const irq = this.interrupts.takeable(this.priv, this.csrs.mstatus);
    if (irq < 0) {
      if (!this.options.hosted) this.openSie();
      return GO_ON;
    }
    if (this.options.hosted && isDelegated(this.csrs, irq, true, this.priv)) return STOP_INTERRUPT;
    this.trapCounts[16 + irq]!++;
    enterTrap(this.csrs, this, irq, true, 0, 0);
    this.settle();
    return GO_ON;
  }

  /** Hart.run asks after an exception: the handler is entered already, unless a supervisor wants it. */
  trapped(): number {
    if (!this.delivered) return GO_ON;
    this.delivered = false;
    return STOP_TRAP;
  }

  /** Whether an interrupt would be taken before the next instruction. */
  interruptDue(): boolean {
    return this.interrupts.takeable(this.priv, this.csrs.mstatus) >= 0;
  }

  // ---- the supervisor's verbs ----

  /** satp := Sv39 with this root and ASID. */
  setSatp(rootPfn: number, asid: number): void {
    this.csrs.write(SATP, rootPfn | 0, (SATP_SV39 << 28) | (asid << 12) | Math.floor(rootPfn / TWO32));
    this.hart.clearReservation();
    this.settle();
  }

  /** sfence.vma va, asid. => asid -1: all address spaces, and global pages */
  fenceVa(va: number, asid: number): void {
    this.fences.va++;
    this.mmu.fenceVa(va | 0, Math.floor(va / TWO32) | 0, asid);
  }

  fenceAsid(asid: number): void {
    this.fences.asid++;
    this.mmu.fenceAsid(asid);
  }

  fenceAll(): void {
    this.fences.all++;
    this.mmu.flushAll();
  }

  /** Puts the hart into a privilege, without a trap or a return from one. */
  become(priv: number): void {
    this.priv = priv;
    this.csrs.changed |= CHANGED_TRANSLATION | CHANGED_INTERRUPTS;
    this.settle();
  }

  readCsr(n: number): bigint {
    if (!this.csrs.read(n)) return 0n;
    return (BigInt(this.csrs.hi >>> 0) << 32n) | BigInt(this.csrs.lo >>> 0);
  }

  writeCsr(n: number, value: bigint): void {
    this.csrs.write(n, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    this.settle();
  }

  // ---- inside ----

  /** Brings derived state up to date with the CSRs and the privilege. => whether fetches go by another bank now */
  private settle(): boolean {
    const { csrs, mmu } = this, { changed } = csrs;
    csrs.changed = 0;
    if (!this.options.hosted) this.openSie();
    if ((changed & CHANGED_PMP) !== 0) mmu.protectionChanged();
    if ((changed & CHANGED_TRANSLATION) === 0) return (changed & CHANGED_PMP) !== 0;
    const { walker } = mmu, status = csrs.mstatus, mode = csrs.satpHi >>> 28;
    walker.setRoot(mode === SATP_SV39 ? 3 : mode === SATP_SV48 ? 4 : 0, csrs.satpLo, csrs.satpHi);
    walker.sum = (status & MSTATUS_SUM) !== 0;
    walker.mxr = (status & MSTATUS_MXR) !== 0;
    walker.updatesAD = this.options.ad === "hw" || (this.options.ad === "svadu" && csrs.adue);
    const priv = (status & MSTATUS_MPRV) !== 0 ? (status >>> MPP_SHIFT) & 3 : this.priv;
    // SUM means nothing to U-mode, and neither does MXR where nothing is translated.
    const sum = priv === PRIV_S && mode !== 0 && walker.sum ? 4 : 0, mxr = priv !== PRIV_M && mode !== 0 && walker.mxr ? 8 : 0;
    const moved = mmu.setContext(csrs.satpLo, csrs.satpHi, priv | sum | mxr, this.priv);
    return moved || (changed & CHANGED_PMP) !== 0;
  }

  /** Says what guest code may do to sstatus.SIE without us: nothing in U-mode, and not set it while that would let an interrupt in. */
  private openSie(): void {
    const { mip, mie, mideleg } = this.interrupts;
    this.hart.setField(SIE_OPEN, this.priv === PRIV_U ? 0 : (mip & mie & mideleg) === 0 ? 3 : 1);
  }

  private illegal(insn: number): number {
    this.raise(CAUSE_ILLEGAL, insn, 0);
    return SYS_TRAP;
  }

  /** Moves pc behind an instruction of `lenBytes`. */
  private step(lenBytes: number): void {
    const lo = (this.pcLo >>> 0) + lenBytes;
    this.pcLo = lo | 0;
    if (lo >= TWO32) this.pcHi = (this.pcHi + 1) | 0;
  }

  private csrInstruction(insn: number, lenBytes: number): number {
    const n = insn >>> 20, op = (insn >>> 12) & 3, rs1 = (insn >>> 15) & 31, rd = (insn >>> 7) & 31;
    if (op === 0) return this.illegal(insn);
    const { csrs } = this, { x } = this.hart, immediate = (insn & 0x4000) !== 0;
    const lo = immediate ? rs1 : x[2 * rs1]!, hi = immediate ? 0 : x[2 * rs1 + 1]!;
    const mask = op === 1 ? CSR_WRITE : op === 2 ? CSR_SET : op;
    if (!csrExecute(csrs, n, mask, op === CSR_WRITE || rs1 !== 0, lo, hi, this.priv)) return this.illegal(insn);
    if (rd !== 0) {
      x[2 * rd] = csrs.lo;
      x[2 * rd + 1] = csrs.hi;
    }
    const { changed } = csrs;
    if (changed === 0) return SYS_NEXT;
    const refetch = this.settle();
    const due = (changed & CHANGED_INTERRUPTS) !== 0 && this.interruptDue();
    if (!refetch && !due) return SYS_NEXT;
    this.step(lenBytes);
    return due ? SYS_LEAVE : SYS_JUMP;
  }

  /** After xRET. A reservation does not survive, so that no thread finds another's. */
  private returned(): number {
    this.hart.clearReservation();
    this.settle();
    return this.interruptDue() ? SYS_LEAVE : SYS_JUMP;
  }

  private waitForInterrupt(insn: number, lenBytes: number): number {
    if (this.priv === PRIV_U || (this.priv === PRIV_S && (this.csrs.mstatus & MSTATUS_TW) !== 0)) return this.illegal(insn);
    if (this.interrupts.wakes()) return SYS_NEXT;
    this.step(lenBytes);
    this.waiting = true;
    return SYS_LEAVE;
  }

  private sfenceVma(insn: number): number {
    if (this.priv === PRIV_U || (this.priv === PRIV_S && (this.csrs.mstatus & MSTATUS_TVM) !== 0)) return this.illegal(insn);
    const rs1 = (insn >>> 15) & 31, rs2 = (insn >>> 20) & 31, { x } = this.hart;
    const asid = rs2 === 0 ? -1 : x[2 * rs2]! & 0xffff;
    if (rs1 !== 0) {
      this.fences.va++;
      this.mmu.fenceVa(x[2 * rs1]!, x[2 * rs1 + 1]!, asid);
    } else if (asid >= 0) {
      this.fenceAsid(asid);
    } else {
      this.fenceAll();
    }
    // What runs goes on to the end of its page by its old translation unless it is fetched anew.
    this.step(4);
    return SYS_JUMP;
  }
}
