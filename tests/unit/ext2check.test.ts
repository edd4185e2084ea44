// Systematic damage to a small image: check says what it is, with structure, inode and block, and e2fsck, where it is
// installed, says that there is some. On sound images both say nothing.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { VBLK, VCHR, VDIR, VFIFO, VREG, VSOCK } from "../../kernel/vfs/vnode.ts";
import { DiskFs } from "../../tools/diskfs.ts";
import { checkExt2 } from "../../tools/ext2check.ts";
import { makeExt2 } from "../../tools/mkext2.ts";
import { loanword, Scratch } from "../helpers/cli.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ext2check"), scratch = new Scratch(), timeSec = 1_700_000_000, BLOCK = 4096, INODE = 256, SUPER = 1024, DESC = BLOCK;
const SB_FREE_BLOCKS = SUPER + 12, SB_FREE_INODES = SUPER + 16, SB_COMPAT = SUPER + 92, SB_ORPHANS = SUPER + 232;
const hasE2fsck = spawnSync("e2fsck", ["-V"], { stdio: "ignore" }).error === undefined;

/** Makes an image and fills it. */
function made(sizeBytes: number, inodes: number, fill: (fs: DiskFs) => void): Buffer {
  const fs = new DiskFs(makeExt2({ sizeBytes, inodes, uuid: new Uint8Array(16).fill(5), timeSec }), { timeSec });
  fill(fs);
  return Buffer.from(fs.close());
}

/** => whether e2fsck finds the image sound, undefined when it is not installed. What it would mend without asking leaves its status 0. */
function e2fsckSound(bytes: Uint8Array): boolean | undefined {
  if (!hasE2fsck) return undefined;
  const r = spawnSync("e2fsck", ["-fn", scratch.file("e2fsck.img", bytes)], { encoding: "latin1" });
  return r.status === 0 && !/\? no$/m.test(r.stdout);
}

const ino: Record<string, number> = {};
const good = made(1 << 20, 64, (fs) => {
  fs.writeFile("/file", new Uint8Array(10_000).fill(1));
  fs.writeFile("/other", new Uint8Array(5000).fill(2));
  fs.writeFile("/big", new Uint8Array(100_000).fill(3));
  fs.mkdir("/dir");
  fs.mkdir("/dir/sub");
  fs.mkdir("/dir2");
  for (const name of ["a", "b", "c"]) fs.writeFile(`/dir/${name}`, new Uint8Array(1));
  fs.symlink("/fast", "file");
  fs.symlink("/slow", `/${"x".repeat(99)}`);
  fs.create("/null", { type: VCHR, mode: 0o666, uid: 0, gid: 0, rdev: 0x103 });
  for (const path of ["file", "other", "big", "dir", "dir/sub", "dir2", "dir/a", "dir/b", "fast", "slow", "null"]) ino[path] = fs.stat(`/${path}`, false).ino;
});

const desc = (offset: number): number => good.readUInt32LE(DESC + offset);
const BLOCK_MAP = desc(0), INODE_MAP = desc(4), TABLE = desc(8), FREE_INO = 60, FREE_BLOCK = 250;
const at = (path: string | number): number => TABLE * BLOCK + ((typeof path === "number" ? path : ino[path]!) - 1) * INODE;
/** A data block of a file; 12 is that of pointers. */
const block = (path: string | number, i = 0): number => good.readUInt32LE(at(path) + 40 + 4 * i);
const tableBlock = (path: string | number): number => Math.floor(at(path) / BLOCK);
const flip = (b: Buffer, map: number, bit: number): void => void (b[map * BLOCK + (bit >> 3)]! ^= 1 << (bit & 7));

/** Where an entry of a directory's first block is. */
function entry(dir: string | number, name: string): number {
  const start = block(dir) * BLOCK;
  for (let o = start; o < start + BLOCK; o += good.readUInt16LE(o + 4)) if (good.toString("latin1", o + 8, o + 8 + good[o + 6]!) === name) return o;
  throw new Error(`${name} is not there`);
}
const offset = (dir: string | number, name: string): number => entry(dir, name) - block(dir) * BLOCK;
const u8 = (where: number, value: number) => (b: Buffer): void => void b.writeUInt8(value, where);
const u16 = (where: number, value: number) => (b: Buffer): void => void b.writeUInt16LE(value, where);
const u32 = (where: number, value: number) => (b: Buffer): void => void b.writeUInt32LE(value, where);
const inode = (path: string, what: string): string => `inode ${ino[path]}: ${what} (inode table, block ${tableBlock(path)})`;
const inDir = (dir: string | number, what: string): string => `directory inode ${typeof dir === "number" ? dir : ino[dir]}, block ${block(dir)}: ${what}`;

interface Damage {
  name: string;
  mutate: (b: Buffer) => void;
  /** One of the findings, whole. */
  says: string;
  /** e2fsck mends it without a word, and only when it may write. */
  isSilent?: boolean;
}

const COUNTS: readonly Damage[] = [
  {
    name: "used block free in the bitmap", mutate: (b) => flip(b, BLOCK_MAP, block("file")),
    says: `group 0's block bitmap: block ${block("file")} is marked free, but inode ${ino["file"]} uses it (bitmap in block ${BLOCK_MAP})`,
  },
  {
    name: "free block used in the bitmap", mutate: (b) => flip(b, BLOCK_MAP, FREE_BLOCK),
    says: `group 0's block bitmap: block ${FREE_BLOCK} is marked used, but nothing uses it (bitmap in block ${BLOCK_MAP})`,
  },
  {
    name: "metadata free in the bitmap", mutate: (b) => flip(b, BLOCK_MAP, TABLE),
    says: `group 0's block bitmap: block ${TABLE} is marked free, but it is used (bitmap in block ${BLOCK_MAP})`,
  },
  {
    name: "used inode free in the bitmap", mutate: (b) => flip(b, INODE_MAP, ino["file"]! - 1),
    says: `group 0's inode bitmap: inode ${ino["file"]} is marked free, but it is used (bitmap in block ${INODE_MAP})`,
  },
  {
    name: "free inode used in the bitmap", mutate: (b) => flip(b, INODE_MAP, FREE_INO - 1),
    says: `group 0's inode bitmap: inode ${FREE_INO} is marked used, but it is free (bitmap in block ${INODE_MAP})`,
  },
  {
    name: "reserved inode free in the bitmap", mutate: (b) => flip(b, INODE_MAP, 5),
    says: `group 0's inode bitmap: inode 6 is marked free, but it is reserved (bitmap in block ${INODE_MAP})`,
  },
  { name: "inode bitmap's padding", mutate: u8(INODE_MAP * BLOCK + 100, 0), says: `group 0's inode bitmap: bit 800, beyond the group, is not set (block ${INODE_MAP})` },
  {
    name: "superblock's free blocks", mutate: u32(SB_FREE_BLOCKS, 7),
    says: `superblock: says 7 free blocks, the bitmaps have ${good.readUInt32LE(SB_FREE_BLOCKS)} (block 0)`,
  },
  {
    name: "superblock's free inodes", mutate: u32(SB_FREE_INODES, 7),
    says: `superblock: says 7 free inodes, the bitmaps have ${good.readUInt32LE(SB_FREE_INODES)} (block 0)`,
  },
  { name: "group's free blocks", mutate: u16(DESC + 12, 7), says: `group 0's descriptor: says 7 free blocks, but there are ${good.readUInt16LE(DESC + 12)} (block 1)` },
  { name: "group's free inodes", mutate: u16(DESC + 14, 7), says: `group 0's descriptor: says 7 free inodes, but there are ${good.readUInt16LE(DESC + 14)} (block 1)` },
  { name: "group's directories", mutate: u16(DESC + 16, 9), says: "group 0's descriptor: says 9 directories, but there are 5 (block 1)" },
  { name: "inodes of the superblock", mutate: u32(SUPER, 128), says: "superblock: block and inode counts do not fit together" },
  {
    name: "list of orphans", mutate: u32(SB_ORPHANS, FREE_INO), isSilent: true,
    says: `superblock: inode ${FREE_INO} is on the list of orphans: deleted while it was open`,
  },
  { name: "bitmaps in one block", mutate: u32(DESC + 4, BLOCK_MAP), says: `group 0's descriptor (inode bitmap): names block ${BLOCK_MAP}, which belongs to a block bitmap too` },
];

const INODES: readonly Damage[] = [
  { name: "file's links", mutate: u16(at("file") + 26, 3), says: inode("file", "has 3 links, but 1 names") },
  { name: "directory's links", mutate: u16(at("dir") + 26, 2), says: inode("dir", "has 2 links, but 3 names") },
  { name: "i_blocks", mutate: u32(at("file") + 28, 8), says: inode("file", "says that it uses 8 sectors, but uses 24") },
  { name: "i_blocks with pointers", mutate: u32(at("big") + 28, 200), says: inode("big", "says that it uses 200 sectors, but uses 208") },
  { name: "i_blocks of a device", mutate: u32(at("null") + 28, 8), says: inode("null", "says that it uses 8 sectors, but uses 0") },
  { name: "file's size", mutate: u32(at("file") + 4, 100), says: inode("file", "has 100 bytes, but data block 2 of 4096 bytes") },
  { name: "directory's size", mutate: u32(at("dir") + 4, 8192), says: inode("dir", "is a directory of 8192 bytes, but has 1 blocks of 4096") },
  { name: "directory's size, unaligned", mutate: u32(at("dir") + 4, 100), says: inode("dir", "is a directory of 100 bytes, but has 1 blocks of 4096") },
  { name: "fast link's size", mutate: u32(at("fast") + 4, 9), says: inode("fast", "is a symbolic link of 9 bytes, but its target has 4") },
  { name: "slow link's size", mutate: u32(at("slow") + 4, 50), says: inode("slow", `is a symbolic link of 50 bytes, but its target has 100 in block ${block("slow")}`) },
  {
    name: "empty link", mutate: (b) => (u32(at("fast") + 4, 0)(b), b.fill(0, at("fast") + 40, at("fast") + 44)),
    says: inode("fast", "is a symbolic link of 0 bytes, but its target has 0"),
  },
  { name: "device's size", mutate: u32(at("null") + 4, 5), says: inode("null", "is a device, pipe or socket, but has 5 bytes") },
  { name: "pointer out of range", mutate: u32(at("file") + 44, 256), says: inode("file", "names block 256, which is outside the file system") },
  {
    name: "pointer in a block of pointers", mutate: (b) => b.writeUInt32LE(0x7fffffff, block("big", 12) * BLOCK + 8),
    says: inode("big", "names block 2147483647, which is outside the file system"),
  },
  { name: "block of pointers out of range", mutate: u32(at("big") + 40 + 48, 5000), says: inode("big", "names block 5000, which is outside the file system") },
  { name: "directory's pointer out of range", mutate: u32(at("dir2") + 40, 99_999), says: inode("dir2", "names block 99999, which is outside the file system") },
  { name: "two files with one block", mutate: u32(at("other") + 40, block("file")), says: inode("other", `names block ${block("file")}, which belongs to inode ${ino["file"]} too`) },
  { name: "one file with a block twice", mutate: u32(at("file") + 44, block("file")), says: inode("file", `names block ${block("file")}, which belongs to inode ${ino["file"]} too`) },
  {
    name: "block of pointers that names itself", mutate: (b) => b.writeUInt32LE(block("big", 12), block("big", 12) * BLOCK),
    says: inode("big", `names block ${block("big", 12)}, which belongs to inode ${ino["big"]} too`),
  },
  { name: "file over a bitmap", mutate: u32(at("file") + 40, BLOCK_MAP), says: inode("file", `names block ${BLOCK_MAP}, which belongs to a block bitmap too`) },
  { name: "file over the inode table", mutate: u32(at("file") + 40, TABLE + 1), says: inode("file", `names block ${TABLE + 1}, which belongs to an inode table too`) },
  { name: "file over the descriptors", mutate: u32(at("file") + 40, 1), says: inode("file", "names block 1, which belongs to the superblock and descriptors too") },
  { name: "mode of no type", mutate: u16(at("file"), 0o644), says: inode("file", "has mode 0644, which is of no type") },
  { name: "mode of an unknown type", mutate: u16(at("file"), 0o170644), says: inode("file", "has mode 0170644, which is of no type") },
  { name: "time of deletion on a used inode", mutate: u32(at("file") + 20, timeSec), says: inode("file", "is in use, but has a time of deletion") },
  {
    name: "mode on a free inode", mutate: u16(at(FREE_INO), 0o100644),
    says: `inode ${FREE_INO}: has no links, but no time of deletion (inode table, block ${tableBlock(FREE_INO)})`,
  },
  { name: "fragment", mutate: u32(at("file") + 112, 5), says: inode("file", "has the address of a fragment, which there are none of") },
  { name: "reserved inode with a mode", mutate: u16(at(5), 0o040755), says: `inode 5: is reserved, but has mode 040755 (inode table, block ${tableBlock(5)})` },
  {
    name: "attributes where there are none", mutate: u32(at("file") + 104, FREE_BLOCK),
    says: inode("file", `names block ${FREE_BLOCK} for extended attributes, which this file system has none of`),
  },
  {
    name: "attributes in another's block", mutate: (b) => (u32(at("file") + 104, block("other"))(b), u32(SB_COMPAT, 8)(b)),
    says: inode("other", `names block ${block("other")}, which belongs to inode ${ino["file"]} too`),
  },
  {
    name: "attributes that are none", mutate: (b) => (u32(at("file") + 104, FREE_BLOCK)(b), u32(SB_COMPAT, 8)(b)),
    says: `inode ${ino["file"]}: names block ${FREE_BLOCK} for extended attributes, but there are none`,
  },
  {
    name: "inode without a name", mutate: (b) => (u16(at(FREE_INO), 0o100644)(b), u16(at(FREE_INO) + 26, 1)(b)),
    says: `inode ${FREE_INO}: is in use, but no name leads to it (inode table, block ${tableBlock(FREE_INO)})`,
  },
  { name: "root that is a file", mutate: u16(at(2), 0o100755), says: `inode 2: the root is no directory (inode table, block ${tableBlock(2)})` },
  { name: "lost directory", mutate: u32(entry("dir", "sub"), 0), says: inode("dir/sub", "is in use, but no name leads to it") },
];

const length = (dir: string, name: string): number => good.readUInt16LE(entry(dir, name) + 4);
const broken = (name: string, value: number): string => inDir("dir", `the entry at byte ${offset("dir", name)} has length ${value}, with 1 bytes of name and ${BLOCK - offset("dir", name)} left`);
const rename = (from: string, to: string) => (b: Buffer): void => void b.write(to, entry("dir", from) + 8, "latin1");

const NAMES: readonly Damage[] = [
  { name: "no .", mutate: (b) => void b.write("x", entry("dir", ".") + 8), says: inDir("dir", `the first entry is not "."`) },
  { name: "unused .", mutate: u32(entry("dir", "."), 0), says: inDir("dir", `the first entry is not "."`) },
  { name: ". of another", mutate: u32(entry("dir", "."), 2), says: inDir("dir", `"." is inode 2`) },
  { name: "no ..", mutate: (b) => void b.write("xy", entry("dir", "..") + 8), says: inDir("dir", `the second entry is not ".."`) },
  { name: ".. of another", mutate: u32(entry("dir", ".."), ino["dir2"]!), says: inDir("dir", `".." is inode ${ino["dir2"]}, not 2`) },
  { name: ".. of a file", mutate: u32(entry("dir", ".."), ino["file"]!), says: inDir("dir", `".." is inode ${ino["file"]}, not 2`) },
  {
    name: "empty directory block", mutate: (b) => void b.fill(0, block("dir2") * BLOCK, block("dir2") * BLOCK + BLOCK),
    says: inDir("dir2", `the entry at byte 0 has length 0, with 0 bytes of name and ${BLOCK} left`),
  },
  { name: "length 0", mutate: u16(entry("dir", "a") + 4, 0), says: broken("a", 0) },
  { name: "length unaligned", mutate: u16(entry("dir", "a") + 4, 13), says: broken("a", 13) },
  { name: "length too short for an entry", mutate: u16(entry("dir", "a") + 4, 8), says: broken("a", 8) },
  { name: "length beyond the block", mutate: u16(entry("dir", "c") + 4, length("dir", "c") + 4), says: broken("c", length("dir", "c") + 4) },
  { name: "length that leaves room for none", mutate: u16(entry("dir", "c") + 4, length("dir", "c") - 8), says: broken("c", length("dir", "c") - 8) },
  {
    name: "length that does not reach the block's end", mutate: u16(entry("dir", "c") + 4, length("dir", "c") - 16),
    says: inDir("dir", `the entry at byte ${BLOCK - 16} has length 0, with 0 bytes of name and 16 left`),
  },
  {
    name: "name longer than the entry", mutate: u8(entry("dir", "a") + 6, 9),
    says: inDir("dir", `the entry at byte ${offset("dir", "a")} has length 12, with 9 bytes of name and ${BLOCK - offset("dir", "a")} left`),
  },
  { name: "empty name", mutate: u8(entry("dir", "a") + 6, 0), says: inDir("dir", `the entry at byte ${offset("dir", "a")} names inode ${ino["dir/a"]}, but has no name`) },
  { name: "slash in a name", mutate: rename("a", "/"), says: inDir("dir", `the name at byte ${offset("dir", "a")} has a slash or zero in it: "/"`) },
  { name: "zero in a name", mutate: rename("a", "\0"), says: inDir("dir", `the name at byte ${offset("dir", "a")} has a slash or zero in it: "\\u0000"`) },
  { name: "a name twice", mutate: rename("b", "a"), says: inDir("dir", `"a" at byte ${offset("dir", "b")} is there twice`) },
  { name: ". twice", mutate: rename("b", "."), says: inDir("dir", `"." at byte ${offset("dir", "b")} is there twice`) },
  { name: "type byte", mutate: u8(entry("dir", "a") + 7, 2), says: inDir("dir", `"a" at byte ${offset("dir", "a")} has type 2, but inode ${ino["dir/a"]} is of type 1`) },
  { name: "no type byte", mutate: u8(entry(2, "dir") + 7, 0), isSilent: true, says: inDir(2, `"dir" at byte ${offset(2, "dir")} has type 0, but inode ${ino["dir"]} is of type 2`) },
  { name: "entry to a free inode", mutate: u32(entry("dir", "a"), FREE_INO), says: inDir("dir", `"a" at byte ${offset("dir", "a")} names inode ${FREE_INO}, which is free`) },
  { name: "entry beyond the inodes", mutate: u32(entry("dir", "a"), 65), says: inDir("dir", `"a" at byte ${offset("dir", "a")} names inode 65 of 64`) },
  { name: "entry to a reserved inode", mutate: u32(entry("dir", "a"), 7), says: inDir("dir", `"a" at byte ${offset("dir", "a")} names inode 7, which is reserved`) },
  {
    name: "directory with two names", mutate: (b) => (u32(entry("dir", "a"), ino["dir2"]!)(b), u8(entry("dir", "a") + 7, 2)(b)),
    says: `is a second name of directory inode ${ino["dir2"]}`,
  },
  {
    name: "entry to the root", mutate: (b) => (u32(entry("dir", "a"), 2)(b), u8(entry("dir", "a") + 7, 2)(b)),
    says: inDir("dir", `"a" at byte ${offset("dir", "a")} is a second name of directory inode 2, which is in directory inode 2`),
  },
  {
    name: "directory in itself", mutate: (b) => (u32(entry("dir", "a"), ino["dir"]!)(b), u8(entry("dir", "a") + 7, 2)(b), u32(entry(2, "dir"), 0)(b)),
    says: inode("dir", "is a directory that no way leads to from the root"),
  },
  {
    name: "hole in a directory", mutate: (b) => (u32(at("dir2") + 44, block("dir2"))(b), u32(at("dir2") + 40, 0)(b), u32(at("dir2") + 4, 2 * BLOCK)(b)),
    says: `directory inode ${ino["dir2"]}: data block 0 is missing (inode table, block ${tableBlock("dir2")})`,
  },
];

for (const [of, table] of [["counts and bitmaps", COUNTS], ["inodes", INODES], ["directories", NAMES]] as const) {
  test(`damage to ${of} is named, and e2fsck sees it too`, () => {
    const wrong: string[] = [];
    for (const { name, mutate, says, isSilent } of table) {
      const bytes = Buffer.from(good);
      mutate(bytes);
      const found = checkExt2(bytes).map(({ where, what }) => `${where}: ${what}`), sound = e2fsckSound(bytes);
      if (!found.some((line) => line.includes(says))) wrong.push(`${name}: not "${says}" but ${JSON.stringify(found.slice(0, 6))}`);
      if (sound !== undefined && sound !== (isSilent === true)) wrong.push(`${name}: e2fsck says ${sound ? "nothing" : "something"}`);
    }
    assert.is(wrong.join("\n"), "");
  });
}

test.skipBecause(hasE2fsck ? "" : "e2fsck is not installed", "e2fsck takes part in the comparisons above", () => {
  assert.is(e2fsckSound(good), true);
});

test("the command fails on damage and not without; names keep their bytes; counts are in words", () => {
  const one = Buffer.from(good), name = Buffer.from(good), all = Buffer.from(good);
  u16(at("file") + 26, 3)(one);
  for (const each of ["a", "b"]) rename(each, "\xe9")(name);
  all.fill(0, BLOCK_MAP * BLOCK, BLOCK_MAP * BLOCK + 32);
  const check = (bytes: Buffer) => loanword(["disk", "check", scratch.file("check.img", bytes)]), last = (text: string) => text.split("\n").at(-2)!.split(": ")[1];
  assert.equal([check(good).status, last(check(good).stdout)], [0, "sound"]);
  assert.equal([check(one).status, last(check(one).stdout)], [1, "1 finding"]);
  assert.match(check(name).stdout, /block \d+: "\xe9" at byte \d+ is there twice\n/);
  assert.is(last(check(all).stdout), "50 findings, and there may be more");
});

test("an image too small for its descriptors is named, not read beyond its end", () => {
  const bytes = Buffer.from(good.subarray(0, BLOCK));
  bytes.writeUInt32LE(1, SUPER + 4);
  bytes.writeUInt32LE(0, SUPER + 8);
  assert.equal(checkExt2(bytes), [{ where: "superblock", what: "has 1 blocks, too few for the descriptors of its 1 groups" }]);
});

test("any byte of metadata that is flipped ends the check, with or without a finding", () => {
  let random = 1;
  const next = (n: number): number => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0) % n;
  const regions = [SUPER, DESC, BLOCK_MAP * BLOCK, INODE_MAP * BLOCK, TABLE * BLOCK, block(2) * BLOCK, block("dir") * BLOCK, block("big", 12) * BLOCK];
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.from(good);
    for (let k = next(4); k >= 0; k--) bytes[regions[next(regions.length)]! + next(BLOCK - SUPER)] = next(256);
    assert.ok(checkExt2(bytes).length <= 50);
  }
});

/** Sound images of all kinds. */
const SOUND: readonly [name: string, make: () => Uint8Array][] = [
  ["root disk", rootImage],
  ["empty", () => made(1 << 20, 16, () => {})],
  ["the patient", () => good],
  ["many files", () => made(4 << 20, 600, (fs) => {
    fs.mkdir("/big");
    for (let i = 0; i < 400; i++) fs.writeFile(`/big/${"n".repeat(60)}${i}`, new Uint8Array(i % 3));
    for (let i = 0; i < 400; i += 2) fs.inDirectory("/big", (dir) => dir.unlink(`${"n".repeat(60)}${i}`));
  })],
  ["sparse files", () => made(4 << 20, 64, (fs) => {
    for (const [name, size] of [["direct", 40_000], ["single", 4_000_000], ["double", 1_000_000_000]] as const) {
      fs.writeFile(`/${name}`, new Uint8Array(0));
      fs.inDirectory(`/${name}`, (v) => v.setattr({ size }));
    }
    fs.writeFile("/pointers", new Uint8Array(2_000_000).fill(1));
    fs.inDirectory("/pointers", (v) => v.setattr({ size: 60_000 }));
    fs.inDirectory("/pointers", (v) => v.setattr({ size: 900_000 }));
  })],
  ["links and devices", () => made(1 << 20, 128, (fs) => {
    for (const n of [1, 58, 59, 60, 61, 500, 4000]) fs.symlink(`/l${n}`, "t".repeat(n));
    for (const type of [VCHR, VBLK, VFIFO, VSOCK] as const) fs.create(`/s${type}`, { type, mode: 0o600, uid: 1, gid: 2, rdev: 0x12345 });
    fs.create("/set", { type: VREG, mode: 0o4755, uid: 0, gid: 0 });
    fs.create("/sticky", { type: VDIR, mode: 0o1777, uid: 0, gid: 0 });
  })],
];

test("sound images are sound, for e2fsck too", () => {
  for (const [name, make] of SOUND) {
    const bytes = make(), sound = e2fsckSound(bytes);
    assert.equal(checkExt2(bytes), [], name);
    if (sound !== undefined) assert.ok(sound, `e2fsck of ${name}`);
  }
});

const noMke2fs = spawnSync("mke2fs", ["-V"], { stdio: "ignore" }).error === undefined ? "" : "mke2fs is not installed";
test.skipBecause(noMke2fs, "images that mke2fs made are sound", () => {
  for (const options of [["-b", "1024"], ["-b", "2048"], ["-b", "4096"], ["-b", "1024", "-O", "^filetype"], ["-b", "1024", "-I", "128", "-r", "1"]]) {
    const path = scratch.file("mke2fs.img", new Uint8Array(12 << 20)), r = spawnSync("mke2fs", ["-q", "-F", "-t", "ext2", ...options, path], { encoding: "latin1" });
    assert.is(r.status, 0, r.stderr);
    assert.equal(checkExt2(readFileSync(path)), [], options.join(" "));
  }
});

test("copies of the superblock and the descriptors in other groups", () => {
  const bytes = Buffer.from(makeExt2({ sizeBytes: 130 << 20, inodes: 64, uuid: new Uint8Array(16), timeSec })), copy = 32768 * BLOCK;
  assert.equal(checkExt2(bytes), []);
  for (const [where, value, says] of [
    [copy + 56, 0, /^superblock's copy in group 1, block 32768: has no magic/], [copy + 4, 1, /^superblock's copy in group 1, block 32768: has 1 at byte 4, not 33280/],
    [copy + BLOCK, 9, /^descriptors' copy in group 1, block 32769: has block 9 for group 0, not 2/], [copy + 90, 3, /^superblock's copy in group 1, block 32768: says that it is in group 3/],
    [copy + 12, 5, null],
  ] as const) {
    const before = bytes.readUInt16LE(where);
    bytes.writeUInt16LE(value, where);
    const found = checkExt2(bytes).map((f) => `${f.where}: ${f.what}`);
    // How much was free when the copy was made is nobody's concern.
    if (says === null) assert.equal(found, []);
    else assert.ok(found.some((line) => says.test(line)), `${says}: ${JSON.stringify(found)}`);
    bytes.writeUInt16LE(before, where);
  }
});

test.run();
