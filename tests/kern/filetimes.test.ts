// Times of files through system calls: exact, before 1970, who may set them, what each call stamps, and when reading does.
import { O_CREAT, O_NOATIME, O_RDONLY, O_RDWR } from "../../kernel/kern/file.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import { EACCES, EBADF, EFAULT, EINVAL, ENOENT, EPERM, EROFS } from "../../kernel/lib/errno.ts";
import type { Timespec } from "../../kernel/lib/timespec.ts";
import { compareTimes } from "../../kernel/lib/timespec.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { MOUNT_CALLS } from "../../kernel/sys/mount.ts";
import { ATTR_CALLS } from "../../kernel/sys/attr.ts";
import { PATH_CALLS } from "../../kernel/sys/path.ts";
import { STAT_CALLS } from "../../kernel/sys/stat.ts";
import { Cred } from "../../kernel/kern/cred.ts";
import { atimeFlags, atimeOptions, FileTimes, MNT_NOATIME, MNT_NODIRATIME, MNT_STRICTATIME } from "../../kernel/vfs/filetimes.ts";
import { MNT_RDONLY } from "../../kernel/vfs/mount.ts";
import { VDIR, VFIFO } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { toBytes } from "../../kernel/uvm/uio.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("file times");
const UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe, CWD = -100, NOFOLLOW = 0x100, EMPTY_PATH = 0x1000, DAY = 86_400;
const UTIMENSAT = 88, FSTATAT = 79, STATX = 291, FCHMOD = 52, FCHOWN = 55, LINKAT = 37, UNLINKAT = 35, RENAMEAT2 = 276, TRUNCATE = 45, FTRUNCATE = 46, READLINKAT = 78;
const GETDENTS = 61, STATFS = 43, BASIC = 0x7ff, BTIME = 0x800, PATH_VA = USER_VA, PATH2_VA = USER_VA + 512, TIMES_VA = USER_VA + 1024, OUT_VA = USER_VA + 2048;
const CALLS = [...STAT_CALLS, ...MOUNT_CALLS, ...PATH_CALLS, ...ATTR_CALLS, ...FILE_CALLS];

interface Stat { atime: Timespec; mtime: Timespec; ctime: Timespec }
const NOW = { sec: 1_740_000_000, nsec: 0 };

class TimesBox extends KernBox {
  constructor() {
    super();
    this.mapUser(2);
    this.sched.timeNs = 0;
  }

  /** Lets time go by. */
  pass(ns: number): void {
    this.sched.timeNs += ns;
  }

  get now(): Timespec {
    return { sec: NOW.sec + Math.floor(this.sched.timeNs / 1e9), nsec: this.sched.timeNs % 1e9 };
  }

  call(nr: number, args: number[], p: Process = this.me): number {
    return this.run(this.syscall(CALLS, nr, p.mainThread, ...args), p);
  }

  at(va: number, path: string, p: Process = this.me): number {
    this.poke(va, toBytes(`${path}\0`), p);
    return va;
  }

  putTimes(a: readonly [number, number], m: readonly [number, number], p: Process): number {
    this.poke(TIMES_VA, BigInt64Array.of(BigInt(a[0]), BigInt(a[1]), BigInt(m[0]), BigInt(m[1])), p);
    return TIMES_VA;
  }

  utimens(path: string, a: readonly [number, number], m: readonly [number, number], flags = 0, p: Process = this.me): number {
    return this.call(UTIMENSAT, [CWD, this.at(PATH_VA, path, p), this.putTimes(a, m, p), flags], p);
  }

  touch(path: string, p: Process = this.me): number {
    return this.call(UTIMENSAT, [CWD, this.at(PATH_VA, path, p), 0, 0], p);
  }

  stat(path: string, flags = NOFOLLOW): Stat {
    assert.is(this.call(FSTATAT, [CWD, this.at(PATH_VA, path), OUT_VA, flags]), 0, path);
    const d = this.peek(OUT_VA, 128), time = (at: number): Timespec => ({ sec: Number(d.getBigInt64(at, true)), nsec: Number(d.getBigInt64(at + 8, true)) });
    return { atime: time(72), mtime: time(88), ctime: time(104) };
  }

  statx(path: string, mask: number, flags = 0): { mask: number; btime: Timespec; attributes: number; known: number } | number {
    const r = this.call(STATX, [CWD, this.at(PATH_VA, path), flags, mask, OUT_VA]);
    if (r < 0) return r;
    const d = this.peek(OUT_VA, 256);
    return { mask: d.getUint32(0, true), btime: { sec: Number(d.getBigInt64(80, true)), nsec: d.getUint32(88, true) }, attributes: d.getUint32(8, true), known: d.getUint32(56, true) };
  }

  creat(path: string, text = "text"): void {
    const f = this.open(path, O_RDWR | O_CREAT);
    if (text !== "") assert.is(this.write(f, text), text.length);
    this.closeFile(f);
  }

  /** Reads a file. => whether that moved its time of access */
  reads(path: string, flags = O_RDONLY): boolean {
    const before = this.stat(path).atime, f = this.open(path, flags);
    this.read(f, 4);
    this.closeFile(f);
    return compareTimes(this.stat(path).atime, before) !== 0;
  }

  user(uid: number): Process {
    const p = this.child();
    this.mapUser(2, p);
    p.cred = new Cred(uid, uid, uid, uid);
    return p;
  }

  get rootMount() {
    return this.k.vfs.mounts[0]!;
  }
}

test("times are kept to the nanosecond, today's and those before 1970", () => {
  const box = new TimesBox();
  box.creat("/f");
  for (const [sec, nsec] of [[1_740_000_000, 123_456_789], [-1, 1], [-2_208_988_800, 999_999_999], [253_402_300_799, 1], [0, 0]] as const) {
    assert.is(box.utimens("/f", [sec, nsec], [sec - 1, nsec]), 0);
    const s = box.stat("/f");
    assert.equal([s.atime, s.mtime], [{ sec, nsec }, { sec: sec - 1, nsec }]);
  }
});

test("the clock stamps to the nanosecond, and what is written later is never older", () => {
  const box = new TimesBox();
  let last: Timespec = { sec: 0, nsec: 0 };
  for (let i = 0; i < 20; i++) {
    box.pass(i % 3 === 0 ? 0 : 1);
    box.creat(`/f${i}`);
    const { mtime } = box.stat(`/f${i}`);
    assert.equal(mtime, box.now);
    assert.ok(compareTimes(mtime, last) >= 0);
    last = mtime;
  }
  assert.is(last.nsec, 13);
});

test("utimensat: now, omit, null, and nothing at all", () => {
  const box = new TimesBox();
  box.creat("/f");
  assert.is(box.utimens("/f", [5, 6], [7, 8]), 0);
  box.pass(1_000_000_001);
  assert.is(box.utimens("/f", [-9, UTIME_OMIT], [-9, UTIME_NOW]), 0);
  assert.equal(box.stat("/f"), { atime: { sec: 5, nsec: 6 }, mtime: box.now, ctime: box.now });
  box.pass(1);
  assert.is(box.touch("/f"), 0);
  assert.equal(box.stat("/f"), { atime: box.now, mtime: box.now, ctime: box.now });
  const before = box.stat("/f");
  box.pass(1);
  assert.is(box.utimens("/nowhere", [0, UTIME_OMIT], [0, UTIME_OMIT]), 0, "not even the path is looked at");
  assert.is(box.utimens("/f", [0, UTIME_OMIT], [0, UTIME_OMIT]), 0);
  assert.equal(box.stat("/f"), before);
});

test("utimensat: what is refused, and in which order", () => {
  const box = new TimesBox();
  box.creat("/f");
  for (const nsec of [-1, 1_000_000_000, 0x3ffffffd, 2 ** 40]) {
    assert.is(box.utimens("/f", [0, nsec], [0, 0]), -EINVAL);
    assert.is(box.utimens("/f", [0, 0], [0, nsec]), -EINVAL);
    assert.is(box.utimens("/nowhere", [0, nsec], [0, 0]), -ENOENT, "the path is looked at first");
  }
  assert.is(box.utimens("/f", [0, 0], [0, 0], 0x400), -EINVAL, "unknown flag");
  assert.is(box.call(UTIMENSAT, [CWD, 0, 0, 0]), -EFAULT);
  assert.is(box.call(UTIMENSAT, [99, 0, 0, 0]), -EBADF);
  const f = box.open("/f", O_RDONLY), fd = box.me.fds.files.indexOf(f);
  assert.is(box.call(UTIMENSAT, [fd, 0, 0, NOFOLLOW]), -EINVAL, "a descriptor takes no flags");
  assert.is(box.call(UTIMENSAT, [fd, 0, box.putTimes([1, 2], [3, 4], box.me), 0]), 0, "futimens");
  assert.is(box.call(UTIMENSAT, [fd, box.at(PATH_VA, ""), TIMES_VA, EMPTY_PATH]), 0);
  assert.equal(box.stat("/f").mtime, { sec: 3, nsec: 4 });
  box.rootMount.flags |= MNT_RDONLY;
  assert.is(box.touch("/f"), -EROFS);
});

test("utimensat: a link itself, or what it names", () => {
  const box = new TimesBox();
  box.creat("/f");
  assert.is(box.call(36, [box.at(PATH_VA, "f"), CWD, box.at(PATH2_VA, "/l")]), 0);
  assert.is(box.utimens("/l", [1, 1], [1, 1], NOFOLLOW), 0);
  assert.equal([box.stat("/l").mtime.sec, box.stat("/f").mtime.sec], [1, NOW.sec]);
  assert.is(box.utimens("/l", [2, 2], [2, 2]), 0);
  assert.equal([box.stat("/l").mtime.sec, box.stat("/f").mtime.sec], [1, 2]);
});

test("who may write a file may touch it; any other time is the owner's to set", () => {
  const box = new TimesBox(), other = box.user(1000);
  box.creat("/f");
  const f = box.open("/f", O_RDWR), fd = box.me.fds.files.indexOf(f);
  assert.is(box.touch("/f", other), -EACCES);
  assert.is(box.utimens("/f", [0, UTIME_NOW], [0, UTIME_NOW], 0, other), -EACCES);
  assert.is(box.utimens("/f", [0, UTIME_NOW], [0, UTIME_OMIT], 0, other), -EPERM);
  assert.is(box.call(FCHMOD, [fd, 0o666]), 0);
  assert.is(box.touch("/f", other), 0);
  assert.is(box.utimens("/f", [0, UTIME_NOW], [0, UTIME_NOW], 0, other), 0);
  assert.is(box.utimens("/f", [0, UTIME_NOW], [0, UTIME_OMIT], 0, other), -EPERM);
  const { sec, nsec } = box.now;
  assert.is(box.utimens("/f", [sec, nsec], [sec, nsec], 0, other), -EPERM, "that it is now does not make it a touch");
  assert.is(box.call(FCHOWN, [fd, 1000, 1000]), 0);
  assert.is(box.call(FCHMOD, [fd, 0]), 0);
  assert.is(box.touch("/f", other), 0, "the owner needs no permission");
  assert.is(box.utimens("/f", [1, 2], [3, 4], 0, other), 0);
});

/** Does something a nanosecond later. => which times of the file that changed: letters a, m, c */
function stamps(box: TimesBox, path: string, act: () => number): string {
  const before = box.stat(path);
  box.pass(1);
  assert.ok(act() >= 0);
  const after = box.stat(path);
  return (["atime", "mtime", "ctime"] as const).filter((w) => compareTimes(after[w], before[w]) !== 0).map((w) => w[0]).join("");
}

test("what each call stamps", () => {
  const box = new TimesBox();
  box.mknod("/d", VDIR, 0o755);
  box.mknod("/e", VDIR, 0o755);
  box.creat("/d/f");
  const f = box.open("/d/f", O_RDWR), fd = box.me.fds.files.indexOf(f), path = (p: string): number => box.at(PATH_VA, p), path2 = (p: string): number => box.at(PATH2_VA, p);
  const of = (what: string, act: () => number): string => stamps(box, what, act);
  assert.is(of("/d/f", () => box.call(FCHMOD, [fd, 0o600])), "c");
  assert.is(of("/d/f", () => box.call(FCHOWN, [fd, -1, -1])), "c");
  assert.is(of("/d/f", () => box.write(f, "more") as number), "mc");
  assert.is(of("/d/f", () => box.call(TRUNCATE, [path("/d/f"), 2])), "mc");
  assert.is(of("/d/f", () => box.call(TRUNCATE, [path("/d/f"), 2])), "", "the size it has already");
  assert.is(of("/d/f", () => box.call(FTRUNCATE, [fd, 2])), "mc", "ftruncate always");
  const link = (): number => box.call(LINKAT, [CWD, path("/d/f"), CWD, path2("/d/g"), 0]), unlink = (): number => box.call(UNLINKAT, [CWD, path("/d/g"), 0]);
  assert.is(of("/d/f", link), "c");
  assert.is(of("/d/f", unlink), "c");
  assert.is(of("/d", link), "mc");
  assert.is(of("/d", unlink), "mc");
  const move = (): number => box.call(RENAMEAT2, [CWD, path("/d/f"), CWD, path2("/e/f"), 0]), back = (): number => box.call(RENAMEAT2, [CWD, path("/e/f"), CWD, path2("/d/f"), 0]);
  assert.is(of("/d", move), "mc");
  assert.is(of("/d", back), "mc");
  assert.is(of("/e", move), "mc");
  const before = box.stat("/e/f");
  box.pass(1);
  assert.is(back(), 0);
  assert.equal([box.stat("/d/f").mtime, box.stat("/d/f").ctime], [before.mtime, box.now]);
  box.creat("/e/x");
  const swap = (): number => box.call(RENAMEAT2, [CWD, path("/d/f"), CWD, path2("/e/x"), 2]);
  box.pass(1);
  assert.is(swap(), 0);
  for (const p of ["/d", "/e", "/d/f", "/e/x"]) assert.equal(box.stat(p).ctime, box.now, p);
  assert.is(of("/d", () => {
    box.mknod("/d/sub", VDIR, 0o755);
    return 0;
  }), "mc");
});

test("reading stamps a file that changed since, or once a day: relatime", () => {
  const box = new TimesBox();
  box.creat("/f");
  box.pass(1);
  assert.ok(box.reads("/f"), "written since it was read");
  box.pass(1e9);
  assert.not.ok(box.reads("/f"), "read since it was written");
  box.pass((DAY - 2) * 1e9);
  assert.not.ok(box.reads("/f"));
  box.pass(2e9);
  assert.ok(box.reads("/f"), "a day later");
  box.pass(1);
  const f = box.open("/f", O_RDONLY);
  assert.is(box.call(FCHMOD, [box.me.fds.files.indexOf(f), 0o600]), 0);
  box.pass(1);
  assert.ok(box.reads("/f"), "its attributes changed since");
  assert.is(box.utimens("/f", [1, 1], [2, 2]), 0);
  box.pass(1);
  assert.not.ok(box.reads("/f", O_RDONLY | O_NOATIME));
  assert.ok(box.reads("/f"));
});

test("noatime, nodiratime, strictatime, read-only", () => {
  const box = new TimesBox(), m = box.rootMount, plain = m.flags;
  const ls = (): string => stamps(box, "/d", () => {
    const f = box.open("/d", O_RDONLY), n = box.call(GETDENTS, [box.me.fds.files.indexOf(f), OUT_VA, 512]);
    box.closeFile(f);
    return n;
  });
  box.mknod("/d", VDIR, 0o755);
  box.creat("/f");
  for (const [flags, file, dir] of [[MNT_NOATIME, false, ""], [MNT_RDONLY, false, ""], [MNT_NODIRATIME, true, ""], [MNT_STRICTATIME, true, "a"], [MNT_STRICTATIME, true, "a"], [0, false, ""]] as const) {
    m.flags = plain | flags;
    box.pass(1);
    assert.is(box.reads("/f"), file, `file, flags ${flags}`);
    assert.is(ls(), dir, `directory, flags ${flags}`);
  }
});

test("mount's flags about time of access, and how they are shown", () => {
  const REL = 1 << 21, STRICT = MNT_STRICTATIME, NO = MNT_NOATIME, NODIR = MNT_NODIRATIME;
  for (const [asked, had, kept, shown] of [[0, 0, 0, "relatime"], [NO, 0, NO, "noatime"], [NODIR, NO, NODIR, "nodiratime,relatime"], [STRICT | NO, 0, STRICT, ""], [REL, STRICT, 0, "relatime"],
    [0, NO | NODIR, NO | NODIR, "noatime,nodiratime"], [REL | NO, 0, NO, "noatime"]] as const) {
    assert.is(atimeFlags(asked | 1, had), kept);
    assert.is(atimeOptions(kept).join(), shown);
  }
  const box = new TimesBox(), plain = box.rootMount.flags;
  for (const [flags, told] of [[0, 0x1020], [NO, 0x420], [NODIR, 0x1820], [STRICT, 0x20], [MNT_RDONLY, 0x1021]] as const) {
    box.rootMount.flags = plain | flags;
    assert.is(box.call(STATFS, [box.at(PATH_VA, "/"), OUT_VA]), 0);
    assert.is(box.peek(OUT_VA, 120).getInt32(80, true), told, `f_flags for ${flags}`);
  }
});

test("following and reading a link stamps the link", () => {
  const box = new TimesBox();
  box.creat("/f");
  assert.is(box.call(36, [box.at(PATH_VA, "f"), CWD, box.at(PATH2_VA, "/l")]), 0);
  assert.is(stamps(box, "/l", () => box.call(READLINKAT, [CWD, box.at(PATH_VA, "/l"), OUT_VA, 100])), "a");
  assert.is(box.utimens("/l", [1, 1], [1, 1], NOFOLLOW), 0);
  assert.is(stamps(box, "/l", () => {
    box.stat("/l", 0);
    return 0;
  }), "a");
});

test("pipes have the times of their last bytes, FIFOs those of their node", () => {
  const box = new TimesBox(), [r, w] = box.pipes.create(0);
  const times = (): Stat => {
    const a = box.run(r.ops.stat(r));
    assert.ok(typeof a !== "number");
    return { atime: a.atime, mtime: a.mtime, ctime: a.ctime };
  };
  const made = box.now;
  box.pass(1);
  box.write(w, "x");
  assert.equal(times(), { atime: made, mtime: box.now, ctime: box.now });
  const written = box.now;
  box.pass(1);
  box.read(r, 1);
  assert.equal(times(), { atime: box.now, mtime: written, ctime: written });
  box.mknod("/fifo", VFIFO);
  const f = box.open("/fifo", O_RDWR);
  assert.is(stamps(box, "/fifo", () => box.write(f, "x") as number), "mc");
  assert.is(stamps(box, "/fifo", () => {
    box.read(f, 1);
    return 0;
  }), "a");
});

test("statx: birth only when asked for and known, attributes of the mount, what is refused", () => {
  const box = new TimesBox();
  box.pass(77);
  box.creat("/f");
  const born = box.now;
  box.pass(1);
  assert.is(box.utimens("/f", [1, 1], [1, 1]), 0);
  const asked = box.statx("/f", BASIC | BTIME), basic = box.statx("/f", BASIC), root = box.statx("/", BASIC), proc = box.statx("/proc", BASIC | BTIME);
  assert.ok(typeof asked !== "number" && typeof basic !== "number" && typeof root !== "number" && typeof proc !== "number");
  assert.equal([asked.mask, asked.btime], [BASIC | BTIME, born]);
  assert.equal([basic.mask, basic.btime], [BASIC, { sec: 0, nsec: 0 }]);
  assert.is(proc.mask, BASIC, "procfs knows none");
  assert.equal([asked.attributes, root.attributes, proc.attributes], [0, 0x2000, 0x2000]);
  assert.is(asked.known & 0x2000, 0x2000);
  assert.is(box.statx("/f", -0x80000000), -EINVAL, "reserved bit");
  assert.is(box.statx("/f", BASIC, 0x6000), -EINVAL, "both kinds of sync");
  assert.is(box.statx("/f", BASIC, 0x200), -EINVAL, "unknown flag");
  assert.ok(typeof box.statx("/f", BASIC, 0x4000) !== "number");
});

test("a synthetic file has the times of its mount until they are set", () => {
  const box = new TimesBox(), made = box.stat("/proc/uptime");
  assert.equal(made, { atime: NOW, mtime: NOW, ctime: NOW });
  box.pass(5);
  box.text("/proc/uptime");
  assert.equal(box.stat("/proc/uptime"), made, "reading leaves no trace");
  const f = box.open("/proc/uptime", O_RDONLY);
  assert.is(box.utimens("/proc/uptime", [-7, 8], [0, UTIME_OMIT]), 0);
  assert.equal(box.stat("/proc/uptime"), { atime: { sec: -7, nsec: 8 }, mtime: NOW, ctime: box.now });
  box.closeFile(f);
});

test("a terminal's times move in steps of eight seconds", () => {
  const box = new TimesBox(), t = new FileTimes(box.ctx.wall), first = t.mtime.value();
  box.pass(1e9);
  t.used(true);
  assert.equal(t.mtime.value(), first);
  box.pass(8e9 + 5);
  t.used(true);
  t.used(false);
  assert.equal([t.mtime.value(), t.atime.value(), t.ctime.value()], [{ sec: NOW.sec + 9, nsec: 0 }, { sec: NOW.sec + 9, nsec: 0 }, NOW]);
});

test("O_NOATIME is the owner's", () => {
  const box = new TimesBox(), other = box.user(1000);
  box.creat("/f");
  assert.is(box.run(box.opening("/f", O_RDONLY | O_NOATIME, other), other), -EPERM);
  const fd = box.run(box.opening("/f", O_RDONLY, other), other);
  assert.ok(fd >= 0);
  assert.is(box.call(25, [fd, 4, O_NOATIME], other), -EPERM, "nor by fcntl");
  assert.ok(box.run(box.opening("/f", O_RDONLY | O_NOATIME)) >= 0);
});

test.run();
