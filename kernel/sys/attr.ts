// System calls that ask for and change attributes: access, chmod, chown, truncate; extended attributes, of which there are none.
import { EACCES, EBADF, EINVAL, EISDIR, EOPNOTSUPP, EPERM, EROFS, ETXTBSY } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type AttrChange, type Attributed, VDIR, VREG } from "../vfs/vnode.ts";
import { CAP_CHOWN, CAP_FOWNER, CAP_FSETID } from "../kern/caps.ts";
import { O_PATH } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { S_ISGID, setIdBits } from "../kern/setid.ts";
import { AT_FDCWD } from "./abi.ts";
import { argOf, argUOf, fast, intOf, type Row, slow } from "./args.ts";
import { mayResize } from "./limit.ts";
import { mayOn, resizeAs, vnodeAt, withVnode } from "./path.ts";

const ENODATA = 61;

/** Does something with what a descriptor names, be it without a name. => -EBADF; -EOPNOTSUPP: it has no attributes of its own */
export function* onInode(t: Thread, act: (v: Attributed) => KGen<number>): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0));
  if (!f || (f.flags & O_PATH) !== 0) return -EBADF;
  const v = f.vnode ?? f.ops.inode?.(f) ?? null;
  return v ? yield* act(v) : -EOPNOTSUPP;
}

function* faccessat(k: Kern, t: Thread, flags: number): KGen<number> {
  const want = intOf(t, 2), { cred } = t.proc;
  if ((want & ~7) !== 0) return -EINVAL;
  const who = (flags & 0x200) !== 0 ? cred : cred.with({ euid: cred.uid, egid: cred.gid });
  return yield* withVnode(yield* vnodeAt(k, t, intOf(t, 0), argUOf(t, 1), flags & ~0x200), function* (v) {
    const a = v.getattr();
    if ((want & 2) !== 0 && v.isReadOnly && (v.type === VREG || v.type === VDIR)) return -EROFS;
    return who.mayAccess(want, a.uid, a.gid, a.mode, v.type === VDIR) ? 0 : -EACCES;
  });
}

/** Changes attributes if the owner or root asks. */
function* change(t: Thread, v: Attributed, c: AttrChange): KGen<number> {
  if (v.isReadOnly) return -EROFS;
  const a = v.getattr(), { cred } = t.proc;
  if (!cred.can(CAP_FOWNER) && cred.euid !== a.uid) return -EPERM;
  // Nobody makes programs for a group that he is not in.
  if (c.mode !== undefined && !cred.hasGroup(a.gid) && !cred.can(CAP_FSETID)) return yield* v.setattr({ ...c, mode: c.mode & ~S_ISGID });
  return yield* v.setattr(c);
}

function* chown(t: Thread, v: Attributed, uid: number, gid: number): KGen<number> {
  const a = v.getattr(), { cred } = t.proc, c: AttrChange = {};
  if (v.isReadOnly) return -EROFS;
  if (uid !== -1) c.uid = uid >>> 0;
  if (gid !== -1) c.gid = gid >>> 0;
  const ok = cred.can(CAP_CHOWN) || (cred.euid === a.uid && (uid === -1 || uid >>> 0 === a.uid) && (gid === -1 || cred.hasGroup(gid >>> 0)));
  if (!ok) return -EPERM;
  if (v.type === VREG && setIdBits(a.mode) !== 0) c.mode = a.mode & ~setIdBits(a.mode);
  return yield* v.setattr(c);
}

function* truncate(k: Kern, t: Thread): KGen<number> {
  const size = argOf(t, 1);
  if (size < 0) return -EINVAL;
  return yield* withVnode(yield* vnodeAt(k, t, AT_FDCWD, argUOf(t, 0), 0), function* (v) {
    if (v.type !== VREG) return v.type === VDIR ? -EISDIR : -EINVAL;
    if (v.isReadOnly) return -EROFS;
    if (!mayOn(t, v, 2)) return -EACCES;
    // Unlike ftruncate, a size that it has already changes no times.
    return v.texts > 0 ? -ETXTBSY : size === v.vSize ? 0 : mayResize(k, t, v, size) || (yield* resizeAs(t, v, size));
  });
}

/** There are no extended attributes: names cannot be set, none are listed. */
const noXattr = (): number => -EOPNOTSUPP;

export const ATTR_CALLS: readonly Row[] = [
  slow(48, "faccessat", "dxx", (k, t) => faccessat(k, t, 0)), slow(439, "faccessat2", "dxxx", (k, t) => faccessat(k, t, intOf(t, 3))),
  slow(52, "fchmod", "do", (_k, t) => onInode(t, (v) => change(t, v, { mode: intOf(t, 1) & 0o7777 }))),
  slow(53, "fchmodat", "dxo", function* (k, t) {
    return yield* withVnode(yield* vnodeAt(k, t, intOf(t, 0), argUOf(t, 1), 0), (v) => change(t, v, { mode: intOf(t, 2) & 0o7777 }));
  }),
  slow(54, "fchownat", "dxddx", function* (k, t) {
    return yield* withVnode(yield* vnodeAt(k, t, intOf(t, 0), argUOf(t, 1), intOf(t, 4)), (v) => chown(t, v, intOf(t, 2), intOf(t, 3)));
  }),
  slow(55, "fchown", "ddd", (_k, t) => onInode(t, (v) => chown(t, v, intOf(t, 1), intOf(t, 2)))),
  slow(45, "truncate", "xu", truncate),
  ...[5, 6, 7, 14, 15, 16].map((nr) => fast(nr, "setxattr", "xxxux", noXattr)), ...[8, 9, 10].map((nr) => fast(nr, "getxattr", "xxxu", () => -ENODATA)),
  ...[11, 12, 13].map((nr) => fast(nr, "listxattr", "xxu", () => 0)),
];
