// The virtual memory of one kernel: everything it owns, and how it starts.
//
//   boot:  frames of RAM ─► Pages ─► PmapModule (takes its tables from Pages; direct map) ─► kernel map
//
// Free functions take a Uvm, or find it from the map they work on. There is no module-level state.
import { KASSERT } from "../lib/kassert.ts";
import type { KContext } from "../lib/kthread.ts";
import type { Hal } from "../hal/hal.ts";
import { type Pmap, PmapModule, type PmapPages } from "../hal/pmap.ts";
import { UserCopy } from "../hal/usercopy.ts";
import type { Amap } from "./amap.ts";
import { Anons } from "./anon.ts";
import { FaultInfo } from "./fault.ts";
import { Hooks } from "./hooks.ts";
import { MAP_INTRSAFE, VmMap } from "./map.ts";
import type { UvmObject } from "./object.ts";
import { type Frames, PAGE_SIZE, Pages, PGA_USERESERVE, PGA_ZERO, PG_RDONLY, PQ_FREE, PRIV_PTABLE } from "./page.ts";
import { PageDaemon } from "./pdaemon.ts";
import { Uvmexp } from "./stat.ts";
import type { Vmspace } from "./vmspace.ts";

/** Physical address of frame 0. */
export const RAM_BASE = 0x80000000;
/** Kernel addresses for wired memory: the 1 GiB below the last. */
export const VM_MIN_KERNEL = -(2 ** 31), VM_MAX_KERNEL = -(2 ** 30);

/** Frames, as [first, end), that hold something else: nobody may allocate them. */
export type ReservedFrames = readonly (readonly [number, number])[];

export class Uvm {
  readonly ctx: KContext;
  readonly exp = new Uvmexp();
  readonly pages: Pages;
  readonly anons: Anons;
  readonly pmap: PmapModule;
  readonly hooks: Hooks;
  readonly pdaemon: PageDaemon;
  readonly kernelMap: VmMap;
  /** Everything alive, for the checker, ddb, and in time swapoff. */
  readonly vmspaces = new Set<Vmspace>();
  readonly amaps = new Set<Amap>();
  readonly aobjs = new Set<UvmObject>();
  /** The record of uvmFaultFast, which cannot be interrupted. */
  readonly fastFault: FaultInfo;
  /** Copies from and to user memory; set by uvmInit. */
  user!: UserCopy;

  constructor(ctx: KContext, frames: Frames, reserved: ReservedFrames, makePmap: (pages: PmapPages) => PmapModule) {
    const nframes = frames.npages;
    this.ctx = ctx;
    this.pages = new Pages(ctx, this.exp, frames);
    this.anons = new Anons(ctx, this.pages, nframes);
    this.pages.anons = this.anons;
    const isReserved = (pg: number): boolean => pg === 0 || reserved.some(([first, end]) => pg >= first && pg < end);
    for (let pg = 0; pg < nframes; pg++) if (!isReserved(pg)) this.pages.manage(pg);
    setLimits(this.exp);
    this.hooks = new Hooks(this);
    this.pmap = makePmap(this.pmapPages());
    this.pages.pmap = this.pmap;
    this.pdaemon = new PageDaemon(this);
    this.pages.kickPagedaemon = () => this.pdaemon.kick();
    this.kernelMap = new VmMap(this, this.pmap.kernelPmap, VM_MIN_KERNEL, VM_MAX_KERNEL, MAP_INTRSAFE);
    this.fastFault = new FaultInfo(this);
  }

  /** What the pmap needs from the page allocator. */
  private pmapPages(): PmapPages {
    const { pages } = this;
    return {
      allocTablePage: (kernel) => pages.allocPrivate(PRIV_PTABLE, PGA_ZERO | (kernel ? PGA_USERESERVE : 0)),
      freeTablePage: (pg) => pages.freePrivate(pg),
      assertMayMapWrite: (pg) => {
        const ok = pages.loanCount[pg] === 0 && (pages.flags[pg]! & PG_RDONLY) === 0 && (pages.pqflags[pg]! & PQ_FREE) === 0;
        KASSERT(ok, "a loaned, read-only or free page is mapped writable");
      },
      isManaged: (pg) => pages.managed[pg] === 1,
    };
  }

  paOf(pg: number): number {
    return RAM_BASE + pg * PAGE_SIZE;
  }

  pgOf(pa: number): number {
    return Math.floor((pa - RAM_BASE) / PAGE_SIZE);
  }

  /** The frame mapped at va, 0 none. */
  pageAt(pm: Pmap, va: number): number {
    const pa = this.pmap.pmapExtract(pm, va);
    return pa < RAM_BASE ? 0 : this.pgOf(pa);
  }
}

/** The limits of uvm-spec section 0 for this much memory. */
function setLimits(exp: Uvmexp): void {
  const clamp = (n: number, lo: number, hi: number): number => Math.min(Math.max(n, lo), hi);
  // Tiny machines, as tests have them, keep a margin in proportion.
  const low = Math.min(32, Math.floor(exp.npages / 16));
  exp.freemin = Math.max(clamp(Math.floor(exp.npages / 200), low, 256), exp.reserveKernel + 1);
  exp.freetarg = Math.max(Math.floor(exp.freemin * 4 / 3), exp.freemin + 1);
  exp.wiredmax = Math.floor(exp.npages / 3);
}

/** Starts the virtual memory on a machine: takes all RAM but frame 0, the device tree and the initrd. */
export function uvmInit(hal: Hal, ctx: KContext): Uvm {
  const { machine } = hal, frames = (pa: number, len: number): readonly [number, number] =>
    [Math.floor((pa - RAM_BASE) / PAGE_SIZE), Math.ceil((pa + len - RAM_BASE) / PAGE_SIZE)];
  const reserved = [frames(machine.fdtPa, machine.fdt.length)];
  if (machine.initrd) reserved.push(frames(machine.initrd.pa, machine.initrd.len));
  const uvm = new Uvm(ctx, hal.mem, reserved, (pages) => new PmapModule(hal, ctx, pages));
  hal.pmap = uvm.pmap;
  uvm.user = new UserCopy(hal.mem, uvm.pmap);
  return uvm;
}
