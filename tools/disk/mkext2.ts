// Makes ext2 images: revision 1, 4 KiB blocks, 256-byte inodes, filetype, sparse_super and large_file. The same entries and
// options make the same bytes, on every host.
//
//   group 0, 1, and powers of 3, 5, 7:   superblock | descriptors | block bitmap | inode bitmap | inode table | data
//   other groups:                                                    block bitmap | inode bitmap | inode table | data
//
// Blocks are given out in ascending order, a file's indirect blocks where they are needed between its data, so a file lies in
// one run. Blocks of zeros become holes. Everything is in one array: what is made here is a root disk, not an archive.
import { DiskError, type Entry, type EntryKind, normalize } from "./entries.ts";
import {
  D_INODE, D_NAME, D_NAME_LEN, D_REC_LEN, D_TYPE, DIRECT, entrySize, EXT2_MAGIC, FAST_LINK, GD_BLOCK_BITMAP, GD_DIRS, GD_FREE_BLOCKS, GD_FREE_INODES,
  GD_INODE_BITMAP, GD_INODE_TABLE, GD_SIZE, I_ATIME, I_BLOCK, I_BLOCKS, I_CTIME, I_EXTRA_SIZE, I_GID, I_GID_HIGH, I_LINKS, I_MODE, I_MTIME, I_SIZE,
  I_SIZE_HIGH, I_UID, I_UID_HIGH, INCOMPAT_FILETYPE, LINK_MAX, RO_COMPAT_LARGE_FILE, RO_COMPAT_SPARSE_SUPER, ROOT_INO, SB_BLOCKS, SB_BLOCKS_PER_GROUP,
  SB_FIRST_INO, SB_FREE_BLOCKS, SB_FREE_INODES, SB_INCOMPAT, SB_INODE_SIZE, SB_INODES, SB_INODES_PER_GROUP, SB_LOG_BLOCK, SB_MAGIC, SB_OFFSET,
  SB_RESERVED, SB_REVISION, SB_RO_COMPAT, SB_STATE, SB_WTIME, STATE_CLEAN,
} from "../../kernel/vfs/ext2/layout.ts";

export const BLOCK = 4096, INODE = 256;
const PER_GROUP = 8 * BLOCK, FIRST_INO = 11, P = BLOCK / 4, UNITS = BLOCK / 512, EXTRA = 32, FEWEST_IN_LAST = 50;
/** Superblock fields that only a maker of file systems writes. */
const SB_LOG_FRAG = 28, SB_FRAGS_PER_GROUP = 36, SB_MAX_MOUNTS = 54, SB_ERRORS = 60, SB_LASTCHECK = 64, SB_GROUP_NR = 90, SB_UUID = 104, SB_NAME = 120,
  SB_MKFS_TIME = 264, SB_MIN_EXTRA = 348, SB_WANT_EXTRA = 350;
const TYPES: Record<EntryKind, [bits: number, dirType: number]> = {
  file: [0o100000, 1], link: [0o100000, 1], dir: [0o040000, 2], char: [0o020000, 3], block: [0o060000, 4], pipe: [0o010000, 5], sock: [0o140000, 6],
  slink: [0o120000, 7],
};

export interface ImageOptions {
  /** Size of the image, rounded down to blocks; 0 or absent: as large as the entries need, and `freeBytes` more. */
  sizeBytes?: number;
  freeBytes?: number;
  /** Inodes altogether, rounded up; absent: one for 16 KiB, and enough for the entries. */
  inodes?: number;
  label?: string;
  /** 16 bytes. */
  uuid?: Uint8Array;
  /** Seconds since 1970: when the image was made, and the time of entries without one. */
  timeSec?: number;
}

/** 2026-01-01, so that images do not tell when they were made. */
const DEFAULT_TIME = 1767225600;
/** "Loanword" twice, marked as a random UUID. */
const DEFAULT_UUID = Uint8Array.from([0x4c, 0x6f, 0x61, 0x6e, 0x77, 0x6f, 0x42, 0x64, 0x8c, 0x6f, 0x61, 0x6e, 0x77, 0x6f, 0x72, 0x64]);

interface Shape { blocks: number; groups: number; inodesPerGroup: number; tableBlocks: number; gdtBlocks: number }

/** Does the group hold a copy of the superblock? */
export function hasSuper(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let n = base;
    while (n < group) n *= base;
    return n === group;
  });
}

const overheadOf = (s: Shape, g: number): number => (hasSuper(g) ? 1 + s.gdtBlocks : 0) + 2 + s.tableBlocks;

/** How groups and tables lie in an image of so many blocks. A last group too small to be of use is cut off. */
function shapeOf(blocks: number, inodes: number): Shape {
  const groups = Math.ceil(blocks / PER_GROUP), perBlock = BLOCK / INODE;
  const inodesPerGroup = Math.ceil(Math.max(inodes, FIRST_INO + 1) / groups / perBlock) * perBlock;
  const shape = { blocks, groups, inodesPerGroup, tableBlocks: inodesPerGroup / perBlock, gdtBlocks: Math.ceil((groups * GD_SIZE) / BLOCK) };
  if (inodesPerGroup > PER_GROUP) throw new DiskError(`${inodes} inodes do not fit an image of ${blocks * BLOCK} bytes`);
  const last = blocks - (groups - 1) * PER_GROUP;
  if (groups > 1 && last < overheadOf(shape, groups - 1) + FEWEST_IN_LAST) return shapeOf((groups - 1) * PER_GROUP, inodes);
  return shape;
}

/** Data blocks an entry takes at most, indirect ones included. */
function blocksFor(bytes: number): number {
  let n = Math.ceil(bytes / BLOCK), all = n;
  for (n -= DIRECT; n > 0; n = n > 1 ? Math.ceil(n / P) : 0) all += Math.ceil(n / P) + 1;
  return all;
}

const direntBytes = (entries: readonly Entry[]): number => entries.reduce((n, e) => n + entrySize(e.path.length - e.path.lastIndexOf("/") - 1), 24);

/** The image as bytes. => throws DiskError when the entries do not fit */
export function mkext2(given: readonly Entry[], options: ImageOptions = {}): Uint8Array {
  const entries = normalize([{ kind: "dir", path: "/", mode: 0o755, uid: 0, gid: 0 }, { kind: "dir", path: "/lost+found", mode: 0o700, uid: 0, gid: 0 }, ...given]);
  const children = new Map<string, Entry[]>();
  for (const e of entries) if (e.path !== "/") pushTo(children, e.path.slice(0, e.path.lastIndexOf("/")) || "/", e);
  // A block of entries is never quite full: the next entry did not fit.
  const dirBytes = (e: Entry): number => Math.ceil((direntBytes(children.get(e.path) ?? []) * BLOCK) / (BLOCK - entrySize(255)));
  const need = entries.reduce((n, e) => n + blocksFor(e.kind === "dir" ? dirBytes(e) : e.bytes?.length ?? (e.target?.length ?? 0)), 0);
  const want = need + Math.ceil((options.freeBytes ?? 0) / BLOCK), inodesFor = (blocks: number): number => Math.max(options.inodes ?? blocks / 4, entries.length + FIRST_INO);
  let blocks = Math.floor((options.sizeBytes ?? 0) / BLOCK);
  if (blocks === 0) {
    for (blocks = want + 64; roomOf(shapeOf(blocks, inodesFor(blocks))) < want; blocks += 64);
  } else if (blocks < 32) throw new DiskError(`an image of ${options.sizeBytes} bytes is too small: give at least ${32 * BLOCK}`);
  const w = new ImageWriter(blocks * BLOCK, shapeOf(blocks, inodesFor(blocks)), options);
  w.addAll(entries, children);
  return w.finish();
}

const roomOf = (s: Shape): number => {
  let room = s.blocks;
  for (let g = 0; g < s.groups; g++) room -= overheadOf(s, g);
  return room;
};

function pushTo<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

class ImageWriter {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly shape: Shape;
  private readonly options: ImageOptions;
  private readonly timeSec: number;
  private readonly used: Uint8Array;
  /** Directories by group. */
  private readonly dirs: number[];
  private readonly inos = new Map<string, number>();
  private readonly kinds = new Map<number, EntryKind>();
  private nextBlock = 0;
  private nextIno = FIRST_INO;

  constructor(sizeBytes: number, shape: Shape, options: ImageOptions) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
    this.shape = shape;
    this.options = options;
    this.timeSec = options.timeSec ?? DEFAULT_TIME;
    this.used = new Uint8Array(shape.blocks);
    this.dirs = new Array<number>(shape.groups).fill(0);
    for (let g = 0; g < shape.groups; g++) this.used.fill(1, g * PER_GROUP, g * PER_GROUP + overheadOf(shape, g));
  }

  private block(): number {
    while (this.used[this.nextBlock] === 1) this.nextBlock++;
    if (this.nextBlock >= this.shape.blocks) throw new DiskError(`the files do not fit an image of ${this.bytes.length} bytes: give a larger size`);
    this.used[this.nextBlock] = 1;
    return this.nextBlock;
  }

  /** First block of a group's bitmaps and table. */
  private metaOf(g: number): number {
    return g * PER_GROUP + (hasSuper(g) ? 1 + this.shape.gdtBlocks : 0);
  }

  private inodeAt(ino: number): number {
    const g = Math.floor((ino - 1) / this.shape.inodesPerGroup);
    return (this.metaOf(g) + 2) * BLOCK + ((ino - 1) % this.shape.inodesPerGroup) * INODE;
  }

  addAll(entries: readonly Entry[], children: ReadonlyMap<string, readonly Entry[]>): void {
    const links = new Map<string, number>();
    this.inos.set("/", ROOT_INO);
    this.inos.set("/lost+found", this.nextIno++);
    for (const e of entries) {
      if (e.kind !== "link" && !this.inos.has(e.path)) this.inos.set(e.path, this.nextIno++);
      if (e.kind !== "link") {
        this.kinds.set(this.inos.get(e.path)!, e.kind);
        continue;
      }
      const target = `/${(e.target ?? "").split("/").filter((n) => n !== "").join("/")}`, ino = this.inos.get(target);
      if (ino === undefined || this.kinds.get(ino) === "dir") throw new DiskError(`${e.path}: links to ${target}, which is no file of the image`);
      this.inos.set(e.path, ino);
      links.set(target, (links.get(target) ?? 0) + 1);
    }
    for (const e of entries) {
      if (e.kind === "link") continue;
      const below = children.get(e.path) ?? [], count = e.kind === "dir" ? 2 + below.filter((c) => c.kind === "dir").length : 1 + (links.get(e.path) ?? 0);
      if (count > LINK_MAX) throw new DiskError(`${e.path}: ${count} links are too many`);
      this.addInode(e, count, below);
    }
  }

  private addInode(e: Entry, links: number, below: readonly Entry[]): void {
    const { view } = this, ino = this.inos.get(e.path)!, at = this.inodeAt(ino), time = e.timeSec ?? this.timeSec;
    view.setUint16(at + I_MODE, TYPES[e.kind][0] | e.mode, true);
    view.setUint16(at + I_UID, e.uid & 0xffff, true);
    view.setUint16(at + I_UID_HIGH, e.uid >>> 16, true);
    view.setUint16(at + I_GID, e.gid & 0xffff, true);
    view.setUint16(at + I_GID_HIGH, e.gid >>> 16, true);
    view.setUint16(at + I_LINKS, links, true);
    for (const field of [I_ATIME, I_CTIME, I_MTIME]) view.setUint32(at + field, time, true);
    view.setUint16(at + I_EXTRA_SIZE, EXTRA, true);
    if (e.kind === "dir") {
      this.dirs[Math.floor((ino - 1) / this.shape.inodesPerGroup)]!++;
      this.putData(at, this.dirBytes(e.path, ino, below), false);
    } else if (e.kind === "file") this.putData(at, e.bytes ?? new Uint8Array(0), true);
    else if (e.kind === "slink") this.putLink(at, e);
    else if (e.kind === "char" || e.kind === "block") this.putRdev(at, e.major ?? 0, e.minor ?? 0);
  }

  private putLink(at: number, e: Entry): void {
    const text = Buffer.from(e.target ?? "", "latin1");
    if (text.length === 0 || text.length >= BLOCK) throw new DiskError(`${e.path}: a symbolic link to ${text.length} bytes`);
    if (text.length >= FAST_LINK) return this.putData(at, text, false);
    this.bytes.set(text, at + I_BLOCK);
    this.view.setUint32(at + I_SIZE, text.length, true);
  }

  /** Small numbers in the old form, large ones in the new one behind it. */
  private putRdev(at: number, major: number, minor: number): void {
    if (major < 256 && minor < 256) this.view.setUint32(at + I_BLOCK, (major << 8) | minor, true);
    else this.view.setUint32(at + I_BLOCK + 4, (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12), true);
  }

  private dirBytes(path: string, ino: number, below: readonly Entry[]): Uint8Array {
    const blocks: Uint8Array[] = [], parent = this.inos.get(path.slice(0, path.lastIndexOf("/")) || "/")!;
    let at = BLOCK, last = 0, v = this.view;
    const put = (name: string, n: number, type: number): void => {
      const need = entrySize(name.length);
      if (at + need > BLOCK) {
        if (blocks.length > 0) v.setUint16(last + D_REC_LEN, BLOCK - last, true);
        blocks.push(new Uint8Array(BLOCK));
        v = new DataView(blocks.at(-1)!.buffer);
        at = 0;
      }
      v.setUint32(at + D_INODE, n, true);
      v.setUint16(at + D_REC_LEN, need, true);
      v.setUint8(at + D_NAME_LEN, name.length);
      v.setUint8(at + D_TYPE, type);
      for (let i = 0; i < name.length; i++) v.setUint8(at + D_NAME + i, name.charCodeAt(i));
      last = at;
      at += need;
    };
    put(".", ino, 2);
    put("..", parent, 2);
    for (const c of below) {
      const n = this.inos.get(c.path)!;
      put(c.path.slice(c.path.lastIndexOf("/") + 1), n, TYPES[this.kinds.get(n)!][1]);
    }
    v.setUint16(last + D_REC_LEN, BLOCK - last, true);
    return Buffer.concat(blocks);
  }

  /** Contents with their indirect blocks. */
  private putData(at: number, data: Uint8Array, mayHaveHoles: boolean): void {
    const { view } = this, count = Math.ceil(data.length / BLOCK);
    let units = 0;
    const take = (): number => {
      units += UNITS;
      return this.block();
    };
    /** Puts blocks from n on below one indirect block of a level. => its number, 0 when all are holes */
    const tree = (level: number, n: number): number => {
      if (n >= count) return 0;
      if (level === 0) {
        const piece = data.subarray(n * BLOCK, (n + 1) * BLOCK);
        if (mayHaveHoles && isZero(piece)) return 0;
        const b = take();
        this.bytes.set(piece, b * BLOCK);
        return b;
      }
      const span = P ** (level - 1);
      if (mayHaveHoles && isZero(data.subarray(n * BLOCK, (n + P * span) * BLOCK))) return 0;
      const own = take();
      for (let i = 0; i < P && n + i * span < count; i++) view.setUint32(own * BLOCK + 4 * i, tree(level - 1, n + i * span), true);
      return own;
    };
    for (let i = 0; i < DIRECT; i++) view.setUint32(at + I_BLOCK + 4 * i, tree(0, i), true);
    for (let level = 1, n = DIRECT; level <= 3; n += P ** level, level++) view.setUint32(at + I_BLOCK + 4 * (DIRECT + level - 1), tree(level, n), true);
    view.setUint32(at + I_SIZE, data.length >>> 0, true);
    if (data.length > 0xffffffff) view.setUint32(at + I_SIZE_HIGH, Math.floor(data.length / 2 ** 32), true);
    view.setUint32(at + I_BLOCKS, units, true);
  }

  /** Bitmaps, descriptors and superblocks, and their copies. */
  finish(): Uint8Array {
    const { shape, view, bytes } = this, gdt = new Uint8Array(shape.gdtBlocks * BLOCK), gv = new DataView(gdt.buffer);
    let freeBlocks = 0, freeInodes = 0;
    for (let g = 0; g < shape.groups; g++) {
      const meta = this.metaOf(g), first = g * PER_GROUP, size = Math.min(PER_GROUP, shape.blocks - first);
      const usedInodes = Math.min(Math.max(this.nextIno - 1 - g * shape.inodesPerGroup, 0), shape.inodesPerGroup);
      let free = size;
      for (let i = 0; i < size; i++) if (this.used[first + i] === 1) {
        bytes[meta * BLOCK + (i >>> 3)]! |= 1 << (i & 7);
        free--;
      }
      setBits(bytes, meta * BLOCK, size, PER_GROUP);
      setBits(bytes, (meta + 1) * BLOCK, 0, usedInodes);
      setBits(bytes, (meta + 1) * BLOCK, shape.inodesPerGroup, PER_GROUP);
      const at = g * GD_SIZE;
      gv.setUint32(at + GD_BLOCK_BITMAP, meta, true);
      gv.setUint32(at + GD_INODE_BITMAP, meta + 1, true);
      gv.setUint32(at + GD_INODE_TABLE, meta + 2, true);
      gv.setUint16(at + GD_FREE_BLOCKS, free, true);
      gv.setUint16(at + GD_FREE_INODES, shape.inodesPerGroup - usedInodes, true);
      gv.setUint16(at + GD_DIRS, this.dirs[g]!, true);
      freeBlocks += free;
      freeInodes += shape.inodesPerGroup - usedInodes;
    }
    const sb = this.superblock(freeBlocks, freeInodes);
    for (let g = 0; g < shape.groups; g++) {
      if (!hasSuper(g)) continue;
      const at = g === 0 ? SB_OFFSET : g * PER_GROUP * BLOCK;
      bytes.set(sb, at);
      view.setUint16(at + SB_GROUP_NR, g, true);
      bytes.set(gdt, (g * PER_GROUP + 1) * BLOCK);
    }
    return bytes;
  }

  private superblock(freeBlocks: number, freeInodes: number): Uint8Array {
    const sb = new Uint8Array(1024), v = new DataView(sb.buffer), { shape } = this, u32 = (at: number, n: number): void => v.setUint32(at, n, true);
    u32(SB_INODES, shape.inodesPerGroup * shape.groups);
    u32(SB_BLOCKS, shape.blocks);
    u32(SB_RESERVED, 0);
    u32(SB_FREE_BLOCKS, freeBlocks);
    u32(SB_FREE_INODES, freeInodes);
    u32(SB_LOG_BLOCK, 2);
    u32(SB_LOG_FRAG, 2);
    u32(SB_BLOCKS_PER_GROUP, PER_GROUP);
    u32(SB_FRAGS_PER_GROUP, PER_GROUP);
    u32(SB_INODES_PER_GROUP, shape.inodesPerGroup);
    u32(SB_WTIME, this.timeSec);
    u32(SB_LASTCHECK, this.timeSec);
    u32(SB_MKFS_TIME, this.timeSec);
    u32(SB_REVISION, 1);
    u32(SB_FIRST_INO, FIRST_INO);
    u32(SB_INCOMPAT, INCOMPAT_FILETYPE);
    u32(SB_RO_COMPAT, RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE);
    const u16s = [[SB_MAX_MOUNTS, 0xffff], [SB_MAGIC, EXT2_MAGIC], [SB_STATE, STATE_CLEAN], [SB_ERRORS, 1], [SB_INODE_SIZE, INODE], [SB_MIN_EXTRA, EXTRA], [SB_WANT_EXTRA, EXTRA]];
    for (const [at, n] of u16s) v.setUint16(at!, n!, true);
    sb.set((this.options.uuid ?? DEFAULT_UUID).subarray(0, 16), SB_UUID);
    sb.set(Buffer.from((this.options.label ?? "").slice(0, 16), "latin1"), SB_NAME);
    return sb;
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((b) => b === 0);
}

/** Sets bits [from, to) of the bitmap at `at`. */
function setBits(bytes: Uint8Array, at: number, from: number, to: number): void {
  for (let i = from; i < to; i++) bytes[at + (i >>> 3)]! |= 1 << (i & 7);
}
