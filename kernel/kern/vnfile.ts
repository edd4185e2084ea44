// Open files that are vnodes: regular files, directories, block devices, and character devices whose vnode reads and writes.
import { EACCES, EINVAL, EISDIR, ENODEV, ENOTDIR, ENXIO, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { Uio, UIO_READ, UIO_WRITE } from "../uvm/uio.ts";
import type { UvmObject } from "../uvm/object.ts";
import { MNT_NODEV, MNT_SYNCHRONOUS } from "../vfs/mount.ts";
import { type Attributed, type Attr, VBLK, VCHR, VDIR, VFIFO, type Vnode, VREG, VSOCK } from "../vfs/vnode.ts";
import { CAP_FOWNER } from "./caps.ts";
import { type FileOps, O_APPEND, O_DSYNC, O_NOATIME, O_NOCTTY, O_PATH, OpenFile } from "./file.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { RLIMIT_FSIZE } from "./rlimit.ts";
import { lostBits, stripSetId } from "./setid.ts";

const SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2, SEEK_DATA = 3;
const DT_OF_TYPE = [0, 8, 4, 10, 2, 6, 1, 12];

export const majorOf = (rdev: number): number => (rdev >>> 8) & 0xfff;
export const minorOf = (rdev: number): number => (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
export const makedev = (major: number, minor: number): number => ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);

/** It was read through this open file. */
function noteAccess(f: OpenFile): void {
  if ((f.flags & O_NOATIME) === 0) f.vnode!.accessed();
}

/** Contents and size of a file change by one after the other, also where one sleeps. */
export function* exclusively<T>(v: Vnode, act: () => KGen<T>): KGen<T> {
  yield* v.lock.write();
  const r = yield* act();
  v.lock.unlock();
  return r;
}

/** Cuts a file or lets it grow. => -errno of setattr */
export const resize = (v: Vnode, size: number): KGen<number> => exclusively(v, () => v.setattr({ size }));

class VnodeOps implements FileOps {
  readonly kind = "vnode";
  readonly isSeekable = true;

  *read(f: OpenFile, uio: Uio, _t: Thread, offset: number): KGen<number> {
    const v = f.vnode!, at = offset < 0 ? f.offset : offset;
    if (v.type === VDIR) return -EISDIR;
    const n = yield* v.read(uio, at);
    if (n > 0 && offset < 0) f.offset = at + n;
    if (n >= 0) noteAccess(f);
    return n;
  }

  *write(f: OpenFile, uio: Uio, t: Thread, offset: number): KGen<number> {
    const v = f.vnode!;
    return v.type === VREG ? yield* exclusively(v, () => this.writeAt(f, uio, t, offset)) : yield* this.writeAt(f, uio, t, offset);
  }

  /** => a regular file is locked: where it ends is where it ends until all is written */
  private *writeAt(f: OpenFile, uio: Uio, t: Thread, offset: number): KGen<number> {
    const v = f.vnode!, isAppend = (f.flags & O_APPEND) !== 0, at = offset >= 0 ? offset : isAppend ? v.vSize : f.offset;
    const n = yield* v.write(uio, at);
    if (n > 0 && offset < 0) f.offset = isAppend && v.type === VREG ? v.vSize : at + n;
    if (n <= 0) return n;
    yield* stripSetId(t.proc.cred, v);
    const err = (f.flags & O_DSYNC) !== 0 || (v.mount.flags & MNT_SYNCHRONOUS) !== 0 ? yield* v.fsync() : 0;
    return err < 0 ? err : n;
  }

  readFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const v = f.vnode!;
    if (!v.readFast || v.type === VDIR) return -ERESTART;
    const { map } = t.proc.vmspace, n = v.readFast(Uio.user(map.uvm, map, va, len, UIO_READ), f.offset);
    if (n > 0) f.offset += n;
    if (n >= 0) noteAccess(f);
    return n;
  }

  writeFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const v = f.vnode!;
    if (!v.writeFast || (f.flags & (O_APPEND | O_DSYNC)) !== 0 || f.offset + len > t.proc.limits.soft[RLIMIT_FSIZE]!) return -ERESTART;
    if (v.lock.writer !== null || (v.mount.flags & MNT_SYNCHRONOUS) !== 0 || lostBits(t.proc.cred, v) !== 0) return -ERESTART;
    const { map } = t.proc.vmspace, n = v.writeFast(Uio.user(map.uvm, map, va, len, UIO_WRITE), f.offset);
    if (n > 0) f.offset += n;
    return n;
  }

  *close(f: OpenFile): KGen<void> {
    const v = f.vnode!;
    if (f.isWritable && v.type === VREG) v.writers--;
    yield* v.vrele();
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return f.vnode!.getattr();
  }

  *seek(f: OpenFile, offset: number, whence: number): KGen<number> {
    const v = f.vnode!, size = v.type === VREG || v.type === VBLK ? v.vSize : v.getattr().size;
    if (whence >= SEEK_DATA) {
      if (offset < 0 || offset >= size) return -ENXIO;
      return (f.offset = whence === SEEK_DATA ? offset : size);
    }
    const to = offset + (whence === SEEK_SET ? 0 : whence === SEEK_CUR ? f.offset : whence === SEEK_END ? size : 0);
    if (to < 0 || to > 2 ** 52) return -EINVAL;
    return (f.offset = to);
  }

  *mmap(f: OpenFile, offset: number, _size: number, _prot: number, _isShared: boolean): KGen<{ uobj: UvmObject; offset: number } | number> {
    const v = f.vnode!;
    if (v.type !== VREG) return -ENODEV;
    v.vref();
    noteAccess(f);
    return { uobj: v.uobj, offset };
  }

  *getdents(f: OpenFile, into: Uint8Array): KGen<number> {
    const v = f.vnode!, d = new DataView(into.buffer, into.byteOffset, into.length);
    if (v.type !== VDIR) return -ENOTDIR;
    let at = 0, isFull = false;
    const err = yield* v.readdir(f.offset, (ino, type, name, next) => {
      const len = Math.ceil((19 + name.length + 1) / 8) * 8;
      if (at + len > into.length) {
        isFull = true;
        return false;
      }
      d.setBigUint64(at, BigInt(ino), true);
      d.setBigInt64(at + 8, BigInt(next), true);
      d.setUint16(at + 16, len, true);
      into[at + 18] = DT_OF_TYPE[type] ?? 0;
      for (let i = 0; i < name.length; i++) into[at + 19 + i] = name.charCodeAt(i);
      into.fill(0, at + 19 + name.length, at + len);
      at += len;
      f.offset = next;
      return true;
    });
    if (err < 0) return err;
    noteAccess(f);
    return at === 0 && isFull ? -EINVAL : at;
  }

  *fsync(f: OpenFile): KGen<number> {
    return yield* f.vnode!.fsync();
  }

  *truncate(f: OpenFile, size: number): KGen<number> {
    const v = f.vnode!;
    return v.type === VREG ? yield* resize(v, size) : -EINVAL;
  }
}

/** All open vnodes share this. */
export const VNODE_OPS: FileOps = new VnodeOps();

/** May the thread do with a file what is its owner's? */
export const ownsFile = (t: Thread, v: Attributed): boolean => t.proc.cred.euid === v.getattr().uid || t.proc.cred.can(CAP_FOWNER);

/** Opens a vnode. => its reference passes to the open file; on failure it was given back */
export function* openVnode(k: Kern, t: Thread, v: Vnode, flags: number): KGen<OpenFile | number> {
  let open = null;
  if ((flags & O_PATH) === 0) {
    if ((v.type === VCHR || v.type === VBLK) && (v.mount.flags & MNT_NODEV) !== 0) {
      yield* v.vrele();
      return -EACCES;
    }
    if (v.type === VCHR) open = k.cdevsw.get(majorOf(v.rdev)) ?? null;
    else if (v.type === VFIFO) open = k.openFifo;
    else if (v.type === VBLK) open = k.openBlock;
    if (v.type === VSOCK || (v.type === VFIFO && !open)) {
      yield* v.vrele();
      return -ENXIO;
    }
  }
  if (open) {
    const f = yield* open(k, v, flags, t);
    if (typeof f === "number") yield* v.vrele();
    return f;
  }
  // O_NOCTTY matters to the open alone: terminals have seen it by now.
  const f = new OpenFile(VNODE_OPS, flags & ~O_NOCTTY, null, v);
  if (f.isWritable && v.type === VREG) v.writers++;
  return f;
}
