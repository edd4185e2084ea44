// One ext2 file system: superblock, group descriptors, and the allocation of blocks and inodes.
//
// Lock: `lock`, sleepable, is held exclusively by everything that looks at or changes names, inodes, bitmaps or block maps. It is
// never held while user memory is copied, since a page fault may need it. Order: vnode lock, node lock, then this.
import { EINVAL, EIO, ENOSPC, EROFS, EUCLEAN } from "../../lib/errno.ts";
import { KRwLock } from "../../lib/klock.ts";
import type { KGen } from "../../lib/kthread.ts";
import type { PhysMem } from "../../hal/physmem.ts";
import type { BlockDev } from "../blockdev.ts";
import { type Buf, BufCache } from "../buf.ts";
import { FileTimes, type TimeRange } from "../filetimes.ts";
import type { FsStat } from "../mount.ts";
import type { Vfs } from "../vfs.ts";
import {
  EXT2_MAGIC, GD_BLOCK_BITMAP, GD_DIRS, GD_FREE_BLOCKS, GD_FREE_INODES, GD_INODE_BITMAP, GD_INODE_TABLE, GD_SIZE, INCOMPAT_FILETYPE, ROOT_INO,
  RO_COMPAT_LARGE_FILE, RO_COMPAT_SPARSE_SUPER, SB_BLOCKS, SB_BLOCKS_PER_GROUP, SB_FIRST_BLOCK, SB_FIRST_INO, SB_FREE_BLOCKS, SB_FREE_INODES, SB_INCOMPAT,
  SB_INODES, SB_INODES_PER_GROUP, SB_INODE_SIZE, SB_LOG_BLOCK, SB_MAGIC, SB_MOUNTS, SB_MTIME, SB_OFFSET, SB_RESERVED, SB_REVISION, SB_RO_COMPAT,
  SB_SIZE, SB_STATE, SB_WTIME, STATE_CLEAN, I_LARGE,
} from "./layout.ts";

const EXT2_SUPER_MAGIC = EXT2_MAGIC;

const SMALL_RANGE: TimeRange = { minSec: -(2 ** 31), maxSec: 2 ** 31 - 1, isWholeSeconds: true };
const LARGE_RANGE: TimeRange = { minSec: -(2 ** 31), maxSec: 2 ** 34 - 2 ** 31 - 1, isWholeSeconds: false };

/** Geometry, read once and checked. */
export interface Geometry {
  inodes: number; blocks: number; firstBlock: number; blockSize: number; blocksPerGroup: number; inodesPerGroup: number; inodeSize: number;
  firstIno: number; groups: number; reserved: number; hasFileType: boolean;
}

export class Ext2Fs {
  readonly vfs: Vfs;
  readonly dev: BlockDev;
  readonly mem: PhysMem;
  readonly geometry: Geometry;
  readonly cache: BufCache;
  readonly lock: KRwLock;
  /** What may not be changed, and why: unknown features of a kind that can be read. */
  readonly forcedReadOnly: string;
  private freeBlocks: number;
  private freeInodes: number;
  private isReadOnly = true;

  private constructor(vfs: Vfs, dev: BlockDev, mem: PhysMem, g: Geometry, sb: DataView, forcedReadOnly: string) {
    this.vfs = vfs;
    this.dev = dev;
    this.mem = mem;
    this.geometry = g;
    this.cache = new BufCache(vfs.ctx, vfs.uvm, mem, dev, g.blockSize);
    this.lock = new KRwLock(vfs.ctx, "ext2");
    this.forcedReadOnly = forcedReadOnly;
    this.freeBlocks = sb.getUint32(SB_FREE_BLOCKS, true);
    this.freeInodes = sb.getUint32(SB_FREE_INODES, true);
  }

  /** Reads and checks the superblock and the group descriptors. => -EINVAL no ext2, or features we lack; -EUCLEAN; -EIO; -ENOMEM */
  static *open(vfs: Vfs, dev: BlockDev, mem: PhysMem): KGen<Ext2Fs | number> {
    const probe = new BufCache(vfs.ctx, vfs.uvm, mem, dev, SB_SIZE), short = probe.reserve();
    if (short < 0) return short;
    const b = yield* probe.bread(SB_OFFSET / SB_SIZE);
    if (typeof b === "number") {
      probe.purge();
      return b;
    }
    const sb = new DataView(b.bytes.slice().buffer), say = (what: string): void => vfs.complain(`ext2: ${dev.name}: superblock (byte 1024): ${what}`);
    probe.purge();
    if (sb.getUint16(SB_MAGIC, true) !== EXT2_MAGIC) {
      say(`magic 0x${sb.getUint16(SB_MAGIC, true).toString(16)} is not ext2's 0xef53`);
      return -EINVAL;
    }
    const incompat = sb.getUint32(SB_INCOMPAT, true) & ~INCOMPAT_FILETYPE;
    if (incompat !== 0) {
      say(`unknown incompatible features 0x${incompat.toString(16)}: made by a newer ext3 or ext4`);
      return -EINVAL;
    }
    const g = readGeometry(sb), wrong = checkGeometry(g, dev.sizeBytes);
    if (wrong) {
      say(wrong);
      return -EUCLEAN;
    }
    const unknown = sb.getUint32(SB_RO_COMPAT, true) & ~(RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE);
    const fs = new Ext2Fs(vfs, dev, mem, g, sb, unknown ? `unknown features 0x${unknown.toString(16)}` : "");
    const none = fs.cache.reserve();
    if (none < 0) return none;
    const error = yield* fs.checkGroups();
    if (error >= 0) return fs;
    fs.cache.purge();
    return error;
  }

  /** A damaged structure: names it on the console. => -EUCLEAN */
  corrupt(what: string): number {
    this.vfs.complain(`ext2: ${this.dev.name}: ${what}`);
    return -EUCLEAN;
  }

  private *checkGroups(): KGen<number> {
    const { groups } = this.geometry;
    for (let g = 0; g < groups; g++) {
      for (const [field, name] of [[GD_BLOCK_BITMAP, "block bitmap"], [GD_INODE_BITMAP, "inode bitmap"], [GD_INODE_TABLE, "inode table"]] as const) {
        const block = yield* this.groupField(g, field);
        if (block < 0) return block;
        if (!this.isDataBlock(block)) return this.corrupt(`group ${g}: ${name} at block ${block} lies outside the file system`);
      }
    }
    return 0;
  }

  isDataBlock(block: number): boolean {
    return block > this.geometry.firstBlock && block < this.geometry.blocks;
  }

  // ---- group descriptors ----

  private *descriptor(group: number): KGen<{ b: Buf; at: number } | number> {
    const { blockSize, firstBlock } = this.geometry, perBlock = blockSize / GD_SIZE, b = yield* this.cache.bread(firstBlock + 1 + Math.floor(group / perBlock));
    return typeof b === "number" ? b : { b, at: (group % perBlock) * GD_SIZE };
  }

  *groupField(group: number, field: number): KGen<number> {
    const d = yield* this.descriptor(group);
    return typeof d === "number" ? d : field < GD_FREE_BLOCKS ? d.b.view.getUint32(d.at + field, true) : d.b.view.getUint16(d.at + field, true);
  }

  private *addToGroup(group: number, field: number, n: number): KGen<void> {
    const d = yield* this.descriptor(group);
    if (typeof d === "number") return;
    d.b.view.setUint16(d.at + field, d.b.view.getUint16(d.at + field, true) + n, true);
    this.cache.bdirty(d.b);
  }

  // ---- inodes on the disk ----

  /** The block and offset of an inode. => -EUCLEAN for a number that cannot be */
  *inodeAt(ino: number): KGen<{ b: Buf; at: number } | number> {
    const { inodes, inodesPerGroup, inodeSize, blockSize } = this.geometry;
    if (ino < 1 || ino > inodes) return this.corrupt(`inode number ${ino} is outside 1..${inodes}`);
    const index = (ino - 1) % inodesPerGroup, table = yield* this.groupField(Math.floor((ino - 1) / inodesPerGroup), GD_INODE_TABLE);
    if (table < 0) return table;
    const b = yield* this.cache.bread(table + Math.floor((index * inodeSize) / blockSize));
    return typeof b === "number" ? b : { b, at: (index * inodeSize) % blockSize };
  }

  // ---- allocation ----

  /** First clear bit of a bitmap from `from` on, below `limit`; -1 none. */
  private findClear(bytes: Uint8Array, from: number, limit: number): number {
    for (let bit = from; bit < limit;) {
      const byte = bytes[bit >>> 3]!;
      if (byte === 0xff) {
        bit = (bit | 7) + 1;
        continue;
      }
      if ((byte & (1 << (bit & 7))) === 0) return bit;
      bit++;
    }
    return -1;
  }

  /** Takes a bit of the bitmaps of the groups, beginning with `goal`'s. => its number counted over all groups, -ENOSPC, -EIO */
  private *takeBit(field: number, freeField: number, perGroup: number, total: number, goal: number, first: number): KGen<number> {
    const { groups } = this.geometry, startGroup = Math.floor(goal / perGroup);
    for (let n = 0; n <= groups; n++) {
      const group = (startGroup + n) % groups, free = yield* this.groupField(group, freeField);
      if (free < 0) return free;
      if (free === 0) continue;
      const block = yield* this.groupField(group, field), b = block < 0 ? block : yield* this.cache.bread(block);
      if (typeof b === "number") return b;
      const limit = Math.min(perGroup, total - group * perGroup), lowest = Math.max(0, first - group * perGroup);
      let bit = this.findClear(b.bytes, Math.max(lowest, n === 0 ? goal % perGroup : 0), limit);
      if (bit < 0 && n === 0) bit = this.findClear(b.bytes, lowest, limit);
      if (bit < 0) continue;
      b.bytes[bit >>> 3]! |= 1 << (bit & 7);
      this.cache.bdirty(b);
      yield* this.addToGroup(group, freeField, -1);
      return group * perGroup + bit;
    }
    return -ENOSPC;
  }

  private *giveBit(field: number, freeField: number, perGroup: number, n: number, what: string): KGen<boolean> {
    const group = Math.floor(n / perGroup), block = yield* this.groupField(group, field), b = block < 0 ? block : yield* this.cache.bread(block);
    if (typeof b === "number") return false;
    const bit = n % perGroup;
    if ((b.bytes[bit >>> 3]! & (1 << (bit & 7))) === 0) {
      this.corrupt(`${what} is freed twice (bitmap block ${block})`);
      return false;
    }
    b.bytes[bit >>> 3]! &= ~(1 << (bit & 7));
    this.cache.bdirty(b);
    yield* this.addToGroup(group, freeField, 1);
    return true;
  }

  /** A free block near `goal`. => lock held; -ENOSPC, -EIO */
  *allocBlock(goal: number): KGen<number> {
    const { firstBlock, blocks, blocksPerGroup } = this.geometry;
    if (this.isReadOnly) return -EROFS;
    if (this.freeBlocks === 0) return -ENOSPC;
    const near = goal > firstBlock && goal < blocks ? goal - firstBlock : 0;
    const n = yield* this.takeBit(GD_BLOCK_BITMAP, GD_FREE_BLOCKS, blocksPerGroup, blocks - firstBlock, near, 0);
    if (n < 0) return n;
    this.freeBlocks--;
    return n + firstBlock;
  }

  *freeBlock(block: number): KGen<void> {
    const { firstBlock, blocksPerGroup } = this.geometry;
    if (!this.isDataBlock(block)) return void this.corrupt(`block ${block} is freed, which lies outside the file system`);
    this.cache.forget(block);
    if (yield* this.giveBit(GD_BLOCK_BITMAP, GD_FREE_BLOCKS, blocksPerGroup, block - firstBlock, `block ${block}`)) this.freeBlocks++;
  }

  /** A free inode: a file's near its directory, a directory's in the group with most room. => lock held */
  *allocInode(parent: number, isDir: boolean): KGen<number> {
    const { inodesPerGroup, inodes, firstIno } = this.geometry;
    if (this.isReadOnly) return -EROFS;
    if (this.freeInodes === 0) return -ENOSPC;
    let goal = Math.floor((parent - 1) / inodesPerGroup) * inodesPerGroup;
    if (isDir) goal = (yield* this.roomiestGroup()) * inodesPerGroup;
    const n = yield* this.takeBit(GD_INODE_BITMAP, GD_FREE_INODES, inodesPerGroup, inodes, goal, firstIno - 1);
    if (n < 0) return n;
    this.freeInodes--;
    if (isDir) yield* this.addToGroup(Math.floor(n / inodesPerGroup), GD_DIRS, 1);
    return n + 1;
  }

  private *roomiestGroup(): KGen<number> {
    let best = 0, most = -1;
    for (let g = 0; g < this.geometry.groups; g++) {
      const free = (yield* this.groupField(g, GD_FREE_INODES)) > 0 ? yield* this.groupField(g, GD_FREE_BLOCKS) : -1;
      if (free > most) {
        most = free;
        best = g;
      }
    }
    return best;
  }

  *freeInode(ino: number, isDir: boolean): KGen<void> {
    const { inodesPerGroup } = this.geometry;
    if (!(yield* this.giveBit(GD_INODE_BITMAP, GD_FREE_INODES, inodesPerGroup, ino - 1, `inode ${ino}`))) return;
    this.freeInodes++;
    if (isDir) yield* this.addToGroup(Math.floor((ino - 1) / inodesPerGroup), GD_DIRS, -1);
  }

  // ---- the superblock ----

  private *updateSuper(change: (sb: DataView) => void): KGen<number> {
    const { blockSize } = this.geometry, b = yield* this.cache.bread(Math.floor(SB_OFFSET / blockSize));
    if (typeof b === "number") return b;
    change(new DataView(b.bytes.buffer, b.bytes.byteOffset + (SB_OFFSET % blockSize), SB_SIZE));
    this.cache.bdirty(b);
    return 0;
  }

  /** Seconds since 1970, for fields of 32 bits without more. */
  nowSec(): number {
    return this.vfs.ctx.wall.nowSec();
  }

  /** Times of a file that is made now, as far as its inode can hold them. */
  newTimes(): FileTimes {
    return new FileTimes(this.vfs.ctx.wall, this.geometry.inodeSize >= I_LARGE ? LARGE_RANGE : SMALL_RANGE);
  }

  /** Begins writing: the disk counts as not clean until it is unmounted or made read-only. */
  *beginWriting(): KGen<number> {
    if (this.forcedReadOnly || this.dev.isReadOnly) {
      if (this.forcedReadOnly) this.vfs.complain(`ext2: ${this.dev.name}: mounted read-only: ${this.forcedReadOnly}`);
      return -EROFS;
    }
    this.isReadOnly = false;
    return yield* this.updateSuper((sb) => {
      sb.setUint16(SB_STATE, sb.getUint16(SB_STATE, true) & ~STATE_CLEAN, true);
      sb.setUint16(SB_MOUNTS, sb.getUint16(SB_MOUNTS, true) + 1, true);
      sb.setUint32(SB_MTIME, this.nowSec(), true);
    });
  }

  /** Writes all metadata. `clean`: nothing more will be written. */
  *sync(clean: boolean): KGen<number> {
    if (this.isReadOnly) return 0;
    const error = yield* this.updateSuper((sb) => {
      sb.setUint32(SB_FREE_BLOCKS, this.freeBlocks, true);
      sb.setUint32(SB_FREE_INODES, this.freeInodes, true);
      sb.setUint32(SB_WTIME, this.nowSec(), true);
      if (clean) sb.setUint16(SB_STATE, sb.getUint16(SB_STATE, true) | STATE_CLEAN, true);
    });
    if (error < 0) return error;
    if (clean) this.isReadOnly = true;
    const written = yield* this.cache.sync(), flushed = yield* this.dev.flush();
    return written < 0 || flushed < 0 ? -EIO : 0;
  }

  statfs(): FsStat {
    const { blockSize, blocks, inodes, reserved, firstBlock, groups, inodesPerGroup, inodeSize } = this.geometry;
    const overhead = firstBlock + groups * (2 + Math.ceil((inodesPerGroup * inodeSize) / blockSize));
    return {
      magic: EXT2_SUPER_MAGIC, blockSize, blocks: blocks - overhead, blocksFree: this.freeBlocks,
      blocksAvailable: Math.max(0, this.freeBlocks - reserved), files: inodes, filesFree: this.freeInodes, nameMax: 255,
    };
  }
}

function readGeometry(sb: DataView): Geometry {
  const u32 = (at: number): number => sb.getUint32(at, true), revision = u32(SB_REVISION), blocks = u32(SB_BLOCKS), perGroup = u32(SB_BLOCKS_PER_GROUP);
  const log = u32(SB_LOG_BLOCK);
  return {
    inodes: u32(SB_INODES), blocks, firstBlock: u32(SB_FIRST_BLOCK), blockSize: log > 6 ? 0 : 1024 << log, blocksPerGroup: perGroup,
    inodesPerGroup: u32(SB_INODES_PER_GROUP), inodeSize: revision === 0 ? 128 : sb.getUint16(SB_INODE_SIZE, true),
    firstIno: revision === 0 ? 11 : u32(SB_FIRST_INO), groups: Math.ceil((blocks - u32(SB_FIRST_BLOCK)) / perGroup), reserved: u32(SB_RESERVED),
    hasFileType: (u32(SB_INCOMPAT) & INCOMPAT_FILETYPE) !== 0,
  };
}

/** => what is wrong, or "" */
function checkGeometry(g: Geometry, deviceBytes: number): string {
  const { blockSize, inodeSize } = g;
  if (blockSize !== 1024 && blockSize !== 2048 && blockSize !== 4096) return `block size ${blockSize} is not 1024, 2048 or 4096`;
  if (g.firstBlock !== (blockSize === 1024 ? 1 : 0)) return `first data block ${g.firstBlock} does not fit the block size`;
  if (g.blocks * blockSize > deviceBytes) return `${g.blocks} blocks of ${blockSize} bytes, but the device has only ${deviceBytes} bytes: the image is cut short`;
  if (g.blocksPerGroup < 8 || g.blocksPerGroup > 8 * blockSize) return `${g.blocksPerGroup} blocks in a group`;
  if (g.inodesPerGroup < 1 || g.inodesPerGroup > 8 * blockSize) return `${g.inodesPerGroup} inodes in a group`;
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) return `inode size ${inodeSize}`;
  if (g.blocks <= g.firstBlock + 1 || g.inodes < ROOT_INO || g.inodes > g.groups * g.inodesPerGroup) return `${g.inodes} inodes in ${g.groups} groups of ${g.inodesPerGroup}`;
  return "";
}
