// vm_page: one record per frame of RAM, as columns indexed by pg = frame index. 0 is no page.
//
//   pg:  0 | 1 … npages-1 | list heads (free, zeroed, active, inactive) | memq markers
//        none  frames       records past the end of RAM
//
// Letters of a column: who guards it. [O] owner lock: the lock of uobject if set, else of uanon if set (chosen by the
// two pointers, never by PQ_ANON). [P] page queue lock. [F] free queue lock. "O+P" both to change, either to read.
// Lock order: object, anon, PQ, FPQ.
import { KASSERT } from "../lib/kassert.ts";
import { KLock, RANK_FREEQ, RANK_PAGEQ } from "../lib/klock.ts";
import type { KContext, KGen, KThread } from "../lib/kthread.ts";
import type { PmapModule } from "../hal/pmap.ts";
import type { Anons } from "./anon.ts";
import { UO_AOBJ, UO_VNODE, type UvmObject } from "./object.ts";
import { PageList } from "./pageq.ts";
import type { Uvmexp } from "./stat.ts";

export const PAGE_SIZE = 4096, PAGE_SHIFT = 12;

/** flags [O] */
export const PG_BUSY = 1, PG_WANTED = 2, PG_TABLED = 4, PG_CLEAN = 8, PG_PAGEOUT = 16, PG_RELEASED = 32, PG_FAKE = 64;
export const PG_RDONLY = 128, PG_ZERO = 256, PG_MARKER = 512;
/** pqflags [P] */
export const PQ_FREE = 1, PQ_ANON = 2, PQ_AOBJ = 4, PQ_ACTIVE = 8, PQ_INACTIVE = 16;
export const PQ_QUEUED = PQ_ACTIVE | PQ_INACTIVE;
/** pageAlloc flags */
export const PGA_USERESERVE = 1, PGA_ZERO = 2;
/** What a kernel-private page is for (INV-8): nobody, page table, kernel memory, or a buffer of some part of the kernel. */
export const PRIV_NONE = 0, PRIV_PTABLE = 1, PRIV_KMEM = 2, PRIV_BUFFER = 3;

/** A sleeping flush holds one or two. */
const MARKERS = 1024;
const HEADS = 4;
const LOAN_MAX = 65535;

/** RAM, as far as the allocator needs it: also before there is a pmap. */
export interface Frames {
  readonly npages: number;
  zeroPage(pg: number): void;
}

export class Pages {
  /** [O] PG_* */
  readonly flags: Uint16Array;
  /** [P] PQ_*; PQ_FREE also [F] */
  readonly pqflags: Uint8Array;
  /** [O+P] */
  readonly uobject: (UvmObject | null)[];
  /** [O+P] byte offset in uobject, page aligned */
  readonly offset: Float64Array;
  /** [O+P] anon that owns or borrows it, 0 none */
  readonly uanon: Int32Array;
  /** [O+P] kernel loans, + 1 when an anon only borrows it */
  readonly loanCount: Uint16Array;
  /** [P] wirings that forbid pageout */
  readonly wireCount: Uint16Array;
  /** [object lock] neighbours in the memq, 0 none */
  readonly memqNext: Int32Array;
  readonly memqPrev: Int32Array;
  /** [P] or [F] neighbours on free, active or inactive */
  private readonly qNext: Int32Array;
  private readonly qPrev: Int32Array;
  /** 1: a frame the allocator was given at boot; fixed */
  readonly managed: Uint8Array;
  /** [O] PRIV_*: use of a page that has no owner */
  readonly priv: Uint8Array;
  /** [O] who set PG_BUSY, and where */
  readonly busyOwner: (KThread | null)[];
  readonly busyTag: string[];

  readonly pageq: KLock;
  readonly freeq: KLock;
  /** [F] */
  readonly freeList: PageList;
  readonly zeroList: PageList;
  /** [P] */
  readonly active: PageList;
  readonly inactive: PageList;
  /** Frames of RAM, the unmanaged ones included; records at and above are heads and markers. */
  readonly nframes: number;
  readonly exp: Uvmexp;
  private readonly ctx: KContext;
  private readonly frames: Frames;
  private readonly chans = new Map<number, object>();
  private readonly freeMarkers: number[] = [];
  /** Set by uvmInit, as both need the other. */
  pmap: PmapModule | null = null;
  anons: Anons | null = null;
  /** Only this thread may take the last pages. */
  pagedaemon: KThread | null = null;
  /** Wakes the page daemon; it decides whether there is work. */
  kickPagedaemon: () => void = () => {};
  /** Test hook: true makes this allocation fail. */
  failAlloc: (() => boolean) | null = null;

  constructor(ctx: KContext, exp: Uvmexp, frames: Frames) {
    const nframes = frames.npages, n = nframes + HEADS + MARKERS;
    this.ctx = ctx;
    this.exp = exp;
    this.frames = frames;
    this.nframes = nframes;
    this.flags = new Uint16Array(n);
    this.pqflags = new Uint8Array(n);
    this.uobject = new Array<UvmObject | null>(n).fill(null);
    this.offset = new Float64Array(n);
    this.uanon = new Int32Array(n);
    this.loanCount = new Uint16Array(n);
    this.wireCount = new Uint16Array(n);
    this.memqNext = new Int32Array(n);
    this.memqPrev = new Int32Array(n);
    this.qNext = new Int32Array(n);
    this.qPrev = new Int32Array(n);
    this.managed = new Uint8Array(n);
    this.priv = new Uint8Array(n);
    this.busyOwner = new Array<KThread | null>(n).fill(null);
    this.busyTag = new Array<string>(n).fill("");
    this.pageq = new KLock(ctx, "pageq", RANK_PAGEQ);
    this.freeq = new KLock(ctx, "freeq", RANK_FREEQ);
    this.freeList = new PageList(this.qNext, this.qPrev, nframes);
    this.zeroList = new PageList(this.qNext, this.qPrev, nframes + 1);
    this.active = new PageList(this.qNext, this.qPrev, nframes + 2);
    this.inactive = new PageList(this.qNext, this.qPrev, nframes + 3);
    for (let i = n - 1; i >= nframes + HEADS; i--) this.freeMarkers.push(i);
  }

  /** Boot: hands a frame to the allocator. Frames never handed over are unmanaged. */
  manage(pg: number): void {
    KASSERT(pg > 0 && pg < this.nframes && this.pqflags[pg] === 0, "manage: frame outside RAM, or twice");
    this.managed[pg] = 1;
    this.pqflags[pg] = PQ_FREE;
    this.freeList.pushTail(pg);
    this.exp.npages++;
    this.exp.free++;
  }

  lockQueues(): void {
    this.pageq.enter();
  }

  unlockQueues(): void {
    this.pageq.exit();
  }

  /** The lock that guards the page, null when nobody owns it. */
  ownerLock(pg: number): KLock | null {
    const uobj = this.uobject[pg]!;
    if (uobj) return uobj.lock;
    const an = this.uanon[pg]!;
    return an !== 0 ? this.anons!.lockOf(an) : null;
  }

  /** Kernel loans on a page: loan_count without the borrowing anon. */
  kloans(pg: number): number {
    const n = this.loanCount[pg]!;
    return n === 0 || this.uanon[pg] === 0 || (this.pqflags[pg]! & PQ_ANON) !== 0 ? n : n - 1;
  }

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
    return uobj.tree.get(off / PAGE_SIZE) ?? 0;
  }

  /** Puts an unowned page into an object, after `after` in the memq (0: at the head). => object locked */
  private insert(pg: number, uobj: UvmObject, off: number, after: number): void {
    KASSERT(uobj.lock.isOwned, "page inserted into an object that is not locked");
    KASSERT(off % PAGE_SIZE === 0 && !uobj.tree.has(off / PAGE_SIZE), "page inserted at an odd offset, or over another page");
    this.uobject[pg] = uobj;
    this.offset[pg] = off;
    uobj.tree.set(off / PAGE_SIZE, pg);
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
    uobj.tree.delete(this.offset[pg]! / PAGE_SIZE);
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
    uobj.tree.delete(off / PAGE_SIZE);
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

  // ---- paging queues: all under PQ -------------------------------------------------------------------------------

  /** To the tail of active. No-op while wired or loaned to the kernel (AD-19). BSD: uvm_pageactivate(9). */
  pageActivate(pg: number): void {
    this.pageq.assertOwned();
    if (this.wireCount[pg] !== 0 || (this.loanCount[pg] !== 0 && this.kloans(pg) > 0)) return;
    this.pageDequeue(pg);
    this.pqflags[pg]! |= PQ_ACTIVE;
    this.active.pushTail(pg);
    this.exp.active++;
  }

  /** To the tail of inactive, its reference forgotten. No-op while wired or loaned to the kernel. BSD: uvm_pagedeactivate(9). */
  pageDeactivate(pg: number): void {
    this.pageq.assertOwned();
    if (this.wireCount[pg] !== 0 || this.kloans(pg) > 0 || (this.pqflags[pg]! & PQ_INACTIVE) !== 0) return;
    this.pmap!.pmapClearReference(pg);
    this.pageDequeue(pg);
    this.pqflags[pg]! |= PQ_INACTIVE;
    this.inactive.pushTail(pg);
    this.exp.inactive++;
  }

  /** Onto a queue if on none. No-op while wired or loaned to the kernel. */
  pageEnqueue(pg: number): void {
    if ((this.pqflags[pg]! & PQ_QUEUED) === 0) this.pageActivate(pg);
  }

  /** Off the paging queues. */
  pageDequeue(pg: number): void {
    const q = this.pqflags[pg]!;
    if ((q & PQ_ACTIVE) !== 0) {
      this.active.remove(pg);
      this.exp.active--;
    } else if ((q & PQ_INACTIVE) !== 0) {
      this.inactive.remove(pg);
      this.exp.inactive--;
    } else return;
    this.pqflags[pg] = q & ~PQ_QUEUED;
  }

  /** One wiring more; the first takes it off the queues. => PQ locked; never a loaned page (INV-11) */
  pageWire(pg: number): void {
    this.pageq.assertOwned();
    KASSERT(this.loanCount[pg] === 0, "wiring a loaned page");
    KASSERT(this.wireCount[pg]! < LOAN_MAX, "wire count overflows");
    if (this.wireCount[pg] === 0) {
      this.pageDequeue(pg);
      this.exp.wired++;
    }
    this.wireCount[pg]!++;
  }

  /** One wiring fewer; the last puts it on active. => PQ locked */
  pageUnwire(pg: number): void {
    this.pageq.assertOwned();
    KASSERT(this.wireCount[pg]! > 0, "unwiring a page that is not wired");
    if (--this.wireCount[pg]! > 0) return;
    this.exp.wired--;
    this.pageActivate(pg);
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
