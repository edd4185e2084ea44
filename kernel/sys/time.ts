// System calls about time. CLOCK_MONOTONIC is the virtual clock; CLOCK_REALTIME is it plus an offset.
import { EFAULT, EINTR, EINVAL, EPERM, ERESTART, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import type { Timespec } from "../lib/timespec.ts";
import { CAP_SYS_TIME } from "../kern/caps.ts";
import { cpuNs, itimerOf, ProcTimer, timerCreate, timerDelete, timerOf } from "../kern/itimer.ts";
import type { Kern } from "../kern/kern.ts";
import type { Process, Thread } from "../kern/proc.ts";
import { SIGALRM } from "../kern/sigset.ts";
import { RESTART_NOHAND } from "../kern/trap.ts";
import { nsecOf, putTimespec, putTimeval, secOf, timespecAt, timespecBytes, timevalAt } from "./abi.ts";
import { argUOf, both, fast, getView, i64At, intOf, put64, putBytes, putInt, type Row, slow } from "./args.ts";

const CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS = 2, CLOCK_THREAD = 3, CLOCK_MONOTONIC_RAW = 4, CLOCK_REALTIME_COARSE = 5;
const CLOCK_MONOTONIC_COARSE = 6, CLOCK_BOOTTIME = 7, CLOCK_TAI = 11;
const TIMER_ABSTIME = 1;

const isReal = (id: number): boolean => id === CLOCK_REALTIME || id === CLOCK_REALTIME_COARSE || id === CLOCK_TAI;
const isMonotonic = (id: number): boolean => id === CLOCK_MONOTONIC || id === CLOCK_MONOTONIC_RAW || id === CLOCK_MONOTONIC_COARSE || id === CLOCK_BOOTTIME;

function readClock(k: Kern, t: Thread, id: number): Timespec | null {
  if (isReal(id)) return k.ctx.wall.now();
  if (isMonotonic(id)) {
    const now = k.now();
    return { sec: secOf(now), nsec: nsecOf(now) };
  }
  const of = cpuMeter(k, t, id);
  if (!of) return null;
  const ns = cpuNs(k, of, id < 0 && (id & 3) === CPUCLOCK_VIRT);
  return { sec: secOf(ns), nsec: nsecOf(ns) };
}

const CPUCLOCK_VIRT = 1, CPUCLOCK_MAX = 3, CPUCLOCK_PERTHREAD = 4;

/** Whose CPU time a clock tells, or null. Negative ids name processes, and threads of the caller's (pthread_getcpuclockid). */
function cpuMeter(k: Kern, t: Thread, id: number): Process | Thread | null {
  if (id === CLOCK_PROCESS) return t.proc;
  if (id === CLOCK_THREAD) return t;
  if (id >= 0 || (id & 3) === CPUCLOCK_MAX) return null;
  const pid = ~(id >> 3), isThread = (id & CPUCLOCK_PERTHREAD) !== 0;
  if (!isThread) return pid === 0 ? t.proc : k.procs.get(pid) ?? null;
  const o = pid === 0 ? t : k.threads.get(pid);
  return o?.proc === t.proc ? o : null;
}

function clockGettimeFast(k: Kern, t: Thread): number {
  const c = readClock(k, t, intOf(t, 0)), va = argUOf(t, 1), { user } = k.uvm, pm = t.proc.vmspace.map.pmap;
  if (!c) return -EINVAL;
  const ok = user.store32(pm, va, c.sec | 0) && user.store32(pm, va + 4, Math.floor(c.sec / 2 ** 32)) && user.store32(pm, va + 8, c.nsec) && user.store32(pm, va + 12, 0);
  return ok ? 0 : -ERESTART;
}

function* clockGettime(k: Kern, t: Thread): KGen<number> {
  const c = readClock(k, t, intOf(t, 0)), d = new DataView(new ArrayBuffer(16));
  if (!c) return -EINVAL;
  put64(d, 0, c.sec);
  put64(d, 8, c.nsec);
  return yield* putBytes(k, t, argUOf(t, 1), new Uint8Array(d.buffer));
}

function* clockGetres(k: Kern, t: Thread): KGen<number> {
  if (!readClock(k, t, intOf(t, 0))) return -EINVAL;
  const coarse = intOf(t, 0) === CLOCK_REALTIME_COARSE || intOf(t, 0) === CLOCK_MONOTONIC_COARSE;
  return argUOf(t, 1) === 0 ? 0 : yield* putBytes(k, t, argUOf(t, 1), timespecBytes(coarse ? 4e6 : 1));
}

function* clockSettime(k: Kern, t: Thread): KGen<number> {
  const d = yield* getView(k, t, argUOf(t, 1), 16);
  if (typeof d === "number") return d;
  if (intOf(t, 0) !== CLOCK_REALTIME || timespecAt(d, 0) < 0) return -EINVAL;
  if (!t.proc.cred.can(CAP_SYS_TIME)) return -EPERM;
  k.ctx.wall.set({ sec: i64At(d, 0), nsec: i64At(d, 8) });
  return 0;
}

function* gettimeofday(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), d = new DataView(new ArrayBuffer(16)), now = k.ctx.wall.now();
  if (va === 0) return 0;
  put64(d, 0, now.sec);
  put64(d, 8, Math.floor(now.nsec / 1000));
  return yield* putBytes(k, t, va, new Uint8Array(d.buffer));
}

/** Sleeps until a virtual time. A restart after a stop goes on with the same deadline. => 0 or -EINTR */
export function* sleepUntil(k: Kern, t: Thread, untilNs: number, tag: string): KGen<number> {
  const until = Number.isNaN(t.restartDeadline) ? untilNs : t.restartDeadline;
  t.restartDeadline = until;
  while (k.now() < until) {
    const err = yield* k.ctx.sleep(t, tag, { interruptible: true, timeoutNs: until - k.now() });
    if (err === -EINTR) return -EINTR;
    if (err === -ETIMEDOUT) break;
  }
  return 0;
}

/** Sleeps until a time of CLOCK_REALTIME, which may be set meanwhile. => 0 or -EINTR */
function* sleepUntilWall(k: Kern, t: Thread, ns: number): KGen<number> {
  const { wall } = k.ctx, moved = (): void => void k.ctx.wakeup(t);
  wall.onSet.add(moved);
  let err = 0;
  for (let left = ns - realNow(k); left > 0 && err !== -EINTR; left = ns - realNow(k)) err = yield* k.ctx.sleep(t, "nanosleep", { interruptible: true, timeoutNs: left });
  wall.onSet.delete(moved);
  return err === -EINTR ? err : 0;
}

/** Until a process or another thread has run for so long. */
function* cpuSleep(k: Kern, t: Thread, id: number, isAbs: boolean, ns: number, remVa: number): KGen<number> {
  const meter = cpuMeter(k, t, id), chan = {};
  if (!meter || meter === t) return -EINVAL;
  const tm = new ProcTimer(k, () => cpuNs(k, meter), () => k.ctx.wakeup(chan), meter);
  const until = isAbs ? ns : Number.isNaN(t.restartDeadline) ? tm.clock() + ns : t.restartDeadline;
  if (!isAbs) t.restartDeadline = until;
  if (tm.clock() >= until) return 0;
  tm.set(until, 0);
  const err = yield* k.ctx.sleep(chan, "nanosleep", { interruptible: true }), left = Math.max(0, until - tm.clock());
  tm.set(Infinity, 0);
  if (err >= 0 || isAbs || remVa === 0) return err;
  return (yield* putBytes(k, t, remVa, timespecBytes(left))) < 0 ? -EFAULT : err;
}

function* nanosleep(k: Kern, t: Thread, id: number, flags: number, reqVa: number, remVa: number): KGen<number> {
  const d = yield* getView(k, t, reqVa, 16);
  if (typeof d === "number") return d;
  const ns = timespecAt(d, 0), isAbs = (flags & TIMER_ABSTIME) !== 0;
  if (ns < 0) return ns;
  if (!isReal(id) && !isMonotonic(id)) return yield* cpuSleep(k, t, id, isAbs, ns, remVa);
  if (isAbs && isReal(id)) return yield* sleepUntilWall(k, t, ns);
  const err = yield* sleepUntil(k, t, isAbs ? ns : k.now() + ns, "nanosleep");
  if (err === -EINTR && !isAbs && remVa !== 0) {
    const r = yield* putBytes(k, t, remVa, timespecBytes(Math.max(0, t.restartDeadline - k.now())));
    if (r < 0) return -EFAULT;
  }
  return err;
}

function* times(k: Kern, t: Thread): KGen<number> {
  const p = t.proc, d = new DataView(new ArrayBuffer(32)), ticks = (ns: number): number => Math.floor(ns / 1e7);
  k.sched.charge();
  [p.usage.userNs, p.usage.sysNs, p.childUsage.userNs, p.childUsage.sysNs].forEach((ns, i) => put64(d, 8 * i, ticks(ns)));
  if (argUOf(t, 0) !== 0) {
    const err = yield* putBytes(k, t, argUOf(t, 0), new Uint8Array(d.buffer));
    if (err < 0) return err;
  }
  return ticks(k.now());
}

// ---- interval and POSIX timers -------------------------------------------------------------------------------------

function* tellItimer(k: Kern, t: Thread, tm: ProcTimer, va: number): KGen<number> {
  const d = new DataView(new ArrayBuffer(32));
  putTimeval(d, 0, tm.intervalNs);
  putTimeval(d, 16, tm.leftNs() === 0 ? 0 : Math.max(1000, tm.leftNs()));
  return yield* putBytes(k, t, va, new Uint8Array(d.buffer));
}

function* setitimer(k: Kern, t: Thread): KGen<number> {
  const which = intOf(t, 0), newVa = argUOf(t, 1), oldVa = argUOf(t, 2);
  if (which < 0 || which > 2) return -EINVAL;
  const tm = itimerOf(k, t.proc, which);
  let value = 0, interval = 0;
  if (newVa !== 0) {
    const d = yield* getView(k, t, newVa, 32);
    if (typeof d === "number") return d;
    interval = timevalAt(d, 0);
    value = timevalAt(d, 16);
    if (interval < 0 || value < 0) return -EINVAL;
  }
  if (oldVa !== 0) {
    const err = yield* tellItimer(k, t, tm, oldVa);
    if (err < 0) return err;
  }
  tm.set(value === 0 ? Infinity : tm.clock() + value, interval);
  return 0;
}

function* getitimer(k: Kern, t: Thread): KGen<number> {
  const which = intOf(t, 0);
  return which < 0 || which > 2 ? -EINVAL : yield* tellItimer(k, t, itimerOf(k, t.proc, which), argUOf(t, 1));
}

const SIGEV_SIGNAL = 0, SIGEV_NONE = 1, SIGEV_THREAD_ID = 4;

function* timerCreateCall(k: Kern, t: Thread): KGen<number> {
  const id = intOf(t, 0), evVa = argUOf(t, 1), p = t.proc;
  if (!readClock(k, t, id)) return -EINVAL;
  const meter = isReal(id) || isMonotonic(id) ? null : cpuMeter(k, t, id);
  let notify = { sig: SIGALRM, thread: null as Thread | null, valueLo: 0, valueHi: 0 };
  if (evVa !== 0) {
    const d = yield* getView(k, t, evVa, 64);
    if (typeof d === "number") return d;
    const kind = d.getInt32(12, true), sig = d.getInt32(8, true), thread = kind === SIGEV_THREAD_ID ? (k.threads.get(d.getInt32(16, true)) ?? null) : null;
    if ((kind !== SIGEV_SIGNAL && kind !== SIGEV_NONE && kind !== SIGEV_THREAD_ID) || (kind !== SIGEV_NONE && (sig < 1 || sig > 64))) return -EINVAL;
    if (kind === SIGEV_THREAD_ID && thread?.proc !== p) return -EINVAL;
    notify = { sig: kind === SIGEV_NONE ? 0 : sig, thread, valueLo: d.getInt32(0, true), valueHi: d.getInt32(4, true) };
  }
  const timer = timerCreate(k, p, id, meter, notify);
  if (timer < 0) return timer;
  if (evVa === 0) notify.valueLo = timer;
  const err = yield* putInt(k, t, argUOf(t, 2), timer);
  if (err < 0) timerDelete(p, timer);
  return err;
}

function* tellTimer(k: Kern, t: Thread, tm: ProcTimer, va: number): KGen<number> {
  const d = new DataView(new ArrayBuffer(32));
  putTimespec(d, 0, tm.intervalNs);
  putTimespec(d, 16, tm.leftNs());
  return yield* putBytes(k, t, va, new Uint8Array(d.buffer));
}

function* timerSettime(k: Kern, t: Thread): KGen<number> {
  const tm = timerOf(t.proc, intOf(t, 0)), d = yield* getView(k, t, argUOf(t, 2), 32);
  if (typeof d === "number") return d;
  if (!tm) return -EINVAL;
  const interval = timespecAt(d, 0), value = timespecAt(d, 16);
  if (interval < 0 || value < 0) return -EINVAL;
  if (argUOf(t, 3) !== 0) {
    const err = yield* tellTimer(k, t, tm.timer, argUOf(t, 3));
    if (err < 0) return err;
  }
  const isAbs = (intOf(t, 1) & TIMER_ABSTIME) !== 0, isWall = isAbs && isReal(tm.clockId);
  const base = isWall ? -k.ctx.wall.offsetNs : isAbs ? 0 : tm.timer.clock();
  tm.timer.set(value === 0 ? Infinity : base + value, interval, isWall);
  return 0;
}

function* timerGettime(k: Kern, t: Thread): KGen<number> {
  const tm = timerOf(t.proc, intOf(t, 0));
  return tm ? yield* tellTimer(k, t, tm.timer, argUOf(t, 1)) : -EINVAL;
}

/** A timeout argument as an absolute virtual time; Infinity when the pointer is null. => -EFAULT, -EINVAL */
export function* getDeadline(k: Kern, t: Thread, va: number): KGen<number> {
  if (va === 0) return Infinity;
  const d = yield* getView(k, t, va, 16);
  if (typeof d === "number") return d;
  const ns = timespecAt(d, 0);
  if (ns < 0) return ns;
  return Number.isNaN(t.restartDeadline) ? k.now() + ns : t.restartDeadline;
}

export const realNow = (k: Kern): number => k.ctx.wall.offsetNs + k.now();
export const isRealClock = isReal;

export const TIME_CALLS: readonly Row[] = [
  both(113, "clock_gettime", "dx", clockGettimeFast, clockGettime), slow(114, "clock_getres", "dx", clockGetres), slow(112, "clock_settime", "dx", clockSettime),
  slow(169, "gettimeofday", "xx", gettimeofday), slow(101, "nanosleep", "xx", (k, t) => nanosleep(k, t, CLOCK_MONOTONIC, 0, argUOf(t, 0), argUOf(t, 1)), RESTART_NOHAND),
  slow(115, "clock_nanosleep", "dxxx", (k, t) => nanosleep(k, t, intOf(t, 0), intOf(t, 1), argUOf(t, 2), argUOf(t, 3)), RESTART_NOHAND),
  slow(153, "times", "x", times), slow(103, "setitimer", "dxx", setitimer), slow(102, "getitimer", "dx", getitimer),
  slow(107, "timer_create", "dxx", timerCreateCall), slow(110, "timer_settime", "dxxx", timerSettime), slow(108, "timer_gettime", "dx", timerGettime),
  fast(109, "timer_getoverrun", "d", (_k, t) => timerOf(t.proc, intOf(t, 0))?.timer.overrun ?? -EINVAL),
  fast(111, "timer_delete", "d", (_k, t) => timerDelete(t.proc, intOf(t, 0))),
];
