// Resource limits: who may set them, and what happens at each. RLIMIT_CPU is in cputime.test.ts, the stack's growth in uvm/map.test.ts.
import { clone } from "../../kernel/kern/fork.ts";
import { Cred } from "../../kernel/kern/cred.ts";
import { O_APPEND, O_CREAT, O_RDWR } from "../../kernel/kern/file.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import {
  RLIMIT_AS, RLIMIT_CORE, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_SIGPENDING, RLIMIT_STACK,
} from "../../kernel/kern/rlimit.ts";
import { psignal, setSigmask, tsignal } from "../../kernel/kern/signal.ts";
import { SI_QUEUE, SI_USER, SIGXFSZ } from "../../kernel/kern/sigset.ts";
import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EMFILE, ENOMEM, EPERM, ESRCH } from "../../kernel/lib/errno.ts";
import { FILE_CALLS } from "../../kernel/sys/file.ts";
import { LIMIT_CALLS } from "../../kernel/sys/limit.ts";
import { lockedBytes, MLOCK_CALLS } from "../../kernel/sys/mlock.ts";
import { MM_CALLS } from "../../kernel/sys/mm.ts";
import { vmcheck } from "../../kernel/uvm/check.ts";
import { uvmMapStack } from "../../kernel/uvm/stack.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { runGuest } from "../helpers/guest.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("limits"), PAGE = 4096, MB = 1 << 20;
const PRLIMIT = 261, SETRLIMIT = 164, WRITE = 64, FTRUNCATE = 46, PWRITE = 68, SENDFILE = 71, DUP3 = 24, FCNTL = 25, BRK = 214, MMAP = 222, MPROTECT = 226, MREMAP = 216;
const MLOCK = 228, MUNLOCK = 229, MLOCKALL = 230, MUNLOCKALL = 231, MLOCK2 = 284;
const ROWS = [...LIMIT_CALLS, ...FILE_CALLS, ...MM_CALLS, ...MLOCK_CALLS];
const SHARED_ANON = 0x21, PRIVATE_ANON = 0x22, LOCKED = 0x2000, FIXED = 0x10;

class LimitBox extends KernBox {
  constructor(npages?: number) {
    super(npages);
    this.mapUser(1);
  }

  call(nr: number, ...args: number[]): number {
    return this.run(this.syscall(ROWS, nr, this.me.mainThread, ...args));
  }

  /** prlimit of another or, pid 0, oneself. */
  set(which: number, soft: number, hard = soft, pid = 0): number {
    const word = (v: number): bigint => (v === Infinity ? -1n : BigInt(v));
    this.poke(USER_VA, BigInt64Array.of(word(soft), word(hard)));
    return this.call(PRLIMIT, pid, which, USER_VA, 0);
  }

  get(which: number, pid = 0): number[] {
    assert.is(this.call(PRLIMIT, pid, which, 0, USER_VA), 0);
    const d = this.peek(USER_VA, 16);
    return [Number(d.getBigInt64(0, true)), Number(d.getBigInt64(8, true))];
  }

  mmap(npages: number, flags = PRIVATE_ANON, prot = 3, va = 0): number {
    return this.call(MMAP, va, npages * PAGE, prot, flags, -1, 0);
  }

  /** Becomes another user. */
  user(uid: number, p: Process = this.me): void {
    p.cred = new Cred(uid, uid, uid, uid, uid, uid);
  }

  signals(): number[] {
    return this.me.mainThread.pending.infos.map((i) => i.sig);
  }
}

test("limits are lowered by all and raised by the superuser; strangers may not look", () => {
  const box = new LimitBox(), child = box.child();
  assert.is(box.set(RLIMIT_CORE, 5, 10), 0);
  assert.equal(box.get(RLIMIT_CORE), [5, 10]);
  assert.is(box.set(RLIMIT_CORE, 11, 10), -EINVAL);
  assert.is(box.set(RLIMIT_CORE, Infinity), 0, "root raises");
  assert.equal(box.get(RLIMIT_CORE), [-1, -1]);
  assert.is(box.set(RLIMIT_NOFILE, 10, 65537), -EPERM, "more than fs.nr_open");
  assert.is(box.set(16, 1), -EINVAL);
  assert.is(box.set(RLIMIT_CORE, 1, 1, 9999), -ESRCH);
  assert.is(box.call(SETRLIMIT, RLIMIT_CORE, 0x7000_0000), -EFAULT);
  assert.is(box.set(RLIMIT_CORE, 3, 4, child.pid), 0);
  assert.equal([child.limits.get(RLIMIT_CORE), box.get(RLIMIT_CORE)], [3, [-1, -1]]);
  box.user(7);
  assert.is(box.call(PRLIMIT, child.pid, RLIMIT_CORE, 0, USER_VA), -EPERM);
  box.user(7, child);
  assert.is(box.set(RLIMIT_CORE, 2, 4, child.pid), 0);
  assert.is(box.set(RLIMIT_CORE, 2, 5, child.pid), -EPERM);
  child.cred = new Cred(7, 7, 0, 7, 7, 7);
  assert.is(box.set(RLIMIT_CORE, 1, 1, child.pid), -EPERM, "all of its ids must be mine");
});

test("RLIMIT_FSIZE: what fits is written, then SIGXFSZ and EFBIG; truncation too, and files that are longer already", () => {
  const box = new LimitBox(), fd = box.run(box.opening("/f", O_RDWR | O_CREAT)), f = box.fileOf(fd);
  assert.is(box.call(WRITE, fd, USER_VA, 100), 100);
  box.set(RLIMIT_FSIZE, 150, Infinity);
  assert.is(f.ops.writeFast!(f, box.me.mainThread, USER_VA, 60), -512, "the fast way leaves it to the other");
  assert.is(box.call(WRITE, fd, USER_VA, 100), 50);
  assert.equal(box.signals(), []);
  assert.is(box.call(WRITE, fd, USER_VA, 0), 0);
  assert.is(box.call(WRITE, fd, USER_VA, 1), -EFBIG);
  assert.equal(box.signals(), [SIGXFSZ]);
  box.me.mainThread.pending.take(SIGXFSZ);
  assert.is(box.call(PWRITE, fd, USER_VA, 10, 145), 5);
  assert.is(box.call(FTRUNCATE, fd, 150), 0);
  assert.is(box.call(FTRUNCATE, fd, 151), -EFBIG);
  assert.equal(box.signals(), [SIGXFSZ]);
  box.set(RLIMIT_FSIZE, 100, Infinity);
  assert.is(box.call(FTRUNCATE, fd, 120), 0, "shorter than it was");
  const append = box.run(box.opening("/f", O_RDWR | O_APPEND)), from = box.run(box.opening("/g", O_RDWR | O_CREAT));
  assert.is(box.call(WRITE, append, USER_VA, 1), -EFBIG);
  box.set(RLIMIT_FSIZE, Infinity);
  box.call(WRITE, from, USER_VA, 100);
  box.fileOf(from).offset = 0;
  box.set(RLIMIT_FSIZE, 130, Infinity);
  assert.is(box.call(SENDFILE, append, from, 0, 50), 10);
  assert.is(box.fileOf(from).offset, 10, "what was not written was not read");
});

test("RLIMIT_NPROC counts the threads of a real user; the superuser is free of it", () => {
  const box = new LimitBox(), t = box.me.mainThread, flags = { flags: 0, stack: 0, parentTid: 0, childTid: 0, tls: 0, exitSignal: 17 };
  box.k.sched.setRunnable = () => {};
  box.set(RLIMIT_NPROC, 2);
  for (let i = 0; i < 3; i++) assert.ok(box.run(clone(box.k, t, flags)) > 0, "root");
  box.user(7);
  assert.ok(box.run(clone(box.k, t, flags)) > 0);
  assert.is(box.run(clone(box.k, t, flags)), -EAGAIN);
  box.me.cred = new Cred(0, 7, 7);
  assert.ok(box.run(clone(box.k, t, flags)) > 0, "the real user counts");
});

test("who becomes a user with too many processes cannot exec; a table that two processes share is not closed by one's exec", () => {
  const call = (nr: number, ...args: (number | string)[]): string => `${args.map((a, i) => (typeof a === "number" ? ` li a${i}, ${a}\n` : ` la a${i}, ${a}\n`)).join("")} li a7, ${nr}\n ecall\n`;
  const strings = " .align 3\nargv: .dword path\n .dword 0\nlim: .dword 1\n .dword 1\npath: .asciz \"/bin/true\"\nnull: .asciz \"/dev/null\"\n";
  const prog = (name: string, source: string) => program(name, elfOf(assemble(source + strings, 0x10080), 0x10080, ["_start"]));
  const files = [
    // Two of user 7: the second is one too many when it wants to exec.
    prog("nproc", `_start:\n${call(261, 0, 6, "lim", 0)}${call(220, 17, 0, 0, 0, 0)} mv s0, a0\n${call(146, 7)} beqz s0, child\n${call(260, -1, "lim", 0, 0)}
 la t0, lim\n lw a0, 0(t0)\n srli a0, a0, 8\n li a7, 93\n ecall
child:\n${call(101, "argv", 0)}${call(221, "path", "argv", 0)} neg a0, a0\n li a7, 93\n ecall\n`),
    // clone(CLONE_FILES | SIGCHLD); the child execs, and the parent's close-on-exec descriptor is still there.
    prog("files", `_start:\n${call(56, -100, "null", 0x80000, 0)} mv s1, a0\n${call(220, 0x411, 0, 0, 0, 0)} beqz a0, child\n${call(260, -1, 0, 0, 0)}
 mv a0, s1\n li a1, 1\n li a7, 25\n ecall\n li a7, 93\n ecall
child:\n${call(221, "path", "argv", 0)}${call(93, 99)}`),
  ];
  assert.is(runGuest("/prog/nproc; echo $?; /prog/files; echo $?", { files }).out, "11\n1\n", "EAGAIN; FD_CLOEXEC");
});

test("RLIMIT_NOFILE: no descriptor at or above it", () => {
  const box = new LimitBox(), fd = box.run(box.opening("/f", O_RDWR | O_CREAT));
  assert.is(box.set(RLIMIT_NOFILE, fd + 2, 100), 0);
  assert.is(box.run(box.opening("/f", O_RDWR)), fd + 1);
  assert.is(box.run(box.opening("/f", O_RDWR)), -EMFILE);
  assert.is(box.call(FCNTL, fd, 0, 0), -EMFILE);
  assert.is(box.call(FCNTL, fd, 0, fd + 2), -EINVAL);
  assert.is(box.call(DUP3, fd, fd + 2, 0), -EBADF);
  assert.is(box.call(DUP3, fd, fd + 1, 0), fd + 1);
});

test("RLIMIT_AS and RLIMIT_DATA: mmap, brk, mremap and mprotect stop there; what replaces counts once", () => {
  const box = new LimitBox(), { map } = box.me.vmspace, vm = box.me.vmspace;
  vm.brkBase = vm.brkEnd = 0x100000;
  box.set(RLIMIT_AS, map.size + 10 * PAGE);
  const va = box.mmap(8);
  assert.ok(va > 0);
  assert.is(box.mmap(3), -ENOMEM);
  assert.is(box.mmap(8, PRIVATE_ANON | FIXED, 3, va), va);
  assert.is(box.call(BRK, 0x100000 + 3 * PAGE), 0x100000);
  assert.is(box.call(BRK, 0x100000 + 2 * PAGE), 0x100000 + 2 * PAGE);
  assert.is(box.call(MREMAP, va, 8 * PAGE, 9 * PAGE, 1), -ENOMEM);
  box.set(RLIMIT_AS, Infinity);
  box.set(RLIMIT_DATA, 12 * PAGE, Infinity);
  assert.is(box.mmap(2), -ENOMEM, "11 pages are data");
  assert.ok(box.mmap(2, SHARED_ANON) > 0, "shared memory is none");
  const readOnly = box.mmap(2, PRIVATE_ANON, 1);
  assert.ok(readOnly > 0);
  assert.is(box.call(MPROTECT, readOnly, 2 * PAGE, 3), -ENOMEM, "it would become data");
  assert.is(box.call(MPROTECT, readOnly, PAGE, 3), 0);
  assert.is(box.call(BRK, 0x100000 + 3 * PAGE), 0x100000 + 2 * PAGE);
});

test("RLIMIT_MEMLOCK: what is locked already counts, once; without it nobody but the superuser locks", () => {
  const box = new LimitBox(), { map } = box.me.vmspace, va = box.mmap(8);
  box.user(7);
  box.set(RLIMIT_MEMLOCK, 4 * PAGE, 4 * PAGE);
  assert.is(box.call(MLOCK, va, 3 * PAGE), 0);
  assert.is(box.call(MLOCK, va + PAGE, 3 * PAGE), 0, "two of the three are locked already");
  assert.is(box.call(MLOCK, va + 4 * PAGE, 1), -ENOMEM);
  assert.is(lockedBytes(map), 4 * PAGE);
  assert.is(box.mmap(1, PRIVATE_ANON | LOCKED), -EAGAIN);
  assert.is(box.call(MLOCKALL, 1), -ENOMEM, "all is more than that");
  assert.is(box.call(MLOCK2, va, PAGE, 2), -EINVAL);
  assert.is(box.call(MUNLOCK, va - 0, 8 * PAGE), 0, "some of it was not locked");
  assert.is(lockedBytes(map), 0);
  assert.is(box.call(MLOCK, va, 16 * PAGE), -ENOMEM, "a hole");
  box.set(RLIMIT_MEMLOCK, 0, 4 * PAGE);
  assert.equal([box.call(MLOCK, va, 1), box.call(MLOCKALL, 2), box.mmap(1, PRIVATE_ANON | LOCKED)], [-EPERM, -EPERM, -EPERM]);
  box.me.cred = new Cred();
  assert.is(box.call(MLOCK, va, 8 * PAGE), 0);
  assert.equal(vmcheck(box.uvm), []);
});

test("mlockall: what there is, what will be, both; munlockall ends it, and fork and exec do not take it along", () => {
  const box = new LimitBox(), { map } = box.me.vmspace, wired = (): number => box.uvm.exp.wired;
  assert.is(box.run(uvmMapStack(box.me.vmspace, 0x10_0000_0000, MB, 3)), 0);
  const none = box.mmap(4, PRIVATE_ANON, 0), before = wired();
  assert.equal([0, 4, 8, 9].map((f) => box.call(MLOCKALL, f)), [-EINVAL, -EINVAL, -EINVAL, -EINVAL]);
  assert.is(box.call(MLOCKALL, 1), 0);
  assert.equal([lockedBytes(map), wired() - before], [map.size - 4 * PAGE, (map.size - 4 * PAGE) / PAGE], "all that has rights");
  const later = box.mmap(2);
  assert.is(lockedBytes(map, later, later + 2 * PAGE), 0);
  assert.is(box.call(MLOCKALL, 2), 0);
  const va = box.mmap(3);
  assert.equal([lockedBytes(map, va, va + 3 * PAGE), lockedBytes(map, later, later + 2 * PAGE)], [3 * PAGE, 0]);
  box.poke(0x10_0000_0000 - 50 * PAGE, new Uint8Array(1));
  assert.is(lockedBytes(map, map.stack!.start, map.stack!.top), 50 * PAGE, "the stack that grew");
  const f = box.open("/f", O_RDWR | O_CREAT), fd = box.me.fds.files.indexOf(f);
  box.write(f, "x".repeat(100));
  assert.ok(box.call(MMAP, 0, 4 * PAGE, 1, 2, fd, 0) > 0, "what has no contents is mapped all the same");
  const child = box.run(clone(box.k, box.me.mainThread, { flags: 0, stack: 0, parentTid: 0, childTid: 0, tls: 0, exitSignal: 17 }));
  assert.is(lockedBytes(box.k.procs.get(child)!.vmspace.map), 0);
  assert.is(box.call(MUNLOCKALL), 0);
  assert.equal([lockedBytes(map), wired() - before, box.mmap(1) > 0 && lockedBytes(map)], [0, 0, 0]);
  assert.is(box.call(MUNLOCK, none, 4 * PAGE), 0);
  assert.equal(vmcheck(box.uvm), []);
});

test("RLIMIT_SIGPENDING: a user's queued signals; sigqueue says EAGAIN, standard signals always go", () => {
  const box = new LimitBox(), t = box.me.mainThread, other = box.child();
  setSigmask(t, -1, -1);
  setSigmask(other.mainThread, -1, -1);
  for (const p of [box.me, other]) box.user(7, p);
  box.set(RLIMIT_SIGPENDING, 3);
  const queued = { sig: 40, code: SI_QUEUE };
  assert.equal([psignal(box.k, box.me, queued), tsignal(box.k, t, queued), psignal(box.k, other, queued)], [0, 0, 0]);
  assert.equal([psignal(box.k, box.me, queued), tsignal(box.k, t, { sig: 40, code: -6 })], [-EAGAIN, -EAGAIN]);
  assert.is(psignal(box.k, box.me, { sig: 10, code: SI_USER }), 0);
  assert.is(psignal(box.k, box.me, { sig: 41, code: SI_USER }), 0);
  assert.is(psignal(box.k, box.me, { sig: 41, code: SI_USER }), 0);
  assert.is(box.me.pending.infos.filter((i) => i.sig === 41).length, 1, "kill's are not lost, but do not wait twice");
  box.set(RLIMIT_SIGPENDING, 3, 3, other.pid);
  assert.is(psignal(box.k, other, queued), -EAGAIN, "both processes are one user's");
});

test("RLIMIT_STACK moves the running program's stack limit", () => {
  const box = new LimitBox(), { map } = box.me.vmspace, top = 0x10_0000_0000;
  box.run(uvmMapStack(box.me.vmspace, top, MB, 3));
  box.set(RLIMIT_STACK, 2 * MB, Infinity);
  box.poke(top - 2 * MB, new Uint8Array(1));
  assert.is(map.stack!.start, top - 2 * MB);
});

test.run();
