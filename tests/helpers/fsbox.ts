// FsBox: the file systems of the kernel with nothing above them. A machine for its memory, a disk in an array, and the verbs
// of a program by path, each run to its end as a user thread.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Machine } from "../../emu/machine.ts";
import { Hal } from "../../kernel/hal/hal.ts";
import type { PhysMem } from "../../kernel/hal/physmem.ts";
import { RAM_BASE } from "../../kernel/hal/physmem.ts";
import { EIO, EROFS } from "../../kernel/lib/errno.ts";
import { KContext, type KGen } from "../../kernel/lib/kthread.ts";
import { Uio, UIO_READ, UIO_WRITE } from "../../kernel/uvm/uio.ts";
import { uvmInit, type Uvm } from "../../kernel/uvm/uvm.ts";
import type { BlockDev } from "../../kernel/vfs/blockdev.ts";
import { Ext2Mount } from "../../kernel/vfs/ext2/mount.ts";
import type { Mount } from "../../kernel/vfs/mount.ts";
import { namei, type NameiResult, type Searcher } from "../../kernel/vfs/namei.ts";
import { Vfs } from "../../kernel/vfs/vfs.ts";
import { type Attr, type AttrChange, type CreateRequest, VDIR, VLNK, type Vnode, VREG } from "../../kernel/vfs/vnode.ts";
import { makeExt2 } from "../../tools/mkext2.ts";
import { TestSched } from "./ksched.ts";

/** A disk in an array. Each transfer sleeps once, so that others run in between. */
export class RamDev implements BlockDev {
  readonly name = "ram0";
  readonly rdev = 0xfe00;
  isReadOnly = false;
  readonly bytes: Uint8Array;
  /** Says whether a transfer fails: by direction and byte offset. */
  fails: (write: boolean, offset: number) => boolean = () => false;
  readonly stats = { reads: 0, writes: 0, flushes: 0, bytesRead: 0 };
  private readonly mem: PhysMem;
  private readonly pause: () => KGen<unknown>;

  constructor(bytes: Uint8Array, mem: PhysMem, pause: () => KGen<unknown>) {
    this.bytes = bytes;
    this.mem = mem;
    this.pause = pause;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  *transfer(write: boolean, offset: number, segments: readonly number[]): KGen<number> {
    yield* this.pause();
    if (write && this.isReadOnly) return -EROFS;
    this.stats[write ? "writes" : "reads"]++;
    if (this.fails(write, offset)) return -EIO;
    for (let i = 0, at = offset; i < segments.length; i += 2) {
      const pa = segments[i]!, len = segments[i + 1]!;
      if (at % 512 !== 0 || len % 512 !== 0 || at + len > this.bytes.length || len > 65536) return -EIO;
      if (write) this.bytes.set(this.mem.bytes(pa, len), at);
      else {
        this.mem.u8.set(this.bytes.subarray(at, at + len), pa - RAM_BASE);
        this.stats.bytesRead += len;
      }
      at += len;
    }
    return 0;
  }

  *flush(): KGen<number> {
    this.stats.flushes++;
    return 0;
  }
}

const ROOT: Searcher = { mayAccess: () => true };

export class FsBox {
  readonly ctx = new KContext();
  readonly sched = new TestSched(this.ctx);
  readonly hal: Hal;
  readonly uvm: Uvm;
  readonly vfs: Vfs;
  readonly complaints: string[] = [];
  cred: Searcher = ROOT;
  /** What the clock says: seconds since 1970, and ns of that second. */
  nsec = 0;

  constructor(options: { npages?: number } = {}) {
    const console = { read: () => 0, write() {} };
    const machine = new Machine({ ramBytes: (options.npages ?? 2048) * 4096, console, hosted: true });
    this.hal = new Hal(machine, this.ctx);
    this.uvm = uvmInit(this.hal, this.ctx);
    this.vfs = new Vfs(this.ctx, this.uvm, this.hal.mem);
    this.ctx.wall.virtualNs = () => this.nsec;
    this.nowSec = 1_740_000_000;
    this.vfs.complain = (line) => void this.complaints.push(line);
  }

  get nowSec(): number {
    return this.ctx.wall.epochSec;
  }

  set nowSec(sec: number) {
    this.ctx.wall.epochSec = sec;
  }

  run<T>(g: KGen<T>): T {
    return this.sched.run(g);
  }

  /** A disk whose transfers take a microsecond. */
  disk(bytes: Uint8Array): RamDev {
    return new RamDev(bytes, this.hal.mem, () => this.ctx.sleep({}, "ramdev", { timeoutNs: 1000 }));
  }

  /** Mounts an ext2 disk as the root. => the mount or -errno */
  mountExt2(dev: BlockDev, flags = 0): Ext2Mount | number {
    const m = this.run(Ext2Mount.onDevice(this.vfs, "/dev/ram0", dev, flags));
    if (typeof m === "number") return m;
    const error = this.mountRoot(m);
    return error < 0 ? error : m;
  }

  mountRoot(m: Mount): number {
    return this.run(this.vfs.mountRoot(m));
  }

  /** Takes the root away: everything is written. => 0 or -errno */
  unmountRoot(): number {
    const m = this.vfs.mounts[0]!, error = this.run(m.unmount());
    if (error < 0) return error;
    this.run(this.vfs.rootVnode.vrele());
    this.vfs.mounts.length = 0;
    return 0;
  }

  // ---- what programs do ----

  look(path: string, options: { follow?: boolean; create?: boolean; from?: Vnode } = {}): NameiResult | number {
    const { rootVnode } = this.vfs;
    return this.run(namei(this.vfs, options.from ?? rootVnode, path, { follow: options.follow ?? false, create: options.create ?? false, root: rootVnode, cred: this.cred }));
  }

  /** Does something to what a path names. */
  private at<T>(path: string, act: (v: Vnode) => KGen<T>, follow = false): T | number {
    const r = this.look(path, { follow });
    if (typeof r === "number") return r;
    const result = this.run(act(r.vnode!));
    this.run(r.done());
    return result;
  }

  /** Does something with a name in its directory. */
  private inDir<T>(path: string, act: (dir: Vnode, leaf: string) => KGen<T>): T | number {
    const r = this.look(path, { create: true });
    if (typeof r === "number") return r;
    const result = this.run(act(r.dir, r.leaf));
    this.run(r.done());
    return result;
  }

  private make(path: string, request: CreateRequest): number {
    const v = this.inDir(path, (dir, leaf) => dir.create(leaf, request));
    if (typeof v === "number") return v;
    this.run(v.vrele());
    return 0;
  }

  creat(path: string, mode = 0o644): number {
    return this.make(path, { type: VREG, mode, uid: 0, gid: 0 });
  }

  mkdir(path: string, mode = 0o755): number {
    return this.make(path, { type: VDIR, mode, uid: 0, gid: 0 });
  }

  symlink(target: string, path: string): number {
    return this.make(path, { type: VLNK, mode: 0o777, uid: 0, gid: 0, target });
  }

  mknod(path: string, type: Vnode["type"], rdev: number): number {
    return this.make(path, { type, mode: 0o600, uid: 0, gid: 0, rdev });
  }

  unlink(path: string): number {
    return this.inDir(path, (dir, leaf) => dir.unlink(leaf));
  }

  rmdir(path: string): number {
    return this.inDir(path, (dir, leaf) => dir.rmdir(leaf));
  }

  link(from: string, to: string): number {
    const f = this.look(from);
    if (typeof f === "number") return f;
    const r = this.inDir(to, (dir, leaf) => dir.link(leaf, f.vnode!));
    this.run(f.done());
    return r;
  }

  rename(from: string, to: string, flags = 0): number {
    const f = this.look(from);
    if (typeof f === "number") return f;
    const r = this.inDir(to, (dir, leaf) => f.dir.rename(f.leaf, dir, leaf, flags));
    this.run(f.done());
    return r;
  }

  readlink(path: string): string | number {
    return this.at(path, (v) => v.readlink());
  }

  stat(path: string): Attr | number {
    const r = this.look(path);
    if (typeof r === "number") return r;
    const a = r.vnode!.getattr();
    this.run(r.done());
    return a;
  }

  setattr(path: string, change: AttrChange): number {
    return this.at(path, (v) => this.withLock(v, () => v.setattr(change)));
  }

  truncate(path: string, size: number): number {
    return this.setattr(path, { size });
  }

  private *withLock<T>(v: Vnode, act: () => KGen<T>): KGen<T> {
    yield* v.lock.write();
    const r = yield* act();
    v.lock.unlock();
    return r;
  }

  /** Opens: a referenced vnode. */
  open(path: string): Vnode {
    const r = this.look(path, { follow: true });
    if (typeof r === "number") throw new Error(`open ${path}: ${r}`);
    return this.run(r.keepVnode());
  }

  close(v: Vnode): void {
    this.run(v.vrele());
  }

  pwrite(v: Vnode, bytes: Uint8Array, offset: number): number {
    return this.run(this.withLock(v, () => v.write(Uio.kernel(this.uvm, bytes.slice(), UIO_WRITE), offset)));
  }

  pread(v: Vnode, offset: number, len: number): Uint8Array | number {
    const bytes = new Uint8Array(len), n = this.run(v.read(Uio.kernel(this.uvm, bytes, UIO_READ), offset));
    return n < 0 ? n : bytes.subarray(0, n);
  }

  write(path: string, bytes: Uint8Array, offset = 0): number {
    const r = this.look(path, { follow: true });
    if (typeof r === "number") return r;
    const n = this.pwrite(r.vnode!, bytes, offset);
    this.run(r.done());
    return n;
  }

  read(path: string): Uint8Array | number {
    const r = this.look(path, { follow: true });
    if (typeof r === "number") return r;
    const bytes = this.pread(r.vnode!, 0, r.vnode!.vSize);
    this.run(r.done());
    return bytes;
  }

  fsync(path: string): number {
    return this.at(path, (v) => v.fsync());
  }

  /** Names of a directory but "." and "..", sorted. */
  ls(path: string): string[] | number {
    const names: string[] = [];
    const r = this.at(path, (v) => v.readdir(0, (_ino, _type, name) => {
      if (name !== "." && name !== "..") names.push(name);
      return true;
    }));
    return typeof r === "number" && r < 0 ? r : names.sort();
  }
}

/** An empty ext2 disk, with an inode for each 16 KiB. */
export function blankImage(sizeBytes: number): Uint8Array {
  return makeExt2({ sizeBytes, inodes: sizeBytes / 16384, uuid: new Uint8Array(16).fill(7), timeSec: 1_735_689_600 });
}

/** Why e2fsck and debugfs cannot judge here; "" when they can. */
export function noE2fsprogs(): string {
  const found = ["e2fsck", "debugfs"].every((tool) => spawnSync(tool, ["-V"], { stdio: "ignore", env: TOOL_ENV }).error === undefined);
  return found ? "" : "e2fsck and debugfs (package e2fsprogs) are not installed";
}

const TOOL_ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** Runs a tool on an image in a file. => its output and exit status */
function onImage(image: Uint8Array, tool: string, args: (file: string, dir: string) => string[], after: (dir: string) => void = () => {}): { status: number; text: string } {
  const dir = mkdtempSync(join(tmpdir(), "loanword-")), file = join(dir, "image");
  try {
    writeFileSync(file, image);
    const r = spawnSync(tool, args(file, dir), { encoding: "utf8", env: TOOL_ENV });
    after(dir);
    return { status: r.status ?? -1, text: `${r.stdout}${r.stderr}` };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What e2fsck has against an image; "" when it is clean. */
export function fsckComplaints(image: Uint8Array): string {
  const { status, text } = onImage(image, "e2fsck", (file) => ["-fn", file]);
  return status === 0 ? "" : text;
}

/** Unpacks an image with debugfs and hands the folder over. */
export function debugfsDump(image: Uint8Array, visit: (dir: string) => void): void {
  onImage(image, "debugfs", (file, dir) => ["-R", `rdump / ${dir}/`, file], visit);
}

/** Random numbers below n, from a seed. */
export function randomOf(seed: number): (n: number) => number {
  let x = seed >>> 0 || 1;
  return (n) => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x % n;
  };
}
