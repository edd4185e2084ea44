// Checks an ext2 image without mounting it: what is reachable from the root against what the bitmaps, link counts and free
// counts say. Each finding names the structure and the block.
//
//   superblock ─► group descriptors ─► inodes from the root down ─► blocks claimed
//                                      bitmaps, counts  ◄── compared ──┘

export interface Finding { readonly where: string; readonly what: string }

const SUPER = 1024, MAGIC = 0xef53, ROOT_INO = 2, GROUP_DESC = 32, MODE_MASK = 0xf000, DIR = 0x4000, LNK = 0xa000, REG = 0x8000;
const FINDINGS_MAX = 50, DIRECT = 12, INCOMPAT_FILETYPE = 2, ROCOMPAT_KNOWN = 3;

class Ext2Check {
  readonly findings: Finding[] = [];
  private readonly image: Uint8Array;
  private readonly view: DataView;
  private blockSize = 1024;
  private blocks = 0;
  private inodes = 0;
  private firstBlock = 0;
  private perGroup = 0;
  private inodesPerGroup = 0;
  private inodeSize = 128;
  private firstInode = 11;
  private claimed!: Uint8Array;
  private links!: Uint32Array;

  constructor(image: Uint8Array) {
    this.image = image;
    this.view = new DataView(image.buffer, image.byteOffset, image.length);
  }

  private say(where: string, what: string): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push({ where, what });
  }

  run(): Finding[] {
    if (!this.superblock()) return this.findings;
    this.claimed = new Uint8Array(this.blocks);
    this.links = new Uint32Array(this.inodes + 1);
    if (!this.metadata()) return this.findings;
    this.walk();
    this.compareBitmaps();
    this.compareLinks();
    return this.findings;
  }

  private superblock(): boolean {
    const { view } = this;
    if (this.image.length < SUPER + 1024) return this.say("image", `is ${this.image.length} bytes, too short for a superblock`), false;
    if (view.getUint16(SUPER + 56, true) !== MAGIC) return this.say("superblock", `magic is 0x${view.getUint16(SUPER + 56, true).toString(16)}, not 0xef53: no ext2`), false;
    const logSize = view.getUint32(SUPER + 24, true);
    if (logSize > 2) return this.say("superblock", `block size 1024 << ${logSize} is none that ext2 has`), false;
    this.blockSize = 1024 << logSize;
    this.inodes = view.getUint32(SUPER, true);
    this.blocks = view.getUint32(SUPER + 4, true);
    this.firstBlock = view.getUint32(SUPER + 20, true);
    this.perGroup = view.getUint32(SUPER + 32, true);
    this.inodesPerGroup = view.getUint32(SUPER + 40, true);
    if (view.getUint32(SUPER + 76, true) >= 1) {
      this.firstInode = view.getUint32(SUPER + 84, true);
      this.inodeSize = view.getUint16(SUPER + 88, true);
      const incompat = view.getUint32(SUPER + 96, true), ro = view.getUint32(SUPER + 100, true);
      if ((incompat & ~INCOMPAT_FILETYPE) !== 0 || (ro & ~ROCOMPAT_KNOWN) !== 0) return this.say("superblock", `features 0x${incompat.toString(16)}/0x${ro.toString(16)} are newer than ext2`), false;
    }
    if (this.blocks * this.blockSize > this.image.length) return this.say("superblock", `has ${this.blocks} blocks of ${this.blockSize}, but the image ends after ${this.image.length} bytes: truncated`), false;
    const sane = this.perGroup > 0 && this.inodesPerGroup > 0 && this.inodeSize >= 128 && this.firstBlock < this.blocks && this.inodes > 0
      && this.inodes <= this.inodesPerGroup * this.groups() && this.firstInode <= this.inodes;
    return sane || (this.say("superblock", "block and inode counts do not fit together"), false);
  }

  private groups(): number {
    return Math.ceil((this.blocks - this.firstBlock) / this.perGroup);
  }

  private desc(group: number, offset: number): number {
    return this.view.getUint32((this.firstBlock + 1) * this.blockSize + group * GROUP_DESC + offset, true);
  }

  private claim(block: number, by: string): boolean {
    if (block <= 0 || block >= this.blocks) return this.say(by, `names block ${block}, which is outside the file system`), false;
    if (this.claimed[block] !== 0) return this.say(by, `names block ${block}, which something else uses too`), false;
    this.claimed[block] = 1;
    return true;
  }

  /** Superblocks, descriptors, bitmaps and inode tables. */
  private metadata(): boolean {
    const descBlocks = Math.ceil((this.groups() * GROUP_DESC) / this.blockSize), sparse = (this.view.getUint32(SUPER + 100, true) & 1) !== 0;
    if (this.firstBlock === 1) this.claimed[0] = 1;
    for (let g = 0; g < this.groups(); g++) {
      const start = this.firstBlock + g * this.perGroup;
      if (!sparse || hasBackup(g)) for (let b = start; b <= start + descBlocks && b < this.blocks; b++) this.claimed[b] = 1;
    }
    for (let g = 0; g < this.groups(); g++) {
      const where = `group ${g}'s descriptor`, tableBlocks = Math.ceil((this.inodesPerGroup * this.inodeSize) / this.blockSize);
      if (!this.claim(this.desc(g, 0), `${where} (block bitmap)`) || !this.claim(this.desc(g, 4), `${where} (inode bitmap)`)) return false;
      for (let i = 0; i < tableBlocks; i++) if (!this.claim(this.desc(g, 8) + i, `${where} (inode table)`)) return false;
    }
    return true;
  }

  private inodeAt(ino: number): number {
    const g = Math.floor((ino - 1) / this.inodesPerGroup);
    return this.desc(g, 8) * this.blockSize + ((ino - 1) % this.inodesPerGroup) * this.inodeSize;
  }

  private walk(): void {
    const work: { ino: number; parent: number }[] = [{ ino: ROOT_INO, parent: ROOT_INO }], seen = new Set<number>([ROOT_INO]);
    if ((this.view.getUint16(this.inodeAt(ROOT_INO), true) & MODE_MASK) !== DIR) return this.say("inode 2", "the root is no directory");
    // Special inodes below the first ordinary one keep their blocks.
    for (let item = work.pop(); item !== undefined; item = work.pop()) {
      const at = this.inodeAt(item.ino), mode = this.view.getUint16(at, true), data = this.dataBlocks(item.ino, at, mode);
      if ((mode & MODE_MASK) === DIR) this.directory(item.ino, item.parent, data, (ino) => {
        if (seen.has(ino)) return;
        seen.add(ino);
        work.push({ ino, parent: item.ino });
      });
    }
    for (let ino = 1; ino < this.firstInode; ino++) if (!seen.has(ino) && this.view.getUint16(this.inodeAt(ino), true) !== 0) this.dataBlocks(ino, this.inodeAt(ino), REG);
  }

  /** Claims an inode's blocks. => data blocks in order, 0 for holes */
  private dataBlocks(ino: number, at: number, mode: number): number[] {
    const { view } = this, kind = mode & MODE_MASK, out: number[] = [], where = `inode ${ino}`;
    if (kind !== DIR && kind !== REG && kind !== LNK) return out;
    if (kind === LNK && view.getUint32(at + 28, true) === 0) return out;
    const per = this.blockSize / 4;
    const tree = (block: number, depth: number): void => {
      if (block === 0) return void (out.length += depth === 0 ? 1 : 0);
      if (!this.claim(block, where)) return;
      if (depth === 0) return void out.push(block);
      for (let i = 0; i < per; i++) tree(view.getUint32(block * this.blockSize + i * 4, true), depth - 1);
    };
    for (let i = 0; i < DIRECT; i++) {
      const block = view.getUint32(at + 40 + i * 4, true);
      if (block === 0) out.push(0);
      else tree(block, 0);
    }
    for (let i = 0; i < 3; i++) tree(view.getUint32(at + 40 + (DIRECT + i) * 4, true), i + 1);
    return out;
  }

  private directory(ino: number, parent: number, data: readonly number[], found: (ino: number) => void): void {
    const { view, image } = this;
    for (const block of data) {
      if (!block) continue;
      for (let at = block * this.blockSize, end = at + this.blockSize; at < end;) {
        const target = view.getUint32(at, true), length = view.getUint16(at + 4, true), nameLength = image[at + 6]!, where = `directory inode ${ino}, block ${block}`;
        if (length < 8 || length % 4 !== 0 || at + length > end || nameLength + 8 > length) return this.say(where, `the entry at byte ${at % this.blockSize} has length ${length}`);
        const name = new TextDecoder("latin1").decode(image.subarray(at + 8, at + 8 + nameLength));
        at += length;
        if (target === 0) continue;
        if (target > this.inodes) this.say(where, `"${name}" names inode ${target} of ${this.inodes}`);
        else {
          this.links[target]!++;
          if (name === "." && target !== ino) this.say(where, `"." is inode ${target}`);
          else if (name === ".." && target !== parent) this.say(where, `".." is inode ${target}, not ${parent}`);
          else if (name !== "." && name !== "..") found(target);
        }
      }
    }
  }

  private compareBitmaps(): void {
    let freeBlocks = 0, freeInodes = 0;
    for (let g = 0; g < this.groups(); g++) {
      const start = this.firstBlock + g * this.perGroup, count = Math.min(this.perGroup, this.blocks - start), map = this.desc(g, 0) * this.blockSize;
      for (let i = 0; i < count; i++) {
        const used = (this.image[map + (i >> 3)]! & (1 << (i & 7))) !== 0, block = start + i;
        if (!used) freeBlocks++;
        if (used !== (this.claimed[block] === 1)) this.say(`group ${g}'s block bitmap`, `block ${block} is marked ${used ? "used, but nothing uses it" : "free, but it is used"}`);
      }
      this.comparePadding(`group ${g}'s block bitmap`, map, count);
      const inodeMap = this.desc(g, 4) * this.blockSize;
      for (let i = 0; i < this.inodesPerGroup; i++) {
        const used = (this.image[inodeMap + (i >> 3)]! & (1 << (i & 7))) !== 0, ino = g * this.inodesPerGroup + i + 1;
        if (!used) freeInodes++;
        if (ino >= this.firstInode && used !== this.links[ino]! > 0) this.say(`group ${g}'s inode bitmap`, `inode ${ino} is marked ${used ? "used, but no name leads to it" : "free, but a name leads to it"}`);
      }
      this.comparePadding(`group ${g}'s inode bitmap`, inodeMap, this.inodesPerGroup);
    }
    const saidBlocks = this.view.getUint32(SUPER + 12, true), saidInodes = this.view.getUint32(SUPER + 16, true);
    if (saidBlocks !== freeBlocks) this.say("superblock", `says ${saidBlocks} free blocks, the bitmaps have ${freeBlocks}`);
    if (saidInodes !== freeInodes) this.say("superblock", `says ${saidInodes} free inodes, the bitmaps have ${freeInodes}`);
  }

  /** What a bitmap's block has beyond its group is marked used. */
  private comparePadding(where: string, map: number, count: number): void {
    for (let i = count; i < this.blockSize * 8; i++) {
      if ((this.image[map + (i >> 3)]! & (1 << (i & 7))) === 0) return this.say(where, `bit ${i}, beyond the group, is not set (block ${map / this.blockSize})`);
    }
  }

  private compareLinks(): void {
    for (let ino = 1; ino <= this.inodes; ino++) {
      const found = this.links[ino]!;
      if (found === 0 || (ino < this.firstInode && ino !== ROOT_INO)) continue;
      const said = this.view.getUint16(this.inodeAt(ino) + 26, true);
      if (said !== found) this.say(`inode ${ino}`, `has ${said} links, but ${found} names`);
    }
  }
}

/** Sparse superblocks: groups 0, 1 and powers of 3, 5 and 7. */
function hasBackup(group: number): boolean {
  if (group <= 1) return true;
  for (const base of [3, 5, 7]) for (let n = base; n <= group; n *= base) if (n === group) return true;
  return false;
}

/** => what is wrong with the image, worst first, at most 50 findings; empty when it is sound */
export function checkExt2(image: Uint8Array): Finding[] {
  return new Ext2Check(image).run();
}
