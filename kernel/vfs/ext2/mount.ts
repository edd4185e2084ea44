// An ext2 file system that is mounted: its vnodes, by inode number.
//
// A vnode without references stays here, with its pages, until there are too many; one without names goes at once.
import { EBUSY, EINVAL, ENODEV, EROFS, EUCLEAN } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { type FsStat, MNT_RDONLY, Mount } from "../mount.ts";
import type { Vfs } from "../vfs.ts";
import { typeOfMode, VBLK, VDIR, type Vnode, VNON } from "../vnode.ts";
import { Inode } from "./inode.ts";
import { ROOT_INO } from "./layout.ts";
import { Ext2Fs } from "./super.ts";
import type { Ext2Node } from "./node.ts";
import { Ext2Vnode } from "./vnode.ts";

/** Unreferenced vnodes that are kept. */
const MOST_IDLE = 2048;

export class Ext2Mount extends Mount {
  readonly fs: Ext2Fs;
  /** Least recently used first. */
  private readonly vnodes = new Map<number, Ext2Vnode>();

  constructor(vfs: Vfs, source: string, flags: number, fs: Ext2Fs) {
    super(vfs, "ext2", source, flags);
    this.fs = fs;
  }

  /** Mounts a disk. => -EUCLEAN damaged, -EINVAL not ext2; a disk that cannot be written is mounted read-only */
  static *mount(vfs: Vfs, source: string, device: Vnode | null, flags: number): KGen<Ext2Mount | number> {
    const dev = device?.type === VBLK ? vfs.blockDevs.get(device.rdev) : undefined;
    if (!dev) return -ENODEV;
    return yield* Ext2Mount.onDevice(vfs, source, dev, flags);
  }

  static *onDevice(vfs: Vfs, source: string, dev: Ext2Fs["dev"], flags: number): KGen<Ext2Mount | number> {
    for (const m of vfs.allMounts) if (m instanceof Ext2Mount && m.fs.dev === dev) return -EBUSY;
    const fs = yield* Ext2Fs.open(vfs, dev, vfs.mem);
    if (typeof fs === "number") return fs;
    const mount = new Ext2Mount(vfs, source, flags, fs);
    if (!mount.isReadOnly) {
      const error = yield* fs.beginWriting();
      if (error === -EROFS) mount.flags |= MNT_RDONLY;
      else if (error < 0) return error;
    }
    const root = yield* mount.root();
    if (typeof root === "number") return root;
    const isDir = root.type === VDIR;
    yield* root.vrele();
    return isDir ? mount : fs.corrupt("the root inode (2) is not a directory");
  }

  override *root(): KGen<Vnode | number> {
    yield* this.fs.lock.write();
    const v = yield* this.vget(ROOT_INO);
    this.fs.lock.unlock();
    return v;
  }

  /** The vnode of an inode, referenced. => the file system's lock held; -EUCLEAN for an inode that is not in use */
  *vget(ino: number): KGen<Ext2Vnode | number> {
    const known = this.vnodes.get(ino);
    if (known) {
      this.vnodes.delete(ino);
      this.vnodes.set(ino, known);
      known.useCount++;
      return known;
    }
    const inode = new Inode(this.fs, ino), error = yield* inode.load(this.fs);
    if (error < 0) return error;
    const type = typeOfMode(inode.mode);
    if (type === VNON || inode.links === 0) return this.fs.corrupt(`inode ${ino} has a name but is not in use (mode 0${inode.mode.toString(8)}, ${inode.links} links)`);
    return this.adopt(inode);
  }

  /** A vnode for an inode that was just made or read, with one reference. */
  adopt(inode: Inode): Ext2Vnode {
    const v = new Ext2Vnode(this, typeOfMode(inode.mode), inode);
    this.vnodes.set(inode.ino, v);
    return v;
  }

  forget(v: Ext2Node): void {
    this.vnodes.delete(v.ino);
  }

  /** Too many idle vnodes: the oldest go, written. */
  *trim(): KGen<void> {
    if (this.vnodes.size <= MOST_IDLE) return;
    for (const v of [...this.vnodes.values()]) {
      if (this.vnodes.size <= MOST_IDLE) return;
      if (v.useCount > 0) continue;
      v.useCount = 1;
      const error = yield* v.retire();
      v.useCount--;
      if (error >= 0 && v.useCount === 0) this.vnodes.delete(v.ino);
    }
  }

  statfs(): FsStat {
    return this.fs.statfs();
  }

  override *sync(): KGen<number> {
    if (this.isReadOnly) return 0;
    const error = yield* this.writeFiles();
    const meta = yield* this.fs.sync(false);
    return error < 0 ? error : meta;
  }

  private *writeFiles(): KGen<number> {
    let result = 0;
    for (const v of [...this.vnodes.values()]) {
      const error = yield* v.writeBack();
      if (error < 0) result = error;
    }
    return result;
  }

  override isBusy(rootRefs: number): boolean {
    for (const v of this.vnodes.values()) if (v.useCount > (v.ino === ROOT_INO ? rootRefs : 0)) return true;
    return false;
  }

  override isBeingWritten(): boolean {
    for (const v of this.vnodes.values()) if (v.writers > 0 || (v.useCount > 0 && v.inode.links === 0)) return true;
    return false;
  }

  override *unmount(): KGen<number> {
    const root = this.vnodes.get(ROOT_INO);
    if (!this.isReadOnly) {
      const files = yield* this.writeFiles(), error = files < 0 ? files : yield* this.fs.sync(true);
      if (error < 0) return error;
    }
    for (const v of [...this.vnodes.values()]) {
      yield* v.dropPages();
      if (v !== root) this.vnodes.delete(v.ino);
    }
    this.fs.cache.purge();
    return 0;
  }

  override *remount(flags: number, _data = ""): KGen<number> {
    const toReadOnly = (flags & MNT_RDONLY) !== 0;
    if (toReadOnly === this.isReadOnly) {
      this.flags = flags;
      return 0;
    }
    if (toReadOnly) {
      if (this.isBeingWritten()) return -EBUSY;
      const files = yield* this.writeFiles(), error = files < 0 ? files : yield* this.fs.sync(true);
      if (error < 0) return error === -EUCLEAN ? error : -EINVAL;
    } else {
      const error = yield* this.fs.beginWriting();
      if (error < 0) return error;
    }
    this.flags = flags;
    return 0;
  }
}
