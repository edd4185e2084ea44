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
import type { KContext, KThread } from "../lib/kthread.ts";
import type { PmapModule } from "../hal/pmap.ts";
import type { Anons } from "./anon.ts";
import type { UvmObject } from "./object.ts";
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
  /** The page's contents are nobody's. */
  freed(pg: number): void;
}

/** The records, and the queues they are on. */
export class VmPages {
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
  protected readonly qNext: Int32Array;
  protected readonly qPrev: Int32Array;
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
  protected readonly ctx: KContext;
  protected readonly frames: Frames;
  protected readonly freeMarkers: number[] = [];
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
}
