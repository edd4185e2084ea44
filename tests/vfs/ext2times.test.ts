// Times of files on ext2: in inodes of 256 bytes exact to the nanosecond, to 2446, with the time of birth; in inodes of 128 bytes
// seconds to 2038. debugfs reads what the kernel wrote, and e2fsck has nothing against it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Timespec } from "../../kernel/lib/timespec.ts";
import { FL_IMMUTABLE, FL_NOATIME, FL_NODUMP, I_EXTRA_SIZE, I_FLAGS, I_SMALL, XATTR_MAGIC } from "../../kernel/vfs/ext2/layout.ts";
import { Ext2Mount } from "../../kernel/vfs/ext2/mount.ts";
import type { Ext2Fs } from "../../kernel/vfs/ext2/super.ts";
import type { Attr } from "../../kernel/vfs/vnode.ts";
import { STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE, STATX_ATTR_NODUMP } from "../../kernel/vfs/vnode.ts";
import { blankImage, FsBox, fsckComplaints, noE2fsprogs } from "../helpers/fsbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ext2 times"), MiB = 1 << 20, noTools = noE2fsprogs(), ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

function mounted(image: Uint8Array): FsBox {
  const box = new FsBox();
  assert.ok(typeof box.mountExt2(box.disk(image)) !== "number");
  return box;
}

/** The same disk, mounted anew. */
function again(box: FsBox, image: Uint8Array): FsBox {
  assert.is(box.unmountRoot(), 0);
  assert.equal(box.complaints, []);
  if (!noTools) assert.is(fsckComplaints(image), "");
  return mounted(image);
}

function stat(box: FsBox, path: string): Attr {
  const a = box.stat(path);
  assert.ok(typeof a !== "number", path);
  return a;
}

/** Runs a program of e2fsprogs on a file that holds the image. => its output, and the file's bytes afterwards */
function tool(name: string, image: Uint8Array, args: (file: string) => string[]): { text: string; bytes: Uint8Array } {
  const dir = mkdtempSync(join(tmpdir(), "loanword-")), file = join(dir, "image");
  try {
    writeFileSync(file, image);
    const r = spawnSync(name, args(file), { encoding: "utf8", env: ENV });
    assert.is(r.status, 0, r.stderr);
    return { text: r.stdout, bytes: new Uint8Array(readFileSync(file)) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const SOME: readonly Timespec[] = [
  { sec: 1_740_000_000, nsec: 123_456_789 }, { sec: -1, nsec: 999_999_999 }, { sec: -(2 ** 31), nsec: 1 }, { sec: 2 ** 31 - 1, nsec: 1 }, { sec: 2 ** 31, nsec: 2 },
  { sec: 2 ** 32, nsec: 3 }, { sec: 3 * 2 ** 32 + 2 ** 31 - 2, nsec: 4 }, { sec: 0, nsec: 0 },
];

test("large inodes keep nanoseconds, years before 1970 and after 2038, and birth", () => {
  const image = blankImage(MiB), box = mounted(image);
  SOME.forEach((t, i) => {
    box.nowSec = 1_740_000_000 + i;
    box.nsec = 111_111_111 + i;
    assert.is(box.creat(`/f${i}`), 0);
    box.nsec = 7;
    assert.is(box.setattr(`/f${i}`, { atime: t, mtime: SOME[SOME.length - 1 - i]! }), 0);
  });
  const then = again(box, image);
  SOME.forEach((t, i) => {
    const a = stat(then, `/f${i}`), sec = 1_740_000_000 + i;
    assert.equal([a.atime, a.mtime, a.ctime, a.btime], [t, SOME[SOME.length - 1 - i], { sec, nsec: 7 }, { sec, nsec: 111_111_111 + i }]);
  });
});

test("a time that the inode cannot hold is cut at once, not when it is read back", () => {
  const image = blankImage(MiB), box = mounted(image);
  box.creat("/f");
  assert.is(box.setattr("/f", { atime: { sec: 2 ** 40, nsec: 5 }, mtime: { sec: -(2 ** 40), nsec: 5 } }), 0);
  const now = stat(box, "/f"), then = stat(again(box, image), "/f"), want = [{ sec: 2 ** 34 - 2 ** 31 - 1, nsec: 0 }, { sec: -(2 ** 31), nsec: 0 }];
  assert.equal([now.atime, now.mtime], want);
  assert.equal([then.atime, then.mtime], want);
});

test.skipBecause(noTools, "debugfs reads the times that the kernel wrote", () => {
  const image = blankImage(MiB), box = mounted(image);
  box.nsec = 250_000_001;
  box.creat("/f");
  assert.is(box.setattr("/f", { atime: { sec: -1, nsec: 3 }, mtime: { sec: 2 ** 32 + 5, nsec: 999_999_999 } }), 0);
  assert.is(box.unmountRoot(), 0);
  const { text } = tool("debugfs", image, (file) => ["-R", "stat /f", file]);
  const word = (name: string): string[] => new RegExp(`${name}: 0x([0-9a-f]+):([0-9a-f]+)`).exec(text)!.slice(1, 3);
  const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, "0");
  assert.equal(word("atime"), [hex(-1), hex(3 << 2)]);
  assert.equal(word("mtime"), [hex(5), hex((999_999_999 << 2) | 1)]);
  assert.equal(word("crtime"), [hex(1_740_000_000), hex(250_000_001 << 2)]);
});

test("the root of a disk that was just made has a time of birth", () => {
  assert.equal(stat(mounted(blankImage(MiB)), "/").btime, { sec: 1_735_689_600, nsec: 0 });
});

test.skipBecause(noTools, "small inodes keep seconds from 1901 to 2038, and no birth", () => {
  const image = tool("mke2fs", new Uint8Array(MiB), (file) => ["-q", "-t", "ext2", "-I", "128", "-O", "^resize_inode,^dir_index,^ext_attr", file]).bytes, box = mounted(image);
  box.nsec = 999_999_999;
  box.creat("/f");
  box.write("/f", new Uint8Array(100));
  assert.is(stat(box, "/f").mtime.nsec, 0, "the clock's nanoseconds too");
  assert.is(box.setattr("/f", { atime: { sec: 2 ** 31, nsec: 5 }, mtime: { sec: -5, nsec: 5 } }), 0);
  for (const a of [stat(box, "/f"), stat(again(box, image), "/f")]) {
    assert.equal([a.atime, a.mtime, a.ctime, a.btime], [{ sec: 2 ** 31 - 1, nsec: 0 }, { sec: -5, nsec: 0 }, { sec: 1_740_000_000, nsec: 0 }, undefined]);
  }
});

/** Does something to a file's inode as it lies in the buffer. */
function withRaw(box: FsBox, fs: Ext2Fs, path: string, act: (view: DataView, at: number) => void): void {
  const { ino } = stat(box, path);
  assert.is(box.fsync(path), 0);
  box.run((function* () {
    const where = yield* fs.inodeAt(ino);
    assert.ok(typeof where !== "number");
    act(where.b.view, where.at);
    fs.cache.bdirty(where.b);
  })());
}

test("attributes inside an inode are not overwritten by times that would need their place", () => {
  const image = blankImage(MiB), box = new FsBox(), m = box.mountExt2(box.disk(image));
  assert.ok(typeof m !== "number");
  box.creat("/f");
  withRaw(box, m.fs, "/f", (view, at) => {
    for (let i = I_SMALL; i < 256; i += 4) view.setUint32(at + i, 0, true);
    view.setUint16(at + I_EXTRA_SIZE, 4, true);
    view.setUint32(at + I_SMALL + 4, XATTR_MAGIC, true);
  });
  const then = again(box, image);
  assert.is(stat(then, "/f").btime, undefined, "no room for it");
  assert.is(then.setattr("/f", { mtime: { sec: 9, nsec: 9 } }), 0);
  const last = again(then, image), words: number[] = [];
  const [root] = last.vfs.mounts;
  assert.ok(root instanceof Ext2Mount);
  withRaw(last, root.fs, "/f", (view, at) => words.push(view.getUint16(at + I_EXTRA_SIZE, true), view.getUint32(at + I_SMALL + 4, true)));
  assert.equal(words, [4, XATTR_MAGIC]);
  assert.equal(stat(last, "/f").mtime, { sec: 9, nsec: 0 });
});

test("flags of the inode: attributes for statx, and noatime", () => {
  const image = blankImage(MiB), box = new FsBox(), m = box.mountExt2(box.disk(image));
  assert.ok(typeof m !== "number");
  box.creat("/f");
  withRaw(box, m.fs, "/f", (view, at) => view.setUint32(at + I_FLAGS, FL_IMMUTABLE | FL_NODUMP | FL_NOATIME, true));
  const then = again(box, image), a = stat(then, "/f"), v = then.open("/f");
  assert.equal([a.attributes, a.attributesMask], [STATX_ATTR_IMMUTABLE | STATX_ATTR_NODUMP, STATX_ATTR_IMMUTABLE | STATX_ATTR_NODUMP | STATX_ATTR_APPEND]);
  then.nowSec += 1;
  v.accessed();
  assert.equal(v.getattr().atime, a.atime);
  then.close(v);
});

test("reading dirties the inode once, and its time of access reaches the disk", () => {
  const image = blankImage(MiB), box = mounted(image);
  box.creat("/f");
  box.nsec = 5;
  const v = box.open("/f");
  v.accessed();
  box.nsec = 6;
  v.accessed();
  box.close(v);
  assert.equal(stat(again(box, image), "/f").atime, { sec: 1_740_000_000, nsec: 5 });
});

test.run();
