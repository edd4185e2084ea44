// Kernel threads and sleeping. There is one host thread: a kernel thread is a generator, and the only way to
// lose the CPU is to `yield*` a sleep at one of the named sleep points of uvm-spec 1.8.
//
//   code that cannot sleep    a plain function
//   code that may sleep       function*(): KGen<T>, called with yield*
//
// The scheduler (kernel/kern) owns the run queue; this file knows only how a thread waits and is woken.
import { EINTR, ETIMEDOUT } from "./errno.ts";
import { KASSERT, panic } from "./kassert.ts";
import type { KLock } from "./klock.ts";
import { WallClock } from "./timespec.ts";

/** What a sleeping thread waits for. */
export interface Sleep {
  /** Identity of what is waited for; `wakeup(chan)` takes the same object. */
  readonly chan: object;
  /** The sleep point's name (`SP-PGWAIT(anonget1)` is "anonget1"); ddb and the test scheduler show it. */
  readonly tag: string;
  /** A signal ends the sleep with -EINTR. */
  readonly interruptible: boolean;
  /** Virtual time in ns at which the sleep ends with -ETIMEDOUT; Infinity for none. */
  readonly deadlineNs: number;
}

/** A function that may sleep. */
export type KGen<T> = Generator<Sleep, T, void>;

/** A thread of execution inside the kernel. `kern`'s user threads extend it with registers and a process. */
export class KThread {
  /** What it waits for, or null when it can run. */
  sleep: Sleep | null = null;
  /** 0 woken, -EINTR, -ETIMEDOUT: the result of the last sleep. */
  sleepResult = 0;
  /** The simple lock taken last, and through KLock.below the others. None at each sleep (INV-43). */
  topLock: KLock | null = null;
  /** The kernel code it is in the middle of, or null. */
  coroutine: Generator<Sleep, unknown, void> | null = null;
  /** May dip into the page reserve (uvm-spec 3.16): kernel threads yes, user threads no. */
  readonly isKernel: boolean;
  name: string;
  constructor(name: string, isKernel: boolean) {
    this.name = name;
    this.isKernel = isKernel;
  }

  /** Simple locks held, in order of acquisition. */
  get locks(): KLock[] {
    const held: KLock[] = [];
    for (let l = this.topLock; l !== null; l = l.below) held.unshift(l);
    return held;
  }
}

/** What `KContext` asks of the scheduler. */
export interface Runnable {
  /** Puts a thread that was asleep back on the run queue. */
  setRunnable(t: KThread): void;
  /** Virtual time in ns. */
  now(): number;
}

/** Who runs now and who sleeps on what: one per kernel, handed to every part that locks or sleeps. */
export class KContext {
  /** The thread whose code is running. Never null: boot and interrupt code run as `bootThread`. */
  cur: KThread;
  readonly bootThread: KThread;
  /** Set by the scheduler before any thread sleeps. */
  sched: Runnable | null = null;
  /** What time it is outside: stamps files, and is CLOCK_REALTIME. */
  readonly wall = new WallClock();
  private readonly sleepers = new Map<object, KThread[]>();

  constructor() {
    this.bootThread = new KThread("boot", true);
    this.cur = this.bootThread;
  }

  /**
   * Sleep on `chan` until `wakeup(chan)`. The named sleep points are the only callers.
   *
   * => no simple lock held by the current thread
   * => 0 woken; -EINTR by a signal (interruptible only); -ETIMEDOUT after `timeoutNs`
   */
  *sleep(chan: object, tag: string, opts: { interruptible?: boolean; timeoutNs?: number } = {}): KGen<number> {
    const t = this.cur, timeoutNs = opts.timeoutNs ?? Infinity;
    if (t.topLock !== null) panic(`thread ${t.name} sleeps at ${tag} with ${t.topLock.name} held`);
    if (timeoutNs <= 0) return -ETIMEDOUT;
    const deadlineNs = timeoutNs === Infinity ? Infinity : this.requireSched().now() + timeoutNs;
    t.sleepResult = 0;
    const asleep: Sleep = { chan, tag, interruptible: opts.interruptible ?? false, deadlineNs };
    do yield asleep;
    while (this.asked !== null && this.answer(this.asked));
    return t.sleepResult;
  }

  /** The debugger asks a sleeping thread (askSleeper). */
  private asked: (() => void) | null = null;

  private answer(question: () => void): true {
    question();
    return true;
  }

  /**
   * Calls `question` from within a thread's sleep, so that the host's stack is the chain of generators that the thread is in. Of its kernel
   * code nothing runs: each generator hands the resumption down to the sleep, and the sleep goes on.
   *
   * => the thread sleeps, before and after
   */
  askSleeper(t: KThread, question: () => void): void {
    if (t.sleep === null || t.coroutine === null) panic(`${t.name} does not sleep`);
    this.asked = question;
    try {
      const r = t.coroutine.next();
      KASSERT(!r.done && r.value === t.sleep, `${t.name} left its sleep when it was asked`);
    } finally {
      this.asked = null;
    }
  }

  /** Called by the scheduler with what a thread's coroutine yielded. */
  enterSleep(t: KThread, sleep: Sleep): void {
    KASSERT(t.sleep === null, `thread ${t.name} already sleeps`);
    t.sleep = sleep;
    const queue = this.sleepers.get(sleep.chan);
    if (queue) queue.push(t);
    else this.sleepers.set(sleep.chan, [t]);
  }

  /** Wakes every thread that sleeps on `chan`. => whether one did */
  wakeup(chan: object): boolean {
    const queue = this.sleepers.get(chan);
    if (!queue) return false;
    this.sleepers.delete(chan);
    for (const t of queue) this.resume(t, 0);
    return queue.length > 0;
  }

  /** Wakes the thread that has slept longest on `chan`. */
  wakeupOne(chan: object): void {
    const first = this.sleepers.get(chan)?.[0];
    if (first) this.abortSleep(first, 0);
  }

  /** Ends one thread's sleep with `result` (0, -EINTR or -ETIMEDOUT). */
  abortSleep(t: KThread, result: number): void {
    if (!t.sleep) return;
    const queue = this.sleepers.get(t.sleep.chan);
    const at = queue ? queue.indexOf(t) : -1;
    if (!queue || at < 0) panic(`thread ${t.name} sleeps on no queue`);
    queue.splice(at, 1);
    if (queue.length === 0) this.sleepers.delete(t.sleep.chan);
    this.resume(t, result);
  }

  /** A signal for `t` arrived: an interruptible sleep ends. */
  interrupt(t: KThread): void {
    if (t.sleep?.interruptible) this.abortSleep(t, -EINTR);
  }

  /** Every thread that sleeps. */
  sleeping(): KThread[] {
    return [...this.sleepers.values()].flat();
  }

  /** True when some thread sleeps on `chan`. */
  hasSleepers(chan: object): boolean {
    return this.sleepers.has(chan);
  }

  private resume(t: KThread, result: number): void {
    t.sleep = null;
    t.sleepResult = result;
    this.requireSched().setRunnable(t);
  }

  private requireSched(): Runnable {
    return this.sched ?? panic("a thread sleeps before the scheduler exists");
  }
}

/**
 * Runs a generator that is known not to sleep: boot code and unit tests.
 * Panics with the sleep's tag when it does.
 */
export function runNoSleep<T>(g: KGen<T>): T {
  const r = g.next();
  if (!r.done) panic(`slept at ${r.value.tag} where nothing may sleep`);
  return r.value;
}
