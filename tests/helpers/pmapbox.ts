// PmapBox: page tables, and a hart that tries single accesses through them. The pmap is the kernel's own, on a machine that has
// nothing else. Loads and stores are instructions of M-mode with borrowed rights (MPRV), so that no page of the address space
// under test holds code; fetches are one instruction in the mode itself.
import { Machine, type AdMode, type TlbMode, MCAUSE, MENVCFG, MSTATUS, MTVEC } from "../../emu/machine.ts";
import { MSTATUS_MPRV, MSTATUS_SUM } from "../../emu/hart/csrnum.ts";
import { Hal } from "../../kernel/hal/hal.ts";
import { type Pmap, PMAP_CANFAIL, type PmapModule, PTE_R, PTE_W, PTE_X } from "../../kernel/hal/pmap.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../kernel/hal/prot.ts";
import { KContext } from "../../kernel/lib/kthread.ts";
import { PRIV_BUFFER } from "../../kernel/uvm/page.ts";
import { RAM_BASE, type Uvm, uvmInit } from "../../kernel/uvm/uvm.ts";

export const PRIV_U = 0, PRIV_S = 1, PAGE = 4096, R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC, RW = R | W;
export const FETCH_FAULT = 12, LOAD_FAULT = 13, STORE_FAULT = 15;
const PRIV_M = 3, A0 = 10, A1 = 11, LBU = 0x0005c503, SB = 0x00a58023, J_SELF = 0x6f, HANDLER = 16, ADUE = 1n << 61n, STOP_BUDGET = 0, DATA_CONTEXT = MSTATUS_MPRV;

export interface PmapBoxOptions { ad?: AdMode; tlb?: TlbMode; npages?: number; asidBits?: number }

/** Who sets A and D, by every TLB. */
export const PMAP_MODES: readonly Required<Pick<PmapBoxOptions, "ad" | "tlb">>[] =
  (["hw", "svadu", "svade"] as const).flatMap((ad) => (["normal", "tiny", "hostile"] as const).map((tlb) => ({ ad, tlb })));

export class PmapBox {
  readonly machine: Machine;
  readonly uvm: Uvm;
  readonly pmap: PmapModule;
  readonly hal: Hal;
  /** What the last load brought. */
  loaded = 0;
  /** Faults that were not fixed by the pmap: what uvm would have been asked. */
  uvmFaults = 0;

  constructor(o: PmapBoxOptions = {}) {
    this.machine = new Machine({
      ramBytes: (o.npages ?? 1024) * PAGE, ad: o.ad ?? "svade", tlb: o.tlb ?? "normal", asidBits: o.asidBits ?? 16, hosted: true,
      console: { read: () => 0, write() {} },
    });
    // Firmware would switch the hart's setting of A and D on.
    if (o.ad === "svadu") this.machine.hart.writeCsr(MENVCFG, ADUE);
    const ctx = new KContext();
    this.hal = new Hal(this.machine, ctx);
    this.uvm = uvmInit(this.hal, ctx);
    this.pmap = this.uvm.pmap;
    this.hal.mem.i32[0] = LBU;
    this.hal.mem.i32[1] = SB;
    this.hal.mem.i32[HANDLER / 4] = J_SELF;
    this.machine.hart.writeCsr(MTVEC, BigInt(RAM_BASE + HANDLER));
    this.machine.hart.codeWritten(RAM_BASE / PAGE);
  }

  /** A frame in use, every byte of which is `fill`. */
  frame(fill = 0): number {
    const pg = this.uvm.pages.allocPrivate(PRIV_BUFFER, 0);
    if (pg === 0) throw new Error("no frame");
    this.hal.mem.page(pg).fill(fill);
    return pg;
  }

  space(): Pmap {
    const pm = this.pmap.pmapCreate();
    if (typeof pm === "number") throw new Error(`no pmap: ${pm}`);
    return pm;
  }

  enter(pm: Pmap, va: number, pg: number, prot: number, flags = prot): number {
    return this.pmap.pmapEnter(pm, va, this.uvm.paOf(pg), prot, flags | PMAP_CANFAIL);
  }

  /** One access with the tables of `pm`, without completing what is to be fenced. => 0, or the cause of its trap */
  try(pm: Pmap, va: number, access: number, priv: number = PRIV_U, byte = 0, sum = false): number {
    this.pmap.pmapActivate(pm);
    return access === X ? this.fetch(va, priv) : this.data(va, access, priv, byte, sum);
  }

  private data(va: number, access: number, priv: number, byte: number, sum: boolean): number {
    const { hart } = this.machine, at = RAM_BASE + (access === W ? 4 : 0);
    hart.control.become(PRIV_M);
    hart.writeCsr(MSTATUS, BigInt((priv << 11) | DATA_CONTEXT | (sum ? MSTATUS_SUM : 0)));
    hart.setReg(A0, byte);
    hart.setReg(A1, va);
    hart.pc = at;
    hart.run(1);
    const cause = hart.pc === at + 4 ? 0 : Number(hart.readCsr(MCAUSE));
    hart.writeCsr(MSTATUS, 0n);
    if (access === R && cause === 0) this.loaded = hart.reg(A0);
    return cause;
  }

  private fetch(va: number, priv: number): number {
    const { hart } = this.machine;
    hart.control.become(priv);
    hart.writeCsr(MSTATUS, 0n);
    hart.pc = va;
    const why = hart.run(1);
    return why === STOP_BUDGET ? 0 : hart.cause;
  }

  /** One access as trap code handles it: a fault goes to pmapFixup, which retries. => 0, or the cause that uvm would get */
  access(pm: Pmap, va: number, access: number, byte = 0): number {
    this.pmap.pmapUpdate(pm);
    for (let i = 0; i < 4; i++) {
      const cause = this.try(pm, va, access, pm.isKernel ? PRIV_S : PRIV_U, byte);
      if (cause === 0) return 0;
      if (this.pmap.pmapFixup(pm, va - (va % PAGE), access)) continue;
      this.uvmFaults++;
      return cause;
    }
    throw new Error(`the access at ${va.toString(16)} faults for ever`);
  }

  load(pm: Pmap, va: number): number {
    return this.access(pm, va, R) === 0 ? this.loaded : -1;
  }

  store(pm: Pmap, va: number, byte: number): number {
    return this.access(pm, va, W, byte);
  }

  /** Low word of the leaf of va; 0 none. */
  pte(pm: Pmap, va: number): number {
    return this.pmap.pmapWalk(pm, va)?.pteLo ?? 0;
  }

  rights(pm: Pmap, va: number): number {
    const pte = this.pte(pm, va);
    return ((pte & PTE_R) !== 0 ? R : 0) | ((pte & PTE_W) !== 0 ? W : 0) | ((pte & PTE_X) !== 0 ? X : 0);
  }
}
