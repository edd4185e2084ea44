// Directories of ext2: a list of entries in the blocks of a file. Each block is covered by entries without a gap; a deleted
// entry's room belongs to the one before it.
//
// => in every function the file system's lock is held
import { EEXIST, ENOENT, ENOTEMPTY } from "../../lib/errno.ts";
import type { KGen } from "../../lib/kthread.ts";
import { latin1, toBytes } from "../../uvm/uio.ts";
import type { Buf } from "../buf.ts";
import type { VType } from "../vnode.ts";
import { bmap } from "./blockmap.ts";
import { DIR_TYPES, D_INODE, D_NAME, D_NAME_LEN, D_REC_LEN, D_TYPE, entrySize, FL_INDEX } from "./layout.ts";
import type { Inode } from "./inode.ts";
import type { Ext2Fs } from "./super.ts";

/** An entry found: its block, where in it, and the entry before it in the block (-1 none). */
export interface DirEntry { b: Buf; at: number; before: number; ino: number; cookie: number }

/** Checks an entry's lengths. => rec_len, or -EUCLEAN */
function recordLength(fs: Ext2Fs, dir: Inode, b: Buf, at: number): number {
  const { blockSize, inodes } = fs.geometry, len = b.view.getUint16(at + D_REC_LEN, true), nameLen = b.bytes[at + D_NAME_LEN]!;
  const bad = len < entrySize(1) || len % 4 !== 0 || at + len > blockSize || entrySize(nameLen) > len || b.view.getUint32(at + D_INODE, true) > inodes;
  return bad ? fs.corrupt(`directory inode ${dir.ino}: entry at byte ${at} of block ${b.blkno} is damaged (record length ${len}, name length ${nameLen})`) : len;
}

/** The buffer of directory block n. */
function* dirBlock(fs: Ext2Fs, dir: Inode, n: number): KGen<Buf | number> {
  const block = yield* bmap(fs, dir, n, false);
  if (block < 0) return block;
  if (block === 0) return fs.corrupt(`directory inode ${dir.ino}: block ${n} is missing`);
  return yield* fs.cache.bread(block);
}

/**
 * Visits every entry from byte `from` on until `visit` answers true.
 *
 * => visit may not sleep; 1 stopped, 0 came to the end, -errno
 */
export function* eachEntry(fs: Ext2Fs, dir: Inode, from: number, visit: (e: DirEntry) => boolean): KGen<number> {
  const { blockSize } = fs.geometry;
  for (let n = Math.floor(from / blockSize); n * blockSize < dir.size; n++) {
    const b = yield* dirBlock(fs, dir, n);
    if (typeof b === "number") return b;
    for (let at = 0, before = -1; at < blockSize;) {
      const len = recordLength(fs, dir, b, at);
      if (len < 0) return len;
      const cookie = n * blockSize + at;
      if (cookie >= from && visit({ b, at, before, ino: b.view.getUint32(at + D_INODE, true), cookie: cookie + len })) return 1;
      before = at;
      at += len;
    }
  }
  return 0;
}

function nameMatches(e: DirEntry, name: string): boolean {
  if (e.ino === 0 || e.b.bytes[e.at + D_NAME_LEN] !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (e.b.bytes[e.at + D_NAME + i] !== name.charCodeAt(i)) return false;
  return true;
}

/** The entry's name as characters. */
export function entryName(e: DirEntry): string {
  return latin1(e.b.bytes.subarray(e.at + D_NAME, e.at + D_NAME + e.b.bytes[e.at + D_NAME_LEN]!));
}

export const entryType = (e: DirEntry): number => e.b.bytes[e.at + D_TYPE]!;

/** Finds a name. => the entry, -ENOENT, or another error */
export function* findEntry(fs: Ext2Fs, dir: Inode, name: string): KGen<DirEntry | number> {
  const { blockSize } = fs.geometry;
  for (let n = 0; n * blockSize < dir.size; n++) {
    const b = yield* dirBlock(fs, dir, n), found = typeof b === "number" ? b : findInBlock(fs, dir, b, n * blockSize, name);
    if (found !== -ENOENT) return found;
  }
  return -ENOENT;
}

/** As findEntry, in the block at `base` of the directory. The hot path of name lookup: only the entry found becomes an object. */
function findInBlock(fs: Ext2Fs, dir: Inode, b: Buf, base: number, name: string): DirEntry | number {
  const { bytes, view } = b, first = name.charCodeAt(0);
  for (let at = 0, before = -1, len = 0; at < fs.geometry.blockSize; before = at, at += len) {
    len = recordLength(fs, dir, b, at);
    if (len < 0) return len;
    if (bytes[at + D_NAME] !== first || bytes[at + D_NAME_LEN] !== name.length) continue;
    const e = { b, at, before, ino: view.getUint32(at + D_INODE, true), cookie: base + at + len };
    if (nameMatches(e, name)) return e;
  }
  return -ENOENT;
}

function putEntry(fs: Ext2Fs, b: Buf, at: number, len: number, ino: number, type: VType, name: string): void {
  b.view.setUint32(at + D_INODE, ino, true);
  b.view.setUint16(at + D_REC_LEN, len, true);
  b.bytes[at + D_NAME_LEN] = name.length;
  b.bytes[at + D_TYPE] = fs.geometry.hasFileType ? DIR_TYPES[type]! : 0;
  b.bytes.set(toBytes(name), at + D_NAME);
  fs.cache.bdirty(b);
}

/** Adds a name, in the first gap that is large enough or in a new block. => -EEXIST, -ENOSPC */
export function* addEntry(fs: Ext2Fs, dir: Inode, name: string, ino: number, type: VType): KGen<number> {
  const need = entrySize(name.length), { blockSize } = fs.geometry;
  let gap: DirEntry | null = null, exists = false;
  const r = yield* eachEntry(fs, dir, 0, (e) => {
    if (nameMatches(e, name)) exists = true;
    const len = e.b.view.getUint16(e.at + D_REC_LEN, true), used = e.ino === 0 ? 0 : entrySize(e.b.bytes[e.at + D_NAME_LEN]!);
    if (!gap && len - used >= need) gap = e;
    return exists;
  });
  if (r < 0) return r;
  if (exists) return -EEXIST;
  dir.flags &= ~FL_INDEX;
  if (gap) return insertInto(fs, gap, need, ino, type, name);
  const block = yield* bmap(fs, dir, dir.size / blockSize, true);
  if (block < 0) return block;
  const b = yield* fs.cache.clear(block);
  putEntry(fs, b, 0, blockSize, ino, type, name);
  dir.size += blockSize;
  dir.isDirty = true;
  return 0;
}

/** Puts an entry into the room behind another one, or into an unused one. => nothing slept since it was found */
function insertInto(fs: Ext2Fs, e: DirEntry, need: number, ino: number, type: VType, name: string): number {
  const { b, at } = e, len = b.view.getUint16(at + D_REC_LEN, true), used = e.ino === 0 ? 0 : entrySize(b.bytes[at + D_NAME_LEN]!);
  if (used > 0) b.view.setUint16(at + D_REC_LEN, used, true);
  putEntry(fs, b, at + used, Math.max(len - used, need), ino, type, name);
  return 0;
}

/** Removes an entry that findEntry gave. */
export function removeEntry(fs: Ext2Fs, e: DirEntry): void {
  const { b, at, before } = e;
  if (before < 0) b.view.setUint32(at + D_INODE, 0, true);
  else b.view.setUint16(before + D_REC_LEN, b.view.getUint16(before + D_REC_LEN, true) + b.view.getUint16(at + D_REC_LEN, true), true);
  fs.cache.bdirty(b);
}

/** Makes an entry name another inode. */
export function retargetEntry(fs: Ext2Fs, e: DirEntry, ino: number, type: VType): void {
  e.b.view.setUint32(e.at + D_INODE, ino, true);
  e.b.bytes[e.at + D_TYPE] = fs.geometry.hasFileType ? DIR_TYPES[type]! : 0;
  fs.cache.bdirty(e.b);
}

/** => 0 when only "." and ".." are there, -ENOTEMPTY */
export function* checkEmpty(fs: Ext2Fs, dir: Inode): KGen<number> {
  const r = yield* eachEntry(fs, dir, 0, (e) => e.ino !== 0 && !nameMatches(e, ".") && !nameMatches(e, ".."));
  return r === 1 ? -ENOTEMPTY : r;
}

/** The first block of a new directory. */
export function* makeDotEntries(fs: Ext2Fs, dir: Inode, parent: number): KGen<number> {
  const { blockSize } = fs.geometry, block = yield* bmap(fs, dir, 0, true);
  if (block < 0) return block;
  const b = yield* fs.cache.clear(block), first = entrySize(1);
  putEntry(fs, b, 0, first, dir.ino, 2, ".");
  putEntry(fs, b, first, blockSize - first, parent, 2, "..");
  dir.size = blockSize;
  return 0;
}
