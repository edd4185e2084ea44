// uvm_object: something whose pages can be mapped. A file, shared anonymous memory, a device.
//
//   UvmObject ── tree: page number ─► pg
//             └─ memq: pg ⇄ pg ⇄ marker ⇄ pg        (order has a meaning: flush loops walk head to tail)
//
// The memq's links are columns of `Pages`; markers are page records past the end of RAM, so a walk may sleep and
// find its place again. Lock order: amap, then object, then anon, then page queues. Two objects: only where a
// file says so.
import type { KContext, KGen } from "../lib/kthread.ts";
import { KLock, RANK_UOBJ } from "../lib/klock.ts";
import type { VmMapEntry } from "./mapentry.ts";
import type { VmMap } from "./map.ts";
import { PageTree } from "./pagetree.ts";

/** What kind of object: decides how its pages are counted, and whether they are swap-backed. */
export const UO_VNODE = 0, UO_AOBJ = 1, UO_DEVICE = 2, UO_OTHER = 3;

/** Flags of get and put. */
export const PGO_CLEANIT = 1, PGO_SYNCIO = 2, PGO_FREE = 4, PGO_DEACTIVATE = 8, PGO_ALLPAGES = 16, PGO_BUSYFAIL = 32;
export const PGO_OVERWRITE = 64, PGO_PASTEOF = 128, PGO_GLOCKHELD = 256, PGO_NOBLOCKALLOC = 512, PGO_RECLAIM = 1024, PGO_LOCKED = 2048;

/** In a page array given to a pager: this page is not wanted. 0 means wanted, and comes back as the page. */
export const PGO_DONTCARE = -1;

/** What a kind of object does. Nothing else exists (uvm-spec S-58). */
export interface PagerOps {
  readonly name: string;
  /** => object unlocked; one more reference */
  reference(o: UvmObject): void;
  /** => object unlocked; one reference fewer, the last frees the pages; may sleep */
  detach(o: UvmObject): KGen<void>;
  /**
   * Resident pages only. BSD: pgo_get with PGO_LOCKED.
   *
   * => object locked in and out; never sleeps
   * => fills the entries of pgs[0..n) that are 0 with busy, valid pages where it can; pgs[centre] is required
   * => 0, or -EBUSY: the centre needs the blocking get; what else was filled stays busy in pgs
   */
  getLocked?(o: UvmObject, off: number, pgs: Int32Array, n: number, centre: number, access: number, advice: number): number;
  /**
   * => object locked in, unlocked out
   * => 0: every wanted entry holds a page, PG_BUSY, owned by the caller; its uobject may be another object
   * => error: no page is busy
   */
  get?(o: UvmObject, off: number, pgs: Int32Array, n: number, centre: number, access: number, advice: number, flags: number): KGen<number>;
  /** Cleans, frees or deactivates [lo, hi) (hi 0: to the end). => object locked in, unlocked out; 0 or -errno */
  put(o: UvmObject, lo: number, hi: number, flags: number): KGen<number>;
  /** Resolves a fault whole: objects without vm_pages. => map read-locked, amap and object locked in; all unlocked out; 0 or -errno */
  fault?(o: UvmObject, fault: PagerFault): KGen<number>;
  /** A page of `o` became dirty by a store through a mapping. => object locked */
  markDirty?(o: UvmObject): void;
}

/** What a pager's own fault routine is told. */
export interface PagerFault {
  readonly map: VmMap;
  readonly entry: VmMapEntry;
  readonly va: number;
  readonly access: number;
  readonly enterProt: number;
  /** Unlocks the amap (if any) and the map. */
  unlockMaps(): void;
}

export class UvmObject {
  readonly lock: KLock;
  readonly pgops: PagerOps;
  /** UO_VNODE, UO_AOBJ, UO_DEVICE, UO_OTHER; fixed. */
  readonly kind: number;
  /** Whose object: the vnode, the aobj, the device. Pagers only. */
  readonly owner: object | null;
  /** [lock] first and last page of the memq, 0 none. */
  memqHead = 0;
  memqTail = 0;
  /** [lock] page number in the object to pg. */
  readonly tree = new PageTree();
  /** [lock] pages, without markers. */
  npages = 0;
  /** [lock] references: map entries, and whoever opened it. */
  refs = 1;
  /** [lock] some mapping may execute it: its pages count as execpages. */
  isExec = false;

  constructor(ctx: KContext, pgops: PagerOps, kind: number, owner: object | null) {
    this.lock = new KLock(ctx, `uobj.${pgops.name}`, RANK_UOBJ);
    this.pgops = pgops;
    this.kind = kind;
    this.owner = owner;
  }

  get isSwapBacked(): boolean {
    return this.kind === UO_AOBJ;
  }
}
