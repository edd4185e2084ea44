// Futexes: sleep while a word of user memory holds a value; wake by address. Private ones are named by process and address,
// shared ones by the object below and the offset in it, which for anonymous shared memory is the aobj.
import { EAGAIN, EFAULT, EINTR, ENOSYS, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyFault } from "../uvm/uio.ts";
import type { Kern } from "./kern.ts";
import type { Process, Thread } from "./proc.ts";

/** Threads that wait on one word, in order. */
export class FutexQueue {
  readonly waiters: FutexWaiter[] = [];
  private readonly table: Map<number, FutexQueue>;
  private readonly at: number;
  constructor(table: Map<number, FutexQueue>, at: number) {
    this.table = table;
    this.at = at;
    table.set(at, this);
  }

  remove(w: FutexWaiter): void {
    this.waiters.splice(this.waiters.indexOf(w), 1);
    this.dropEmpty();
  }

  /** A word that nobody waits on is not remembered. */
  dropEmpty(): void {
    if (this.waiters.length === 0) this.table.delete(this.at);
  }
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
  return table.get(at) ?? (make ? new FutexQueue(table, at) : null);
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
    q.remove(w);
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
  from.dropEmpty();
  dest.dropEmpty();
  return woken + moved.length;
}

/** A word of user memory. => whether it is in `user.word` now */
function* loadWord(k: Kern, p: Process, va: number): KGen<boolean> {
  const { map } = p.vmspace;
  while (!k.uvm.user.load32(map.pmap, va)) if ((yield* copyFault(k.uvm, map)) < 0) return false;
  return true;
}

const OP_SET = 0, OP_ADD = 1, OP_OR = 2, OP_ANDN = 3, OP_XOR = 4, OP_SHIFTED = 8;

/** FUTEX_WAKE_OP: changes the word at `to`, wakes up to n at `va`, and up to `max` at `to` if the old word compares. => how many; -EFAULT; -ENOSYS */
export function* futexWakeOp(k: Kern, p: Process, va: number, n: number, r: { to: number; max: number; code: number }): KGen<number> {
  const { code, to } = r, op = (code >>> 28) & 7, compare = (code >>> 24) & 15, than = (code << 20) >> 20, { map } = p.vmspace;
  const arg = ((code >>> 28) & OP_SHIFTED) !== 0 ? 1 << ((code >> 12) & 31) : (code << 8) >> 20;
  if (op > OP_XOR || compare > 5) return -ENOSYS;
  for (;;) {
    if (!(yield* loadWord(k, p, to))) return -EFAULT;
    const old = k.uvm.user.word, neu = op === OP_SET ? arg : op === OP_ADD ? old + arg : op === OP_OR ? old | arg : op === OP_ANDN ? old & ~arg : old ^ arg;
    if (!k.uvm.user.store32(map.pmap, to, neu | 0)) {
      if ((yield* copyFault(k.uvm, map)) < 0) return -EFAULT;
      continue;
    }
    const holds = [old === than, old !== than, old < than, old <= than, old > than, old >= than][compare]!;
    return futexWakeAt(k, p, va, n) + (holds ? futexWakeAt(k, p, to, r.max) : 0);
  }
}

/** FUTEX_WAIT. => 0; -EAGAIN the word differs; -ETIMEDOUT; -EINTR; -EFAULT */
export function* futexWait(k: Kern, t: Thread, va: number, value: number, timeoutNs: number, bits = -1): KGen<number> {
  const p = t.proc, deadline = k.now() + timeoutNs;
  if (!(yield* loadWord(k, p, va))) return -EFAULT;
  if (k.uvm.user.word !== (value | 0)) return -EAGAIN;
  if (timeoutNs <= 0) return -ETIMEDOUT;
  const q = queueOf(k, p, va, true)!, w: FutexWaiter = { bits, isWoken: false, queue: q };
  q.waiters.push(w);
  const err = yield* k.ctx.sleep(w, "futex", { interruptible: true, timeoutNs });
  if (w.isWoken) return 0;
  w.queue.remove(w);
  // With a time limit as on Linux: no handler ran, and the wait goes on to the same moment; or EINTR, SA_RESTART or not.
  if (err === -EINTR && deadline !== Infinity) t.restartDeadline = deadline;
  return err;
}
