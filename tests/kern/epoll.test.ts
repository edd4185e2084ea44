// epoll, eventfd, timerfd and signalfd without programs: who is told, how often, and what goes when a file goes.
import { Epoll, EpollOps } from "../../kernel/kern/epoll.ts";
import { EventFdOps } from "../../kernel/kern/eventfd.ts";
import { type OpenFile, O_NONBLOCK, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../kernel/kern/file.ts";
import { psignal } from "../../kernel/kern/signal.ts";
import { SignalFdOps } from "../../kernel/kern/signalfd.ts";
import { SI_USER, SIGKILL, SIGTERM, SIGUSR1 } from "../../kernel/kern/sigset.ts";
import { SOCK_STREAM } from "../../kernel/kern/socket.ts";
import { TimerFdOps, timerFdOf } from "../../kernel/kern/timerfd.ts";
import { EAGAIN, EBADF, ECANCELED, EEXIST, EFAULT, EINTR, EINVAL, ELOOP, ENOENT, EPERM } from "../../kernel/lib/errno.ts";
import { EVENT_CALLS } from "../../kernel/sys/event.ts";
import { TIME_CALLS } from "../../kernel/sys/time.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("epoll"), ET = 1 << 31, ONESHOT = 1 << 30, EXCLUSIVE = 1 << 28, IN = POLLIN | POLLRDNORM, SEM = true;
const u64 = (n: number): string => String.fromCharCode(...new Uint8Array(BigUint64Array.of(BigInt(n)).buffer));

class EventBox extends KernBox {
  readonly epolls = new EpollOps(this.k);
  readonly events = new EventFdOps(this.k);

  epoll(): { f: OpenFile; ep: Epoll } {
    const f = this.epolls.create();
    return { f, ep: f.data as Epoll };
  }

  event(n = 0): OpenFile { return this.events.create(n, false, O_NONBLOCK); }
}

const ask = (events: number, lo = 7) => ({ events, lo, hi: 0 });
const told = (ep: Epoll, most = 8): number[] => ep.collect(most).map((e) => e.events);

test("level: told while it holds; edge: once a change; oneshot: once until it is modified", () => {
  const box = new EventBox(), { ep } = box.epoll(), [level, edge, once] = [box.event(), box.event(), box.event()];
  assert.equal([ep.add(level, 3, ask(POLLIN)), ep.add(edge, 4, ask(POLLIN | ET)), ep.add(once, 5, ask(POLLIN | ONESHOT)), told(ep)], [0, 0, 0, []]);
  for (const f of [level, edge, once]) box.write(f, u64(1));
  assert.equal([told(ep).length, told(ep).length], [3, 1]);
  for (const f of [edge, once]) box.write(f, u64(1));
  assert.is(told(ep).length, 2, "the edge and the level");
  box.read(level, 8);
  assert.equal(told(ep), []);
  assert.equal([ep.modify(once, 5, ask(POLLIN | ONESHOT)), told(ep), told(ep)], [0, [POLLIN], []]);
});

test("an edge is a change of what was asked: a reader's progress is none for who waits to read", () => {
  const box = new EventBox(), { ep } = box.epoll(), pair = box.sockets.socketpair(box.me.mainThread, 1, SOCK_STREAM, 0) as readonly [OpenFile, OpenFile];
  ep.add(pair[0], 3, ask(POLLIN | ET));
  box.write(pair[1], "abc");
  assert.equal([told(ep), told(ep)], [[POLLIN], []]);
  box.write(pair[0], "x");
  box.read(pair[1], 1);
  assert.equal(told(ep), []);
  box.close(pair[1]);
  assert.equal(told(ep), [POLLIN | POLLHUP]);
});

test("the same descriptor twice, none, files that cannot be polled, and EPOLLEXCLUSIVE", () => {
  const box = new EventBox(), { ep } = box.epoll(), e = box.event(), file = box.open("/proc/uptime", 0);
  assert.equal([ep.add(e, 3, ask(POLLIN)), ep.add(e, 3, ask(POLLIN)), ep.add(e, 4, ask(POLLIN)), ep.delete(e, 4), ep.delete(e, 4), ep.modify(e, 4, ask(0))],
    [0, -EEXIST, 0, 0, -ENOENT, -ENOENT]);
  assert.equal([ep.add(file, 5, ask(POLLIN)), ep.add(e, 6, ask(POLLIN | EXCLUSIVE)), ep.modify(e, 6, ask(POLLIN)), ep.add(e, 7, ask(EXCLUSIVE | ONESHOT))], [-EPERM, 0, -EINVAL, -EINVAL]);
  for (const [more, r] of [[2, -EINVAL], [0x2000, -EINVAL], [ET | POLLOUT | POLLHUP, 0]] as const) assert.is(ep.add(e, 8, ask(POLLIN | EXCLUSIVE | more)), r);
});

test("a file that closes takes its items along, an epoll that closes its own", () => {
  const box = new EventBox(), { f, ep } = box.epoll(), a = box.event(1), b = box.event(1);
  ep.add(a, 3, ask(POLLIN));
  ep.add(b, 4, ask(POLLIN));
  a.hold();
  box.close(a);
  assert.is(told(ep).length, 2, "another descriptor of it is open");
  box.close(a);
  assert.equal([told(ep).length, a.watchers!.size], [1, 0]);
  box.close(f);
  assert.equal([b.watchers!.size, box.wakesPoller(b, () => box.write(b, u64(1)))], [0, true]);
});

test("epolls watch epolls, not in circles, and not deeper than five", () => {
  const box = new EventBox(), all = [0, 1, 2, 3, 4, 5].map(() => box.epoll()), e = box.event();
  for (let i = 0; i + 1 < 5; i++) assert.is(all[i]!.ep.add(all[i + 1]!.f, 3, ask(POLLIN)), 0);
  all[4]!.ep.add(e, 3, ask(POLLIN));
  assert.equal([all[4]!.ep.add(all[0]!.f, 9, ask(POLLIN)), all[0]!.ep.add(all[1]!.f, 9, ask(POLLIN | EXCLUSIVE))], [-ELOOP, -EINVAL]);
  assert.is(all[5]!.ep.add(all[0]!.f, 9, ask(POLLIN)), -ELOOP, "too deep");
  assert.is(box.poll(all[0]!.f), 0);
  assert.ok(box.wakesPoller(all[0]!.f, () => box.write(e, u64(1))));
  assert.equal([box.poll(all[0]!.f), told(all[0]!.ep)], [IN, [POLLIN]]);
});

test("epoll_pwait sleeps until something is ready, to its deadline, or a signal; fairness is by turns", () => {
  const box = new EventBox(), t = box.me.mainThread, call = (nr: number, ...a: number[]) => box.syscall(EVENT_CALLS, nr, t, ...a);
  box.mapUser(1);
  const ep = box.run(call(20, 0)), a = box.run(call(19, 0, 0)), b = box.run(call(19, 0, 0));
  for (const [fd, data] of [[a, 11], [b, 22]] as const) {
    box.poke(USER_VA, Int32Array.of(POLLIN, 0, data, -1));
    assert.is(box.run(call(21, ep, 1, fd, USER_VA)), 0);
  }
  const from = box.sched.timeNs;
  assert.equal([box.run(call(22, ep, USER_VA, 1, 5, 0, 8)), box.sched.timeNs - from], [0, 5e6]);
  const waits = box.begin(call(22, ep, USER_VA, 1, -1, 0, 8));
  assert.is(waits.sleepsAt, "epoll");
  for (const fd of [a, b]) box.run(box.writing(box.fileOf(fd), u64(1)), box.init);
  box.sched.settle();
  const seen = [box.peek(USER_VA, 16).getInt32(8, true)];
  assert.equal([waits.result, box.run(call(22, ep, USER_VA, 1, 0, 0, 8))], [1, 1]);
  seen.push(box.peek(USER_VA, 16).getInt32(8, true));
  assert.equal([seen.sort(), box.peek(USER_VA, 16).getInt32(12, true)], [[11, 22], -1]);
  for (const fd of [a, b]) box.read(box.fileOf(fd), 8);
  assert.is(box.begin(call(22, ep, USER_VA, 1, -1, 0, 8)).interrupt(), -EINTR);
  assert.equal([box.run(call(22, ep, USER_VA, 0, 0, 0, 8)), box.run(call(22, a, USER_VA, 1, 0, 0, 8)), box.run(call(22, 99, USER_VA, 1, 0, 0, 8))], [-EINVAL, -EINVAL, -EBADF]);
  assert.equal([box.run(call(21, ep, 1, ep, USER_VA)), box.run(call(20, 5))], [-EINVAL, -EINVAL]);
});

test("events for which the buffer has no room in memory are told again: edges, EPOLLONESHOT; those before them count", () => {
  const box = new EventBox(), t = box.me.mainThread, call = (nr: number, ...a: number[]) => box.syscall(EVENT_CALLS, nr, t, ...a);
  box.mapUser(1);
  const ep = box.run(call(20, 0)), wait = (va: number): number => box.run(call(22, ep, va, 8, 0, 0, 8)), end = USER_VA + 4096;
  for (const [events, data] of [[POLLIN | ET, 1], [POLLIN | ONESHOT, 2]] as const) {
    const fd = box.run(call(19, 1, 0));
    box.poke(USER_VA, Int32Array.of(events, 0, data, 0));
    assert.is(box.run(call(21, ep, 1, fd, USER_VA)), 0);
  }
  const data = (va: number): number => box.peek(va, 16).getInt32(8, true);
  assert.is(wait(end), -EFAULT);
  assert.is(wait(end - 16), 1, "the first fits");
  const first = data(end - 16);
  assert.is(wait(USER_VA), 1, "the second is left");
  assert.equal([first, data(USER_VA)].sort(), [1, 2]);
  assert.is(wait(USER_VA), 0, "each was told once");
});

test("EPOLLEXCLUSIVE: of the epolls that wait for a file one wakes, and one that nobody waits at is passed over", () => {
  const box = new EventBox(), t = box.me.mainThread, call = (nr: number, ...a: number[]) => box.syscall(EVENT_CALLS, nr, t, ...a);
  box.mapUser(1);
  const fd = box.run(call(19, 0, 0)), eps = [0, 1, 2].map(() => box.run(call(20, 0)));
  for (const ep of eps) {
    box.poke(USER_VA, Int32Array.of(POLLIN | EXCLUSIVE, 0, 0, 0));
    assert.is(box.run(call(21, ep, 1, fd, USER_VA)), 0);
  }
  const shared = box.run(call(20, 0));
  box.poke(USER_VA, Int32Array.of(POLLIN, 0, 0, 0));
  assert.is(box.run(call(21, shared, 1, fd, USER_VA)), 0);
  const waits = [eps[1]!, eps[2]!, shared].map((ep, i) => box.begin(call(22, ep, USER_VA + 64 * (i + 1), 1, -1, 0, 8)));
  box.run(box.writing(box.fileOf(fd), u64(1)), box.init);
  box.sched.settle();
  assert.equal(waits.map((w) => w.result), [1, undefined, 1]);
});

test("timers on CLOCK_REALTIME follow it when it is set; TFD_TIMER_CANCEL_ON_SET fails the read", () => {
  const box = new EventBox(), t = box.me.mainThread, call = (nr: number, ...a: number[]) => box.syscall(EVENT_CALLS, nr, t, ...a), { wall } = box.k.ctx;
  box.mapUser(1);
  const NOW = 1_800_000_000, at = (ns: number): void => { box.sched.timeNs = ns; box.k.callouts.run(ns); };
  wall.set({ sec: NOW, nsec: 250_000_000 });
  assert.equal(wall.now(), { sec: NOW, nsec: 250_000_000 });
  at(900_000_000);
  assert.equal(wall.now(), { sec: NOW + 1, nsec: 150_000_000 }, "fractions carry");
  const arm = (flags: number, sec: number): number => {
    const fd = box.run(call(85, 0, O_NONBLOCK));
    box.poke(USER_VA, BigInt64Array.of(0n, 0n, BigInt(sec), 0n));
    assert.is(box.run(call(86, fd, flags, USER_VA, 0)), 0);
    return fd;
  };
  const follows = box.fileOf(arm(1, NOW + 100)), cancels = arm(3, NOW + 100), relative = box.fileOf(arm(2, 100));
  at(10e9);
  assert.equal([follows, relative].map((f) => box.poll(f)), [0, 0]);
  wall.set({ sec: NOW + 99, nsec: 0 });
  assert.equal([box.poll(follows), box.poll(box.fileOf(cancels)), box.poll(relative)], [0, IN, 0]);
  at(11.5e9);
  assert.equal([box.read(follows), box.read(relative)], [u64(1), -EAGAIN]);
  assert.equal([box.read(box.fileOf(cancels)), box.read(box.fileOf(cancels))], [-ECANCELED, -EAGAIN]);
  wall.set({ sec: NOW, nsec: 0 });
  box.poke(USER_VA, BigInt64Array.of(0n, 0n, BigInt(NOW + 5), 0n));
  assert.equal([box.run(call(86, cancels, 3, USER_VA, 0)), box.run(call(86, cancels, 3, USER_VA, 0))], [-ECANCELED, 0], "told once, and armed");
  at(17e9);
  assert.is(box.read(box.fileOf(cancels)), u64(1));
  for (const f of [follows, box.fileOf(cancels), relative]) box.close(f);
  assert.equal([wall.onSet.size, box.k.callouts.next()], [0, Infinity]);
});

test("clock_nanosleep to a time of CLOCK_REALTIME ends when the clock is set past it", () => {
  const box = new EventBox(), t = box.me.mainThread, { wall } = box.k.ctx;
  box.mapUser(1);
  wall.set({ sec: 1000, nsec: 0 });
  box.poke(USER_VA, BigInt64Array.of(2000n, 0n));
  const call = box.begin(box.syscall(TIME_CALLS, 115, t, 0, 1, USER_VA, 0));
  assert.is(call.sleepsAt, "nanosleep");
  wall.set({ sec: 1500, nsec: 0 });
  box.sched.settle();
  assert.is(call.sleepsAt, "nanosleep");
  wall.set({ sec: 2000, nsec: 0 });
  box.sched.settle();
  assert.equal([call.result, wall.onSet.size], [0, 0]);
});

test("eventfd: a counter, a semaphore, and a writer that would pass the end waits", () => {
  const box = new EventBox(), e = box.event(3), s = box.events.create(2, SEM, O_NONBLOCK), full = box.events.create(0, false, 0);
  assert.equal([box.read(e), box.read(e), box.read(e, 4), box.poll(e)], [u64(3), -EAGAIN, -EINVAL, POLLOUT | POLLWRNORM]);
  assert.equal([box.read(s), box.read(s), box.read(s)], [u64(1), u64(1), -EAGAIN]);
  const most = new Uint8Array(BigUint64Array.of(2n ** 64n - 2n).buffer), over = new Uint8Array(8).fill(255);
  assert.equal([box.write(full, over), box.write(full, most), box.poll(full)], [-EINVAL, 8, IN]);
  const call = box.begin(box.writing(full, u64(1)));
  assert.is(call.sleepsAt, "eventwr");
  box.run(box.reading(full, 8), box.init);
  box.sched.settle();
  assert.is(call.result, 8);
});

test("timerfd: counts expirations, wakes who waits, and stops when it is disarmed or closed", () => {
  const box = new EventBox(), f = new TimerFdOps(box.k).create(1, O_NONBLOCK), tm = timerFdOf(f), { ep } = box.epoll();
  const at = (ns: number): void => { box.sched.timeNs = ns; box.k.callouts.run(ns); };
  ep.add(f, 3, ask(POLLIN));
  tm.set(1000, 500);
  assert.equal([box.read(f), told(ep)], [-EAGAIN, []]);
  assert.ok(box.wakesPoller(f, () => at(1000)));
  assert.equal(told(ep), [POLLIN]);
  at(2600);
  assert.equal([box.read(f), box.read(f)], [u64(4), -EAGAIN]);
  box.sched.timeNs = 3000;
  assert.is(box.read(f), u64(1), "before anybody ran what is due");
  tm.set(Infinity, 0);
  tm.set(9000, 0);
  box.close(f);
  assert.is(box.k.callouts.next(), Infinity);
});

test("signalfd: takes what its reader has pending, of its set, and never SIGKILL", () => {
  const box = new EventBox(), f = new SignalFdOps(box.k).create((1 << (SIGUSR1 - 1)) | (1 << (SIGKILL - 1)), 0, 0), t = box.me.mainThread, { ep } = box.epoll();
  t.sigmask.add(SIGUSR1);
  t.sigmask.add(SIGTERM);
  ep.add(f, 3, ask(POLLIN));
  const call = box.begin(box.reading(f, 256, t));
  assert.is(call.sleepsAt, "signalrd");
  psignal(box.k, box.me, { sig: SIGTERM, code: SI_USER, pid: 5 });
  box.sched.settle();
  assert.is(call.result, undefined);
  psignal(box.k, box.me, { sig: SIGUSR1, code: SI_USER, pid: 9, uid: 8 });
  box.sched.settle();
  const got = new DataView(Uint8Array.from(call.result as string, (c) => c.charCodeAt(0)).buffer);
  assert.equal([got.byteLength, got.getInt32(0, true), got.getInt32(12, true), got.getInt32(16, true)], [128, SIGUSR1, 9, 8]);
  assert.is(box.me.pending.next(t.sigmask), 0);
  assert.is(box.read(f, 100), -EINVAL);
});

test.run();
