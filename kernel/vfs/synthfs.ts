// File systems made of functions: the base of procfs and the like. A subclass builds a tree of nodes; vnodes are made on demand.
//
//   SynthMount ── rootNode: SynthDir ── SynthTree (fixed entries) | SynthDir of one's own (entries computed)
//        │                └─ SynthFile (contents produced at read) | SynthLink | SynthSpecial (device nodes)
//        └─ live: ino ─► SynthVnode     one vnode a node while anybody refers to it
//
// The contents of a file are produced when it is read at offset 0, and kept for reads further on: a reader sees one moment.
// Nodes that are computed at each look-up are the same file when their ino and `token` are the same.
import { EACCES, EISDIR, ENOENT, ENOTDIR, EPERM, EROFS } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { toBytes, type Uio, uiomove } from "../uvm/uio.ts";
import { FileTimes, timesOf } from "./filetimes.ts";
import { type FsStat, Mount } from "./mount.ts";
import type { Vfs } from "./vfs.ts";
import { type Attr, type AttrChange, type EmitEntry, VCHR, VDIR, VLNK, Vnode, VREG, type VType } from "./vnode.ts";

/** What a file holds: bytes, text of one character a byte, or -errno. */
export type Contents = Uint8Array | string | number;

/** A row of a directory. `cookie` (3 or more, ascending) keeps a row's place while others come and go; by default its index. */
export interface SynthEntry { name: string; ino: number; type: VType; cookie?: number }

/** One thing in the tree, with or without a vnode. */
export abstract class SynthNode {
  readonly ino: number;
  readonly type: VType;
  mode: number;
  uid = 0;
  gid = 0;
  rdev = 0;
  /** Shown as the size; files are produced, so 0 is usual. */
  size = 0;
  /** null: those of the mount, until somebody sets them or uses the terminal. */
  times: FileTimes | null = null;
  /** Set by whoever looks it up. */
  parent: SynthDir | null = null;
  /** What it is about (a process): a vnode is shared only while this is the same object. */
  token: unknown = null;
  /** Overrides uid and gid. */
  owner: (() => { uid: number; gid: number }) | null = null;

  constructor(ino: number, type: VType, mode: number) {
    this.ino = ino;
    this.type = type;
    this.mode = mode;
  }

  get nlink(): number {
    return 1;
  }
}

/** A file. `store` gets what each write wrote; absent: it cannot be written. */
export class SynthFile extends SynthNode {
  readonly produce: () => Contents | KGen<Contents>;
  readonly store: ((bytes: Uint8Array) => number) | null;
  constructor(ino: number, mode: number, produce: () => Contents | KGen<Contents>, store: ((bytes: Uint8Array) => number) | null = null) {
    super(ino, VREG, mode);
    this.produce = produce;
    this.store = store;
  }
}

/** A symbolic link whose target is computed. */
export class SynthLink extends SynthNode {
  readonly target: () => string | number;
  constructor(ino: number, target: () => string | number) {
    super(ino, VLNK, 0o777);
    this.target = target;
  }
}

/** A device node, FIFO or socket. */
export class SynthSpecial extends SynthNode {
  constructor(ino: number, type: VType, mode: number, rdev: number) {
    super(ino, type, mode);
    this.rdev = rdev;
  }
}

/** A directory. Subclasses compute entries; "." and ".." are not theirs. */
export abstract class SynthDir extends SynthNode {
  constructor(ino: number, mode = 0o555) {
    super(ino, VDIR, mode);
  }

  /** => the node, or -ENOENT, … */
  abstract find(name: string): SynthNode | number;
  abstract list(): Iterable<SynthEntry>;

  override get nlink(): number {
    return 2;
  }
}

/** A directory with fixed entries. */
export class SynthTree extends SynthDir {
  readonly entries = new Map<string, SynthNode>();

  add<T extends SynthNode>(name: string, node: T): T {
    this.entries.set(name, node);
    node.parent = this;
    return node;
  }

  find(name: string): SynthNode | number {
    return this.entries.get(name) ?? -ENOENT;
  }

  *list(): Iterable<SynthEntry> {
    for (const [name, { ino, type }] of this.entries) yield { name, ino, type };
  }

  override get nlink(): number {
    let n = 2;
    for (const node of this.entries.values()) if (node.type === VDIR) n++;
    return n;
  }
}

/** A mount of such a tree. */
export class SynthMount extends Mount {
  readonly rootNode: SynthDir;
  readonly magic: number;
  /** When it was mounted. */
  readonly mountTimes: FileTimes;
  readonly live = new Map<number, SynthVnode>();
  /** All with a reference: more than `live` when a node was computed anew. */
  readonly used = new Set<SynthVnode>();
  private readonly rootVnode: SynthVnode;

  constructor(vfs: Vfs, fsType: string, source: string, flags: number, magic: number, rootNode: SynthDir) {
    super(vfs, fsType, source, flags);
    this.rootNode = rootNode;
    this.magic = magic;
    this.mountTimes = new FileTimes(vfs.ctx.wall);
    rootNode.parent = rootNode;
    // The mount's own reference keeps the root.
    this.rootVnode = this.vnodeOf(rootNode);
  }

  *root(): KGen<Vnode | number> {
    this.rootVnode.vref();
    return this.rootVnode;
  }

  statfs(): FsStat {
    return { magic: this.magic, blockSize: 4096, blocks: 0, blocksFree: 0, blocksAvailable: 0, files: 0, filesFree: 0, nameMax: 255 };
  }

  override isBusy(rootRefs: number): boolean {
    return this.used.size > 1 || this.rootVnode.useCount > 1 + rootRefs;
  }

  override isBeingWritten(): boolean {
    for (const v of this.used) if (v.writers > 0) return true;
    return false;
  }

  /** The node's vnode, referenced for the caller. */
  vnodeOf(node: SynthNode): SynthVnode {
    const v = this.live.get(node.ino);
    if (v && v.node.token === node.token && v.node.type === node.type) {
      v.vref();
      return v;
    }
    const fresh = this.makeVnode(node);
    this.live.set(node.ino, fresh);
    this.used.add(fresh);
    return fresh;
  }

  /** Subclasses may have vnodes of their own. */
  protected makeVnode(node: SynthNode): SynthVnode {
    return new SynthVnode(this, node);
  }
}

export class SynthVnode extends Vnode {
  readonly fs: SynthMount;
  readonly node: SynthNode;
  /** What the last reader at offset 0 was given. */
  private contents: Uint8Array | null = null;

  constructor(fs: SynthMount, node: SynthNode) {
    super(fs, node.type, node.ino);
    this.fs = fs;
    this.node = node;
    this.rdev = node.rdev;
  }

  override *inactive(): KGen<void> {
    if (this.fs.live.get(this.ino) === this) this.fs.live.delete(this.ino);
    this.fs.used.delete(this);
    this.contents = null;
  }

  override getattr(): Attr {
    const { node } = this, { uid, gid } = node.owner ? node.owner() : node;
    return { type: this.type, mode: node.mode, nlink: node.nlink, uid, gid, ino: this.ino, dev: this.mount.dev, rdev: node.rdev, size: node.size,
      blockSize: 4096, blocks: 0, ...timesOf(node.times ?? this.fs.mountTimes) };
  }

  /** Its own times, from now on. */
  override get times(): FileTimes {
    return (this.node.times ??= this.fs.mountTimes.copy());
  }

  /** Contents that are made when they are read have no time of access. */
  override accessed(): void {}

  override *setattr(c: AttrChange): KGen<number> {
    const { node } = this;
    // Truncating what is produced anew at each read changes nothing.
    if (c.size !== undefined) return node instanceof SynthFile && node.store ? 0 : -EPERM;
    if (this.isReadOnly) return -EROFS;
    if (node.owner) return c.mode === undefined && c.uid === undefined && c.gid === undefined ? 0 : -EPERM;
    node.mode = c.mode ?? node.mode;
    node.uid = c.uid ?? node.uid;
    node.gid = c.gid ?? node.gid;
    this.times.setTo(c);
    return 0;
  }

  override *lookup(name: string): KGen<Vnode | number> {
    const { node } = this;
    if (!(node instanceof SynthDir)) return -ENOTDIR;
    if (name === "." || name === "..") return this.fs.vnodeOf(name === "." ? node : (node.parent ?? node));
    const found = node.find(name);
    if (typeof found === "number") return found;
    found.parent ??= node;
    return this.fs.vnodeOf(found);
  }

  override *readdir(cookie: number, emit: EmitEntry): KGen<number> {
    const { node } = this;
    if (!(node instanceof SynthDir)) return -ENOTDIR;
    if (cookie < 1 && !emit(node.ino, VDIR, ".", 1)) return 0;
    if (cookie < 2 && !emit((node.parent ?? node).ino, VDIR, "..", 2)) return 0;
    let next = 3;
    for (const e of node.list()) {
      const at = e.cookie ?? next;
      next = at + 1;
      if (at > Math.max(cookie, 2) && !emit(e.ino, e.type, e.name, at)) return 0;
    }
    return 0;
  }

  override *readlink(): KGen<string | number> {
    return this.node instanceof SynthLink ? this.node.target() : yield* super.readlink();
  }

  override *read(uio: Uio, offset: number): KGen<number> {
    const { node } = this;
    if (this.type === VDIR) return -EISDIR;
    if (!(node instanceof SynthFile)) return yield* super.read(uio, offset);
    if (offset === 0 || !this.contents) {
      const made = node.produce(), contents = typeof made === "object" && !(made instanceof Uint8Array) ? yield* made : made;
      if (typeof contents === "number") return contents;
      this.contents = typeof contents === "string" ? toBytes(contents) : contents;
    }
    const { contents } = this, before = uio.resid;
    if (!contents || offset >= contents.length) return 0;
    const error = yield* uiomove(contents, offset, contents.length - offset, uio), done = before - uio.resid;
    return error < 0 && done === 0 ? error : done;
  }

  override *write(uio: Uio, _offset: number): KGen<number> {
    const { node } = this;
    if (!(node instanceof SynthFile)) return yield* super.write(uio, _offset);
    if (!node.store) return -EACCES;
    const bytes = new Uint8Array(Math.min(uio.resid, 4096)), error = yield* uiomove(bytes, 0, bytes.length, uio);
    if (error < 0) return error;
    const r = node.store(bytes);
    this.contents = null;
    return r < 0 ? r : bytes.length;
  }
}

/** A character device node. */
export const synthChar = (ino: number, mode: number, rdev: number): SynthSpecial => new SynthSpecial(ino, VCHR, mode, rdev);
