// eventfd: a 64-bit counter as a file. Writing adds, reading takes all of it, or one at a time (EFD_SEMAPHORE).
import { EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import type { Attr } from "../vfs/vnode.ts";
import { anonAttr, waitFor } from "./anonfile.ts";
import { type FileOps, O_RDWR, OpenFile, POLLIN, POLLOUT, PollQueue, POLLRDNORM, type PollWaiter, POLLWRNORM } from "./file.ts";
import type { Kern } from "./kern.ts";

const BYTES = 8, ALL_ONES = 2n ** 64n - 1n, COUNT_MAX = ALL_ONES - 1n;

class EventFd {
  count: bigint;
  readonly isSemaphore: boolean;
  readonly readable = new PollQueue();
  readonly writable = new PollQueue();

  constructor(count: bigint, isSemaphore: boolean) {
    this.count = count;
    this.isSemaphore = isSemaphore;
  }
}

const eventOf = (f: OpenFile): EventFd => f.data as EventFd;

export class EventFdOps implements FileOps {
  readonly kind = "eventfd";
  private readonly k: Kern;

  constructor(k: Kern) {
    this.k = k;
  }

  create(count: number, isSemaphore: boolean, flags: number): OpenFile {
    return new OpenFile(this, O_RDWR | flags, new EventFd(BigInt(count), isSemaphore));
  }

  *read(f: OpenFile, uio: Uio): KGen<number> {
    const e = eventOf(f), { ctx } = this.k;
    if (uio.resid < BYTES) return -EINVAL;
    while (e.count === 0n) {
      const r = yield* waitFor(this.k, f, e.readable, "eventrd");
      if (r < 0) return r;
    }
    const taken = e.isSemaphore ? 1n : e.count;
    e.count -= taken;
    ctx.wakeup(e.writable);
    e.writable.notify(ctx, POLLOUT | POLLWRNORM);
    const error = yield* uiomove(new Uint8Array(BigUint64Array.of(taken).buffer), 0, BYTES, uio);
    return error < 0 ? error : BYTES;
  }

  *write(f: OpenFile, uio: Uio): KGen<number> {
    const e = eventOf(f), bytes = new Uint8Array(BYTES), { ctx } = this.k;
    if (uio.resid < BYTES) return -EINVAL;
    const error = yield* uiomove(bytes, 0, BYTES, uio), n = new BigUint64Array(bytes.buffer)[0]!;
    if (error < 0) return error;
    if (n === ALL_ONES) return -EINVAL;
    while (e.count + n > COUNT_MAX) {
      const r = yield* waitFor(this.k, f, e.writable, "eventwr");
      if (r < 0) {
        uio.unmove(BYTES);
        return r;
      }
    }
    e.count += n;
    ctx.wakeup(e.readable);
    e.readable.notify(ctx, POLLIN | POLLRDNORM);
    return BYTES;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const e = eventOf(f);
    if (w) {
      e.readable.record(w);
      e.writable.record(w);
    }
    return events & ((e.count > 0n ? POLLIN | POLLRDNORM : 0) | (e.count < COUNT_MAX ? POLLOUT | POLLWRNORM : 0));
  }

  *close(): KGen<void> { /* nothing is held */ }

  *stat(): KGen<Attr | number> {
    return anonAttr();
  }

  describe(): string {
    return "anon_inode:[eventfd]";
  }
}
