// fallocate(2): room set aside and holes punched in files of a tmpfs, its limit, and what other files answer.
import { O_CREAT, O_PATH, O_RDONLY, O_RDWR, O_WRONLY, type OpenFile } from "../../kernel/kern/file.ts";
import { RLIMIT_FSIZE } from "../../kernel/kern/rlimit.ts";
import { EBADF, EFBIG, EINVAL, ENODEV, ENOSPC, EOPNOTSUPP, ESPIPE } from "../../kernel/lib/errno.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { latin1, toBytes } from "../../kernel/uvm/uio.ts";
import type { Attr } from "../../kernel/vfs/vnode.ts";
import { VDIR } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("fallocate");
const FALLOCATE = 47, FTRUNCATE = 46, PREAD = 67, PWRITE = 68, PAGE = 4096, SECTORS = PAGE / 512;
const KEEP = 1, PUNCH = 2, COLLAPSE = 8, ZERO = 16, INSERT = 32, UNSHARE = 64;

class Box extends KernBox {
  constructor() {
    super();
    this.mapUser(4);
  }

  fd(f: OpenFile): number {
    return this.me.fds.files.indexOf(f);
  }

  call(nr: number, ...args: number[]): number {
    return this.run(this.syscall(FILE_CALLS, nr, this.me.mainThread, ...args));
  }

  file(text = ""): OpenFile {
    const f = this.open("/f", O_RDWR | O_CREAT);
    if (text !== "") assert.is(this.write(f, text), text.length);
    return f;
  }

  fallocate(f: OpenFile, mode: number, offset: number, len: number): number {
    return this.call(FALLOCATE, this.fd(f), mode, offset, len);
  }

  stat(f: OpenFile): Attr {
    const a = this.run(f.ops.stat(f));
    assert.ok(typeof a !== "number");
    return a;
  }

  /** Size in bytes and pages taken. */
  room(f: OpenFile): [number, number] {
    const a = this.stat(f);
    return [a.size, a.blocks / SECTORS];
  }

  pread(f: OpenFile, offset: number, n: number): string {
    const got = this.call(PREAD, this.fd(f), USER_VA, n, offset);
    assert.ok(got >= 0);
    const d = this.peek(USER_VA, got);
    return latin1(new Uint8Array(d.buffer));
  }

  pwrite(f: OpenFile, text: string, offset: number): number {
    this.poke(USER_VA, toBytes(text));
    return this.call(PWRITE, this.fd(f), USER_VA, text.length, offset);
  }
}

const zeros = (n: number): string => "\0".repeat(n);

test("room is set aside and the file grows, what it holds stays", () => {
  const box = new Box(), f = box.file("hello");
  assert.is(box.fallocate(f, 0, 2, 3 * PAGE), 0);
  assert.equal(box.room(f), [3 * PAGE + 2, 4]);
  assert.is(box.pread(f, 0, 8), `hello${zeros(3)}`);
  assert.is(box.pread(f, 3 * PAGE - 2, 4), zeros(4));
  assert.is(box.fallocate(f, 0, 0, PAGE), 0, "never smaller");
  assert.equal(box.room(f), [3 * PAGE + 2, 4]);
  assert.is(box.fallocate(f, 0, 10 * PAGE, PAGE), 0, "behind a hole");
  assert.equal(box.room(f), [11 * PAGE, 5]);
});

test("with KEEP_SIZE the room lies behind the end, and is zeroes when the file grows over it", () => {
  const box = new Box(), f = box.file("hello");
  assert.is(box.fallocate(f, KEEP, 0, 4 * PAGE), 0);
  assert.equal(box.room(f), [5, 4]);
  assert.is(box.pread(f, 0, 100), "hello");
  assert.is(box.pwrite(f, "x", 2 * PAGE + 7), 1);
  assert.equal(box.room(f), [2 * PAGE + 8, 4]);
  assert.is(box.pread(f, 2 * PAGE, 100), `${zeros(7)}x`);
  assert.is(box.call(FTRUNCATE, box.fd(f), 4 * PAGE), 0);
  assert.is(box.pread(f, 2 * PAGE + 7, 3), `x${zeros(2)}`);
  assert.is(box.fallocate(f, KEEP, 4 * PAGE, 2 * PAGE), 0);
  assert.is(box.call(FTRUNCATE, box.fd(f), 4 * PAGE), 0);
  assert.equal(box.room(f), [4 * PAGE, 4], "truncation frees what lies behind the end");
});

test("a hole gives whole pages back and zeroes the rest; the size stays", () => {
  const box = new Box(), f = box.file("a".repeat(5 * PAGE));
  assert.is(box.fallocate(f, PUNCH | KEEP, PAGE - 3, 2 * PAGE + 5), 0);
  assert.equal(box.room(f), [5 * PAGE, 3]);
  assert.is(box.pread(f, PAGE - 5, 5), `aa${zeros(3)}`);
  assert.is(box.pread(f, 3 * PAGE, 4), `${zeros(2)}aa`);
  assert.is(box.fallocate(f, PUNCH | KEEP, 10, 5), 0, "inside a page");
  assert.is(box.pread(f, 8, 9), `aa${zeros(5)}aa`);
  assert.is(box.fallocate(f, PUNCH | KEEP, 2 * PAGE, 100 * PAGE), 0, "beyond the end");
  assert.equal(box.room(f), [5 * PAGE, 1]);
  assert.is(box.pread(f, PAGE - 5, 4 * PAGE).replaceAll("\0", ""), "aa");
  assert.is(box.pwrite(f, "back", 4 * PAGE), 4);
  assert.is(box.pread(f, 4 * PAGE, 6), `back${zeros(2)}`);
});

test("both stamp the file", () => {
  const box = new Box(), f = box.file("hello");
  for (const mode of [0, KEEP, PUNCH | KEEP]) {
    box.sched.timeNs += 1;
    assert.is(box.fallocate(f, mode, 0, PAGE), 0);
    const { mtime, ctime } = box.stat(f);
    assert.equal([mtime.nsec, ctime.nsec], [box.sched.timeNs % 1e9, box.sched.timeNs % 1e9]);
  }
});

test("the file system's limit: all of it or nothing", () => {
  const box = new Box(), f = box.file("hello"), root = box.k.vfs.mounts[0]!, free = root.statfs().blocksFree;
  assert.is(box.fallocate(f, 0, 0, (free + 2) * PAGE), -ENOSPC);
  assert.equal(box.room(f), [5, 1], "what was taken went back");
  assert.is(box.pread(f, 0, 100), "hello");
  assert.is(root.statfs().blocksFree, free);
  assert.is(box.fallocate(f, 0, 0, 2 ** 39), -ENOSPC);
  assert.is(box.fallocate(f, KEEP, 0, 20 * PAGE), 0);
  assert.is(root.statfs().blocksFree, free - 19);
  assert.is(box.fallocate(f, PUNCH | KEEP, 0, 20 * PAGE), 0);
  assert.is(root.statfs().blocksFree, free + 1);
});

test("what cannot be: numbers, modes, sizes", () => {
  const box = new Box(), f = box.file("hello");
  assert.is(box.fallocate(f, 0, -1, 10), -EINVAL);
  assert.is(box.fallocate(f, 0, 0, 0), -EINVAL);
  assert.is(box.fallocate(f, 0, 0, -1), -EINVAL);
  for (const mode of [4, 0x80, PUNCH, PUNCH | ZERO | KEEP, ZERO, ZERO | KEEP, COLLAPSE, INSERT, UNSHARE]) assert.is(box.fallocate(f, mode, 0, PAGE), -EOPNOTSUPP, `mode ${mode}`);
  for (const mode of [COLLAPSE | KEEP, INSERT | KEEP, UNSHARE | ZERO]) assert.is(box.fallocate(f, mode, 0, PAGE), -EINVAL, `mode ${mode}`);
  assert.is(box.fallocate(f, 0, 2 ** 62, 2 ** 62), -EFBIG);
  assert.is(box.fallocate(f, 0, 2 ** 50, 1), -EFBIG);
  assert.equal(box.room(f), [5, 1]);
  box.me.limits.soft[RLIMIT_FSIZE] = PAGE;
  assert.is(box.fallocate(f, 0, 0, PAGE + 1), -EFBIG, "RLIMIT_FSIZE");
  assert.is(box.fallocate(f, KEEP, 0, PAGE + 1), 0, "the size stays");
});

test("files that are none, or not writable", () => {
  const box = new Box(), [, w] = box.pipes.create(0);
  box.file("hello");
  box.mknod("/d", VDIR, 0o755);
  box.mknod("/fifo");
  assert.is(box.call(FALLOCATE, 99, 0, 0, 1), -EBADF);
  for (const [path, flags] of [["/f", O_RDONLY], ["/f", O_PATH], ["/d", O_RDONLY]] as const) assert.is(box.fallocate(box.open(path, flags), 0, 0, 1), -EBADF, path);
  assert.is(box.fallocate(box.open("/f", O_RDONLY), 0, 0, 0), -EINVAL, "numbers first");
  assert.is(box.fallocate(box.open("/fifo", O_RDWR), 0, 0, 1), -ESPIPE);
  assert.is(box.call(FALLOCATE, box.me.fds.alloc(w, 100, false), 0, 0, 1), -ESPIPE);
  const s = box.sockets.socketpair(box.me.mainThread, 1, 1, 0);
  assert.ok(typeof s !== "number");
  assert.is(box.call(FALLOCATE, box.me.fds.alloc(s[0], 100, false), 0, 0, 1), -ENODEV);
  assert.is(box.fallocate(box.open("/f", O_WRONLY), 0, 0, 1), 0);
});

test.run();
