// The entries of all directories, and what they lead to: which inodes have names, how many, and whether the root is above them.
//
//   inode 4 | length 2 | name length 1 | type 1 | name ...      lengths are multiples of 4; together they fill the block
import { D_INODE, D_NAME, D_NAME_LEN, D_REC_LEN, D_TYPE, entrySize, I_LINKS, ROOT_INO } from "../../kernel/vfs/ext2/layout.ts";
import type { Ext2Image } from "./image.ts";
import { type InodeCheck, S_IFDIR, S_IFMT } from "./inodes.ts";

const ENTRY_MIN = entrySize(1);
/** Type bytes of entries by the type in the mode, a 4096th. */
const TYPE_BYTES: readonly number[] = [0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0];

interface Entry { readonly at: number; readonly ino: number; readonly name: string; readonly type: number }

export class NameCheck {
  private readonly image: Ext2Image;
  private readonly inodes: InodeCheck;
  /** Names of each inode, "." and ".." among them. */
  private readonly names: Uint32Array;
  /** The directory that each directory's name is in. */
  private readonly parents = new Map<number, number>();
  /** What ".." says. */
  private readonly dotdots = new Map<number, { ino: number; where: string }>();

  constructor(image: Ext2Image, inodes: InodeCheck) {
    this.image = image;
    this.inodes = inodes;
    this.names = new Uint32Array(image.inodes + 1);
  }

  run(): void {
    if (this.inodes.types[ROOT_INO] !== S_IFDIR) return this.image.sayInode(ROOT_INO, "the root is no directory");
    this.parents.set(ROOT_INO, ROOT_INO);
    for (const [ino, blocks] of this.inodes.directories) this.directory(ino, blocks);
    this.tree();
    this.links();
  }

  private directory(ino: number, blocks: readonly number[]): void {
    const seen = new Set<string>();
    blocks.forEach((block, index) => {
      if (block === 0) return;
      const where = `directory inode ${ino}, block ${block}`, entries = this.entries(block, where);
      if (index === 0) this.dots(ino, block, where, entries);
      for (const entry of index === 0 ? entries.slice(2) : entries) {
        if (entry.ino === 0) continue;
        if (seen.has(entry.name) || entry.name === "." || entry.name === "..") this.image.say(where, `"${entry.name}" at byte ${entry.at} is there twice`);
        seen.add(entry.name);
        this.entry(ino, where, entry);
      }
    });
  }

  /** => the entries up to the first that is broken */
  private entries(block: number, where: string): Entry[] {
    const { view, bytes, blockSize } = this.image, base = block * blockSize, out: Entry[] = [];
    for (let at = 0; at < blockSize;) {
      const from = base + at, ino = view.getUint32(from + D_INODE, true);
      const length = view.getUint16(from + D_REC_LEN, true), nameLength = bytes[from + D_NAME_LEN]!, rest = blockSize - at - length;
      const isWhole = length >= ENTRY_MIN && length % 4 === 0 && (rest === 0 || rest >= ENTRY_MIN) && entrySize(nameLength) <= length;
      if (!isWhole) {
        this.image.say(where, `the entry at byte ${at} has length ${length}, with ${nameLength} bytes of name and ${blockSize - at} left`);
        break;
      }
      const name = Array.from(bytes.subarray(from + D_NAME, from + D_NAME + nameLength), (c) => String.fromCharCode(c)).join("");
      out.push({ at, ino, name, type: bytes[from + D_TYPE]! });
      at += length;
    }
    return out;
  }

  /** The first two entries. */
  private dots(ino: number, block: number, where: string, [dot, dotdot]: readonly Entry[]): void {
    if (dot === undefined || dot.name !== "." || dot.ino === 0) this.image.say(where, `the first entry is not "."`);
    else if (dot.ino !== ino) this.image.say(where, `"." is inode ${dot.ino}`);
    else this.counted(where, dot);
    if (dotdot === undefined || dotdot.name !== ".." || dotdot.ino === 0) this.image.say(where, `the second entry is not ".."`);
    else if (this.counted(where, dotdot)) this.dotdots.set(ino, { ino: dotdot.ino, where: `directory inode ${ino}, block ${block}` });
  }

  /** Counts a name of a used inode. => whether it is one */
  private counted(where: string, { ino, name, type, at }: Entry): boolean {
    const { image } = this, isReserved = ino < image.firstInode && ino !== ROOT_INO;
    if (ino > image.inodes || isReserved) {
      image.say(where, `"${name}" at byte ${at} names inode ${ino}${isReserved ? ", which is reserved" : ` of ${image.inodes}`}`);
      return false;
    }
    this.names[ino]!++;
    const links = image.view.getUint16(image.inodeAt(ino) + I_LINKS, true);
    if (links === 0) return image.say(where, `"${name}" at byte ${at} names inode ${ino}, which is free`), false;
    const wanted = TYPE_BYTES[(this.inodes.types[ino]! & S_IFMT) >> 12]!;
    if (image.hasTypes && type !== wanted) image.say(where, `"${name}" at byte ${at} has type ${type}, but inode ${ino} is of type ${wanted}`);
    return true;
  }

  private entry(dir: number, where: string, entry: Entry): void {
    const { name, ino, at } = entry;
    if (name === "") this.image.say(where, `the entry at byte ${at} names inode ${ino}, but has no name`);
    else if (/[/\0]/.test(name)) this.image.say(where, `the name at byte ${at} has a slash or zero in it: ${JSON.stringify(name)}`);
    if (!this.counted(where, entry) || this.inodes.types[ino] !== S_IFDIR) return;
    const other = this.parents.get(ino);
    if (other !== undefined) this.image.say(where, `"${name}" at byte ${at} is a second name of directory inode ${ino}, which is in directory inode ${other}`);
    else this.parents.set(ino, dir);
  }

  /** ".." leads to the directory with the name, and from each in the end to the root. */
  private tree(): void {
    const below = new Set<number>([ROOT_INO]);
    for (const ino of this.inodes.directories.keys()) {
      const way = new Set<number>();
      for (let up: number | undefined = ino; up !== undefined && !below.has(up) && !way.has(up); up = this.parents.get(up)) way.add(up);
      const top = [...way].at(-1), above = top === undefined ? ROOT_INO : this.parents.get(top);
      if (above !== undefined && below.has(above)) for (const each of way) below.add(each);
      else if (this.parents.has(ino)) this.image.sayInode(ino, "is a directory that no way leads to from the root");
    }
    for (const [ino, { ino: said, where }] of this.dotdots) {
      const parent = this.parents.get(ino);
      if (parent !== undefined && said !== parent) this.image.say(where, `".." is inode ${said}, not ${parent}`);
    }
  }

  private links(): void {
    const { image } = this;
    for (let ino = 1; ino <= image.inodes; ino++) {
      if (ino < image.firstInode && ino !== ROOT_INO) continue;
      const said = image.view.getUint16(image.inodeAt(ino) + I_LINKS, true), found = this.names[ino]!;
      if (said === 0) continue;
      const isDirectory = this.inodes.types[ino] === S_IFDIR;
      if (isDirectory ? !this.parents.has(ino) : found === 0) image.sayInode(ino, "is in use, but no name leads to it");
      if (said !== found) image.sayInode(ino, `has ${said} links, but ${found} names`);
    }
  }
}
