// An inode in memory, and its form on the disk.
import type { KGen } from "../../lib/kthread.ts";
import type { BlockMap } from "./blockmap.ts";
import {
  I_ATIME, I_ATIME_EXTRA, I_BLOCK, I_BLOCKS, I_CTIME, I_CTIME_EXTRA, I_DTIME, I_EXTRA_SIZE, I_FILE_ACL, I_FLAGS, I_GENERATION, I_GID, I_GID_HIGH,
  I_LINKS, I_MODE, I_MTIME, I_MTIME_EXTRA, I_SIZE, I_SIZE_HIGH, I_SMALL, I_UID, I_UID_HIGH,
} from "./layout.ts";
import type { Ext2Fs } from "./super.ts";

/** What extra_isize says when we make an inode: the fields up to and including i_crtime. */
const EXTRA = 32, S_IFMT = 0o170000, S_IFREG = 0o100000;

export class Inode implements BlockMap {
  readonly ino: number;
  /** With the type. */
  mode = 0;
  uid = 0;
  gid = 0;
  links = 0;
  size = 0;
  sectors = 0;
  flags = 0;
  generation = 0;
  fileAcl = 0;
  dtime = 0;
  atimeNs = 0;
  mtimeNs = 0;
  ctimeNs = 0;
  /** i_block: block numbers, or the text of a short link. */
  readonly block = new Uint32Array(15);
  isDirty = false;

  constructor(ino: number) {
    this.ino = ino;
  }

  /** Reads it from the disk. => lock held; 0, -EIO, -EUCLEAN */
  *load(fs: Ext2Fs): KGen<number> {
    const where = yield* fs.inodeAt(this.ino);
    if (typeof where === "number") return where;
    const { view } = where.b, { at } = where, u16 = (o: number): number => view.getUint16(at + o, true), u32 = (o: number): number => view.getUint32(at + o, true);
    const extra = fs.geometry.inodeSize > I_SMALL ? u16(I_EXTRA_SIZE) : 0;
    const time = (o: number, x: number): number => view.getInt32(at + o, true) * 1e9 + (extra >= x + 4 - I_SMALL ? decodeExtra(u32(x)) : 0);
    this.mode = u16(I_MODE);
    this.uid = u16(I_UID) | (u16(I_UID_HIGH) << 16);
    this.gid = u16(I_GID) | (u16(I_GID_HIGH) << 16);
    this.links = u16(I_LINKS);
    this.size = u32(I_SIZE) + ((this.mode & S_IFMT) === S_IFREG ? u32(I_SIZE_HIGH) * 2 ** 32 : 0);
    this.sectors = u32(I_BLOCKS);
    this.flags = u32(I_FLAGS);
    this.generation = u32(I_GENERATION);
    this.fileAcl = u32(I_FILE_ACL);
    this.dtime = u32(I_DTIME);
    this.atimeNs = time(I_ATIME, I_ATIME_EXTRA);
    this.mtimeNs = time(I_MTIME, I_MTIME_EXTRA);
    this.ctimeNs = time(I_CTIME, I_CTIME_EXTRA);
    for (let i = 0; i < 15; i++) this.block[i] = u32(I_BLOCK + 4 * i);
    return 0;
  }

  /** Puts it into its buffer, to be written with it. => lock held */
  *store(fs: Ext2Fs): KGen<number> {
    const where = yield* fs.inodeAt(this.ino);
    if (typeof where === "number") return where;
    const { view } = where.b, { at } = where;
    const p16 = (o: number, v: number): void => view.setUint16(at + o, v, true), p32 = (o: number, v: number): void => view.setUint32(at + o, v, true);
    p16(I_MODE, this.mode);
    p16(I_UID, this.uid);
    p16(I_UID_HIGH, this.uid >>> 16);
    p16(I_GID, this.gid);
    p16(I_GID_HIGH, this.gid >>> 16);
    p16(I_LINKS, this.links);
    p32(I_SIZE, this.size % 2 ** 32);
    p32(I_SIZE_HIGH, (this.mode & S_IFMT) === S_IFREG ? Math.floor(this.size / 2 ** 32) : 0);
    p32(I_BLOCKS, this.sectors);
    p32(I_FLAGS, this.flags);
    p32(I_GENERATION, this.generation);
    p32(I_FILE_ACL, this.fileAcl);
    p32(I_DTIME, this.dtime);
    for (let i = 0; i < 15; i++) p32(I_BLOCK + 4 * i, this.block[i]!);
    const wide = fs.geometry.inodeSize >= I_SMALL + EXTRA;
    if (wide && view.getUint16(at + I_EXTRA_SIZE, true) < EXTRA) p16(I_EXTRA_SIZE, EXTRA);
    for (const [o, x, ns] of [[I_ATIME, I_ATIME_EXTRA, this.atimeNs], [I_MTIME, I_MTIME_EXTRA, this.mtimeNs], [I_CTIME, I_CTIME_EXTRA, this.ctimeNs]] as const) {
      view.setInt32(at + o, Math.floor(ns / 1e9) | 0, true);
      if (wide) p32(x, encodeExtra(ns));
    }
    fs.cache.bdirty(where.b);
    this.isDirty = false;
    return 0;
  }

  /** Forgets what a former file of this number left on the disk. */
  *wipe(fs: Ext2Fs): KGen<number> {
    const where = yield* fs.inodeAt(this.ino);
    if (typeof where === "number") return where;
    const generation = where.b.view.getUint32(where.at + I_GENERATION, true);
    where.b.bytes.fill(0, where.at, where.at + fs.geometry.inodeSize);
    this.generation = (generation + 1) >>> 0;
    return 0;
  }
}

/** The extra word of a time: nanoseconds in the high 30 bits, two more bits of the seconds below them. */
const decodeExtra = (word: number): number => (word & 3) * 2 ** 32 * 1e9 + (word >>> 2);
const encodeExtra = (ns: number): number => {
  const seconds = Math.floor(ns / 1e9);
  return (((Math.round(ns - seconds * 1e9) << 2) >>> 0) | (Math.floor((seconds + 2 ** 31) / 2 ** 32) & 3)) >>> 0;
};
