// Invalidations on their way to the TLB (uvm-spec 6.5). They collect, one address space at a time, until `complete`; many
// of one space become one fence of its ASID. Kernel pages are global: their fence names no ASID.
import type { Asids } from "./asid.ts";
import type { Pmap } from "./pmap.ts";

/** The hart's fences. asid -1: any, and global entries too. */
export interface FencePort {
  fenceVa(va: number, asid: number): void;
  fenceAsid(asid: number): void;
  fenceAll(): void;
}

const MOST = 32, PAGE_SIZE = 4096, ANY_ASID = -1;

export class TlbFlush {
  readonly stats = { fenceVa: 0, fenceAsid: 0, fenceAll: 0, shootdowns: 0 };
  private readonly hart: FencePort;
  private readonly asids: Asids;
  private pm: Pmap | null = null;
  private readonly vpns = new Int32Array(MOST);
  private count = 0;

  constructor(hart: FencePort, asids: Asids) {
    this.hart = hart;
    this.asids = asids;
  }

  /** A valid PTE changed. */
  collect(pm: Pmap, vpn: number): void {
    if (!this.asids.isLive(pm)) return;
    if (this.pm !== pm) {
      this.complete();
      this.pm = pm;
    }
    if (this.count < MOST) this.vpns[this.count] = vpn;
    this.count++;
  }

  /** Everything collected takes effect. */
  complete(): void {
    const { pm, count } = this;
    if (pm === null || count === 0) return;
    this.pm = null;
    this.count = 0;
    this.stats.shootdowns++;
    if (count <= MOST) for (let i = 0; i < count; i++) this.now(pm, this.vpns[i]!);
    else if (pm.isKernel) this.all();
    else {
      this.stats.fenceAsid++;
      this.hart.fenceAsid(pm.asid);
    }
  }

  /** Fences one page at once. */
  now(pm: Pmap, vpn: number): void {
    if (!this.asids.isLive(pm)) return;
    this.stats.fenceVa++;
    this.hart.fenceVa(vpn * PAGE_SIZE, pm.isKernel ? ANY_ASID : pm.asid);
  }

  all(): void {
    this.stats.fenceAll++;
    this.hart.fenceAll();
  }

  /** The address space goes away, or takes another ASID: its entries can no longer be used, so nothing needs a fence. */
  forget(pm: Pmap): void {
    if (this.pm !== pm) return;
    this.pm = null;
    this.count = 0;
  }
}
