// Futexes: sleep while a word of user memory holds a value; wake by address. Private ones are named by process and address,
// shared ones by the object below and the offset in it, which for anonymous shared memory is the aobj.
import { EAGAIN, EFAULT, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyFault } from "../uvm/uio.ts";
import type { Kern } from "./kern.ts";
import type { Process, Thread } from "./proc.ts";

/** Threads that wait on one word, in order. */
export class FutexQueue {
  readonly waiters: FutexWaiter[] = [];
}

interface FutexWaiter {
  readonly bits: number;
  isWoken: boolean;
  queue: FutexQueue;
}

/** Who shares the word: the shared object, or the address space. */
function keyOf(p: Process, va: number): { owner: object; at: number } {
  const { map } = p.vmspace, e = map.lookup(va);
  if (e?.object && !e.isCopyOnWrite) return { owner: e.object, at: e.offset + (va - e.start) };
  return { owner: map, at: va };
}

function queueOf(k: Kern, p: Process, va: number, make: boolean): FutexQueue | null {
  const { owner, at } = keyOf(p, va);
  let table = k.futexes.get(owner);
  if (!table) k.futexes.set(owner, (table = new Map()));
  let q = table.get(at) ?? null;
  if (!q && make) table.set(at, (q = new FutexQueue()));
  return q;
}

/** Wakes up to n. => how many */
export function futexWakeAt(k: Kern, p: Process, va: number, n: number, bits = -1): number {
  const q = queueOf(k, p, va, false);
  if (!q) return 0;
  let woken = 0;
  for (const w of [...q.waiters]) {
    if (woken >= n) break;
    if ((w.bits & bits) === 0) continue;
    w.isWoken = true;
    q.waiters.splice(q.waiters.indexOf(w), 1);
    k.ctx.wakeup(w);
    woken++;
  }
  return woken;
}

/** Moves waiters from one word to another. => how many were woken or moved */
export function futexRequeue(k: Kern, p: Process, va: number, n: number, to: number, max: number): number {
  const woken = futexWakeAt(k, p, va, n), from = queueOf(k, p, va, false);
  if (!from) return woken;
  const dest = queueOf(k, p, to, true)!, moved = from.waiters.splice(0, max);
  for (const w of moved) w.queue = dest;
  dest.waiters.push(...moved);
  return woken + moved.length;
}

/** FUTEX_WAIT. => 0; -EAGAIN the word differs; -ETIMEDOUT; -EINTR; -EFAULT */
export function* futexWait(k: Kern, t: Thread, va: number, value: number, timeoutNs: number, bits = -1): KGen<number> {
  const p = t.proc, { map } = p.vmspace, { user } = k.uvm;
  while (!user.load32(map.pmap, va)) if ((yield* copyFault(k.uvm, map)) < 0) return -EFAULT;
  if (user.word !== (value | 0)) return -EAGAIN;
  const q = queueOf(k, p, va, true)!, w: FutexWaiter = { bits, isWoken: false, queue: q };
  q.waiters.push(w);
  if (timeoutNs <= 0) {
    q.waiters.splice(q.waiters.indexOf(w), 1);
    return -ETIMEDOUT;
  }
  const err = yield* k.ctx.sleep(w, "futex", { interruptible: true, timeoutNs });
  if (w.isWoken) return 0;
  w.queue.waiters.splice(w.queue.waiters.indexOf(w), 1);
  return err;
}
