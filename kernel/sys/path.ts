// System calls on paths: open, link, unlink, rename, mkdir, attributes that change, the process's directories.
import { EACCES, EBADF, EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, ERANGE, EROFS, ETXTBSY, EXDEV } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { toBytes } from "../uvm/uio.ts";
import { namei, type NameiResult } from "../vfs/namei.ts";
import { type Attributed, S_IFMT, typeOfMode, VBLK, VCHR, VDIR, VFIFO, VLNK, type Vnode, VREG, VSOCK } from "../vfs/vnode.ts";
import { cwdPath } from "../kern/exec.ts";
import { O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOATIME, O_NOFOLLOW, O_PATH, O_TRUNC } from "../kern/file.ts";
import { CAP_FOWNER, CAP_MKNOD, CAP_SYS_CHROOT } from "../kern/caps.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RESTART_SA } from "../kern/trap.ts";
import { stripSetId } from "../kern/setid.ts";
import { openVnode, ownsFile, resize } from "../kern/vnfile.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW } from "./abi.ts";
import { argUOf, getPath, intOf, putBytes, type Row, slow } from "./args.ts";
import { installFile, nofileOf } from "./file.ts";

// ---- looking up ----------------------------------------------------------------------------------------------------

/** Where a relative path of an *at call begins. => not referenced; -EBADF, -ENOTDIR */
function startOf(t: Thread, dirfd: number, path: string): Vnode | number {
  if (path[0] === "/" || dirfd === AT_FDCWD) return t.proc.cwd!;
  const f = t.proc.fds.get(dirfd);
  if (!f) return -EBADF;
  return f.vnode?.type === VDIR ? f.vnode : -ENOTDIR;
}

interface LookOptions { readonly follow: boolean; readonly create?: boolean }

export function* lookupAt(k: Kern, t: Thread, dirfd: number, path: string, o: LookOptions): KGen<NameiResult | number> {
  const start = startOf(t, dirfd, path);
  if (typeof start === "number") return start;
  return yield* namei(k.vfs, start, path, { follow: o.follow, root: t.proc.root!, cred: t.proc.cred, create: o.create ?? false });
}

/** The vnode of a path argument, referenced; AT_EMPTY_PATH names the descriptor itself. */
export function* vnodeAt(k: Kern, t: Thread, dirfd: number, va: number, flags: number): KGen<Vnode | number> {
  const path = va === 0 && (flags & AT_EMPTY_PATH) !== 0 ? "" : yield* getPath(k, t, va);
  if (typeof path === "number") return path;
  if (path === "" && (flags & AT_EMPTY_PATH) !== 0) {
    const v = dirfd === AT_FDCWD ? t.proc.cwd : (t.proc.fds.get(dirfd)?.vnode ?? null);
    if (!v) return -EBADF;
    v.vref();
    return v;
  }
  const r = yield* lookupAt(k, t, dirfd, path, { follow: (flags & AT_SYMLINK_NOFOLLOW) === 0 });
  return typeof r === "number" ? r : yield* r.keepVnode();
}

export const mayOn = (t: Thread, v: Attributed, want: number): boolean => {
  const a = v.getattr();
  return t.proc.cred.mayAccess(want, a.uid, a.gid, a.mode, v.type === VDIR);
};

/** Does something with a vnode and gives the reference back. */
export function* withVnode(v: Vnode | number, act: (v: Vnode) => KGen<number>): KGen<number> {
  if (typeof v === "number") return v;
  const r = yield* act(v);
  yield* v.vrele();
  return r;
}

/** May entries of this directory be made or removed? Sticky directories guard what belongs to others. */
function dirError(t: Thread, dir: Vnode, victim: Vnode | null = null): number {
  if (dir.isReadOnly) return -EROFS;
  if (!mayOn(t, dir, 3)) return -EACCES;
  const a = dir.getattr(), { cred } = t.proc;
  if (victim && (a.mode & 0o1000) !== 0 && !cred.can(CAP_FOWNER) && cred.euid !== a.uid && cred.euid !== victim.getattr().uid) return -EPERM;
  return 0;
}

/** Owner and group of what is made in a directory. */
function ownerIn(t: Thread, dir: Vnode): { uid: number; gid: number } {
  const a = dir.getattr();
  return { uid: t.proc.cred.euid, gid: (a.mode & 0o2000) !== 0 ? a.gid : t.proc.cred.egid };
}

// ---- open ----------------------------------------------------------------------------------------------------------

function* openat(k: Kern, t: Thread): KGen<number> {
  const path = yield* getPath(k, t, argUOf(t, 1));
  return typeof path === "number" ? path : yield* openAt(k, t, intOf(t, 0), path, intOf(t, 2), intOf(t, 3));
}

/** open(2) from a directory. => the descriptor */
export function* openAt(k: Kern, t: Thread, dirfd: number, path: string, flags: number, mode: number): KGen<number> {
  if ((flags & O_PATH) !== 0) flags &= O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW;
  const isNew = (flags & O_CREAT) !== 0, excl = isNew && (flags & O_EXCL) !== 0;
  const own = yield* openOwnFd(t, path, flags);
  if (own !== null) return own;
  const r = yield* lookupAt(k, t, dirfd, path, { follow: (flags & O_NOFOLLOW) === 0 && !excl, create: isNew });
  if (typeof r === "number") return r;
  let v = r.vnode, err = 0, isFresh = false;
  if (!v) {
    err = r.mustBeDir ? -EISDIR : dirError(t, r.dir);
    if (err === 0) {
      const made = yield* r.dir.create(r.leaf, { type: VREG, mode: mode & ~t.proc.umask & 0o7777, ...ownerIn(t, r.dir) });
      if (typeof made === "number") err = made;
      else [v, isFresh] = [made, true];
    }
  } else v.vref();
  yield* r.done();
  if (!v || err < 0) return err;
  if (!isFresh) err = openError(t, v, flags, excl);
  if (err === 0 && (flags & O_TRUNC) !== 0 && v.type === VREG && !isFresh) err = yield* resizeAs(t, v, 0);
  if (err < 0) {
    yield* v.vrele();
    return err;
  }
  const f = yield* openVnode(k, t, v, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC));
  if (typeof f === "number") return f;
  if (dirfd === AT_FDCWD || path[0] === "/") {
    f.path = normalPath(path[0] === "/" ? path : `${t.proc.cwdPath}/${path}`);
    k.notePath(v, f.path);
  }
  return yield* installFile(t, f, (flags & O_CLOEXEC) !== 0);
}

/** A path without ".", ".." and double slashes. Links in it stay. */
function normalPath(path: string): string {
  const names: string[] = [];
  for (const n of path.split("/")) {
    if (n === "..") names.pop();
    else if (n !== "" && n !== ".") names.push(n);
  }
  return `/${names.join("/")}`;
}

/** /dev/fd/n and /proc/self/fd/n open what descriptor n names: files without a path too. => null: some other path */
function* openOwnFd(t: Thread, path: string, flags: number): KGen<number | null> {
  const m = /^\/(?:dev\/fd|proc\/self\/fd)\/(\d+)$/.exec(path), std = ["/dev/stdin", "/dev/stdout", "/dev/stderr"].indexOf(path);
  if (!m && std < 0) return null;
  const f = t.proc.fds.get(m ? Number(m[1]) : std);
  if (!f) return -ENOENT;
  if (f.vnode?.type === VREG) return null;
  return t.proc.fds.dup(m ? Number(m[1]) : std, 0, nofileOf(t), (flags & O_CLOEXEC) !== 0);
}

function openError(t: Thread, v: Vnode, flags: number, excl: boolean): number {
  const acc = flags & O_ACCMODE, wantsWrite = acc !== 0;
  if (excl) return -EEXIST;
  if ((flags & O_DIRECTORY) !== 0 && v.type !== VDIR) return -ENOTDIR;
  if ((flags & O_PATH) !== 0) return 0;
  if (v.type === VLNK) return -ELOOP;
  if (v.type === VDIR && (wantsWrite || (flags & O_CREAT) !== 0)) return -EISDIR;
  if (wantsWrite && v.isReadOnly && (v.type === VREG || v.type === VDIR)) return -EROFS;
  if ((wantsWrite || (flags & O_TRUNC) !== 0) && v.texts > 0) return -ETXTBSY;
  const want = (acc !== 1 ? 4 : 0) | (wantsWrite || (flags & O_TRUNC) !== 0 ? 2 : 0);
  if (!mayOn(t, v, want)) return -EACCES;
  return (flags & O_NOATIME) !== 0 && !ownsFile(t, v) ? -EPERM : 0;
}

export function* resizeAs(t: Thread, v: Vnode, size: number): KGen<number> {
  const err = yield* resize(v, size);
  if (err === 0) yield* stripSetId(t.proc.cred, v);
  return err;
}

// ---- names ---------------------------------------------------------------------------------------------------------

/** Makes a name: the path must not exist. */
function* makeAt(k: Kern, t: Thread, dirfd: number, va: number, isDir: boolean, make: (dir: Vnode, leaf: string) => KGen<Vnode | number>): KGen<number> {
  const path = yield* getPath(k, t, va);
  if (typeof path === "number") return path;
  const r = yield* lookupAt(k, t, dirfd, path, { follow: false, create: true });
  if (typeof r === "number") return r;
  let err = r.vnode ? -EEXIST : r.mustBeDir && !isDir ? -ENOENT : dirError(t, r.dir);
  if (err === 0) {
    const made = yield* make(r.dir, r.leaf);
    if (typeof made === "number") err = made;
    else yield* made.vrele();
  }
  yield* r.done();
  return err;
}

function* mkdirat(k: Kern, t: Thread): KGen<number> {
  const mode = intOf(t, 2) & 0o1777 & ~t.proc.umask;
  return yield* makeAt(k, t, intOf(t, 0), argUOf(t, 1), true, (dir, leaf) =>
    dir.create(leaf, { type: VDIR, mode: mode | (dir.getattr().mode & 0o2000), ...ownerIn(t, dir) }));
}

function* mknodat(k: Kern, t: Thread): KGen<number> {
  const mode = intOf(t, 2), type = (mode & S_IFMT) === 0 ? VREG : typeOfMode(mode), rdev = intOf(t, 3) >>> 0;
  if (type === VDIR || type === VLNK || type === 0) return type === VDIR ? -EPERM : -EINVAL;
  if ((type === VCHR || type === VBLK) && !t.proc.cred.can(CAP_MKNOD)) return -EPERM;
  return yield* makeAt(k, t, intOf(t, 0), argUOf(t, 1), false, (dir, leaf) =>
    dir.create(leaf, { type, mode: mode & ~t.proc.umask & 0o7777, rdev: type === VFIFO || type === VSOCK ? 0 : rdev, ...ownerIn(t, dir) }));
}

function* symlinkat(k: Kern, t: Thread): KGen<number> {
  const target = yield* getPath(k, t, argUOf(t, 0));
  if (typeof target === "number") return target;
  if (target === "") return -ENOENT;
  return yield* makeAt(k, t, intOf(t, 1), argUOf(t, 2), false, (dir, leaf) => dir.create(leaf, { type: VLNK, mode: 0o777, target, ...ownerIn(t, dir) }));
}

function* linkat(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 4), v = yield* vnodeAt(k, t, intOf(t, 0), argUOf(t, 1), (flags & AT_SYMLINK_FOLLOW) !== 0 ? flags : flags | AT_SYMLINK_NOFOLLOW);
  return yield* withVnode(v, function* (target) {
    if (target.type === VDIR) return -EPERM;
    return yield* makeAt(k, t, intOf(t, 2), argUOf(t, 3), false, function* (dir, leaf) {
      if (dir.mount !== target.mount) return -EXDEV;
      const err = yield* dir.link(leaf, target);
      if (err < 0) return err;
      target.vref();
      return target;
    });
  });
}

function* unlinkat(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 2), path = yield* getPath(k, t, argUOf(t, 1)), isRmdir = (flags & AT_REMOVEDIR) !== 0;
  if ((flags & ~AT_REMOVEDIR) !== 0) return -EINVAL;
  if (typeof path === "number") return path;
  const r = yield* lookupAt(k, t, intOf(t, 0), path, { follow: false });
  if (typeof r === "number") return r;
  const v = r.vnode!, err = unlinkError(t, r, v, isRmdir), { dir, leaf } = r;
  let result = err;
  if (err === 0) {
    yield* v.vrele();
    result = isRmdir ? yield* dir.rmdir(leaf) : yield* dir.unlink(leaf);
    yield* dir.vrele();
    return result;
  }
  yield* r.done();
  return result;
}

function unlinkError(t: Thread, r: NameiResult, v: Vnode, isRmdir: boolean): number {
  if (r.leaf === ".") return isRmdir ? (v === t.proc.root ? -EBUSY : -EINVAL) : -EISDIR;
  if (r.leaf === "..") return isRmdir ? -ENOTEMPTY : -EISDIR;
  if (v.mount !== r.dir.mount) return -EBUSY;
  const err = dirError(t, r.dir, v);
  if (err < 0) return err;
  if (isRmdir) return v.type === VDIR ? 0 : -ENOTDIR;
  return v.type === VDIR ? -EISDIR : r.mustBeDir ? -ENOTDIR : 0;
}

function* renameat2(k: Kern, t: Thread, flags: number): KGen<number> {
  const from = yield* getPath(k, t, argUOf(t, 1)), to = yield* getPath(k, t, argUOf(t, 3));
  if (typeof from === "number") return from;
  if (typeof to === "number") return to;
  if ((flags & ~3) !== 0 || flags === 3) return -EINVAL;
  const a = yield* lookupAt(k, t, intOf(t, 0), from, { follow: false });
  if (typeof a === "number") return a;
  const b = yield* lookupAt(k, t, intOf(t, 2), to, { follow: false, create: true });
  if (typeof b === "number") {
    yield* a.done();
    return b;
  }
  let err = yield* renameError(k, t, a, b, flags);
  const isSame = a.vnode === b.vnode;
  if (err === 0 && !(isSame && (flags & 1) === 0)) err = yield* a.dir.rename(a.leaf, b.dir, b.leaf, flags);
  yield* a.done();
  yield* b.done();
  return err;
}

function* renameError(k: Kern, t: Thread, a: NameiResult, b: NameiResult, flags: number): KGen<number> {
  const v = a.vnode!, old = b.vnode;
  if ([".", ".."].includes(a.leaf) || [".", ".."].includes(b.leaf)) return -EBUSY;
  if (a.dir.mount !== b.dir.mount) return -EXDEV;
  if (v.mount !== a.dir.mount || (old && old.mount !== b.dir.mount)) return -EBUSY;
  if (old && (flags & 1) !== 0) return -EEXIST;
  if (!old && (flags & 2) !== 0) return -ENOENT;
  const err = dirError(t, a.dir, v) || dirError(t, b.dir, old);
  if (err < 0) return err;
  if (b.mustBeDir && v.type !== VDIR) return -ENOTDIR;
  if (old && (flags & 2) === 0 && old !== v) {
    if (v.type === VDIR && old.type !== VDIR) return -ENOTDIR;
    if (v.type !== VDIR && old.type === VDIR) return -EISDIR;
  }
  return v.type === VDIR && (yield* isInside(k, b.dir, v)) ? -EINVAL : 0;
}

/** Is `dir` the directory `top`, or below it? */
function* isInside(k: Kern, dir: Vnode, top: Vnode): KGen<boolean> {
  let v = dir;
  v.vref();
  for (;;) {
    if (v === top) break;
    const up: Vnode | number = yield* k.vfs.parent(v, k.vfs.rootVnode);
    if (typeof up === "number" || up === v) {
      if (typeof up !== "number") yield* up.vrele();
      yield* v.vrele();
      return false;
    }
    yield* v.vrele();
    v = up;
  }
  yield* v.vrele();
  return true;
}

function* readlinkat(k: Kern, t: Thread): KGen<number> {
  const size = intOf(t, 3);
  if (size <= 0) return -EINVAL;
  return yield* withVnode(yield* vnodeAt(k, t, intOf(t, 0), argUOf(t, 1), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH), function* (v) {
    if (v.type !== VLNK) return -EINVAL;
    const target = yield* v.readlink();
    if (typeof target === "number") return target;
    v.accessed();
    const bytes = toBytes(target).subarray(0, size), err = yield* putBytes(k, t, argUOf(t, 2), bytes);
    return err < 0 ? err : bytes.length;
  });
}

// ---- directories of the process ------------------------------------------------------------------------------------

function* getcwd(k: Kern, t: Thread): KGen<number> {
  const path = yield* cwdPath(k, t.proc.cwd!, t.proc.root!), size = argUOf(t, 1);
  if (typeof path === "number") return path;
  if (path.length + 1 > size) return -ERANGE;
  const err = yield* putBytes(k, t, argUOf(t, 0), toBytes(`${path}\0`));
  return err < 0 ? err : path.length + 1;
}

/** Takes over the reference. */
function* setDir(t: Thread, v: Vnode, isRoot: boolean): KGen<number> {
  const err = v.type !== VDIR ? -ENOTDIR : !mayOn(t, v, 1) ? -EACCES : isRoot && !t.proc.cred.can(CAP_SYS_CHROOT) ? -EPERM : 0;
  if (err < 0) {
    yield* v.vrele();
    return err;
  }
  const old = isRoot ? t.proc.root : t.proc.cwd;
  if (isRoot) t.proc.root = v;
  else t.proc.cwd = v;
  if (old) yield* old.vrele();
  return 0;
}

/** Does something with the directory of a descriptor. => -EBADF, -ENOTDIR */
function* onDirFd(t: Thread, act: (v: Vnode) => KGen<number>): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0));
  if (!f) return -EBADF;
  return f.vnode ? yield* act(f.vnode) : -ENOTDIR;
}

function* noteCwd(k: Kern, t: Thread): KGen<void> {
  const path = yield* cwdPath(k, t.proc.cwd!, t.proc.root!);
  if (typeof path === "string") t.proc.cwdPath = path;
}

function* chdir(k: Kern, t: Thread, isRoot: boolean): KGen<number> {
  const v = yield* vnodeAt(k, t, AT_FDCWD, argUOf(t, 0), 0);
  if (typeof v === "number") return v;
  const r = yield* setDir(t, v, isRoot);
  if (r === 0) yield* noteCwd(k, t);
  return r;
}

export const PATH_CALLS: readonly Row[] = [
  slow(56, "openat", "dxxo", openat, RESTART_SA),
  slow(34, "mkdirat", "dxo", mkdirat), slow(33, "mknodat", "dxox", mknodat), slow(36, "symlinkat", "xdx", symlinkat), slow(37, "linkat", "dxdxx", linkat),
  slow(35, "unlinkat", "dxx", unlinkat), slow(38, "renameat", "dxdx", (k, t) => renameat2(k, t, 0)), slow(276, "renameat2", "dxdxx", (k, t) => renameat2(k, t, intOf(t, 4))),
  slow(78, "readlinkat", "dxxu", readlinkat), slow(17, "getcwd", "xu", getcwd), slow(49, "chdir", "x", (k, t) => chdir(k, t, false)),
  slow(51, "chroot", "x", (k, t) => chdir(k, t, true)), slow(50, "fchdir", "d", (k, t) => onDirFd(t, function* (v) {
    v.vref();
    const r = yield* setDir(t, v, false);
    if (r === 0) yield* noteCwd(k, t);
    return r;
  })),
];
