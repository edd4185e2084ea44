// The vnode pager: the object inside each vnode. The pages themselves are the file system's business (vfs/genfs.ts), which
// the vnode reaches through VnodePagerHost; here is what any file's object does, and the helper that finds, makes and busies
// pages of a file, with which genfs is written (BSD: uvn_findpages).
import type { KGen } from "../lib/kthread.ts";
import { ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import { UO_VNODE, UvmObject, type PagerOps } from "./object.ts";
import { PAGE_SIZE, PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY } from "./page.ts";
import { uvmReclaimable, uvmWait } from "./pdaemon.ts";
import type { Uvm } from "./uvm.ts";

/** What the pager asks of a vnode. vfs' Vnode implements it, with genfs behind the last three. */
export interface VnodePagerHost {
  /** One reference more. => uobj unlocked */
  vref(): void;
  /** One reference fewer; the last may end the vnode. => uobj unlocked; may sleep */
  vrele(): KGen<void>;
  /** PagerOps.getLocked. => uobj locked in and out */
  getpagesLocked(off: number, pgs: Int32Array, n: number, centre: number, access: number, advice: number): number;
  /** PagerOps.get. => uobj locked in, unlocked out */
  getpages(off: number, pgs: Int32Array, n: number, centre: number, access: number, advice: number, flags: number): KGen<number>;
  /** PagerOps.put. => uobj locked in, unlocked out */
  putpages(lo: number, hi: number, flags: number): KGen<number>;
  /** A page may become dirty: onto the syncer's list. => uobj locked */
  markDirty(): void;
}

const hostOf = (o: UvmObject): VnodePagerHost => o.owner as VnodePagerHost;

const VNODE_OPS: PagerOps = {
  name: "vnode",
  reference: (o) => hostOf(o).vref(),
  detach: (o) => hostOf(o).vrele(),
  getLocked: (o, off, pgs, n, centre, access, advice) => hostOf(o).getpagesLocked(off, pgs, n, centre, access, advice),
  get: (o, off, pgs, n, centre, access, advice, flags) => hostOf(o).getpages(off, pgs, n, centre, access, advice, flags),
  put: (o, lo, hi, flags) => hostOf(o).putpages(lo, hi, flags),
  markDirty: (o) => hostOf(o).markDirty(),
};

/** The object to embed in a vnode. Its references are the vnode's. */
export function uvnObject(uvm: Uvm, host: VnodePagerHost): UvmObject {
  return new UvmObject(uvm.ctx, VNODE_OPS, UO_VNODE, host);
}

/** A file is about to be executed: its pages count as execpages from now on. => object unlocked */
export function uvnMarkExec(uvm: Uvm, o: UvmObject): void {
  KASSERT(o.kind === UO_VNODE, "only files are executed");
  o.lock.enter();
  if (!o.isExec) {
    uvm.pages.countObjectPage(o, -o.npages);
    o.isExec = true;
    uvm.pages.countObjectPage(o, o.npages);
  }
  o.lock.exit();
}

/** uvnFindPages: only resident, idle pages; only pages that are dirty; no new pages; skip holes. */
export const UFP_NOWAIT = 1, UFP_NOALLOC = 2, UFP_NORDONLY = 4, UFP_DIRTYONLY = 8;

/** The page for one place now: > 0 busied or made; 0 not to be had; BUSY_PAGE or NO_MEMORY: wait for that. */
const BUSY_PAGE = -1, NO_MEMORY = -2;

function findOne(uvm: Uvm, o: UvmObject, off: number, flags: number): number {
  const { pages, pmap } = uvm, pg = pages.lookup(o, off);
  if (pg === 0) {
    if ((flags & UFP_NOALLOC) !== 0) return 0;
    const neu = pages.pageAlloc(o, off, 0, 0);
    return neu === 0 ? NO_MEMORY : neu;
  }
  if ((pages.flags[pg]! & PG_BUSY) !== 0) return BUSY_PAGE;
  if ((flags & UFP_NORDONLY) !== 0 && (pages.flags[pg]! & PG_RDONLY) !== 0) return 0;
  if ((flags & UFP_DIRTYONLY) !== 0 && (pages.flags[pg]! & PG_CLEAN) !== 0 && !pmap.pmapIsModified(pg)) return 0;
  pages.pageBusy(pg, "uvn_findpages");
  return pg;
}

/**
 * Fills the entries of pgs[0..n) that are 0 with busy pages at off, off + 4096, …, without sleeping.
 *
 * => object locked; new pages are PG_FAKE and on no queue; UFP_*
 * => how many entries hold pages now; a page that is missing leaves its entry 0
 */
export function uvnFindPagesNow(uvm: Uvm, o: UvmObject, off: number, pgs: Int32Array, n: number, flags: number): number {
  let found = 0;
  for (let i = 0; i < n; i++) {
    if (pgs[i] === 0) pgs[i] = Math.max(0, findOne(uvm, o, off + i * PAGE_SIZE, flags));
    if (pgs[i]! > 0) found++;
  }
  return found;
}

/**
 * The same, waiting for busy pages and for memory. BSD: uvn_findpages.
 *
 * => object locked in and out, let go of to sleep at SP-PGWAIT(uvn_fp2) and SP-MEMWAIT(uvn_fp1); ascending order
 * => the number of pages; -ENOMEM: pages found so far are still busy in pgs
 */
export function* uvnFindPages(uvm: Uvm, o: UvmObject, off: number, pgs: Int32Array, n: number, flags: number): KGen<number> {
  const { pages } = uvm;
  let found = 0;
  for (let i = 0; i < n; i++) {
    while (pgs[i] === 0) {
      const at = off + i * PAGE_SIZE, pg = findOne(uvm, o, at, flags);
      if (pg === 0) break;
      if (pg > 0) pgs[i] = pg;
      else if (pg === BUSY_PAGE) {
        const busy = pages.lookup(o, at);
        pages.wantPage(busy);
        o.lock.exit();
        yield* pages.sleepOnPage(busy, "uvn_fp2");
        o.lock.enter();
      } else {
        if (!uvmReclaimable(uvm)) return -ENOMEM;
        o.lock.exit();
        yield* uvmWait(uvm, "uvn_fp1");
        o.lock.enter();
      }
    }
    if (pgs[i]! > 0) found++;
  }
  return found;
}

/** Frees busy pages that never got contents, unbusies the rest: a get that failed. => object locked */
export function uvnReleasePages(uvm: Uvm, pgs: Int32Array, n: number): void {
  const { pages } = uvm;
  for (let i = 0; i < n; i++) {
    const pg = pgs[i]!;
    if (pg <= 0) continue;
    pgs[i] = 0;
    if ((pages.flags[pg]! & PG_FAKE) === 0) {
      pages.pageUnbusy(pg);
      continue;
    }
    pages.lockQueues();
    pages.pageFree(pg);
    pages.unlockQueues();
  }
}
