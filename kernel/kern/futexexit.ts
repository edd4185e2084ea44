// What the kernel does for a thread that ends, or becomes another program, with words of memory that others wait on.
//
//   robust list   head { next, offset, pending } ─► entry ─► entry ─► … ─► head     the word lies at entry + offset
//                 a word with this thread's tid gets FUTEX_OWNER_DIED, and who waits for it is woken
//   clear tid     the word that pthread_join and thread libraries wait on is 0
//
// All of this is user memory: what cannot be read or written ends the walk, as on Linux.
import type { KGen } from "../lib/kthread.ts";
import { copyFault, copyin } from "../uvm/uio.ts";
import { futexWakeAt } from "./futex.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

const FUTEX_WAITERS = 0x80000000 | 0, FUTEX_OWNER_DIED = 0x40000000, FUTEX_TID_MASK = 0x3fffffff;
/** A list may be a ring by mistake. */
const ROBUST_LIST_LIMIT = 2048;
/** Bytes of the list's head. */
export const ROBUST_HEAD_BYTES = 24;

/** => the thread holds no lock that others wait for in vain, and its joiner is woken */
export function* futexExit(k: Kern, t: Thread): KGen<void> {
  const head = t.robustList, tidVa = t.clearTid, p = t.proc;
  t.robustList = t.clearTid = 0;
  if (head !== 0) yield* walkRobust(k, t, head);
  if (tidVa === 0 || (p.threads.length === 1 && p.vmspace.refs === 1)) return;
  if (yield* storeWord(k, t, tidVa, 0)) futexWakeAt(k, p, tidVa, 1);
}

/** A pointer of the list: bit 0 says that its lock inherits priorities, which changes nothing here. */
function* pointerAt(k: Kern, t: Thread, va: number): KGen<number> {
  const d = new DataView(new ArrayBuffer(8));
  if ((yield* copyin(k.uvm, t.proc.vmspace.map, va, new Uint8Array(d.buffer))) < 0) return 0;
  return d.getUint32(4, true) * 2 ** 32 + ((d.getUint32(0, true) & ~1) >>> 0);
}

function* walkRobust(k: Kern, t: Thread, head: number): KGen<void> {
  const first = yield* pointerAt(k, t, head), pending = yield* pointerAt(k, t, head + 16), d = new DataView(new ArrayBuffer(8));
  if (first === 0 || (yield* copyin(k.uvm, t.proc.vmspace.map, head + 8, new Uint8Array(d.buffer))) < 0) return;
  const offset = d.getInt32(4, true) * 2 ** 32 + d.getUint32(0, true);
  let entry = first;
  for (let n = 0; entry !== head && n < ROBUST_LIST_LIMIT; n++) {
    // The lock's memory may be gone once its word says so: the next one first.
    const next = yield* pointerAt(k, t, entry);
    if (entry !== pending && !(yield* ownerDied(k, t, entry + offset, false))) return;
    if (next === 0) return;
    entry = next;
  }
  if (pending !== 0) yield* ownerDied(k, t, pending + offset, true);
}

/** One lock. `isPending`: it was being taken or given back; its word may be 0 with nobody woken yet. => false: no memory there */
function* ownerDied(k: Kern, t: Thread, va: number, isPending: boolean): KGen<boolean> {
  const { map } = t.proc.vmspace, { user } = k.uvm;
  if (va % 4 !== 0) return false;
  for (;;) {
    if (!user.load32(map.pmap, va)) {
      if ((yield* copyFault(k.uvm, map)) < 0) return false;
      continue;
    }
    const { word } = user;
    if (isPending && word === 0) futexWakeAt(k, t.proc, va, 1);
    if ((word & FUTEX_TID_MASK) !== t.tid) return true;
    if (!user.store32(map.pmap, va, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED)) {
      if ((yield* copyFault(k.uvm, map)) < 0) return false;
      continue;
    }
    if ((word & FUTEX_WAITERS) !== 0) futexWakeAt(k, t.proc, va, 1);
    return true;
  }
}

function* storeWord(k: Kern, t: Thread, va: number, value: number): KGen<boolean> {
  const { map } = t.proc.vmspace;
  while (!k.uvm.user.store32(map.pmap, va, value)) if ((yield* copyFault(k.uvm, map)) < 0) return false;
  return true;
}
