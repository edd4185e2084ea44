// The page daemon's first part: file pages age from active to inactive, and those on inactive that nobody touched again are
// written if dirty and freed, by their own pager (uvm-spec 3.18, steps 1 to 4). Anonymous pages have nowhere to go
// until there is swap, so they stay on active; usage minimums, which weigh file against anonymous pages, come with it.
//
//        use                      not used for a turn
//   active ──► inactive head … tail        head: referenced ─► active;  else put(CLEANIT|FREE) ─► free
//
// Lock order: PQ first here, so owners are only tried. While no daemon thread runs (boot, tests) a waiter scans for itself.
import { KASSERT } from "../lib/kassert.ts";
import type { KGen, KThread } from "../lib/kthread.ts";
import { PGO_CLEANIT, PGO_FREE } from "./object.ts";
import { PAGE_SIZE, PG_BUSY, PQ_ANON, PQ_AOBJ, PQ_INACTIVE } from "./page.ts";
import type { Uvm } from "./uvm.ts";

/** Scans in a row that freed nothing before memory counts as not reclaimable. */
const FRUITLESS_MAX = 8;
/** File pages that are always left, at most: 5 MiB. */
const KEEP_PAGES = 5 * 256;

export class PageDaemon {
  private readonly uvm: Uvm;
  /** The daemon's thread, once kern has started it. */
  thread: KThread | null = null;
  /** Waiters for memory sleep here. */
  readonly freeChan = {};
  private isScanning = false;
  fruitless = 0;

  constructor(uvm: Uvm) {
    this.uvm = uvm;
  }

  get isBusy(): boolean {
    return this.isScanning;
  }

  /** Wakes the daemon. */
  kick(): void {
    if (this.thread && !this.isScanning) this.uvm.ctx.wakeup(this);
  }

  /** The daemon's life. Rest point: "pgdaemon". => run by a thread of its own, which becomes this.thread */
  *main(): KGen<never> {
    const { ctx, exp, pages } = this.uvm;
    this.thread = ctx.cur;
    pages.pagedaemon = ctx.cur;
    for (;;) {
      if (!this.isNeeded() && !ctx.hasSleepers(this.freeChan)) yield* ctx.sleep(this, "pgdaemon");
      exp.pdwoke++;
      const freed = yield* this.scan();
      ctx.wakeup(this.freeChan);
      // Nothing to be had: stand aside until somebody frees memory or asks again.
      if (freed === 0) yield* ctx.sleep(this, "pgdaemon");
    }
  }

  private isNeeded(): boolean {
    const { exp } = this.uvm;
    return exp.free + exp.paging < exp.freetarg || exp.inactive < exp.inactarg;
  }

  /** One turn: age, then reclaim. => nothing locked; the number of pages freed */
  *scan(): KGen<number> {
    const { exp } = this.uvm, before = exp.pdfreed;
    KASSERT(!this.isScanning, "the page daemon scans twice at once");
    this.isScanning = true;
    exp.pdrevs++;
    this.age();
    for (let left = exp.inactive; left > 0 && exp.free + exp.paging < 4 * exp.freetarg; left--) yield* this.reclaimHead();
    this.isScanning = false;
    const freed = exp.pdfreed - before;
    this.fruitless = freed > 0 ? 0 : this.fruitless + 1;
    return freed;
  }

  /** Moves file pages from the head of active until a third of all file pages is inactive. */
  private age(): void {
    const { exp, pages } = this.uvm;
    const nfile = exp.filepages + exp.execpages;
    exp.inactarg = Math.ceil(nfile / 3);
    pages.lockQueues();
    for (let left = exp.active; left > 0 && exp.inactive < exp.inactarg; left--) {
      const pg = pages.active.first();
      if ((pages.pqflags[pg]! & (PQ_ANON | PQ_AOBJ)) !== 0) {
        pages.pageActivate(pg);
        continue;
      }
      pages.pageDeactivate(pg);
      exp.pddeact++;
    }
    pages.unlockQueues();
  }

  /** Deals with the first inactive page: it is freed, or leaves the head. => nothing locked */
  private *reclaimHead(): KGen<void> {
    const { exp, pages, pmap } = this.uvm;
    pages.lockQueues();
    const pg = pages.inactive.first(), uobj = pg === 0 ? null : pages.uobject[pg]!;
    if (pg === 0) return pages.unlockQueues();
    exp.pdscans++;
    if (uobj === null || uobj.isSwapBacked || pmap.pmapIsReferenced(pg)) {
      pages.pageActivate(pg);
      exp.pdreact++;
      return pages.unlockQueues();
    }
    if (!uobj.lock.tryEnter()) {
      this.toTail(pg);
      return pages.unlockQueues();
    }
    if ((pages.flags[pg]! & PG_BUSY) !== 0) {
      exp.pdbusy++;
      this.toTail(pg);
      pages.unlockQueues();
      return uobj.lock.exit();
    }
    exp.pdobscan++;
    pages.unlockQueues();
    const off = pages.offset[pg]!;
    yield* uobj.pgops.put(uobj, off, off + PAGE_SIZE, PGO_CLEANIT | PGO_FREE);
    uobj.lock.enter();
    if (pages.lookup(uobj, off) !== pg) exp.pdfreed++;
    else {
      // It could not be written, or is used again.
      pages.lockQueues();
      if ((pages.pqflags[pg]! & PQ_INACTIVE) !== 0) pages.pageActivate(pg);
      pages.unlockQueues();
    }
    uobj.lock.exit();
  }

  private toTail(pg: number): void {
    const { pages } = this.uvm;
    pages.inactive.remove(pg);
    pages.inactive.pushTail(pg);
  }
}

/** Whether waiting for memory makes sense: there are file pages to take. BSD: uvm_reclaimable. */
export function uvmReclaimable(uvm: Uvm): boolean {
  const { exp } = uvm;
  if (exp.free > exp.reserveKernel) return true;
  if (uvm.pdaemon.fruitless >= FRUITLESS_MAX) {
    uvm.pdaemon.fruitless = 0;
    return false;
  }
  return exp.filepages + exp.execpages > 0 && exp.filepages + exp.execpages >= Math.min((exp.active + exp.inactive) >> 4, KEEP_PAGES);
}

/**
 * Waits for free pages: SP-MEMWAIT(tag). BSD: uvm_wait.
 *
 * => nothing locked; the caller looks everything up again, and asks uvmReclaimable before waiting again
 */
export function* uvmWait(uvm: Uvm, tag: string): KGen<void> {
  const { ctx, pdaemon } = uvm;
  uvm.hooks.onMemwait?.(tag);
  if (pdaemon.thread) {
    KASSERT(ctx.cur !== pdaemon.thread, "the page daemon waits for itself");
    pdaemon.kick();
    yield* ctx.sleep(pdaemon.freeChan, tag);
  } else if (pdaemon.isBusy) yield* ctx.sleep(pdaemon.freeChan, tag);
  else {
    yield* pdaemon.scan();
    ctx.wakeup(pdaemon.freeChan);
  }
}
