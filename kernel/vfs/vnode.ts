// vnode: a file, directory, link or device node, whatever file system it is on.
//
//   Vnode ── mount ── file system            operations may sleep: generators that give a value >= 0 or -errno
//     └── uobj: the object whose pages are the file's contents (uvm/vnode.ts)
//
// References: useCount counts open files, directories of processes, mapped objects (through uobj) and name look-ups in
// progress. The last reference makes the vnode inactive; a file system may keep it cached, or reclaim it if it has no name.
// Lock order: vnode lock (of a regular file: who writes or resizes it has it exclusively), then map, then the genfs node lock, then PG_BUSY. Names are strings of one
// character a byte.
import { EINVAL, EISDIR, ENOTDIR, EOPNOTSUPP, EPERM, EROFS } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import { KRwLock } from "../lib/klock.ts";
import type { KGen } from "../lib/kthread.ts";
import type { Timespec } from "../lib/timespec.ts";
import type { UvmObject } from "../uvm/object.ts";
import type { Uio } from "../uvm/uio.ts";
import { uvnObject, type VnodePagerHost } from "../uvm/vnode.ts";
import type { FileTimes } from "./filetimes.ts";
import type { Mount } from "./mount.ts";

export const VNON = 0, VREG = 1, VDIR = 2, VLNK = 3, VCHR = 4, VBLK = 5, VFIFO = 6, VSOCK = 7;
export type VType = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** Type bits of st_mode. */
export const S_IFMT = 0o170000, S_IFSOCK = 0o140000, S_IFLNK = 0o120000, S_IFREG = 0o100000, S_IFBLK = 0o060000, S_IFDIR = 0o040000, S_IFCHR = 0o020000,
  S_IFIFO = 0o010000;
const MODE_OF_TYPE = [0, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK];

/** Longest name of a directory entry. */
export const NAME_MAX = 255;

/** What stat and statx tell. */
export interface Attr {
  type: VType;
  /** Permission bits, set-id and sticky; without the type. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  ino: number;
  /** Number of the file system. */
  dev: number;
  /** Of device nodes. */
  rdev: number;
  size: number;
  blockSize: number;
  /** In units of 512 bytes. */
  blocks: number;
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;
  /** When it was made, where the file system keeps that. */
  btime?: Timespec | undefined;
  /** STATX_ATTR_* that hold, and those that the file system knows at all. */
  attributes?: number;
  attributesMask?: number;
}

/** Attributes of statx that have nothing to do with the mode. */
export const STATX_ATTR_IMMUTABLE = 0x10, STATX_ATTR_APPEND = 0x20, STATX_ATTR_NODUMP = 0x40;

/** st_mode. */
export const modeOf = (a: Attr): number => MODE_OF_TYPE[a.type]! | a.mode;
export const typeOfMode = (mode: number): VType => Math.max(0, MODE_OF_TYPE.indexOf(mode & S_IFMT)) as VType;

/** What setattr changes: fields that are present. */
export interface AttrChange { mode?: number; uid?: number; gid?: number; size?: number; atime?: Timespec; mtime?: Timespec }

/** What create makes. */
export interface CreateRequest { type: VType; mode: number; uid: number; gid: number; rdev?: number; target?: string }

/** Gets one directory entry. => false: no more */
export type EmitEntry = (ino: number, type: VType, name: string, nextCookie: number) => boolean;

/** fallocate's modes. */
export const FALLOC_KEEP_SIZE = 1, FALLOC_PUNCH_HOLE = 2, FALLOC_COLLAPSE_RANGE = 8, FALLOC_ZERO_RANGE = 16, FALLOC_INSERT_RANGE = 32, FALLOC_UNSHARE_RANGE = 64;

/** rename2's flags. */
export const RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2;

/** What has attributes: vnodes, and files without a name. */
export type Attributed = Pick<Vnode, "type" | "isReadOnly" | "getattr" | "setattr">;

export abstract class Vnode implements VnodePagerHost {
  readonly mount: Mount;
  readonly type: VType;
  readonly ino: number;
  readonly uobj: UvmObject;
  readonly lock: KRwLock;
  /** Size in bytes; the size including a write in progress. */
  vSize = 0;
  vWriteSize = 0;
  /** Of device nodes. */
  rdev = 0;
  useCount = 1;
  /** The root of what is mounted here. */
  mountedHere: Mount | null = null;
  /** Opens for writing, and whether it is executed: ETXTBSY. */
  writers = 0;
  texts = 0;
  /** Writes to the device that are under way (BSD: v_numoutput). */
  numOutput = 0;
  /** The socket bound here, or the pipe of a FIFO: kern's. */
  special: unknown = null;
  /** Advisory locks (kern's LockList), or null. */
  locks: unknown = null;

  constructor(mount: Mount, type: VType, ino: number) {
    this.mount = mount;
    this.type = type;
    this.ino = ino;
    this.uobj = uvnObject(mount.vfs.uvm, this);
    this.lock = new KRwLock(mount.vfs.ctx, "vnlock");
  }

  // ---- references ----
  vref(): void {
    KASSERT(this.useCount > 0, "vref of a dead vnode");
    this.useCount++;
  }

  /** Gives a reference back; the last makes it inactive. => may sleep */
  *vrele(): KGen<void> {
    KASSERT(this.useCount > 0, "vrele without a reference");
    if (--this.useCount === 0) {
      this.mount.releasing++;
      yield* this.inactive();
      this.mount.releasing--;
    }
    if (this.mount.isDetached && this.useCount <= 1) yield* this.mount.vfs.reap(this.mount);
  }

  /** Nobody refers to it any more. A file system drops or caches it; a look-up may have revived it meanwhile. */
  *inactive(): KGen<void> {}

  get isReadOnly(): boolean {
    return this.mount.isReadOnly;
  }

  // ---- attributes ----
  abstract getattr(): Attr;
  /** => -EROFS, -EPERM, -ENOSPC, … */
  *setattr(_change: AttrChange): KGen<number> {
    return this.isReadOnly ? -EROFS : -EPERM;
  }

  /** Its times, where they are kept for each file. */
  get times(): FileTimes | null {
    return null;
  }

  /** It was read, listed, followed or mapped: the time of access changes as the mount's rules say. */
  accessed(): void {
    const { times } = this;
    if (times !== null && !this.isReadOnly && times.accessed(this.mount.flags, this.type === VDIR)) this.timesChanged();
  }

  /** What goes through it, as a FIFO, changed. */
  modified(): void {
    if (this.times === null || this.isReadOnly) return;
    this.times.modified();
    this.timesChanged();
  }

  /** Times are to be written with the rest. */
  protected timesChanged(): void {}

  // ---- directories. `this` is the directory; results are referenced and unlocked ----
  *lookup(_name: string): KGen<Vnode | number> {
    return -ENOTDIR;
  }

  /** => the name is not "." or ".."; -EEXIST, -ENOSPC, -ENAMETOOLONG */
  *create(_name: string, _request: CreateRequest): KGen<Vnode | number> {
    return this.type === VDIR ? (this.isReadOnly ? -EROFS : -EPERM) : -ENOTDIR;
  }

  *link(_name: string, _target: Vnode): KGen<number> {
    return this.isReadOnly ? -EROFS : -EPERM;
  }

  *unlink(_name: string): KGen<number> {
    return this.isReadOnly ? -EROFS : -EPERM;
  }

  *rmdir(_name: string): KGen<number> {
    return this.isReadOnly ? -EROFS : -EPERM;
  }

  /** => the same mount; flags RENAME_* */
  *rename(_oldName: string, _newDir: Vnode, _newName: string, _flags: number): KGen<number> {
    return this.isReadOnly ? -EROFS : -EPERM;
  }

  /** Entries from `cookie` (0: the first) on, "." and ".." included. => 0 or -errno */
  *readdir(_cookie: number, _emit: EmitEntry): KGen<number> {
    return -ENOTDIR;
  }

  *readlink(): KGen<string | number> {
    return -EINVAL;
  }

  // ---- contents ----
  /** => bytes done, 0 at the end; the caller checked access */
  *read(_uio: Uio, _offset: number): KGen<number> {
    return this.type === VDIR ? -EISDIR : -EINVAL;
  }

  *write(_uio: Uio, _offset: number): KGen<number> {
    return this.type === VDIR ? -EISDIR : -EINVAL;
  }

  /** Like read and write of one piece of user memory, when nothing sleeps and nothing faults. => -ERESTART: use the generator; nothing changed */
  readFast?(uio: Uio, offset: number): number;
  writeFast?(uio: Uio, offset: number): number;

  /**
   * Room of a regular file (fallocate(2)): mode FALLOC_*, a combination that makes sense.
   *
   * => mayGrow says whether the file may become so large: 0 or -errno
   */
  *allocate(_mode: number, _offset: number, _len: number, _mayGrow: (size: number) => number): KGen<number> {
    return -EOPNOTSUPP;
  }

  /** Puts contents and attributes on the disk. */
  *fsync(): KGen<number> {
    return 0;
  }

  // ---- the pager ----
  getpagesLocked(_off: number, _pgs: Int32Array, _n: number, _centre: number, _access: number, _advice: number): number {
    return -EINVAL;
  }

  *getpages(_off: number, _pgs: Int32Array, _n: number, _centre: number, _access: number, _advice: number, _flags: number): KGen<number> {
    this.uobj.lock.exit();
    return -EINVAL;
  }

  *putpages(_lo: number, _hi: number, _flags: number): KGen<number> {
    this.uobj.lock.exit();
    return 0;
  }

  markDirty(): void {}
}
