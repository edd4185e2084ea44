// Resource limits: setting them, and those that system calls ask. Linux's rules; kern/itimer.ts has RLIMIT_CPU, kern/fork.ts
// RLIMIT_NPROC, kern/signal.ts RLIMIT_SIGPENDING, sys/mlock.ts RLIMIT_MEMLOCK, sys/sched.ts RLIMIT_NICE and RLIMIT_RTPRIO.
import { EFBIG, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_WRITE } from "../hal/prot.ts";
import type { VmMap } from "../uvm/map.ts";
import type { VmMapEntry } from "../uvm/mapentry.ts";
import { mappedBytes } from "../uvm/mapops.ts";
import { isStackEntry, uvmStackLimit } from "../uvm/stack.ts";
import type { Uio } from "../uvm/uio.ts";
import type { Vmspace } from "../uvm/vmspace.ts";
import { type Vnode, VREG } from "../vfs/vnode.ts";
import { CAP_SYS_RESOURCE } from "../kern/caps.ts";
import { NOFILE_MAX } from "../kern/fdtable.ts";
import { O_APPEND, type OpenFile } from "../kern/file.ts";
import { armCpuLimit } from "../kern/itimer.ts";
import type { Kern } from "../kern/kern.ts";
import type { Process, Thread } from "../kern/proc.ts";
import { NLIMITS, RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_STACK } from "../kern/rlimit.ts";
import { tsignal } from "../kern/signal.ts";
import { SI_USER, SIGXFSZ } from "../kern/sigset.ts";
import { argUOf, getView, intOf, put64, putBytes, type Row, slow, u64At } from "./args.ts";

const putLimit = (d: DataView, at: number, v: number): void => put64(d, at, v === Infinity ? -1 : v);
const limitAt = (d: DataView, at: number): number => (u64At(d, at) >= 2 ** 63 ? Infinity : u64At(d, at));

/** May a process see and set another's limits? */
function mayLimit(t: Thread, p: Process): boolean {
  const a = t.proc.cred, b = p.cred;
  return p === t.proc || a.can(CAP_SYS_RESOURCE) || ([b.euid, b.suid, b.uid].every((id) => id === a.uid) && [b.egid, b.sgid, b.gid].every((id) => id === a.gid));
}

function* prlimit(k: Kern, t: Thread, p: Process | null, which: number, newVa: number, oldVa: number): KGen<number> {
  const d = newVa === 0 ? null : yield* getView(k, t, newVa, 16);
  if (typeof d === "number") return d;
  if (!p) return -ESRCH;
  if (!mayLimit(t, p)) return -EPERM;
  if (which < 0 || which >= NLIMITS) return -EINVAL;
  const { limits } = p, old = new DataView(new ArrayBuffer(16));
  putLimit(old, 0, limits.soft[which]!);
  putLimit(old, 8, limits.hard[which]!);
  if (d !== null) {
    const soft = limitAt(d, 0), hard = limitAt(d, 8);
    if (soft > hard) return -EINVAL;
    if (which === RLIMIT_NOFILE && hard > NOFILE_MAX) return -EPERM;
    if (hard > limits.hard[which]! && !t.proc.cred.can(CAP_SYS_RESOURCE)) return -EPERM;
    limits.set(which, soft, hard);
    if (which === RLIMIT_CPU) armCpuLimit(k, p);
    if (which === RLIMIT_STACK) uvmStackLimit(p.vmspace, soft);
    if (which === RLIMIT_AS) p.vmspace.map.sizeLimit = soft;
  }
  return oldVa === 0 ? 0 : yield* putBytes(k, t, oldVa, new Uint8Array(old.buffer));
}

const byPid = (k: Kern, t: Thread, pid: number): Process | null => (pid === 0 ? t.proc : k.threads.get(pid)?.proc ?? k.procs.get(pid) ?? null);

// ---- RLIMIT_FSIZE --------------------------------------------------------------------------------------------------

function tooBig(k: Kern, t: Thread): number {
  tsignal(k, t, { sig: SIGXFSZ, code: SI_USER, pid: t.proc.pid, uid: t.proc.cred.uid });
  return -EFBIG;
}

/** A write, as far as the limit lets it go. => as FileOps.write; at the limit -EFBIG, and SIGXFSZ is sent */
export function* limitedWrite(k: Kern, t: Thread, f: OpenFile, uio: Uio, offset: number): KGen<number> {
  const limit = t.proc.limits.get(RLIMIT_FSIZE), v = f.vnode;
  if (limit !== Infinity && v?.type === VREG && uio.resid > 0) {
    const at = offset >= 0 ? offset : (f.flags & O_APPEND) !== 0 ? v.vSize : f.offset;
    if (at >= limit) return tooBig(k, t);
    uio.resid = Math.min(uio.resid, limit - at);
  }
  return yield* f.ops.write(f, uio, t, offset);
}

/** May a file be made this long? => 0; -EFBIG, and SIGXFSZ is sent */
export function mayResize(k: Kern, t: Thread, v: Vnode | null, size: number): number {
  return size > t.proc.limits.get(RLIMIT_FSIZE) && size > (v?.vSize ?? 0) ? tooBig(k, t) : 0;
}

// ---- RLIMIT_AS, RLIMIT_DATA ----------------------------------------------------------------------------------------

/** Private memory that may be written, without the stack: what RLIMIT_DATA counts. */
export const isData = (map: VmMap, e: VmMapEntry): boolean => e.isCopyOnWrite && (e.protection & PROT_WRITE) !== 0 && !isStackEntry(map, e);

export const dataBytes = ({ map }: Vmspace): number => mappedBytes(map, map.min, map.max, (e) => isData(map, e));

/** May so many bytes more be mapped? `isData`: private and writable. `becomes`: what is mapped already, and becomes that. */
export function mayMap(t: Thread, size: number, isData: boolean, becomes = 0): boolean {
  const { limits, vmspace } = t.proc, data = limits.get(RLIMIT_DATA);
  if (size > 0 && vmspace.map.size + size > limits.get(RLIMIT_AS)) return false;
  if (size + becomes <= 0) return true;
  // As Linux: a limit of 0 is taken for the hard one, for the sake of valgrind.
  return !isData || data === Infinity || dataBytes(vmspace) + size + becomes <= (data === 0 ? limits.hard[RLIMIT_DATA]! : data);
}

export const LIMIT_CALLS: readonly Row[] = [
  slow(261, "prlimit64", "ddxx", (k, t) => prlimit(k, t, byPid(k, t, intOf(t, 0)), intOf(t, 1), argUOf(t, 2), argUOf(t, 3))),
  slow(163, "getrlimit", "dx", (k, t) => prlimit(k, t, t.proc, intOf(t, 0), 0, argUOf(t, 1))),
  slow(164, "setrlimit", "dx", (k, t) => prlimit(k, t, t.proc, intOf(t, 0), argUOf(t, 1), 0)),
];
