// All file systems of one kernel: types, mounts, and the clock that stamps files.
import { EBUSY, EINVAL, ENODEV, ENOENT, ENOTDIR } from "../lib/errno.ts";
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

  /** Takes a file system away. `root` is its root directory, whose reference the caller keeps. */
  *unmount(root: Vnode): KGen<number> {
    const { mount } = root;
    if (!mount.covered) return mount === this.mounts[0] ? -EBUSY : -EINVAL;
    if (this.mounts.some((m) => m.covered?.mount === mount)) return -EBUSY;
    const error = yield* mount.unmount();
    if (error < 0) return error;
    const dir = mount.covered;
    dir.mountedHere = null;
    mount.covered = null;
    this.mounts.splice(this.mounts.indexOf(mount), 1);
    this.mountChanges++;
    yield* dir.vrele();
    return 0;
  }

  /** Writes every file system out. */
  *syncAll(): KGen<void> {
    for (const m of [...this.mounts]) yield* m.sync();
  }

  /** The file system that covers a directory, down to the last one. Takes over the reference. */
  *descend(vnode: Vnode): KGen<Vnode | number> {
    let v = vnode;
    while (v.mountedHere) {
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
