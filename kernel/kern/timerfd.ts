// timerfd: a timer as a file. Reading takes how often it expired; time is the virtual clock.
import { ECANCELED, EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import type { Attr } from "../vfs/vnode.ts";
import { anonAttr, waitFor } from "./anonfile.ts";
import { type FileOps, O_RDWR, OpenFile, POLLIN, PollQueue, POLLRDNORM, type PollWaiter } from "./file.ts";
import { ProcTimer } from "./itimer.ts";
import type { Kern } from "./kern.ts";

const BYTES = 8;

export class TimerFd {
  readonly clockId: number;
  readonly timer: ProcTimer;
  /** Expirations that were not read. */
  ticks = 0;
  /** CLOCK_REALTIME was set since the last read: TFD_TIMER_CANCEL_ON_SET. */
  private isCanceled = false;
  readonly readable = new PollQueue();
  private readonly k: Kern;

  constructor(k: Kern, clockId: number) {
    this.k = k;
    this.clockId = clockId;
    this.timer = new ProcTimer(k, () => k.now(), (t) => this.expired(1 + t.overrun));
  }

  private expired(n: number): void {
    this.ticks += n;
    this.k.ctx.wakeup(this.readable);
    this.readable.notify(this.k.ctx, POLLIN | POLLRDNORM);
  }

  /** Lets what is due expire: a call may come before the scheduler looks. */
  catchUp(): void {
    if (this.timer.dueNs <= this.k.now()) this.k.callouts.run(this.k.now());
  }

  /**
   * => dueNs is virtual time, Infinity disarms; isWall: it stands for a time of CLOCK_REALTIME; cancels: a read fails when that is set
   * => whether it had been set, and nobody has read that
   */
  set(dueNs: number, intervalNs: number, isWall = false, cancels = false): boolean {
    const wasCanceled = cancels && this.isCanceled, { onSet } = this.k.ctx.wall;
    this.ticks = 0;
    this.isCanceled = false;
    this.timer.set(dueNs, intervalNs, isWall);
    if (cancels) onSet.add(this.wallSet);
    else onSet.delete(this.wallSet);
    return wasCanceled;
  }

  private readonly wallSet = (): void => {
    this.isCanceled = true;
    this.expired(1);
  };

  /** Takes what a read tells. => expirations, or -ECANCELED */
  take(): number {
    const n = this.isCanceled ? -ECANCELED : this.ticks;
    this.ticks = 0;
    this.isCanceled = false;
    return n;
  }
}

export const timerFdOf = (f: OpenFile): TimerFd => f.data as TimerFd;

export class TimerFdOps implements FileOps {
  readonly kind = "timerfd";
  private readonly k: Kern;

  constructor(k: Kern) {
    this.k = k;
  }

  create(clockId: number, flags: number): OpenFile {
    return new OpenFile(this, O_RDWR | flags, new TimerFd(this.k, clockId));
  }

  *read(f: OpenFile, uio: Uio): KGen<number> {
    const t = timerFdOf(f);
    if (uio.resid < BYTES) return -EINVAL;
    t.catchUp();
    while (t.ticks === 0) {
      const r = yield* waitFor(this.k, f, t.readable, "timerrd");
      if (r < 0) return r;
    }
    const n = t.take();
    if (n < 0) return n;
    const bytes = new Uint8Array(BigUint64Array.of(BigInt(n)).buffer);
    const error = yield* uiomove(bytes, 0, BYTES, uio);
    return error < 0 ? error : BYTES;
  }

  *write(): KGen<number> {
    return -EINVAL;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const t = timerFdOf(f);
    t.catchUp();
    if (w) t.readable.record(w);
    return t.ticks > 0 ? events & (POLLIN | POLLRDNORM) : 0;
  }

  *close(f: OpenFile): KGen<void> {
    timerFdOf(f).set(Infinity, 0);
  }

  *stat(): KGen<Attr | number> {
    return anonAttr();
  }

  describe(): string {
    return "anon_inode:[timerfd]";
  }
}
