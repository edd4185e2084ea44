// Path names and mounts, and tmpfs, which is also judged by the model that ext2 is.
import { EACCES, EBUSY, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR } from "../../kernel/lib/errno.ts";
import { TmpMount } from "../../kernel/vfs/tmpfs/tmpfs.ts";
import { blankImage, FsBox, randomOf } from "../helpers/fsbox.ts";
import { FsModel, randomStep } from "../helpers/fsmodel.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("names and tmpfs"), MiB = 1 << 20;

function onTmpfs(data = ""): FsBox {
  const box = new FsBox();
  assert.is(box.mountRoot(TmpMount.make(box.vfs, "tmpfs", 0, data) as TmpMount), 0);
  return box;
}

/** ext2 with a tmpfs on /mnt. */
function mounted(): FsBox {
  const box = new FsBox();
  assert.ok(typeof box.mountExt2(box.disk(blankImage(2 * MiB))) !== "number");
  box.mkdir("/mnt");
  const dir = box.open("/mnt");
  assert.is(box.run(box.vfs.mountOn(new TmpMount(box.vfs, "tmpfs", 0), dir, "/mnt")), 0);
  box.close(dir);
  return box;
}

for (const seed of [1, 2, 3]) {
  test(`random operations on tmpfs leave what the model says (seed ${seed})`, () => {
    const box = onTmpfs(), model = new FsModel(), r = randomOf(seed * 6151);
    for (let i = 0; i < 800; i++) {
      const { what, got, want } = randomStep(box, model, r, "", 100_000);
      assert.is(got, want, `step ${i}: ${what}`);
    }
    assert.equal(model.compare(box), []);
  });
}

test("tmpfs keeps to its size, and an unlinked file gives its pages back at the last close", () => {
  const box = onTmpfs("size=64k"), free = box.vfs.mounts[0]!.statfs().blocksFree;
  box.creat("/f");
  const used = box.open("/f"), first = box.write("/f", new Uint8Array(200_000).fill(1));
  assert.ok(first === -ENOSPC || (first > 0 && first <= 65536), String(first));
  box.unlink("/f");
  box.creat("/g");
  assert.is(box.write("/g", new Uint8Array(4096)), -ENOSPC, "the unlinked file still counts");
  box.close(used);
  box.unlink("/g");
  assert.is(box.vfs.mounts[0]!.statfs().blocksFree, free);
});

test("links in a ring are ELOOP, 40 in a row are not", () => {
  const box = onTmpfs();
  box.symlink("b", "/a");
  box.symlink("a", "/b");
  assert.is(box.look("/a", { follow: true }), -ELOOP);
  box.creat("/l0");
  for (let i = 1; i <= 41; i++) box.symlink(`l${i - 1}`, `/l${i}`);
  for (const [n, isError] of [[40, false], [41, true]] as const) {
    const found = box.look(`/l${n}`, { follow: true });
    assert.is(found === -ELOOP, isError);
    if (typeof found !== "number") box.run(found.done());
  }
});

test("slashes, dots, and names that are too long", () => {
  const box = onTmpfs();
  box.mkdir("/d");
  box.creat("/d/f");
  const look = (path: string): string | number => {
    const r = box.look(path, { follow: true });
    if (typeof r === "number") return r;
    const leaf = `${r.vnode?.type}`;
    box.run(r.done());
    return leaf;
  };
  for (const path of ["/d", "//d//", "/d/.", "/d/../d/", "/../../d", "/"]) assert.is(look(path), "2", path);
  assert.is(look("/d/f"), "1");
  assert.is(look("/d/f/"), -ENOTDIR);
  assert.is(look("/d/f/x"), -ENOTDIR);
  assert.is(look("/none/x"), -ENOENT);
  assert.is(look(""), -ENOENT);
  assert.is(look(`/${"n".repeat(256)}`), -ENAMETOOLONG);
  assert.is(look("/d/..".repeat(900)), -ENAMETOOLONG);
});

test("a directory that may not be searched hides what is below it", () => {
  const box = onTmpfs();
  box.mkdir("/d", 0o600);
  box.creat("/d/f");
  box.cred = { mayAccess: (want, _uid, _gid, mode) => ((mode >> 6) & want) === want };
  assert.is(box.stat("/d/f"), -EACCES);
});

test("a mount covers its directory, .. leaves it, and it is busy while a file in it is open", () => {
  const box = mounted();
  assert.is(box.creat("/mnt/f"), 0);
  assert.equal(box.ls("/mnt"), ["f"]);
  assert.equal(box.ls("/mnt/../mnt/./../"), ["lost+found", "mnt"]);
  const v = box.open("/mnt/f"), root = box.open("/mnt");
  assert.is(box.run(box.vfs.unmount(root)), -EBUSY);
  box.close(v);
  assert.is(box.rmdir("/mnt"), -EBUSY);
  assert.is(box.run(box.vfs.unmount(root)), 0);
  box.close(root);
  assert.equal(box.ls("/mnt"), []);
});

test.run();
