// uvm_aobj: anonymous memory as an object, so that several maps can share it: MAP_SHARED|MAP_ANONYMOUS, and the files of
// tmpfs. A page comes into being, zero, when it is first asked for. Its only copy is the resident one: there is no swap.
import { EBUSY, EINVAL, ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_NONE } from "../hal/prot.ts";
import { PGO_DEACTIVATE, PGO_FREE, PGO_PASTEOF, UO_AOBJ, UvmObject, type PagerOps } from "./object.ts";
import { PAGE_SIZE, PG_BUSY, PG_FAKE, PGA_ZERO } from "./page.ts";
import { uvmReclaimable, uvmWait } from "./pdaemon.ts";
import type { Uvm } from "./uvm.ts";

/** The private part of an anonymous object. */
export class Aobj {
  readonly uvm: Uvm;
  /** [object lock] bytes; a page at or beyond its end does not exist */
  size: number;
  constructor(uvm: Uvm, size: number) {
    this.uvm = uvm;
    this.size = size;
  }
}

function aobjOf(o: UvmObject): Aobj {
  KASSERT(o.kind === UO_AOBJ, "not an anonymous object");
  return o.owner as Aobj;
}

/** A new anonymous object with one reference. BSD: uao_create. => size in bytes */
export function uaoCreate(uvm: Uvm, size: number): UvmObject {
  const o = new UvmObject(uvm.ctx, AOBJ_OPS, UO_AOBJ, new Aobj(uvm, size));
  uvm.aobjs.add(o);
  return o;
}

/** Changes the size; pages beyond the new end are freed whoever maps them. => unlocked; may sleep at SP-PGWAIT(uao_put) */
export function* uaoSetSize(o: UvmObject, size: number): KGen<void> {
  const aobj = aobjOf(o), old = aobj.size, from = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
  o.lock.enter();
  aobj.size = size;
  if (size < old) yield* freeRange(aobj.uvm, o, from, Infinity, "uao_put");
  o.lock.exit();
}

/** Frees the pages of [lo, hi). => object locked in and out, let go of to sleep */
function* freeRange(uvm: Uvm, o: UvmObject, lo: number, hi: number, tag: string): KGen<void> {
  const { pages, pmap } = uvm;
  let pg = o.memqHead;
  while (pg !== 0) {
    const next = pages.memqNext[pg]!, off = pages.offset[pg]!;
    if (off < lo || off >= hi) {
      pg = next;
      continue;
    }
    if ((pages.flags[pg]! & PG_BUSY) !== 0) {
      pages.wantPage(pg);
      o.lock.exit();
      yield* pages.sleepOnPage(pg, tag);
      o.lock.enter();
      pg = o.memqHead;
      continue;
    }
    pmap.pmapPageProtect(pg, PROT_NONE);
    pages.lockQueues();
    pages.pageFree(pg);
    pages.unlockQueues();
    pg = next;
  }
}

const AOBJ_OPS: PagerOps = {
  name: "aobj",

  reference(o) {
    o.lock.enter();
    o.refs++;
    o.lock.exit();
  },

  *detach(o) {
    const { uvm } = aobjOf(o);
    o.lock.enter();
    KASSERT(o.refs > 0, "aobj reference count");
    if (--o.refs === 0) {
      yield* freeRange(uvm, o, 0, Infinity, "uao_det");
      uvm.aobjs.delete(o);
    }
    o.lock.exit();
  },

  getLocked(o, off, pgs, n, centre) {
    const { uvm, size } = aobjOf(o), { pages } = uvm;
    for (let i = 0; i < n; i++) {
      if (pgs[i] !== 0) continue;
      const at = off + i * PAGE_SIZE;
      let pg = pages.lookup(o, at);
      // Only the page that is needed is made: neighbours may never be touched.
      if (pg === 0 && i === centre && at < size) pg = fresh(uvm, o, at);
      else if (pg !== 0 && (pages.flags[pg]! & PG_BUSY) !== 0) pg = 0;
      else if (pg !== 0) pages.pageBusy(pg, "uao_get");
      pgs[i] = pg;
    }
    return pgs[centre] === 0 ? -EBUSY : 0;
  },

  *get(o, off, pgs, n, _centre, _access, _advice, flags) {
    const aobj = aobjOf(o), { pages } = aobj.uvm;
    let err = 0;
    for (let i = 0; i < n && err === 0; i++) {
      while (pgs[i] === 0 && err === 0) {
        const at = off + i * PAGE_SIZE, pg = pages.lookup(o, at);
        if (at >= aobj.size && (flags & PGO_PASTEOF) === 0) err = -EINVAL;
        else if (pg === 0) {
          pgs[i] = fresh(aobj.uvm, o, at);
          if (pgs[i] === 0) err = yield* waitForPage(aobj.uvm, o);
        } else if ((pages.flags[pg]! & PG_BUSY) !== 0) {
          pages.wantPage(pg);
          o.lock.exit();
          yield* pages.sleepOnPage(pg, "uao_get");
          o.lock.enter();
        } else {
          pages.pageBusy(pg, "uao_get");
          pgs[i] = pg;
        }
      }
    }
    if (err < 0) pages.pageUnbusyAll(pgs, n);
    o.lock.exit();
    return err;
  },

  *put(o, lo, hi, flags) {
    const { uvm } = aobjOf(o), { pages } = uvm, end = hi === 0 ? Infinity : hi;
    // Dropping is one holder's wish: while others hold the object its contents stay.
    if ((flags & PGO_FREE) !== 0 && o.refs <= 1) yield* freeRange(uvm, o, lo, end, "uao_put");
    else if ((flags & (PGO_FREE | PGO_DEACTIVATE)) !== 0) {
      pages.lockQueues();
      for (let pg = pages.skipMarkers(o.memqHead); pg !== 0; pg = pages.skipMarkers(pages.memqNext[pg]!)) {
        const off = pages.offset[pg]!;
        if (off >= lo && off < end && (pages.flags[pg]! & PG_BUSY) === 0 && pages.loanCount[pg] === 0) pages.pageDeactivate(pg);
      }
      pages.unlockQueues();
    }
    o.lock.exit();
    return 0;
  },
};

/** A page of zeros in the object: busy, queued. => object locked; 0 when memory is short */
function fresh(uvm: Uvm, o: UvmObject, off: number): number {
  const { pages } = uvm, pg = pages.pageAlloc(o, off, 0, PGA_ZERO);
  if (pg === 0) return 0;
  pages.flags[pg]! &= ~PG_FAKE;
  pages.lockQueues();
  pages.pageEnqueue(pg);
  pages.unlockQueues();
  return pg;
}

/** => object locked in and out; 0 try again, -ENOMEM */
function* waitForPage(uvm: Uvm, o: UvmObject): KGen<number> {
  if (!uvmReclaimable(uvm)) return -ENOMEM;
  o.lock.exit();
  yield* uvmWait(uvm, "uao_getpage");
  o.lock.enter();
  return 0;
}
