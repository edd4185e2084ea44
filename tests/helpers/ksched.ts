// A scheduler for tests: kernel threads by hand. `run` takes one to its end; `spawn` and `runUntil` park one at a named sleep
// point while the test does something else.
import type { KContext, KGen } from "../../kernel/lib/kthread.ts";
import { KThread } from "../../kernel/lib/kthread.ts";

export class TestSched {
  timeNs = 0;
  /** Tags of every sleep, in order. */
  readonly sleeps: string[] = [];
  private readonly runnable: KThread[] = [];
  private readonly all: KThread[] = [];
  private readonly results = new Map<KThread, unknown>();
  private readonly ctx: KContext;

  constructor(ctx: KContext) {
    this.ctx = ctx;
    ctx.sched = this;
  }

  setRunnable(t: KThread): void {
    this.runnable.push(t);
  }

  now(): number {
    return this.timeNs;
  }

  /** A thread that will run `body` (a user thread: it may not touch the page reserve, unless isKernel), or `t` itself will. */
  spawn(name: string, body: KGen<unknown>, isKernel = false, t = new KThread(name, isKernel)): KThread {
    t.coroutine = body;
    if (!this.all.includes(t)) this.all.push(t);
    this.runnable.push(t);
    return t;
  }

  /** Runs `t` until it sleeps or ends. => t is runnable */
  step(t: KThread): void {
    this.runnable.splice(this.runnable.indexOf(t), 1);
    const before = this.ctx.cur;
    this.ctx.cur = t;
    try {
      const r = t.coroutine!.next();
      if (r.done) {
        t.coroutine = null;
        this.results.set(t, r.value);
        if (t.locks.length > 0) throw new Error(`${t.name} ends with ${t.locks.map((l) => l.name).join(", ")} held`);
      } else {
        this.sleeps.push(r.value.tag);
        this.ctx.enterSleep(t, r.value);
      }
    } finally {
      this.ctx.cur = before;
    }
  }

  /** Runs others in turn until `t` ends; time passes when nothing else can. */
  finish<T>(t: KThread): T {
    for (let i = 0; t.coroutine !== null; i++) {
      if (i > 1e6) throw new Error(`${t.name} does not end`);
      const next = this.runnable.includes(t) ? t : this.runnable[0];
      if (next) this.step(next);
      else if (!this.passTime()) throw new Error(`deadlock: ${t.name} sleeps at ${t.sleep?.tag}`);
    }
    return this.results.get(t) as T;
  }

  /** Runs one kernel function to its end as a user thread. */
  run<T>(body: KGen<T>, name = "test", isKernel = false): T {
    return this.finish<T>(this.spawn(name, body, isKernel));
  }

  /** Runs `t` alone until it sleeps at `tag`. */
  runUntil(t: KThread, tag: string): void {
    for (let i = 0; i < 10000; i++) {
      if (t.sleep?.tag === tag) return;
      if (this.runnable.includes(t)) this.step(t);
      else if (t.coroutine === null || !this.passTime()) break;
    }
    throw new Error(`${t.name} never slept at ${tag}: ${t.coroutine === null ? "it ended" : `it sleeps at ${t.sleep?.tag}`}`);
  }

  /** Runs everybody until all sleep or ended; no time passes. */
  settle(): void {
    for (let i = 0; this.runnable.length > 0; i++) {
      if (i > 1e6) throw new Error("they run for ever");
      this.step(this.runnable[0]!);
    }
  }

  /** Ends the sleep with the nearest deadline. => there was one */
  passTime(): boolean {
    const timed = this.all.filter((t) => t.sleep && t.sleep.deadlineNs < Infinity);
    timed.sort((a, b) => a.sleep!.deadlineNs - b.sleep!.deadlineNs);
    const first = timed[0];
    if (!first) return false;
    this.timeNs = first.sleep!.deadlineNs;
    this.ctx.abortSleep(first, 0);
    return true;
  }
}
