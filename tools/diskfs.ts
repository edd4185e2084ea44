// A disk image opened without booting it: the kernel's own ext2 on a machine that runs nothing. For the image maker, for
// `loanword disk`, and for tests of the file system.
import { Machine } from "../emu/machine.ts";
import { Hal } from "../kernel/hal/hal.ts";
import { EEXIST, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EROFS } from "../kernel/lib/errno.ts";
import { KContext, type KGen, runNoSleep } from "../kernel/lib/kthread.ts";
import { Uio, UIO_READ, UIO_WRITE } from "../kernel/uvm/uio.ts";
import { type Uvm, uvmInit } from "../kernel/uvm/uvm.ts";
import type { BlockDev } from "../kernel/vfs/blockdev.ts";
import { SB_OFFSET, SB_SIZE } from "../kernel/vfs/ext2/layout.ts";
import { Ext2Mount } from "../kernel/vfs/ext2/mount.ts";
import { MNT_RDONLY } from "../kernel/vfs/mount.ts";
import { namei, type NameiResult } from "../kernel/vfs/namei.ts";
import { Vfs } from "../kernel/vfs/vfs.ts";
import { type Attr, type CreateRequest, type Vnode, VDIR, VLNK, VREG, type VType } from "../kernel/vfs/vnode.ts";

const RAM_BASE = 0x80000000, RAM_BYTES = 32 << 20, ROOT_CRED = { mayAccess: () => true };

/** A disk in host memory. Transfers are done at once. */
export class MemoryDisk implements BlockDev {
  readonly name = "image";
  readonly rdev = 1;
  readonly isReadOnly: boolean;
  /** Injection for tests: transfers for which this answers true fail with -EIO. */
  fails: (write: boolean, offset: number) => boolean = () => false;
  readonly bytes: Uint8Array;
  private ram: Uint8Array;

  constructor(bytes: Uint8Array, ram: Uint8Array, isReadOnly = false) {
    this.bytes = bytes;
    this.ram = ram;
    this.isReadOnly = isReadOnly;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  *transfer(write: boolean, offset: number, segments: readonly number[]): KGen<number> {
    if (write && this.isReadOnly) return -EROFS;
    if (this.fails(write, offset)) return -EIO;
    for (let i = 0; i < segments.length; i += 2) {
      const at = segments[i]! - RAM_BASE, len = segments[i + 1]!;
      if (offset + len > this.bytes.length) return -EIO;
      if (write) this.bytes.set(this.ram.subarray(at, at + len), offset);
      else this.ram.set(this.bytes.subarray(offset, offset + len), at);
      offset += len;
    }
    return 0;
  }

  *flush(): KGen<number> {
    return 0;
  }
}

/** An error of the file system, with its errno. */
export class DiskError extends Error {
  readonly errno: number;
  constructor(what: string, errno: number) {
    super(what);
    this.errno = errno;
  }
}

const WORDS: Readonly<Record<number, string>> = {
  [ENOENT]: "a directory on the way does not exist", [EISDIR]: "is a directory", [ENOTDIR]: "not a directory, or a part of the path is none",
  [ENOSPC]: "there is no space left in the image", [EIO]: "cannot be read or written",
  [ELOOP]: "too many symbolic links", [ENAMETOOLONG]: "the name is too long", [EROFS]: "the image is read-only",
};

export class DiskFs {
  readonly disk: MemoryDisk;
  readonly vfs: Vfs;
  readonly uvm: Uvm;
  readonly mount: Ext2Mount;
  /** What the kernel complained of. */
  readonly complaints: string[] = [];

  /** => throws DiskError when the image is not an ext2 that can be mounted; the message has the kernel's reason */
  constructor(image: Uint8Array, o: { readOnly?: boolean; timeSec?: number } = {}) {
    const ctx = new KContext(), machine = new Machine({ ramBytes: RAM_BYTES, console: { read: () => 0, write() {} }, hosted: true });
    const hal = new Hal(machine, ctx);
    this.uvm = uvmInit(hal, ctx);
    this.vfs = new Vfs(ctx, this.uvm, hal.mem);
    ctx.wall.epochSec = o.timeSec ?? 0;
    this.vfs.complain = (line) => this.complaints.push(line);
    this.disk = new MemoryDisk(image, hal.mem.u8);
    const mount = runNoSleep(Ext2Mount.onDevice(this.vfs, "image", this.disk, o.readOnly ? MNT_RDONLY : 0));
    if (typeof mount === "number") {
      const why = image.length < SB_OFFSET + SB_SIZE ? `${image.length} bytes are too few for a superblock` : `error ${-mount}`;
      throw new DiskError(this.complaints.at(-1) ?? `no ext2 file system: ${why}`, -mount);
    }
    this.mount = mount;
    const error = runNoSleep(this.vfs.mountRoot(mount));
    if (error < 0) throw new DiskError(`its root directory cannot be read (error ${-error})`, -error);
  }

  private check<T>(what: string, value: T | number): T {
    if (typeof value === "number" && value < 0) throw new DiskError(`${what}: ${WORDS[-value] ?? `error ${-value}`}${this.complaints.length ? ` (${this.complaints.at(-1)})` : ""}`, -value);
    return value as T;
  }

  private find(path: string, follow = true): NameiResult {
    return this.check(path, runNoSleep(namei(this.vfs, this.vfs.rootVnode, path, { follow, root: this.vfs.rootVnode, cred: ROOT_CRED, create: true })));
  }

  private existing(path: string, follow = true): Vnode {
    const found = this.find(path, follow);
    if (!found.vnode) throw new DiskError(`${path}: no such file`, ENOENT);
    return runNoSleep(found.keepVnode());
  }

  has(path: string): boolean {
    const found = this.find(path, false);
    runNoSleep(found.done());
    return found.vnode !== null;
  }

  stat(path: string, follow = true): Attr {
    const v = this.existing(path, follow), a = v.getattr();
    runNoSleep(v.vrele());
    return a;
  }

  readFile(path: string): Uint8Array {
    const v = this.existing(path), bytes = new Uint8Array(v.type === VREG ? v.vSize : 0);
    if (v.type !== VREG) {
      runNoSleep(v.vrele());
      throw new DiskError(`${path}: is ${v.type === VDIR ? "a directory" : "no regular file"}`, EISDIR);
    }
    for (let at = 0; at < bytes.length;) {
      const n = this.check(path, runNoSleep(v.read(Uio.kernel(this.uvm, bytes.subarray(at), UIO_READ), at))) as number;
      if (n === 0) break;
      at += n;
    }
    runNoSleep(v.vrele());
    return bytes;
  }

  readlink(path: string): string {
    const v = this.existing(path, false), target = this.check(path, runNoSleep(v.readlink())) as string;
    runNoSleep(v.vrele());
    return target;
  }

  /** Names in a directory, without "." and "..". */
  list(path: string): { name: string; type: VType; ino: number }[] {
    const v = this.existing(path), out: { name: string; type: VType; ino: number }[] = [];
    this.check(path, runNoSleep(v.readdir(0, (ino, type, name) => {
      if (name !== "." && name !== "..") out.push({ name, type, ino });
      return true;
    })));
    runNoSleep(v.vrele());
    return out;
  }

  create(path: string, request: CreateRequest): void {
    const found = this.find(path, false);
    if (found.vnode) throw new DiskError(`${path}: exists`, EEXIST);
    const v = this.check(path, runNoSleep(found.dir.create(found.leaf, request))) as Vnode;
    runNoSleep(v.vrele());
    runNoSleep(found.done());
  }

  mkdir(path: string, mode = 0o755): void {
    this.create(path, { type: VDIR, mode, uid: 0, gid: 0 });
  }

  symlink(path: string, target: string): void {
    this.create(path, { type: VLNK, mode: 0o777, uid: 0, gid: 0, target });
  }

  /** Creates or replaces a file. */
  writeFile(path: string, bytes: Uint8Array, mode = 0o644): void {
    const found = this.find(path);
    if (!found.vnode) this.create(path, { type: VREG, mode, uid: 0, gid: 0 });
    runNoSleep(found.done());
    const v = this.existing(path);
    this.check(path, runNoSleep(v.setattr({ size: 0 })));
    for (let at = 0; at < bytes.length;) at += this.check(path, runNoSleep(v.write(Uio.kernel(this.uvm, bytes.subarray(at, at + 65536), UIO_WRITE), at))) as number;
    runNoSleep(v.vrele());
  }

  /** Runs one operation on a directory: for what has no method here. */
  inDirectory<T>(path: string, f: (dir: Vnode) => KGen<T>): T {
    const dir = this.existing(path), result = runNoSleep(f(dir));
    runNoSleep(dir.vrele());
    return result;
  }

  /** Writes everything to the image and unmounts. => the image */
  close(): Uint8Array {
    runNoSleep(this.vfs.rootVnode.vrele());
    this.vfs.rootVnode.useCount++;
    this.check("unmount", runNoSleep(this.mount.unmount()));
    return this.disk.bytes;
  }
}
