// Attributes of pipes and sockets without a name: changed through a descriptor, told by fstat.
import { Cred } from "../../kernel/kern/cred.ts";
import { EventFdOps } from "../../kernel/kern/eventfd.ts";
import type { OpenFile } from "../../kernel/kern/file.ts";
import { EINVAL, ENOTDIR, EOPNOTSUPP, EPERM } from "../../kernel/lib/errno.ts";
import { ATTR_CALLS } from "../../kernel/sys/attr.ts";
import { PATH_CALLS } from "../../kernel/sys/path.ts";
import { STAT_CALLS } from "../../kernel/sys/stat.ts";
import type { Attr } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("anoninode"), FCHDIR = 50, FCHMOD = 52, FCHOWN = 55, UTIMENSAT = 88;

test("fchmod, fchown and futimens work on both ends of a pipe, and on a socket", () => {
  const box = new KernBox(), t = box.me.mainThread, pipe = box.pipes.create(0), sockets = box.sockets.socketpair(t, 1, 1, 0) as readonly [OpenFile, OpenFile];
  const stat = (f: OpenFile): Attr => box.run(f.ops.stat(f)) as Attr;
  box.mapUser(1);
  box.poke(USER_VA, BigInt64Array.of(5n, 6n, 7n, 8n));
  for (const [f, isShared] of [[pipe, true], [sockets, false]] as const) {
    const fd = box.me.fds.alloc(f[0], 64, false), call = (rows: typeof ATTR_CALLS, nr: number, ...args: number[]) => box.run(box.syscall(rows, nr, t, fd, ...args));
    assert.equal([call(ATTR_CALLS, FCHMOD, 0o123), call(ATTR_CALLS, FCHOWN, 7, 8), call(STAT_CALLS, UTIMENSAT, 0, USER_VA, 0)], [0, 0, 0]);
    const { mode, uid, gid, atime, mtime, ctime } = stat(f[0]);
    assert.equal([mode, uid, gid, atime, mtime, ctime.sec > 1000], [0o123, 7, 8, { sec: 5, nsec: 6 }, { sec: 7, nsec: 8 }, true]);
    assert.is(stat(f[1]).mode === 0o123, isShared, "the ends of a pipe are one file, two sockets are two");
    assert.is(call(PATH_CALLS, FCHDIR), -ENOTDIR);
    box.me.cred = new Cred(1000);
    assert.equal([call(ATTR_CALLS, FCHMOD, 0o777), call(ATTR_CALLS, FCHOWN, 1000, -1)], [-EPERM, -EPERM]);
    box.me.cred = new Cred(0);
    assert.is(box.run(f[0].ops.inode!(f[0])!.setattr({ size: 1 })), -EINVAL);
  }
});

test("a file of events has no attributes of its own", () => {
  const box = new KernBox(), fd = box.me.fds.alloc(new EventFdOps(box.k).create(0, false, 0), 64, false);
  assert.is(box.run(box.syscall(ATTR_CALLS, FCHMOD, box.me.mainThread, fd, 0o600)), -EOPNOTSUPP);
});

test.run();
