// Address-space identifiers. ASID 0 is the kernel's own map. When all are given out a new generation begins: everything is
// fenced once, and each pmap takes a new one the next time it is activated (uvm-spec 6.5 rule 5).
import type { Pmap } from "./pmap.ts";

export class Asids {
  generation = 1;
  private next = 1;
  private readonly count: number;
  private readonly fenceAll: () => void;

  /** => bits 0: no ASIDs at all, and each switch fences */
  constructor(bits: number, fenceAll: () => void) {
    this.count = 2 ** bits;
    this.fenceAll = fenceAll;
  }

  /** Gives the pmap an ASID of this generation. => called when it becomes active */
  assign(pm: Pmap): void {
    if (pm.isKernel) return;
    if (this.count === 1) return this.fenceAll();
    if (pm.generation === this.generation) return;
    if (this.next === this.count) {
      this.generation++;
      this.next = 1;
      this.fenceAll();
    }
    pm.asid = this.next++;
    pm.generation = this.generation;
  }

  /** Whether the TLB may hold something of the pmap. */
  isLive(pm: Pmap): boolean {
    return pm.isKernel || this.count === 1 || pm.generation === this.generation;
  }

  /** The pmap's mappings are forgotten by giving it another ASID the next time. */
  drop(pm: Pmap): void {
    pm.generation = 0;
  }
}
