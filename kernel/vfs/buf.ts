// The buffer cache: blocks of metadata, one frame of RAM each. File contents are not here but in the pages of vnodes.
//
//   bread(n) ─► Buf { bytes } ─► change it, then bdirty() ─► written by sync, by eviction, or at once by bwrite()
//
// A buffer's bytes are valid until the caller sleeps, unless it holds the buffer: a held buffer is not evicted. Updates happen
// between sleeps, so a buffer needs no lock of its own; a file system's lock guards what its blocks mean.
import { EIO, ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import { PAGE_SIZE, RAM_BASE } from "../hal/physmem.ts";
import { PRIV_BUFFER } from "../uvm/page.ts";
import type { Uvm } from "../uvm/uvm.ts";
import type { BlockDev } from "./blockdev.ts";

/** Buffers of one cache; and how many it keeps frames for, whatever else wants memory: more than one operation holds at a time. */
const MOST_BUFFERS = 1024, FEWEST = 8;

export class Buf {
  readonly blkno: number;
  readonly pg: number;
  /** The block. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  isDirty = false;
  /** Read in, or written over whole. */
  isValid = false;
  /** A transfer is under way: sleep on the buffer. */
  isBusy = false;
  holds = 0;

  constructor(blkno: number, pg: number, bytes: Uint8Array) {
    this.blkno = blkno;
    this.pg = pg;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

export class BufCache {
  readonly dev: BlockDev;
  readonly blockSize: number;
  private readonly ctx: KContext;
  private readonly uvm: Uvm;
  private readonly mem: { bytes(pa: number, len: number): Uint8Array; touched(at: number, len: number): void };
  /** By block number; least recently used first. */
  private readonly bufs = new Map<number, Buf>();
  /** Frames of the cache that no buffer uses: with the buffers never fewer than FEWEST, from reserve to purge. */
  private readonly spare: number[] = [];
  readonly stats = { hits: 0, misses: 0, writes: 0, lost: 0 };

  constructor(ctx: KContext, uvm: Uvm, mem: { bytes(pa: number, len: number): Uint8Array; touched(at: number, len: number): void }, dev: BlockDev, blockSize: number) {
    this.ctx = ctx;
    this.uvm = uvm;
    this.mem = mem;
    this.dev = dev;
    this.blockSize = blockSize;
  }

  /** Takes the frames that the cache can always do with; to be called before blocks are asked for. => 0, -ENOMEM: it has none */
  reserve(): number {
    while (this.bufs.size + this.spare.length < FEWEST) {
      const pg = this.uvm.pages.allocPrivate(PRIV_BUFFER, 0);
      if (pg === 0) {
        this.purge();
        return -ENOMEM;
      }
      this.spare.push(pg);
    }
    return 0;
  }

  /** The buffer of a block, read in. BSD: bread(9). => -EIO */
  *bread(blkno: number): KGen<Buf | number> {
    for (;;) {
      const b = yield* this.getblk(blkno);
      if (b.isValid) {
        this.stats.hits++;
        return b;
      }
      this.stats.misses++;
      b.isBusy = true;
      const error = yield* this.dev.transfer(false, blkno * this.blockSize, [RAM_BASE + b.pg * PAGE_SIZE, this.blockSize]);
      b.isBusy = false;
      this.ctx.wakeup(b);
      if (error < 0) {
        this.drop(b);
        return error;
      }
      b.isValid = true;
    }
  }

  /** The buffer of a block that will be written over whole. Zeroed when it is new. => idle */
  *getblk(blkno: number): KGen<Buf> {
    for (;;) {
      const b = this.bufs.get(blkno);
      if (b) {
        if (!b.isBusy) {
          this.bufs.delete(blkno);
          this.bufs.set(blkno, b);
          return b;
        }
        yield* this.ctx.sleep(b, "getblk");
        continue;
      }
      const pg = yield* this.frame();
      // Another thread may have made it while this one slept.
      if (this.bufs.has(blkno)) {
        this.release(pg);
        continue;
      }
      const neu = new Buf(blkno, pg, this.mem.bytes(RAM_BASE + pg * PAGE_SIZE, this.blockSize));
      neu.bytes.fill(0);
      this.mem.touched(pg * PAGE_SIZE, this.blockSize);
      this.bufs.set(blkno, neu);
      return neu;
    }
  }

  /** A zeroed, valid, dirty buffer for a block that was just allocated. */
  *clear(blkno: number): KGen<Buf> {
    const b = yield* this.getblk(blkno);
    b.bytes.fill(0);
    b.isValid = true;
    this.bdirty(b);
    return b;
  }

  /** A frame for a buffer: a new one, or that of the buffer used longest ago. Sleeps while all are in transfer. */
  private *frame(): KGen<number> {
    for (;;) {
      if (this.bufs.size < MOST_BUFFERS) {
        const pg = this.uvm.pages.allocPrivate(PRIV_BUFFER, 0);
        if (pg !== 0) return pg;
        const kept = this.spare.pop();
        if (kept !== undefined) return kept;
        KASSERT(this.bufs.size >= FEWEST, "buffer cache: used without its reserve");
      }
      const all = [...this.bufs.values()], victim = all.find((b) => !b.isBusy && b.holds === 0);
      if (victim === undefined) {
        const busy = all.find((b) => b.isBusy);
        KASSERT(busy, "buffer cache: every buffer is held");
        yield* this.ctx.sleep(busy, "buffers");
        continue;
      }
      // What the disk refuses is lost: nobody waits for it, and keeping it would wedge all others.
      if (victim.isDirty && (yield* this.bwrite(victim)) < 0 && !victim.isBusy) {
        victim.isDirty = false;
        this.stats.lost++;
      }
      if (this.bufs.get(victim.blkno) !== victim || victim.isBusy || victim.isDirty || victim.holds > 0) continue;
      this.bufs.delete(victim.blkno);
      return victim.pg;
    }
  }

  private drop(b: Buf): void {
    this.bufs.delete(b.blkno);
    this.release(b.pg);
  }

  private release(pg: number): void {
    if (this.bufs.size + this.spare.length < FEWEST) this.spare.push(pg);
    else this.uvm.pages.freePrivate(pg);
  }

  /** The buffer was changed: it will be written. BSD: bdwrite(9). */
  bdirty(b: Buf): void {
    b.isDirty = true;
    this.mem.touched(b.pg * PAGE_SIZE, this.blockSize);
  }

  /** Writes a buffer now. BSD: bwrite(9). */
  *bwrite(b: Buf): KGen<number> {
    while (b.isBusy) yield* this.ctx.sleep(b, "bwrite");
    if (this.bufs.get(b.blkno) !== b) return 0;
    b.isBusy = true;
    b.isDirty = false;
    this.stats.writes++;
    const error = yield* this.dev.transfer(true, b.blkno * this.blockSize, [RAM_BASE + b.pg * PAGE_SIZE, this.blockSize]);
    b.isBusy = false;
    this.ctx.wakeup(b);
    if (error < 0) b.isDirty = true;
    return error;
  }

  /** A block was freed: what its buffer holds will never be written. */
  forget(blkno: number): void {
    const b = this.bufs.get(blkno);
    if (!b || b.isBusy) return;
    b.isDirty = false;
    if (b.holds === 0) this.drop(b);
  }

  /** Writes all dirty buffers, in the order of their blocks. => 0 or -EIO */
  *sync(): KGen<number> {
    let result = 0;
    for (const b of [...this.bufs.values()].filter((x) => x.isDirty).sort((x, y) => x.blkno - y.blkno)) {
      if (b.isDirty && (yield* this.bwrite(b)) < 0) result = -EIO;
    }
    return result;
  }

  /** Gives all frames back: unmount, after sync. */
  purge(): void {
    for (const b of [...this.bufs.values()]) this.drop(b);
    for (const pg of this.spare.splice(0)) this.uvm.pages.freePrivate(pg);
  }
}
