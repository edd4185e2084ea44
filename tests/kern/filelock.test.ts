// Advisory locks: what conflicts, what becomes of ranges, who waits and for how long, and when a lock goes by itself.
import { FdTable } from "../../kernel/kern/fdtable.ts";
import { O_PATH, O_RDONLY, O_RDWR, O_WRONLY, type OpenFile } from "../../kernel/kern/file.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK, type FileLock, LK_OFD, LK_POSIX, LOCK_END, LOCKS_MAX, LockTable, setFileLock } from "../../kernel/kern/filelock.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import { EAGAIN, EBADF, EDEADLK, EFAULT, EINTR, EINVAL, ENOLCK, EOVERFLOW } from "../../kernel/lib/errno.ts";
import { KContext, type KGen, runNoSleep } from "../../kernel/lib/kthread.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { lockRange } from "../../kernel/sys/filelock.ts";
import { type Call, KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("filelock");
const FLOCK = 32, FCNTL = 25, CLOSE = 57, DUP3 = 24;
const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8;
const F_GETLK = 5, F_SETLK = 6, F_SETLKW = 7, F_OFD_GETLK = 36, F_OFD_SETLK = 37, F_OFD_SETLKW = 38;
const SET = 0, CUR = 1, END = 2;

class LockBox extends KernBox {
  constructor() {
    super();
    this.mapUser(1);
  }

  /** A process with memory. */
  fork(): Process {
    const p = this.child();
    this.mapUser(1, p);
    p.fds = this.me.fds.copy();
    return p;
  }

  openFd(path = "/f", flags = O_RDWR, p = this.me): number {
    return this.run(this.opening(path, flags | 0o100, p), p);
  }

  private *lockCall(fd: number, cmd: number): KGen<number> {
    return yield* this.syscall(FILE_CALLS, FCNTL, this.ctx.cur as Process["mainThread"], fd, cmd, USER_VA);
  }

  private put(p: Process, type: number, start: number, len: number, whence: number, pid = 0): void {
    const d = new DataView(new ArrayBuffer(32));
    d.setInt16(0, type, true);
    d.setInt16(2, whence, true);
    d.setBigInt64(8, BigInt(start), true);
    d.setBigInt64(16, BigInt(len), true);
    d.setInt32(24, pid, true);
    this.poke(USER_VA, d, p);
  }

  /** fcntl with a lock, begun. */
  ask(p: Process, fd: number, cmd: number, type: number, start = 0, len = 0, whence = SET): Call<number> {
    this.put(p, type, start, len, whence);
    return this.begin(() => this.lockCall(fd, cmd), p);
  }

  /** The same, which may not sleep. */
  lock(p: Process, fd: number, cmd: number, type: number, start = 0, len = 0, whence = SET): number {
    const c = this.ask(p, fd, cmd, type, start, len, whence);
    assert.is(c.sleepsAt, "");
    return c.result!;
  }

  /** F_GETLK: "R 0+10 by PID" or "-". */
  who(p: Process, fd: number, type = F_WRLCK, start = 0, len = 0, cmd = F_GETLK): string {
    assert.is(this.lock(p, fd, cmd, type, start, len), 0);
    const d = this.peek(USER_VA, 32, p), found = d.getInt16(0, true);
    return found === F_UNLCK ? "-" : `${"RW"[found]} ${d.getBigInt64(8, true)}+${d.getBigInt64(16, true)} by ${d.getInt32(24, true)}`;
  }

  flock(p: Process, fd: number, op: number): Call<number> {
    return this.begin((t) => this.syscall(FILE_CALLS, FLOCK, t, fd, op), p);
  }

  call(p: Process, nr: number, ...args: number[]): number {
    const r = this.run(this.syscall(FILE_CALLS, nr, p.mainThread, ...args), p);
    this.sched.settle();
    return r;
  }

  locks(): string[] {
    return this.text("/proc/locks").split("\n").slice(0, -1).map((l) => l.replace(/ [0-9a-f]+:[0-9a-f]+:\d+ /, " "));
  }
}

test("readers share, a writer is alone; F_GETLK tells who is in the way and where", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), other = box.fork();
  assert.is(box.lock(me, fd, F_SETLK, F_RDLCK, 0, 10), 0);
  assert.is(box.lock(other, fd, F_SETLK, F_RDLCK, 5, 10), 0);
  assert.is(box.lock(other, fd, F_SETLK, F_WRLCK, 9, 1), -EAGAIN);
  assert.is(box.lock(other, fd, F_SETLK, F_WRLCK, 10, 5), 0);
  assert.is(box.who(me, fd, F_RDLCK), `W 10+5 by ${other.pid}`);
  assert.is(box.who(me, fd, F_WRLCK), `R 5+5 by ${other.pid}`);
  assert.is(box.who(me, fd, F_WRLCK, 0, 5), "-");
  assert.is(box.who(other, fd, F_WRLCK), `R 0+10 by ${me.pid}`);
  assert.is(box.who(other, fd, F_RDLCK), "-");
  assert.is(box.lock(me, fd, F_GETLK, F_UNLCK), -EINVAL);
});

test("a process's own locks never stand against it: they are split, joined and changed", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd();
  box.lock(me, fd, F_SETLK, F_WRLCK, 0, 30);
  box.lock(me, fd, F_SETLK, F_RDLCK, 10, 10);
  assert.equal(box.locks(), [`1: POSIX  ADVISORY  WRITE ${me.pid} 0 9`, `2: POSIX  ADVISORY  READ ${me.pid} 10 19`, `3: POSIX  ADVISORY  WRITE ${me.pid} 20 29`]);
  box.lock(me, fd, F_SETLK, F_UNLCK, 5, 20);
  assert.equal(box.locks().map((l) => l.split(" ").slice(-2).join("-")), ["0-4", "25-29"]);
  box.lock(me, fd, F_SETLK, F_WRLCK, 5, 20);
  assert.equal(box.locks(), [`1: POSIX  ADVISORY  WRITE ${me.pid} 0 29`]);
  box.lock(me, fd, F_SETLK, F_WRLCK, 30, 0);
  assert.equal(box.locks(), [`1: POSIX  ADVISORY  WRITE ${me.pid} 0 EOF`]);
  box.lock(me, fd, F_SETLK, F_UNLCK);
  assert.equal([box.locks(), box.k.locks.lists.size], [[], 0]);
});

test("ranges: from the position, from the end, backwards, and out of bounds", () => {
  const at = { position: 100, size: 1000 };
  assert.equal(lockRange(SET, 5n, 0n, at), { start: 5n, end: LOCK_END });
  assert.equal(lockRange(CUR, -10n, 20n, at), { start: 90n, end: 110n });
  assert.equal(lockRange(END, 0n, -100n, at), { start: 900n, end: 1000n });
  assert.equal(lockRange(SET, LOCK_END - 1n, 1n, at), { start: LOCK_END - 1n, end: LOCK_END });
  assert.is(lockRange(CUR, LOCK_END - 1n, 1n, at), -EOVERFLOW);
  assert.is(lockRange(SET, 2n, LOCK_END - 1n, at), -EOVERFLOW);
  assert.is(lockRange(CUR, -101n, 1n, at), -EINVAL);
  assert.is(lockRange(SET, 5n, -6n, at), -EINVAL);
  assert.is(lockRange(3, 0n, 0n, at), -EINVAL);
  const box = new LockBox(), { me } = box, fd = box.openFd(), f = box.fileOf(fd);
  box.write(f, "0123456789");
  assert.is(box.lock(me, fd, F_SETLK, F_WRLCK, -2, 1, CUR), 0);
  assert.is(box.lock(me, fd, F_SETLK, F_WRLCK, 0, -5, END), 0);
  assert.equal(box.locks(), [`1: POSIX  ADVISORY  WRITE ${me.pid} 5 9`]);
  assert.is(box.lock(me, fd, F_SETLK, 7), -EINVAL);
});

test("a lock to read wants a descriptor to read by, one to write one to write by; a path is neither", () => {
  const box = new LockBox(), { me } = box, rw = box.openFd(), r = box.openFd("/f", O_RDONLY), w = box.openFd("/f", O_WRONLY), path = box.openFd("/f", O_PATH);
  assert.equal([r, w, rw].map((fd) => box.lock(me, fd, F_SETLK, F_RDLCK)), [0, -EBADF, 0]);
  assert.equal([r, w, rw].map((fd) => box.lock(me, fd, F_SETLK, F_WRLCK)), [-EBADF, 0, 0]);
  assert.equal([F_SETLK, F_GETLK, F_OFD_SETLK].map((cmd) => box.lock(me, path, cmd, F_RDLCK)), [-EBADF, -EBADF, -EBADF]);
  assert.is(box.flock(me, path, LOCK_SH).result, -EBADF);
  assert.is(box.flock(me, 99, LOCK_SH).result, -EBADF);
  assert.is(box.flock(me, r, LOCK_EX).result, 0);
  assert.equal([0, 3, 16, LOCK_NB].map((op) => box.flock(me, r, op).result), [-EINVAL, -EINVAL, -EINVAL, -EINVAL]);
  assert.is(box.call(me, FCNTL, rw, F_SETLK, 0x7000_0000), -EFAULT);
});

test("who waits gets it when it is given up, in order; a signal ends the wait", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), a = box.fork(), b = box.fork();
  box.lock(me, fd, F_SETLK, F_WRLCK, 0, 100);
  const first = box.ask(a, fd, F_SETLKW, F_WRLCK, 50, 10), second = box.ask(b, fd, F_SETLKW, F_RDLCK, 55, 1);
  assert.equal([first.sleepsAt, second.sleepsAt], ["fcntllk", "fcntllk"]);
  assert.equal(box.locks(), [`1: POSIX  ADVISORY  WRITE ${me.pid} 0 99`, `1: -> POSIX  ADVISORY  WRITE ${a.pid} 50 59`, `1: -> POSIX  ADVISORY  READ ${b.pid} 55 55`]);
  box.lock(me, fd, F_SETLK, F_UNLCK, 0, 50);
  assert.equal([first.sleepsAt, second.sleepsAt], ["fcntllk", "fcntllk"], "the rest is held still");
  box.lock(me, fd, F_SETLK, F_RDLCK, 50, 50);
  assert.equal([first.sleepsAt, second.result], ["fcntllk", 0], "a reader may share now");
  box.lock(me, fd, F_SETLK, F_UNLCK);
  assert.is(first.sleepsAt, "fcntllk");
  assert.is(first.interrupt(), -EINTR);
  box.lock(b, fd, F_SETLK, F_UNLCK);
  assert.is(box.k.locks.lists.size, 0);
});

test("two that wait for each other: the second is told; so with three in a ring, and never with open files' locks", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), g = box.openFd("/g"), a = box.fork(), b = box.fork();
  box.lock(me, fd, F_SETLK, F_WRLCK, 0, 1);
  box.lock(a, fd, F_SETLK, F_WRLCK, 1, 1);
  const mine = box.ask(me, fd, F_SETLKW, F_WRLCK, 1, 1);
  assert.is(mine.sleepsAt, "fcntllk");
  assert.is(box.lock(a, fd, F_SETLKW, F_RDLCK, 0, 1), -EDEADLK);
  box.lock(b, g, F_SETLK, F_RDLCK);
  const his = box.ask(a, g, F_SETLKW, F_WRLCK);
  assert.is(his.sleepsAt, "fcntllk");
  assert.is(box.lock(b, fd, F_SETLKW, F_WRLCK, 0, 1), -EDEADLK, "b waits for me, I for a, a for b");
  assert.is(box.lock(b, fd, F_SETLK, F_WRLCK, 0, 1), -EAGAIN);
  box.lock(b, g, F_SETLK, F_UNLCK);
  assert.is(his.result, 0);
  const ofd = box.ask(b, fd, F_OFD_SETLKW, F_WRLCK, 0, 1);
  assert.is(ofd.sleepsAt, "fcntllk");
  ofd.interrupt();
  mine.interrupt();
});

test("closing any descriptor of a file ends the process's records on it, whichever they were made through", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), again = box.openFd(), other = box.fork(), copy = box.run(box.opening("/f", O_RDONLY));
  box.lock(me, fd, F_SETLK, F_WRLCK);
  const waits = box.ask(other, fd, F_SETLKW, F_WRLCK);
  assert.is(box.call(me, CLOSE, again), 0);
  assert.is(waits.result, 0);
  assert.is(box.who(me, fd), `W 0+0 by ${other.pid}`);
  const mine = box.ask(me, fd, F_SETLKW, F_RDLCK);
  assert.is(box.call(other, CLOSE, fd), 0);
  assert.is(mine.result, 0);
  assert.is(box.call(me, DUP3, 0 + box.openFd("/g"), copy, 0), copy);
  assert.is(box.k.locks.lists.size, 0, "dup3 closes too");
});

test("fork inherits no records, but shares the locks of open files; a table that ends gives up its own", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), child = box.fork();
  box.lock(me, fd, F_SETLK, F_WRLCK, 0, 1);
  assert.is(box.lock(child, fd, F_SETLK, F_WRLCK, 0, 1), -EAGAIN);
  assert.is(box.lock(me, fd, F_OFD_SETLK, F_WRLCK, 5, 1), 0);
  assert.is(box.lock(child, fd, F_OFD_SETLK, F_WRLCK, 5, 2), 0, "the same open file");
  assert.is(box.lock(child, fd, F_SETLK, F_RDLCK, 5, 1), -EAGAIN, "records and open files' locks stand against each other");
  const own = box.openFd("/f", O_RDWR, child);
  assert.is(box.who(child, own, F_RDLCK, 5, 1, F_OFD_GETLK), "W 5+2 by -1");
  assert.is(box.who(child, own, F_RDLCK, 0, 1, F_OFD_GETLK), `W 0+1 by ${me.pid}`);
  assert.is(box.who(child, fd, F_UNLCK, 0, 0, F_OFD_GETLK), "W 5+2 by -1", "what this open file holds itself");
  box.run(me.fds.release(), me);
  assert.is(box.who(child, own, F_RDLCK, 0, 1), "-");
  assert.is(box.who(child, own, F_RDLCK, 5, 1), "W 5+2 by -1");
  box.run(child.fds.release(), child);
  assert.is(box.k.locks.lists.size, 0);
});

test("flock: one a file and open file, changed by dropping it first, and gone with the last descriptor", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd(), mine = box.openFd(), other = box.fork();
  assert.is(box.flock(me, fd, LOCK_SH).result, 0);
  assert.is(box.flock(other, fd, LOCK_EX | LOCK_NB).result, 0, "the same open file: changed");
  assert.is(box.flock(me, mine, LOCK_SH | LOCK_NB).result, -EAGAIN);
  assert.is(box.lock(me, mine, F_SETLK, F_WRLCK), 0, "records are a world of their own");
  box.flock(me, fd, LOCK_SH);
  assert.is(box.flock(me, mine, LOCK_SH).result, 0);
  assert.is(box.flock(me, mine, LOCK_EX | LOCK_NB).result, -EAGAIN);
  assert.equal(box.locks().filter((l) => l.includes("FLOCK")), [`2: FLOCK  ADVISORY  READ ${me.pid} 0 EOF`], "what it had is lost");
  const waits = box.flock(me, mine, LOCK_EX);
  assert.is(waits.sleepsAt, "flock");
  box.call(me, CLOSE, fd);
  assert.is(waits.sleepsAt, "flock", "the child has it still");
  box.call(other, CLOSE, fd);
  assert.is(waits.result, 0);
  const again = box.fork(), theirs = box.openFd("/f", O_RDWR, again), call = box.flock(again, theirs, LOCK_SH);
  assert.is(call.interrupt(), -EINTR);
  assert.is(box.flock(me, mine, LOCK_UN).result, 0);
  assert.is(box.flock(again, theirs, LOCK_EX | LOCK_NB).result, 0);
});

test("F_OFD commands want l_pid 0; files without a name have locks too", () => {
  const box = new LockBox(), { me } = box, fd = box.openFd();
  box.ask(me, fd, F_OFD_GETLK, F_RDLCK);
  const d = new DataView(new ArrayBuffer(32));
  d.setInt32(24, 1, true);
  box.poke(USER_VA, d);
  assert.is(box.call(me, FCNTL, fd, F_OFD_SETLK, USER_VA), -EINVAL);
  const pair = box.pipes.create(0), r = me.fds.alloc(pair[0], 64, false);
  assert.is(box.flock(me, r, LOCK_EX).result, 0);
  assert.equal(box.text("/proc/locks"), `1: FLOCK  ADVISORY  WRITE ${me.pid} <none>:0 0 EOF\n`);
  box.call(me, CLOSE, r);
  assert.is(box.k.locks.lists.size, 0);
});

test("a file has no more locks than can be looked through; some given up make room", () => {
  const table = new LockTable(new KContext()), f = { vnode: null, locks: null } as unknown as OpenFile, owner = new FdTable();
  const lock = (type: number, start: number, len = 1): number =>
    runNoSleep(setFileLock(table, f, { type, kind: LK_POSIX, owner, pid: 1, start: BigInt(start), end: BigInt(start + len) }, { wait: true }));
  for (let i = LOCKS_MAX - 100; i < LOCKS_MAX; i++) assert.is(lock(F_RDLCK, 2 * i), 0);
  const { locks } = f.locks as { locks: FileLock[] };
  locks.unshift(...Array.from({ length: LOCKS_MAX - 100 }, (_, i) => ({ ...locks[0]!, start: BigInt(2 * i), end: BigInt(2 * i + 1) })));
  assert.is(lock(F_RDLCK, 9), -ENOLCK);
  assert.is(lock(F_UNLCK, 0, 50), 0);
  assert.is(lock(F_RDLCK, 9), 0);
});

// ---- against a model -----------------------------------------------------------------------------------------------

/** Every byte has the type each owner locked it with; bytes behind the last are "to the end". */
class ByteModel {
  private readonly bytes = new Map<object, number[]>();
  private readonly n: number;
  constructor(n: number) {
    this.n = n;
  }

  of(owner: object): number[] {
    let b = this.bytes.get(owner);
    if (!b) this.bytes.set(owner, (b = new Array<number>(this.n).fill(F_UNLCK)));
    return b;
  }

  set(l: FileLock): boolean {
    const [from, to] = [Number(l.start), Math.min(this.n, Number(l.end))];
    for (const [owner, b] of this.bytes) {
      if (owner === l.owner || l.type === F_UNLCK) continue;
      for (let i = from; i < to; i++) if (b[i] === F_WRLCK || (b[i] === F_RDLCK && l.type === F_WRLCK)) return false;
    }
    this.of(l.owner).fill(l.type, from, to);
    return true;
  }
}

test("at random, bytes are locked as in a model of single bytes, and no two locks that touch are alike", () => {
  let seed = 12345;
  const random = (n: number): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0, Math.floor((seed / 2 ** 32) * n));
  const BYTES = 24, ctx = new KContext(), table = new LockTable(ctx), f = { vnode: null, locks: null } as unknown as OpenFile;
  const owners = [[new FdTable(), LK_POSIX], [new FdTable(), LK_POSIX], [{}, LK_OFD], [{}, LK_OFD]] as const, model = new ByteModel(BYTES);
  let granted = 0;
  for (let step = 0; step < 20_000; step++) {
    const [owner, kind] = owners[random(4)]!, start = random(BYTES), len = random(6) === 0 ? BYTES : 1 + random(8);
    const end = start + len >= BYTES ? LOCK_END : BigInt(start + len), type = [F_RDLCK, F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK][random(5)]!;
    const l: FileLock = { type, kind, owner, pid: 1, start: BigInt(start), end }, r = runNoSleep(setFileLock(table, f, l, { wait: false }));
    assert.is(r === 0, model.set(l), `step ${step}`);
    if (r === 0) granted++;
    const held = (f.locks as { locks: FileLock[] } | null)?.locks ?? [];
    for (const [o] of owners) {
      const mine = held.filter((x) => x.owner === o), bytes = new Array<number>(BYTES).fill(F_UNLCK);
      for (const x of mine) bytes.fill(x.type, Number(x.start), Math.min(BYTES, Number(x.end)));
      assert.equal(bytes, model.of(o), `step ${step}`);
      for (let i = 1; i < mine.length; i++) {
        assert.ok(mine[i]!.start > mine[i - 1]!.end || (mine[i]!.start === mine[i - 1]!.end && mine[i]!.type !== mine[i - 1]!.type), `step ${step}`);
      }
    }
  }
  assert.ok(granted > 5000 && granted < 19_000);
});

test.run();
