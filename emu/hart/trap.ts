// Entering traps and returning from them, as the privileged architecture has it.
//
//   enter M    mepc, mcause, mtval; MPP = priv, MPIE = MIE, MIE = 0; pc = mtvec (+ 4 * cause for vectored interrupts)
//   enter S    the same with s-registers; SPP, SPIE, SIE
//   mret       priv = MPP, MIE = MPIE, MPIE = 1, MPP = U; MPRV = 0 unless it returns to M
//   sret       priv = SPP, SIE = SPIE, SPIE = 1, SPP = U; MPRV = 0
import { CHANGED_INTERRUPTS, CHANGED_TRANSLATION, type Csrs, K_MCAUSE, K_MEPC, K_MTVAL, K_MTVEC, K_SCAUSE, K_SEPC, K_STVAL, K_STVEC } from "./csr.ts";
import {
  MPP_SHIFT, MSTATUS_MIE, MSTATUS_MPIE, MSTATUS_MPP, MSTATUS_MPRV, MSTATUS_SIE, MSTATUS_SPIE, MSTATUS_SPP, MSTATUS_TSR, PRIV_M, PRIV_S, PRIV_U,
  SPP_SHIFT,
} from "./csrnum.ts";

const INTERRUPT = 1 << 31;
const TWO32 = 4294967296;

/** The part of a hart that traps move. */
export interface TrapState {
  pcLo: number;
  pcHi: number;
  priv: number;
}

/** Whether a trap taken at `priv` enters S-mode. */
export function isDelegated(csrs: Csrs, cause: number, interrupt: boolean, priv: number): boolean {
  if (priv === PRIV_M) return false;
  const mask = interrupt ? csrs.interrupts.mideleg : csrs.medeleg;
  return ((mask >>> cause) & 1) !== 0;
}

/** Enters a trap: `state.pc` is the interrupted or faulting instruction, and becomes the handler. */
export function enterTrap(csrs: Csrs, state: TrapState, cause: number, interrupt: boolean, tvalLo: number, tvalHi: number): void {
  const toS = isDelegated(csrs, cause, interrupt, state.priv), wide = csrs.wide;
  const epc = 2 * (toS ? K_SEPC : K_MEPC), causeAt = 2 * (toS ? K_SCAUSE : K_MCAUSE), tval = 2 * (toS ? K_STVAL : K_MTVAL);
  wide[epc] = state.pcLo;
  wide[epc + 1] = state.pcHi;
  wide[causeAt] = cause;
  wide[causeAt + 1] = interrupt ? INTERRUPT : 0;
  wide[tval] = tvalLo;
  wide[tval + 1] = tvalHi;
  let status = csrs.mstatus;
  if (toS) {
    status = (status & ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE)) | (state.priv << SPP_SHIFT)
      | ((status & MSTATUS_SIE) !== 0 ? MSTATUS_SPIE : 0);
    state.priv = PRIV_S;
  } else {
    status = (status & ~(MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE)) | (state.priv << MPP_SHIFT)
      | ((status & MSTATUS_MIE) !== 0 ? MSTATUS_MPIE : 0);
    state.priv = PRIV_M;
  }
  csrs.mstatus = status;
  const vector = 2 * (toS ? K_STVEC : K_MTVEC), mode = wide[vector]! & 3;
  const base = (wide[vector]! & ~3) >>> 0, target = base + (mode === 1 && interrupt ? 4 * cause : 0);
  state.pcLo = target | 0;
  state.pcHi = (wide[vector + 1]! + (target >= TWO32 ? 1 : 0)) | 0;
  csrs.changed |= CHANGED_TRANSLATION | CHANGED_INTERRUPTS;
}

/** mret. => false: illegal instruction */
export function returnFromM(csrs: Csrs, state: TrapState): boolean {
  if (state.priv !== PRIV_M) return false;
  let status = csrs.mstatus;
  const previous = (status & MSTATUS_MPP) >>> MPP_SHIFT;
  status = (status & ~(MSTATUS_MIE | MSTATUS_MPP)) | MSTATUS_MPIE | ((status & MSTATUS_MPIE) !== 0 ? MSTATUS_MIE : 0) | (PRIV_U << MPP_SHIFT);
  if (previous !== PRIV_M) status &= ~MSTATUS_MPRV;
  leave(csrs, state, status, previous, K_MEPC);
  return true;
}

/** sret. => false: illegal instruction */
export function returnFromS(csrs: Csrs, state: TrapState): boolean {
  if (state.priv < PRIV_S || (state.priv === PRIV_S && (csrs.mstatus & MSTATUS_TSR) !== 0)) return false;
  let status = csrs.mstatus;
  const previous = (status & MSTATUS_SPP) >>> SPP_SHIFT;
  status = (status & ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV)) | MSTATUS_SPIE | ((status & MSTATUS_SPIE) !== 0 ? MSTATUS_SIE : 0);
  leave(csrs, state, status, previous, K_SEPC);
  return true;
}

function leave(csrs: Csrs, state: TrapState, status: number, priv: number, epc: number): void {
  csrs.mstatus = status;
  state.priv = priv;
  state.pcLo = csrs.wide[2 * epc]!;
  state.pcHi = csrs.wide[2 * epc + 1]!;
  csrs.changed |= CHANGED_TRANSLATION | CHANGED_INTERRUPTS;
}
