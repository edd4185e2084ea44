// Block devices as files: their bytes by the buffer cache, a cache for each that is open.
//
//   read, write at any byte ─► blocks of the cache ─► BlockDev
//
// While a file system is mounted from the device it may be read, as it is on the disk, but not written: EBUSY.
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
  private readonly dev: BlockDev;
  private readonly cache: BufCache;

  constructor(k: Kern, dev: BlockDev) {
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

  private *transfer(f: OpenFile, uio: Uio, offset: number, isWrite: boolean): KGen<number> {
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
    yield* this.fsync();
    this.cache.purge();
    yield* f.vnode!.vrele();
  }
}

/** Opens a block device. => -ENXIO no such disk; -EBUSY writing one that is mounted; -EPERM writing one that is read-only */
export function* openDisk(k: Kern, v: Vnode, flags: number): KGen<OpenFile | number> {
  const dev = k.vfs.blockDevs.get(v.rdev);
  if (dev === undefined) return -ENXIO;
  const f = new OpenFile(new DiskOps(k, dev), flags, null, v);
  if (!f.isWritable) return f;
  if (dev.isReadOnly) return -EPERM;
  return k.vfs.mounts.some((m) => m instanceof Ext2Mount && m.fs.dev === dev) ? -EBUSY : f;
}
