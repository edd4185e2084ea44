// The CSR instructions: who may touch which register, and what read-modify-write means for each.
import type { Csrs } from "./csr.ts";
import {
  CYCLE, FCSR, FFLAGS, IRQ_SEI, MIP, MSTATUS_TVM, PRIV_M, PRIV_S, PRIV_U, SATP, SIP, STIMECMP,
} from "./csrnum.ts";

export const CSR_WRITE = 1, CSR_SET = 2, CSR_CLEAR = 3;

const COUNTER_TM = 2;

/** Whether an instruction at privilege `priv` may read, and with `writes` write, register `n`, if it exists. */
export function csrAllowed(csrs: Csrs, n: number, priv: number, writes: boolean): boolean {
  if (((n >>> 8) & 3) > priv) return false;
  if (writes && n >>> 10 === 3) return false;
  if (n >= FFLAGS && n <= FCSR) return csrs.float.fs !== 0;
  if (n >>> 5 === CYCLE >>> 5) {
    const bit = 1 << (n & 31);
    if (priv < PRIV_M && (csrs.mcounteren & bit) === 0) return false;
    return priv !== PRIV_U || (csrs.scounteren & bit) !== 0;
  }
  if (n === SATP) return !(priv === PRIV_S && (csrs.mstatus & MSTATUS_TVM) !== 0);
  if (n === STIMECMP) return priv === PRIV_M || (csrs.interrupts.sstc && (csrs.mcounteren & COUNTER_TM) !== 0);
  return true;
}

/**
 * Performs csrrw, csrrs or csrrc. The old value is left in csrs.lo and csrs.hi, also after a write.
 *
 * => op is CSR_WRITE, CSR_SET or CSR_CLEAR; `writes` is false for csrrs and csrrc with x0 or 0
 * => false: illegal instruction, nothing changed
 */
export function csrExecute(csrs: Csrs, n: number, op: number, writes: boolean, lo: number, hi: number, priv: number): boolean {
  if (!csrAllowed(csrs, n, priv, writes) || !csrs.read(n)) return false;
  if (!writes) return true;
  const oldLo = csrs.lo, oldHi = csrs.hi;
  let baseLo = oldLo;
  // The PLIC's wire shows in SEIP, but is no part of what csrrs and csrrc modify.
  if ((n === MIP || n === SIP) && op !== CSR_WRITE) baseLo = (oldLo & ~(1 << IRQ_SEI)) | (csrs.interrupts.soft & (1 << IRQ_SEI));
  if (op === CSR_SET) {
    lo |= baseLo;
    hi |= oldHi;
  } else if (op === CSR_CLEAR) {
    lo = baseLo & ~lo;
    hi = oldHi & ~hi;
  }
  csrs.counters.bias = 1;
  csrs.write(n, lo, hi);
  csrs.counters.bias = 0;
  csrs.lo = oldLo;
  csrs.hi = oldHi;
  return true;
}
