// Pages of a file and the blocks they lie in: what every file system on a disk shares. BSD: genfs_getpages, genfs_putpages
// (uvm-spec 3.20, 3.21).
//
//   read(2), write(2), page faults ─► getpages ─► resident page | read runs of blocks | zeroes for a hole
//   fsync, msync, truncation, page daemon ─► putpages ─► runs of dirty pages to their blocks
//
// A file system says where block n of a file lies (`blockOf`), and allocates one. A page of a hole is PG_RDONLY until a store
// gets it blocks. Locks: the node lock (shared to read, exclusive to allocate or truncate) comes before PG_BUSY; the object's
// lock guards the page lists and is never held over a sleep.
import { EAGAIN, EBUSY, EDEADLK, EINVAL } from "../lib/errno.ts";
import { KRwLock } from "../lib/klock.ts";
import type { KGen } from "../lib/kthread.ts";
import { PAGE_SIZE, type PhysMem, RAM_BASE } from "../hal/physmem.ts";
import { PROT_NONE, PROT_WRITE } from "../hal/prot.ts";
import { PGO_ALLPAGES, PGO_BUSYFAIL, PGO_CLEANIT, PGO_DEACTIVATE, PGO_FREE, PGO_OVERWRITE, PGO_PASTEOF } from "../uvm/object.ts";
import { PG_BUSY, PG_CLEAN, PG_FAKE, PG_RDONLY } from "../uvm/page.ts";
import type { Uvm } from "../uvm/uvm.ts";
import { uvnFindPages, uvnFindPagesNow, uvnReleasePages, UFP_NOALLOC, UFP_NORDONLY } from "../uvm/vnode.ts";
import type { BlockDev } from "./blockdev.ts";
import type { Mount } from "./mount.ts";
import { Vnode, type VType } from "./vnode.ts";

/** Pages of one transfer (MAXPHYS), and how far a sequential read looks ahead. */
export const CLUSTER = 16;
/** What `blockOf` answers where a file has no block. */
export const HOLE = 0;

export abstract class GenfsPager extends Vnode {
  readonly dev: BlockDev;
  readonly blockSize: number;
  protected readonly nodeLock: KRwLock;
  protected readonly mem: PhysMem;
  private readonly pgs = new Int32Array(CLUSTER);

  constructor(mount: Mount, type: VType, ino: number, dev: BlockDev, blockSize: number, mem: PhysMem) {
    super(mount, type, ino);
    this.dev = dev;
    this.blockSize = blockSize;
    this.mem = mem;
    this.nodeLock = new KRwLock(mount.vfs.ctx, "genfs node");
  }

  /** Disk block of the file's block `n`; HOLE when there is none and `allocate` is not set. => -EIO, -ENOSPC, -EUCLEAN */
  abstract blockOf(n: number, allocate: boolean): KGen<number>;
  /** Contents (and size) changed: times, and the inode is to be written. */
  abstract touchedData(): void;
  /** Largest size a file can have. */
  abstract readonly maxSize: number;

  protected get uvm(): Uvm { return this.mount.vfs.uvm; }

  override getpagesLocked(off: number, pgs: Int32Array, n: number, centre: number, access: number, _advice: number): number {
    if (off + centre * PAGE_SIZE >= Math.max(this.vSize, this.vWriteSize)) return -EBUSY;
    const write = (access & PROT_WRITE) !== 0;
    if (!this.nodeLock.tryRead()) return -EBUSY;
    uvnFindPagesNow(this.uvm, this.uobj, off, pgs, n, UFP_NOALLOC | (write ? UFP_NORDONLY : 0));
    this.nodeLock.unlock();
    return pgs[centre]! > 0 ? 0 : -EBUSY;
  }

  override *getpages(off: number, pgs: Int32Array, n: number, centre: number, access: number, _advice: number, flags: number): KGen<number> {
    const { uobj } = this, limit = (flags & PGO_PASTEOF) !== 0 ? Math.max(this.vSize, this.vWriteSize, off + n * PAGE_SIZE) : this.vSize;
    uobj.lock.exit();
    if (off + centre * PAGE_SIZE >= limit) return -EINVAL;
    const write = (access & PROT_WRITE) !== 0, inside = Math.min(n, Math.ceil((limit - off) / PAGE_SIZE));
    if (write) yield* this.nodeLock.write();
    else yield* this.nodeLock.read();
    const error = yield* this.fill(off, pgs, inside, write, flags);
    this.nodeLock.unlock();
    return error;
  }

  /** => node lock held; pages of pgs[0..n) busy and valid afterwards, or none */
  private *fill(off: number, pgs: Int32Array, n: number, write: boolean, flags: number): KGen<number> {
    const { uvm, uobj } = this, { pages } = uvm;
    uobj.lock.enter();
    const found = yield* uvnFindPages(uvm, uobj, off, pgs, n, 0);
    let error = found < 0 ? found : 0;
    uobj.lock.exit();
    if (error === 0 && (flags & PGO_OVERWRITE) === 0) error = yield* this.readFakes(off, pgs, n);
    if (error === 0 && write) error = yield* this.allocatePages(off, pgs, n);
    uobj.lock.enter();
    if (error < 0) uvnReleasePages(uvm, pgs, n);
    else if ((flags & PGO_OVERWRITE) === 0) {
      for (let i = 0; i < n; i++) {
        const pg = pgs[i]!;
        if (pg <= 0 || (pages.flags[pg]! & PG_FAKE) === 0) continue;
        pages.flags[pg]! &= ~PG_FAKE;
        uvm.pmap.pmapClearModify(pg);
        pages.lockQueues();
        pages.pageEnqueue(pg);
        pages.unlockQueues();
      }
    }
    uobj.lock.exit();
    return error;
  }

  /** Reads the pages that have no contents yet, in runs of neighbouring blocks. */
  private *readFakes(off: number, pgs: Int32Array, n: number): KGen<number> {
    const { flags } = this.uvm.pages, run: number[] = [];
    let runAt = 0, runEnd = -1, error = 0;
    for (let i = 0; i < n && error >= 0; i++) {
      const pg = pgs[i]!;
      if (pg <= 0 || (flags[pg]! & PG_FAKE) === 0) continue;
      this.mem.touched(pg * PAGE_SIZE, PAGE_SIZE);
      let holes = 0;
      for (let inside = 0; inside < PAGE_SIZE; inside += this.blockSize) {
        const at = off + i * PAGE_SIZE + inside, disk = at < this.vSize ? yield* this.blockOf(at / this.blockSize, false) : HOLE;
        if (disk < 0) return disk;
        if (disk === HOLE) {
          holes += at < this.vSize ? 1 : 0;
          this.mem.page(pg).fill(0, inside, inside + this.blockSize);
          continue;
        }
        const from = disk * this.blockSize;
        if (run.length > 0 && (from !== runEnd || run.length >= 2 * CLUSTER)) {
          error = yield* this.dev.transfer(false, runAt, run);
          run.length = 0;
          if (error < 0) return error;
        }
        if (run.length === 0) runAt = from;
        run.push(RAM_BASE + pg * PAGE_SIZE + inside, this.blockSize);
        runEnd = from + this.blockSize;
      }
      if (holes > 0) flags[pg]! |= PG_RDONLY;
    }
    if (run.length > 0) error = yield* this.dev.transfer(false, runAt, run);
    this.zeroPastEnd(off, pgs, n);
    return error;
  }

  /** What a disk holds behind the end of a file is not the file's. */
  private zeroPastEnd(off: number, pgs: Int32Array, n: number): void {
    const end = this.vSize - off, i = Math.floor(end / PAGE_SIZE);
    if (end % PAGE_SIZE === 0 || i < 0 || i >= n || pgs[i]! <= 0) return;
    if ((this.uvm.pages.flags[pgs[i]!]! & PG_FAKE) !== 0) this.mem.page(pgs[i]!).fill(0, end % PAGE_SIZE);
  }

  /** Blocks for every page that is about to be stored to. */
  private *allocatePages(off: number, pgs: Int32Array, n: number): KGen<number> {
    const { pages } = this.uvm;
    for (let i = 0; i < n; i++) {
      const pg = pgs[i]!;
      if (pg <= 0 || ((pages.flags[pg]! & (PG_RDONLY | PG_FAKE)) === 0 && (pages.flags[pg]! & PG_CLEAN) === 0)) continue;
      const end = Math.max(this.vSize, this.vWriteSize, off + i * PAGE_SIZE + 1);
      for (let at = off + i * PAGE_SIZE; at < Math.min(end, off + (i + 1) * PAGE_SIZE); at += this.blockSize) {
        const disk = yield* this.blockOf(Math.floor(at / this.blockSize), true);
        if (disk < 0) return disk;
      }
      pages.flags[pg]! &= ~(PG_RDONLY | PG_CLEAN);
    }
    this.touchedData();
    return 0;
  }

  override *putpages(lo: number, hi: number, flags: number): KGen<number> {
    const { uobj } = this, { pages } = this.uvm, end = hi === 0 || (flags & PGO_ALLPAGES) !== 0 ? Infinity : hi, from = (flags & PGO_ALLPAGES) !== 0 ? 0 : lo;
    const offsets = [...uobj.tree].map(([index]) => index * PAGE_SIZE).filter((o) => o >= from && o < end).sort((a, b) => a - b);
    for (let i = 0; i < offsets.length;) {
      const pg = pages.lookup(uobj, offsets[i]!);
      if (pg === 0) {
        i++;
        continue;
      }
      if ((pages.flags[pg]! & PG_BUSY) !== 0) {
        if ((flags & PGO_BUSYFAIL) !== 0) {
          uobj.lock.exit();
          return -EDEADLK;
        }
        pages.wantPage(pg);
        uobj.lock.exit();
        yield* pages.sleepOnPage(pg, "genput");
        uobj.lock.enter();
        continue;
      }
      const count = (flags & PGO_CLEANIT) !== 0 ? this.gather(offsets[i]!, end, flags) : 0;
      if (count > 0) {
        uobj.lock.exit();
        const error = yield* this.writePages(offsets[i]!, this.pgs.slice(0, count), flags);
        if (error < 0) return error;
        uobj.lock.enter();
        const done = offsets[i]! + count * PAGE_SIZE;
        while (i < offsets.length && offsets[i]! < done) i++;
        continue;
      }
      this.settle(pg, flags);
      i++;
    }
    uobj.lock.exit();
    return 0;
  }

  /** A clean, idle page: frees or deactivates it as asked. => object locked */
  private settle(pg: number, flags: number): void {
    const { pages } = this.uvm;
    if ((flags & PGO_FREE) !== 0) this.uvm.pmap.pmapPageProtect(pg, PROT_NONE);
    pages.lockQueues();
    if ((flags & PGO_FREE) !== 0) pages.pageFree(pg);
    else if ((flags & PGO_DEACTIVATE) !== 0) pages.pageDeactivate(pg);
    pages.unlockQueues();
  }

  /** Makes busy the dirty, idle pages of [off, end) that lie together. => how many, in pgs; object locked */
  private gather(off: number, end: number, flags: number): number {
    const { pages, pmap } = this.uvm, { pgs } = this;
    let n = 0;
    for (; n < CLUSTER && off + n * PAGE_SIZE < end; n++) {
      const pg = pages.lookup(this.uobj, off + n * PAGE_SIZE);
      if (pg === 0 || (pages.flags[pg]! & PG_BUSY) !== 0) break;
      // A page that will be freed is unmapped before its dirtiness is read.
      if ((flags & PGO_FREE) !== 0) pmap.pmapPageProtect(pg, PROT_NONE);
      const modified = pmap.pmapClearModify(pg);
      if (!modified && (pages.flags[pg]! & PG_CLEAN) !== 0) break;
      pages.flags[pg]! |= PG_CLEAN;
      pages.pageBusy(pg, "putpages");
      pgs[n] = pg;
    }
    return n;
  }

  /** Writes busy pages to their blocks; then unbusies, or frees them. => object unlocked */
  private *writePages(off: number, pgs: Int32Array, flags: number): KGen<number> {
    const { uobj } = this, { pages } = this.uvm;
    this.numOutput++;
    let error = yield* this.writeRuns(off, pgs);
    this.numOutput--;
    if (this.numOutput === 0) this.mount.vfs.ctx.wakeup(this);
    uobj.lock.enter();
    for (const pg of pgs) {
      if (error < 0) pages.flags[pg]! &= ~PG_CLEAN;
      pages.pageUnbusy(pg);
      if (error >= 0 && (pages.flags[pg]! & PG_CLEAN) !== 0 && pages.lookup(uobj, pages.offset[pg]!) === pg) this.settle(pg, flags);
    }
    uobj.lock.exit();
    if (error === -EAGAIN) error = 0;
    return error;
  }

  private *writeRuns(off: number, pgs: Int32Array): KGen<number> {
    const run: number[] = [];
    let runAt = 0, runEnd = -1;
    for (let i = 0; i < pgs.length; i++) {
      for (let inside = 0; inside < PAGE_SIZE; inside += this.blockSize) {
        const at = off + i * PAGE_SIZE + inside;
        if (at >= Math.max(this.vSize, this.vWriteSize)) break;
        const disk = yield* this.blockOf(at / this.blockSize, true);
        if (disk < 0) return disk;
        const from = disk * this.blockSize;
        if (run.length > 0 && (from !== runEnd || run.length >= 2 * CLUSTER)) {
          const error = yield* this.dev.transfer(true, runAt, run);
          run.length = 0;
          if (error < 0) return error;
        }
        if (run.length === 0) runAt = from;
        run.push(RAM_BASE + pgs[i]! * PAGE_SIZE + inside, this.blockSize);
        runEnd = from + this.blockSize;
      }
    }
    return run.length > 0 ? yield* this.dev.transfer(true, runAt, run) : 0;
  }
}
