// Which disk block holds block n of a file: direct, then trees of indirect blocks.
//
//   n < 12            i_block[n]
//   n < 12 + P        i_block[12] ─► [P numbers]                  P = block size / 4
//   n < 12 + P + P²   i_block[13] ─► [P] ─► [P]                   and so on for i_block[14]
//
// => the file system's lock is held
import { EFBIG } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { DIRECT, SINGLE } from "./layout.ts";
import type { Ext2Fs } from "./super.ts";

/** An inode's map: 15 numbers, and how many 512-byte units all its blocks take. */
export interface BlockMap { readonly ino: number; readonly block: Uint32Array; sectors: number }

/** Where block n hangs: index in i_block, then the index at each level of indirection. Null: beyond what can be mapped. */
function pathTo(n: number, perBlock: number): number[] | null {
  if (n < DIRECT) return [n];
  let rest = n - DIRECT, span = perBlock;
  for (let level = 1; level <= 3; level++, span *= perBlock) {
    if (rest < span) {
      const path = [SINGLE + level - 1];
      for (let unit = span / perBlock; unit >= 1; unit /= perBlock) {
        path.push(Math.floor(rest / unit));
        rest %= unit;
      }
      return path;
    }
    rest -= span;
  }
  return null;
}

/** Largest file in bytes: what the map reaches, and what i_blocks can count. */
export function largestFile(blockSize: number): number {
  const p = blockSize / 4;
  return Math.min((DIRECT + p + p * p + p * p * p) * blockSize, 2 ** 41);
}

/** Disk block of the file's block n, 0 for a hole. With `allocate`, makes what is missing. => -ENOSPC, -EIO, -EUCLEAN */
export function* bmap(fs: Ext2Fs, map: BlockMap, n: number, allocate: boolean): KGen<number> {
  const path = pathTo(n, fs.geometry.blockSize / 4);
  if (!path) return -EFBIG;
  const { cache } = fs, sectors = fs.geometry.blockSize / 512;
  let block = map.block[path[0]!]!, last = goalFor(fs, map, n);
  if (block === 0) {
    if (!allocate) return 0;
    block = yield* newBlock(fs, last, path.length > 1);
    if (block < 0) return block;
    map.block[path[0]!] = block;
    map.sectors += sectors;
  }
  for (let level = 1; level < path.length; level++) {
    if (!fs.isDataBlock(block)) return fs.corrupt(`inode ${map.ino}: indirect block ${block} lies outside the file system`);
    const b = yield* cache.bread(block);
    if (typeof b === "number") return b;
    const at = path[level]! * 4;
    let next = b.view.getUint32(at, true);
    if (next === 0) {
      if (!allocate) return 0;
      last = at > 0 ? b.view.getUint32(at - 4, true) + 1 : block + 1;
      b.holds++;
      next = yield* newBlock(fs, last, level < path.length - 1);
      b.holds--;
      if (next < 0) return next;
      b.view.setUint32(at, next, true);
      cache.bdirty(b);
      map.sectors += sectors;
    }
    block = next;
  }
  return fs.isDataBlock(block) ? block : fs.corrupt(`inode ${map.ino}: block ${n} of the file is block ${block}, which lies outside the file system`);
}

/** Blocks of a file should lie one behind the other; its first in the group of its inode. */
function goalFor(fs: Ext2Fs, map: BlockMap, n: number): number {
  for (let i = Math.min(n, DIRECT) - 1; i >= 0; i--) if (map.block[i] !== 0) return map.block[i]! + (n - i);
  const { firstBlock, blocksPerGroup, inodesPerGroup } = fs.geometry;
  return firstBlock + Math.floor((map.ino - 1) / inodesPerGroup) * blocksPerGroup + 1;
}

function* newBlock(fs: Ext2Fs, goal: number, isIndirect: boolean): KGen<number> {
  const block = yield* fs.allocBlock(goal);
  if (block >= 0 && isIndirect) yield* fs.cache.clear(block);
  return block;
}

/** Frees all blocks from block `first` of the file on. */
export function* truncateMap(fs: Ext2Fs, map: BlockMap, first: number): KGen<number> {
  const p = fs.geometry.blockSize / 4, sectors = fs.geometry.blockSize / 512;
  for (let i = Math.min(first, DIRECT); i < DIRECT; i++) {
    if (map.block[i] === 0) continue;
    yield* fs.freeBlock(map.block[i]!);
    map.block[i] = 0;
    map.sectors -= sectors;
  }
  let base = DIRECT;
  for (let level = 1, span = p; level <= 3; level++, span *= p) {
    const slot = SINGLE + level - 1, root = map.block[slot]!;
    if (root !== 0 && first < base + span) {
      const freed = yield* truncateTree(fs, map, root, level, Math.max(0, first - base));
      if (freed < 0) return freed;
      if (first <= base) map.block[slot] = 0;
      map.sectors -= freed * sectors;
    }
    base += span;
  }
  return 0;
}

/** Frees what an indirect block maps from `first` on, and with `first` 0 the block itself. => how many blocks */
function* truncateTree(fs: Ext2Fs, map: BlockMap, block: number, level: number, first: number): KGen<number> {
  if (!fs.isDataBlock(block)) return fs.corrupt(`inode ${map.ino}: indirect block ${block} lies outside the file system`);
  const p = fs.geometry.blockSize / 4, unit = p ** (level - 1), b = yield* fs.cache.bread(block);
  if (typeof b === "number") return b;
  let freed = 0;
  b.holds++;
  for (let i = Math.floor(first / unit); i < p; i++) {
    const next = b.view.getUint32(i * 4, true), inside = Math.max(0, first - i * unit);
    if (next === 0) continue;
    if (level > 1) {
      const below = yield* truncateTree(fs, map, next, level - 1, inside);
      if (below < 0) {
        b.holds--;
        return below;
      }
      freed += below;
    } else {
      yield* fs.freeBlock(next);
      freed++;
    }
    if (inside === 0) {
      b.view.setUint32(i * 4, 0, true);
      fs.cache.bdirty(b);
    }
  }
  b.holds--;
  if (first > 0) return freed;
  yield* fs.freeBlock(block);
  return freed + 1;
}
