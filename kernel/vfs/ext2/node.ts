// An inode of ext2 as a vnode: its contents, attributes and life. What only directories can do is vnode.ts's.
import { EFBIG, EINVAL, EISDIR, EPERM, EROFS } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import type { FileTimes } from "../filetimes.ts";
import { GenfsVnode } from "../genfs.ts";
import {
  type Attr, type AttrChange, STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE, STATX_ATTR_NODUMP, VBLK, VCHR, VDIR, VLNK, VREG, type VType,
} from "../vnode.ts";
import { bmap, largestFile, truncateMap } from "./blockmap.ts";
import type { Inode } from "./inode.ts";
import { FL_APPEND, FL_IMMUTABLE, FL_NOATIME, FL_NODUMP } from "./layout.ts";
import type { Ext2Mount } from "./mount.ts";
import type { Ext2Fs } from "./super.ts";

const IFMT = 0o170000;

const KNOWN_ATTRIBUTES = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP;
/** statx's word for i_flags. */
const attributesOf = (flags: number): number =>
  ((flags & FL_IMMUTABLE) !== 0 ? STATX_ATTR_IMMUTABLE : 0) | ((flags & FL_APPEND) !== 0 ? STATX_ATTR_APPEND : 0) | ((flags & FL_NODUMP) !== 0 ? STATX_ATTR_NODUMP : 0);

export abstract class Ext2Node extends GenfsVnode {
  readonly inode: Inode;
  readonly maxSize: number;
  protected readonly m: Ext2Mount;

  constructor(mount: Ext2Mount, type: VType, inode: Inode) {
    super(mount, type, inode.ino, mount.fs.dev, mount.fs.geometry.blockSize, mount.fs.mem);
    this.m = mount;
    this.inode = inode;
    this.maxSize = largestFile(this.blockSize);
    this.vSize = this.vWriteSize = inode.size;
    if (type === VCHR || type === VBLK) this.rdev = inode.block[0] !== 0 ? inode.block[0]! : inode.block[1]!;
  }

  protected get fs(): Ext2Fs { return this.m.fs; }

  /** Runs an operation under the file system's lock. */
  protected *locked<T>(body: () => KGen<T>): KGen<T> {
    yield* this.fs.lock.write();
    const result = yield* body();
    this.fs.lock.unlock();
    return result;
  }

  override get times(): FileTimes {
    return this.inode.times;
  }

  override accessed(): void {
    if ((this.inode.flags & FL_NOATIME) === 0) super.accessed();
  }

  protected override timesChanged(): void {
    this.inode.isDirty = true;
  }

  // ---- contents ----

  *blockOf(n: number, allocate: boolean): KGen<number> {
    yield* this.fs.lock.write();
    const before = this.inode.sectors, block = yield* bmap(this.fs, this.inode, n, allocate);
    if (this.inode.sectors !== before) this.inode.isDirty = true;
    this.fs.lock.unlock();
    return block;
  }

  touchedData(): void {
    const { inode } = this;
    inode.size = this.vSize;
    inode.times.modified();
    inode.isDirty = true;
  }

  override markDirty(): void {
    this.inode.isDirty = true;
  }

  // ---- attributes ----

  getattr(): Attr {
    const { inode } = this, { atime, mtime, ctime, btime } = inode.times;
    return {
      type: this.type, mode: inode.mode & 0o7777, nlink: inode.links, uid: inode.uid, gid: inode.gid, ino: inode.ino, dev: this.mount.dev, rdev: this.rdev,
      size: this.type === VREG ? this.vSize : inode.size, blockSize: this.blockSize, blocks: inode.sectors, atime: atime.value(), mtime: mtime.value(),
      ctime: ctime.value(), btime: inode.hasBirth ? btime.value() : undefined, attributes: attributesOf(inode.flags), attributesMask: KNOWN_ATTRIBUTES,
    };
  }

  override *setattr(change: AttrChange): KGen<number> {
    const { inode } = this;
    if (this.isReadOnly) return -EROFS;
    if ((inode.flags & (FL_IMMUTABLE | FL_APPEND)) !== 0) return -EPERM;
    if (change.size !== undefined) {
      const error = yield* this.truncate(change.size);
      if (error < 0) return error;
    }
    if (change.mode !== undefined) inode.mode = (inode.mode & IFMT) | (change.mode & 0o7777);
    if (change.uid !== undefined) inode.uid = change.uid;
    if (change.gid !== undefined) inode.gid = change.gid;
    inode.times.setTo(change);
    inode.isDirty = true;
    return 0;
  }

  private *truncate(size: number): KGen<number> {
    if (this.type !== VREG) return this.type === VDIR ? -EISDIR : -EINVAL;
    if (size > this.maxSize) return -EFBIG;
    const shrinks = size < this.vSize, error = yield* this.resizePages(size);
    if (error < 0) return error;
    this.touchedData();
    if (!shrinks) return 0;
    yield* this.nodeLock.write();
    const r = yield* this.locked(() => truncateMap(this.fs, this.inode, Math.ceil(size / this.blockSize)));
    this.nodeLock.unlock();
    this.inode.isDirty = true;
    return r;
  }

  // ---- life ----

  override *inactive(): KGen<void> {
    if (this.inode.links > 0) return yield* this.m.trim();
    // Its names are gone, and so is the last reference: nobody can find it again.
    yield* this.discardPages();
    yield* this.fs.lock.write();
    const { inode } = this, hasBlocks = this.type === VREG || this.type === VDIR || (this.type === VLNK && inode.sectors > 0);
    if (hasBlocks) yield* truncateMap(this.fs, inode, 0);
    inode.dtime = this.fs.nowSec();
    inode.size = 0;
    yield* inode.store(this.fs);
    yield* this.fs.freeInode(inode.ino, this.type === VDIR);
    this.m.forget(this);
    this.fs.lock.unlock();
  }

  /** Writes contents and inode. => 0 or -errno */
  *writeBack(): KGen<number> {
    if (this.inode.links === 0 && this.useCount === 0) return 0;
    const error = yield* this.cleanPages();
    if (this.inode.isDirty) yield* this.locked(() => this.inode.store(this.fs));
    return error;
  }

  /** Writes and forgets the pages of an idle vnode. */
  *retire(): KGen<number> {
    const error = yield* this.writeBack();
    if (error >= 0) yield* this.discardPages();
    return error;
  }

  *dropPages(): KGen<void> {
    yield* this.discardPages();
  }

  override *fsync(): KGen<number> {
    if (this.isReadOnly) return 0;
    const error = yield* this.writeBack(), meta = yield* this.fs.sync(false);
    return error < 0 ? error : meta;
  }
}
