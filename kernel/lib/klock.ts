// Locks. There is one host thread, so nothing ever contends inside a plain function; the locks exist to catch a
// sleep in the middle of an update, a release of what is not held, and a wrong order (uvm-spec 1.8).
//
//   KLock     simple lock: owner and rank, never held across a sleep
//   KRwLock   sleepable lock: shared or exclusive, held across sleeps
import { KASSERT, panic } from "./kassert.ts";
import type { KContext, KGen, KThread } from "./kthread.ts";

/** Ranks, outer to inner. A thread takes simple locks in ascending rank; equal ranks only where a file says so. */
export const RANK_SOCKET = 10, RANK_PIPE = 12, RANK_AMAP = 20, RANK_UOBJ = 30, RANK_ANON = 40, RANK_PAGEQ = 50, RANK_FREEQ = 60, RANK_PMAP = 70, RANK_SWAP = 71;

/** A simple lock. */
export class KLock {
  owner: KThread | null = null;
  /** While held: the lock that its owner took before it. */
  below: KLock | null = null;
  private readonly ctx: KContext;
  readonly name: string;
  readonly rank: number;
  constructor(ctx: KContext, name: string, rank: number) {
    this.ctx = ctx;
    this.name = name;
    this.rank = rank;
  }

  /** Takes the lock. Panics when it is held, or when a lock of higher rank is held. */
  enter(): void {
    const t = this.ctx.cur, last = t.topLock;
    // The texts are made only when needed: this is the hottest function of the kernel.
    if (this.owner !== null) panic(`${this.name}: ${t.name} wants it, ${this.owner.name} holds it`);
    if (last !== null && last.rank > this.rank) panic(`${this.name} taken after ${last.name}: wrong order`);
    this.owner = t;
    this.below = last;
    t.topLock = this;
  }

  /** Takes the lock against the order, or returns false (uvm-spec 1.8: only trylock is legal there). */
  tryEnter(): boolean {
    if (this.owner !== null) return false;
    const t = this.ctx.cur;
    this.owner = t;
    this.below = t.topLock;
    t.topLock = this;
    return true;
  }

  /** Gives the lock back. */
  exit(): void {
    const t = this.ctx.cur;
    if (this.owner !== t) panic(`${this.name}: released by ${t.name}, held by ${this.owner?.name}`);
    this.owner = null;
    // Nearly always the last one taken is the first one given back.
    if (t.topLock === this) t.topLock = this.below;
    else {
      let above = t.topLock!;
      while (above.below !== this) above = above.below!;
      above.below = this.below;
    }
    this.below = null;
  }

  /** Asserts that the current thread holds it. */
  assertOwned(): void {
    if (this.owner !== this.ctx.cur) panic(`${this.name} not held by ${this.ctx.cur.name}`);
  }

  get isOwned(): boolean {
    return this.owner === this.ctx.cur;
  }
}

/** A sleepable lock with shared and exclusive holders. Writers are not starved: a waiting writer stops new readers. */
export class KRwLock {
  readers = 0;
  writer: KThread | null = null;
  private waitingWriters = 0;
  /** Threads asleep on it, writers included. */
  private waiting = 0;
  private readonly ctx: KContext;
  readonly name: string;
  constructor(ctx: KContext, name: string) {
    this.ctx = ctx;
    this.name = name;
  }

  /** Takes it shared without sleeping, or returns false. */
  tryRead(): boolean {
    if (this.writer || this.waitingWriters > 0) return false;
    this.readers++;
    return true;
  }

  /** Takes it exclusively without sleeping, or returns false. */
  tryWrite(): boolean {
    if (this.writer || this.readers > 0) return false;
    this.writer = this.ctx.cur;
    return true;
  }

  /** Takes it shared; may sleep, so no simple lock is held. */
  *read(): KGen<void> {
    while (!this.tryRead()) yield* this.wait();
  }

  private *wait(): KGen<void> {
    this.waiting++;
    yield* this.ctx.sleep(this, this.name);
    this.waiting--;
  }

  /** Takes it exclusively; may sleep, so no simple lock is held. */
  *write(): KGen<void> {
    KASSERT(this.writer !== this.ctx.cur, `${this.name} taken twice by ${this.ctx.cur.name}`);
    while (!this.tryWrite()) {
      this.waitingWriters++;
      yield* this.wait();
      this.waitingWriters--;
    }
  }

  /** Gives back whichever way it is held. */
  unlock(): void {
    if (this.writer) {
      if (this.writer !== this.ctx.cur) panic(`${this.name}: released by ${this.ctx.cur.name}, held by ${this.writer.name}`);
      this.writer = null;
    } else {
      KASSERT(this.readers > 0, "a lock is released that nobody holds");
      this.readers--;
    }
    if (this.waiting > 0) this.ctx.wakeup(this);
  }

  /** Exclusive to shared without letting another writer in between. */
  downgrade(): void {
    KASSERT(this.writer === this.ctx.cur, `${this.name}: downgrade by a thread that does not hold it`);
    this.writer = null;
    this.readers++;
    this.ctx.wakeup(this);
  }

  get isWriteOwned(): boolean {
    return this.writer === this.ctx.cur;
  }
}
