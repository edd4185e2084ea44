// Bitmaps and counts against what inodes claim: the last step, when all owners of blocks are known.
import {
  GD_BLOCK_BITMAP, GD_DIRS, GD_FREE_BLOCKS, GD_FREE_INODES, GD_INODE_BITMAP, I_LINKS, SB_FREE_BLOCKS, SB_FREE_INODES,
} from "../../kernel/vfs/ext2/layout.ts";
import type { Ext2Image } from "./image.ts";
import { type InodeCheck, S_IFDIR } from "./inodes.ts";

export function checkCounts(image: Ext2Image, inodes: InodeCheck): void {
  let freeBlocks = 0, freeInodes = 0;
  for (let g = 0; g < image.groups; g++) {
    const blocks = blockBitmap(image, g), nodes = inodeBitmap(image, g), at = image.descAt(g), first = g * image.inodesPerGroup + 1;
    const dirs = inodes.types.subarray(first, first + image.inodesPerGroup).filter((type) => type === S_IFDIR).length;
    const counts = [[GD_FREE_BLOCKS, blocks, "free blocks"], [GD_FREE_INODES, nodes, "free inodes"], [GD_DIRS, dirs, "directories"]] as const;
    for (const [offset, found, of] of counts) {
      const said = image.view.getUint16(at + offset, true);
      if (said !== found) image.say(`group ${g}'s descriptor`, `says ${said} ${of}, but there are ${found} (block ${Math.floor(at / image.blockSize)})`);
    }
    freeBlocks += blocks;
    freeInodes += nodes;
  }
  const saidBlocks = image.super32(SB_FREE_BLOCKS), saidInodes = image.super32(SB_FREE_INODES), block = Math.floor(1024 / image.blockSize);
  if (saidBlocks !== freeBlocks) image.say("superblock", `says ${saidBlocks} free blocks, the bitmaps have ${freeBlocks} (block ${block})`);
  if (saidInodes !== freeInodes) image.say("superblock", `says ${saidInodes} free inodes, the bitmaps have ${freeInodes} (block ${block})`);
}

/** => free blocks by the bitmap */
function blockBitmap(image: Ext2Image, g: number): number {
  const start = image.groupStart(g), count = Math.min(image.blocksPerGroup, image.blocks - start);
  const map = image.desc(g, GD_BLOCK_BITMAP), where = `group ${g}'s block bitmap`;
  let free = 0;
  for (let i = 0; i < count; i++) {
    const isUsed = image.isSet(map, i), by = image.owner[start + i]!;
    if (!isUsed) free++;
    if (isUsed === (by !== 0)) continue;
    const user = by > 0 ? `inode ${by} uses it` : "it is used";
    image.say(where, `block ${start + i} is marked ${isUsed ? "used, but nothing uses it" : `free, but ${user}`} (bitmap in block ${map})`);
  }
  padding(image, where, map, count);
  return free;
}

/** => free inodes by the bitmap */
function inodeBitmap(image: Ext2Image, g: number): number {
  const map = image.desc(g, GD_INODE_BITMAP), where = `group ${g}'s inode bitmap`;
  let free = 0;
  for (let i = 0; i < image.inodesPerGroup; i++) {
    const ino = g * image.inodesPerGroup + i + 1, isUsed = image.isSet(map, i), isReserved = ino < image.firstInode;
    if (!isUsed) free++;
    const mustBeUsed = isReserved || image.view.getUint16(image.inodeAt(ino) + I_LINKS, true) > 0;
    if (isUsed === mustBeUsed) continue;
    const what = isUsed ? "used, but it is free" : `free, but it is ${isReserved ? "reserved" : "used"}`;
    image.say(where, `inode ${ino} is marked ${what} (bitmap in block ${map})`);
  }
  padding(image, where, map, image.inodesPerGroup);
  return free;
}

/** What a bitmap's block has beyond its group is marked used. */
function padding(image: Ext2Image, where: string, map: number, count: number): void {
  for (let i = count; i < image.blockSize * 8; i++) {
    if (!image.isSet(map, i)) return image.say(where, `bit ${i}, beyond the group, is not set (block ${map})`);
  }
}
