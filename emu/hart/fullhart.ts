// The hart as the machine and a hosted supervisor see it: registers and run loop (hart.ts) with the supervisor's verbs
// (privileged.ts).
import { Csrs } from "./csr.ts";
import { Counters } from "./counters.ts";
import { IRQ_STI } from "./csrnum.ts";
import { Hart } from "./hart.ts";
import { Interrupts } from "./interrupts.ts";
import { HART_BASE, HART_STRIDE, RAM_OFFSET, STATUS } from "./layout.ts";
import { Pmp } from "./pmp.ts";
import { type AdMode, Privileged } from "./privileged.ts";
import type { Bus } from "../bus/bus.ts";
import { Checker } from "../jit/checker.ts";
import { TABLE_SLOTS } from "../jit/core.ts";
import { Engine } from "../jit/engine.ts";
import type { Tuning } from "../jit/tuning.ts";
import { Mmu } from "../mmu/mmu.ts";
import { Tlb } from "../mmu/tlb.ts";
import { Walker } from "../mmu/walk.ts";
import { WalkCache } from "../mmu/walkcache.ts";
import type { Timebase } from "../time/timebase.ts";

const RAM_PFN = 0x80000;

/** normal; tiny: 4 entries; hostile: never forgets by itself. */
export type TlbMode = "normal" | "tiny" | "hostile";

/** interp: every instruction is interpreted. jit: what is hot is translated. check: the same, and each translation is compared with the interpreter. */
export type EngineMode = "interp" | "jit" | "check";

export interface HartConfig {
  hosted: boolean;
  ad: AdMode;
  tlb: TlbMode;
  asidBits: number;
  engine: EngineMode;
  tuning?: Partial<Tuning> | undefined;
}

export class FullHart extends Hart {
  /** Traps, CSRs, interrupts. */
  control!: Privileged;
  mmu!: Mmu;

  /** Builds CSRs, MMU and TLB around the hart. => called once, before anything else */
  assemble(bus: Bus, timebase: Timebase, config: HartConfig): void {
    const buffer = this.memory.buffer, pmp = new Pmp(), interrupts = new Interrupts();
    const stimecmp = timebase.comparator((level) => this.setInterruptLine(IRQ_STI, level));
    const counters = new Counters(this, timebase, stimecmp);
    const hartBlock = HART_BASE + this.id * HART_STRIDE, status = new Int32Array(buffer, hartBlock + STATUS, 1);
    const csrs = new Csrs(status, this.float, interrupts, pmp, counters, { hartId: this.id, asidBits: config.asidBits, svadu: config.ad === "svadu" });
    // What tests and the checker want to see each time, refill would do unseen.
    const cache = new WalkCache(buffer, this.id, bus.ram.size, config.tlb === "normal" && config.engine !== "check");
    const walker = new Walker(bus.ram, pmp, config.tlb === "normal" ? cache : null), tlb = new Tlb(buffer, this.id, config.tlb === "tiny");
    walker.onPteStore = (pa) => this.code.storeTo(pa - bus.ram.base, 8);
    this.mmu = new Mmu({ buffer, hartBlock, bus, pmp, walker, cache, tlb, code: this.code, hostile: config.tlb === "hostile" });
    const { mmu } = this;
    const engine = config.engine === "interp" ? null : this.makeEngine(config.engine === "check", config.tuning);
    if (engine !== null) {
      tlb.onForget = (context) => engine.renew(context);
      tlb.onFence = (context, va, level) => engine.fenced(context, va, level);
      mmu.onContext = (context) => engine.setContext(context);
    }
    this.control = new Privileged(this, csrs, mmu, { hosted: config.hosted, ad: config.ad, engine });
  }

  private makeEngine(isChecked: boolean, tuning: Partial<Tuning> | undefined): Engine {
    const { memory, mmu } = this, hartBlock = HART_BASE + this.id * HART_STRIDE;
    const table = new WebAssembly.Table({ element: "anyfunc", initial: TABLE_SLOTS, maximum: TABLE_SLOTS });
    const checker = isChecked ? new Checker({ memory, hartBlock, table, forgetWrites: () => mmu.tlb.dropAllWrites() }) : null;
    if (checker !== null) mmu.onWritable = (page) => checker.writable(page);
    return new Engine({ memory, hartBlock, table, code: this.code, map: mmu, checker, tuning });
  }

  /** U 0, S 1, M 3. */
  get priv(): number { return this.control.priv; }

  setSatp(rootPfn: number, asid: number): void { this.control.setSatp(rootPfn, asid); }
  /** => asid -1: all address spaces, and global pages */
  fenceVa(va: number, asid: number): void { this.control.fenceVa(va, asid); }
  fenceAsid(asid: number): void { this.control.fenceAsid(asid); }
  fenceAll(): void { this.control.fenceAll(); }

  /** The host stored into the RAM page with this (absolute) frame number. */
  codeWritten(pfn: number): void {
    this.code.written(pfn - RAM_PFN);
  }

  readCsr(n: number): bigint { return this.control.readCsr(n); }
  writeCsr(n: number, value: bigint): void { this.control.writeCsr(n, value); }

  /** Drives a bit of mip: 1 SSI, 3 MSI, 5 STI, 7 MTI, 9 SEI, 11 MEI. */
  setInterruptLine(bit: number, level: boolean): void {
    this.control?.setInterruptLine(bit, level);
  }

  /** Physical address of the page whose records begin at `records`; for questions about the TLB. */
  frameOfRecords(records: number): number {
    return this.code.ramOffsetOf(records) + RAM_PFN * 4096;
  }

  /** Stores to the page of a physical address are told of after they are done. */
  watch(pa: number, onStore: () => void): void {
    this.mmu.watch((pa - RAM_PFN * 4096 & ~4095) + RAM_OFFSET, onStore);
  }
}
