// All file systems of one kernel: types, mounts, and the clock that stamps files.
import { EAGAIN, EBUSY, EINVAL, ENODEV, ENOENT, ENOTDIR } from "../lib/errno.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import type { PhysMem } from "../hal/physmem.ts";
import type { Uvm } from "../uvm/uvm.ts";
import type { BlockDev } from "./blockdev.ts";
import { Mount } from "./mount.ts";
import { VDIR, type Vnode } from "./vnode.ts";

/** Makes a mount of one type. `device` is the source's vnode, if it names one; `data` is mount(2)'s option text. */
export type MountFactory = (vfs: Vfs, source: string, device: Vnode | null, flags: number, data: string) => KGen<Mount | number>;

export class Vfs {
  readonly ctx: KContext;
  readonly uvm: Uvm;
  readonly mem: PhysMem;
  /** Disks by device number. */
  readonly blockDevs = new Map<number, BlockDev>();
  /** In the order they were mounted; the first is the root. */
  readonly mounts: Mount[] = [];
  /** Out of the tree, and still used. */
  readonly detached = new Set<Mount>();
  readonly types = new Map<string, MountFactory>();
  nextDev = 1;
  /** Root directory of everything, referenced. */
  rootVnode!: Vnode;
  /** Gets messages about corrupt disks and the like. */
  complain: (line: string) => void = () => {};

  constructor(ctx: KContext, uvm: Uvm, mem: PhysMem) {
    this.ctx = ctx;
    this.uvm = uvm;
    this.mem = mem;
  }

  /** File systems mounted and unmounted so far. */
  mountChanges = 0;

  /** Installs the root file system. */
  *mountRoot(mount: Mount): KGen<number> {
    const root = yield* mount.root();
    if (typeof root === "number") return root;
    this.mounts.push(mount);
    this.mountChanges++;
    this.rootVnode = root;
    return 0;
  }

  /** Covers a directory, whose reference the mount keeps. => path: where, for /proc/mounts */
  *mountOn(mount: Mount, dir: Vnode, path: string): KGen<number> {
    if (dir.type !== VDIR) return -ENOTDIR;
    if (dir.mountedHere) return -EBUSY;
    dir.vref();
    dir.mountedHere = mount;
    mount.covered = dir;
    mount.path = path;
    this.mounts.push(mount);
    this.mountChanges++;
    return 0;
  }

  /** Makes and mounts by type name. */
  *mount(fsType: string, source: string, device: Vnode | null, dir: Vnode, path: string, flags: number, data: string): KGen<number> {
    const factory = this.types.get(fsType);
    if (!factory) return -ENODEV;
    if (dir.type !== VDIR) return -ENOTDIR;
    if (dir.mountedHere) return -EBUSY;
    const mount = yield* factory(this, source, device, flags, data);
    if (typeof mount === "number") return mount;
    const error = yield* this.mountOn(mount, dir, path);
    if (error < 0) yield* mount.unmount();
    return error;
  }

  /** What can be said against taking a file system away. `root` is its root directory, with the caller's reference. => 0, -EBUSY, -EINVAL */
  private unmountError({ mount }: Vnode): number {
    if (!mount.covered) return mount === this.mounts[0] ? -EBUSY : -EINVAL;
    return this.mounts.some((m) => m.covered?.mount === mount) || mount.releasing > 0 || mount.isBusy(1) ? -EBUSY : 0;
  }

  /** Takes a file system away. `root` is its root directory, whose reference the caller keeps. => -EBUSY when it is used, or -EIO, … */
  *unmount(root: Vnode): KGen<number> {
    const { mount } = root, busy = this.unmountError(root);
    if (busy < 0) return busy;
    const error = yield* mount.unmount();
    if (error < 0) return error;
    yield* this.uncover(mount);
    return 0;
  }

  /** Takes it away if nobody used it since the last call. => -EAGAIN: not yet */
  *expire(root: Vnode): KGen<number> {
    const { mount } = root, busy = this.unmountError(root);
    if (busy < 0) return busy;
    // The path that the caller gave led into it once.
    if (mount.expiresAt === mount.visits - 1) return yield* this.unmount(root);
    mount.expiresAt = mount.visits;
    return -EAGAIN;
  }

  /** Takes it and what is mounted on it out of the tree now; each is let go when its last user is gone. `root`: as for unmount. */
  *detach(root: Vnode): KGen<number> {
    const top = root.mount;
    if (!top.covered) return top === this.mounts[0] ? -EBUSY : -EINVAL;
    const all = [top];
    for (const m of all) all.push(...this.mounts.filter((below) => below.covered?.mount === m));
    for (const m of all.reverse()) {
      if (!m.covered) continue;
      m.isDetached = true;
      this.detached.add(m);
      yield* this.uncover(m);
      yield* m.sync();
      yield* this.reap(m);
    }
    return 0;
  }

  private *uncover(mount: Mount): KGen<void> {
    const dir = mount.covered!;
    dir.mountedHere = null;
    mount.covered = null;
    this.mounts.splice(this.mounts.indexOf(mount), 1);
    this.mountChanges++;
    yield* dir.vrele();
  }

  /** A user of a detached file system is gone: so is the file system if it was the last. */
  *reap(mount: Mount): KGen<void> {
    if (mount.releasing > 0 || mount.isBusy(0) || !this.detached.delete(mount)) return;
    const error = yield* mount.unmount();
    if (error < 0) this.complain(`${mount.fsType} of ${mount.source}, detached from ${mount.path}, cannot be written: error ${-error}`);
    this.mountChanges++;
  }

  /** All that exist, also those that no path leads to. */
  get allMounts(): Mount[] {
    return [...this.mounts, ...this.detached];
  }

  /** Writes every file system out. */
  *syncAll(): KGen<void> {
    for (const m of this.allMounts) yield* m.sync();
  }

  /** The file system that covers a directory, down to the last one. Takes over the reference. */
  *descend(vnode: Vnode): KGen<Vnode | number> {
    let v = vnode;
    while (v.mountedHere) {
      v.mountedHere.visits++;
      const root: Vnode | number = yield* v.mountedHere.root();
      yield* v.vrele();
      if (typeof root === "number") return root;
      v = root;
    }
    return v;
  }

  /** ".." of a mount's root is that of the directory it covers. => the parent, referenced */
  *parent(dir: Vnode, root: Vnode): KGen<Vnode | number> {
    let v = dir;
    v.vref();
    for (;;) {
      if (v === root || (v.mount === root.mount && v.ino === root.ino)) return v;
      const self: Vnode | number = yield* v.mount.root();
      const isRoot = self === v;
      if (typeof self !== "number") yield* self.vrele();
      if (!isRoot) break;
      const { covered } = v.mount;
      if (!covered) return v;
      covered.vref();
      yield* v.vrele();
      v = covered;
    }
    const up = yield* v.lookup("..");
    yield* v.vrele();
    return up === -ENOENT ? -ENOENT : up;
  }
}
