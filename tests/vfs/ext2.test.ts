// ext2 on a disk in an array, without a guest: random operations against a model, corner cases, a full disk, failing disks.
// e2fsck and debugfs judge what lies on the disk afterwards.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EEXIST, EFBIG, EINVAL, EIO, EISDIR, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EROFS } from "../../kernel/lib/errno.ts";
import { SB_INCOMPAT, SB_OFFSET, SB_RO_COMPAT } from "../../kernel/vfs/ext2/layout.ts";
import { MNT_RDONLY } from "../../kernel/vfs/mount.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../kernel/vfs/vnode.ts";
import { blankImage, debugfsDump, FsBox, fsckComplaints, noE2fsprogs, randomOf, type RamDev } from "../helpers/fsbox.ts";
import { FsModel, randomStep } from "../helpers/fsmodel.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ext2"), MiB = 1 << 20, noTools = noE2fsprogs();

function fresh(sizeBytes = 8 * MiB, npages = 2048): { box: FsBox; dev: RamDev } {
  const box = new FsBox({ npages }), dev = box.disk(blankImage(sizeBytes));
  assert.ok(typeof box.mountExt2(dev) !== "number", "mounts");
  return { box, dev };
}

/** Unmounts; the disk must be clean. */
function end(box: FsBox, dev: RamDev): void {
  assert.is(box.unmountRoot(), 0, "unmounts");
  assert.equal(box.complaints, []);
  if (!noTools) assert.is(fsckComplaints(dev.bytes), "");
}

/** A small disk with one file, /f. */
function imageWith(bytes: Uint8Array): Uint8Array {
  const { box, dev } = fresh(MiB);
  box.creat("/f");
  box.write("/f", bytes);
  assert.is(box.unmountRoot(), 0);
  return dev.bytes;
}

const pattern = (n: number, seed = 1): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);

for (const seed of [1, 2, 3, 4]) {
  test(`random operations leave what the model says, and a clean disk (seed ${seed})`, () => {
    const { box, dev } = fresh(), model = new FsModel(), r = randomOf(seed * 7919);
    for (let i = 0; i < 600; i++) {
      const { what, got, want } = randomStep(box, model, r, "", 150_000);
      assert.is(got, want, `step ${i}: ${what}`);
      if (i % 97 === 96) assert.is(box.fsync("/"), 0);
    }
    assert.equal(model.compare(box), []);
    end(box, dev);
    const again = new FsBox(), disk = again.disk(dev.bytes);
    assert.ok(typeof again.mountExt2(disk) !== "number");
    assert.equal(model.compare(again), [], "after a new mount");
    end(again, disk);
  });
}

test.skipBecause(noTools, "debugfs reads the bytes that were written", () => {
  const { box, dev } = fresh(), files = new Map([["/a", pattern(5)], ["/d/b", pattern(100_000, 2)], ["/d/c", pattern(4096 * 1100, 3)]]);
  box.mkdir("/d");
  for (const [path, bytes] of files) {
    assert.is(box.creat(path), 0);
    assert.is(box.write(path, bytes), bytes.length);
  }
  end(box, dev);
  debugfsDump(dev.bytes, (dir) => {
    for (const [path, bytes] of files) assert.is(Buffer.compare(readFileSync(join(dir, path)), bytes), 0, path);
  });
});

test("an unlinked file lives until its last close, and then gives its blocks back", () => {
  const { box, dev } = fresh(), free = box.vfs.mounts[0]!.statfs().blocksFree;
  box.creat("/f");
  box.write("/f", pattern(50_000));
  const v = box.open("/f");
  assert.is(box.unlink("/f"), 0);
  assert.is(box.stat("/f"), -ENOENT);
  assert.equal(box.pread(v, 49_990, 100), pattern(50_000).subarray(49_990));
  assert.is(box.pwrite(v, pattern(100), 60_000), 100);
  assert.ok(box.vfs.mounts[0]!.statfs().blocksFree < free);
  box.close(v);
  assert.is(box.vfs.mounts[0]!.statfs().blocksFree, free);
  end(box, dev);
});

test("holes read as zeros and take no blocks; blocks far out go through all levels of indirection", () => {
  const { box, dev } = fresh(), at = [0, 13 * 4096, (12 + 1024) * 4096 + 5, (12 + 1024 + 1024 * 1024) * 4096 + 7, 3 * 2 ** 31];
  box.creat("/f");
  for (const offset of at) assert.is(box.write("/f", pattern(10, offset % 251), offset), 10);
  const v = box.open("/f"), a = v.getattr();
  assert.is(a.size, at.at(-1)! + 10);
  assert.ok(a.blocks < 200, `${a.blocks} units`);
  for (const offset of at) assert.equal(box.pread(v, offset, 10), pattern(10, offset % 251));
  assert.equal(box.pread(v, 2 ** 30, 8), new Uint8Array(8));
  box.close(v);
  assert.is(box.fsync("/f"), 0);
  assert.is(box.truncate("/f", 13 * 4096 + 4), 0);
  assert.equal((box.read("/f") as Uint8Array).subarray(13 * 4096), pattern(4, (13 * 4096) % 251));
  end(box, dev);
});

test("a file cannot grow beyond what its map reaches", () => {
  const { box, dev } = fresh();
  box.creat("/f");
  assert.is(box.write("/f", pattern(10), 2 ** 43), -EFBIG);
  assert.is(box.truncate("/f", 2 ** 43), -EFBIG);
  end(box, dev);
});

test("bytes behind a cut do not come back when the file grows again", () => {
  const { box, dev } = fresh();
  box.creat("/f");
  box.write("/f", pattern(20_000));
  box.truncate("/f", 5000);
  box.truncate("/f", 20_000);
  const bytes = box.read("/f") as Uint8Array;
  assert.equal(bytes.subarray(0, 5000), pattern(20_000).subarray(0, 5000));
  assert.ok(bytes.subarray(5000).every((b) => b === 0));
  end(box, dev);
});

test("a full disk says ENOSPC, keeps what it has, and takes more after something is removed", () => {
  const { box, dev } = fresh(MiB), chunk = pattern(64 * 1024);
  let files = 0;
  for (; files < 100; files++) {
    const made = box.creat(`/f${files}`), n = made < 0 ? made : box.write(`/f${files}`, chunk);
    if (n === chunk.length) continue;
    assert.ok(n === -ENOSPC || (n > 0 && n < chunk.length), `result ${n}`);
    break;
  }
  assert.ok(files > 5 && files < 20, `${files} files`);
  assert.is(box.vfs.mounts[0]!.statfs().blocksFree, 0);
  assert.is(box.mkdir("/d"), -ENOSPC);
  assert.is(box.symlink("x".repeat(100), "/l"), -ENOSPC);
  for (let i = 0; i < files; i++) assert.equal(box.read(`/f${i}`), chunk);
  assert.is(box.unlink("/f0"), 0);
  assert.is(box.mkdir("/d"), 0);
  end(box, dev);
});

test("directories grow over many blocks, and names of 255 bytes are names", () => {
  const { box, dev } = fresh(), names: string[] = [];
  for (let i = 0; i < 300; i++) {
    const name = `${i}`.padEnd(i % 3 === 0 ? 255 : 20, "z");
    assert.is(box.creat(`/${name}`), 0);
    names.push(name);
  }
  assert.is(box.creat(`/${"q".repeat(256)}`), -ENAMETOOLONG);
  assert.equal(box.ls("/"), [...names, "lost+found"].sort());
  for (const n of names.filter((_, i) => i % 2 === 0)) assert.is(box.unlink(`/${n}`), 0);
  assert.equal(box.ls("/"), [...names.filter((_, i) => i % 2 === 1), "lost+found"].sort());
  end(box, dev);
});

test("rename: over files and directories, into oneself, across directories, exchange", () => {
  const { box, dev } = fresh();
  for (const d of ["/a", "/a/b", "/c", "/full"]) assert.is(box.mkdir(d), 0);
  for (const f of ["/f", "/g", "/full/x"]) assert.is(box.creat(f), 0);
  assert.is(box.rename("/a", "/a/b/z"), -EINVAL);
  assert.is(box.rename("/a", "/a"), 0);
  assert.is(box.rename("/f", "/c"), -EISDIR);
  assert.is(box.rename("/c", "/f"), -ENOTDIR);
  assert.is(box.rename("/c", "/full"), -ENOTEMPTY);
  assert.is(box.rename("/f", "/g", RENAME_NOREPLACE), -EEXIST);
  assert.is(box.rename("/nothing", "/g"), -ENOENT);
  assert.is(box.rename("/a/b", "/c/b"), 0);
  const up = box.look("/c/b/..");
  assert.ok(typeof up !== "number" && up.vnode!.ino === (box.stat("/c") as { ino: number }).ino, '".." of the moved directory');
  if (typeof up !== "number") box.run(up.done());
  assert.is((box.stat("/a") as { nlink: number }).nlink, 2);
  assert.is((box.stat("/c") as { nlink: number }).nlink, 3);
  assert.is(box.rename("/c", "/a"), 0, "over an empty directory");
  assert.is(box.rename("/a/b", "/g", RENAME_EXCHANGE), 0);
  assert.is((box.stat("/g") as { type: number }).type, 2);
  assert.is(box.link("/a", "/hard"), -EPERM);
  end(box, dev);
});

test("nothing can be put into a directory that was removed", () => {
  const { box, dev } = fresh();
  box.mkdir("/d");
  box.creat("/f");
  const d = box.open("/d"), root = box.vfs.rootVnode;
  assert.is(box.rmdir("/d"), 0);
  assert.is(box.run(root.rename("f", d, "f", 0)), -ENOENT);
  const made = box.run(d.create("x", { type: 1, mode: 0o644, uid: 0, gid: 0 }));
  assert.is(made, -ENOENT);
  box.close(d);
  end(box, dev);
});

test("device nodes and times survive a new mount", () => {
  const { box, dev } = fresh();
  box.mknod("/null", 4, 0x103);
  box.mknod("/disk", 5, (259 << 8) | (300 & 0xff) | ((300 & ~0xff) << 12));
  box.creat("/f");
  assert.is(box.setattr("/f", { mode: 0o4711, uid: 70_000, gid: 80_000, mtime: { sec: 5_000_000_000, nsec: 1 }, atime: { sec: 123, nsec: 512 } }), 0);
  end(box, dev);
  const again = new FsBox(), disk = again.disk(dev.bytes);
  again.mountExt2(disk);
  const f = again.stat("/f"), n = again.stat("/null"), d = again.stat("/disk");
  assert.ok(typeof f !== "number" && typeof n !== "number" && typeof d !== "number");
  assert.equal([f.mode, f.uid, f.gid, f.mtime, f.atime], [0o4711, 70_000, 80_000, { sec: 5_000_000_000, nsec: 1 }, { sec: 123, nsec: 512 }]);
  assert.equal([n.rdev, d.rdev], [0x103, (259 << 8) | 44 | (256 << 12)]);
  end(again, disk);
});

test("unknown features: what can be read is mounted read-only, what cannot is refused, and both are named", () => {
  for (const [field, bit, result] of [[SB_RO_COMPAT, 0x400, EROFS], [SB_INCOMPAT, 0x40, EINVAL]] as const) {
    const box = new FsBox(), image = imageWith(pattern(10)), v = new DataView(image.buffer);
    v.setUint32(SB_OFFSET + field, v.getUint32(SB_OFFSET + field, true) | bit, true);
    const m = box.mountExt2(box.disk(image));
    assert.ok(box.complaints.some((line) => line.includes(`0x${bit.toString(16)}`)), box.complaints.join());
    if (result === EINVAL) assert.is(m, -EINVAL);
    else {
      assert.is(box.creat("/g"), -EROFS);
      assert.equal(box.read("/f"), pattern(10));
    }
  }
});

test("a read-only mount writes nothing", () => {
  const box = new FsBox(), image = imageWith(pattern(10_000)), before = image.slice();
  box.mountExt2(box.disk(image), MNT_RDONLY);
  assert.equal(box.read("/f"), pattern(10_000));
  for (const r of [box.creat("/g"), box.unlink("/f"), box.mkdir("/d"), box.truncate("/f", 1), box.rename("/f", "/g")]) assert.is(r, -EROFS);
  assert.is(box.unmountRoot(), 0);
  assert.is(Buffer.compare(image, before), 0);
});

test("an error of the disk is EIO, and the next attempt works", () => {
  const { box, dev } = fresh();
  box.creat("/f");
  box.write("/f", pattern(200_000));
  end(box, dev);
  const again = new FsBox(), disk = again.disk(dev.bytes);
  again.mountExt2(disk);
  again.stat("/f");
  disk.fails = (write) => !write;
  assert.is(again.read("/f"), -EIO);
  disk.fails = () => false;
  assert.equal(again.read("/f"), pattern(200_000));
  again.write("/f", pattern(100, 9));
  disk.fails = (write) => write;
  assert.is(again.fsync("/f"), -EIO);
  disk.fails = () => false;
  assert.is(again.fsync("/f"), 0);
  end(again, disk);
});

test("files larger than memory pass through", () => {
  const { box, dev } = fresh(24 * MiB, 1024), big = pattern(8 * MiB);
  box.sched.spawn("pdaemon", box.uvm.pdaemon.main(), true);
  box.creat("/f");
  assert.is(box.write("/f", big), big.length);
  assert.is(Buffer.compare(box.read("/f") as Uint8Array, big), 0);
  end(box, dev);
});

test("sequential reads are made in large transfers", () => {
  const { box, dev } = fresh();
  box.creat("/f");
  box.write("/f", pattern(MiB));
  end(box, dev);
  const again = new FsBox(), disk = again.disk(dev.bytes);
  again.mountExt2(disk);
  again.stat("/f");
  const before = disk.stats.reads;
  const v = again.open("/f");
  for (let at = 0; at < MiB; at += 4096) again.pread(v, at, 4096);
  assert.ok(disk.stats.reads - before < 64, `${disk.stats.reads - before} transfers for 256 pages`);
  again.close(v);
  end(again, disk);
});

test.run();
