// An inode in memory, and its form on the disk.
//
//   i_atime, i_mtime, i_ctime   seconds, 32 bits with a sign; in an inode of 128 bytes that is all
//   i_*time_extra               nanoseconds << 2 | two more bits of the seconds above the 32: to the year 2446
//   i_crtime                    time of birth, with an extra word of its own
//
// The extra fields lie behind byte 128, as far as i_extra_isize says; they are used where they exist, as ext4's driver does.
import type { KGen } from "../../lib/kthread.ts";
import type { Instant, Timespec } from "../../lib/timespec.ts";
import type { FileTimes } from "../filetimes.ts";
import type { BlockMap } from "./blockmap.ts";
import {
  I_ATIME, I_ATIME_EXTRA, I_BLOCK, I_BLOCKS, I_CRTIME, I_CRTIME_EXTRA, I_CTIME, I_CTIME_EXTRA, I_DTIME, I_EXTRA_SIZE, I_FILE_ACL, I_FLAGS, I_GENERATION, I_GID,
  I_GID_HIGH, I_LINKS, I_MODE, I_MTIME, I_MTIME_EXTRA, I_SIZE, I_SIZE_HIGH, I_LARGE, I_SMALL, I_UID, I_UID_HIGH, XATTR_MAGIC,
} from "./layout.ts";
import type { Ext2Fs } from "./super.ts";

/** What extra_isize says when we make an inode: the fields up to and including i_crtime. */
const EXTRA = I_LARGE - I_SMALL, S_IFMT = 0o170000, S_IFREG = 0o100000;

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
  /** Of now, until it is loaded. */
  readonly times: FileTimes;
  /** It has room for the time of birth. */
  hasBirth: boolean;
  /** i_block: block numbers, or the text of a short link. */
  readonly block = new Uint32Array(15);
  isDirty = false;

  constructor(fs: Ext2Fs, ino: number) {
    this.ino = ino;
    this.times = fs.newTimes();
    this.hasBirth = fs.geometry.inodeSize >= I_LARGE;
  }

  /** Reads it from the disk. => lock held; 0, -EIO, -EUCLEAN */
  *load(fs: Ext2Fs): KGen<number> {
    const where = yield* fs.inodeAt(this.ino);
    if (typeof where === "number") return where;
    const { view } = where.b, { at } = where, u16 = (o: number): number => view.getUint16(at + o, true), u32 = (o: number): number => view.getUint32(at + o, true);
    const end = I_SMALL + (fs.geometry.inodeSize > I_SMALL ? u16(I_EXTRA_SIZE) : 0);
    const time = (t: Instant, o: number, x: number): void => {
      const word = end >= x + 4 ? u32(x) : 0;
      t.sec = view.getInt32(at + o, true) + (word & 3) * 2 ** 32;
      t.nsec = Math.min(word >>> 2, 999_999_999);
    };
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
    time(this.times.atime, I_ATIME, I_ATIME_EXTRA);
    time(this.times.mtime, I_MTIME, I_MTIME_EXTRA);
    time(this.times.ctime, I_CTIME, I_CTIME_EXTRA);
    this.hasBirth = end >= I_CRTIME_EXTRA + 4;
    if (this.hasBirth) time(this.times.btime, I_CRTIME, I_CRTIME_EXTRA);
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
    const end = widen(view, at, fs.geometry.inodeSize), { atime, mtime, ctime, btime } = this.times;
    for (const [o, x, t] of [[I_ATIME, I_ATIME_EXTRA, atime], [I_MTIME, I_MTIME_EXTRA, mtime], [I_CTIME, I_CTIME_EXTRA, ctime], [I_CRTIME, I_CRTIME_EXTRA, btime]] as const) {
      if (o < I_SMALL || (this.hasBirth && end >= x + 4)) view.setInt32(at + o, t.sec | 0, true);
      if (end >= x + 4 && (o < I_SMALL || this.hasBirth)) p32(x, extraOf(t));
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

/** Makes room for the extra fields, unless attributes lie where they would grow to. => where they end */
function widen(view: DataView, at: number, inodeSize: number): number {
  if (inodeSize < I_LARGE) return I_SMALL;
  const has = view.getUint16(at + I_EXTRA_SIZE, true);
  if (has >= EXTRA) return I_SMALL + has;
  if (has >= 4 && has % 4 === 0 && view.getUint32(at + I_SMALL + has, true) === XATTR_MAGIC) return I_SMALL + has;
  view.setUint16(at + I_EXTRA_SIZE, EXTRA, true);
  return I_SMALL + EXTRA;
}

/** The extra word: nanoseconds in the high 30 bits, below them how often 2^32 seconds are to be added to the signed 32 bits. */
const extraOf = ({ sec, nsec }: Timespec): number => (((nsec << 2) >>> 0) | (Math.floor((sec + 2 ** 31) / 2 ** 32) & 3)) >>> 0;
