// The virtual clock. One retired instruction is one nanosecond, unless the clock is to follow the host's: then less, so that
// a fast guest is never ahead of it. Waiting skips ahead. Nothing here reads the host's time.
//
//   now = instructions retired by the hart * nsPerInsn + nanoseconds skipped
//   mtime = now / 100, the 10 MHz timebase of the board
//
// Alarms are kept as a sorted list: a machine has a handful (CLINT, stimecmp, a few devices).

/** Whoever counts retired instructions. Exact at every call out of guest code. */
export interface InsnCounter {
  readonly instret: number;
}

export const TIMEBASE_HZ = 10_000_000;
export const NS_PER_TICK = 100;

/** A time at which to call back. Belongs to one clock; armed or not. */
export class Alarm {
  atNs = Infinity;
  private readonly clock: VirtualClock;
  readonly callback: () => void;

  constructor(clock: VirtualClock, callback: () => void) {
    this.clock = clock;
    this.callback = callback;
  }

  /** Arms, or moves, the alarm. A time that has passed fires at the next `fire()`. */
  set(atNs: number): void {
    this.clock.arm(this, atNs);
  }

  cancel(): void {
    this.clock.disarm(this);
  }
}

export class VirtualClock {
  private readonly counter: InsnCounter;
  /** A power of two, so that times are exact. => set before the machine runs */
  nsPerInsn = 1;
  /** Nanoseconds that passed without instructions. */
  skippedNs = 0;
  /** Of them, those in which the hart was at work all the same: the host was slower than nsPerInsn says. */
  lateNs = 0;
  /** The host's own clock in ns, where this one follows it; else null. Only to tell apart what took the time: nothing is timed by it. */
  hostNs: (() => number) | null = null;
  /** Armed alarms, earliest first; equal times in the order they were set, so that a run repeats exactly. */
  private readonly armed: Alarm[] = [];
  /** Called when an alarm became the earliest: whoever runs the hart must cut its slice short. */
  onEarlier: (() => void) | null = null;

  constructor(counter: InsnCounter) {
    this.counter = counter;
  }

  /** Nanoseconds since reset. */
  get now(): number {
    return this.counter.instret * this.nsPerInsn + this.skippedNs;
  }

  /** Nanoseconds in which instructions ran: what processes are charged for. */
  get busyNs(): number {
    return this.counter.instret * this.nsPerInsn + this.lateNs;
  }

  /** The others. */
  get idleNs(): number {
    return this.skippedNs - this.lateNs;
  }

  /** The board's timer: 10 MHz ticks. */
  mtime(): number {
    return Math.floor(this.now / NS_PER_TICK);
  }

  /** A new alarm, not armed. */
  alarm(callback: () => void): Alarm {
    return new Alarm(this, callback);
  }

  /** => ns of the earliest armed alarm, or Infinity */
  nextAlarm(): number {
    const first = this.armed[0];
    return first === undefined ? Infinity : first.atNs;
  }

  /** => instructions that may retire before a time is reached; 0 when it is; Infinity for no time */
  insnsUntil(ns: number): number {
    return Math.max(0, Math.ceil((ns - this.now) / this.nsPerInsn));
  }

  /** Runs the alarms that are due, earliest first. An alarm set to a due time by a callback runs too. */
  fire(): void {
    const now = this.now;
    for (let first = this.armed[0]; first !== undefined && first.atNs <= now; first = this.armed[0]) {
      this.disarm(first);
      first.callback();
    }
  }

  /** Lets time pass with no instructions, not beyond the earliest alarm, and runs what is due. */
  skipTo(ns: number): void {
    const target = Math.min(ns, this.nextAlarm());
    if (target > this.now) this.skippedNs += target - this.now;
    this.fire();
  }

  /** As skipTo, for time that the host needed to run instructions. */
  catchUp(ns: number): void {
    const before = this.skippedNs;
    this.skipTo(ns);
    this.lateNs += this.skippedNs - before;
  }

  /** For Alarm. */
  arm(alarm: Alarm, atNs: number): void {
    if (alarm.atNs !== Infinity) this.disarm(alarm);
    if (!(atNs < Infinity)) return;
    alarm.atNs = atNs;
    let at = this.armed.length;
    while (at > 0 && this.armed[at - 1]!.atNs > atNs) at--;
    this.armed.splice(at, 0, alarm);
    if (at === 0 && this.onEarlier !== null) this.onEarlier();
  }

  /** For Alarm. */
  disarm(alarm: Alarm): void {
    const at = this.armed.indexOf(alarm);
    if (at >= 0) this.armed.splice(at, 1);
    alarm.atNs = Infinity;
  }
}
