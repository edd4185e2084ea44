// vm_anon: one page of anonymous memory, wherever it is. Columns indexed by anon number; 0 is no anon.
//
//   amap slot ─► anon ─► page (resident), and in time a swap slot
//
// Each anon has a lock of its own (DD-3). Records are pooled: a freed anon keeps its lock object and is the first to be
// used again. Lock order: amap, object, anon, page queues; against it (anon to object) only by tryEnter.
import { KASSERT } from "../lib/kassert.ts";
import { KLock, RANK_ANON } from "../lib/klock.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import { PG_BUSY, PG_CLEAN, PQ_ANON, PQ_QUEUED, type Pages } from "./page.ts";

/** One tick: how long a thread stands aside after a failed tryEnter (SP-LIVELOCK). */
const LIVELOCK_NS = 10_000_000;
const FIRST_SIZE = 1024;

export class Anons {
  /** [lock] amap slots that hold it, and anon loans; 0: in the pool */
  ref: Int32Array;
  /** [lock] its page, 0 not resident */
  page: Int32Array;
  /** [lock] its swap slot: 0 none, -1 lost */
  swslot: Int32Array;
  private readonly locks: KLock[] = [];
  private readonly pool: number[] = [];
  private used = 1;
  /** Most anons that may exist: resident pages, and later swap slots. */
  readonly limit: number;
  private readonly ctx: KContext;
  private readonly pages: Pages;
  /** Test hook: true makes this allocation fail. */
  failAlloc: (() => boolean) | null = null;

  constructor(ctx: KContext, pages: Pages, limit: number) {
    this.ctx = ctx;
    this.pages = pages;
    this.limit = limit;
    this.ref = new Int32Array(FIRST_SIZE);
    this.page = new Int32Array(FIRST_SIZE);
    this.swslot = new Int32Array(FIRST_SIZE);
  }

  lockOf(an: number): KLock {
    return this.locks[an]!;
  }

  /** Anons in use. */
  get count(): number {
    return this.used - 1 - this.pool.length;
  }

  /** Anon numbers ever used are below this: the checker walks them. */
  get end(): number {
    return this.used;
  }

  /** A new anon, locked, ref 1; 0 when the pool is empty. BSD: uvm_analloc. */
  alloc(): number {
    if (this.failAlloc !== null && this.failAlloc()) return 0;
    let an = this.pool.pop();
    if (an === undefined) {
      if (this.used > this.limit) return 0;
      an = this.used++;
      if (an >= this.ref.length) this.grow();
      this.locks[an] = new KLock(this.ctx, "anon", RANK_ANON);
    }
    this.locks[an]!.enter();
    this.ref[an] = 1;
    return an;
  }

  private grow(): void {
    const wider = (from: Int32Array): Int32Array => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.ref = wider(this.ref);
    this.page = wider(this.page);
    this.swslot = wider(this.swslot);
  }

  /** Gives a fresh anon back that got no page. => locked, ref 1; unlocked on return */
  release(an: number): void {
    this.ref[an] = 0;
    this.toPool(an);
  }

  /** One reference more. => anon unlocked */
  hold(an: number): void {
    const lock = this.locks[an]!;
    lock.enter();
    this.ref[an]!++;
    lock.exit();
  }

  /** One reference fewer; true when it was the last: the caller frees the anon. => anon unlocked */
  drop(an: number): boolean {
    const lock = this.locks[an]!;
    lock.enter();
    const left = --this.ref[an]!;
    lock.exit();
    KASSERT(left >= 0, "anon reference count");
    return left === 0;
  }

  /**
   * Frees an anon if that needs no sleep.
   *
   * => anon locked, ref 0, in no amap
   * => true: freed and unlocked; false: still locked, its page is busy or on loan; use free()
   */
  tryFree(an: number): boolean {
    const { pages } = this, pg = this.page[an]!;
    if (pg !== 0) {
      if (pages.loanCount[pg] !== 0 || (pages.flags[pg]! & PG_BUSY) !== 0) return false;
      this.freePage(pg);
    }
    this.toPool(an);
    return true;
  }

  /**
   * Frees an anon. BSD: uvm_anfree.
   *
   * => anon locked, ref 0, in no amap; unlocked on return
   * => sleeps at SP-PGWAIT(anfree) while its page is busy (S-55)
   */
  *free(an: number): KGen<void> {
    const { pages } = this, lock = this.locks[an]!;
    KASSERT(this.ref[an] === 0, "freeing an anon that is referenced");
    for (;;) {
      const pg = yield* this.lockLoanPage(an);
      if (pg === 0) break;
      const uobj = pages.uobject[pg]!;
      if (uobj) {
        this.giveBack(an, pg);
        uobj.lock.exit();
        break;
      }
      if ((pages.flags[pg]! & PG_BUSY) === 0) {
        this.freePage(pg);
        break;
      }
      pages.wantPage(pg);
      lock.exit();
      yield* pages.sleepOnPage(pg, "anfree");
      lock.enter();
    }
    this.toPool(an);
  }

  /** The anon's own page goes. => anon locked, page not busy */
  private freePage(pg: number): void {
    const { pages } = this;
    pages.pmap!.pmapPageProtect(pg, 0);
    pages.lockQueues();
    pages.pageFree(pg);
    pages.unlockQueues();
  }

  /** Ends the borrowing of an object's page. => anon and object locked */
  private giveBack(an: number, pg: number): void {
    const { pages } = this;
    pages.lockQueues();
    KASSERT(pages.loanCount[pg]! > 0, "borrowed page without a loan");
    pages.loanCount[pg]!--;
    pages.uanon[pg] = 0;
    this.page[an] = 0;
    if ((pages.pqflags[pg]! & PQ_QUEUED) === 0) pages.pageEnqueue(pg);
    pages.unlockQueues();
  }

  private toPool(an: number): void {
    KASSERT(this.page[an] === 0 && this.ref[an] === 0, "anon goes to the pool with a page or references");
    this.swslot[an] = 0;
    this.locks[an]!.exit();
    this.pool.push(an);
  }

  /**
   * Locks the owner of the anon's page when that may be an object; adopts a page nobody owns (uvm-spec 3.12).
   *
   * => anon locked in and out; no object lock held by the caller
   * => the anon's page or 0; page.uobject is locked if set
   */
  *lockLoanPage(an: number): KGen<number> {
    const { pages } = this;
    for (;;) {
      const pg = this.page[an]!;
      if (pg === 0 || pages.loanCount[pg] === 0) return pg;
      pages.lockQueues();
      const uobj = pages.uobject[pg]!, ok = !uobj || uobj.lock.tryEnter();
      if (!uobj && (pages.pqflags[pg]! & PQ_ANON) === 0) this.adopt(pg);
      pages.unlockQueues();
      if (ok) return pg;
      this.locks[an]!.exit();
      yield* this.ctx.sleep(this, "livelock", { timeoutNs: LIVELOCK_NS });
      this.locks[an]!.enter();
    }
  }

  /** The borrower becomes the owner of a page its lender let go. => anon and PQ locked */
  adopt(pg: number): void {
    const { pages } = this;
    KASSERT(pages.loanCount[pg]! > 0, "adopting a page that is not on loan");
    pages.loanCount[pg]!--;
    pages.pqflags[pg]! |= PQ_ANON;
    pages.flags[pg]! &= ~PG_CLEAN;
    pages.exp.anonpages++;
    pages.exp.loanAdopted++;
  }
}
