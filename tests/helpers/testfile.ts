// A file for tests of uvm: its bytes are an array, its pages go through the vnode pager's helper as a file system's do. Reads
// may sleep, fail, and be counted.
import { EBUSY, EINVAL } from "../../kernel/lib/errno.ts";
import type { KGen } from "../../kernel/lib/kthread.ts";
import { PGO_CLEANIT, PGO_DEACTIVATE, PGO_FREE, type UvmObject } from "../../kernel/uvm/object.ts";
import { PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY, PG_RELEASED } from "../../kernel/uvm/page.ts";
import { UFP_NOALLOC, UFP_NORDONLY, uvnFindPages, uvnFindPagesNow, uvnObject, uvnReleasePages, type VnodePagerHost } from "../../kernel/uvm/vnode.ts";
import type { TestVm } from "./bootvm.ts";

const PAGE = 4096, PROT_WRITE = 2;

export class TestFile implements VnodePagerHost {
  readonly uobj: UvmObject;
  bytes: Uint8Array;
  refs = 1;
  reads = 0;
  writes = 0;
  dirtied = 0;
  /** Page numbers without blocks: they read as zeros and may not be written through a mapping. */
  readonly holes = new Set<number>();
  /** Sleep at "testio" in each read. */
  sleepInRead = false;
  private readonly t: TestVm;

  /** A file of `npages` pages; every byte of page i is pat(i). */
  constructor(t: TestVm, npages: number, pat: (i: number) => number = (i) => i + 1) {
    this.t = t;
    this.bytes = new Uint8Array(npages * PAGE);
    for (let i = 0; i < npages; i++) this.bytes.fill(pat(i), i * PAGE, (i + 1) * PAGE);
    this.uobj = uvnObject(t.uvm, this);
  }

  vref(): void {
    this.refs++;
  }

  *vrele(): KGen<void> {
    if (--this.refs > 0) return;
    this.uobj.lock.enter();
    yield* this.putpages(0, 0, PGO_FREE);
  }

  markDirty(): void {
    this.dirtied++;
  }

  getpagesLocked(off: number, pgs: Int32Array, n: number, centre: number, access: number): number {
    uvnFindPagesNow(this.t.uvm, this.uobj, off, pgs, n, UFP_NOALLOC | ((access & PROT_WRITE) !== 0 ? UFP_NORDONLY : 0));
    return pgs[centre]! > 0 ? 0 : -EBUSY;
  }

  *getpages(off: number, pgs: Int32Array, n: number, _centre: number, access: number): KGen<number> {
    const { uobj } = this, { pages } = this.t.uvm, isOutside = off + n * PAGE > this.bytes.length;
    const err = isOutside ? -EINVAL : yield* uvnFindPages(this.t.uvm, uobj, off, pgs, n, 0);
    if (err < 0) {
      uvnReleasePages(this.t.uvm, pgs, n);
      uobj.lock.exit();
      return err;
    }
    for (let i = 0; i < n; i++) {
      const pg = pgs[i]!, lblk = off / PAGE + i;
      if ((access & PROT_WRITE) !== 0 && this.holes.delete(lblk)) pages.flags[pg]! &= ~PG_RDONLY;
      if ((pages.flags[pg]! & PG_FAKE) === 0) continue;
      this.reads++;
      if (this.sleepInRead) {
        uobj.lock.exit();
        yield* this.t.ctx.sleep(this, "testio");
        uobj.lock.enter();
      }
      if (pages.uobject[pg] !== uobj) throw new Error("the page left its object while busy");
      this.t.mmu.frame(pg).set(this.bytes.subarray(lblk * PAGE, (lblk + 1) * PAGE));
      pages.flags[pg]! &= ~PG_FAKE;
      if (this.holes.has(lblk)) pages.flags[pg]! |= PG_RDONLY;
      pages.lockQueues();
      pages.pageEnqueue(pg);
      pages.unlockQueues();
    }
    uobj.lock.exit();
    return 0;
  }

  *putpages(lo: number, hi: number, flags: number): KGen<number> {
    const { uobj } = this, { pages, pmap } = this.t.uvm, end = hi === 0 ? Infinity : hi;
    for (let pg = uobj.memqHead, next = 0; pg !== 0; pg = next) {
      next = pages.memqNext[pg]!;
      const off = pages.offset[pg]!;
      if (off < lo || off >= end || (pages.flags[pg]! & PG_BUSY) !== 0) continue;
      if ((flags & PGO_FREE) !== 0) pmap.pmapPageProtect(pg, 0);
      if ((flags & PGO_CLEANIT) !== 0) {
        const dirty = pmap.pmapClearModify(pg) || (pages.flags[pg]! & PG_CLEAN) === 0;
        pages.flags[pg]! |= PG_CLEAN;
        if (dirty) {
          this.writes++;
          this.bytes.set(this.t.mmu.frame(pg).subarray(0, Math.max(0, this.bytes.length - off)), off);
        }
      }
      pages.lockQueues();
      if ((flags & PGO_FREE) !== 0) pages.pageFree(pg);
      else if ((flags & PGO_DEACTIVATE) !== 0) pages.pageDeactivate(pg);
      pages.unlockQueues();
    }
    uobj.lock.exit();
    return 0;
  }

  /** Cuts the file; busy pages beyond the end are released, idle ones freed. */
  truncate(npages: number): void {
    const { uobj } = this, { pages, pmap } = this.t.uvm;
    this.bytes = this.bytes.slice(0, npages * PAGE);
    uobj.lock.enter();
    for (const [no, pg] of [...uobj.tree]) {
      if (no < npages) continue;
      if ((pages.flags[pg]! & PG_BUSY) !== 0) {
        pages.flags[pg]! |= PG_RELEASED;
        continue;
      }
      pmap.pmapPageProtect(pg, 0);
      pages.lockQueues();
      pages.pageFree(pg);
      pages.unlockQueues();
    }
    uobj.lock.exit();
  }

  /** Ends the reads that sleep. */
  finishIo(): void {
    this.t.ctx.wakeup(this);
  }
}

