// ppoll and pselect6: what they answer at once, what wakes them, when they give up, and what of a select's sets counts.
import { type OpenFile, O_NONBLOCK, O_RDWR, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDNORM } from "../../kernel/kern/file.ts";
import { psignal } from "../../kernel/kern/signal.ts";
import { SigSet, SI_USER, SIGUSR1 } from "../../kernel/kern/sigset.ts";
import { EBADF, EFAULT, EINTR, EINVAL } from "../../kernel/lib/errno.ts";
import { POLL_CALLS } from "../../kernel/sys/poll.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("poll"), PPOLL = 73, PSELECT6 = 72, MS = 1e6;
/** Where the arguments lie. */
const LIST = USER_VA, TIME = USER_VA + 0x800, MASK = USER_VA + 0x840, SETS = [USER_VA + 0x900, USER_VA + 0xa00, USER_VA + 0xb00];

class PollBox extends KernBox {
  constructor() {
    super();
    this.mapUser(1);
  }

  install(f: OpenFile): number {
    return this.me.fds.alloc(f, 1024, false);
  }

  pipe(): { r: number; w: number; in: OpenFile; out: OpenFile } {
    const [r, w] = this.pipes.create(O_NONBLOCK);
    return { r: this.install(r), w: this.install(w), in: r, out: w };
  }

  private time(ms: number): number {
    if (ms === Infinity) return 0;
    this.poke(TIME, BigInt64Array.of(BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * MS)));
    return TIME;
  }

  /** Begins ppoll on (fd, events) pairs. */
  ppoll(pairs: readonly (readonly [number, number])[], ms: number, mask?: SigSet) {
    this.poke(LIST, Int32Array.from(pairs.flatMap(([fd, events]) => [fd, events])));
    if (mask) this.poke(MASK, Int32Array.of(mask.lo, mask.hi));
    const time = this.time(ms);
    return this.begin((t) => this.syscall(POLL_CALLS, PPOLL, t, LIST, pairs.length, time, mask ? MASK : 0, 8));
  }

  revents(n: number): number[] {
    const d = this.peek(LIST, 8 * n);
    return Array.from({ length: n }, (_, i) => d.getInt16(8 * i + 6, true));
  }

  /** Begins pselect6 on three lists of descriptors. */
  select(nfds: number, sets: readonly (readonly number[] | null)[], ms: number) {
    sets.forEach((fds, i) => {
      const bits = new Uint8Array(128);
      for (const fd of fds ?? []) bits[fd >> 3]! |= 1 << (fd & 7);
      this.poke(SETS[i]!, bits);
    });
    const vas = sets.map((fds, i) => (fds ? SETS[i]! : 0)), time = this.time(ms);
    return this.begin((t) => this.syscall(POLL_CALLS, PSELECT6, t, nfds, vas[0]!, vas[1]!, vas[2]!, time, 0));
  }

  chosen(which: number): number[] {
    const d = this.peek(SETS[which]!, 128);
    return Array.from({ length: 1024 }, (_, fd) => fd).filter((fd) => (d.getUint8(fd >> 3) & (1 << (fd & 7))) !== 0);
  }

  /** Milliseconds that the call left of its timeout. */
  get left(): number {
    const d = this.peek(TIME, 16);
    return Number(d.getBigInt64(0, true)) * 1000 + Number(d.getBigInt64(8, true)) / MS;
  }

  /** Lets time pass until the next deadline. */
  sleepOn(): void {
    assert.ok(this.sched.passTime(), "nobody has a deadline");
    this.sched.settle();
  }
}

test("each descriptor gets its own answer; a negative one none, a closed one NVAL, and the count is of those with any", () => {
  const box = new PollBox(), p = box.pipe(), file = box.install(box.open("/f", O_RDWR | 0o100));
  box.write(p.out, "x");
  const call = box.ppoll([[p.r, POLLIN], [p.w, POLLOUT], [p.r, POLLPRI], [-1, POLLIN], [99, POLLIN], [file, POLLIN | POLLOUT], [p.r, 0]], Infinity);
  assert.is(call.result, 4);
  assert.equal(box.revents(7), [POLLIN, POLLOUT, 0, 0, POLLNVAL, POLLIN | POLLOUT, 0]);
});

test("ERR and HUP are told unasked; NVAL counts as an answer", () => {
  const box = new PollBox(), a = box.pipe(), b = box.pipe();
  box.closeFile(a.out);
  box.closeFile(b.in);
  assert.is(box.ppoll([[a.r, 0], [b.w, 0], [a.w, 0]], Infinity).result, 3);
  assert.equal(box.revents(3), [POLLHUP, POLLERR, POLLNVAL]);
});

test("it sleeps until one of its files is ready, and leaves no queue behind", () => {
  const box = new PollBox(), a = box.pipe(), b = box.pipe(), call = box.ppoll([[a.r, POLLIN], [b.r, POLLIN | POLLRDNORM]], Infinity);
  assert.is(call.sleepsAt, "poll");
  box.write(b.out, "x");
  box.sched.settle();
  assert.is(call.result, 1);
  assert.equal(box.revents(2), [0, POLLIN | POLLRDNORM]);
  for (const f of [a.in, b.in]) assert.is((f.data as { readable: { waiters: Set<unknown> } }).readable.waiters.size, 0);
});

test("a change that brings nothing it asked for does not end the wait", () => {
  const box = new PollBox(), p = box.pipe();
  box.write(p.out, "x".repeat(65536));
  const call = box.ppoll([[p.w, POLLOUT]], Infinity);
  box.read(p.in, 10);
  box.sched.settle();
  assert.is(call.sleepsAt, "poll", "less than a page of room");
  box.read(p.in, 5000);
  box.sched.settle();
  assert.is(call.result, 1);
});

test("a timeout ends it with 0 at its time and not before; what was left is told", () => {
  const box = new PollBox(), p = box.pipe(), start = box.sched.timeNs, call = box.ppoll([[p.r, POLLIN]], 2500);
  assert.is(call.sleepsAt, "poll");
  box.sleepOn();
  assert.equal([call.result, box.sched.timeNs - start, box.left], [0, 2500 * MS, 0]);
  assert.is(box.ppoll([[p.r, POLLIN]], 0).result, 0, "no time at all: one look");
  box.write(p.out, "x");
  assert.equal([box.ppoll([[p.r, POLLIN]], 0).result, box.ppoll([[p.r, POLLIN]], 700).result, box.left], [1, 1, 700]);
  const none = box.ppoll([], 40);
  assert.is(none.sleepsAt, "poll");
  box.sleepOn();
  assert.is(none.result, 0);
});

test("a signal is EINTR; one that only the call's mask lets through is taken though it came before", () => {
  const box = new PollBox(), p = box.pipe(), call = box.ppoll([[p.r, POLLIN]], Infinity);
  assert.is(call.interrupt(), -EINTR);
  const blocked = new SigSet();
  blocked.add(SIGUSR1);
  for (const t of box.me.threads) t.sigmask.set(blocked.lo, blocked.hi);
  psignal(box.k, box.me, { sig: SIGUSR1, code: SI_USER });
  // Threads that begin now inherit nothing: the mask is set by hand.
  const masked = box.begin(function* (t) {
    t.sigmask.set(blocked.lo, blocked.hi);
    return yield* box.syscall(POLL_CALLS, PPOLL, t, LIST, 1, 0, 0, 8);
  });
  assert.is(masked.sleepsAt, "poll", "a blocked signal waits");
  const open = box.ppoll([[p.r, POLLIN]], Infinity, new SigSet());
  assert.is(open.result, -EINTR);
});

test("bad memory, too many descriptors and a bad timeout are EFAULT and EINVAL", () => {
  const box = new PollBox(), call = (...args: number[]): number => box.run(box.syscall(POLL_CALLS, PPOLL, box.me.mainThread, ...args));
  assert.is(call(0x5000, 1, 0, 0, 8), -EFAULT);
  assert.is(call(LIST, 1_000_000, 0, 0, 8), -EINVAL);
  box.poke(TIME, BigInt64Array.of(0n, 1_000_000_000n));
  assert.is(call(LIST, 0, TIME, 0, 8), -EINVAL);
  assert.is(call(LIST, 0, 0, MASK, 4), -EINVAL, "a mask of the wrong size");
});

test("select answers in the sets it was given, and counts bits, not descriptors", () => {
  const box = new PollBox(), p = box.pipe(), q = box.pipe(), both = box.install(box.open("/f", O_RDWR | 0o100));
  box.write(p.out, "x");
  const call = box.select(20, [[p.r, q.r, both], [p.w, both], [p.r, both]], Infinity);
  assert.is(call.result, 4);
  assert.equal([0, 1, 2].map((i) => box.chosen(i)), [[p.r, both], [p.w, both], []]);
});

test("select: the end of a file reads as ready, a broken pipe writes as ready", () => {
  const box = new PollBox(), a = box.pipe(), b = box.pipe();
  box.closeFile(a.out);
  box.write(b.out, "x".repeat(65536));
  box.closeFile(b.in);
  assert.is(box.select(20, [[a.r], [b.w], null], Infinity).result, 2);
  assert.equal([box.chosen(0), box.chosen(1)], [[a.r], [b.w]]);
});

test("select: HUP and ERR mean nothing to a set that does not read them: it waits on", () => {
  const box = new PollBox(), gone = box.pipe(), p = box.pipe();
  box.closeFile(gone.out);
  const call = box.select(20, [[p.r], null, [gone.r]], 300);
  assert.is(call.sleepsAt, "poll", "no exception, though the pipe has ended");
  box.write(p.out, "x");
  box.sched.settle();
  assert.equal([call.result, box.chosen(0), box.chosen(2)], [1, [p.r], []]);
  const write = box.select(20, [null, [gone.r], null], 300);
  assert.is(write.sleepsAt, "poll", "HUP does not make it writable");
  box.sleepOn();
  assert.equal([write.result, box.chosen(1)], [0, []]);
});

test("select looks only below nfds; a closed descriptor there is EBADF; a timeout empties the sets", () => {
  const box = new PollBox(), p = box.pipe();
  assert.is(box.select(p.r, [[p.r, 90], null, null], 0).result, 0);
  assert.equal(box.select(64, [[p.r, 50], null, null], 0).result, -EBADF);
  assert.is(box.select(-1, [null, null, null], 0).result, -EINVAL);
  const call = box.select(20, [[p.r], null, null], 5);
  box.sleepOn();
  assert.equal([call.result, box.chosen(0), box.left], [0, [], 0]);
});

test.run();
