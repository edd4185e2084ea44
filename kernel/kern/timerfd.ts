// timerfd: a timer as a file. Reading takes how often it expired; time is the virtual clock.
import { EINVAL } from "../lib/errno.ts";
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

  /** => dueNs is virtual time; Infinity disarms */
  set(dueNs: number, intervalNs: number): void {
    this.ticks = 0;
    this.timer.set(dueNs, intervalNs);
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
    const bytes = new Uint8Array(BigUint64Array.of(BigInt(t.ticks)).buffer);
    t.ticks = 0;
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
    timerFdOf(f).timer.set(Infinity, 0);
  }

  *stat(): KGen<Attr | number> {
    return anonAttr();
  }

  describe(): string {
    return "anon_inode:[timerfd]";
  }
}
