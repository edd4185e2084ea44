// Interval timers and POSIX timers of a process, and its limit of CPU time.
//
// Real time is a callout on the clock. Timers on CPU time hang on the process that they measure, and the scheduler ends slices
// where they are due: a process that sleeps keeps nobody awake by them.
import { EAGAIN, EINVAL } from "../lib/errno.ts";
import { Callout } from "./callout.ts";
import type { Kern } from "./kern.ts";
import { type CpuTimer, Process, Thread } from "./proc.ts";
import { RLIMIT_CPU } from "./rlimit.ts";
import { psignal, tsignal } from "./signal.ts";
import { SI_KERNEL, SI_TIMER, SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU } from "./sigset.ts";

const SIG_OF = [SIGALRM, SIGVTALRM, SIGPROF];
const MAX_TIMERS = 128, NS = 1e9;

/** A timer on some clock. */
export class ProcTimer implements CpuTimer {
  intervalNs = 0;
  /** On its clock; Infinity: not armed. */
  dueNs = Infinity;
  overrun = 0;
  private readonly callout: Callout;
  private readonly k: Kern;
  /** Its clock. */
  readonly clock: () => number;
  private readonly fire: (t: ProcTimer) => void;
  /** Whose CPU time the clock is; null: it is real time. */
  private readonly meter: Process | Thread | null;

  constructor(k: Kern, clock: () => number, fire: (t: ProcTimer) => void, meter: Process | Thread | null = null) {
    this.k = k;
    this.clock = clock;
    this.fire = fire;
    this.meter = meter;
    this.callout = new Callout(() => this.tick());
  }

  /** => isWall: dueNs stands for a time of CLOCK_REALTIME, and moves when that is set */
  set(dueNs: number, intervalNs: number, isWall = false): void {
    const { onSet } = this.k.ctx.wall;
    this.dueNs = dueNs;
    this.intervalNs = intervalNs;
    this.overrun = 0;
    if (isWall && dueNs !== Infinity) onSet.add(this.moved);
    else onSet.delete(this.moved);
    if (dueNs !== Infinity) this.arm();
    else if (this.meter === null) this.k.callouts.cancel(this.callout);
    else this.timersOfMeter.delete(this);
  }

  private readonly moved = (ns: number): void => {
    this.dueNs -= ns;
    this.arm();
  };

  /** Time left, 0 not armed; at least 1 when armed. */
  leftNs(): number {
    return this.dueNs === Infinity ? 0 : Math.max(1, this.dueNs - this.clock());
  }

  private get timersOfMeter(): Set<CpuTimer> {
    return this.meter instanceof Thread ? this.meter.proc.cpuTimers : this.meter!.cpuTimers;
  }

  private arm(): void {
    if (this.meter === null) return this.k.callouts.arm(this.callout, this.k.now() + Math.max(0, this.dueNs - this.clock()));
    this.timersOfMeter.add(this);
    this.k.sched.cpuTimersChanged();
  }

  cpuLeftNs(t: Thread): number {
    return this.meter instanceof Thread && this.meter !== t ? Infinity : this.dueNs - this.clock();
  }

  checkDue(): void {
    if (this.clock() >= this.dueNs) this.tick();
  }

  private tick(): void {
    const now = this.clock();
    if (now < this.dueNs) return this.arm();
    if (this.intervalNs > 0) {
      const missed = Math.floor((now - this.dueNs) / this.intervalNs);
      this.overrun = missed;
      this.dueNs += (missed + 1) * this.intervalNs;
      this.arm();
    } else this.set(Infinity, 0);
    this.fire(this);
  }
}

/** All timers of a process. */
export class ProcTimers {
  readonly itimers: (ProcTimer | null)[] = [null, null, null];
  readonly posix = new Map<number, PosixTimer>();
  /** RLIMIT_CPU. */
  cpuLimit: ProcTimer | null = null;
  nextId = 0;
}

export interface PosixTimer {
  readonly timer: ProcTimer;
  readonly clockId: number;
}

function timersOf(p: Process): ProcTimers {
  return (p.timers ??= new ProcTimers()) as ProcTimers;
}

/** CPU time of a process or thread, up to now. */
export function cpuNs(k: Kern, of: Process | Thread, userOnly = false): number {
  k.sched.charge();
  return of instanceof Thread ? of.usedNs : of.usage.userNs + (userOnly ? 0 : of.usage.sysNs);
}

/** The timer behind ITIMER_REAL, VIRTUAL or PROF. */
export function itimerOf(k: Kern, p: Process, which: number): ProcTimer {
  const all = timersOf(p), sig = SIG_OF[which]!;
  const clock = which === 0 ? (): number => k.now() : (): number => cpuNs(k, p, which === 1);
  return (all.itimers[which] ??= new ProcTimer(k, clock, () => psignal(k, p, { sig, code: SI_KERNEL }), which === 0 ? null : p));
}

/** RLIMIT_CPU was set, or inherited: SIGXCPU at the soft limit and each second from then on, SIGKILL at the hard one. */
export function armCpuLimit(k: Kern, p: Process): void {
  const { soft, hard } = p.limits, all = timersOf(p), due = (): number => NS * Math.max(1, Math.min(soft[RLIMIT_CPU]!, hard[RLIMIT_CPU]!));
  if (due() === Infinity) return all.cpuLimit?.set(Infinity, 0);
  all.cpuLimit ??= new ProcTimer(k, () => cpuNs(k, p), (tm) => {
    if (tm.clock() >= NS * hard[RLIMIT_CPU]!) return psignal(k, p, { sig: SIGKILL, code: SI_KERNEL });
    soft[RLIMIT_CPU]!++;
    tm.set(due(), 0);
    psignal(k, p, { sig: SIGXCPU, code: SI_KERNEL });
  }, p);
  all.cpuLimit.set(due(), 0);
}

export interface TimerNotify { sig: number; thread: Thread | null; valueLo: number; valueHi: number }

/** timer_create. `meter`: whose CPU time, null real time. => its id; -EAGAIN */
export function timerCreate(k: Kern, p: Process, clockId: number, meter: Process | Thread | null, notify: TimerNotify): number {
  const all = timersOf(p);
  if (all.posix.size >= MAX_TIMERS) return -EAGAIN;
  const timerId = all.nextId++, { sig, thread, valueLo, valueHi } = notify;
  const timer = new ProcTimer(k, meter === null ? () => k.now() : () => cpuNs(k, meter), (t) => {
    if (sig === 0) return;
    const info = { sig, code: SI_TIMER, timerId, overrun: t.overrun, valueLo, valueHi };
    if (thread) tsignal(k, thread, info);
    else psignal(k, p, info);
  }, meter);
  all.posix.set(timerId, { timer, clockId });
  return timerId;
}

export function timerOf(p: Process, id: number): PosixTimer | null {
  return timersOf(p).posix.get(id) ?? null;
}

/** timer_delete. */
export function timerDelete(p: Process, id: number): number {
  const t = timerOf(p, id);
  if (!t) return -EINVAL;
  t.timer.set(Infinity, 0);
  timersOf(p).posix.delete(id);
  return 0;
}

/** Ends all timers; exec keeps interval timers. */
export function dropTimers(p: Process, keepItimers = false): void {
  if (!p.timers) return;
  const all = timersOf(p);
  for (const t of all.posix.values()) t.timer.set(Infinity, 0);
  all.posix.clear();
  if (keepItimers) return;
  for (const t of [...all.itimers, all.cpuLimit]) t?.set(Infinity, 0);
}
