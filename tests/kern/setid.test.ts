// Set-id programs and files: whose rights a program begins with, and what takes the bits away; remounting.
import { CAP_KILL } from "../../kernel/kern/caps.ts";
import { Cred } from "../../kernel/kern/cred.ts";
import { O_CREAT, O_RDWR, type OpenFile } from "../../kernel/kern/file.ts";
import { credOfProgram, isSecure } from "../../kernel/kern/setid.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { MOUNT_CALLS } from "../../kernel/sys/mount.ts";
import { PROC_CALLS } from "../../kernel/sys/proc.ts";
import { MNT_NOSUID } from "../../kernel/vfs/mount.ts";
import type { Vnode } from "../../kernel/vfs/vnode.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("set-id"), USER = new Cred(5, 5, 5, 6, 6, 6), PRCTL = 167, NO_NEW_PRIVS = 38, MOUNT = 40, FTRUNCATE = 46, EINVAL = 22, REMOUNT = 32;

class Box extends KernBox {
  readonly f: OpenFile;
  constructor(mode: number) {
    super();
    this.mapUser(2);
    this.f = this.open("/f", O_RDWR | O_CREAT);
    assert.is(this.run(this.v.setattr({ mode, uid: 0, gid: 9 })), 0);
  }

  get v(): Vnode {
    return this.f.vnode!;
  }

  get mode(): string {
    return (this.v.getattr().mode & 0o7777).toString(8);
  }

  ids(): number[] {
    const c = credOfProgram(this.me, this.v);
    return [c.uid, c.euid, c.suid, c.gid, c.egid, c.sgid];
  }
}

test("a program has its file's ids where the bits say so, and keeps them as saved", () => {
  const box = new Box(0o6755);
  box.me.cred = USER;
  const c = credOfProgram(box.me, box.v);
  assert.equal([box.ids(), isSecure(c), c.can(CAP_KILL), isSecure(USER)], [[5, 0, 0, 6, 9, 9], true, true, false]);
  box.run(box.v.setattr({ mode: 0o2745 }));
  assert.equal(box.ids(), [5, 5, 5, 6, 6, 6], "set-group-ID that the group may not execute");
  box.run(box.v.setattr({ mode: 0o4755, uid: 7 }));
  assert.equal(box.ids(), [5, 7, 7, 6, 6, 6]);
  assert.is(credOfProgram(box.me, box.v).can(CAP_KILL), false);
});

test("what was effective is saved, and a mount without set-id and no_new_privs give nothing", () => {
  const box = new Box(0o6755);
  box.me.cred = new Cred(5, 3, 0);
  box.v.mount.flags |= MNT_NOSUID;
  assert.equal(box.ids().slice(0, 3), [5, 3, 3]);
  box.v.mount.flags &= ~MNT_NOSUID;
  assert.equal(box.ids().slice(0, 3), [5, 0, 0]);
  const prctl = (...args: number[]) => box.run(box.syscall(PROC_CALLS, PRCTL, box.me.mainThread, ...args));
  assert.equal([prctl(NO_NEW_PRIVS, 0), prctl(NO_NEW_PRIVS, 1, 1), prctl(NO_NEW_PRIVS + 1), prctl(NO_NEW_PRIVS, 1, 0, 0, 0), prctl(NO_NEW_PRIVS + 1)], [-EINVAL, -EINVAL, 0, 0, 1]);
  assert.equal(box.ids().slice(0, 3), [5, 3, 3]);
  assert.match(box.text("/proc/self/status"), /\nNoNewPrivs:\t1\n/);
});

test("the bits go when somebody else writes or cuts, not when the superuser does", () => {
  const box = new Box(0o6775);
  assert.is(box.write(box.f, "x"), 1);
  assert.is(box.mode, "6775");
  box.me.cred = USER;
  assert.is(box.write(box.f, "x"), 1);
  assert.is(box.mode, "775");
  box.run(box.v.setattr({ mode: 0o6765 }));
  assert.is(box.run(box.syscall(FILE_CALLS, FTRUNCATE, box.me.mainThread, box.me.fds.files.indexOf(box.f), 1)), 0);
  assert.is(box.mode, "2765", "no execution for the group");
});

test("remount wants where a file system is mounted", () => {
  const box = new Box(0o644);
  box.mknod("/d", 2, 0o755);
  box.poke(USER_VA, new TextEncoder().encode("/\0/d\0"));
  const remount = (at: number) => box.run(box.syscall(MOUNT_CALLS, MOUNT, box.me.mainThread, 0, USER_VA + at, 0, REMOUNT | MNT_NOSUID, 0));
  assert.equal([remount(2), box.v.mount.flags & MNT_NOSUID], [-EINVAL, 0]);
  assert.equal([remount(0), box.v.mount.flags & MNT_NOSUID], [0, MNT_NOSUID]);
});

test.run();
