// Scheduling: nice values are shares of the CPU, real-time threads go first, and who may ask for what.
import { Cred } from "../../kernel/kern/cred.ts";
import { RLIMIT_NICE, RLIMIT_RTPRIO } from "../../kernel/kern/rlimit.ts";
import { SCHED_BATCH, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR } from "../../kernel/kern/schedpolicy.ts";
import { E2BIG, EACCES, EFAULT, EINVAL, EPERM, ESRCH } from "../../kernel/lib/errno.ts";
import { SCHED_CALLS } from "../../kernel/sys/sched.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { runGuest } from "../helpers/guest.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("sched"), BASE = 0x10080;
const SETPRIORITY = 140, GETPRIORITY = 141, SETPARAM = 118, SETSCHEDULER = 119, GETSCHEDULER = 120, GETPARAM = 121, SETAFFINITY = 122, GETAFFINITY = 123;
const PRIO_MAX = 125, PRIO_MIN = 126, RR_INTERVAL = 127, SETATTR = 274, GETATTR = 275, RESET = 0x40000000;

class SchedBox extends KernBox {
  readonly t = this.me.mainThread;
  constructor() {
    super();
    this.mapUser(1);
  }

  call(nr: number, ...args: number[]): number {
    const { entry } = SCHED_CALLS.find((r) => r.nr === nr)!;
    if (entry.slow) return this.run(this.syscall(SCHED_CALLS, nr, this.t, ...args));
    args.forEach((v, i) => {
      this.t.x[20 + 2 * i] = v | 0;
      this.t.x[21 + 2 * i] = Math.floor(v / 2 ** 32);
    });
    return entry.fast!(this.k, this.t);
  }

  /** sched_setscheduler. */
  policy(policy: number, priority: number, pid = 0): number {
    this.poke(USER_VA, Int32Array.of(priority));
    return this.call(SETSCHEDULER, pid, policy, USER_VA);
  }
}

test("nice: threads, groups and users; as root at will, else upwards, and down to RLIMIT_NICE", () => {
  const box = new SchedBox(), { me, t } = box, other = box.child(), stranger = box.child();
  assert.equal([box.call(SETPRIORITY, 0, 0, 5), box.call(GETPRIORITY, 0, 0)], [0, 15]);
  assert.equal([box.call(SETPRIORITY, 0, 0, -100), t.sched.nice, box.call(SETPRIORITY, 0, 0, 100), t.sched.nice], [0, -20, 0, 19]);
  assert.equal([box.call(SETPRIORITY, 3, 0, 0), box.call(SETPRIORITY, 0, 9999, 0), box.call(GETPRIORITY, 0, 9999)], [-EINVAL, -ESRCH, -ESRCH]);
  assert.equal([box.call(SETPRIORITY, 1, 0, 3), other.nice, t.sched.nice], [0, 3, 3]);
  for (const p of [me, other]) p.cred = new Cred(7, 7, 7);
  assert.equal([box.call(SETPRIORITY, 2, 7, 4), other.nice, stranger.nice], [0, 4, 3], "a user's");
  other.mainThread.sched.nice = 6;
  assert.is(box.call(GETPRIORITY, 2, 7), 16, "the best of them");
  assert.equal([box.call(SETPRIORITY, 0, 0, 3), box.call(SETPRIORITY, 0, 0, 5), box.call(SETPRIORITY, 0, stranger.pid, 9)], [-EACCES, 0, -EPERM]);
  me.limits.set(RLIMIT_NICE, 18, 18);
  assert.equal([box.call(SETPRIORITY, 0, 0, 2), box.call(SETPRIORITY, 0, 0, 1)], [0, -EACCES]);
});

test("policies: what is valid, what it reads as, and who may", () => {
  const box = new SchedBox(), { me, t } = box;
  assert.equal([box.policy(SCHED_OTHER, 1), box.policy(SCHED_FIFO, 0), box.policy(SCHED_FIFO, 100), box.policy(4, 0), box.policy(6, 0), box.policy(-1, 0)],
    [-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL]);
  assert.equal([box.call(SETSCHEDULER, 0, SCHED_FIFO, 0), box.call(SETSCHEDULER, 0, SCHED_FIFO, 0x7000_0000), box.policy(SCHED_RR, 1, 9999)], [-EINVAL, -EFAULT, -ESRCH]);
  assert.equal([box.policy(SCHED_RR | RESET, 20), box.call(GETSCHEDULER, 0)], [0, SCHED_RR | RESET]);
  assert.equal([box.call(GETPARAM, 0, USER_VA), box.peek(USER_VA, 4).getInt32(0, true)], [0, 20]);
  assert.equal([t.sched.inherited().policy, t.sched.inherited().rtPriority], [SCHED_OTHER, 0], "reset on fork");
  box.poke(USER_VA, Int32Array.of(0));
  assert.is(box.call(SETPARAM, 0, USER_VA), -EINVAL, "of the policy it has");
  assert.equal([box.call(RR_INTERVAL, 0, USER_VA), box.peek(USER_VA, 16).getInt32(8, true)], [0, 100_000_000]);
  box.policy(SCHED_FIFO, 1);
  assert.equal([box.call(RR_INTERVAL, 0, USER_VA), box.peek(USER_VA, 16).getInt32(8, true)], [0, 0]);
  box.policy(SCHED_OTHER, 0);
  assert.equal([box.call(RR_INTERVAL, 0, USER_VA), box.peek(USER_VA, 16).getInt32(8, true)], [0, 1_000_000]);
  assert.equal([0, 1, 2, 3, 4, 5, 6, 7, 8].map((p) => [box.call(PRIO_MIN, p), box.call(PRIO_MAX, p)]), [[0, 0], [1, 99], [1, 99], [0, 0], [-EINVAL, -EINVAL], [0, 0], [0, 0], [0, 0], [-EINVAL, -EINVAL]]);
  me.cred = new Cred(7, 7, 7);
  assert.equal([box.policy(SCHED_FIFO, 1), box.policy(SCHED_BATCH, 0), box.policy(SCHED_IDLE, 0), box.policy(SCHED_OTHER, 0)], [-EPERM, 0, 0, -EPERM]);
  me.limits.set(RLIMIT_RTPRIO, 5, 5);
  assert.equal([box.policy(SCHED_RR, 6), box.policy(SCHED_RR, 5), box.policy(SCHED_RR, 2), box.policy(SCHED_FIFO, 9)], [-EPERM, 0, 0, -EPERM]);
});

test("sched_setattr and sched_getattr: sizes, nice and priority", () => {
  const box = new SchedBox(), { t } = box, put = (size: number, policy: number, nice: number, priority: number, flags = 0): number => {
    const d = new DataView(new ArrayBuffer(64));
    d.setUint32(0, size, true);
    d.setUint32(4, policy, true);
    d.setUint32(8, flags, true);
    d.setInt32(16, nice, true);
    d.setUint32(20, priority, true);
    box.poke(USER_VA, d);
    return box.call(SETATTR, 0, USER_VA, 0);
  };
  assert.equal([put(48, SCHED_OTHER, 7, 0), t.sched.nice], [0, 7]);
  assert.equal([put(0, SCHED_FIFO, 0, 9, 1), t.sched.rtPriority, t.sched.doesResetOnFork], [0, 9, true]);
  assert.equal([box.call(GETATTR, 0, USER_VA, 56, 0), box.peek(USER_VA, 4).getUint32(0, true), box.peek(USER_VA, 24).getUint32(20, true)], [0, 56, 9]);
  assert.equal([put(20, SCHED_OTHER, 0, 0), box.peek(USER_VA, 4).getUint32(0, true)], [-E2BIG, 56]);
  assert.equal([put(48, SCHED_OTHER, 0, 0, 2), box.call(SETATTR, 0, 0, 0), box.call(GETATTR, 0, USER_VA, 40, 0), box.call(GETATTR, 9999, USER_VA, 48, 0)],
    [-EINVAL, -EINVAL, -EINVAL, -ESRCH]);
});

test("affinity: there is processor 0 and no other", () => {
  const box = new SchedBox(), mask = (...bytes: number[]): void => box.poke(USER_VA, Uint8Array.of(...bytes));
  mask(1, 0, 0, 0, 0, 0, 0, 0);
  assert.equal([8, 1, 128, 0].map((n) => box.call(SETAFFINITY, 0, n, USER_VA)), [0, 0, 0, -EINVAL]);
  mask(2, 0, 0, 0, 0, 0, 0, 0);
  assert.is(box.call(SETAFFINITY, 0, 8, USER_VA), -EINVAL);
  mask(3);
  assert.equal([box.call(SETAFFINITY, 0, 8, USER_VA), box.call(SETAFFINITY, 9999, 8, USER_VA), box.call(SETAFFINITY, 0, 8, 0x7000_0000)], [0, -ESRCH, -EFAULT]);
  box.me.cred = new Cred(7, 7, 7);
  assert.is(box.call(SETAFFINITY, box.init.pid, 8, USER_VA), -EPERM);
  assert.equal([8, 128, 0, 4, 12].map((n) => box.call(GETAFFINITY, 0, n, USER_VA)), [8, 8, -EINVAL, -EINVAL, -EINVAL]);
  assert.equal([box.peek(USER_VA, 8).getUint32(0, true), box.call(GETAFFINITY, 9999, 8, USER_VA)], [1, -ESRCH]);
});

// ---- with effect ---------------------------------------------------------------------------------------------------

const prog = (name: string, source: string) => program(name, elfOf(assemble(source, BASE), BASE, ["_start"]));
/** Spins for ever at a nice value. */
const nice = (name: string, value: number) => prog(name, `_start:\n li a0, 0\n li a1, 0\n li a2, ${value}\n li a7, ${SETPRIORITY}\n ecall\nspin: j spin\n`);

/** utime in ticks of each program while they shared 400 ms. */
function shares(names: readonly string[], files: ReturnType<typeof prog>[]): number[] {
  const start = names.map((n, i) => `/prog/${n} & p${i}=$!; `).join(""), pids = names.map((_, i) => `$p${i}`);
  const r = runGuest(`${start}sleep 0.4; for p in ${pids.join(" ")}; do cut -d' ' -f14 /proc/$p/stat; done; kill -9 ${pids.join(" ")}`, { files, maxInsns: 1e9 });
  return r.out.trim().split("\n").map(Number);
}

test("nice values share the CPU as on Linux: 1024 to 335 at a distance of 5", () => {
  const [a, b] = shares(["n0", "n5"], [nice("n0", 0), nice("n5", 5)]) as [number, number];
  assert.ok(a + b >= 38 && Math.abs(b / (a + b) - 335 / 1359) < 0.05, `${a} ${b}`);
  const [c, d, e] = shares(["n10", "n10b", "m5"], [nice("n10", 10), nice("n10b", 10), nice("m5", -5)]) as [number, number, number];
  assert.ok(Math.abs(c - d) <= 1 && e > 36, `${c} ${d} ${e}`);
});

test("a real-time thread runs before others from when it is ready until it sleeps", () => {
  const spin = "li t0, 5000000\nspin: addi t0, t0, -1\n bnez t0, spin\n", clock = (at: string): string => ` li a0, 1\n la a1, ${at}\n li a7, 113\n ecall\n`;
  const timed = (name: string, policy: number, priority: number) => prog(name, `_start:\n la a2, param\n li t0, ${priority}\n sw t0, 0(a2)\n li a0, 0\n li a1, ${policy}\n li a7, ${SETSCHEDULER}\n ecall
 bnez a0, out\n li a0, 0\n li a1, 0\n la a2, nap\n li a3, 0\n li a7, 115\n ecall\n${clock("from")}${spin}${clock("to")} la t0, to\n ld t1, 0(t0)\n ld t2, 8(t0)\n la t0, from\n ld t3, 0(t0)\n ld t4, 8(t0)
 sub t1, t1, t3\n sub t2, t2, t4\n li t3, 1000000000\n mul t1, t1, t3\n add t1, t1, t2\n li t3, 1000000\n div a0, t1, t3\nout:\n li a7, 93\n ecall
 .align 3\nnap: .dword 0\n .dword 3500000\nfrom: .space 16\nto: .space 16\nparam: .space 8\n`);
  const files = [nice("n0", 0), timed("fifo", SCHED_FIFO, 10), timed("rr", SCHED_RR, 1), timed("other", SCHED_OTHER, 0), timed("idle", SCHED_IDLE, 0)];
  const r = runGuest("/prog/n0 & p=$!; /prog/fifo; echo $?; /prog/rr; echo $?; /prog/other; echo $?; kill -9 $p; /prog/idle; echo $?", { files, maxInsns: 4e8 });
  const [fifo, rr, other, idle] = r.out.trim().split("\n").map(Number) as [number, number, number, number];
  assert.equal([fifo, rr, idle], [10, 10, 10], "milliseconds for 10 million instructions");
  assert.ok(other >= 18 && other <= 22, `${other} ms in turn with another`);
});

test.run();
