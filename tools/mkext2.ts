// Makes an empty ext2 file system, revision 1: 4 KiB blocks, 256-byte inodes, filetype, sparse_super and large_file; nothing
// that depends on the host or the time. Files are put into it by the kernel's own ext2 (diskfs.ts).
//
//   block 0   boot sector and superblock (byte 1024)     groups with a number 1 or a power of 3, 5, 7: copies of both
//   then      group descriptors | block bitmap | inode bitmap | inode table | data
import {
  D_INODE, D_NAME, D_NAME_LEN, D_REC_LEN, D_TYPE, entrySize, EXT2_MAGIC, GD_BLOCK_BITMAP, GD_DIRS, GD_FREE_BLOCKS, GD_FREE_INODES, GD_INODE_BITMAP,
  GD_INODE_TABLE, GD_SIZE, I_ATIME, I_BLOCK, I_BLOCKS, I_CRTIME, I_CTIME, I_EXTRA_SIZE, I_LINKS, I_MODE, I_MTIME, I_SIZE, INCOMPAT_FILETYPE, RO_COMPAT_LARGE_FILE,
  RO_COMPAT_SPARSE_SUPER, ROOT_INO, SB_BLOCKS, SB_BLOCKS_PER_GROUP, SB_FIRST_INO, SB_FREE_BLOCKS, SB_FREE_INODES, SB_INCOMPAT, SB_INODE_SIZE, SB_INODES,
  SB_INODES_PER_GROUP, SB_LOG_BLOCK, SB_MAGIC, SB_OFFSET, SB_RESERVED, SB_REVISION, SB_RO_COMPAT, SB_SIZE, SB_STATE, SB_WTIME, STATE_CLEAN,
} from "../kernel/vfs/ext2/layout.ts";

export const BLOCK = 4096, INODE_SIZE = 256;
const FIRST_INO = 11, LOST_INO = 11, LOST_BLOCKS = 4, PER_GROUP = BLOCK * 8, DIR_TYPE = 2;
/** More offsets in the superblock, which only a maker of file systems fills. */
const SB_LOG_FRAG = 28, SB_FRAGS_PER_GROUP = 36, SB_MAX_MOUNTS = 54, SB_ERRORS = 60, SB_LAST_CHECK = 64, SB_CREATOR = 72, SB_UUID = 104, SB_LABEL = 120,
  SB_GROUP = 90, SB_MIN_EXTRA = 348, SB_WANT_EXTRA = 350, SB_HASH_SEED = 236, EXTRA = 32;

export interface Ext2Options {
  sizeBytes: number;
  /** Files it can hold; rounded up to what fills whole blocks. */
  inodes: number;
  label?: string;
  /** 16 bytes. */
  uuid: Uint8Array;
  /** Times of everything, seconds since 1970. */
  timeSec: number;
  /** Blocks kept for root, in percent. */
  reservedPercent?: number;
}

/** Whether a group holds copies of superblock and descriptors. */
function hasSuper(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** One block group while it is laid out. */
interface Group { first: number; blocks: number; blockBitmap: number; inodeBitmap: number; inodeTable: number; data: number }

class Maker {
  readonly image: Uint8Array;
  readonly view: DataView;
  private readonly o: Ext2Options;
  private readonly blocks: number;
  private readonly groups: Group[] = [];
  private readonly inodesPerGroup: number;
  private readonly tableBlocks: number;
  private readonly descriptorBlocks: number;

  constructor(o: Ext2Options) {
    this.o = o;
    this.blocks = Math.floor(o.sizeBytes / BLOCK);
    const count = Math.ceil(this.blocks / PER_GROUP), perBlock = BLOCK / INODE_SIZE;
    this.inodesPerGroup = Math.min(PER_GROUP, Math.ceil(Math.max(o.inodes, 16) / count / perBlock) * perBlock);
    this.tableBlocks = this.inodesPerGroup / perBlock;
    this.descriptorBlocks = Math.ceil((count * GD_SIZE) / BLOCK);
    this.image = new Uint8Array(this.blocks * BLOCK);
    this.view = new DataView(this.image.buffer);
    for (let g = 0; g < count; g++) this.layOut(g);
  }

  private layOut(g: number): void {
    const first = g * PER_GROUP, blocks = Math.min(PER_GROUP, this.blocks - first), blockBitmap = first + (hasSuper(g) ? 1 + this.descriptorBlocks : 0);
    const inodeTable = blockBitmap + 2, data = inodeTable + this.tableBlocks;
    if (data + LOST_BLOCKS + 2 > first + blocks) throw new Error(`mkext2: ${this.o.sizeBytes} bytes leave no room for files in group ${g}; choose another size`);
    this.groups.push({ first, blocks, blockBitmap, inodeBitmap: blockBitmap + 1, inodeTable, data });
  }

  make(): Uint8Array {
    const used = this.groups.map((g, i) => g.data - g.first + (i === 0 ? 1 + LOST_BLOCKS : 0));
    this.groups.forEach((g, i) => {
      this.setBits(g.blockBitmap, 0, used[i]!);
      this.setBits(g.blockBitmap, g.blocks, PER_GROUP);
      this.setBits(g.inodeBitmap, 0, i === 0 ? LOST_INO : 0);
      this.setBits(g.inodeBitmap, this.inodesPerGroup, PER_GROUP);
    });
    this.rootDirectory();
    this.descriptors(used);
    const free = this.groups.reduce((n, g, i) => n + g.blocks - used[i]!, 0);
    this.superblocks(free);
    return this.image;
  }

  private setBits(block: number, from: number, to: number): void {
    for (let bit = from; bit < to; bit++) this.image[block * BLOCK + (bit >>> 3)]! |= 1 << (bit & 7);
  }

  private inode(ino: number, mode: number, links: number, firstBlock: number, blocks: number): void {
    const at = this.groups[0]!.inodeTable * BLOCK + (ino - 1) * INODE_SIZE, { view } = this;
    view.setUint16(at + I_MODE, mode, true);
    view.setUint16(at + I_LINKS, links, true);
    view.setUint32(at + I_SIZE, blocks * BLOCK, true);
    for (const time of [I_ATIME, I_CTIME, I_MTIME, I_CRTIME]) view.setUint32(at + time, this.o.timeSec, true);
    view.setUint32(at + I_BLOCKS, (blocks * BLOCK) / 512, true);
    for (let i = 0; i < blocks; i++) view.setUint32(at + I_BLOCK + 4 * i, firstBlock + i, true);
    view.setUint16(at + I_EXTRA_SIZE, EXTRA, true);
  }

  private entry(at: number, ino: number, len: number, name: string): void {
    this.view.setUint32(at + D_INODE, ino, true);
    this.view.setUint16(at + D_REC_LEN, len, true);
    this.image[at + D_NAME_LEN] = name.length;
    this.image[at + D_TYPE] = ino === 0 ? 0 : DIR_TYPE;
    this.image.set(new TextEncoder().encode(name), at + D_NAME);
  }

  /** "/" and "/lost+found", which e2fsck wants to exist with some room. */
  private rootDirectory(): void {
    const root = this.groups[0]!.data, lost = root + 1, dot = entrySize(1), dots = entrySize(2);
    this.inode(ROOT_INO, 0o040755, 3, root, 1);
    this.entry(root * BLOCK, ROOT_INO, dot, ".");
    this.entry(root * BLOCK + dot, ROOT_INO, dots, "..");
    this.entry(root * BLOCK + dot + dots, LOST_INO, BLOCK - dot - dots, "lost+found");
    this.inode(LOST_INO, 0o040700, 2, lost, LOST_BLOCKS);
    this.entry(lost * BLOCK, LOST_INO, dot, ".");
    this.entry(lost * BLOCK + dot, ROOT_INO, BLOCK - dot, "..");
    for (let i = 1; i < LOST_BLOCKS; i++) this.entry((lost + i) * BLOCK, 0, BLOCK, "");
  }

  private descriptors(used: number[]): void {
    const table = new Uint8Array(this.descriptorBlocks * BLOCK), view = new DataView(table.buffer);
    this.groups.forEach((g, i) => {
      const at = i * GD_SIZE;
      view.setUint32(at + GD_BLOCK_BITMAP, g.blockBitmap, true);
      view.setUint32(at + GD_INODE_BITMAP, g.inodeBitmap, true);
      view.setUint32(at + GD_INODE_TABLE, g.inodeTable, true);
      view.setUint16(at + GD_FREE_BLOCKS, g.blocks - used[i]!, true);
      view.setUint16(at + GD_FREE_INODES, this.inodesPerGroup - (i === 0 ? LOST_INO : 0), true);
      view.setUint16(at + GD_DIRS, i === 0 ? 2 : 0, true);
    });
    this.groups.forEach((g, i) => hasSuper(i) && this.image.set(table, (g.first + 1) * BLOCK));
  }

  private superblocks(free: number): void {
    const { o } = this, sb = new DataView(new ArrayBuffer(SB_SIZE)), inodes = this.inodesPerGroup * this.groups.length;
    const p32 = (at: number, v: number): void => sb.setUint32(at, v, true), p16 = (at: number, v: number): void => sb.setUint16(at, v, true);
    p32(SB_INODES, inodes);
    p32(SB_BLOCKS, this.blocks);
    p32(SB_RESERVED, Math.floor((this.blocks * (o.reservedPercent ?? 0)) / 100));
    p32(SB_FREE_BLOCKS, free);
    p32(SB_FREE_INODES, inodes - LOST_INO);
    p32(SB_LOG_BLOCK, 2);
    p32(SB_LOG_FRAG, 2);
    p32(SB_BLOCKS_PER_GROUP, PER_GROUP);
    p32(SB_FRAGS_PER_GROUP, PER_GROUP);
    p32(SB_INODES_PER_GROUP, this.inodesPerGroup);
    p32(SB_WTIME, o.timeSec);
    p16(SB_MAX_MOUNTS, 0xffff);
    p16(SB_MAGIC, EXT2_MAGIC);
    p16(SB_STATE, STATE_CLEAN);
    p16(SB_ERRORS, 1);
    p32(SB_LAST_CHECK, o.timeSec);
    p32(SB_CREATOR, 0);
    p32(SB_REVISION, 1);
    p32(SB_FIRST_INO, FIRST_INO);
    p16(SB_INODE_SIZE, INODE_SIZE);
    p32(SB_INCOMPAT, INCOMPAT_FILETYPE);
    p32(SB_RO_COMPAT, RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE);
    p16(SB_MIN_EXTRA, EXTRA);
    p16(SB_WANT_EXTRA, EXTRA);
    const bytes = new Uint8Array(sb.buffer);
    bytes.set(o.uuid, SB_UUID);
    bytes.set(o.uuid, SB_HASH_SEED);
    bytes.set(new TextEncoder().encode(o.label ?? "").subarray(0, 16), SB_LABEL);
    this.groups.forEach((g, i) => {
      if (!hasSuper(i)) return;
      sb.setUint16(SB_GROUP, i, true);
      this.image.set(bytes, g.first * BLOCK + (i === 0 ? SB_OFFSET : 0));
    });
  }
}

/** An empty file system as bytes. */
export function makeExt2(o: Ext2Options): Uint8Array {
  return new Maker(o).make();
}
