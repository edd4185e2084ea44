// Signal numbers, sets, what a process does with each, and what is pending.
export const SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10;
export const SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19;
export const SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25, SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28;
export const SIGIO = 29, SIGPWR = 30, SIGSYS = 31, SIGRTMIN = 32, NSIG = 64;

export const SIG_DFL = 0, SIG_IGN = 1;
export const SA_NOCLDSTOP = 1, SA_NOCLDWAIT = 2, SA_SIGINFO = 4, SA_ONSTACK = 0x08000000, SA_RESTART = 0x10000000, SA_NODEFER = 0x40000000;
export const SA_RESETHAND = 0x80000000;

export const SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6;
export const CLD_EXITED = 1, CLD_KILLED = 2, CLD_DUMPED = 3, CLD_STOPPED = 5, CLD_CONTINUED = 6;
export const SEGV_MAPERR = 1, SEGV_ACCERR = 2, BUS_ADRALN = 1, BUS_ADRERR = 2, BUS_OBJERR = 3, ILL_ILLOPC = 1, TRAP_BRKPT = 1;

/** 64 signals, 1 … 64, as two words. */
export class SigSet {
  lo: number;
  hi: number;
  constructor(lo = 0, hi = 0) {
    this.lo = lo | 0;
    this.hi = hi | 0;
  }

  has(sig: number): boolean {
    return sig <= 32 ? (this.lo & (1 << (sig - 1))) !== 0 : (this.hi & (1 << (sig - 33))) !== 0;
  }

  add(sig: number): void {
    if (sig <= 32) this.lo |= 1 << (sig - 1);
    else this.hi |= 1 << (sig - 33);
  }

  remove(sig: number): void {
    if (sig <= 32) this.lo &= ~(1 << (sig - 1));
    else this.hi &= ~(1 << (sig - 33));
  }

  set(lo: number, hi: number): void {
    this.lo = lo | 0;
    this.hi = hi | 0;
  }

  copy(): SigSet {
    return new SigSet(this.lo, this.hi);
  }

  get isEmpty(): boolean {
    return (this.lo | this.hi) === 0;
  }
}

const bit = (...sigs: number[]): number => sigs.reduce((m, s) => m | (1 << (s - 1)), 0);
/** SIGKILL and SIGSTOP cannot be blocked, caught or ignored. */
export const UNBLOCKABLE = bit(SIGKILL, SIGSTOP);
export const STOP_SIGNALS = bit(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU);
/** Ignored by default. */
export const IGNORED_BY_DEFAULT = bit(SIGCHLD, SIGURG, SIGWINCH, SIGCONT);
/** Raised by an instruction of the thread: delivered first. */
export const SYNCHRONOUS = bit(SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS);

export const isStopSignal = (sig: number): boolean => sig <= 32 && (STOP_SIGNALS & (1 << (sig - 1))) !== 0;

/** What siginfo_t says. */
export interface SigInfo {
  sig: number;
  code: number;
  errno?: number;
  pid?: number;
  uid?: number;
  /** si_addr */
  addr?: number;
  /** si_status */
  status?: number;
  utime?: number;
  stime?: number;
  /** si_value, as two words. */
  valueLo?: number;
  valueHi?: number;
  timerId?: number;
  overrun?: number;
}

export interface SigAction {
  handler: number;
  flags: number;
  mask: SigSet;
}

/** Handlers of a process (shared between its threads). Most signals have the default action, and no record. */
export class SigActions {
  private readonly table: (SigAction | null)[] = new Array<SigAction | null>(NSIG + 1).fill(null);
  constructor(from?: SigActions) {
    if (from === undefined) return;
    for (let sig = 1; sig <= NSIG; sig++) {
      const a = from.table[sig]!;
      if (a !== null && (a.handler !== SIG_DFL || a.flags !== 0)) this.table[sig] = { handler: a.handler, flags: a.flags, mask: a.mask.copy() };
    }
  }

  /** The action of a signal, to read or to change. */
  of(sig: number): SigAction {
    return (this.table[sig] ??= { handler: SIG_DFL, flags: 0, mask: new SigSet() });
  }

  /** exec: caught signals go back to the default, ignored ones stay ignored. */
  resetForExec(): void {
    for (const a of this.table) {
      if (a === null) continue;
      if (a.handler !== SIG_IGN) a.handler = SIG_DFL;
      a.flags = 0;
      a.mask.set(0, 0);
    }
  }

  /** Delivery would do nothing. */
  isIgnored(sig: number): boolean {
    const h = this.table[sig]?.handler ?? SIG_DFL;
    return h === SIG_IGN || (h === SIG_DFL && sig <= 32 && (IGNORED_BY_DEFAULT & (1 << (sig - 1))) !== 0);
  }
}

/** Pending signals: standard ones once, real-time ones in order. */
export class SigQueue {
  readonly set = new SigSet();
  readonly infos: SigInfo[] = [];

  /** => false: it was pending already */
  post(info: SigInfo): boolean {
    if (info.sig < SIGRTMIN && this.set.has(info.sig)) return false;
    this.set.add(info.sig);
    this.infos.push(info);
    return true;
  }

  /** Takes the first of `sig`. */
  take(sig: number): SigInfo | null {
    const at = this.infos.findIndex((i) => i.sig === sig);
    if (at < 0) return null;
    const info = this.infos.splice(at, 1)[0]!;
    if (!this.infos.some((i) => i.sig === sig)) this.set.remove(sig);
    return info;
  }

  /** Forgets a signal: SIGCONT undoes stops, and the other way round. */
  discard(sig: number): void {
    while (this.take(sig)) { /* all of them */ }
  }

  /** The number to deliver next of those that `mask` lets through: synchronous ones, then ascending. 0 none. */
  next(mask: SigSet): number {
    const lo = this.set.lo & (~mask.lo | UNBLOCKABLE), hi = this.set.hi & ~mask.hi;
    if ((lo | hi) === 0) return 0;
    const first = (lo & UNBLOCKABLE & (1 << (SIGKILL - 1))) || (lo & SYNCHRONOUS) || lo;
    if (first !== 0) return 32 - Math.clz32(first & -first);
    return 64 - Math.clz32(hi & -hi);
  }
}

export const SS_ONSTACK = 1, SS_DISABLE = 2, SS_AUTODISARM = 0x80000000;
export const MINSIGSTKSZ = 1088;

export class AltStack {
  sp = 0;
  size = 0;
  flags = SS_DISABLE;

  holds(sp: number): boolean {
    return this.size > 0 && sp > this.sp && sp <= this.sp + this.size;
  }

  copy(): AltStack {
    const a = new AltStack();
    a.sp = this.sp;
    a.size = this.size;
    a.flags = this.flags;
    return a;
  }
}
