// System calls that make files of events: eventfd2, timerfd_*, signalfd4; and epoll.
import { EBADF, ECANCELED, EFAULT, EINTR, EINVAL, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Epoll, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollOps, type Told } from "../kern/epoll.ts";
import { EventFdOps } from "../kern/eventfd.ts";
import { fileRelease, O_CLOEXEC, O_NONBLOCK, type OpenFile } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { hasSignal } from "../kern/signal.ts";
import { setSignalMask, SignalFdOps } from "../kern/signalfd.ts";
import { TimerFdOps, timerFdOf } from "../kern/timerfd.ts";
import { putTimespec, timespecAt } from "./abi.ts";
import { argUOf, getView, intOf, putBytes, type Row, slow } from "./args.ts";
import { holdFile, installFile } from "./file.ts";
import { getSigset, restoreMask, swapMask } from "./signal.ts";
import { getDeadline, isRealClock } from "./time.ts";

const EFD_SEMAPHORE = 1, CLOCKS = new Set([0, 1, 7]), TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2, EVENT_BYTES = 16, MAX_EVENTS = 0x7fffffff / 16;

// ---- eventfd, signalfd, timerfd ------------------------------------------------------------------------------------

function* eventfd2(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 1);
  if ((flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const f = new EventFdOps(k).create(intOf(t, 0) >>> 0, (flags & EFD_SEMAPHORE) !== 0, flags & O_NONBLOCK);
  return yield* installFile(t, f, (flags & O_CLOEXEC) !== 0);
}

function* signalfd4(k: Kern, t: Thread): KGen<number> {
  const fd = intOf(t, 0), flags = intOf(t, 3), set = yield* getSigset(k, t, argUOf(t, 1), argUOf(t, 2));
  if (typeof set === "number") return set;
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  if (fd === -1) return yield* installFile(t, new SignalFdOps(k).create(set.lo, set.hi, flags & O_NONBLOCK), (flags & O_CLOEXEC) !== 0);
  const f = t.proc.fds.get(fd);
  if (!f) return -EBADF;
  if (f.ops.kind !== "signalfd") return -EINVAL;
  setSignalMask(f, set.lo, set.hi);
  k.signalPosted();
  return fd;
}

function* timerfdCreate(k: Kern, t: Thread): KGen<number> {
  const clockId = intOf(t, 0), flags = intOf(t, 1);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0 || !CLOCKS.has(clockId)) return -EINVAL;
  return yield* installFile(t, new TimerFdOps(k).create(clockId, flags & O_NONBLOCK), (flags & O_CLOEXEC) !== 0);
}

/** Interval and time left. */
function* tellTimer(k: Kern, t: Thread, f: OpenFile, va: number): KGen<number> {
  const { timer } = timerFdOf(f), d = new DataView(new ArrayBuffer(32));
  putTimespec(d, 0, timer.intervalNs);
  putTimespec(d, 16, timer.leftNs());
  return yield* putBytes(k, t, va, new Uint8Array(d.buffer));
}

/** => -EBADF, -EINVAL */
function timerFile(t: Thread): OpenFile | number {
  const f = t.proc.fds.get(intOf(t, 0));
  return !f ? -EBADF : f.ops.kind === "timerfd" ? f : -EINVAL;
}

function* timerfdSettime(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 1), oldVa = argUOf(t, 3), d = yield* getView(k, t, argUOf(t, 2), 32), f = timerFile(t);
  if (typeof d === "number") return d;
  if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return -EINVAL;
  const interval = timespecAt(d, 0), value = timespecAt(d, 16);
  if (interval < 0 || value < 0) return -EINVAL;
  if (typeof f === "number") return f;
  const tm = timerFdOf(f), isAbs = (flags & TFD_TIMER_ABSTIME) !== 0, isWall = isAbs && isRealClock(tm.clockId);
  tm.catchUp();
  if (oldVa !== 0) {
    const err = yield* tellTimer(k, t, f, oldVa);
    if (err < 0) return err;
  }
  // After the old setting is told, which may have taken a while.
  const base = isWall ? -k.ctx.wall.offsetNs : isAbs ? 0 : k.now(), cancels = isWall && (flags & TFD_TIMER_CANCEL_ON_SET) !== 0;
  return tm.set(value === 0 ? Infinity : base + value, interval, isWall, cancels) ? -ECANCELED : 0;
}

function* timerfdGettime(k: Kern, t: Thread): KGen<number> {
  const f = timerFile(t);
  if (typeof f === "number") return f;
  timerFdOf(f).catchUp();
  return yield* tellTimer(k, t, f, argUOf(t, 1));
}

// ---- epoll ---------------------------------------------------------------------------------------------------------

function* epollCreate1(k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 0);
  return (flags & ~O_CLOEXEC) !== 0 ? -EINVAL : yield* installFile(t, new EpollOps(k).create(), flags !== 0);
}

function* epollCtl(k: Kern, t: Thread): KGen<number> {
  const op = intOf(t, 1), fd = intOf(t, 2), d = op === EPOLL_CTL_DEL ? null : yield* getView(k, t, argUOf(t, 3), EVENT_BYTES);
  if (typeof d === "number") return d;
  const f = t.proc.fds.get(intOf(t, 0)), target = t.proc.fds.get(fd);
  if (!f || !target) return -EBADF;
  if (f.ops.kind !== "epoll" || f === target) return -EINVAL;
  const ep = f.data as Epoll;
  if (d === null) return ep.delete(target, fd);
  const ask = { events: d.getInt32(0, true), lo: d.getInt32(8, true), hi: d.getInt32(12, true) };
  return op === EPOLL_CTL_ADD ? ep.add(target, fd, ask) : op === EPOLL_CTL_MOD ? ep.modify(target, fd, ask) : -EINVAL;
}

/** Puts events at `va`. What does not fit into memory is told again. => how many were told, or -EFAULT: none */
function* tellEvents(k: Kern, t: Thread, ep: Epoll, va: number, list: readonly Told[]): KGen<number> {
  const d = new DataView(new ArrayBuffer(EVENT_BYTES * list.length)), bytes = new Uint8Array(d.buffer);
  list.forEach((e, i) => [e.events, 0, e.lo, e.hi].forEach((v, j) => d.setInt32(EVENT_BYTES * i + 4 * j, v, true)));
  if ((yield* putBytes(k, t, va, bytes)) >= 0) return list.length;
  let n = 0;
  while (n < list.length && (yield* putBytes(k, t, va + EVENT_BYTES * n, bytes.subarray(EVENT_BYTES * n, EVENT_BYTES * (n + 1)))) >= 0) n++;
  ep.giveBack(list.slice(n));
  return n > 0 ? n : -EFAULT;
}

/** Waits for events of an epoll, and puts them at `va`. => how many; 0 at the deadline; -EINTR */
function* epollWait(k: Kern, t: Thread, ep: Epoll, va: number, most: number, deadlineNs: number): KGen<number> {
  for (;;) {
    const list = ep.collect(most);
    if (list.length > 0) return yield* tellEvents(k, t, ep, va, list);
    if (k.now() >= deadlineNs) return 0;
    const err = hasSignal(t) ? -EINTR : yield* k.ctx.sleep(ep, "epoll", { interruptible: true, timeoutNs: deadlineNs - k.now() });
    if (err !== 0 && err !== -ETIMEDOUT) return err;
  }
}

/** The call with its own signal mask, with a deadline in virtual time. */
function* epollPwaitUntil(k: Kern, t: Thread, deadline: number): KGen<number> {
  const most = intOf(t, 2), maskVa = argUOf(t, 4);
  if (deadline < 0) return deadline;
  if (most <= 0 || most > MAX_EVENTS) return -EINVAL;
  if (maskVa !== 0) {
    const m = yield* getSigset(k, t, maskVa, argUOf(t, 5));
    if (typeof m === "number") return m;
    swapMask(t, m);
  }
  const f = holdFile(t, 0);
  const n = !f ? -EBADF : f.ops.kind !== "epoll" ? -EINVAL : yield* epollWait(k, t, f.data as Epoll, argUOf(t, 1), most, deadline);
  if (f) yield* fileRelease(f);
  if (n !== -EINTR) restoreMask(t);
  return n;
}

function epollPwait(k: Kern, t: Thread): KGen<number> {
  const ms = intOf(t, 3);
  return epollPwaitUntil(k, t, ms < 0 ? Infinity : k.now() + ms * 1e6);
}

function* epollPwait2(k: Kern, t: Thread): KGen<number> {
  return yield* epollPwaitUntil(k, t, yield* getDeadline(k, t, argUOf(t, 3)));
}

export const EVENT_CALLS: readonly Row[] = [
  slow(19, "eventfd2", "ux", eventfd2), slow(74, "signalfd4", "dxux", signalfd4),
  slow(85, "timerfd_create", "dx", timerfdCreate), slow(86, "timerfd_settime", "dxxx", timerfdSettime), slow(87, "timerfd_gettime", "dx", timerfdGettime),
  slow(20, "epoll_create1", "x", epollCreate1), slow(21, "epoll_ctl", "dddx", epollCtl), slow(22, "epoll_pwait", "dxddxu", epollPwait),
  slow(441, "epoll_pwait2", "dxdxxu", epollPwait2),
];
