// Which interrupts are pending, and which one a hart would take now.
//
//   mip = wires (CLINT, PLIC, stimecmp)  |  bits software set (SSIP, STIP, SEIP)
//
// SEIP is both: the wire of the PLIC or-ed with a bit M-mode sets. STIP is a wire under Sstc, else software's.
import { IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI, MSTATUS_MIE, MSTATUS_SIE, PRIV_M, PRIV_S } from "./csrnum.ts";

export const SSI = 1 << IRQ_SSI, MSI = 1 << IRQ_MSI, STI = 1 << IRQ_STI, MTI = 1 << IRQ_MTI, SEI = 1 << IRQ_SEI, MEI = 1 << IRQ_MEI;
export const S_INTERRUPTS = SSI | STI | SEI;
export const ALL_INTERRUPTS = S_INTERRUPTS | MSI | MTI | MEI;
/** Highest priority first, as the privileged architecture orders them. */
const PRIORITY: readonly number[] = [IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI];

export class Interrupts {
  /** Levels of the wires. */
  wires = 0;
  /** Bits written by software. */
  soft = 0;
  mie = 0;
  mideleg = 0;
  /** menvcfg.STCE: stimecmp drives STIP, and software cannot. */
  sstc = false;

  get mip(): number {
    return this.sstc ? this.wires | (this.soft & ~STI) : (this.wires & ~STI) | this.soft;
  }

  setWire(irq: number, level: boolean): void {
    if (level) this.wires |= 1 << irq;
    else this.wires &= ~(1 << irq);
  }

  /** The bits of mip that M-mode's software can write now. */
  writableMip(): number {
    return this.sstc ? SSI | SEI : SSI | STI | SEI;
  }

  /** Enabled and pending, whatever the privilege: what ends a wfi. */
  wakes(): boolean {
    return (this.mip & this.mie) !== 0;
  }

  /** => the cause of the interrupt that a hart in this state takes before its next instruction, or -1 */
  takeable(priv: number, mstatus: number): number {
    const ready = this.mip & this.mie;
    if (ready === 0) return -1;
    let enabled = 0;
    if (priv < PRIV_M || (mstatus & MSTATUS_MIE) !== 0) enabled = ready & ~this.mideleg;
    // Interrupts of a more privileged mode come first, whatever their number.
    if (enabled === 0 && (priv < PRIV_S || (priv === PRIV_S && (mstatus & MSTATUS_SIE) !== 0))) enabled = ready & this.mideleg;
    if (enabled === 0) return -1;
    for (const irq of PRIORITY) if ((enabled & (1 << irq)) !== 0) return irq;
    return -1;
  }

  reset(): void {
    this.soft = this.mie = this.mideleg = 0;
    this.sstc = false;
  }
}
