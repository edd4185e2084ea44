// Contents of files on a disk: read(2) and write(2) between the caller's memory and the pages of the file, and its size. How pages
// come from the disk and go to it is genfspager.ts's.
//
//   read ─► resident page ─► caller        not resident: bringIn, and those after it
//   write ─► resident page of the file, or writeNew: pages that are missing, in holes, or behind the end
import { EFBIG, ENOSPC, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PAGE_SIZE } from "../hal/physmem.ts";
import { PROT_WRITE } from "../hal/prot.ts";
import { PGO_ALLPAGES, PGO_CLEANIT, PGO_FREE, PGO_OVERWRITE, PGO_PASTEOF } from "../uvm/object.ts";
import { PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY } from "../uvm/page.ts";
import { copyFault, type Uio, uiomove } from "../uvm/uio.ts";
import { CLUSTER, GenfsPager } from "./genfspager.ts";

/** Pages read around a place that was jumped to. */
const NEARBY = 4;

export abstract class GenfsVnode extends GenfsPager {
  // ---- read(2) and write(2) ----

  /** The page at a file offset when it is resident, idle and valid; 0 otherwise. */
  private residentPage(off: number, forStore: boolean): number {
    const { pages } = this.uvm, pg = this.uobj.tree.get(Math.floor(off / PAGE_SIZE));
    if (pg === 0 || (pages.flags[pg]! & (PG_BUSY | PG_FAKE)) !== 0) return 0;
    return forStore && ((pages.flags[pg]! & PG_RDONLY) !== 0 || pages.loanCount[pg]! > 0) ? 0 : pg;
  }

  /** All of it, from resident pages to memory that is mapped: -ERESTART when either does not hold. */
  override readFast(uio: Uio, offset: number): number {
    const want = Math.min(uio.resid, this.vSize - offset);
    if (want <= 0) return 0;
    for (let at = offset - (offset % PAGE_SIZE); at < offset + want; at += PAGE_SIZE) if (this.residentPage(at, false) === 0) return -ERESTART;
    let done = 0;
    while (done < want) {
      const at = offset + done, pg = this.residentPage(at, false), inside = at % PAGE_SIZE, n = Math.min(want - done, PAGE_SIZE - inside);
      const moved = uio.moveFast(this.mem.u8, pg * PAGE_SIZE + inside, n);
      done += moved;
      if (moved === n) continue;
      uio.unmove(done);
      return -ERESTART;
    }
    return done;
  }

  /** Whether nothing was ever written there, which can be read without making a page of zeroes. */
  protected isKnownHole(_off: number): boolean {
    return false;
  }

  override *read(uio: Uio, offset: number): KGen<number> {
    let done = 0;
    while (uio.resid > 0 && offset + done < this.vSize) {
      const at = offset + done, inside = at % PAGE_SIZE, n = Math.min(uio.resid, PAGE_SIZE - inside, this.vSize - at), pg = this.residentPage(at, false);
      if (pg === 0 && this.isKnownHole(at)) {
        const before = uio.resid, error = yield* uiomove(new Uint8Array(n), 0, n, uio);
        done += before - uio.resid;
        if (error < 0) return done > 0 ? done : error;
        continue;
      }
      if (pg === 0) {
        const error = yield* this.bringIn(at - inside, Math.ceil((inside + uio.resid) / PAGE_SIZE));
        if (error < 0) return done > 0 ? done : error;
        continue;
      }
      const moved = uio.moveFast(this.mem.u8, pg * PAGE_SIZE + inside, n);
      done += moved;
      if (moved < n) {
        const error = yield* copyFault(this.uvm, uio.map!);
        if (error < 0) return done > 0 ? done : error;
      }
    }
    return done;
  }

  /** Where the last pages that were brought in end: who goes on there reads one after the other. */
  private aheadEnd = 0;

  /** Makes a page resident, and those after it that the caller is likely to want. */
  private *bringIn(off: number, npages: number): KGen<number> {
    const wanted = off === this.aheadEnd ? CLUSTER : Math.max(npages, NEARBY);
    const n = Math.min(wanted, CLUSTER, Math.ceil((this.vSize - off) / PAGE_SIZE)), pgs = new Int32Array(n), { pages } = this.uvm;
    this.aheadEnd = off + n * PAGE_SIZE;
    this.uobj.lock.enter();
    const error = yield* this.getpages(off, pgs, n, 0, 0, 0, 0);
    if (error < 0) return error;
    this.uobj.lock.enter();
    for (const pg of pgs) if (pg > 0) {
      pages.lockQueues();
      pages.pageActivate(pg);
      pages.unlockQueues();
      pages.pageUnbusy(pg);
    }
    this.uobj.lock.exit();
    return 0;
  }

  /** All of it, into resident pages that have blocks, inside the file. */
  override writeFast(uio: Uio, offset: number): number {
    const want = uio.resid;
    if (want === 0 || offset + want > this.vSize) return -ERESTART;
    for (let at = offset - (offset % PAGE_SIZE); at < offset + want; at += PAGE_SIZE) if (this.residentPage(at, true) === 0) return -ERESTART;
    let done = 0;
    while (done < want) {
      const at = offset + done, moved = this.moveInto(uio, this.residentPage(at, true), at % PAGE_SIZE, Math.min(want - done, PAGE_SIZE - (at % PAGE_SIZE)));
      if (moved === 0) break;
      done += moved;
    }
    if (done > 0) this.touchedData();
    if (done === want) return done;
    uio.unmove(done);
    return -ERESTART;
  }

  /** Copies into a resident page, which becomes dirty. */
  private moveInto(uio: Uio, pg: number, inside: number, n: number): number {
    const moved = uio.moveFast(this.mem.u8, pg * PAGE_SIZE + inside, n);
    if (moved > 0) {
      this.mem.touched(pg * PAGE_SIZE + inside, moved);
      this.uvm.pages.flags[pg]! &= ~PG_CLEAN;
    }
    return moved;
  }

  /** => vnode locked exclusively by the caller; `offset` is where (O_APPEND is the caller's) */
  override *write(uio: Uio, offset: number): KGen<number> {
    let done = 0;
    if (offset >= this.maxSize) return -EFBIG;
    const limit = Math.min(uio.resid, this.maxSize - offset);
    while (done < limit) {
      const at = offset + done, inside = at % PAGE_SIZE, n = Math.min(limit - done, PAGE_SIZE - inside), pg = at + n <= this.vSize ? this.residentPage(at, true) : 0;
      let error = 0;
      if (pg !== 0) {
        const moved = this.moveInto(uio, pg, inside, n);
        done += moved;
        if (moved < n) error = yield* copyFault(this.uvm, uio.map!);
      } else {
        error = yield* this.writeNew(uio, at, Math.min(limit - done, CLUSTER * PAGE_SIZE - inside));
        if (error > 0) done += error;
      }
      if (error < 0) return done > 0 ? done : error;
    }
    if (done > 0) this.touchedData();
    return done;
  }

  /**
   * Writes where pages are missing or must get blocks: first copies what is written, so that no page is busy while the caller's
   * memory is faulted in, which may be a mapping of this very file.
   */
  private *writeNew(uio: Uio, at: number, n: number): KGen<number> {
    const chunk = new Uint8Array(n), before = uio.resid, fault = yield* uiomove(chunk, 0, n, uio), got = before - uio.resid;
    if (got === 0) return fault;
    const inside = at % PAGE_SIZE, npages = Math.ceil((inside + got) / PAGE_SIZE), pgs = new Int32Array(npages), { pages } = this.uvm;
    const whole = (inside === 0 || at - inside >= this.vSize) && (at + got) % PAGE_SIZE === 0 || (inside === 0 && at + got >= this.vSize);
    this.vWriteSize = Math.max(this.vSize, at + got);
    this.uobj.lock.enter();
    const error = yield* this.getpages(at - inside, pgs, npages, 0, PROT_WRITE, 0, PGO_PASTEOF | (whole ? PGO_OVERWRITE : 0));
    if (error < 0) {
      this.vWriteSize = this.vSize;
      uio.unmove(got);
      return error === -ENOSPC && got > PAGE_SIZE ? yield* this.writeNew(uio, at, PAGE_SIZE - inside) : error;
    }
    for (let i = 0, from = 0; i < npages; i++) {
      const start = i === 0 ? inside : 0, len = Math.min(got - from, PAGE_SIZE - start), page = this.mem.page(pgs[i]!);
      if ((pages.flags[pgs[i]!]! & PG_FAKE) !== 0) {
        page.fill(0, 0, start);
        page.fill(0, start + len);
      }
      page.set(chunk.subarray(from, from + len), start);
      this.mem.touched(pgs[i]! * PAGE_SIZE, PAGE_SIZE);
      from += len;
    }
    if (at + got > this.vSize) this.vSize = at + got;
    this.vWriteSize = this.vSize;
    this.uobj.lock.enter();
    for (const pg of pgs) {
      pages.flags[pg]! &= ~(PG_FAKE | PG_CLEAN);
      pages.lockQueues();
      pages.pageActivate(pg);
      pages.unlockQueues();
      pages.pageUnbusy(pg);
    }
    this.uobj.lock.exit();
    return got;
  }

  // ---- size ----

  /**
   * The pages of a new size: frees those beyond it, zeroes the rest of the last one. The blocks are the file system's.
   *
   * => vnode locked exclusively
   */
  protected *resizePages(size: number): KGen<number> {
    if (size < this.vSize && size % PAGE_SIZE !== 0) {
      const last = size - (size % PAGE_SIZE), pgs = new Int32Array(1);
      this.uobj.lock.enter();
      const error = yield* this.getpages(last, pgs, 1, 0, 0, 0, 0);
      if (error < 0) return error;
      this.uobj.lock.enter();
      const pg = pgs[0]!, { pages } = this.uvm;
      this.mem.page(pg).fill(0, size % PAGE_SIZE);
      this.mem.touched(pg * PAGE_SIZE, PAGE_SIZE);
      // A hole's zeroes are the disk's too.
      if ((pages.flags[pg]! & PG_RDONLY) === 0) pages.flags[pg]! &= ~PG_CLEAN;
      pages.lockQueues();
      pages.pageActivate(pg);
      pages.unlockQueues();
      pages.pageUnbusy(pg);
      this.uobj.lock.exit();
    }
    const before = this.vSize;
    this.vSize = this.vWriteSize = size;
    if (size >= before) return 0;
    this.uobj.lock.enter();
    return yield* this.putpages(Math.ceil(size / PAGE_SIZE) * PAGE_SIZE, 0, PGO_FREE);
  }

  /** Frees every page, written or not: the file is gone. */
  protected *discardPages(): KGen<void> {
    this.uobj.lock.enter();
    yield* this.putpages(0, 0, PGO_FREE | PGO_ALLPAGES);
  }

  /** Writes all dirty pages. */
  protected *cleanPages(): KGen<number> {
    this.uobj.lock.enter();
    return yield* this.putpages(0, 0, PGO_CLEANIT | PGO_ALLPAGES);
  }
}
