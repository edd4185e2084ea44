// flock(2), and what fcntl(2) has for locks: struct flock in, struct flock out.
import { EBADF, EINVAL, EOVERFLOW } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { fileRelease, O_PATH, type OpenFile } from "../kern/file.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK, type FileLock, LK_FLOCK, LK_OFD, LK_POSIX, LOCK_END, dropRecordLocks, setFileLock, testFileLock } from "../kern/filelock.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { argUOf, getView, intOf, putBytes } from "./args.ts";

const F_GETLK = 5, F_SETLKW = 7, F_OFD_GETLK = 36, F_OFD_SETLKW = 38;
const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8, LOCK_MAND = 32;
const SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2;
const OFFSET_MAX = LOCK_END - 1n;

export const isLockCommand = (cmd: number): boolean => (cmd >= F_GETLK && cmd <= F_SETLKW) || (cmd >= F_OFD_GETLK && cmd <= F_OFD_SETLKW);

/** l_whence, l_start and l_len as a range. => -EINVAL, -EOVERFLOW */
export function lockRange(whence: number, lStart: bigint, lLen: bigint, at: { position: number; size: number }): { start: bigint; end: bigint } | number {
  if (whence < SEEK_SET || whence > SEEK_END) return -EINVAL;
  const base = BigInt(whence === SEEK_CUR ? at.position : whence === SEEK_END ? at.size : 0), start = base + lStart;
  if (start > OFFSET_MAX) return -EOVERFLOW;
  if (start < 0n) return -EINVAL;
  if (lLen === 0n) return { start, end: LOCK_END };
  if (lLen < 0n) return start + lLen < 0n ? -EINVAL : { start: start + lLen, end: start };
  return start + lLen > LOCK_END ? -EOVERFLOW : { start, end: start + lLen };
}

/** struct flock: type, whence, start, len, pid. */
function lockAt(t: Thread, f: OpenFile, d: DataView, isOfd: boolean): FileLock | number {
  const type = d.getInt16(0, true), size = f.vnode ? f.vnode.getattr().size : 0;
  const range = lockRange(d.getInt16(2, true), d.getBigInt64(8, true), d.getBigInt64(16, true), { position: f.offset, size });
  if (typeof range === "number") return range;
  if (type < F_RDLCK || type > F_UNLCK) return -EINVAL;
  return { type, kind: isOfd ? LK_OFD : LK_POSIX, ...range, owner: isOfd ? f : t.proc.fds, pid: isOfd ? -1 : t.proc.pid };
}

function* getLock(k: Kern, t: Thread, f: OpenFile, d: DataView, isOfd: boolean): KGen<number> {
  const type = d.getInt16(0, true), l = type === F_UNLCK && !isOfd ? -EINVAL : lockAt(t, f, d, isOfd);
  if (typeof l === "number") return l;
  const found = testFileLock(f, l);
  d.setInt16(0, found ? found.type : F_UNLCK, true);
  if (found) {
    d.setInt16(2, SEEK_SET, true);
    d.setBigInt64(8, found.start, true);
    d.setBigInt64(16, found.end === LOCK_END ? 0n : found.end - found.start, true);
    d.setInt32(24, found.pid, true);
  }
  return yield* putBytes(k, t, argUOf(t, 2), new Uint8Array(d.buffer));
}

/** F_GETLK, F_SETLK, F_SETLKW, and the same of open files. */
export function* recordLock(k: Kern, t: Thread, f: OpenFile, cmd: number): KGen<number> {
  if ((f.flags & O_PATH) !== 0) return -EBADF;
  const isOfd = cmd >= F_OFD_GETLK, d = yield* getView(k, t, argUOf(t, 2), 32);
  if (typeof d === "number") return d;
  if (isOfd && d.getInt32(24, true) !== 0) return -EINVAL;
  if (cmd === F_GETLK || cmd === F_OFD_GETLK) return yield* getLock(k, t, f, d, isOfd);
  const l = lockAt(t, f, d, isOfd);
  if (typeof l === "number") return l;
  if ((l.type === F_RDLCK && !f.isReadable) || (l.type === F_WRLCK && !f.isWritable)) return -EBADF;
  f.hold();
  let r = yield* setFileLock(k.locks, f, l, { wait: cmd === F_SETLKW || cmd === F_OFD_SETLKW });
  if (r === 0 && !isOfd && l.type !== F_UNLCK && t.proc.fds.get(intOf(t, 0)) !== f) {
    // Another thread closed it while we waited: nobody would ever give this lock up.
    dropRecordLocks(f, t.proc.fds);
    r = -EBADF;
  }
  yield* fileRelease(f);
  return r;
}

export function* flock(k: Kern, t: Thread): KGen<number> {
  const op = intOf(t, 1), f = t.proc.fds.get(intOf(t, 0)), how = op & ~LOCK_NB;
  // As Linux since 5.18: mandatory locks are taken note of, and nothing happens.
  if ((op & LOCK_MAND) !== 0) return 0;
  if (how !== LOCK_SH && how !== LOCK_EX && how !== LOCK_UN) return -EINVAL;
  if (!f || (f.flags & O_PATH) !== 0) return -EBADF;
  const type = how === LOCK_SH ? F_RDLCK : how === LOCK_EX ? F_WRLCK : F_UNLCK;
  f.hold();
  const r = yield* setFileLock(k.locks, f, { type, kind: LK_FLOCK, start: 0n, end: LOCK_END, owner: f, pid: t.proc.pid }, { wait: (op & LOCK_NB) === 0 });
  yield* fileRelease(f);
  return r;
}
