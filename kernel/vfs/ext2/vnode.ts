// Directories of ext2: names, and what they lead to. An inode's contents and attributes are node.ts's.
//
// Name operations hold the file system's lock from the first look to the last change, so that each is atomic.
import { EBUSY, EEXIST, EINVAL, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, EROFS, EXDEV } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { latin1, toBytes } from "../../uvm/uio.ts";
import { type CreateRequest, type EmitEntry, NAME_MAX, RENAME_EXCHANGE, RENAME_NOREPLACE, VBLK, VCHR, VDIR, VLNK, type Vnode, type VType } from "../vnode.ts";
import { bmap, truncateMap } from "./blockmap.ts";
import { addEntry, checkEmpty, type DirEntry, eachEntry, entryName, entryType, findEntry, makeDotEntries, removeEntry, retargetEntry } from "./dir.ts";
import { Inode } from "./inode.ts";
import { DIR_TYPES, FAST_LINK, FL_IMMUTABLE, LINK_MAX, ROOT_INO } from "./layout.ts";
import { Ext2Node } from "./node.ts";

const MODE_OF_TYPE = [0, 0o100000, 0o040000, 0o120000, 0o020000, 0o060000, 0o010000, 0o140000];

export class Ext2Vnode extends Ext2Node {
  override *lookup(name: string): KGen<Vnode | number> {
    if (this.type !== VDIR) return -ENOTDIR;
    return yield* this.locked(() => this.find(name));
  }

  /** => lock held */
  private *find(name: string): KGen<Ext2Vnode | number> {
    if (this.inode.links === 0) return -ENOENT;
    const e = yield* findEntry(this.fs, this.inode, name);
    return typeof e === "number" ? e : yield* this.m.vget(e.ino);
  }

  /** Whether this directory can take or lose names. */
  private mayChange(name: string): number {
    if (this.type !== VDIR) return -ENOTDIR;
    if (this.isReadOnly) return -EROFS;
    if ((this.inode.flags & FL_IMMUTABLE) !== 0) return -EPERM;
    return name.length > NAME_MAX ? -ENAMETOOLONG : 0;
  }

  private changed(): void {
    this.inode.times.modified();
    this.inode.isDirty = true;
  }

  override *create(name: string, request: CreateRequest): KGen<Vnode | number> {
    const may = this.mayChange(name);
    return may < 0 ? may : yield* this.locked(() => this.createLocked(name, request));
  }

  private *createLocked(name: string, request: CreateRequest): KGen<Ext2Vnode | number> {
    const { fs, inode: dir } = this, isDir = request.type === VDIR;
    if (dir.links === 0) return -ENOENT;
    if (isDir && dir.links >= LINK_MAX) return -EMLINK;
    const exists = yield* findEntry(fs, dir, name);
    if (exists !== -ENOENT) return typeof exists === "number" ? exists : -EEXIST;
    const ino = yield* fs.allocInode(dir.ino, isDir);
    if (ino < 0) return ino;
    const inode = new Inode(fs, ino);
    yield* inode.wipe(fs);
    inode.mode = MODE_OF_TYPE[request.type]! | (request.mode & 0o7777);
    inode.uid = request.uid;
    inode.gid = request.gid;
    inode.links = isDir ? 2 : 1;
    if (request.rdev !== undefined && (request.type === VCHR || request.type === VBLK)) inode.block[request.rdev < 0x10000 ? 0 : 1] = request.rdev;
    let error = isDir ? yield* makeDotEntries(fs, inode, dir.ino) : request.type === VLNK ? yield* this.writeLink(inode, request.target ?? "") : 0;
    if (error >= 0) error = yield* addEntry(fs, dir, name, ino, request.type);
    if (error < 0) {
      if (isDir || inode.sectors > 0) yield* truncateMap(fs, inode, 0);
      inode.links = 0;
      inode.dtime = this.fs.nowSec();
      yield* inode.store(fs);
      yield* fs.freeInode(ino, isDir);
      return error;
    }
    yield* inode.store(fs);
    if (isDir) dir.links++;
    this.changed();
    return this.m.adopt(inode);
  }

  /** The target of a link: in the inode when it is short, else in a block. */
  private *writeLink(inode: Inode, target: string): KGen<number> {
    const bytes = toBytes(target);
    inode.size = bytes.length;
    if (bytes.length < FAST_LINK) {
      new Uint8Array(inode.block.buffer).set(bytes);
      return 0;
    }
    if (bytes.length >= this.blockSize) return -ENAMETOOLONG;
    const block = yield* bmap(this.fs, inode, 0, true);
    if (block < 0) return block;
    const b = yield* this.fs.cache.clear(block);
    b.bytes.set(bytes);
    this.fs.cache.bdirty(b);
    return 0;
  }

  override *readlink(): KGen<string | number> {
    const { inode, fs } = this;
    if (this.type !== VLNK) return -EINVAL;
    if (inode.size >= this.blockSize) return fs.corrupt(`inode ${inode.ino}: a symbolic link of ${inode.size} bytes`);
    if (inode.size < FAST_LINK && inode.sectors === 0) return latin1(new Uint8Array(inode.block.buffer, 0, inode.size));
    return yield* this.locked(function* () {
      const block = yield* bmap(fs, inode, 0, false), b = block > 0 ? yield* fs.cache.bread(block) : block;
      return b === 0 ? fs.corrupt(`inode ${inode.ino}: a symbolic link without a block`) : typeof b === "number" ? b : latin1(b.bytes.subarray(0, inode.size));
    });
  }

  override *link(name: string, target: Vnode): KGen<number> {
    const may = this.mayChange(name), other = target as Ext2Vnode;
    if (may < 0) return may;
    if (target.mount !== this.mount) return -EXDEV;
    if (target.type === VDIR) return -EPERM;
    return yield* this.locked(() => this.linkLocked(name, other));
  }

  private *linkLocked(name: string, other: Ext2Vnode): KGen<number> {
    const { inode } = other;
    if (this.inode.links === 0 || inode.links === 0) return -ENOENT;
    if (inode.links >= LINK_MAX) return -EMLINK;
    const error = yield* addEntry(this.fs, this.inode, name, inode.ino, other.type);
    if (error < 0) return error;
    inode.links++;
    inode.times.changed();
    this.changed();
    return yield* inode.store(this.fs);
  }

  override *unlink(name: string): KGen<number> {
    return yield* this.removeName(name, false);
  }

  override *rmdir(name: string): KGen<number> {
    if (name === ".") return -EINVAL;
    return yield* this.removeName(name, true);
  }

  private *removeName(name: string, wantDir: boolean): KGen<number> {
    const may = this.mayChange(name);
    if (may < 0) return may;
    yield* this.fs.lock.write();
    const victim = yield* this.find(name);
    const error = typeof victim === "number" ? victim : yield* this.removeLocked(name, victim, wantDir);
    this.fs.lock.unlock();
    // The last reference may free the file, which takes the lock.
    if (typeof victim !== "number") yield* victim.vrele();
    return error;
  }

  private *removeLocked(name: string, victim: Ext2Vnode, wantDir: boolean): KGen<number> {
    const isDir = victim.type === VDIR;
    if (wantDir !== isDir) return wantDir ? -ENOTDIR : -EISDIR;
    if (victim.mountedHere || victim.ino === ROOT_INO) return -EBUSY;
    if (isDir) {
      const empty = yield* checkEmpty(this.fs, victim.inode);
      if (empty < 0) return empty;
    }
    const e = yield* findEntry(this.fs, this.inode, name);
    if (typeof e === "number") return e;
    removeEntry(this.fs, e);
    this.changed();
    return yield* victim.lostName(this);
  }

  /** One name fewer; a directory that was removed takes its own two links along. => lock held */
  private *lostName(dir: Ext2Vnode): KGen<number> {
    const { inode } = this;
    inode.times.changed();
    if (this.type === VDIR) {
      inode.links = 0;
      dir.inode.links--;
      dir.inode.isDirty = true;
    } else inode.links--;
    return yield* inode.store(this.fs);
  }

  override *rename(oldName: string, newDir: Vnode, newName: string, flags: number): KGen<number> {
    const to = newDir as Ext2Vnode;
    if (newDir.mount !== this.mount) return -EXDEV;
    const may = Math.min(this.mayChange(oldName), to.mayChange(newName));
    if (may < 0) return may;
    yield* this.fs.lock.write();
    const source = yield* this.find(oldName), target = typeof source === "number" ? -ENOENT : yield* to.find(newName);
    let error = typeof source === "number" ? source : 0;
    if (error === 0 && typeof target === "number" && target !== -ENOENT) error = target;
    if (error === 0) error = yield* this.renameLocked(oldName, source as Ext2Vnode, to, newName, typeof target === "number" ? null : target, flags);
    this.fs.lock.unlock();
    if (typeof source !== "number") yield* source.vrele();
    if (typeof target !== "number") yield* target.vrele();
    return error;
  }

  private *renameLocked(oldName: string, source: Ext2Vnode, to: Ext2Vnode, newName: string, target: Ext2Vnode | null, flags: number): KGen<number> {
    if (source.mountedHere || target?.mountedHere) return -EBUSY;
    if (to.inode.links === 0) return -ENOENT;
    if (target && (flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
    if (!target && (flags & RENAME_EXCHANGE) !== 0) return -ENOENT;
    if (source === target) return 0;
    if (source.type === VDIR && this !== to) {
      const below = yield* to.isBelow(source);
      if (below !== 0) return below < 0 ? below : -EINVAL;
      if (!target && to.inode.links >= LINK_MAX) return -EMLINK;
    }
    if ((flags & RENAME_EXCHANGE) !== 0) return yield* this.exchange(oldName, source, to, newName, target!);
    const place = target ? yield* this.replace(source, to, newName, target) : yield* addEntry(this.fs, to.inode, newName, source.ino, source.type);
    if (place < 0) return place;
    const old = yield* findEntry(this.fs, this.inode, oldName);
    if (typeof old === "number") return old;
    removeEntry(this.fs, old);
    if (source.type === VDIR && this !== to) {
      yield* source.setParent(to);
      this.inode.links--;
      to.inode.links++;
    }
    source.inode.times.changed();
    source.inode.isDirty = true;
    this.changed();
    to.changed();
    return 0;
  }

  /** Makes an existing name mean `source`. */
  private *replace(source: Ext2Vnode, to: Ext2Vnode, newName: string, target: Ext2Vnode): KGen<number> {
    if (source.type === VDIR && target.type !== VDIR) return -ENOTDIR;
    if (source.type !== VDIR && target.type === VDIR) return -EISDIR;
    if (target.type === VDIR) {
      const empty = yield* checkEmpty(this.fs, target.inode);
      if (empty < 0) return empty;
    }
    const e = yield* findEntry(this.fs, to.inode, newName);
    if (typeof e === "number") return e;
    retargetEntry(this.fs, e, source.ino, source.type);
    return yield* target.lostName(to);
  }

  private *exchange(oldName: string, source: Ext2Vnode, to: Ext2Vnode, newName: string, target: Ext2Vnode): KGen<number> {
    if (target.type === VDIR && this !== to) {
      const below = yield* this.isBelow(target);
      if (below !== 0) return below < 0 ? below : -EINVAL;
    }
    for (const [dir, name, v] of [[this as Ext2Vnode, oldName, target], [to, newName, source]] as const) {
      const e: DirEntry | number = yield* findEntry(this.fs, dir.inode, name);
      if (typeof e === "number") return e;
      retargetEntry(this.fs, e, v.ino, v.type);
      dir.changed();
      v.inode.times.changed();
      v.inode.isDirty = true;
    }
    if (this === to) return 0;
    for (const [v, from, into] of [[source, this as Ext2Vnode, to], [target, to, this as Ext2Vnode]] as const) {
      if (v.type !== VDIR) continue;
      yield* v.setParent(into);
      from.inode.links--;
      into.inode.links++;
    }
    return 0;
  }

  /** => 1 when this directory is `other` or lies below it, else 0; lock held */
  private *isBelow(other: Ext2Vnode): KGen<number> {
    let inode = this.inode;
    for (let depth = 0; inode.ino !== ROOT_INO; depth++) {
      if (inode.ino === other.ino) return 1;
      const up: DirEntry | number = yield* findEntry(this.fs, inode, "..");
      if (typeof up === "number") return up;
      if (depth > 10000) return this.fs.corrupt(`directory inode ${inode.ino}: its parents form a ring`);
      inode = new Inode(this.fs, up.ino);
      const error: number = yield* inode.load(this.fs);
      if (error < 0) return error;
    }
    return other.ino === ROOT_INO ? 1 : 0;
  }

  private *setParent(to: Ext2Vnode): KGen<void> {
    const e = yield* findEntry(this.fs, this.inode, "..");
    if (typeof e !== "number") retargetEntry(this.fs, e, to.ino, VDIR);
  }

  override *readdir(cookie: number, emit: EmitEntry): KGen<number> {
    if (this.type !== VDIR) return -ENOTDIR;
    const { fs, inode } = this;
    return yield* this.locked(function* () {
      const r = yield* eachEntry(fs, inode, cookie, (e) => e.ino !== 0 && !emit(e.ino, Math.max(0, DIR_TYPES.indexOf(entryType(e) as 0)) as VType, entryName(e), e.cookie));
      return r < 0 ? r : 0;
    });
  }
}
