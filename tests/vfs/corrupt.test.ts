// Damaged ext2 disks: whatever the metadata say, the kernel answers with an error that names the structure. It does not panic,
// and it does not go on for ever.
import { EIO, EUCLEAN } from "../../kernel/lib/errno.ts";
import { VDIR } from "../../kernel/vfs/vnode.ts";
import { blankImage, FsBox, randomOf } from "../helpers/fsbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("damaged ext2"), MiB = 1 << 20, BLOCK = 4096;

/** A small tree with every kind of block: directories of several blocks, indirect blocks, links. */
function goodImage(): Uint8Array {
  const box = new FsBox(), dev = box.disk(blankImage(2 * MiB));
  assert.ok(typeof box.mountExt2(dev) !== "number");
  box.mkdir("/d");
  for (let i = 0; i < 60; i++) box.creat(`/d/${String(i).padEnd(120, "n")}`);
  box.creat("/f");
  box.write("/f", new Uint8Array(100_000).fill(5));
  box.creat("/far");
  box.write("/far", new Uint8Array(10), 5_000_000_000);
  box.symlink("x".repeat(100), "/slow");
  box.symlink("f", "/fast");
  assert.is(box.unmountRoot(), 0);
  return dev.bytes;
}

/** Everything a program may do with the tree. Directories that contain themselves end at a depth. */
function exercise(box: FsBox): void {
  const walk = (path: string, depth: number): void => {
    const names = box.ls(path === "" ? "/" : path);
    if (typeof names === "number" || depth > 4) return;
    for (const n of names.slice(0, 80)) {
      const p = `${path}/${n}`, a = box.stat(p);
      if (typeof a === "number") continue;
      if (a.type === VDIR) walk(p, depth + 1);
      else if (a.type === 1 && a.size < MiB) box.read(p);
      else box.readlink(p);
    }
  };
  walk("", 0);
  box.creat("/new");
  box.write("/new", new Uint8Array(30_000).fill(1));
  box.truncate("/far", 100);
  box.truncate("/f", 60_000);
  box.mkdir("/nd");
  box.rename("/f", "/nd/f");
  box.rename("/d", "/nd/d");
  box.unlink("/slow");
  box.unlink("/far");
  for (const n of ["/new", "/nd/f"]) box.unlink(n);
  box.rmdir("/nd");
  box.fsync("/");
  box.unmountRoot();
}

/** Blocks of metadata: those in front of the data of group 0, and directory and indirect blocks behind. */
for (const [what, seeds, from, to] of [["superblock", 60, 1024, 1024 + 120], ["group descriptors", 30, BLOCK, BLOCK + 32], ["bitmaps", 20, 2 * BLOCK, 4 * BLOCK],
  ["inodes", 120, 4 * BLOCK, 4 * BLOCK + 256 * 20], ["directories and indirect blocks", 120, 12 * BLOCK, 60 * BLOCK]] as const) {
  test(`changed bytes in ${what} neither stop nor hang the kernel`, () => {
    const good = goodImage();
    for (let seed = 1; seed <= seeds; seed++) {
      const r = randomOf(seed * 104729), image = good.slice(), box = new FsBox();
      for (let n = 1 + r(4); n > 0; n--) {
        const at = from + r(to - from);
        image[at] = [0, 0xff, image[at]! ^ (1 << r(8)), r(256)][r(4)]!;
      }
      try {
        if (typeof box.mountExt2(box.disk(image)) !== "number") exercise(box);
      } catch (e) {
        throw new Error(`seed ${seed}: ${(e as Error).stack}`);
      }
    }
  });
}

/** The block number of a directory's first block. */
function dirBlockOf(image: Uint8Array, box: FsBox, path: string): number {
  const a = box.stat(path), v = new DataView(image.buffer, image.byteOffset);
  if (typeof a === "number") throw new Error(`no ${path}`);
  return v.getUint32(v.getUint32(BLOCK + 8, true) * BLOCK + (a.ino - 1) * 256 + 40, true);
}

test("a record length that leads nowhere is named, with its block", () => {
  for (const bad of [0, 3, 7, 5000]) {
    const image = goodImage(), look = new FsBox();
    look.mountExt2(look.disk(image.slice()));
    const block = dirBlockOf(image, look, "/d");
    new DataView(image.buffer, image.byteOffset).setUint16(block * BLOCK + 12 + 4, bad, true);
    const box = new FsBox();
    assert.ok(typeof box.mountExt2(box.disk(image)) !== "number");
    assert.is(box.ls("/d"), -EUCLEAN);
    assert.ok(box.complaints.some((line) => line.includes(`block ${block}`)), box.complaints.join());
  }
});

test("an image that is cut short is refused, and says so", () => {
  const box = new FsBox(), m = box.mountExt2(box.disk(goodImage().slice(0, MiB)));
  assert.ok(m === -EUCLEAN || m === -EIO, String(m));
  assert.ok(box.complaints.some((line) => line.includes("superblock")), box.complaints.join());
});

test.run();
