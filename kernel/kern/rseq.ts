// Restartable sequences: a stretch of user code that begins anew when its thread was preempted or took a signal in it.
//
//   struct rseq (the thread's, 32 bytes)             struct rseq_cs (the stretch's, 32 bytes)
//     +0  cpu_id_start   +4  cpu_id                    +0  version 0   +4  flags
//     +8  rseq_cs: address, or 0                       +8  start_ip    +16 post_commit_offset
//     +16 flags          +20 node_id   +24 mm_cid      +24 abort_ip: the word before it is the signature
//
// The fast way of a system call knows nothing of it: a thread that registered one looks here when it was preempted
// (AST_RSEQ), and before a signal's frame is made.
import { EBUSY, EFAULT, EINVAL, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyin, copyout } from "../uvm/uio.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

const RSEQ_BYTES = 32, CS_BYTES = 32, UNREGISTER = 1, CPU_UNINITIALIZED = -1, CS_AT = 8;

/** What a thread registered; va 0: nothing. */
export interface Rseq { readonly va: number; readonly len: number; readonly sig: number }
export const NO_RSEQ: Rseq = { va: 0, len: 0, sig: 0 };

/** rseq(2). => 0; -EINVAL, -EPERM another signature, -EBUSY there already, -EFAULT */
export function* rseqRegister(k: Kern, t: Thread, va: number, len: number, flags: number, sig: number): KGen<number> {
  const { rseq } = t, isSame = rseq.va === va && rseq.len === len;
  if ((flags & ~UNREGISTER) !== 0) return -EINVAL;
  if ((flags & UNREGISTER) !== 0) {
    if (rseq.va === 0 || !isSame) return -EINVAL;
    if (rseq.sig !== sig) return -EPERM;
    const err = yield* putIds(k, t, va, CPU_UNINITIALIZED);
    if (err >= 0) t.rseq = NO_RSEQ;
    return err;
  }
  if (rseq.va !== 0) return !isSame ? -EINVAL : rseq.sig !== sig ? -EPERM : -EBUSY;
  if (len < RSEQ_BYTES || va % RSEQ_BYTES !== 0 || va === 0) return -EINVAL;
  const err = yield* putIds(k, t, va, 0);
  if (err >= 0) t.rseq = { va, len, sig };
  return err;
}

/** One hart: its number is 0, as are its node and the thread's number in the address space. */
function* putIds(k: Kern, t: Thread, va: number, cpu: number): KGen<number> {
  const { map } = t.proc.vmspace, ids = new DataView(new ArrayBuffer(8));
  ids.setInt32(4, cpu, true);
  const err = yield* copyout(k.uvm, map, va, new Uint8Array(ids.buffer));
  return err < 0 ? err : yield* copyout(k.uvm, map, va + 20, new Uint8Array(8));
}

/** The thread was interrupted: out of its stretch, if it is in one. => 0; -EFAULT the stretch is not as it must be: SIGSEGV */
export function* rseqInterrupted(k: Kern, t: Thread): KGen<number> {
  const { rseq } = t, { map } = t.proc.vmspace, read = function* (va: number, n: number): KGen<DataView | number> {
    const bytes = new Uint8Array(n), err = yield* copyin(k.uvm, map, va, bytes);
    return err < 0 ? err : new DataView(bytes.buffer);
  };
  if (rseq.va === 0) return 0;
  const pointer = yield* read(rseq.va + CS_AT, 8);
  if (typeof pointer === "number") return -EFAULT;
  const at = Number(pointer.getBigInt64(0, true));
  if (at === 0) return 0;
  const cs = yield* read(at, CS_BYTES);
  if (typeof cs === "number" || cs.getUint32(0, true) !== 0) return -EFAULT;
  const start = Number(cs.getBigInt64(8, true)), length = Number(cs.getBigInt64(16, true)), abort = Number(cs.getBigInt64(24, true)), pc = k.sched.getPc(t);
  const isIn = pc >= start && pc < start + length;
  if (abort >= start && abort < start + length) return -EFAULT;
  if (isIn) {
    const word = yield* read(abort - 4, 4);
    if (typeof word === "number" || word.getUint32(0, true) !== rseq.sig >>> 0) return -EFAULT;
  }
  const err = yield* copyout(k.uvm, map, rseq.va + CS_AT, new Uint8Array(8));
  if (err < 0) return -EFAULT;
  if (isIn) k.sched.setPc(t, abort);
  return 0;
}
