// The scheduler: one run queue, time slices counted in retired instructions, and the kernel's main loop.
//
//   run ─► due alarms, callouts, interrupts ─► next thread ─► its kernel code (a generator), then its user code
//            ▲                                                    │ slice over: to the tail    asleep: on its channel
//            └── nobody can run: skip virtual time to the next alarm, or "idle": only the outside can wake us
//
// Registers move between the hart and a thread's saved copy only when another thread's user code is about to run.
import { ETIMEDOUT } from "../lib/errno.ts";
import { panic } from "../lib/kassert.ts";
import { KThread, type KGen, type Runnable, type Sleep } from "../lib/kthread.ts";
import { Callout } from "./callout.ts";
import type { Kern } from "./kern.ts";
import { AST_RSEQ, Thread } from "./proc.ts";
import { userAst } from "./signal.ts";
import { SystemTime } from "./systime.ts";
import { trapDispatch } from "./trap.ts";

/** hart.run's answers (emu/hart/hart.ts). */
const STOP_INTERRUPT = 2, STOP_TRAP = 1, STOP_HALT = 3;

const priorityOf = (t: KThread): number => (t instanceof Thread ? t.sched.rtPriority : 0);

export type RunResult = "budget" | "idle" | "halted";

export class Scheduler implements Runnable {
  private readonly k: Kern;
  private readonly queue: KThread[] = [];
  /** Whose registers are in the hart. */
  loaded: Thread | null = null;
  /** The clock's busyNs up to which `loaded` was charged. */
  private chargedTo = 0;
  readonly system: SystemTime;
  /** Deadlines of sleeps. */
  private readonly timeouts = new Map<KThread, Callout>();
  /** An alarm or callout came earlier: recompute the budget. */
  private isStale = true;
  /** Set to leave the user loop after this trap (sched_yield). */
  wantResched = false;

  constructor(k: Kern) {
    this.k = k;
    k.callouts.onEarlier = () => {
      this.isStale = true;
    };
    const { clock } = k.hal.machine, before = clock.onEarlier;
    this.system = new SystemTime(clock);
    clock.onEarlier = () => {
      this.isStale = true;
      before?.();
    };
  }

  now(): number {
    return this.k.now();
  }

  /** Into the queue: real-time threads before all others, equals in order of arrival. `first`: before its equals. */
  private enqueue(t: KThread, first = false): void {
    const { queue } = this, mine = priorityOf(t);
    if (mine === 0 && !first) return void queue.push(t);
    let at = 0;
    while (at < queue.length && (first ? priorityOf(queue[at]!) > mine : priorityOf(queue[at]!) >= mine)) at++;
    queue.splice(at, 0, t);
    if (mine > priorityOf(this.k.ctx.cur)) this.wantResched = true;
  }

  /** A thread's priority changed. */
  reprioritize(t: Thread): void {
    const at = this.queue.indexOf(t);
    if (at >= 0) {
      this.queue.splice(at, 1);
      this.enqueue(t);
    } else if (this.k.ctx.cur === t) {
      // Its slice may have had no end.
      this.wantResched = true;
      this.yielded = true;
    }
  }

  setRunnable(t: KThread): void {
    const c = this.timeouts.get(t);
    if (c) {
      this.k.callouts.cancel(c);
      this.timeouts.delete(t);
    }
    this.enqueue(t);
  }

  get queueLength(): number {
    return this.queue.length;
  }

  /** Starts a kernel thread. */
  spawnKernel(name: string, body: KGen<void>): KThread {
    const t = new KThread(name, true);
    t.coroutine = body;
    this.queue.push(t);
    return t;
  }

  // ---- registers -------------------------------------------------------------------------------------------------

  getPc(t: Thread): number {
    return this.loaded === t ? this.k.hal.machine.hart.pc : t.savedPc;
  }

  setPc(t: Thread, pc: number): void {
    if (this.loaded === t) this.k.hal.machine.hart.pc = pc;
    else t.savedPc = pc;
  }

  getFcsr(t: Thread): number {
    if (this.loaded !== t) return t.savedFcsr;
    const { float } = this.k.hal.machine.hart;
    return (float.frm << 5) | float.fflags;
  }

  setFcsr(t: Thread, v: number): void {
    t.savedFcsr = v & 0xff;
    if (this.loaded === t) this.loadFcsr(t.savedFcsr);
  }

  private loadFcsr(v: number): void {
    const { float } = this.k.hal.machine.hart;
    float.fflags = v & 31;
    float.frm = v >> 5;
  }

  /** Takes the loaded thread's registers out of the hart. */
  unload(): void {
    const t = this.loaded;
    if (!t) return;
    const { hart } = this.k.hal.machine;
    this.charge();
    t.savedX.set(hart.x);
    t.savedF.set(hart.f);
    t.savedPc = hart.pc;
    t.savedFcsr = this.getFcsr(t);
    t.x = t.savedX;
    t.f = t.savedF;
    this.loaded = null;
  }

  /** Puts a thread's registers and address space into the hart. */
  private load(t: Thread): void {
    const { hart } = this.k.hal.machine;
    if (this.loaded !== t) {
      this.unload();
      this.charge();
      hart.x.set(t.savedX);
      hart.f.set(t.savedF);
      hart.pc = t.savedPc;
      this.loadFcsr(t.savedFcsr);
      hart.clearReservation();
      t.x = hart.x;
      t.f = hart.f;
      this.loaded = t;
      this.k.contextSwitches++;
    }
    this.k.hal.pmap.pmapActivate(t.proc.vmspace.map.pmap);
  }

  /** Adds the time since the last call to the loaded thread's. What the host was late by is charged to whoever ran then. */
  charge(): void {
    const t = this.loaded, { busyNs } = this.k.hal.machine.clock, ns = busyNs - this.chargedTo, sys = this.system.share(ns);
    this.chargedTo = busyNs;
    if (!t) return;
    t.usedNs += ns;
    t.sysNs += sys;
    t.proc.usage.userNs += ns - sys;
    t.proc.usage.sysNs += sys;
    this.system.totalNs += sys;
  }

  /** A timer on CPU time was set: what is left of the slice may be too much. */
  cpuTimersChanged(): void {
    this.isStale = true;
  }

  /** Instruction count at which a timer on the CPU time of `t` or its process is due. */
  private cpuTimerInsn(t: Thread): number {
    const { cpuTimers } = t.proc, { hart, clock } = this.k.hal.machine;
    if (cpuTimers.size === 0) return Infinity;
    let left = Infinity;
    for (const c of cpuTimers) left = Math.min(left, c.cpuLeftNs(t));
    return left === Infinity ? left : hart.instret + Math.ceil(Math.max(0, left) / clock.nsPerInsn);
  }

  // ---- the loop --------------------------------------------------------------------------------------------------

  /** Runs the machine for about `maxInsns` instructions. => "idle": nobody can run, and nothing will happen before `skipLimitNs` */
  run(maxInsns: number, skipLimitNs = Infinity): RunResult {
    const { k } = this, { machine } = k.hal, stopAt = machine.hart.instret + maxInsns;
    // The clock knows now what the last run took.
    this.charge();
    this.system.forget();
    for (;;) {
      if (machine.halted || k.haltStatus !== null) return "halted";
      this.events();
      const t = this.queue.shift();
      if (!t) {
        if (!this.idle(skipLimitNs)) return "idle";
      } else if (machine.hart.instret >= stopAt) {
        this.enqueue(t, true);
        return "budget";
      } else this.dispatch(t, stopAt);
    }
  }

  /** Alarms, callouts and interrupts that are due. */
  private events(): void {
    const { k } = this, { clock } = k.hal.machine;
    if (clock.nextAlarm() <= clock.now) clock.fire();
    k.callouts.run(clock.now);
    k.hal.serviceInterrupts();
  }

  /** When something happens by itself next, in ns of virtual time; Infinity never. */
  nextEventNs(): number {
    return Math.min(this.k.hal.machine.clock.nextAlarm(), this.k.callouts.next());
  }

  /** Nobody can run. => false: nothing but the outside, or time beyond the limit, can change that */
  private idle(skipLimitNs: number): boolean {
    const { clock } = this.k.hal.machine, next = this.nextEventNs();
    if (next === Infinity || next > skipLimitNs) return false;
    clock.skipTo(next);
    return true;
  }

  /** Kernel code of `t` first, then user code, until its slice ends or it sleeps. */
  private dispatch(t: KThread, stopAt: number): void {
    const { ctx } = this.k;
    ctx.cur = t;
    if (t.coroutine === null || this.advance(t)) {
      if (t instanceof Thread && !t.isDead) this.userLoop(t, stopAt);
    }
    ctx.cur = ctx.bootThread;
  }

  /** Starts kernel code for the current thread. => true: it ended; false: it sleeps */
  begin(t: Thread, body: KGen<void>): boolean {
    t.coroutine = body;
    return this.advance(t);
  }

  private advance(t: KThread): boolean {
    const g = t.coroutine ?? panic(`${t.name} has no kernel code to run`), since = t.isKernel ? 0 : this.system.begins(), r = g.next();
    this.system.ran(since);
    if (r.done) {
      if (t.topLock !== null) panic(`${t.name} leaves the kernel with ${t.topLock.name} held`);
      t.coroutine = null;
      return true;
    }
    this.sleepOn(t, r.value);
    return false;
  }

  private sleepOn(t: KThread, s: Sleep): void {
    const { k } = this;
    if (s.interruptible && t instanceof Thread && t.ast !== 0) {
      // The signal came before the sleep: it must not be slept through.
      t.sleepResult = -4;
      this.enqueue(t);
      return;
    }
    k.ctx.enterSleep(t, s);
    if (t instanceof Thread) t.proc.usage.voluntary++;
    if (s.deadlineNs === Infinity) return;
    const c = new Callout(() => {
      this.timeouts.delete(t);
      k.ctx.abortSleep(t, -ETIMEDOUT);
    });
    this.timeouts.set(t, c);
    k.callouts.arm(c, s.deadlineNs);
  }

  /** Instruction count at which `t` stops: its slice or `run` ends, an alarm or callout is due, or a timer on its CPU time. */
  private stopInsn(t: Thread, sliceEnd: number, stopAt: number): number {
    const { k } = this, { machine } = k.hal;
    this.isStale = false;
    const event = machine.clock.insnsUntil(Math.min(machine.clock.nextAlarm(), k.callouts.next())) + machine.hart.instret;
    return Math.min(sliceEnd, stopAt, event, this.cpuTimerInsn(t));
  }

  /** User code of `t`. */
  private userLoop(t: Thread, stopAt: number): void {
    const { k } = this, { machine } = k.hal, { hart } = machine, { cut } = this;
    const sliceEnd = cut?.thread === t ? cut.sliceEnd : hart.instret + t.sched.sliceInsns;
    this.cut = null;
    this.load(t);
    let until = 0;
    this.isStale = true;
    for (;;) {
      while (t.ast !== 0) {
        if (!this.begin(t, userAst(k, t)) || t.isDead) return;
        this.load(t);
      }
      if (this.isStale) until = this.stopInsn(t, sliceEnd, stopAt);
      const budget = until - hart.instret;
      if (budget <= 0 || this.wantResched) {
        this.wantResched = false;
        if (this.pause(t, sliceEnd, stopAt)) return;
        this.isStale = true;
        continue;
      }
      const stop = hart.run(budget);
      if (stop === STOP_TRAP) {
        const goesOn = this.system.isSample() ? this.system.sample(() => trapDispatch(k, t)) : trapDispatch(k, t);
        if (!goesOn || t.isDead) return;
        if (this.loaded !== t) this.load(t);
      } else if (stop === STOP_INTERRUPT) k.hal.serviceInterrupts();
      else if (stop === STOP_HALT) {
        this.enqueue(t, true);
        return;
      }
    }
  }

  /** The budget is used up: why? => true: the thread leaves the CPU, and is queued */
  private pause(t: Thread, sliceEnd: number, stopAt: number): boolean {
    const { instret } = this.k.hal.machine.hart;
    this.events();
    if (t.proc.cpuTimers.size > 0) for (const c of t.proc.cpuTimers) c.checkDue();
    if (instret >= stopAt && instret < sliceEnd && !this.yielded) {
      this.cut = { thread: t, sliceEnd };
      this.enqueue(t, true);
      return true;
    }
    if (this.queue.length > 0 && priorityOf(this.queue[0]!) > t.sched.rtPriority) return this.leave(t, true);
    if (this.queue.length === 0 && instret < stopAt && instret < sliceEnd && !this.yielded) return false;
    if (instret < sliceEnd && !this.yielded) return false;
    this.yielded = false;
    return this.leave(t, false);
  }

  /** `t` gives the CPU to another, before or behind its equals. */
  private leave(t: Thread, first: boolean): true {
    if (t.rseq.va !== 0) t.ast |= AST_RSEQ;
    t.proc.usage.involuntary++;
    this.enqueue(t, first);
    return true;
  }

  private yielded = false;
  /** Whose slice the end of `run` cut: the next run goes on with what is left of it, so that where the host cuts a run changes nothing. */
  private cut: { thread: Thread; sliceEnd: number } | null = null;

  /** sched_yield. */
  yieldCpu(): void {
    if (this.queue.length === 0) return;
    this.wantResched = true;
    this.yielded = true;
  }

  /** Interactive state of everything, for ddb. */
  runQueue(): readonly KThread[] {
    return this.queue;
  }
}
