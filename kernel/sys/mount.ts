// System calls on whole file systems: mount, umount2, statfs, sync.
import { EBADF, EBUSY, EINVAL, ENODEV, ENOTBLK, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_WRITE } from "../hal/prot.ts";
import { UO_VNODE } from "../uvm/object.ts";
import { atimeFlags } from "../vfs/filetimes.ts";
import { MNT_NODEV, MNT_NOEXEC, MNT_NOSUID, MNT_RDONLY, MNT_SYNCHRONOUS, type Mount } from "../vfs/mount.ts";
import { VBLK, type Vnode } from "../vfs/vnode.ts";
import { cwdPath } from "../kern/exec.ts";
import type { OpenFile } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, statfsBytes } from "./abi.ts";
import { argUOf, getPath, intOf, putBytes, type Row, slow } from "./args.ts";
import { lookupAt, vnodeAt, withVnode } from "./path.ts";

/** Of mount(2)'s flags, those that a mount keeps as they are. */
const MNT_KEPT = MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC | MNT_SYNCHRONOUS;
const MS_REMOUNT = 32, MS_BIND = 4096, MS_MOVE = 8192, MS_REC = 16384, MS_PRIVATE = 1 << 18, MS_SLAVE = 1 << 19, MS_SHARED = 1 << 20;

function* mount(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 3), source = argUOf(t, 0) === 0 ? "none" : yield* getPath(k, t, argUOf(t, 0));
  const target = yield* getPath(k, t, argUOf(t, 1)), type = argUOf(t, 2) === 0 ? "" : yield* getPath(k, t, argUOf(t, 2));
  const data = argUOf(t, 4) === 0 ? "" : yield* getPath(k, t, argUOf(t, 4));
  if (typeof source === "number") return source;
  if (typeof target === "number") return target;
  if (typeof type === "number") return type;
  if (typeof data === "number") return data;
  if (!t.proc.cred.isRoot) return -EPERM;
  if ((flags & (MS_PRIVATE | MS_SLAVE | MS_SHARED)) !== 0) return 0;
  if ((flags & (MS_BIND | MS_MOVE | MS_REC)) !== 0) return -EINVAL;
  const r = yield* lookupAt(k, t, AT_FDCWD, target, { follow: true });
  if (typeof r === "number") return r;
  const dir = yield* r.keepVnode();
  return yield* withVnode(dir, function* (v) {
    if ((flags & MS_REMOUNT) !== 0) return (yield* isMountRoot(v)) ? yield* remount(k, v.mount, flags, data) : -EINVAL;
    const fsFlags = flags & MNT_KEPT | atimeFlags(flags);
    if (!k.vfs.types.has(type)) return -ENODEV;
    const device = source[0] === "/" ? yield* deviceAt(k, t, source) : null;
    if (typeof device === "number" && type === "ext2") return device;
    const path = yield* cwdPath(k, v, k.vfs.rootVnode);
    const disk = typeof device === "number" ? null : device, where = typeof path === "number" ? target : path;
    const err = yield* k.vfs.mount(type, source, disk, v, where, fsFlags, data);
    if (device && typeof device !== "number") yield* device.vrele();
    return err;
  });
}

function* remount(k: Kern, m: Mount, flags: number, data: string): KGen<number> {
  if ((flags & MNT_RDONLY) !== 0 && !m.isReadOnly && isMappedForWriting(k, m)) return -EBUSY;
  return yield* m.remount(flags & MNT_KEPT | atimeFlags(flags, m.flags), data);
}

/** Some file of it is mapped shared and may be stored to: a file that was opened for writing and may be closed since. */
function isMappedForWriting(k: Kern, m: Mount): boolean {
  for (const { vmspace, isZombie } of k.procs.values()) {
    if (isZombie) continue;
    const { map } = vmspace;
    for (let e = map.firstFrom(map.min); e !== map.header; e = e.next) {
      if (!e.isCopyOnWrite && (e.maxProtection & PROT_WRITE) !== 0 && e.object?.kind === UO_VNODE && (e.object.owner as Vnode).mount === m) return true;
    }
  }
  return false;
}

function* deviceAt(k: Kern, t: Thread, path: string): KGen<Vnode | number> {
  const r = yield* lookupAt(k, t, AT_FDCWD, path, { follow: true });
  if (typeof r === "number") return r;
  const v = yield* r.keepVnode();
  if (v.type === VBLK) return v;
  yield* v.vrele();
  return -ENOTBLK;
}

function* isMountRoot(v: Vnode): KGen<boolean> {
  const root = yield* v.mount.root();
  if (typeof root === "number") return false;
  yield* root.vrele();
  return root === v;
}

const MNT_FORCE = 1, MNT_DETACH = 2, MNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8;

/** Force does no more than the plain call: what is busy stays mounted. */
function* umount2(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 1);
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) !== 0) return -EINVAL;
  if ((flags & MNT_EXPIRE) !== 0 && (flags & (MNT_FORCE | MNT_DETACH)) !== 0) return -EINVAL;
  if (!t.proc.cred.isRoot) return -EPERM;
  return yield* withVnode(yield* vnodeAt(k, t, AT_FDCWD, argUOf(t, 0), (flags & UMOUNT_NOFOLLOW) !== 0 ? AT_SYMLINK_NOFOLLOW : 0), function* (v) {
    if (!(yield* isMountRoot(v))) return -EINVAL;
    if ((flags & MNT_DETACH) !== 0) return yield* k.vfs.detach(v);
    return (flags & MNT_EXPIRE) !== 0 ? yield* k.vfs.expire(v) : yield* k.vfs.unmount(v);
  });
}

function* statfs(k: Kern, t: Thread, v: Vnode, va: number): KGen<number> {
  return yield* putBytes(k, t, va, statfsBytes(v.mount.statfs(), v.mount.dev, v.mount.flags));
}

function* statfsOfFile(k: Kern, t: Thread, f: OpenFile | null): KGen<number> {
  if (!f) return -EBADF;
  return yield* statfs(k, t, f.vnode ?? k.vfs.rootVnode, argUOf(t, 1));
}

export const MOUNT_CALLS: readonly Row[] = [
  slow(40, "mount", "xxxxx", mount), slow(39, "umount2", "xx", umount2),
  slow(43, "statfs", "xx", function* (k, t) {
    return yield* withVnode(yield* vnodeAt(k, t, AT_FDCWD, argUOf(t, 0), 0), (v) => statfs(k, t, v, argUOf(t, 1)));
  }),
  slow(44, "fstatfs", "dx", (k, t) => {
    const f = t.proc.fds.get(intOf(t, 0));
    return statfsOfFile(k, t, f);
  }),
  slow(81, "sync", "", function* (k) {
    yield* k.vfs.syncAll();
    return 0;
  }),
  slow(267, "syncfs", "d", function* (_k, t) {
    const v = t.proc.fds.get(intOf(t, 0))?.vnode;
    return v ? yield* v.mount.sync() : -EBADF;
  }),
];
