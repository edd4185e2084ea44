// Every inode of the tables, whether or not a name leads to it: its type, size and times, and the blocks it claims.
//
//   i_block  [0..11] data   [12] ─► block of pointers   [13] ─► of pointers to those   [14] ─► one level more
//   or, in a symbolic link of up to 59 bytes, the target;  or, in a device, its numbers
import {
  DIRECT, FAST_LINK, I_BLOCK, I_BLOCKS, I_DTIME, I_FILE_ACL, I_LINKS, I_MODE, I_SIZE, I_SIZE_HIGH, ROOT_INO,
} from "../../kernel/vfs/ext2/layout.ts";
import type { Ext2Image } from "./image.ts";

export const S_IFMT = 0xf000, S_IFDIR = 0x4000, S_IFREG = 0x8000, S_IFLNK = 0xa000;
const SPECIAL: readonly number[] = [0x1000, 0x2000, 0x6000, 0xc000];
const SECTOR = 512, XATTR_MAGIC = 0xea020000, INO_RESIZE = 7, I_FADDR = 112;

/** What one inode's pointers lead to. */
class Blocks {
  /** With those of pointers and attributes. */
  count = 0;
  /** Logical number of the last data block, -1 without any. */
  last = -1;
  /** Data blocks by logical number, of directories and links. */
  readonly data = new Map<number, number>();
}

export class InodeCheck {
  /** Type by inode number, as in the mode; 0 for those that are free. */
  readonly types: Uint16Array;
  /** Blocks of directories by inode number, in order; 0 for a hole. */
  readonly directories = new Map<number, number[]>();
  private readonly image: Ext2Image;
  /** Attribute blocks: how many inodes name each. */
  private readonly attributes = new Map<number, number>();

  constructor(image: Ext2Image) {
    this.image = image;
    this.types = new Uint16Array(image.inodes + 1);
  }

  run(): void {
    const { image } = this;
    for (let ino = 1; ino <= image.inodes; ino++) this.inode(ino, image.inodeAt(ino));
    for (const [block, users] of this.attributes) {
      const at = block * image.blockSize, said = image.view.getUint32(at + 4, true);
      if (image.view.getUint32(at, true) !== XATTR_MAGIC) image.say(`inode ${image.owner[block]}`, `names block ${block} for extended attributes, but there are none`);
      else if (said !== users) image.say(`extended attributes in block ${block}`, `say that ${said} inodes use them, but ${users} do`);
    }
  }

  private inode(ino: number, at: number): void {
    const { view } = this.image, mode = view.getUint16(at + I_MODE, true), type = mode & S_IFMT, links = view.getUint16(at + I_LINKS, true);
    const isReserved = ino < this.image.firstInode && ino !== ROOT_INO;
    if (isReserved) {
      // Those that are in use, such as a journal, are files without a name.
      if (type === S_IFREG) this.claimBlocks(ino, at, false);
      else if (mode !== 0) this.image.sayInode(ino, `is reserved, but has mode 0${mode.toString(8)}`);
      return;
    }
    if (links === 0) {
      if (mode !== 0 && view.getUint32(at + I_DTIME, true) === 0) this.image.sayInode(ino, "has no links, but no time of deletion");
      return;
    }
    this.types[ino] = type;
    if (view.getUint32(at + I_DTIME, true) !== 0) this.image.sayInode(ino, "is in use, but has a time of deletion");
    if (view.getUint32(at + I_FADDR, true) !== 0) this.image.sayInode(ino, "has the address of a fragment, which there are none of");
    if (type === S_IFREG) this.regular(ino, at);
    else if (type === S_IFDIR) this.directory(ino, at);
    else if (type === S_IFLNK) this.link(ino, at);
    else if (SPECIAL.includes(type)) this.special(ino, at);
    else this.image.sayInode(ino, `has mode 0${mode.toString(8)}, which is of no type`);
  }

  private low(at: number): number {
    return this.image.view.getUint32(at + I_SIZE, true);
  }

  private high(at: number): number {
    return this.image.view.getUint32(at + I_SIZE_HIGH, true);
  }

  private regular(ino: number, at: number): void {
    const found = this.claimBlocks(ino, at, false), size = this.low(at) + this.high(at) * 2 ** 32, { blockSize } = this.image;
    if (found.last >= Math.ceil(size / blockSize)) this.image.sayInode(ino, `has ${size} bytes, but data block ${found.last} of ${blockSize} bytes`);
    else if (Math.ceil(size / blockSize) > this.blocksMax()) this.image.sayInode(ino, `has ${size} bytes, more than its pointers reach`);
    this.sectors(ino, at, found);
  }

  private blocksMax(): number {
    const per = this.image.blockSize / 4;
    return DIRECT + per + per ** 2 + per ** 3;
  }

  private directory(ino: number, at: number): void {
    const found = this.claimBlocks(ino, at, true), { blockSize } = this.image, size = this.low(at), blocks: number[] = [];
    for (let i = 0; i <= found.last && i <= found.data.size * 2; i++) {
      blocks.push(found.data.get(i) ?? 0);
      if (blocks[i] === 0) this.image.say(`directory inode ${ino}`, `data block ${i} is missing (inode table, block ${Math.floor(at / blockSize)})`);
    }
    this.directories.set(ino, blocks);
    if (size !== (found.last + 1) * blockSize || size === 0) this.image.sayInode(ino, `is a directory of ${size} bytes, but has ${found.last + 1} blocks of ${blockSize}`);
    if (this.high(at) !== 0) this.image.sayInode(ino, "is a directory with an access list or a size of 4 GiB and more");
    this.sectors(ino, at, found);
  }

  private link(ino: number, at: number): void {
    const { image } = this, size = this.low(at), sectors = image.view.getUint32(at + I_BLOCKS, true);
    const isFast = sectors === 0 || (sectors === image.blockSize / SECTOR && image.view.getUint32(at + I_FILE_ACL, true) !== 0);
    const found = isFast ? new Blocks() : this.claimBlocks(ino, at, true);
    let start = at + I_BLOCK, room = FAST_LINK;
    if (isFast) this.attribute(ino, at, found);
    else {
      start = (found.data.get(0) ?? 0) * image.blockSize;
      room = image.blockSize;
      if (start === 0 || found.last !== 0) return image.sayInode(ino, `is a symbolic link of ${size} bytes with ${found.last + 1} data blocks`);
    }
    const end = image.bytes.subarray(start, start + room).indexOf(0), length = end < 0 ? room : end;
    if (size === 0 || size >= room || size !== length) {
      image.sayInode(ino, `is a symbolic link of ${size} bytes, but its target has ${length}${isFast ? "" : ` in block ${start / image.blockSize}`}`);
    }
    this.sectors(ino, at, found);
  }

  private special(ino: number, at: number): void {
    const found = new Blocks();
    if (this.low(at) !== 0) this.image.sayInode(ino, `is a device, pipe or socket, but has ${this.low(at)} bytes`);
    for (let i = 2; i < DIRECT + 3; i++) {
      const value = this.image.view.getUint32(at + I_BLOCK + 4 * i, true);
      if (value !== 0) this.image.sayInode(ino, `is a device, pipe or socket, but names block ${value}`);
    }
    this.attribute(ino, at, found);
    this.sectors(ino, at, found);
  }

  private sectors(ino: number, at: number, found: Blocks): void {
    const said = this.image.view.getUint32(at + I_BLOCKS, true), counted = (found.count * this.image.blockSize) / SECTOR;
    if (said !== counted) this.image.sayInode(ino, `says that it uses ${said} sectors, but uses ${counted}`);
  }

  /** The attribute block, which several inodes may share. */
  private attribute(ino: number, at: number, found: Blocks): void {
    const { image } = this, block = image.view.getUint32(at + I_FILE_ACL, true), users = this.attributes.get(block);
    if (block === 0) return;
    if (!image.hasXattrs) return image.sayInode(ino, `names block ${block} for extended attributes, which this file system has none of`);
    found.count++;
    if (users !== undefined) this.attributes.set(block, users + 1);
    else if (image.claim(block, ino, (what) => image.sayInode(ino, `${what} (as extended attributes)`))) this.attributes.set(block, 1);
  }

  /** Claims what the pointers lead to. A block that is someone's already is not followed, so that circles end. */
  private claimBlocks(ino: number, at: number, keep: boolean): Blocks {
    const { image } = this, { view, blockSize } = image, per = blockSize / 4, found = new Blocks();
    const follow = (block: number, depth: number, logical: number): void => {
      if (block === 0) return;
      if (!image.claim(block, ino, (what) => image.sayInode(ino, what))) return;
      found.count++;
      if (depth > 0) {
        for (let i = 0; i < per; i++) follow(view.getUint32(block * blockSize + i * 4, true), depth - 1, logical + i * per ** (depth - 1));
        return;
      }
      found.last = logical;
      if (keep) found.data.set(logical, block);
    };
    for (let i = 0; i < DIRECT; i++) follow(view.getUint32(at + I_BLOCK + i * 4, true), 0, i);
    for (let depth = 1, logical = DIRECT; depth <= 3; logical += per ** depth, depth++) {
      follow(view.getUint32(at + I_BLOCK + (DIRECT + depth - 1) * 4, true), depth, logical);
    }
    if (ino !== INO_RESIZE) this.attribute(ino, at, found);
    return found;
  }
}
