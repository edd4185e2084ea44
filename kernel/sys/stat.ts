// System calls that tell what a file is, and that set its times: stat, statx, utimensat.
import { EACCES, EBADF, EFAULT, EINVAL, EPERM, EROFS } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { Instant, type Timespec } from "../lib/timespec.ts";
import type { Attributed, Attr, AttrChange, Vnode } from "../vfs/vnode.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { ownsFile } from "../kern/vnfile.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, NS, statBytes, statxBytes } from "./abi.ts";
import { argUOf, getPath, getView, i64At, intOf, putBytes, type Row, slow } from "./args.ts";
import { onInode } from "./attr.ts";
import { mayOn, vnodeAt, withVnode } from "./path.ts";

const AT_NO_AUTOMOUNT = 0x800, AT_STATX_SYNC_TYPE = 0x6000, STATX__RESERVED = 0x80000000, STATX_ATTR_MOUNT_ROOT = 0x2000;

// ---- what a file is ------------------------------------------------------------------------------------------------

function* newfstatat(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 3), dirfd = intOf(t, 0);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) !== 0) return -EINVAL;
  const a = yield* attrAt(k, t, dirfd, argUOf(t, 1), flags);
  return typeof a === "number" ? a : yield* putBytes(k, t, argUOf(t, 2), statBytes(a));
}

/** Attributes by path, or of any descriptor with AT_EMPTY_PATH. */
function* attrAt(k: Kern, t: Thread, dirfd: number, va: number, flags: number): KGen<Attr | number> {
  if ((flags & AT_EMPTY_PATH) !== 0 && dirfd >= 0) {
    const path = va === 0 ? "" : yield* getPath(k, t, va);
    if (typeof path === "number") return path;
    if (path === "") {
      const f = t.proc.fds.get(dirfd), a = f ? yield* f.ops.stat(f) : -EBADF;
      return typeof a === "number" || !f?.vnode ? a : yield* withMountRoot(f.vnode, a);
    }
  }
  const v = yield* vnodeAt(k, t, dirfd, va, flags);
  if (typeof v === "number") return v;
  const a = yield* withMountRoot(v, v.getattr());
  yield* v.vrele();
  return a;
}

/** Says whether it is the root of a mount, which every file with a name knows. */
function* withMountRoot(v: Vnode, a: Attr): KGen<Attr> {
  a.attributesMask = (a.attributesMask ?? 0) | STATX_ATTR_MOUNT_ROOT;
  const root = yield* v.mount.root();
  if (typeof root === "number") return a;
  if (root === v) a.attributes = (a.attributes ?? 0) | STATX_ATTR_MOUNT_ROOT;
  yield* root.vrele();
  return a;
}

function* statx(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 2), wanted = intOf(t, 3);
  if ((wanted & STATX__RESERVED) !== 0 || (flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE) return -EINVAL;
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)) !== 0) return -EINVAL;
  const a = yield* attrAt(k, t, intOf(t, 0), argUOf(t, 1), flags);
  return typeof a === "number" ? a : yield* putBytes(k, t, argUOf(t, 4), statxBytes(a, wanted));
}

function* fstat(k: Kern, t: Thread): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0));
  if (!f) return -EBADF;
  const a = yield* f.ops.stat(f);
  return typeof a === "number" ? a : yield* putBytes(k, t, argUOf(t, 1), statBytes(a));
}

// ---- times ---------------------------------------------------------------------------------------------------------

const UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe;

/** One timespec of utimensat: seconds count only where nsec is none of the two marks. */
interface Wish { readonly sec: number; readonly nsec: number }
const isValid = ({ nsec }: Wish): boolean => nsec === UTIME_NOW || nsec === UTIME_OMIT || (nsec >= 0 && nsec < NS);

function* utimensat(k: Kern, t: Thread): KGen<number> {
  const dirfd = intOf(t, 0), pathVa = argUOf(t, 1), va = argUOf(t, 2), flags = intOf(t, 3);
  let wishes: readonly [Wish, Wish] = [{ sec: 0, nsec: UTIME_NOW }, { sec: 0, nsec: UTIME_NOW }];
  if (va !== 0) {
    const d = yield* getView(k, t, va, 32);
    if (typeof d === "number") return d;
    wishes = [{ sec: i64At(d, 0), nsec: i64At(d, 8) }, { sec: i64At(d, 16), nsec: i64At(d, 24) }];
    // Nothing is asked for: not even the path is looked at.
    if (wishes.every((w) => w.nsec === UTIME_OMIT)) return 0;
  }
  const set = (v: Attributed): KGen<number> => setTimes(k, t, v, wishes);
  if (pathVa === 0 && dirfd !== AT_FDCWD) return flags !== 0 ? -EINVAL : yield* onInode(t, set);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  return pathVa === 0 ? -EFAULT : yield* withVnode(yield* vnodeAt(k, t, dirfd, pathVa, flags), set);
}

/** Who may write a file may set both times to now; anything else is the owner's. */
function* setTimes(k: Kern, t: Thread, v: Attributed, [a, m]: readonly [Wish, Wish]): KGen<number> {
  if (!isValid(a) || !isValid(m)) return -EINVAL;
  if (v.isReadOnly) return -EROFS;
  const isTouch = a.nsec === UTIME_NOW && m.nsec === UTIME_NOW;
  if (!ownsFile(t, v) && !(isTouch && mayOn(t, v, 2))) return isTouch ? -EACCES : -EPERM;
  const now = new Instant();
  k.ctx.wall.stamp(now);
  const timeOf = (w: Wish): Timespec => (w.nsec === UTIME_NOW ? now : w), c: AttrChange = {};
  if (a.nsec !== UTIME_OMIT) c.atime = timeOf(a);
  if (m.nsec !== UTIME_OMIT) c.mtime = timeOf(m);
  return yield* v.setattr(c);
}

export const STAT_CALLS: readonly Row[] = [
  slow(79, "fstatat", "dxxx", newfstatat), slow(80, "fstat", "dx", fstat), slow(291, "statx", "dxxxx", statx), slow(88, "utimensat", "dxxx", utimensat),
];
