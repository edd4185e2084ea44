// A file system in memory. A node is its vnode: it lives as long as it has a name or a reference.
//
//   TmpMount ── root ── children: name ─► TmpVnode …      contents: pages of the vnode that are never clean
//
// Names change between sleeps, so they need no lock. Contents use genfs with a disk that has nothing on it: what was not written
// reads as zeroes, and a page that was written stays until it is cut off.
import { EEXIST, EFBIG, EINVAL, EIO, EISDIR, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV, EBUSY } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { PAGE_SIZE } from "../../hal/physmem.ts";
import { PROT_NONE } from "../../hal/prot.ts";
import { PGO_CLEANIT, PGO_FREE } from "../../uvm/object.ts";
import { PG_BUSY, PG_RDONLY } from "../../uvm/page.ts";
import type { BlockDev } from "../blockdev.ts";
import { FileTimes } from "../filetimes.ts";
import { GenfsVnode } from "../genfs.ts";
import { HOLE } from "../genfspager.ts";
import { type FsStat, Mount } from "../mount.ts";
import type { Vfs } from "../vfs.ts";
import {
  type Attr, type AttrChange, type CreateRequest, type EmitEntry, RENAME_EXCHANGE, RENAME_NOREPLACE, VDIR, VLNK, type Vnode, VREG,
} from "../vnode.ts";
import { tmpAllocate } from "./allocate.ts";
import { parseTmpOptions, type TmpOptions } from "./options.ts";

const TMPFS_MAGIC = 0x01021994, MOST_BYTES = 2 ** 40, FIRST_COOKIE = 2, ROOT_MODE = 0o1777;
/** The disk of files without a disk: never asked. */
const NO_DISK: BlockDev = {
  name: "tmpfs", sizeBytes: 0, isReadOnly: false, rdev: 0,
  *transfer() { return -EIO; },
  *flush() { return 0; },
};

/** A directory entry; cookies keep a reader's place while others come and go. */
interface Entry { readonly node: TmpVnode; readonly cookie: number }

export class TmpVnode extends GenfsVnode {
  readonly maxSize = MOST_BYTES;
  mode: number;
  uid: number;
  gid: number;
  nlink = 1;
  target = "";
  private readonly t: FileTimes;
  parent: TmpVnode | null;
  readonly children = new Map<string, Entry>();
  private nextCookie = FIRST_COOKIE;
  private readonly m: TmpMount;

  constructor(m: TmpMount, request: CreateRequest, ino: number, parent: TmpVnode | null) {
    super(m, request.type, ino, NO_DISK, PAGE_SIZE, m.vfs.mem);
    this.m = m;
    this.mode = request.mode & 0o7777;
    this.uid = request.uid;
    this.gid = request.gid;
    this.rdev = request.rdev ?? 0;
    this.target = request.target ?? "";
    this.parent = parent;
    this.t = new FileTimes(m.vfs.ctx.wall);
    if (request.type === VDIR) this.nlink = 2;
  }

  // ---- contents ----

  *blockOf(n: number, allocate: boolean): KGen<number> {
    if (!allocate) return HOLE;
    return this.uobj.tree.has(n) && this.m.hasRoom() ? 1 : -ENOSPC;
  }

  touchedData(): void {
    this.t.modified();
  }

  override get times(): FileTimes {
    return this.t;
  }

  protected override isKnownHole(off: number): boolean {
    return !this.uobj.tree.has(Math.floor(off / PAGE_SIZE));
  }

  /** Nothing can be cleaned: pages that are asked for are in use again. But the zeroes of a hole that was mapped can be made anew. */
  override *putpages(lo: number, hi: number, flags: number): KGen<number> {
    if ((flags & PGO_CLEANIT) === 0) return yield* super.putpages(lo, hi, flags);
    const { pages, pmap } = this.m.vfs.uvm, end = hi === 0 ? Infinity : hi;
    for (const [index, pg] of this.uobj.tree) {
      if (index * PAGE_SIZE < lo || index * PAGE_SIZE >= end) continue;
      const isHole = (pages.flags[pg]! & (PG_RDONLY | PG_BUSY)) === PG_RDONLY && pages.loanCount[pg] === 0 && pages.wireCount[pg] === 0;
      if (isHole && (flags & PGO_FREE) !== 0) pmap.pmapPageProtect(pg, PROT_NONE);
      pages.lockQueues();
      if (isHole && (flags & PGO_FREE) !== 0) pages.pageFree(pg);
      else pages.pageActivate(pg);
      pages.unlockQueues();
    }
    this.uobj.lock.exit();
    return 0;
  }

  override *fsync(): KGen<number> {
    return 0;
  }

  private *freeBehind(size: number): KGen<void> {
    this.uobj.lock.enter();
    yield* this.putpages(Math.ceil(size / PAGE_SIZE) * PAGE_SIZE, 0, PGO_FREE);
  }

  override *allocate(mode: number, offset: number, len: number, mayGrow: (size: number) => number): KGen<number> {
    return this.isReadOnly ? -EROFS : yield* tmpAllocate(this, mode, offset, len, this.m.limitPages, mayGrow);
  }

  // ---- attributes ----

  getattr(): Attr {
    const size = this.type === VREG ? this.vSize : this.type === VLNK ? this.target.length : this.type === VDIR ? (this.children.size + 2) * 20 : 0;
    return {
      type: this.type, mode: this.mode, nlink: this.nlink, uid: this.uid, gid: this.gid, ino: this.ino, dev: this.mount.dev, rdev: this.rdev, size,
      blockSize: PAGE_SIZE, blocks: this.uobj.npages * (PAGE_SIZE / 512), atime: this.t.atime.value(), mtime: this.t.mtime.value(),
      ctime: this.t.ctime.value(), btime: this.t.btime.value(),
    };
  }

  override *setattr(c: AttrChange): KGen<number> {
    if (this.isReadOnly) return -EROFS;
    if (c.size !== undefined) {
      if (this.type !== VREG) return this.type === VDIR ? -EISDIR : -EINVAL;
      if (c.size > MOST_BYTES) return -EFBIG;
      const isSame = c.size === this.vSize, error = yield* this.resizePages(c.size);
      if (error < 0) return error;
      // Pages that were set aside behind the end.
      if (isSame) yield* this.freeBehind(c.size);
      this.touchedData();
    }
    this.mode = c.mode === undefined ? this.mode : c.mode & 0o7777;
    this.uid = c.uid ?? this.uid;
    this.gid = c.gid ?? this.gid;
    this.t.setTo(c);
    return 0;
  }

  override *inactive(): KGen<void> {
    if (this.nlink > 0) return;
    if (this.type === VREG) yield* this.discardPages();
    this.m.nodes.delete(this);
  }

  /** The file system goes away: what it held is free. => nobody refers to it */
  *dissolve(): KGen<void> {
    if (this.type === VREG) yield* this.discardPages();
  }

  /** A reference for a caller: nodes without one are kept by their names. */
  acquire(): TmpVnode {
    this.useCount++;
    return this;
  }

  // ---- names ----

  private changed(): void {
    this.t.modified();
  }

  private enter(name: string, node: TmpVnode): void {
    this.children.set(name, { node, cookie: this.nextCookie++ });
    this.changed();
  }

  override *lookup(name: string): KGen<Vnode | number> {
    if (this.type !== VDIR) return -ENOTDIR;
    if (name === "..") return (this.parent ?? this).acquire();
    const e = this.children.get(name);
    return e ? e.node.acquire() : -ENOENT;
  }

  override *create(name: string, request: CreateRequest): KGen<Vnode | number> {
    if (this.type !== VDIR) return -ENOTDIR;
    if (this.isReadOnly) return -EROFS;
    if (this.nlink === 0) return -ENOENT;
    if (this.children.has(name)) return -EEXIST;
    if (!this.m.hasInodes()) return -ENOSPC;
    const node = new TmpVnode(this.m, request, this.m.nextIno++, this);
    this.m.nodes.add(node);
    if (request.type === VDIR) this.nlink++;
    this.enter(name, node);
    return node;
  }

  override *link(name: string, target: Vnode): KGen<number> {
    if (this.type !== VDIR) return -ENOTDIR;
    if (this.isReadOnly) return -EROFS;
    if (!(target instanceof TmpVnode) || target.mount !== this.mount) return -EXDEV;
    if (target.type === VDIR) return -EPERM;
    if (this.nlink === 0 || target.nlink === 0) return -ENOENT;
    if (this.children.has(name)) return -EEXIST;
    target.nlink++;
    target.t.changed();
    this.enter(name, target);
    return 0;
  }

  override *unlink(name: string): KGen<number> {
    return yield* this.remove(name, false);
  }

  override *rmdir(name: string): KGen<number> {
    return yield* this.remove(name, true);
  }

  private *remove(name: string, wantDir: boolean): KGen<number> {
    if (this.type !== VDIR) return -ENOTDIR;
    if (this.isReadOnly) return -EROFS;
    const node = this.children.get(name)?.node;
    if (!node) return -ENOENT;
    const isDir = node.type === VDIR;
    if (wantDir !== isDir) return wantDir ? -ENOTDIR : -EISDIR;
    if (node.mountedHere) return -EBUSY;
    if (node.children.size > 0) return -ENOTEMPTY;
    this.children.delete(name);
    this.changed();
    yield* this.lostName(node);
    return 0;
  }

  /** A child lost a name; without any, and unreferenced, its pages go. */
  private *lostName(node: TmpVnode): KGen<void> {
    node.t.changed();
    if (node.type === VDIR) {
      node.nlink = 0;
      this.nlink--;
    } else node.nlink--;
    if (node.nlink > 0) return;
    if (node.useCount === 0) yield* node.inactive();
  }

  override *rename(oldName: string, newDir: Vnode, newName: string, flags: number): KGen<number> {
    if (!(newDir instanceof TmpVnode) || newDir.mount !== this.mount) return -EXDEV;
    if (this.type !== VDIR || newDir.type !== VDIR) return -ENOTDIR;
    if (this.isReadOnly) return -EROFS;
    const source = this.children.get(oldName)?.node, target = newDir.children.get(newName)?.node ?? null;
    if (!source || newDir.nlink === 0) return -ENOENT;
    const refused = refuses(source, target, newDir, flags);
    if (refused !== 0 || source === target) return refused;
    if ((flags & RENAME_EXCHANGE) !== 0) {
      this.enter(oldName, target!);
      newDir.enter(newName, source);
      moveDir(target!, newDir, this);
      moveDir(source, this, newDir);
      source.t.changed();
      target!.t.changed();
      return 0;
    }
    this.children.delete(oldName);
    this.changed();
    if (target) yield* newDir.lostName(target);
    newDir.enter(newName, source);
    moveDir(source, this, newDir);
    source.t.changed();
    return 0;
  }

  override *readdir(cookie: number, emit: EmitEntry): KGen<number> {
    if (this.type !== VDIR) return -ENOTDIR;
    if (cookie < 1 && !emit(this.ino, VDIR, ".", 1)) return 0;
    if (cookie < 2 && !emit((this.parent ?? this).ino, VDIR, "..", 2)) return 0;
    for (const [name, e] of [...this.children].sort((a, b) => a[1].cookie - b[1].cookie)) {
      if (e.cookie >= cookie && !emit(e.node.ino, e.node.type, name, e.cookie + 1)) return 0;
    }
    return 0;
  }

  override *readlink(): KGen<string | number> {
    return this.type === VLNK ? this.target : -EINVAL;
  }
}

/** Why a rename cannot be, or 0. */
function refuses(source: TmpVnode, target: TmpVnode | null, to: TmpVnode, flags: number): number {
  if (source.mountedHere || target?.mountedHere) return -EBUSY;
  if (target && (flags & RENAME_NOREPLACE) !== 0) return -EEXIST;
  if (!target && (flags & RENAME_EXCHANGE) !== 0) return -ENOENT;
  for (let d: TmpVnode | null = to; source.type === VDIR && d; d = d.parent) if (d === source) return -EINVAL;
  if (!target || source === target || (flags & RENAME_EXCHANGE) !== 0) return 0;
  if (source.type === VDIR && target.type !== VDIR) return -ENOTDIR;
  if (source.type !== VDIR && target.type === VDIR) return -EISDIR;
  return target.children.size > 0 ? -ENOTEMPTY : 0;
}

function moveDir(node: TmpVnode, from: TmpVnode, to: TmpVnode): void {
  if (node.type !== VDIR || from === to) return;
  node.parent = to;
  from.nlink--;
  to.nlink++;
}

export class TmpMount extends Mount {
  readonly rootNode: TmpVnode;
  nextIno = 2;
  /** All but the root: with a name, or unlinked and still referenced. */
  readonly nodes = new Set<TmpVnode>();
  /** Pages that all files together may take; inodes there may be. Infinity: no limit. */
  limitPages: number;
  private limitInodes: number;

  constructor(vfs: Vfs, source: string, flags: number, o: TmpOptions = {}) {
    super(vfs, "tmpfs", source, flags);
    this.limitPages = this.limitInodes = this.usualLimit;
    this.setLimits(o);
    this.rootNode = new TmpVnode(this, { type: VDIR, mode: o.mode ?? ROOT_MODE, uid: o.uid ?? 0, gid: o.gid ?? 0 }, 1, null);
  }

  /** => data: mount(2)'s option text; -EINVAL */
  static make(vfs: Vfs, source: string, flags: number, data: string): TmpMount | number {
    const o = parseTmpOptions(data, vfs.uvm.exp.npages);
    return typeof o === "number" ? o : new TmpMount(vfs, source, flags, o);
  }

  /** Half of memory, in pages; as many inodes. */
  private get usualLimit(): number {
    return this.vfs.uvm.exp.npages >> 1;
  }

  private setLimits({ pages, inodes }: TmpOptions): void {
    if (pages !== undefined) this.limitPages = pages || Infinity;
    if (inodes !== undefined) this.limitInodes = inodes || Infinity;
  }

  override options(): string[] {
    const { mode, uid, gid } = this.rootNode, out: string[] = [], { limitPages, limitInodes, usualLimit } = this;
    if (limitPages !== usualLimit) out.push(`size=${limitPages === Infinity ? 0 : (limitPages * PAGE_SIZE) / 1024}k`);
    if (limitInodes !== usualLimit) out.push(`nr_inodes=${limitInodes === Infinity ? 0 : limitInodes}`);
    if (mode !== ROOT_MODE) out.push(`mode=${mode.toString(8).padStart(3, "0")}`);
    if (uid !== 0) out.push(`uid=${uid}`);
    if (gid !== 0) out.push(`gid=${gid}`);
    return out;
  }

  /** Limits can be changed, but not below what is in use; the root's attributes are chmod's by now. */
  override *remount(flags: number, data = ""): KGen<number> {
    const o = parseTmpOptions(data, this.vfs.uvm.exp.npages);
    if (typeof o === "number") return o;
    if ((o.pages || Infinity) < this.usedPages() || (o.inodes || Infinity) < this.nodes.size + 1) return -EINVAL;
    const error = yield* super.remount(flags);
    if (error >= 0) this.setLimits(o);
    return error;
  }

  /** Whether one more page fits; the memory itself keeps a reserve. */
  hasRoom(): boolean {
    const { filepages, execpages } = this.vfs.uvm.exp;
    // Fewer pages of files anywhere than this one may have: no need to count its own.
    return filepages + execpages <= this.limitPages || this.usedPages() <= this.limitPages;
  }

  /** Whether one more file fits; the root is one. */
  hasInodes(): boolean {
    return this.nodes.size + 1 < this.limitInodes;
  }

  private usedPages(): number {
    let n = 0;
    for (const node of this.nodes) n += node.uobj.npages;
    return n;
  }

  override isBusy(rootRefs: number): boolean {
    if (this.rootNode.useCount > 1 + rootRefs) return true;
    for (const node of this.nodes) if (node.useCount > 0) return true;
    return false;
  }

  override isBeingWritten(): boolean {
    for (const node of this.nodes) if (node.writers > 0 || node.nlink === 0) return true;
    return false;
  }

  override *unmount(): KGen<number> {
    for (const node of this.nodes) yield* node.dissolve();
    this.nodes.clear();
    return 0;
  }

  override *root(): KGen<Vnode | number> {
    return this.rootNode.acquire();
  }

  statfs(): FsStat {
    const blocks = this.limitPages === Infinity ? 0 : this.limitPages, files = this.limitInodes === Infinity ? 0 : this.limitInodes;
    const free = Math.max(0, blocks - (blocks > 0 ? this.usedPages() : 0)), filesFree = Math.max(0, files - this.nodes.size - 1);
    return { magic: TMPFS_MAGIC, blockSize: PAGE_SIZE, blocks, blocksFree: free, blocksAvailable: free, files, filesFree, nameMax: 255 };
  }
}
