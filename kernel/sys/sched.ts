// System calls about scheduling: nice values, policies and priorities, the processors a thread may use (there is one).
import { E2BIG, EACCES, EFAULT, EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { CAP_SYS_NICE } from "../kern/caps.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RLIMIT_NICE, RLIMIT_RTPRIO } from "../kern/rlimit.ts";
import { RT_PRIO_MAX, SCHED_BATCH, SCHED_DEADLINE, SCHED_EXT, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR } from "../kern/schedpolicy.ts";
import { timespecBytes } from "./abi.ts";
import { argUOf, fast, getBytes, getView, intOf, put64, putBytes, putInt, type Row, slow } from "./args.ts";

const PRIO_PROCESS = 0, PRIO_PGRP = 1, PRIO_USER = 2;
const RESET_ON_FORK = 0x40000000, FLAG_RESET_ON_FORK = 1, FLAG_KEEP_POLICY = 8, FLAG_KEEP_PARAMS = 16;
const CPUSET_BYTES = 8;

const isRt = (policy: number): boolean => policy === SCHED_FIFO || policy === SCHED_RR;
const isFair = (policy: number): boolean => policy === SCHED_OTHER || policy === SCHED_BATCH || policy === SCHED_IDLE;

/** Has the caller the same owner, or is it root? */
function isOwner(t: Thread, o: Thread): boolean {
  const a = t.proc.cred, b = o.proc.cred;
  return a.can(CAP_SYS_NICE) || a.euid === b.uid || a.euid === b.euid;
}

/** May the caller make a thread as eager as this? */
const canNice = (t: Thread, o: Thread, nice: number): boolean => t.proc.cred.can(CAP_SYS_NICE) || 20 - nice <= o.proc.limits.get(RLIMIT_NICE);

const threadOf = (k: Kern, t: Thread, id: number): Thread | null => (id === 0 ? t : k.threads.get(id) ?? null);

// ---- nice ----------------------------------------------------------------------------------------------------------

function prioTargets(k: Kern, t: Thread): Thread[] | number {
  const which = intOf(t, 0), who = intOf(t, 1), { pgrp, cred } = t.proc;
  if (which < PRIO_PROCESS || which > PRIO_USER) return -EINVAL;
  if (which === PRIO_PROCESS) return [threadOf(k, t, who) ?? []].flat();
  const wanted = which === PRIO_PGRP ? who || pgrp.pgid : who || cred.uid;
  return [...k.threads.values()].filter((o) => (which === PRIO_PGRP ? o.proc.pgrp.pgid : o.proc.cred.uid) === wanted);
}

function setpriority(k: Kern, t: Thread): number {
  const list = prioTargets(k, t), nice = Math.max(-20, Math.min(19, intOf(t, 2)));
  if (typeof list === "number") return list;
  let error = list.length === 0 ? -ESRCH : 0;
  for (const o of list) {
    if (!isOwner(t, o)) error = -EPERM;
    else if (nice < o.sched.nice && !canNice(t, o, nice)) error = -EACCES;
    else o.sched.nice = nice;
  }
  return error;
}

function getpriority(k: Kern, t: Thread): number {
  const list = prioTargets(k, t);
  if (typeof list === "number") return list;
  return list.length === 0 ? -ESRCH : Math.max(...list.map((o) => 20 - o.sched.nice));
}

// ---- policies ------------------------------------------------------------------------------------------------------

interface Wish { policy: number; priority: number; nice: number; reset: boolean }

/** What is not root's to decide. */
function mayHave(t: Thread, o: Thread, w: Wish): boolean {
  const { sched } = o, rtMax = o.proc.limits.get(RLIMIT_RTPRIO);
  if (t.proc.cred.can(CAP_SYS_NICE)) return true;
  if (!isOwner(t, o) || (sched.doesResetOnFork && !w.reset)) return false;
  if (isRt(w.policy)) return (w.policy === sched.policy || rtMax > 0) && (w.priority <= sched.rtPriority || w.priority <= rtMax);
  if (sched.policy === SCHED_IDLE && w.policy !== SCHED_IDLE && !canNice(t, o, sched.nice)) return false;
  return w.nice >= sched.nice || canNice(t, o, w.nice);
}

function setPolicy(k: Kern, t: Thread, o: Thread | null, w: Wish): number {
  if (!o) return -ESRCH;
  if ((!isRt(w.policy) && !isFair(w.policy)) || w.priority < 0 || w.priority > RT_PRIO_MAX || isRt(w.policy) !== (w.priority > 0)) return -EINVAL;
  if (!mayHave(t, o, w)) return -EPERM;
  o.sched.policy = w.policy;
  o.sched.rtPriority = w.priority;
  o.sched.nice = w.nice;
  o.sched.doesResetOnFork = w.reset;
  k.sched.reprioritize(o);
  return 0;
}

function* setscheduler(k: Kern, t: Thread): KGen<number> {
  const policy = intOf(t, 1);
  if (policy < 0 || intOf(t, 0) < 0 || argUOf(t, 2) === 0) return -EINVAL;
  const d = yield* getView(k, t, argUOf(t, 2), 4);
  if (typeof d === "number") return d;
  const o = threadOf(k, t, intOf(t, 0)), reset = (policy & RESET_ON_FORK) !== 0;
  return setPolicy(k, t, o, { policy: policy & ~RESET_ON_FORK, priority: d.getInt32(0, true), nice: o?.sched.nice ?? 0, reset });
}

function* setparam(k: Kern, t: Thread): KGen<number> {
  if (intOf(t, 0) < 0 || argUOf(t, 1) === 0) return -EINVAL;
  const d = yield* getView(k, t, argUOf(t, 1), 4);
  if (typeof d === "number") return d;
  const o = threadOf(k, t, intOf(t, 0));
  return setPolicy(k, t, o, { policy: o?.sched.policy ?? 0, priority: d.getInt32(0, true), nice: o?.sched.nice ?? 0, reset: o?.sched.doesResetOnFork ?? false });
}

function getscheduler(k: Kern, t: Thread): number {
  if (intOf(t, 0) < 0) return -EINVAL;
  const o = threadOf(k, t, intOf(t, 0));
  return o ? o.sched.policy | (o.sched.doesResetOnFork ? RESET_ON_FORK : 0) : -ESRCH;
}

function* getparam(k: Kern, t: Thread): KGen<number> {
  if (intOf(t, 0) < 0 || argUOf(t, 1) === 0) return -EINVAL;
  const o = threadOf(k, t, intOf(t, 0));
  return o ? yield* putInt(k, t, argUOf(t, 1), o.sched.rtPriority) : -ESRCH;
}

const priorityMax = (t: Thread, most: number): number => {
  const policy = intOf(t, 0);
  return isRt(policy) ? most : isFair(policy) || policy === SCHED_DEADLINE || policy === SCHED_EXT ? 0 : -EINVAL;
};

function* rrGetInterval(k: Kern, t: Thread): KGen<number> {
  if (intOf(t, 0) < 0) return -EINVAL;
  const o = threadOf(k, t, intOf(t, 0));
  if (!o) return -ESRCH;
  const { sliceInsns } = o.sched;
  return yield* putBytes(k, t, argUOf(t, 1), timespecBytes(sliceInsns === Infinity ? 0 : sliceInsns));
}

// ---- struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, util_min, util_max --------------

const ATTR_BYTES_MIN = 48, ATTR_BYTES = 56, ATTR_BYTES_MAX = 4096;

function* setattr(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 1);
  if (va === 0 || intOf(t, 0) < 0 || intOf(t, 2) !== 0) return -EINVAL;
  const head = yield* getView(k, t, va, 4);
  if (typeof head === "number") return head;
  const size = head.getUint32(0, true) || ATTR_BYTES_MIN;
  if (size < ATTR_BYTES_MIN || size > ATTR_BYTES_MAX) {
    const err = yield* putInt(k, t, va, ATTR_BYTES);
    return err < 0 ? err : -E2BIG;
  }
  const bytes = yield* getBytes(k, t, va, size);
  if (typeof bytes === "number") return bytes;
  if (bytes.subarray(ATTR_BYTES).some((b) => b !== 0)) return -E2BIG;
  const d = new DataView(bytes.buffer), o = threadOf(k, t, intOf(t, 0)), flags = d.getUint32(8, true);
  if ((flags & ~(FLAG_RESET_ON_FORK | FLAG_KEEP_POLICY | FLAG_KEEP_PARAMS)) !== 0 || d.getUint32(12, true) !== 0) return -EINVAL;
  if (!o) return -ESRCH;
  const policy = (flags & FLAG_KEEP_POLICY) !== 0 ? o.sched.policy : d.getInt32(4, true), keeps = (flags & FLAG_KEEP_PARAMS) !== 0;
  const nice = keeps || isRt(policy) ? o.sched.nice : Math.max(-20, Math.min(19, d.getInt32(16, true)));
  return setPolicy(k, t, o, { policy, priority: keeps ? o.sched.rtPriority : d.getInt32(20, true), nice, reset: (flags & FLAG_RESET_ON_FORK) !== 0 });
}

function* getattr(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 1), size = intOf(t, 2) >>> 0, o = threadOf(k, t, intOf(t, 0));
  if (va === 0 || intOf(t, 0) < 0 || size < ATTR_BYTES_MIN || size > ATTR_BYTES_MAX || intOf(t, 3) !== 0) return -EINVAL;
  if (!o) return -ESRCH;
  const bytes = new Uint8Array(size), d = new DataView(bytes.buffer), { sched } = o;
  d.setUint32(0, Math.min(size, ATTR_BYTES), true);
  d.setUint32(4, sched.policy, true);
  put64(d, 8, sched.doesResetOnFork ? FLAG_RESET_ON_FORK : 0);
  if (isRt(sched.policy)) d.setUint32(20, sched.rtPriority, true);
  else d.setInt32(16, sched.nice, true);
  return yield* putBytes(k, t, va, bytes.subarray(0, Math.min(size, ATTR_BYTES)));
}

// ---- processors ----------------------------------------------------------------------------------------------------

function* setaffinity(k: Kern, t: Thread): KGen<number> {
  const len = Math.min(intOf(t, 1) >>> 0, CPUSET_BYTES), mask = yield* getBytes(k, t, argUOf(t, 2), len), o = threadOf(k, t, intOf(t, 0));
  if (typeof mask === "number") return -EFAULT;
  if (!o) return -ESRCH;
  if (!isOwner(t, o)) return -EPERM;
  return ((mask[0] ?? 0) & 1) === 0 ? -EINVAL : 0;
}

function* getaffinity(k: Kern, t: Thread): KGen<number> {
  const len = intOf(t, 1) >>> 0;
  if (len === 0 || len % CPUSET_BYTES !== 0) return -EINVAL;
  if (!threadOf(k, t, intOf(t, 0))) return -ESRCH;
  const err = yield* putBytes(k, t, argUOf(t, 2), Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  return err < 0 ? err : CPUSET_BYTES;
}

export const SCHED_CALLS: readonly Row[] = [
  fast(140, "setpriority", "ddd", setpriority), fast(141, "getpriority", "dd", getpriority),
  slow(118, "sched_setparam", "dx", setparam), slow(119, "sched_setscheduler", "ddx", setscheduler), fast(120, "sched_getscheduler", "d", getscheduler),
  slow(121, "sched_getparam", "dx", getparam), slow(122, "sched_setaffinity", "dux", setaffinity), slow(123, "sched_getaffinity", "dux", getaffinity),
  fast(124, "sched_yield", "", (k) => {
    k.sched.yieldCpu();
    return 0;
  }),
  fast(125, "sched_get_priority_max", "d", (_k, t) => priorityMax(t, RT_PRIO_MAX)), fast(126, "sched_get_priority_min", "d", (_k, t) => priorityMax(t, 1)),
  slow(127, "sched_rr_get_interval", "dx", rrGetInterval), slow(274, "sched_setattr", "dxx", setattr), slow(275, "sched_getattr", "dxux", getattr),
];
