// Taking file systems away: busy ones stay, lazily detached ones go with their last user, expired ones when nobody came by; tmpfs'
// options; remounting read-only; and what /proc tells of all that.
import { devMount } from "../../kernel/vfs/devfs/devfs.ts";
import { fileRelease, O_CREAT, O_RDWR } from "../../kernel/kern/file.ts";
import { procMount } from "../../kernel/kern/procfs.ts";
import { EAGAIN, EBUSY, EINVAL, ENOSPC } from "../../kernel/lib/errno.ts";
import { MOUNT_CALLS } from "../../kernel/sys/mount.ts";
import { PATH_CALLS } from "../../kernel/sys/path.ts";
import { uvmMap } from "../../kernel/uvm/mmap.ts";
import { toBytes } from "../../kernel/uvm/uio.ts";
import { MNT_RDONLY } from "../../kernel/vfs/mount.ts";
import { TmpMount } from "../../kernel/vfs/tmpfs/tmpfs.ts";
import { VDIR } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("umount"), MOUNT = 40, UMOUNT = 39, CHDIR = 49, SYMLINKAT = 36, MS_REMOUNT = 32, FORCE = 1, DETACH = 2, EXPIRE = 4, NOFOLLOW = 8;

class Box extends KernBox {
  constructor() {
    super();
    const { k } = this, { types } = k.vfs;
    types.set("tmpfs", function* (v, source, _device, flags, data) { return TmpMount.make(v, source, flags, data); });
    types.set("proc", function* (v, source, _device, flags) { return procMount(k, v, source, flags); });
    types.set("devtmpfs", function* (v, source, _device, flags) { return devMount(v, source, flags, [], ["shm"]); });
    this.mapUser(1);
    this.mknod("/m", VDIR, 0o755);
  }

  /** Strings, one after the other. => their addresses */
  private strings(...all: string[]): number[] {
    const at: number[] = [];
    let va = USER_VA;
    for (const s of all) {
      at.push(va);
      this.poke(va, toBytes(`${s}\0`));
      va += s.length + 1;
    }
    return at;
  }

  call(nr: number, rows: typeof MOUNT_CALLS, ...args: number[]): number {
    return this.run(this.syscall(rows, nr, this.me.mainThread, ...args));
  }

  mount(type: string, path = "/m", data = "", flags = 0): number {
    const [source, target, t, d] = this.strings("none", path, type, data);
    return this.call(MOUNT, MOUNT_CALLS, source!, target!, t!, flags, d!);
  }

  umount(flags = 0, path = "/m"): number {
    return this.call(UMOUNT, MOUNT_CALLS, this.strings(path)[0]!, flags);
  }

  chdir(path: string): number {
    return this.call(CHDIR, PATH_CALLS, this.strings(path)[0]!);
  }

  symlink(target: string, path: string): number {
    const [a, b] = this.strings(target, path);
    return this.call(SYMLINKAT, PATH_CALLS, a!, -100, b!);
  }

  has(path: string): boolean {
    return this.run(this.opening(path, 0)) >= 0;
  }
}

test("procfs, devtmpfs and tmpfs are busy while a file or a working directory is in use", () => {
  const box = new Box();
  for (const [type, file, dir] of [["proc", "meminfo", "sys"], ["devtmpfs", "null", "shm"], ["tmpfs", "f", ""]] as const) {
    assert.is(box.mount(type), 0, type);
    const f = box.open(`/m/${file}`, file === "f" ? O_RDWR | O_CREAT : 0);
    assert.equal([box.umount(), box.umount(FORCE)], [-EBUSY, -EBUSY], `${type}: a file`);
    box.closeFile(f);
    for (const d of [dir, ""]) {
      assert.is(box.chdir(`/m/${d}`), 0);
      assert.is(box.umount(), -EBUSY, `${type}: a directory`);
      assert.is(box.chdir("/"), 0);
    }
    assert.is(box.umount(), 0, type);
    assert.is(box.umount(), -EINVAL, "no mount any more");
  }
});

test("MNT_DETACH takes a file system out of the tree; it goes when its last user goes", () => {
  const box = new Box(), { vfs } = box.k;
  assert.is(box.mount("tmpfs"), 0);
  const f = box.open("/m/f", O_RDWR | O_CREAT), mount = f.vnode!.mount as TmpMount;
  box.write(f, "kept");
  assert.is(box.umount(), -EBUSY);
  assert.is(box.umount(DETACH), 0);
  assert.is(box.has("/m/f"), false);
  assert.not.match(box.text("/proc/mounts"), / \/m /);
  assert.equal([box.umount(DETACH), vfs.detached.size, mount.nodes.size], [-EINVAL, 1, 1]);
  assert.is(box.mount("tmpfs"), 0, "the directory can be covered again");
  const g = box.open("/m/g", O_RDWR | O_CREAT);
  assert.equal([box.write(f, "!"), vfs.detached.size], [1, 1]);
  box.closeFile(f);
  assert.equal([vfs.detached.size, mount.nodes.size], [0, 0]);
  box.closeFile(g);
  assert.equal([box.umount(DETACH), vfs.detached.size], [0, 0], "unused: it goes at once");
});

test("a detached file system stays while a vnode's last reference is on its way out", () => {
  const box = new Box(), { vfs, ctx } = box.k, slow = {};
  assert.is(box.mount("tmpfs"), 0);
  const f = box.open("/m/f", O_RDWR | O_CREAT), g = box.open("/m/g", O_RDWR | O_CREAT), v = f.vnode!, inactive = v.inactive.bind(v);
  v.inactive = function* () {
    yield* ctx.sleep(slow, "writing");
    yield* inactive();
  };
  assert.is(box.umount(DETACH), 0);
  const closing = box.begin(fileRelease(f));
  assert.is(closing.sleepsAt, "writing");
  box.closeFile(g);
  assert.is(vfs.detached.size, 1);
  ctx.wakeup(slow);
  box.sched.settle();
  assert.equal([closing.sleepsAt, vfs.detached.size], ["", 0]);
});

test("MNT_DETACH takes what is mounted below along, and a working directory in it works on", () => {
  const box = new Box(), { vfs } = box.k, count = vfs.mounts.length;
  assert.is(box.mount("devtmpfs"), 0);
  assert.is(box.mount("tmpfs", "/m/shm"), 0);
  assert.is(box.chdir("/m/shm"), 0);
  assert.equal([box.umount(), box.umount(DETACH)], [-EBUSY, 0]);
  assert.equal([vfs.mounts.length, vfs.detached.size], [count, 1]);
  box.closeFile(box.open("x", O_RDWR | O_CREAT));
  assert.equal([box.has("x"), box.has("../x"), box.has("/m/shm")], [true, true, false], "the parent of a detached root is itself");
  assert.is(box.chdir("/"), 0);
  for (const f of [...box.me.fds.files]) if (f) box.closeFile(f);
  assert.is(vfs.detached.size, 0);
});

test("MNT_EXPIRE unmounts at the second call if nobody used the file system in between", () => {
  const box = new Box();
  assert.is(box.mount("tmpfs"), 0);
  assert.equal([box.umount(EXPIRE | FORCE), box.umount(EXPIRE | DETACH), box.umount(16)], [-EINVAL, -EINVAL, -EINVAL]);
  const f = box.open("/m/f", O_RDWR | O_CREAT);
  assert.equal([box.umount(EXPIRE), box.umount(EXPIRE)], [-EBUSY, -EBUSY]);
  box.closeFile(f);
  assert.is(box.umount(EXPIRE), -EAGAIN);
  box.closeFile(box.open("/m/f", 0));
  assert.equal([box.umount(EXPIRE), box.umount(EXPIRE), box.umount(EXPIRE)], [-EAGAIN, 0, -EINVAL]);
});

test("UMOUNT_NOFOLLOW does not follow a link to a mount", () => {
  const box = new Box();
  assert.equal([box.mount("tmpfs"), box.symlink("/m", "/l")], [0, 0]);
  assert.equal([box.umount(NOFOLLOW, "/l"), box.umount(0, "/l")], [-EINVAL, 0]);
});

test("tmpfs knows size, nr_blocks, nr_inodes, mode, uid and gid, and refuses other options", () => {
  const box = new Box();
  for (const bad of ["frobnicate", "size", "size=", "size=1x", "size=1k%k", "mode=8", "mode=", "uid=x", "nr_inodes=a", "size=1m,zzz=1"]) {
    assert.is(box.mount("tmpfs", "/m", bad), -EINVAL, bad);
  }
  const pages = box.uvm.exp.npages;
  const quarter = Math.floor((pages * 25) / 100);
  for (const [data, blocks] of [["size=64k", 16], ["size=1M", 256], ["size=5000", 2], ["size=25%", quarter], ["nr_blocks=9", 9], ["size=0", 0]] as const) {
    assert.is(box.mount("tmpfs", "/m", data), 0, data);
    const m = box.k.vfs.mounts.at(-1)!;
    assert.is(m.statfs().blocks, blocks, data);
    assert.is(box.umount(), 0);
  }
  assert.is(box.mount("tmpfs", "/m", "mode=0750,uid=7,gid=8,nr_inodes=3,size=64k"), 0);
  const m = box.k.vfs.mounts.at(-1) as TmpMount, { mode, uid, gid } = m.rootNode;
  assert.equal([mode, uid, gid, m.statfs().files, m.statfs().filesFree], [0o750, 7, 8, 3, 2]);
  assert.match(box.text("/proc/mounts"), /^none \/m tmpfs rw,relatime,size=64k,nr_inodes=3,mode=750,uid=7,gid=8 0 0$/m);
  assert.match(box.text("/proc/self/mountinfo"), / - tmpfs none rw,size=64k,nr_inodes=3,mode=750,uid=7,gid=8$/m);
  for (const n of ["a", "b"]) box.closeFile(box.open(`/m/${n}`, O_RDWR | O_CREAT));
  assert.is(box.run(box.opening("/m/c", O_RDWR | O_CREAT)), -ENOSPC);
  assert.is(box.unlink("/m/a"), 0);
  box.closeFile(box.open("/m/c", O_RDWR | O_CREAT));
});

test("a remount changes tmpfs' limits, but not below what is used", () => {
  const box = new Box();
  assert.is(box.mount("tmpfs", "/m", "size=64k,nr_inodes=9"), 0);
  const f = box.open("/m/f", O_RDWR | O_CREAT), m = box.k.vfs.mounts.at(-1)!;
  box.write(f, new Uint8Array(9000));
  for (const bad of ["size=8k", "nr_inodes=1", "what"]) assert.is(box.mount("", "/m", bad, MS_REMOUNT), -EINVAL, bad);
  assert.equal([box.mount("", "/m", "size=16k,nr_inodes=2", MS_REMOUNT), m.statfs().blocks, m.statfs().files], [0, 4, 2]);
});

test("a file system cannot become read-only while a file is open for writing, mapped shared and writable, or unlinked and open", () => {
  const box = new Box(), { map } = box.me.vmspace, ro = () => box.mount("", "/m", "", MS_REMOUNT | MNT_RDONLY);
  assert.is(box.mount("tmpfs"), 0);
  const f = box.open("/m/f", O_RDWR | O_CREAT);
  box.write(f, new Uint8Array(4096));
  assert.is(ro(), -EBUSY);
  const { uobj } = f.vnode!, va = 0x100000, mapAs = (o: { copyOnWrite: boolean; maxprot: number }) => {
    f.vnode!.vref();
    assert.is(box.run(uvmMap(map, { va, fixed: true, size: 4096, prot: 1, uobj, offset: 0, ...o })), va);
  };
  mapAs({ copyOnWrite: false, maxprot: 7 });
  box.closeFile(f);
  assert.is(ro(), -EBUSY, "shared and writable");
  const g = box.open("/m/f", 0);
  mapAs({ copyOnWrite: true, maxprot: 7 });
  assert.is(ro(), 0, "private");
  assert.match(box.text("/proc/mounts"), /^none \/m tmpfs ro,relatime 0 0$/m);
  assert.is(box.mount("", "/m", "", MS_REMOUNT), 0);
  assert.is(box.unlink("/m/f"), 0);
  assert.is(ro(), -EBUSY, "unlinked and open");
  box.closeFile(g);
});

test("mountinfo's numbers stay the same, and name the parent", () => {
  const box = new Box(), ids = () => box.text("/proc/self/mountinfo").trimEnd().split("\n").map((l) => l.split(" ").slice(0, 5));
  assert.is(box.mount("devtmpfs"), 0);
  const dev = ids().at(-1)!;
  assert.is(box.mount("tmpfs", "/m/shm"), 0);
  const [root, proc, , shm] = ids();
  assert.equal([proc![1], dev[1], shm![1], shm![4]], [root![0], root![0], dev[0], "/m/shm"]);
  assert.equal([box.umount(0, "/m/shm"), ids().at(-1)], [0, dev]);
});

test.run();
