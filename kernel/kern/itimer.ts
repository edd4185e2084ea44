// Interval timers and POSIX timers of a process: callouts that post signals.
//
// Real time runs on the virtual clock. ITIMER_VIRTUAL and ITIMER_PROF count the instructions of the process: their callout is
// set for the earliest time at which they can be due, and looks again.
import { EAGAIN, EINVAL } from "../lib/errno.ts";
import { Callout } from "./callout.ts";
import type { Kern } from "./kern.ts";
import type { Process, Thread } from "./proc.ts";
import { psignal, tsignal } from "./signal.ts";
import { SI_KERNEL, SI_TIMER, SIGALRM, SIGPROF, SIGVTALRM } from "./sigset.ts";

const SIG_OF = [SIGALRM, SIGVTALRM, SIGPROF];
const MAX_TIMERS = 128;

/** A timer on some clock of the process. */
export class ProcTimer {
  intervalNs = 0;
  /** On its clock; Infinity: not armed. */
  dueNs = Infinity;
  overrun = 0;
  readonly callout: Callout;
  private readonly k: Kern;
  /** Its clock. */
  readonly clock: () => number;
  private readonly fire: (t: ProcTimer) => void;

  constructor(k: Kern, clock: () => number, fire: (t: ProcTimer) => void) {
    this.k = k;
    this.clock = clock;
    this.fire = fire;
    this.callout = new Callout(() => this.tick());
  }

  set(dueNs: number, intervalNs: number): void {
    this.dueNs = dueNs;
    this.intervalNs = intervalNs;
    this.overrun = 0;
    if (dueNs === Infinity) this.k.callouts.cancel(this.callout);
    else this.arm();
  }

  /** Time left, 0 not armed; at least 1 when armed. */
  leftNs(): number {
    return this.dueNs === Infinity ? 0 : Math.max(1, this.dueNs - this.clock());
  }

  private arm(): void {
    this.k.callouts.arm(this.callout, this.k.now() + Math.max(0, this.dueNs - this.clock()));
  }

  private tick(): void {
    const now = this.clock();
    if (now < this.dueNs) return this.arm();
    if (this.intervalNs > 0) {
      const missed = Math.floor((now - this.dueNs) / this.intervalNs);
      this.overrun = missed;
      this.dueNs += (missed + 1) * this.intervalNs;
      this.arm();
    } else this.dueNs = Infinity;
    this.fire(this);
  }
}

/** All timers of a process. */
export class ProcTimers {
  readonly itimers: (ProcTimer | null)[] = [null, null, null];
  readonly posix = new Map<number, PosixTimer>();
  nextId = 0;
}

export interface PosixTimer {
  readonly timer: ProcTimer;
  readonly clockId: number;
}

function timersOf(p: Process): ProcTimers {
  return (p.timers ??= new ProcTimers()) as ProcTimers;
}

/** User time of a process, up to now. */
export function cpuNs(k: Kern, p: Process): number {
  k.sched.charge();
  return p.usage.userNs + p.usage.sysNs;
}

/** The timer behind ITIMER_REAL, VIRTUAL or PROF. */
export function itimerOf(k: Kern, p: Process, which: number): ProcTimer {
  const all = timersOf(p), sig = SIG_OF[which]!;
  return (all.itimers[which] ??= new ProcTimer(k, which === 0 ? () => k.now() : () => cpuNs(k, p), () => psignal(k, p, { sig, code: SI_KERNEL })));
}

/** timer_create. => its id; -EAGAIN */
export function timerCreate(k: Kern, p: Process, clockId: number, clock: () => number, notify: { sig: number; thread: Thread | null; valueLo: number; valueHi: number }): number {
  const all = timersOf(p);
  if (all.posix.size >= MAX_TIMERS) return -EAGAIN;
  const timerId = all.nextId++, { sig, thread, valueLo, valueHi } = notify;
  const timer = new ProcTimer(k, clock, (t) => {
    if (sig === 0) return;
    const info = { sig, code: SI_TIMER, timerId, overrun: t.overrun, valueLo, valueHi };
    if (thread) tsignal(k, thread, info);
    else psignal(k, p, info);
  });
  all.posix.set(timerId, { timer, clockId });
  return timerId;
}

export function timerOf(p: Process, id: number): PosixTimer | null {
  return timersOf(p).posix.get(id) ?? null;
}

/** timer_delete. */
export function timerDelete(k: Kern, p: Process, id: number): number {
  const t = timerOf(p, id);
  if (!t) return -EINVAL;
  k.callouts.cancel(t.timer.callout);
  timersOf(p).posix.delete(id);
  return 0;
}

/** Ends all timers; exec keeps interval timers. */
export function dropTimers(k: Kern, p: Process, keepItimers = false): void {
  if (!p.timers) return;
  const all = timersOf(p);
  for (const t of all.posix.values()) k.callouts.cancel(t.timer.callout);
  all.posix.clear();
  if (keepItimers) return;
  for (const t of all.itimers) if (t) k.callouts.cancel(t.callout);
}
