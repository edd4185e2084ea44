// Reads a file while the guest stands still: a kernel thread of ddb's own, driven here until it is done. Interrupts are served
// meanwhile, so the disk answers; no user code runs, and threads that the interrupts wake stay in the run queue.
//
// What it costs: virtual time passes as the disk needs it, and the file's pages are cached like those of any reader.
import { KThread, type KGen } from "../lib/kthread.ts";
import type { Kernel } from "../kernel.ts";
import { PAGE_SIZE } from "../uvm/page.ts";
import { Uio, UIO_READ } from "../uvm/uio.ts";
import type { Vnode } from "../vfs/vnode.ts";

/** Interrupts waited for before the read is left to end by itself. */
const WAITS_MAX = 20_000;

/** Bytes of a file. => null: they are not in memory, and cannot be read now; fewer at the file's end */
export function readStill(kernel: Kernel, v: Vnode, offset: number, lenBytes: number): Uint8Array | null {
  const len = Math.min(lenBytes, v.vSize - offset);
  if (!(len > 0)) return null;
  return residentBytes(kernel, v, offset, len) ?? (canRead(kernel, v) ? readBytes(kernel, v, offset, len) : null);
}

/** A kernel that stopped at a bug may not go on, and a thread in the middle of something may hold what the read needs. */
function canRead(kernel: Kernel, v: Vnode): boolean {
  return kernel.panicked === null && kernel.exitCode === null && kernel.ctx.cur === kernel.ctx.bootThread && v.useCount > 0;
}

function residentBytes(kernel: Kernel, v: Vnode, offset: number, len: number): Uint8Array | null {
  const { uvm, hal } = kernel, out = new Uint8Array(len);
  for (let done = 0; done < len; ) {
    const at = offset + done, pg = uvm.pages.lookup(v.uobj, Math.floor(at / PAGE_SIZE) * PAGE_SIZE), n = Math.min(len - done, PAGE_SIZE - (at % PAGE_SIZE));
    // A busy page may be on its way in.
    if (pg === 0 || uvm.pages.busyOwner[pg] !== null) return null;
    out.set(hal.mem.u8.subarray(pg * PAGE_SIZE + (at % PAGE_SIZE), pg * PAGE_SIZE + (at % PAGE_SIZE) + n), done);
    done += n;
  }
  return out;
}

function readBytes(kernel: Kernel, v: Vnode, offset: number, len: number): Uint8Array | null {
  const { ctx, hal, kern, uvm } = kernel, t = new KThread("ddb", true), out = new Uint8Array(len), result = { n: -1 };
  const queue = kern.sched.runQueue() as KThread[];
  const coroutine: KGen<void> = (function* () {
    v.vref();
    result.n = yield* v.read(Uio.kernel(uvm, out, UIO_READ), offset);
    yield* v.vrele();
  })();
  // If it has to be left behind, the scheduler goes on with it.
  t.coroutine = coroutine;
  for (let waits = 0; ; ) {
    const before = ctx.cur;
    ctx.cur = t;
    const step = coroutine.next();
    ctx.cur = before;
    if (step.done) break;
    ctx.enterSleep(t, step.value);
    while (t.sleep !== null) if (++waits > WAITS_MAX || !hal.waitInterrupt()) return null;
    queue.splice(queue.indexOf(t), 1);
  }
  return result.n === len ? out : null;
}
