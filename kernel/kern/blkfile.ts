// Block devices as files: their bytes by a buffer cache, one for each device that is open, however often it is.
//
//   read, write at any byte ─► blocks of the cache ─► BlockDev
//
// A write is on the disk when it returns, so that whoever mounts the disk finds it. While a file system is mounted from the
// device it may be read, as it is on the disk, but not written, by descriptors from before the mount either: EBUSY.
import { EBUSY, EINVAL, ENOSPC, ENOTTY, ENXIO, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyout, type Uio, uiomove } from "../uvm/uio.ts";
import type { BlockDev } from "../vfs/blockdev.ts";
import { BufCache } from "../vfs/buf.ts";
import { Ext2Mount } from "../vfs/ext2/mount.ts";
import type { Attr, Vnode } from "../vfs/vnode.ts";
import { type FileOps, OpenFile } from "./file.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

const BLKROGET = 0x125e, BLKGETSIZE = 0x1260, BLKFLSBUF = 0x1261, BLKSSZGET = 0x1268, BLKGETSIZE64 = 0x80081272;
const SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2, SECTOR = 512, BLOCK = 4096;

class DiskOps implements FileOps {
  readonly kind = "disk";
  readonly isSeekable = true;
  opens = 0;
  private readonly k: Kern;
  private readonly dev: BlockDev;
  private readonly cache: BufCache;
  /** Transfers under way: their buffers must stay. */
  private transfers = 0;
  /** What Vfs.mountChanges was when the cache was last known to be as the disk is. */
  private mountsSeen = 0;

  constructor(k: Kern, dev: BlockDev) {
    this.k = k;
    this.dev = dev;
    // Every block is whole: a disk that ends in the middle of a page is cached by sectors.
    this.cache = new BufCache(k.ctx, k.uvm, k.hal.mem, dev, dev.sizeBytes % BLOCK === 0 ? BLOCK : SECTOR);
  }

  *read(f: OpenFile, uio: Uio, _t: Thread, offset: number): KGen<number> {
    return yield* this.transfer(f, uio, offset, false);
  }

  *write(f: OpenFile, uio: Uio, _t: Thread, offset: number): KGen<number> {
    return yield* this.transfer(f, uio, offset, true);
  }

  isMounted(): boolean {
    return this.k.vfs.allMounts.some((m) => m instanceof Ext2Mount && m.fs.dev === this.dev);
  }

  /** Forgets blocks that a file system may have changed on the disk. */
  private refresh(): void {
    const { mountChanges } = this.k.vfs, isMounted = this.isMounted();
    if (this.transfers > 0 || (!isMounted && this.mountsSeen === mountChanges)) return;
    this.cache.purge();
    this.mountsSeen = mountChanges;
  }

  private *transfer(f: OpenFile, uio: Uio, offset: number, isWrite: boolean): KGen<number> {
    this.refresh();
    const short = this.cache.reserve();
    if (short < 0) return short;
    this.transfers++;
    const done = yield* this.copy(f, uio, offset, isWrite), error = isWrite ? yield* this.cache.sync() : 0;
    this.transfers--;
    return error < 0 ? error : done;
  }

  private *copy(f: OpenFile, uio: Uio, offset: number, isWrite: boolean): KGen<number> {
    const { cache, dev } = this, size = cache.blockSize, from = offset < 0 ? f.offset : offset;
    let at = from, error = 0;
    if (isWrite && at >= dev.sizeBytes && uio.resid > 0) return -ENOSPC;
    while (uio.resid > 0 && at < dev.sizeBytes) {
      const inBlock = at % size, n = Math.min(uio.resid, size - inBlock);
      const b = yield* cache.bread(Math.floor(at / size));
      if (typeof b === "number") {
        error = b;
        break;
      }
      if (isWrite && this.isMounted()) {
        error = -EBUSY;
        break;
      }
      b.holds++;
      error = yield* uiomove(b.bytes, inBlock, n, uio);
      b.holds--;
      if (isWrite) cache.bdirty(b);
      if (error < 0) break;
      at += n;
    }
    if (offset < 0) f.offset = at;
    return at > from ? at - from : error;
  }

  *seek(f: OpenFile, offset: number, whence: number): KGen<number> {
    const base = whence === SEEK_SET ? 0 : whence === SEEK_CUR ? f.offset : whence === SEEK_END ? this.dev.sizeBytes : NaN;
    return base + offset >= 0 ? (f.offset = base + offset) : -EINVAL;
  }

  *ioctl(_f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    const { dev } = this, out = new DataView(new ArrayBuffer(8)), { map } = t.proc.vmspace;
    let length = 4;
    switch (cmd >>> 0) {
      case BLKROGET: out.setInt32(0, dev.isReadOnly ? 1 : 0, true); break;
      case BLKSSZGET: out.setInt32(0, SECTOR, true); break;
      case BLKGETSIZE: length = 8; out.setBigUint64(0, BigInt(dev.sizeBytes / SECTOR), true); break;
      case BLKGETSIZE64: length = 8; out.setBigUint64(0, BigInt(dev.sizeBytes), true); break;
      case BLKFLSBUF: return yield* this.cache.sync();
      default: return -ENOTTY;
    }
    return yield* copyout(map.uvm, map, arg, new Uint8Array(out.buffer, 0, length));
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return f.vnode!.getattr();
  }

  *fsync(): KGen<number> {
    const error = yield* this.cache.sync();
    return error < 0 ? error : yield* this.dev.flush();
  }

  *close(f: OpenFile): KGen<void> {
    if (f.isWritable && this.opens === 1) yield* this.dev.flush();
    if (--this.opens === 0) this.cache.purge();
    yield* f.vnode!.vrele();
  }
}

/** The block devices that are open. */
export class DiskFiles {
  private readonly byDevice = new Map<BlockDev, DiskOps>();

  /** Opens a block device. => -ENXIO no such disk; -EBUSY writing one that is mounted; -EPERM writing one that is read-only */
  open(k: Kern, v: Vnode, flags: number): OpenFile | number {
    const dev = k.vfs.blockDevs.get(v.rdev);
    if (dev === undefined) return -ENXIO;
    const ops = this.byDevice.get(dev) ?? new DiskOps(k, dev), f = new OpenFile(ops, flags, null, v);
    if (f.isWritable && dev.isReadOnly) return -EPERM;
    if (f.isWritable && ops.isMounted()) return -EBUSY;
    this.byDevice.set(dev, ops);
    ops.opens++;
    return f;
  }
}
