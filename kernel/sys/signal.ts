// System calls about signals.
import { EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EPERM, ESRCH, ETIMEDOUT, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { exitProcess } from "../kern/exit.ts";
import type { Kern } from "../kern/kern.ts";
import type { Process, Thread } from "../kern/proc.ts";
import { encodeSigInfo, regOf, sigreturn } from "../kern/sigframe.ts";
import { hasSignal, psignal, setSigmask, tsignal } from "../kern/signal.ts";
import {
  MINSIGSTKSZ, NSIG, SI_QUEUE, SI_TKILL, SI_USER, SIG_IGN, SIGCONT, SIGKILL, type SigInfo, SigSet, SIGSEGV, SIGSTOP, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK,
} from "../kern/sigset.ts";
import { NO_RETURN, RESTART_NOHAND } from "../kern/trap.ts";
import { timespecAt } from "./abi.ts";
import { argUOf, both, fast, getView, intOf, put64, putBytes, type Row, slow, u64At } from "./args.ts";

const SIGSET_BYTES = 8;

function* sigaction(k: Kern, t: Thread): KGen<number> {
  const sig = intOf(t, 0), newVa = argUOf(t, 1), oldVa = argUOf(t, 2);
  if (argUOf(t, 3) !== SIGSET_BYTES || sig < 1 || sig > NSIG || ((sig === SIGKILL || sig === SIGSTOP) && newVa !== 0)) return -EINVAL;
  const act = t.proc.actions.of(sig), old = new DataView(new ArrayBuffer(24));
  put64(old, 0, act.handler);
  put64(old, 8, act.flags >>> 0);
  old.setInt32(16, act.mask.lo, true);
  old.setInt32(20, act.mask.hi, true);
  if (newVa !== 0) {
    const d = yield* getView(k, t, newVa, 24);
    if (typeof d === "number") return d;
    act.handler = u64At(d, 0);
    act.flags = d.getUint32(8, true);
    act.mask.set(d.getInt32(16, true), d.getInt32(20, true));
    if (act.handler === SIG_IGN || (act.handler === 0 && t.proc.actions.isIgnored(sig))) forget(t.proc, sig);
  }
  return oldVa === 0 ? 0 : yield* putBytes(k, t, oldVa, new Uint8Array(old.buffer));
}

/** An ignored signal that is pending is lost. */
function forget(p: Process, sig: number): void {
  p.pending.discard(sig);
  for (const t of p.threads) t.pending.discard(sig);
}

const SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2;

/** Two words, done without a generator: programs call this more than anything else. */
function sigprocmaskFast(k: Kern, t: Thread): number {
  const how = intOf(t, 0), newVa = argUOf(t, 1), oldVa = argUOf(t, 2), { user } = k.uvm, pm = t.proc.vmspace.map.pmap;
  if (argUOf(t, 3) !== SIGSET_BYTES || (newVa !== 0 && (how < SIG_BLOCK || how > SIG_SETMASK))) return -EINVAL;
  const { lo, hi } = t.sigmask;
  let nlo = lo, nhi = hi;
  if (newVa !== 0) {
    if (!user.load32(pm, newVa)) return -ERESTART;
    const a = user.word;
    if (!user.load32(pm, newVa + 4)) return -ERESTART;
    const b = user.word;
    nlo = how === SIG_BLOCK ? lo | a : how === SIG_UNBLOCK ? lo & ~a : a;
    nhi = how === SIG_BLOCK ? hi | b : how === SIG_UNBLOCK ? hi & ~b : b;
  }
  if (oldVa !== 0 && (!user.store32(pm, oldVa, lo) || !user.store32(pm, oldVa + 4, hi))) return -ERESTART;
  if (newVa !== 0) setSigmask(t, nlo, nhi);
  return 0;
}

function* sigprocmask(k: Kern, t: Thread): KGen<number> {
  for (const [va, write] of [[argUOf(t, 1), false], [argUOf(t, 2), true]] as const) {
    if (va === 0) continue;
    const d = yield* getView(k, t, va, 8);
    if (typeof d === "number") return d;
    if (write && (yield* putBytes(k, t, va, new Uint8Array(d.buffer))) < 0) return -EFAULT;
  }
  const r = sigprocmaskFast(k, t);
  return r === -ERESTART ? -EFAULT : r;
}

/** A mask from user memory. => -EFAULT, -EINVAL */
export function* getSigset(k: Kern, t: Thread, va: number, size: number): KGen<SigSet | number> {
  if (size !== SIGSET_BYTES) return -EINVAL;
  const d = yield* getView(k, t, va, 8);
  return typeof d === "number" ? d : new SigSet(d.getInt32(0, true), d.getInt32(4, true));
}

/** A mask for the length of one call: userAst puts the old one back, or the handler's frame does. */
export function swapMask(t: Thread, m: SigSet): void {
  t.savedMask = t.sigmask.copy();
  setSigmask(t, m.lo, m.hi);
}

/** After a call that swapped the mask and was not interrupted. */
export function restoreMask(t: Thread): void {
  const m = t.savedMask;
  if (!m) return;
  t.savedMask = null;
  setSigmask(t, m.lo, m.hi);
}

function* sigsuspend(k: Kern, t: Thread): KGen<number> {
  const m = yield* getSigset(k, t, argUOf(t, 0), argUOf(t, 1));
  if (typeof m === "number") return m;
  swapMask(t, m);
  while (!hasSignal(t)) yield* k.ctx.sleep(t, "sigsuspend", { interruptible: true });
  t.ast |= 1;
  return -EINTR;
}

function* sigpending(k: Kern, t: Thread): KGen<number> {
  const lo = (t.pending.set.lo | t.proc.pending.set.lo) & t.sigmask.lo, hi = (t.pending.set.hi | t.proc.pending.set.hi) & t.sigmask.hi;
  return yield* putBytes(k, t, argUOf(t, 0), new Uint8Array(Int32Array.of(lo, hi).buffer));
}

function* sigtimedwait(k: Kern, t: Thread): KGen<number> {
  const want = yield* getSigset(k, t, argUOf(t, 0), argUOf(t, 3)), timeVa = argUOf(t, 2), infoVa = argUOf(t, 1);
  if (typeof want === "number") return want;
  let timeoutNs = Infinity;
  if (timeVa !== 0) {
    const d = yield* getView(k, t, timeVa, 16);
    if (typeof d === "number") return d;
    timeoutNs = timespecAt(d, 0);
    if (timeoutNs < 0) return timeoutNs;
  }
  const except = new SigSet(~want.lo, ~want.hi), deadline = k.now() + timeoutNs;
  except.add(SIGKILL);
  except.add(SIGSTOP);
  for (;;) {
    const info = takeOf(t, want);
    if (info) return yield* tellInfo(k, t, infoVa, info);
    if (hasSignal(t)) {
      t.ast |= 1;
      return -EINTR;
    }
    if (k.now() >= deadline) return -EAGAIN;
    t.waitSet = want;
    const err = yield* k.ctx.sleep(t, "sigwait", { interruptible: true, timeoutNs: deadline - k.now() });
    t.waitSet = null;
    t.ast &= ~1;
    if (err === -ETIMEDOUT && !takeable(t, want)) return -EAGAIN;
  }
}

function takeable(t: Thread, want: SigSet): boolean {
  const { set } = t.pending, p = t.proc.pending.set;
  return ((set.lo | p.lo) & want.lo) !== 0 || ((set.hi | p.hi) & want.hi) !== 0;
}

function takeOf(t: Thread, want: SigSet): SigInfo | null {
  for (const q of [t.pending, t.proc.pending]) {
    for (let sig = 1; sig <= NSIG; sig++) if (want.has(sig) && q.set.has(sig)) return q.take(sig);
  }
  return null;
}

function* tellInfo(k: Kern, t: Thread, va: number, info: SigInfo): KGen<number> {
  if (va === 0) return info.sig;
  const bytes = new Uint8Array(128);
  encodeSigInfo(info, new DataView(bytes.buffer));
  const err = yield* putBytes(k, t, va, bytes);
  return err < 0 ? err : info.sig;
}

function* sigaltstack(k: Kern, t: Thread): KGen<number> {
  const newVa = argUOf(t, 0), oldVa = argUOf(t, 1), alt = t.altStack, onIt = alt.holds(regOf(t, 2)), old = new DataView(new ArrayBuffer(24));
  put64(old, 0, alt.sp);
  old.setInt32(8, alt.size === 0 ? SS_DISABLE : onIt ? SS_ONSTACK : 0, true);
  put64(old, 16, alt.size);
  if (newVa !== 0) {
    const d = yield* getView(k, t, newVa, 24);
    if (typeof d === "number") return d;
    const flags = d.getUint32(8, true), size = u64At(d, 16), mode = flags & ~SS_AUTODISARM;
    if (onIt) return -EPERM;
    if (mode !== SS_DISABLE && mode !== SS_ONSTACK && mode !== 0) return -EINVAL;
    if (mode !== SS_DISABLE && size < MINSIGSTKSZ) return -ENOMEM;
    alt.sp = mode === SS_DISABLE ? 0 : u64At(d, 0);
    alt.size = mode === SS_DISABLE ? 0 : size;
    alt.flags = flags;
  }
  return oldVa === 0 ? 0 : yield* putBytes(k, t, oldVa, new Uint8Array(old.buffer));
}

function* rtSigreturn(k: Kern, t: Thread): KGen<number> {
  const r = yield* sigreturn(k, t);
  if (r < 0) yield* exitProcess(k, t, SIGSEGV);
  return NO_RETURN;
}

// ---- sending -------------------------------------------------------------------------------------------------------

const isSignal = (sig: number): boolean => sig >= 0 && sig <= NSIG;

function mayKill(t: Thread, p: Process, sig: number): boolean {
  return t.proc.cred.maySignal(p.cred) || (sig === SIGCONT && p.pgrp.session === t.proc.pgrp.session);
}

function kill(k: Kern, t: Thread): number {
  const pid = intOf(t, 0), sig = intOf(t, 1);
  if (!isSignal(sig)) return -EINVAL;
  const info = { sig, code: SI_USER, pid: t.proc.pid, uid: t.proc.cred.uid };
  if (pid > 0) {
    const p = k.procs.get(pid) ?? k.threads.get(pid)?.proc;
    return p ? killList(k, t, [p], info) : -ESRCH;
  }
  if (pid === -1) return killList(k, t, [...k.procs.values()].filter((p) => p.pid !== 1 && p !== t.proc), info);
  const g = pid === 0 ? t.proc.pgrp : k.pgrps.get(-pid);
  return g && g.members.size > 0 ? killList(k, t, [...g.members], info) : -ESRCH;
}

function killList(k: Kern, t: Thread, list: Process[], info: SigInfo): number {
  const may = list.filter((p) => mayKill(t, p, info.sig));
  if (may.length === 0) return list.length === 0 ? -ESRCH : -EPERM;
  if (info.sig !== 0) for (const p of may) psignal(k, p, { ...info });
  return 0;
}

function tgkill(k: Kern, t: Thread, tgid: number, tid: number, sig: number): number {
  if (!isSignal(sig) || tid <= 0 || tgid === 0) return -EINVAL;
  const to = k.threads.get(tid);
  if (!to || (tgid > 0 && to.proc.pid !== tgid)) return -ESRCH;
  if (!mayKill(t, to.proc, sig)) return -EPERM;
  return sig === 0 ? 0 : tsignal(k, to, { sig, code: SI_TKILL, pid: t.proc.pid, uid: t.proc.cred.uid });
}

/** rt_sigqueueinfo and rt_tgsigqueueinfo: the value is the caller's. */
function* sigqueue(k: Kern, t: Thread, tid: number, sig: number, va: number, isThread: boolean): KGen<number> {
  const d = yield* getView(k, t, va, 128);
  if (typeof d === "number") return d;
  const to = k.threads.get(tid), code = d.getInt32(8, true);
  if (!isSignal(sig)) return -EINVAL;
  if (!to) return -ESRCH;
  if ((code >= 0 || code === SI_TKILL) && to.proc !== t.proc) return -EPERM;
  if (!mayKill(t, to.proc, sig)) return -EPERM;
  if (sig === 0) return 0;
  const info = { sig, code: code || SI_QUEUE, pid: d.getInt32(16, true), uid: d.getInt32(20, true), valueLo: d.getInt32(24, true), valueHi: d.getInt32(28, true) };
  return isThread ? tsignal(k, to, info) : psignal(k, to.proc, info);
}

export const SIGNAL_CALLS: readonly Row[] = [
  slow(134, "rt_sigaction", "dxxu", sigaction), both(135, "rt_sigprocmask", "dxxu", sigprocmaskFast, sigprocmask),
  slow(133, "rt_sigsuspend", "xu", sigsuspend), slow(136, "rt_sigpending", "xu", sigpending), slow(137, "rt_sigtimedwait", "xxxu", sigtimedwait, RESTART_NOHAND),
  slow(132, "sigaltstack", "xx", sigaltstack), slow(139, "rt_sigreturn", "", rtSigreturn), fast(129, "kill", "dd", kill),
  fast(131, "tgkill", "ddd", (k, t) => tgkill(k, t, intOf(t, 0), intOf(t, 1), intOf(t, 2))),
  fast(130, "tkill", "dd", (k, t) => tgkill(k, t, -1, intOf(t, 0), intOf(t, 1))),
  slow(138, "rt_sigqueueinfo", "ddx", (k, t) => sigqueue(k, t, intOf(t, 0), intOf(t, 1), argUOf(t, 2), false)),
  slow(240, "rt_tgsigqueueinfo", "dddx", (k, t) => sigqueue(k, t, intOf(t, 1), intOf(t, 2), argUOf(t, 3), true)),
  fast(128, "restart_syscall", "", () => -EINTR),
];
