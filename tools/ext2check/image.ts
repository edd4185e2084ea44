// An ext2 image as the checker reads it: the superblock's numbers, where descriptors and inodes are, whom each block
// belongs to, and what has been found wrong so far.
import {
  EXT2_MAGIC, GD_BLOCK_BITMAP, GD_INODE_BITMAP, GD_INODE_TABLE, GD_SIZE, INCOMPAT_FILETYPE, RO_COMPAT_LARGE_FILE, RO_COMPAT_SPARSE_SUPER, ROOT_INO, SB_BLOCKS,
  SB_BLOCKS_PER_GROUP, SB_COMPAT, SB_FIRST_BLOCK, SB_FIRST_INO, SB_INCOMPAT, SB_INODE_SIZE, SB_INODES, SB_INODES_PER_GROUP, SB_LOG_BLOCK, SB_MAGIC, SB_OFFSET,
  SB_RESERVED, SB_REVISION, SB_RO_COMPAT, SB_SIZE,
} from "../../kernel/vfs/ext2/layout.ts";

/** `where` names the structure, `what` the inode and block in it. */
export interface Finding { readonly where: string; readonly what: string }

export const COMPAT_XATTR = 8;
export const FINDINGS_MAX = 50;
const SB_ORPHANS = 232, SB_GROUP = 90, FIRST_INO_OLD = 11, INODE_SIZE_OLD = 128, LOG_BLOCK_MAX = 2;
/** Owners of blocks that are no inode's: the number of the place in OWNERS, negative. */
export const OWNER_SUPER = -1, OWNER_BLOCK_BITMAP = -2, OWNER_INODE_BITMAP = -3, OWNER_TABLE = -4;
const OWNERS = ["", "the superblock and descriptors", "a block bitmap", "an inode bitmap", "an inode table"];
/** What every copy of the superblock has the same. Counts of what is free and times are the first one's alone. */
const SAME_IN_COPIES = [
  SB_INODES, SB_BLOCKS, SB_FIRST_BLOCK, SB_LOG_BLOCK, SB_BLOCKS_PER_GROUP, SB_INODES_PER_GROUP, SB_REVISION, SB_FIRST_INO, SB_INCOMPAT, SB_RO_COMPAT,
];

/** Sparse superblocks: groups 0, 1 and powers of 3, 5 and 7. */
function hasBackup(group: number): boolean {
  if (group <= 1) return true;
  for (const base of [3, 5, 7]) for (let n = base; n <= group; n *= base) if (n === group) return true;
  return false;
}

export class Ext2Image {
  readonly findings: Finding[] = [];
  readonly bytes: Uint8Array;
  readonly view: DataView;
  blockSize = 1024;
  blocks = 0;
  inodes = 0;
  firstBlock = 0;
  blocksPerGroup = 0;
  inodesPerGroup = 0;
  inodeSize = INODE_SIZE_OLD;
  firstInode = FIRST_INO_OLD;
  hasTypes = false;
  hasXattrs = false;
  /** By block: 0 nobody, an inode's number, or one of OWNER_. */
  owner = new Int32Array(0);

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  say(where: string, what: string): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push({ where, what });
  }

  sayInode(ino: number, what: string): void {
    this.say(`inode ${ino}`, `${what} (inode table, block ${Math.floor(this.inodeAt(ino) / this.blockSize)})`);
  }

  super32(offset: number): number {
    return this.view.getUint32(SB_OFFSET + offset, true);
  }

  /** => false when nothing else of the image can be read */
  open(): boolean {
    if (!this.superblock()) return false;
    this.owner = new Int32Array(this.blocks);
    return this.metadata();
  }

  private superblock(): boolean {
    const { view } = this, bad = (what: string): false => (this.say("superblock", what), false);
    if (this.bytes.length < SB_OFFSET + SB_SIZE) return this.say("image", `is ${this.bytes.length} bytes, too short for a superblock`), false;
    const magic = view.getUint16(SB_OFFSET + SB_MAGIC, true), logSize = this.super32(SB_LOG_BLOCK);
    if (magic !== EXT2_MAGIC) return bad(`magic is 0x${magic.toString(16)}, not 0xef53: no ext2`);
    if (logSize > LOG_BLOCK_MAX) return bad(`block size 1024 << ${logSize} is none that ext2 has`);
    this.blockSize = 1024 << logSize;
    this.inodes = this.super32(SB_INODES);
    this.blocks = this.super32(SB_BLOCKS);
    this.firstBlock = this.super32(SB_FIRST_BLOCK);
    this.blocksPerGroup = this.super32(SB_BLOCKS_PER_GROUP);
    this.inodesPerGroup = this.super32(SB_INODES_PER_GROUP);
    if (this.super32(SB_REVISION) >= 1) {
      this.firstInode = this.super32(SB_FIRST_INO);
      this.inodeSize = view.getUint16(SB_OFFSET + SB_INODE_SIZE, true);
      const incompat = this.super32(SB_INCOMPAT), ro = this.super32(SB_RO_COMPAT);
      if ((incompat & ~INCOMPAT_FILETYPE) !== 0 || (ro & ~(RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE)) !== 0) {
        return bad(`features 0x${incompat.toString(16)}/0x${ro.toString(16)} are newer than ext2`);
      }
      this.hasTypes = (incompat & INCOMPAT_FILETYPE) !== 0;
      this.hasXattrs = (this.super32(SB_COMPAT) & COMPAT_XATTR) !== 0;
    }
    if (this.blocks * this.blockSize > this.bytes.length) {
      return bad(`has ${this.blocks} blocks of ${this.blockSize}, but the image ends after ${this.bytes.length} bytes: truncated`);
    }
    const isPower = this.inodeSize >= INODE_SIZE_OLD && this.inodeSize <= this.blockSize && (this.inodeSize & (this.inodeSize - 1)) === 0;
    const fits = this.blocksPerGroup > 0 && this.blocksPerGroup <= this.blockSize * 8 && this.inodesPerGroup > 0 && this.inodesPerGroup <= this.blockSize * 8 && isPower
      && this.firstBlock === (logSize === 0 ? 1 : 0) && this.firstBlock < this.blocks && this.inodes === this.inodesPerGroup * this.groups
      && this.firstInode > ROOT_INO && this.firstInode <= this.inodes && this.super32(SB_RESERVED) <= this.blocks;
    if (!fits) return bad("block and inode counts do not fit together");
    if (this.descAt(this.groups) > this.blocks * this.blockSize) return bad(`has ${this.blocks} blocks, too few for the descriptors of its ${this.groups} groups`);
    const orphan = this.super32(SB_ORPHANS);
    if (orphan !== 0) this.say("superblock", `inode ${orphan} is on the list of orphans: deleted while it was open`);
    return true;
  }

  get groups(): number {
    return Math.ceil((this.blocks - this.firstBlock) / this.blocksPerGroup);
  }

  groupStart(group: number): number {
    return this.firstBlock + group * this.blocksPerGroup;
  }

  /** Where a group's descriptor is. */
  descAt(group: number): number {
    return (this.firstBlock + 1) * this.blockSize + group * GD_SIZE;
  }

  desc(group: number, offset: number): number {
    return this.view.getUint32(this.descAt(group) + offset, true);
  }

  /** `ino`: 1 to inodes. => where it is in the image */
  inodeAt(ino: number): number {
    const g = Math.floor((ino - 1) / this.inodesPerGroup);
    return this.desc(g, GD_INODE_TABLE) * this.blockSize + ((ino - 1) % this.inodesPerGroup) * this.inodeSize;
  }

  isSet(mapBlock: number, bit: number): boolean {
    return (this.bytes[mapBlock * this.blockSize + (bit >> 3)]! & (1 << (bit & 7))) !== 0;
  }

  /** Says who has a block already, or that there is none such. => whether it is now `by`'s */
  claim(block: number, by: number, say: (what: string) => void): boolean {
    if (block <= 0 || block >= this.blocks) return say(`names block ${block}, which is outside the file system`), false;
    const other = this.owner[block]!;
    if (other !== 0) return say(`names block ${block}, which belongs to ${other > 0 ? `inode ${other}` : OWNERS[-other]} too`), false;
    this.owner[block] = by;
    return true;
  }

  /** Superblocks, descriptors, bitmaps and inode tables. */
  private metadata(): boolean {
    const descBlocks = Math.ceil((this.groups * GD_SIZE) / this.blockSize), isSparse = (this.super32(SB_RO_COMPAT) & RO_COMPAT_SPARSE_SUPER) !== 0;
    if (this.firstBlock === 1) this.owner[0] = OWNER_SUPER;
    for (let g = 0; g < this.groups; g++) {
      const start = this.groupStart(g);
      if (isSparse && !hasBackup(g)) continue;
      this.owner.fill(OWNER_SUPER, start, start + descBlocks + 1);
      if (g > 0) this.compareCopy(g, start);
    }
    for (let g = 0; g < this.groups; g++) {
      const tableBlocks = Math.ceil((this.inodesPerGroup * this.inodeSize) / this.blockSize);
      const claim = (block: number, by: number, part: string): boolean => {
        const where = `group ${g}'s descriptor (${part})`, start = this.groupStart(g);
        if (!this.claim(block, by, (what) => this.say(where, what))) return false;
        return (block >= start && block < start + this.blocksPerGroup) || (this.say(where, `names block ${block}, which is outside the group`), false);
      };
      if (!claim(this.desc(g, GD_BLOCK_BITMAP), OWNER_BLOCK_BITMAP, "block bitmap")) return false;
      if (!claim(this.desc(g, GD_INODE_BITMAP), OWNER_INODE_BITMAP, "inode bitmap")) return false;
      for (let i = 0; i < tableBlocks; i++) if (!claim(this.desc(g, GD_INODE_TABLE) + i, OWNER_TABLE, "inode table")) return false;
    }
    return true;
  }

  /** A copy of superblock and descriptors says what the first ones say, as far as they never change. */
  private compareCopy(group: number, block: number): void {
    const at = block * this.blockSize, where = `superblock's copy in group ${group}, block ${block}`, table = (block + 1) * this.blockSize;
    if ((block + 1) * this.blockSize + this.groups * GD_SIZE > this.bytes.length) return this.say(where, "does not fit into the image");
    if (this.view.getUint16(at + SB_MAGIC, true) !== EXT2_MAGIC) return this.say(where, "has no magic 0xef53");
    for (const offset of SAME_IN_COPIES) {
      const copy = this.view.getUint32(at + offset, true);
      if (copy !== this.super32(offset)) this.say(where, `has ${copy} at byte ${offset}, not ${this.super32(offset)}`);
    }
    const number = this.view.getUint16(at + SB_GROUP, true);
    if (this.super32(SB_REVISION) >= 1 && number !== group) this.say(where, `says that it is in group ${number}`);
    for (let g = 0; g < this.groups; g++) {
      const inBlock = Math.floor((table + g * GD_SIZE) / this.blockSize);
      for (const offset of [GD_BLOCK_BITMAP, GD_INODE_BITMAP, GD_INODE_TABLE]) {
        const copy = this.view.getUint32(table + g * GD_SIZE + offset, true);
        if (copy === this.desc(g, offset)) continue;
        this.say(`descriptors' copy in group ${group}, block ${inBlock}`, `has block ${copy} for group ${g}, not ${this.desc(g, offset)}`);
      }
    }
  }
}
