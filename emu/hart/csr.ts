// The control and status registers: what is stored, what reads back, what a write may change.
//
// Values travel as two 32-bit halves in `lo` and `hi`, never as BigInt: kernels enter traps often. Whether the
// current privilege may touch a register at all is decided in csraccess.ts; here every register that exists answers.
import { Counters } from "./counters.ts";
import {
  FFLAGS, FRM, FCSR, SSTATUS, SIE, STVEC, SCOUNTEREN, SENVCFG, SSCRATCH, SEPC, SCAUSE, STVAL, SIP, STIMECMP, SATP, MSTATUS, MISA, MEDELEG,
  MIDELEG, MIE, MTVEC, MCOUNTEREN, MENVCFG, MHPMEVENT3, MSCRATCH, MEPC, MCAUSE, MTVAL, MIP, PMPCFG0, PMPADDR0, TSELECT, TDATA3,
  MHPMCOUNTER3, HPMCOUNTER3, MVENDORID, MARCHID, MIMPID, MHARTID, MCONFIGPTR, MSTATUS_SIE, MSTATUS_MIE, MSTATUS_SPIE,
  MSTATUS_MPIE, MSTATUS_SPP, MSTATUS_MPP, MSTATUS_FS, MSTATUS_MPRV, MSTATUS_SUM, MSTATUS_MXR, MSTATUS_TVM, MSTATUS_TW, MSTATUS_TSR, FS_SHIFT, SSTATUS_WRITABLE, UXL_64,
} from "./csrnum.ts";
import { ALL_INTERRUPTS, SSI, S_INTERRUPTS, type Interrupts } from "./interrupts.ts";
import type { Pmp } from "./pmp.ts";
import { SATP_BARE, SATP_SV39, SATP_SV48 } from "../mmu/walk.ts";

/** The floating-point state, which generated code reads and so lies in the hart's block. */
export interface FloatState {
  fflags: number;
  frm: number;
  /** mstatus.FS: 0 off, 1 initial, 2 clean, 3 dirty. */
  fs: number;
}

/** What a write changed, for whoever keeps derived state. */
export const CHANGED_TRANSLATION = 1, CHANGED_INTERRUPTS = 2, CHANGED_PMP = 4;
/** Bits of mstatus that translation depends on. */
const TRANSLATES = MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_SUM | MSTATUS_MXR;

const MSTATUS_WRITABLE = MSTATUS_SIE | MSTATUS_MIE | MSTATUS_SPIE | MSTATUS_MPIE | MSTATUS_SPP | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR
  | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR;
/** UXL and SXL say 64 bits; sstatus shows UXL alone. */
const SXL_64 = UXL_64 << 2, SD = 1 << 31;
/** All exceptions below 16 but those from M-mode, and the reserved ones. */
const MEDELEG_WRITABLE = 0xb3ff;
const MISA_LO = "ACDFIMSU".split("").reduce((bits, letter) => bits | (1 << (letter.charCodeAt(0) - 65)), 0), MISA_HI = 2 << 30;
const ENVCFG_FIOM = 1, MENVCFG_HI_ADUE = 1 << 29, MENVCFG_HI_STCE = 1 << 31;
const HPM_COUNT = 29;

/** Places in Csrs.wide. */
export const K_STVEC = 0, K_SSCRATCH = 1, K_SEPC = 2, K_SCAUSE = 3, K_STVAL = 4, K_MTVEC = 5, K_MSCRATCH = 6, K_MEPC = 7, K_MCAUSE = 8,
  K_MTVAL = 9;
const K_COUNT = 10;

export interface CsrOptions {
  readonly hartId: number;
  readonly asidBits: number;
  /** menvcfg.ADUE exists. */
  readonly svadu: boolean;
}

export class Csrs {
  /** The halves of the last read. */
  lo = 0;
  hi = 0;
  /** CHANGED_* since someone last cleared it. */
  changed = 0;

  medeleg = 0;
  mcounteren = 0;
  scounteren = 0;
  menvcfgLo = 0;
  menvcfgHi = 0;
  senvcfg = 0;
  satpLo = 0;
  satpHi = 0;
  /** 64-bit registers that store what is written: [2k] low, [2k+1] high, k one of the K_ below. */
  readonly wide = new Int32Array(2 * K_COUNT);

  /** One word, which generated code reads and writes: see `mstatus`. */
  private readonly status: Int32Array;
  readonly float: FloatState;
  readonly interrupts: Interrupts;
  readonly pmp: Pmp;
  readonly counters: Counters;
  private readonly options: CsrOptions;

  /** => status: the word of the hart's block that holds mstatus */
  constructor(status: Int32Array, float: FloatState, interrupts: Interrupts, pmp: Pmp, counters: Counters, options: CsrOptions) {
    this.status = status;
    this.float = float;
    this.interrupts = interrupts;
    this.pmp = pmp;
    this.counters = counters;
    this.options = options;
  }

  reset(): void {
    this.mstatus = this.medeleg = this.mcounteren = this.scounteren = this.menvcfgLo = this.menvcfgHi = this.senvcfg = 0;
    this.satpLo = this.satpHi = 0;
    this.wide.fill(0);
    this.float.fflags = this.float.frm = this.float.fs = 0;
    this.interrupts.reset();
    this.pmp.reset();
    this.counters.reset();
    this.changed = CHANGED_TRANSLATION | CHANGED_INTERRUPTS | CHANGED_PMP;
  }

  /** mstatus without FS and the fixed fields. */
  get mstatus(): number { return this.status[0]!; }
  set mstatus(v: number) { this.status[0] = v; }

  /** Whether menvcfg lets the hart set A and D in page tables. */
  get adue(): boolean {
    return (this.menvcfgHi & MENVCFG_HI_ADUE) !== 0;
  }

  /** Reads a register into lo and hi. => false when there is no such register */
  read(n: number): boolean {
    this.hi = 0;
    switch (n) {
      case FFLAGS: return this.give(this.float.fflags);
      case FRM: return this.give(this.float.frm);
      case FCSR: return this.give((this.float.frm << 5) | this.float.fflags);
      case SSTATUS: return this.giveStatus(SSTATUS_WRITABLE, UXL_64);
      case MSTATUS: return this.giveStatus(-1, UXL_64 | SXL_64);
      case SIE: return this.give(this.interrupts.mie & this.interrupts.mideleg);
      case SIP: return this.give(this.interrupts.mip & this.interrupts.mideleg);
      case MIE: return this.give(this.interrupts.mie);
      case MIP: return this.give(this.interrupts.mip);
      case MIDELEG: return this.give(this.interrupts.mideleg);
      case MEDELEG: return this.give(this.medeleg);
      case STVEC: return this.giveWide(K_STVEC);
      case SSCRATCH: return this.giveWide(K_SSCRATCH);
      case SEPC: return this.giveWide(K_SEPC);
      case SCAUSE: return this.giveWide(K_SCAUSE);
      case STVAL: return this.giveWide(K_STVAL);
      case MTVEC: return this.giveWide(K_MTVEC);
      case MSCRATCH: return this.giveWide(K_MSCRATCH);
      case MEPC: return this.giveWide(K_MEPC);
      case MCAUSE: return this.giveWide(K_MCAUSE);
      case MTVAL: return this.giveWide(K_MTVAL);
      case SATP: return this.give(this.satpLo, this.satpHi);
      case SCOUNTEREN: return this.give(this.scounteren);
      case MCOUNTEREN: return this.give(this.mcounteren);
      case SENVCFG: return this.give(this.senvcfg);
      case MENVCFG: return this.give(this.menvcfgLo, this.menvcfgHi);
      case MISA: return this.give(MISA_LO, MISA_HI);
      case MHARTID: return this.give(this.options.hartId);
      case MVENDORID: case MARCHID: case MIMPID: case MCONFIGPTR: return this.give(0);
      default: return this.readNumbered(n);
    }
  }

  /** Writes a register, each field by its own rule. => false when there is no such register */
  write(n: number, lo: number, hi: number): boolean {
    switch (n) {
      case FFLAGS: this.writeFloat(lo & 31, this.float.frm); break;
      case FRM: this.writeFloat(this.float.fflags, lo & 7); break;
      case FCSR: this.writeFloat(lo & 31, (lo >>> 5) & 7); break;
      case SSTATUS: this.writeStatus(lo, SSTATUS_WRITABLE); break;
      case MSTATUS: this.writeStatus(lo, MSTATUS_WRITABLE); this.writeMpp(lo); break;
      case SIE: this.writeInterruptEnable(lo, this.interrupts.mideleg); break;
      case MIE: this.writeInterruptEnable(lo, ALL_INTERRUPTS); break;
      case SIP: this.writePending(lo, SSI & this.interrupts.mideleg); break;
      case MIP: this.writePending(lo, this.interrupts.writableMip()); break;
      case MIDELEG: this.interrupts.mideleg = lo & S_INTERRUPTS; this.changed |= CHANGED_INTERRUPTS; break;
      case MEDELEG: this.medeleg = lo & MEDELEG_WRITABLE; break;
      case STVEC: this.putWide(K_STVEC, lo & ~2, hi); break;
      case MTVEC: this.putWide(K_MTVEC, lo & ~2, hi); break;
      case SSCRATCH: this.putWide(K_SSCRATCH, lo, hi); break;
      case MSCRATCH: this.putWide(K_MSCRATCH, lo, hi); break;
      case SEPC: this.putWide(K_SEPC, lo & ~1, hi); break;
      case MEPC: this.putWide(K_MEPC, lo & ~1, hi); break;
      case SCAUSE: this.putWide(K_SCAUSE, lo, hi); break;
      case MCAUSE: this.putWide(K_MCAUSE, lo, hi); break;
      case STVAL: this.putWide(K_STVAL, lo, hi); break;
      case MTVAL: this.putWide(K_MTVAL, lo, hi); break;
      case SATP: this.writeSatp(lo, hi); break;
      case SCOUNTEREN: this.scounteren = lo; break;
      case MCOUNTEREN: this.mcounteren = lo; break;
      case SENVCFG: this.senvcfg = lo & ENVCFG_FIOM; break;
      case MENVCFG: this.writeMenvcfg(lo, hi); break;
      case MISA: case MVENDORID: case MARCHID: case MIMPID: case MHARTID: case MCONFIGPTR: break;
      default: return this.writeNumbered(n, lo, hi);
    }
    return true;
  }

  private give(lo: number, hi = 0): true {
    this.lo = lo;
    this.hi = hi;
    return true;
  }

  private giveWide(k: number): true {
    return this.give(this.wide[2 * k]!, this.wide[2 * k + 1]!);
  }

  private putWide(k: number, lo: number, hi: number): void {
    this.wide[2 * k] = lo;
    this.wide[2 * k + 1] = hi;
  }

  private giveStatus(mask: number, xl: number): true {
    const fs = this.float.fs;
    return this.give((this.mstatus & mask) | (fs << FS_SHIFT), fs === 3 ? xl | SD : xl);
  }

  /** The registers that come in numbered series: PMP, counters, triggers. */
  private readNumbered(n: number): boolean {
    if (n === PMPCFG0 || n === PMPCFG0 + 2) {
      const cfg = this.pmp.cfg, at = (n - PMPCFG0) * 4;
      const word = (i: number) => cfg[i]! | (cfg[i + 1]! << 8) | (cfg[i + 2]! << 16) | (cfg[i + 3]! << 24);
      return this.give(word(at), word(at + 4));
    }
    if (n >= PMPADDR0 && n < PMPADDR0 + 16) return this.give(this.pmp.readAddrLo(n - PMPADDR0) | 0, this.pmp.readAddrHi(n - PMPADDR0));
    if (readsZero(n)) return this.give(0);
    const counters = this.counters;
    if (!counters.read(n)) return false;
    return this.give(counters.lo, counters.hi);
  }

  private writeNumbered(n: number, lo: number, hi: number): boolean {
    if (n === PMPCFG0 || n === PMPCFG0 + 2) {
      const at = (n - PMPCFG0) * 4;
      for (let i = 0; i < 8; i++) this.pmp.writeCfg(at + i, ((i < 4 ? lo : hi) >>> (8 * (i & 3))) & 0xff);
      this.changed |= CHANGED_PMP;
      return true;
    }
    if (n >= PMPADDR0 && n < PMPADDR0 + 16) {
      this.pmp.writeAddr(n - PMPADDR0, lo, hi);
      this.changed |= CHANGED_PMP;
      return true;
    }
    if (readsZero(n)) return true;
    if (n === STIMECMP) this.changed |= CHANGED_INTERRUPTS;
    return this.counters.write(n, lo, hi);
  }

  private writeFloat(fflags: number, frm: number): void {
    this.float.fflags = fflags;
    this.float.frm = frm;
    this.float.fs = 3;
  }

  private writeStatus(lo: number, mask: number): void {
    const before = this.mstatus;
    this.mstatus = (before & ~mask) | (lo & mask);
    this.float.fs = (lo & MSTATUS_FS) >>> FS_SHIFT;
    // Kernels switch interrupts off and on all the time: that leaves translation alone.
    this.changed |= CHANGED_INTERRUPTS;
    if (((before ^ this.mstatus) & TRANSLATES) !== 0) this.changed |= CHANGED_TRANSLATION;
  }

  /** Privilege 2 does not exist: writing it keeps the old field. */
  private writeMpp(lo: number): void {
    if ((lo & MSTATUS_MPP) === 2 << 11 || ((lo ^ this.mstatus) & MSTATUS_MPP) === 0) return;
    this.mstatus = (this.mstatus & ~MSTATUS_MPP) | (lo & MSTATUS_MPP);
    this.changed |= CHANGED_TRANSLATION;
  }

  private writeInterruptEnable(lo: number, mask: number): void {
    this.interrupts.mie = (this.interrupts.mie & ~mask) | (lo & mask);
    this.changed |= CHANGED_INTERRUPTS;
  }

  private writePending(lo: number, mask: number): void {
    this.interrupts.soft = (this.interrupts.soft & ~mask) | (lo & mask);
    this.changed |= CHANGED_INTERRUPTS;
  }

  /** A mode the hart lacks leaves the whole register as it was. */
  private writeSatp(lo: number, hi: number): void {
    const mode = hi >>> 28;
    if (mode !== SATP_BARE && mode !== SATP_SV39 && mode !== SATP_SV48) return;
    const asidMask = (1 << this.options.asidBits) - 1;
    const asid = (hi >>> 12) & 0xffff & asidMask;
    this.satpLo = lo;
    this.satpHi = (mode << 28) | (asid << 12) | (hi & 0xfff);
    this.changed |= CHANGED_TRANSLATION;
  }

  private writeMenvcfg(lo: number, hi: number): void {
    this.menvcfgLo = lo & ENVCFG_FIOM;
    this.menvcfgHi = hi & (MENVCFG_HI_STCE | (this.options.svadu ? MENVCFG_HI_ADUE : 0));
    this.interrupts.sstc = (hi & MENVCFG_HI_STCE) !== 0;
    this.changed |= CHANGED_TRANSLATION | CHANGED_INTERRUPTS;
  }
}

/** Registers that exist and hold nothing: event selectors and their counters, triggers, mcountinhibit's neighbours. */
function readsZero(n: number): boolean {
  return (n >= MHPMEVENT3 && n < MHPMEVENT3 + HPM_COUNT) || (n >= MHPMCOUNTER3 && n < MHPMCOUNTER3 + HPM_COUNT)
    || (n >= HPMCOUNTER3 && n < HPMCOUNTER3 + HPM_COUNT) || (n >= TSELECT && n <= TDATA3);
}
