// The page allocator (uvm_page.c): frames come and go, belong to objects or anons, and are busy while somebody works on them.
//
//   free ──pageAlloc──► busy, in an object or an anon ──pageUnbusy──► on a queue, wired, or loaned ──pageFree──► free
//
// The records themselves, who guards which column, and the paging queues are in vmpage.ts.
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { UO_AOBJ, UO_VNODE, type UvmObject } from "./object.ts";
import {
  PAGE_SIZE, PG_BUSY, PG_CLEAN, PG_FAKE, PG_MARKER, PG_PAGEOUT, PG_RELEASED, PG_TABLED, PG_WANTED, PG_ZERO, PGA_USERESERVE, PGA_ZERO, PQ_ANON, PQ_AOBJ, PQ_FREE,
  PQ_QUEUED, PRIV_NONE, VmPages,
} from "./vmpage.ts";
export * from "./vmpage.ts";

export class Pages extends VmPages {
  /** What sleeps for a busy page. */
  private readonly chans = new Map<number, object>();

  // ---- allocation ------------------------------------------------------------------------------------------------

  /**
   * Takes a free page. Never sleeps. BSD: uvm_pagealloc(9).
   *
   * => the object or anon it is for is locked by the caller; PQ not locked
   * => 0 when memory is short: reserve_kernel pages are for kernel threads (or PGA_USERESERVE), the last for the daemon
   * => PG_BUSY|PG_CLEAN|PG_FAKE, on no queue; in the object (tail of memq) or the anon's page
   * => PGA_ZERO: bytes zero, not PG_CLEAN
   */
  pageAlloc(uobj: UvmObject | null, off: number, an: number, flags: number): number {
    const pg = this.takeFree(flags);
    if (pg === 0) return 0;
    let f = PG_BUSY | PG_CLEAN | PG_FAKE;
    if ((flags & PGA_ZERO) !== 0) {
      f &= ~PG_CLEAN;
      if ((this.flags[pg]! & PG_ZERO) === 0) this.frames.zeroPage(pg);
    }
    this.flags[pg] = f;
    this.busyOwner[pg] = this.ctx.cur;
    this.busyTag[pg] = "pagealloc";
    this.exp.pgalloc++;
    if (an !== 0) {
      KASSERT(uobj === null, "pagealloc: for an object and an anon");
      this.uanon[pg] = an;
      this.pqflags[pg] = PQ_ANON;
      this.anons!.page[an] = pg;
      this.exp.anonpages++;
    } else if (uobj !== null) {
      // What the frame's last user did to it must not make a file's page look dirty.
      this.pmap!.pmapClearModify(pg);
      this.pmap!.pmapClearReference(pg);
      this.insert(pg, uobj, off, uobj.memqTail);
    }
    return pg;
  }

  /** A page of the kernel's own: no owner, not busy, off the queues (S-62). => PRIV_*; 0 when memory is short */
  allocPrivate(use: number, flags: number): number {
    const pg = this.pageAlloc(null, 0, 0, flags);
    if (pg === 0) return 0;
    this.flags[pg] = 0;
    this.busyOwner[pg] = null;
    this.priv[pg] = use;
    return pg;
  }

  /** Gives a kernel-private page back. */
  freePrivate(pg: number): void {
    KASSERT(this.priv[pg] !== PRIV_NONE, "freePrivate: page is not the kernel's");
    this.priv[pg] = PRIV_NONE;
    this.pageq.enter();
    this.pageFree(pg);
    this.pageq.exit();
  }

  private takeFree(flags: number): number {
    const { exp, ctx } = this;
    if (this.failAlloc !== null && this.failAlloc()) return 0;
    const free = exp.free, isKernel = (flags & PGA_USERESERVE) !== 0 || ctx.cur.isKernel;
    if (free + exp.paging < exp.freemin || (free + exp.paging < exp.freetarg && exp.inactive < exp.inactarg)) this.kickPagedaemon();
    if (free <= exp.reserveKernel && (!isKernel || (free <= exp.reservePagedaemon && ctx.cur !== this.pagedaemon))) return 0;
    if (free === 0) return 0;
    this.freeq.enter();
    const wantZero = (flags & PGA_ZERO) !== 0;
    let pg = wantZero ? this.zeroList.first() : this.freeList.first();
    if (pg === 0) pg = wantZero ? this.freeList.first() : this.zeroList.first();
    const isZero = (this.flags[pg]! & PG_ZERO) !== 0;
    (isZero ? this.zeroList : this.freeList).remove(pg);
    exp.free--;
    if (isZero) exp.zeropages--;
    if (wantZero) {
      exp.pgzero++;
      if (isZero) exp.pgaZerohit++;
      else exp.pgaZeromiss++;
    }
    this.pqflags[pg] = 0;
    this.freeq.exit();
    return pg;
  }

  /**
   * Frees a page, or disowns it when it is on loan (uvm-spec 2.2, 3.16). BSD: uvm_pagefree(9).
   *
   * => owner and PQ locked; no mapping left; not PG_PAGEOUT
   * => a loaned page stays: whoever drops its last loan frees it
   */
  pageFree(pg: number): void {
    this.pageq.assertOwned();
    KASSERT((this.pqflags[pg]! & PQ_FREE) === 0, "pagefree: page is free already");
    KASSERT((this.flags[pg]! & (PG_PAGEOUT | PG_MARKER)) === 0, "pagefree: page is being paged out, or is a marker");
    KASSERT(this.pmap!.pv.first(pg) === 0, "pagefree: page is still mapped");
    this.ownerLock(pg)?.assertOwned();
    if (this.loanCount[pg] !== 0 && this.disown(pg)) return;
    this.unlink(pg);
    this.pageDequeue(pg);
    if (this.wireCount[pg] !== 0) {
      this.wireCount[pg] = 0;
      this.exp.wired--;
    }
    KASSERT(this.priv[pg] === PRIV_NONE, "pagefree: the kernel still uses the page");
    this.pageWakeup(pg);
    this.flags[pg] = 0;
    this.busyOwner[pg] = null;
    this.offset[pg] = 0;
    this.frames.freed(pg);
    this.freeq.enter();
    this.pqflags[pg] = PQ_FREE;
    this.freeList.pushHead(pg);
    this.exp.free++;
    this.freeq.exit();
  }

  /** pageFree of a loaned page. True: it lives on as an orphan; false: the loan was its owner's, free it. */
  private disown(pg: number): boolean {
    KASSERT(this.wireCount[pg] === 0, "page is wired and on loan");
    if (this.uobject[pg]) {
      this.remove(pg);
      this.flags[pg]! &= ~PG_CLEAN;
    } else if (this.uanon[pg] !== 0) {
      const an = this.uanon[pg]!;
      if ((this.pqflags[pg]! & PQ_ANON) !== 0) {
        this.pqflags[pg]! &= ~PQ_ANON;
        this.exp.anonpages--;
      } else {
        KASSERT(this.loanCount[pg]! > 0, "borrowed page without a loan");
        this.loanCount[pg]!--;
      }
      this.anons!.page[an] = 0;
      this.uanon[pg] = 0;
    }
    this.pageWakeup(pg);
    this.flags[pg]! &= ~(PG_BUSY | PG_RELEASED);
    this.busyOwner[pg] = null;
    if (this.loanCount[pg] === 0) return false;
    if (this.uanon[pg] === 0) this.pageDequeue(pg);
    this.exp.loanOrphaned++;
    return true;
  }

  /** Takes a page from whoever owns it. => owner and PQ locked */
  private unlink(pg: number): void {
    if (this.uobject[pg]) this.remove(pg);
    const an = this.uanon[pg]!;
    if (an === 0) return;
    this.anons!.page[an] = 0;
    this.uanon[pg] = 0;
    if ((this.pqflags[pg]! & PQ_ANON) !== 0) {
      this.pqflags[pg]! &= ~PQ_ANON;
      this.exp.anonpages--;
    }
  }

  // ---- objects ---------------------------------------------------------------------------------------------------

  /** The page of `uobj` at byte offset `off`, 0 none. BSD: uvm_pagelookup(9). => object locked */
  lookup(uobj: UvmObject, off: number): number {
    return uobj.tree.get(off / PAGE_SIZE);
  }

  /** Puts an unowned page into an object, after `after` in the memq (0: at the head). => object locked */
  private insert(pg: number, uobj: UvmObject, off: number, after: number): void {
    KASSERT(uobj.lock.isOwned, "page inserted into an object that is not locked");
    KASSERT(off % PAGE_SIZE === 0 && !uobj.tree.has(off / PAGE_SIZE), "page inserted at an odd offset, or over another page");
    this.uobject[pg] = uobj;
    this.offset[pg] = off;
    uobj.tree.insert(off / PAGE_SIZE, pg);
    this.memqInsertAfter(uobj, pg, after);
    uobj.npages++;
    this.flags[pg]! |= PG_TABLED;
    if (uobj.kind === UO_AOBJ) this.pqflags[pg]! |= PQ_AOBJ;
    this.countObjectPage(uobj, 1);
  }

  /** Takes a page out of its object. => object and PQ locked */
  private remove(pg: number): void {
    const uobj = this.uobject[pg]!;
    KASSERT(uobj && (this.flags[pg]! & PG_TABLED) !== 0, "page is in no object");
    uobj.tree.remove(this.offset[pg]! / PAGE_SIZE);
    this.memqRemove(uobj, pg);
    uobj.npages--;
    this.flags[pg]! &= ~PG_TABLED;
    this.pqflags[pg]! &= ~PQ_AOBJ;
    this.uobject[pg] = null;
    this.countObjectPage(uobj, -1);
  }

  /** Moves the counts of an object's pages: `n` pages more (or fewer, when negative). */
  countObjectPage(uobj: UvmObject, n: number): void {
    if (uobj.kind === UO_AOBJ) this.exp.anonpages += n;
    else if (uobj.kind === UO_VNODE && uobj.isExec) this.exp.execpages += n;
    else if (uobj.kind === UO_VNODE) this.exp.filepages += n;
  }

  /**
   * `neu` takes old's place in its object: offset, tree and position in the memq (S-6). BSD: uvm_pagereplace.
   *
   * => object and PQ locked; neu unowned before, old unowned after
   */
  pageReplace(old: number, neu: number): void {
    const uobj = this.uobject[old]!, off = this.offset[old]!;
    KASSERT(uobj && !this.uobject[neu] && this.uanon[neu] === 0, "pagereplace: old has no object, or new has an owner");
    this.pageq.assertOwned();
    uobj.tree.remove(off / PAGE_SIZE);
    this.insert(neu, uobj, off, old);
    this.memqRemove(uobj, old);
    uobj.npages--;
    this.flags[old]! &= ~PG_TABLED;
    this.pqflags[old]! &= ~PQ_AOBJ;
    this.uobject[old] = null;
    this.countObjectPage(uobj, -1);
  }

  private memqInsertAfter(uobj: UvmObject, pg: number, after: number): void {
    const { memqNext, memqPrev } = this, next = after === 0 ? uobj.memqHead : memqNext[after]!;
    memqPrev[pg] = after;
    memqNext[pg] = next;
    if (after === 0) uobj.memqHead = pg;
    else memqNext[after] = pg;
    if (next === 0) uobj.memqTail = pg;
    else memqPrev[next] = pg;
  }

  private memqRemove(uobj: UvmObject, pg: number): void {
    const { memqNext, memqPrev } = this, n = memqNext[pg]!, p = memqPrev[pg]!;
    if (p === 0) uobj.memqHead = n;
    else memqNext[p] = n;
    if (n === 0) uobj.memqTail = p;
    else memqPrev[n] = p;
    memqNext[pg] = 0;
    memqPrev[pg] = 0;
  }

  /** A marker after `after` in the memq (0: at the head), to keep a walk's place across a sleep. => object locked */
  markerInsert(uobj: UvmObject, after: number): number {
    const m = this.freeMarkers.pop();
    KASSERT(m !== undefined, "out of memq markers: too many flushes sleep at once");
    this.flags[m] = PG_MARKER;
    this.memqInsertAfter(uobj, m, after);
    return m;
  }

  /** => object locked */
  markerRemove(uobj: UvmObject, m: number): void {
    KASSERT((this.flags[m]! & PG_MARKER) !== 0, "not a marker");
    this.memqRemove(uobj, m);
    this.flags[m] = 0;
    this.freeMarkers.push(m);
  }

  /** The first page (no marker) at or after `pg` in its memq, 0 at the end. */
  skipMarkers(pg: number): number {
    while (pg !== 0 && (this.flags[pg]! & PG_MARKER) !== 0) pg = this.memqNext[pg]!;
    return pg;
  }

  // ---- busy: the long-term lock of a page ------------------------------------------------------------------------

  /** Sets PG_BUSY. => owner locked; page not busy */
  pageBusy(pg: number, tag: string): void {
    KASSERT((this.flags[pg]! & (PG_BUSY | PG_MARKER)) === 0, "page is busy already");
    this.flags[pg]! |= PG_BUSY;
    this.busyOwner[pg] = this.ctx.cur;
    this.busyTag[pg] = tag;
  }

  /** Wakes whoever waits for the page. */
  pageWakeup(pg: number): void {
    if ((this.flags[pg]! & PG_WANTED) === 0) return;
    this.flags[pg]! &= ~PG_WANTED;
    const chan = this.chans.get(pg);
    if (!chan) return;
    this.chans.delete(pg);
    this.ctx.wakeup(chan);
  }

  /**
   * Clears PG_BUSY; a PG_RELEASED page is freed. BSD: uvm_page_unbusy(9).
   *
   * => owner locked, PQ not; the page is queued, wired, loaned, or has no owner (S-9), and its contents are valid
   */
  pageUnbusy(pg: number): void {
    const f = this.flags[pg]!;
    KASSERT((f & PG_BUSY) !== 0, "unbusy of a page that is not busy");
    if ((f & PG_RELEASED) !== 0) {
      this.pmap!.pmapPageProtect(pg, 0);
      this.pageq.enter();
      this.pageFree(pg);
      this.pageq.exit();
      return;
    }
    KASSERT((f & PG_FAKE) === 0, "unbusy of a page without contents");
    KASSERT((this.pqflags[pg]! & PQ_QUEUED) !== 0 || this.wireCount[pg] !== 0 || this.loanCount[pg] !== 0 || this.isUnowned(pg),
      "an owned page is unbusied off the queues");
    if ((f & PG_WANTED) !== 0) this.pageWakeup(pg);
    this.flags[pg] = this.flags[pg]! & ~PG_BUSY;
    this.busyOwner[pg] = null;
  }

  /** pageUnbusy of each page of pgs[0..n); 0 and PGO_DONTCARE are skipped. */
  pageUnbusyAll(pgs: Int32Array, n: number): void {
    for (let i = 0; i < n; i++) if (pgs[i]! > 0) this.pageUnbusy(pgs[i]!);
  }

  isUnowned(pg: number): boolean {
    return this.uobject[pg] === null && this.uanon[pg] === 0;
  }

  /**
   * Waits until the page is unbusied: SP-PGWAIT(tag).
   *
   * => call wantPage(pg) with the owner locked, unlock everything, then this, with nothing in between
   */
  *sleepOnPage(pg: number, tag: string): KGen<void> {
    const chan = this.chans.get(pg);
    if (chan && (this.flags[pg]! & PG_WANTED) !== 0) yield* this.ctx.sleep(chan, tag);
  }

  /** Marks the page wanted. => owner locked; page busy */
  wantPage(pg: number): void {
    KASSERT((this.flags[pg]! & PG_BUSY) !== 0, "waiting for a page that is not busy");
    this.flags[pg]! |= PG_WANTED;
    if (!this.chans.has(pg)) this.chans.set(pg, { pg });
  }
}
