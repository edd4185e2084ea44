// signalfd: signals that the reader has pending, as records to read. It looks at whoever reads or polls, as on Linux; posting a
// signal tells all of them (Kern.signalPosted).
import { EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import type { Attr } from "../vfs/vnode.ts";
import { anonAttr, waitFor } from "./anonfile.ts";
import { type FileOps, O_RDWR, OpenFile, POLLIN, POLLRDNORM, type PollWaiter } from "./file.ts";
import type { Kern } from "./kern.ts";
import { Thread } from "./proc.ts";
import { type SigInfo, SigSet, UNBLOCKABLE } from "./sigset.ts";

/** sizeof (struct signalfd_siginfo) */
const RECORD = 128;

/** The number of a signal in the set that the thread has pending, 0 none. */
function pendingIn(t: Thread, set: SigSet): number {
  // next() lets SIGKILL and SIGSTOP through every mask; those are not for reading.
  const rest = new SigSet(~set.lo, ~set.hi);
  for (const q of [t.pending, t.proc.pending]) {
    const sig = q.next(rest);
    if (sig !== 0 && set.has(sig)) return sig;
  }
  return 0;
}

function record(i: SigInfo): Uint8Array {
  const d = new DataView(new ArrayBuffer(RECORD)), put = (at: number, v: number | undefined): void => d.setInt32(at, v ?? 0, true);
  put(0, i.sig);
  put(4, i.errno);
  put(8, i.code);
  put(12, i.pid);
  put(16, i.uid);
  put(24, i.timerId);
  put(32, i.overrun);
  put(40, i.status);
  put(44, i.valueLo);
  put(48, i.valueLo);
  put(52, i.valueHi);
  d.setBigInt64(72, BigInt(i.addr ?? 0), true);
  return new Uint8Array(d.buffer);
}

/** The signals a file is for; SIGKILL and SIGSTOP never are. */
export function setSignalMask(f: OpenFile, lo: number, hi: number): void {
  (f.data as SigSet).set(lo & ~UNBLOCKABLE, hi);
}

export class SignalFdOps implements FileOps {
  readonly kind = "signalfd";
  private readonly k: Kern;

  constructor(k: Kern) {
    this.k = k;
  }

  create(lo: number, hi: number, flags: number): OpenFile {
    const f = new OpenFile(this, O_RDWR | flags, new SigSet());
    setSignalMask(f, lo, hi);
    return f;
  }

  *read(f: OpenFile, uio: Uio, t: Thread): KGen<number> {
    const set = f.data as SigSet;
    if (uio.resid < RECORD) return -EINVAL;
    let done = 0;
    while (uio.resid >= RECORD) {
      const sig = pendingIn(t, set), info = sig === 0 ? null : t.pending.take(sig) ?? t.proc.pending.take(sig);
      if (info) {
        const error = yield* uiomove(record(info), 0, RECORD, uio);
        if (error < 0) return done > 0 ? done : error;
        done += RECORD;
      } else if (done > 0) break;
      else {
        const r = yield* waitFor(this.k, f, this.k.signalPollers, "signalrd");
        if (r < 0) return r;
      }
    }
    return done;
  }

  *write(): KGen<number> {
    return -EINVAL;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const t = this.k.ctx.cur;
    if (w) this.k.signalPollers.record(w);
    return t instanceof Thread && pendingIn(t, f.data as SigSet) !== 0 ? events & (POLLIN | POLLRDNORM) : 0;
  }

  *close(): KGen<void> { /* nothing is held */ }

  *stat(): KGen<Attr | number> {
    return anonAttr();
  }

  describe(): string {
    return "anon_inode:[signalfd]";
  }
}
