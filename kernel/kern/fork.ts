// clone: a process more (fork, vfork), or a thread more.
import { EAGAIN, EINVAL, ENOMEM, EFAULT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyout } from "../uvm/uio.ts";
import { uvmspaceFork, type Vmspace } from "../uvm/vmspace.ts";
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from "./caps.ts";
import { VFORK_SLEEP } from "./exit.ts";
import { armCpuLimit } from "./itimer.ts";
import type { Kern } from "./kern.ts";
import { Process, Thread, AST_EXIT } from "./proc.ts";
import { Limits, RLIMIT_CPU, RLIMIT_NPROC } from "./rlimit.ts";
import { setReg } from "./sigframe.ts";
import { AltStack, SigActions, SIGKILL } from "./sigset.ts";

export const CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_VFORK = 0x4000, CLONE_PARENT = 0x8000;
export const CLONE_THREAD = 0x10000, CLONE_SETTLS = 0x80000, CLONE_PARENT_SETTID = 0x100000, CLONE_CHILD_CLEARTID = 0x200000;
export const CLONE_CHILD_SETTID = 0x1000000, CLONE_CLEAR_SIGHAND = 2 ** 32;
const CLONE_NEWANY = 0x7e020000;

export interface CloneRequest {
  readonly flags: number;
  /** Stack pointer of the child, 0: the parent's. */
  readonly stack: number;
  readonly parentTid: number;
  readonly childTid: number;
  readonly tls: number;
  readonly exitSignal: number;
}

/** clone(2). => pid or tid of the child; -EAGAIN too many; -ENOMEM */
export function* clone(k: Kern, t: Thread, c: CloneRequest): KGen<number> {
  const { flags } = c, has = (f: number): boolean => (flags & f) !== 0;
  if (has(CLONE_NEWANY) || (has(CLONE_SIGHAND) && !has(CLONE_VM)) || (has(CLONE_THREAD) && !has(CLONE_SIGHAND))) return -EINVAL;
  if (t.proc.threads.length > 1 && !has(CLONE_THREAD) && (t.ast & AST_EXIT) !== 0) return -EAGAIN;
  const tid = k.allocPid();
  if (tid === 0 || tooMany(k, t.proc)) return -EAGAIN;
  const child = has(CLONE_THREAD) ? new Thread(tid, t.proc) : yield* forkProcess(k, t, c, tid);
  if (typeof child === "number") return child;
  copyThreadState(k, t, child, c);
  k.threads.set(tid, child);
  if (has(CLONE_PARENT_SETTID)) yield* putTid(k, t.proc, c.parentTid, tid);
  if (has(CLONE_CHILD_SETTID)) yield* putTid(k, child.proc, c.childTid, tid);
  if (has(CLONE_CHILD_CLEARTID)) child.clearTid = c.childTid;
  // A thread of the same address space registers its own.
  if (!has(CLONE_VM)) child.rseq = t.rseq;
  k.forks++;
  const p = child.proc;
  if (has(CLONE_VFORK) && p !== t.proc) p.vforkParent = t;
  k.sched.setRunnable(child);
  while (p.vforkParent === t && p !== t.proc) {
    if ((t.ast & AST_EXIT) !== 0 || t.pending.set.has(SIGKILL) || t.proc.pending.set.has(SIGKILL)) p.vforkParent = null;
    else yield* k.ctx.sleep(p, VFORK_SLEEP);
  }
  return tid;
}

/** RLIMIT_NPROC: threads of the same real user; the superuser is not counted. */
function tooMany(k: Kern, p: Process): boolean {
  const limit = p.limits.get(RLIMIT_NPROC), { cred } = p;
  if (limit === Infinity || cred.can(CAP_SYS_RESOURCE) || cred.can(CAP_SYS_ADMIN) || cred.uid === 0) return false;
  return threadsOf(k, cred.uid) >= limit;
}

function threadsOf(k: Kern, uid: number): number {
  let n = 0;
  for (const o of k.procs.values()) if (o.cred.uid === uid) n += Math.max(1, o.threads.length);
  return n;
}

/** Did the process become another user, who has more than his limit allows? Then it may not exec: programs do not look at setuid's answer. */
export function isOverNproc(k: Kern, p: Process): boolean {
  const { uid } = p.cred;
  return uid !== 0 && uid !== p.admittedUid && threadsOf(k, uid) > p.limits.get(RLIMIT_NPROC);
}

function* putTid(k: Kern, p: Process, va: number, tid: number): KGen<number> {
  const r = yield* copyout(k.uvm, p.vmspace.map, va, new Uint8Array(Int32Array.of(tid).buffer));
  return r < 0 ? -EFAULT : 0;
}

/** The process and its first thread, not yet running. */
function* forkProcess(k: Kern, t: Thread, c: CloneRequest, pid: number): KGen<Thread | number> {
  const p = t.proc, { flags } = c, has = (f: number): boolean => (flags & f) !== 0;
  let vm: Vmspace | number = p.vmspace;
  if (has(CLONE_VM)) vm.refs++;
  else vm = yield* uvmspaceFork(p.vmspace);
  if (typeof vm === "number") return vm === -ENOMEM ? -ENOMEM : vm;
  const child = new Process(pid, has(CLONE_PARENT) ? p.parent : p, vm, k.now());
  if (has(CLONE_FILES)) {
    child.fds = p.fds;
    p.fds.refs++;
  } else child.fds = p.fds.copy();
  child.cwd = p.cwd;
  child.root = p.root;
  child.cwd?.vref();
  child.text = p.text;
  if (child.text !== null) {
    child.text.vref();
    child.text.texts++;
  }
  child.root?.vref();
  child.umask = p.umask;
  child.cred = p.cred;
  child.noNewPrivs = p.noNewPrivs;
  child.admittedUid = p.admittedUid;
  if (child.parent !== p) child.limits = new Limits(p.limits);
  if (child.limits.get(RLIMIT_CPU) !== Infinity) armCpuLimit(k, child);
  child.comm = p.comm;
  child.cwdPath = p.cwdPath;
  child.exePath = p.exePath;
  child.argStart = p.argStart;
  child.argEnd = p.argEnd;
  child.envStart = p.envStart;
  child.envEnd = p.envEnd;
  child.actions = has(CLONE_SIGHAND) ? p.actions : new SigActions(p.actions);
  if (flags >= CLONE_CLEAR_SIGHAND) child.actions.resetForExec();
  child.exitSignal = c.exitSignal;
  child.isDumpable = p.isDumpable;
  child.personality = p.personality;
  k.procs.set(pid, child);
  return new Thread(pid, child);
}

function copyThreadState(k: Kern, from: Thread, to: Thread, c: CloneRequest): void {
  to.savedX.set(from.x);
  to.savedF.set(from.f);
  to.savedFcsr = k.sched.getFcsr(from);
  to.savedPc = k.sched.getPc(from);
  to.sigmask = from.sigmask.copy();
  to.sched = from.sched.inherited();
  const isThread = to.proc === from.proc;
  to.altStack = isThread || ((c.flags & CLONE_VM) !== 0 && (c.flags & CLONE_VFORK) === 0) ? new AltStack() : from.altStack.copy();
  setReg(to, 10, 0);
  if (c.stack !== 0) setReg(to, 2, c.stack);
  if ((c.flags & CLONE_SETTLS) !== 0) setReg(to, 4, c.tls);
}
