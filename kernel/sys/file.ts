// System calls on descriptors: read, write and their kin, lseek, fcntl, dup, close, fsync, sendfile.
import {
  EBADF, EFAULT, EFBIG, EINTR, EINVAL, EIO, EISDIR, EMFILE, ENODEV, ENOTDIR, EOPNOTSUPP, EPERM, EPIPE, ERESTART, ESPIPE,
} from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { Uio, UIO_READ, UIO_WRITE } from "../uvm/uio.ts";
import {
  FALLOC_COLLAPSE_RANGE, FALLOC_INSERT_RANGE, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_UNSHARE_RANGE, FALLOC_ZERO_RANGE, STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE, VBLK, VREG,
} from "../vfs/vnode.ts";
import { fileIoctl, fileRelease, fileSeek, O_CLOEXEC, O_NOATIME, O_NONBLOCK, O_PATH, O_SETTABLE, OpenFile } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { stripSetId } from "../kern/setid.ts";
import { RLIMIT_NOFILE } from "../kern/rlimit.ts";
import { tsignal } from "../kern/signal.ts";
import { socketOf } from "../kern/socket.ts";
import { SI_USER, SIGPIPE } from "../kern/sigset.ts";
import { NO_RETURN, RESTART_SA, setResult } from "../kern/trap.ts";
import { exclusively, ownsFile } from "../kern/vnfile.ts";
import { argOf, argUOf, both, fast, getView, intOf, i64At, putBytes, type Row, slow, u64At } from "./args.ts";
import { limitedWrite, mayResize } from "./limit.ts";
import { flock, isLockCommand, recordLock } from "./filelock.ts";

const RW_MAX = 0x7ffff000, IOV_MAX = 1024;

export const nofileOf = (t: Thread): number => t.proc.limits.get(RLIMIT_NOFILE);

/** A new descriptor for a file; the file is released when there is none left. */
export function* installFile(t: Thread, f: OpenFile, isCloexec: boolean): KGen<number> {
  const fd = t.proc.fds.alloc(f, nofileOf(t), isCloexec);
  if (fd < 0) yield* fileRelease(f);
  return fd;
}

/** The file of argument i, held for a call that may sleep. => release with fileRelease */
export function holdFile(t: Thread, i: number): OpenFile | null {
  const f = t.proc.fds.get(intOf(t, i));
  return f ? f.hold() : null;
}

// ---- read and write ------------------------------------------------------------------------------------------------

/** A call on a socket with a timeout is not made again after a signal: it would wait anew. */
export function interrupted(t: Thread, f: OpenFile, r: number, isSend: boolean): number {
  if (r !== -EINTR || f.ops.kind !== "socket") return r;
  const s = socketOf(f);
  if ((isSend ? s.sndTimeoutNs : s.rcvTimeoutNs) === Infinity) return r;
  setResult(t, -EINTR);
  return NO_RETURN;
}

/** A transfer on a held file, which it releases. SIGPIPE is raised here. */
function* transfer(k: Kern, t: Thread, f: OpenFile, uio: Uio, offset: number): KGen<number> {
  const isWrite = uio.direction === UIO_WRITE;
  let n = -EBADF;
  if (isWrite ? f.isWritable : f.isReadable) {
    n = isWrite ? yield* limitedWrite(k, t, f, uio, offset) : yield* f.ops.read(f, uio, t, offset);
  }
  n = interrupted(t, f, n, isWrite);
  yield* fileRelease(f);
  if (n === -EPIPE && isWrite && !t.isDead) tsignal(k, t, { sig: SIGPIPE, code: SI_USER, pid: t.proc.pid, uid: t.proc.cred.uid });
  return n;
}

function fastIo(_k: Kern, t: Thread, isWrite: boolean): number {
  const f = t.proc.fds.get(intOf(t, 0)), len = argUOf(t, 2);
  if (!f) return -EBADF;
  if (isWrite) return f.ops.writeFast && f.isWritable && len <= RW_MAX ? f.ops.writeFast(f, t, argOf(t, 1), len) : -ERESTART;
  return f.ops.readFast && f.isReadable && len <= RW_MAX ? f.ops.readFast(f, t, argOf(t, 1), len) : -ERESTART;
}

function* plainIo(k: Kern, t: Thread, direction: number): KGen<number> {
  const f = holdFile(t, 0), len = Math.min(argUOf(t, 2), RW_MAX);
  if (!f) return -EBADF;
  return yield* transfer(k, t, f, Uio.user(k.uvm, t.proc.vmspace.map, argUOf(t, 1), len, direction), -1);
}

function* positioned(k: Kern, t: Thread, direction: number): KGen<number> {
  const f = holdFile(t, 0), offset = argOf(t, 3), len = Math.min(argUOf(t, 2), RW_MAX);
  if (!f) return -EBADF;
  const bad = offset < 0 ? -EINVAL : f.ops.isSeekable ? 0 : -ESPIPE;
  if (bad !== 0) {
    yield* fileRelease(f);
    return bad;
  }
  return yield* transfer(k, t, f, Uio.user(k.uvm, t.proc.vmspace.map, argUOf(t, 1), len, direction), offset);
}

/** The iovec array as pairs for a Uio. => -EINVAL, -EFAULT */
export function* getIov(k: Kern, t: Thread, va: number, count: number): KGen<Float64Array | number> {
  if (count < 0 || count > IOV_MAX) return -EINVAL;
  const d = yield* getView(k, t, va, 16 * count);
  if (typeof d === "number") return d;
  const iov = new Float64Array(2 * count);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const len = u64At(d, 16 * i + 8);
    if (len >= 2 ** 63) return -EINVAL;
    iov[2 * i] = u64At(d, 16 * i);
    iov[2 * i + 1] = Math.min(len, RW_MAX - total);
    total += iov[2 * i + 1]!;
  }
  return iov;
}

function* vectored(k: Kern, t: Thread, direction: number, hasOffset: boolean): KGen<number> {
  const f = holdFile(t, 0), offset = hasOffset ? argOf(t, 3) : -1;
  if (!f) return -EBADF;
  const iov = yield* getIov(k, t, argUOf(t, 1), intOf(t, 2));
  const bad = typeof iov === "number" ? iov : hasOffset && offset < -1 ? -EINVAL : hasOffset && !f.ops.isSeekable ? -ESPIPE : 0;
  if (bad !== 0 || typeof iov === "number") {
    yield* fileRelease(f);
    return bad;
  }
  return yield* transfer(k, t, f, new Uio(k.uvm, t.proc.vmspace.map, iov, direction), offset);
}

// ---- copying between descriptors -----------------------------------------------------------------------------------

const COPY_BYTES = 65536;

/** Moves up to `len` bytes from one file to another through a kernel buffer. => bytes; the first error when nothing moved */
function* pump(k: Kern, t: Thread, from: OpenFile, to: OpenFile, len: number, at: { in: number; out: number }): KGen<number> {
  const buffer = new Uint8Array(Math.min(len, COPY_BYTES));
  let done = 0;
  while (done < len) {
    const n = yield* from.ops.read(from, Uio.kernel(k.uvm, buffer.subarray(0, Math.min(buffer.length, len - done)), UIO_READ), t, at.in);
    if (n <= 0) return done > 0 ? done : n;
    let put = 0;
    while (put < n) {
      const m = yield* limitedWrite(k, t, to, Uio.kernel(k.uvm, buffer.subarray(put, n), UIO_WRITE), at.out);
      if (m <= 0) {
        // What was read and not written goes back where the position can say so.
        if (at.in < 0 && from.ops.isSeekable) from.offset -= n - put;
        if (m === -EPIPE) tsignal(k, t, { sig: SIGPIPE, code: SI_USER, pid: t.proc.pid, uid: t.proc.cred.uid });
        return done + put > 0 ? done + put : m === 0 ? -EIO : m;
      }
      put += m;
      if (at.out >= 0) at.out += m;
    }
    done += n;
    if (at.in >= 0) at.in += n;
    if (n < buffer.length && !from.ops.isSeekable) break;
  }
  return done;
}

/** The offset behind a user pointer, or -1 for "the file's own". */
function* offsetAt(k: Kern, t: Thread, va: number): KGen<number> {
  if (va === 0) return -1;
  const d = yield* getView(k, t, va, 8);
  if (typeof d === "number") return -EFAULT;
  return i64At(d, 0) < 0 ? -EINVAL : i64At(d, 0);
}

function* putOffset(k: Kern, t: Thread, va: number, v: number): KGen<number> {
  return va === 0 ? 0 : yield* putBytes(k, t, va, new Uint8Array(BigInt64Array.of(BigInt(v)).buffer));
}

interface CopyArgs { readonly from: number; readonly to: number; readonly inVa: number; readonly outVa: number; readonly len: number; readonly regularOnly: boolean }

function* copyBetween(k: Kern, t: Thread, c: CopyArgs): KGen<number> {
  const from = t.proc.fds.get(c.from), to = t.proc.fds.get(c.to);
  if (!from || !to || !from.isReadable || !to.isWritable) return -EBADF;
  if (c.regularOnly && (from.vnode?.type !== VREG || to.vnode?.type !== VREG)) return from.vnode?.type === 2 || to.vnode?.type === 2 ? -EISDIR : -EINVAL;
  if ((c.inVa !== 0 && !from.ops.isSeekable) || (c.outVa !== 0 && !to.ops.isSeekable)) return -ESPIPE;
  const at = { in: yield* offsetAt(k, t, c.inVa), out: yield* offsetAt(k, t, c.outVa) };
  if (at.in < -1 || at.out < -1) return at.in < -1 ? at.in : at.out;
  from.hold();
  to.hold();
  const n = yield* pump(k, t, from, to, Math.min(c.len, RW_MAX), at);
  yield* fileRelease(from);
  yield* fileRelease(to);
  if (n > 0) {
    const e = (yield* putOffset(k, t, c.inVa, at.in)) || (yield* putOffset(k, t, c.outVa, at.out));
    if (e < 0) return e;
  }
  return n;
}

function* sendfile(k: Kern, t: Thread): KGen<number> {
  const from = t.proc.fds.get(intOf(t, 1));
  if (from && !from.ops.isSeekable) return -EINVAL;
  return yield* copyBetween(k, t, { from: intOf(t, 1), to: intOf(t, 0), inVa: argUOf(t, 2), outVa: 0, len: argUOf(t, 3), regularOnly: false });
}

function* copyFileRange(k: Kern, t: Thread): KGen<number> {
  if (intOf(t, 5) !== 0) return -EINVAL;
  return yield* copyBetween(k, t, { from: intOf(t, 0), to: intOf(t, 2), inVa: argUOf(t, 1), outVa: argUOf(t, 3), len: argUOf(t, 4), regularOnly: true });
}

function* splice(k: Kern, t: Thread): KGen<number> {
  const from = t.proc.fds.get(intOf(t, 0)), to = t.proc.fds.get(intOf(t, 2));
  if (from && to && from.ops.kind !== "pipe" && to.ops.kind !== "pipe") return -EINVAL;
  return yield* copyBetween(k, t, { from: intOf(t, 0), to: intOf(t, 2), inVa: argUOf(t, 1), outVa: argUOf(t, 3), len: argUOf(t, 4), regularOnly: false });
}

// ---- descriptors ---------------------------------------------------------------------------------------------------

function* close(_k: Kern, t: Thread): KGen<number> {
  const f = t.proc.fds.take(intOf(t, 0));
  if (!f) return -EBADF;
  yield* fileRelease(f);
  return 0;
}

/** The common case: somebody else still has the file open. */
function closeFast(_k: Kern, t: Thread): number {
  const f = t.proc.fds.get(intOf(t, 0));
  if (!f) return -EBADF;
  if (f.refs < 2 || f.vnode || f.inFlight > 0) return -ERESTART;
  t.proc.fds.take(intOf(t, 0));
  f.refs--;
  return 0;
}

function* dup3(_k: Kern, t: Thread): KGen<number> {
  const from = intOf(t, 0), to = intOf(t, 1), flags = intOf(t, 2), f = t.proc.fds.get(from);
  if ((flags & ~O_CLOEXEC) !== 0 || from === to) return -EINVAL;
  if (!f) return -EBADF;
  const old = t.proc.fds.set(to, f, nofileOf(t), (flags & O_CLOEXEC) !== 0);
  if (typeof old === "number") return old;
  f.hold();
  if (old) yield* fileRelease(old);
  return to;
}

function* closeRange(_k: Kern, t: Thread): KGen<number> {
  const first = intOf(t, 0) >>> 0, last = intOf(t, 1) >>> 0, flags = intOf(t, 2), { fds } = t.proc;
  if (first > last || (flags & ~6) !== 0) return -EINVAL;
  for (const fd of fds.list()) {
    if (fd < first || fd > last) continue;
    if ((flags & 4) !== 0) fds.setCloexec(fd, true);
    else yield* fileRelease(fds.take(fd)!);
  }
  return 0;
}

const F_DUPFD = 0, F_GETFD = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_SETOWN = 8, F_GETOWN = 9;
const F_DUPFD_CLOEXEC = 1030;

function setFlags(t: Thread, f: OpenFile, to: number): number {
  if ((to & ~f.flags & O_NOATIME) !== 0 && f.vnode && !ownsFile(t, f.vnode)) return -EPERM;
  f.flags = (f.flags & ~O_SETTABLE) | (to & O_SETTABLE);
  return 0;
}

function* fcntl(k: Kern, t: Thread): KGen<number> {
  const fd = intOf(t, 0), cmd = intOf(t, 1), arg = intOf(t, 2), { fds } = t.proc, f = fds.get(fd);
  if (!f) return -EBADF;
  if (isLockCommand(cmd)) return yield* recordLock(k, t, f, cmd);
  switch (cmd) {
    case F_DUPFD: return fds.dup(fd, arg, nofileOf(t), false);
    case F_DUPFD_CLOEXEC: return fds.dup(fd, arg, nofileOf(t), true);
    case F_GETFD: return fds.isCloexec(fd) ? 1 : 0;
    case F_SETFD: fds.setCloexec(fd, (arg & 1) !== 0); return 0;
    case F_GETFL: return f.flags & ~O_CLOEXEC;
    case F_SETFL: return setFlags(t, f, arg);
    case F_SETOWN: return 0;
    case F_GETOWN: return 0;
    default: return f.ops.fcntl ? f.ops.fcntl(f, cmd, arg, t) : -EINVAL;
  }
}

const FIOCLEX = 0x5451, FIONCLEX = 0x5450, FIONBIO = 0x5421;

function* ioctl(k: Kern, t: Thread): KGen<number> {
  const fd = intOf(t, 0), cmd = intOf(t, 1) >>> 0, f = t.proc.fds.get(fd);
  if (!f || (f.flags & O_PATH) !== 0) return -EBADF;
  if (cmd === FIOCLEX || cmd === FIONCLEX) {
    t.proc.fds.setCloexec(fd, cmd === FIOCLEX);
    return 0;
  }
  if (cmd === FIONBIO) {
    const d = yield* getView(k, t, argUOf(t, 2), 4);
    if (typeof d === "number") return d;
    f.flags = d.getInt32(0, true) !== 0 ? f.flags | O_NONBLOCK : f.flags & ~O_NONBLOCK;
    return 0;
  }
  f.hold();
  const r = yield* fileIoctl(f, cmd, argOf(t, 2), t);
  yield* fileRelease(f);
  return r;
}

function* lseek(_k: Kern, t: Thread): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0));
  return f ? yield* fileSeek(f, argOf(t, 1), intOf(t, 2)) : -EBADF;
}

function* getdents(k: Kern, t: Thread): KGen<number> {
  const f = holdFile(t, 0), len = Math.min(argUOf(t, 2), 65536);
  if (!f) return -EBADF;
  const into = new Uint8Array(len);
  let n = f.ops.getdents ? yield* f.ops.getdents(f, into) : -ENOTDIR;
  yield* fileRelease(f);
  if (n > 0) {
    const err = yield* putBytes(k, t, argUOf(t, 1), into.subarray(0, n));
    if (err < 0) n = err;
  }
  return n;
}

function* pipe2(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 1), isCloexec = (flags & O_CLOEXEC) !== 0;
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | 0o40000 | 0o200)) !== 0) return -EINVAL;
  const pair = k.makePipe ? k.makePipe(k, flags & O_NONBLOCK) : -EMFILE;
  return typeof pair === "number" ? pair : yield* installPair(k, t, pair, isCloexec, argUOf(t, 0));
}

/** Two descriptors at once, told to the user at va; none is left when that fails. */
export function* installPair(k: Kern, t: Thread, pair: readonly [OpenFile, OpenFile], isCloexec: boolean, va: number): KGen<number> {
  const { fds } = t.proc, a = fds.alloc(pair[0], nofileOf(t), isCloexec), b = a < 0 ? a : fds.alloc(pair[1], nofileOf(t), isCloexec);
  let err = Math.min(a, b, 0);
  if (err === 0) err = yield* putBytes(k, t, va, new Uint8Array(Int32Array.of(a, b).buffer));
  if (err === 0) return 0;
  if (a >= 0) fds.take(a);
  if (b >= 0) fds.take(b);
  yield* fileRelease(pair[0]);
  yield* fileRelease(pair[1]);
  return err;
}

// ---- the whole file ------------------------------------------------------------------------------------------------

function* fsync(_k: Kern, t: Thread): KGen<number> {
  const f = holdFile(t, 0);
  if (!f) return -EBADF;
  const r = f.ops.fsync && (f.flags & O_PATH) === 0 ? yield* f.ops.fsync(f) : -EINVAL;
  yield* fileRelease(f);
  return r;
}

function* ftruncate(k: Kern, t: Thread): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0)), size = argOf(t, 1);
  if (!f) return -EBADF;
  if (size < 0 || !f.isWritable || !f.ops.truncate) return -EINVAL;
  const err = mayResize(k, t, f.vnode, size) || (yield* f.ops.truncate(f, size));
  if (err === 0 && f.vnode) yield* stripSetId(t.proc.cred, f.vnode);
  return err;
}

const FALLOC_ALL = FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_COLLAPSE_RANGE | FALLOC_ZERO_RANGE | FALLOC_INSERT_RANGE | FALLOC_UNSHARE_RANGE;

/** Whether a mode of fallocate makes sense. => 0, -EINVAL, -EOPNOTSUPP */
function allocateModeError(mode: number): number {
  if ((mode & ~FALLOC_ALL) !== 0) return -EOPNOTSUPP;
  if ((mode & FALLOC_PUNCH_HOLE) !== 0 && ((mode & FALLOC_ZERO_RANGE) !== 0 || (mode & FALLOC_KEEP_SIZE) === 0)) return -EOPNOTSUPP;
  if ((mode & FALLOC_COLLAPSE_RANGE) !== 0 && mode !== FALLOC_COLLAPSE_RANGE) return -EINVAL;
  if ((mode & FALLOC_INSERT_RANGE) !== 0 && mode !== FALLOC_INSERT_RANGE) return -EINVAL;
  return (mode & FALLOC_UNSHARE_RANGE) !== 0 && (mode & ~(FALLOC_UNSHARE_RANGE | FALLOC_KEEP_SIZE)) !== 0 ? -EINVAL : 0;
}

/** Only tmpfs sets room aside; elsewhere files grow when they are written, and the answer says so, as ext2's does on Linux. */
function* fallocate(k: Kern, t: Thread): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0)), mode = intOf(t, 1), offset = argOf(t, 2), len = argOf(t, 3);
  if (!f || (f.flags & O_PATH) !== 0) return -EBADF;
  if (offset < 0 || len <= 0) return -EINVAL;
  const bad = allocateModeError(mode);
  if (bad < 0) return bad;
  if (!f.isWritable) return -EBADF;
  const v = f.vnode, attributes = v?.getattr().attributes ?? 0;
  if ((attributes & STATX_ATTR_IMMUTABLE) !== 0 || ((attributes & STATX_ATTR_APPEND) !== 0 && (mode & ~FALLOC_KEEP_SIZE) !== 0)) return -EPERM;
  if (f.ops.kind === "pipe") return -ESPIPE;
  if (v?.type !== VREG && v?.type !== VBLK) return -ENODEV;
  if (offset + len >= 2 ** 63) return -EFBIG;
  f.hold();
  const r = yield* exclusively(v, () => v.allocate(mode, offset, len, (size) => mayResize(k, t, v, size)));
  yield* fileRelease(f);
  return r;
}

export const FILE_CALLS: readonly Row[] = [
  both(63, "read", "dxu", (k, t) => fastIo(k, t, false), (k, t) => plainIo(k, t, UIO_READ), RESTART_SA),
  both(64, "write", "dxu", (k, t) => fastIo(k, t, true), (k, t) => plainIo(k, t, UIO_WRITE), RESTART_SA),
  slow(65, "readv", "dxd", (k, t) => vectored(k, t, UIO_READ, false), RESTART_SA), slow(66, "writev", "dxd", (k, t) => vectored(k, t, UIO_WRITE, false), RESTART_SA),
  slow(67, "pread64", "dxuu", (k, t) => positioned(k, t, UIO_READ)), slow(68, "pwrite64", "dxuu", (k, t) => positioned(k, t, UIO_WRITE)),
  slow(69, "preadv", "dxdu", (k, t) => vectored(k, t, UIO_READ, true)), slow(70, "pwritev", "dxdu", (k, t) => vectored(k, t, UIO_WRITE, true)),
  slow(286, "preadv2", "dxduux", (k, t) => vectored(k, t, UIO_READ, true)), slow(287, "pwritev2", "dxduux", (k, t) => vectored(k, t, UIO_WRITE, true)),
  slow(71, "sendfile", "ddxu", sendfile, RESTART_SA), slow(76, "splice", "dxdxux", splice, RESTART_SA), slow(285, "copy_file_range", "dxdxux", copyFileRange),
  both(57, "close", "d", closeFast, close), slow(24, "dup3", "ddx", dup3), slow(436, "close_range", "ddx", closeRange),
  fast(23, "dup", "d", (_k, t) => t.proc.fds.dup(intOf(t, 0), 0, nofileOf(t), false)),
  slow(25, "fcntl", "ddx", fcntl, RESTART_SA), slow(29, "ioctl", "dxx", ioctl, RESTART_SA), slow(62, "lseek", "dud", lseek), slow(61, "getdents64", "dxu", getdents),
  slow(59, "pipe2", "xx", pipe2), slow(82, "fsync", "d", fsync), slow(83, "fdatasync", "d", fsync), slow(46, "ftruncate", "du", ftruncate),
  slow(47, "fallocate", "dxuu", fallocate), slow(32, "flock", "dx", flock, RESTART_SA),
  fast(223, "fadvise64", "duud", (_k, t) => {
    const f = t.proc.fds.get(intOf(t, 0));
    return !f ? -EBADF : f.ops.kind === "pipe" ? -ESPIPE : intOf(t, 3) < 0 || intOf(t, 3) > 5 ? -EINVAL : 0;
  }),
  fast(213, "readahead", "duu", (_k, t) => (t.proc.fds.get(intOf(t, 0)) ? 0 : -EBADF)),
];
