// Signals: posting, and what a thread does with them on its way to user mode.
//
//   post ─► process or thread queue ─► thread picked, ast set, sleep interrupted
//   userAst (before user mode) ─► ignore | stop | end the process | a frame on the user's stack (sigframe.ts)
import { EAGAIN, EINTR } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { exitProcess, exitThread, interruptToDie } from "./exit.ts";
import type { Kern } from "./kern.ts";
import type { Pgrp } from "./pgrp.ts";
import { AST_EXIT, AST_RSEQ, AST_SIGNAL, PS_ALIVE, PS_STOPPED, type Process, type Thread } from "./proc.ts";
import { rseqInterrupted } from "./rseq.ts";
import { RLIMIT_SIGPENDING } from "./rlimit.ts";
import { sendSignalFrame } from "./sigframe.ts";
import {
  CLD_CONTINUED, CLD_STOPPED, isStopSignal, SA_NOCLDSTOP, SA_NODEFER, SA_RESETHAND, SA_RESTART, SI_TIMER, SI_USER, SIG_DFL, SIG_IGN, SIGABRT, SIGBUS,
  SIGCHLD, SIGCONT, SIGFPE, SIGILL, SIGKILL, type SigInfo, SIGQUIT, SIGRTMIN, SIGSEGV, SIGSTOP, SIGSYS, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGXCPU,
  SIGXFSZ, UNBLOCKABLE,
} from "./sigset.ts";
import { RESTART_NOHAND, RESTART_SA, setResult } from "./trap.ts";

const STOPS = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU];
/** Signals whose default is a core dump. We write none; WCOREDUMP stays clear. */
export const CORE_SIGNALS: readonly number[] = [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS];

// ---- posting -------------------------------------------------------------------------------------------------------

/** Signals that wait for processes of a user: what RLIMIT_SIGPENDING counts. */
export function signalsQueued(k: Kern, uid: number): number {
  let n = 0;
  for (const p of k.procs.values()) if (p.cred.uid === uid) n += p.threads.reduce((sum, t) => sum + t.pending.infos.length, p.pending.infos.length);
  return n;
}

/** Is there room for one more? Standard signals, and those of timers, have theirs always; kill(2)'s go without waiting twice. */
function hasRoom(k: Kern, p: Process, info: SigInfo): boolean {
  return info.sig < SIGRTMIN || info.code === SI_TIMER || signalsQueued(k, p.cred.uid) < p.limits.get(RLIMIT_SIGPENDING);
}

/** Sends a signal to a process: some thread of it will take it. => 0; -EAGAIN: RLIMIT_SIGPENDING */
export function psignal(k: Kern, p: Process, info: SigInfo): number {
  if (p.isZombie || p.isExiting) return 0;
  if (!hasRoom(k, p, info)) {
    if (info.code !== SI_USER) return -EAGAIN;
    if (p.pending.set.has(info.sig)) return 0;
  }
  postToProcess(k, p, info);
  return 0;
}

function postToProcess(k: Kern, p: Process, info: SigInfo): void {
  jobControlSideEffects(k, p, info.sig);
  const blockedByAll = p.threads.every((t) => t.sigmask.has(info.sig) && !t.waitSet?.has(info.sig));
  if (p.actions.isIgnored(info.sig) && !p.threads.some((t) => t.sigmask.has(info.sig))) return;
  if (p.pid === 1 && info.sig !== SIGCHLD && p.actions.of(info.sig).handler === SIG_DFL && info.sig !== SIGKILL) return;
  if (!p.pending.post(info)) return;
  k.signalPosted();
  k.traced("signal", () => `[${p.pid}] ${p.comm}: signal ${info.sig} code ${info.code} sent`);
  if (info.sig === SIGKILL) {
    for (const t of p.threads) notify(k, t, true);
    return;
  }
  if (blockedByAll) return;
  const t = takerOf(p, info.sig);
  if (t) notify(k, t, false);
}

/** The thread that is to take a signal of its process. */
function takerOf(p: Process, sig: number): Thread | undefined {
  return p.threads.find((x) => x.waitSet?.has(sig)) ?? p.threads.find((x) => !x.sigmask.has(sig));
}

/** The process's signals that wait go to threads that let them through: who was to take them blocks them now, or ended. */
export function retarget(k: Kern, p: Process): void {
  if (p.isExiting) return;
  for (const { sig } of p.pending.infos) {
    const t = takerOf(p, sig);
    if (t && (t.ast & AST_SIGNAL) === 0) notify(k, t, false);
  }
}

/** Sends a signal to one thread. => as psignal */
export function tsignal(k: Kern, t: Thread, info: SigInfo): number {
  const p = t.proc;
  if (p.isZombie || p.isExiting || t.isDead) return 0;
  if (!hasRoom(k, p, info)) return -EAGAIN;
  jobControlSideEffects(k, p, info.sig);
  if (p.actions.isIgnored(info.sig) && !t.sigmask.has(info.sig)) return 0;
  if (!t.pending.post(info)) return 0;
  k.signalPosted();
  if (!t.sigmask.has(info.sig) || t.waitSet?.has(info.sig) || info.sig === SIGKILL) notify(k, t, info.sig === SIGKILL);
  return 0;
}

/** Sends a signal to every member of a group. */
export function pgsignal(k: Kern, g: Pgrp, info: SigInfo): void {
  for (const p of [...g.members]) psignal(k, p, { ...info });
}

/** A signal raised by the thread's own instruction: it cannot be ignored or blocked. */
export function trapSignal(k: Kern, t: Thread, info: SigInfo): void {
  const p = t.proc, act = p.actions.of(info.sig);
  if (act.handler === SIG_IGN || t.sigmask.has(info.sig)) {
    act.handler = SIG_DFL;
    t.sigmask.remove(info.sig);
  }
  t.pending.discard(info.sig);
  t.pending.post(info);
  t.ast |= AST_SIGNAL;
  k.traced("signal", () => `[${t.tid}] ${p.comm}: signal ${info.sig} code ${info.code} addr 0x${(info.addr ?? 0).toString(16)} pc 0x${k.sched.getPc(t).toString(16)}`);
}

function notify(k: Kern, t: Thread, isKill: boolean): void {
  t.ast |= AST_SIGNAL;
  if (isKill && t.proc.state === PS_STOPPED) continueProcess(k, t.proc, false);
  if (isKill) interruptToDie(k, t);
  else k.ctx.interrupt(t);
}

/** SIGCONT continues and undoes stops that are pending; stops undo a pending SIGCONT. */
function jobControlSideEffects(k: Kern, p: Process, sig: number): void {
  if (sig === SIGCONT) {
    for (const s of STOPS) forget(p, s);
    if (p.state === PS_STOPPED) continueProcess(k, p, true);
  } else if (isStopSignal(sig)) forget(p, SIGCONT);
  else if (sig === SIGKILL && p.state === PS_STOPPED) continueProcess(k, p, false);
}

function forget(p: Process, sig: number): void {
  p.pending.discard(sig);
  for (const t of p.threads) t.pending.discard(sig);
}

function continueProcess(k: Kern, p: Process, doTell: boolean): void {
  p.state = PS_ALIVE;
  p.stopSignal = 0;
  k.ctx.wakeup(p.actions);
  if (!doTell) return;
  p.isContinued = true;
  tellParent(k, p, CLD_CONTINUED, SIGCONT);
}

function tellParent(k: Kern, p: Process, code: number, status: number): void {
  const { parent } = p;
  if (!parent) return;
  if ((parent.actions.of(SIGCHLD).flags & SA_NOCLDSTOP) === 0) psignal(k, parent, { sig: SIGCHLD, code, pid: p.pid, uid: p.cred.uid, status });
  k.ctx.wakeup(parent);
}

/** Recomputes whether a thread has something to take: after its mask changed. */
export function recheckSignals(t: Thread): void {
  if (t.pending.next(t.sigmask) !== 0 || t.proc.pending.next(t.sigmask) !== 0) t.ast |= AST_SIGNAL;
}

/** Replaces the mask; SIGKILL and SIGSTOP stay deliverable. */
export function setSigmask(t: Thread, lo: number, hi: number): void {
  t.sigmask.set(lo & ~UNBLOCKABLE, hi);
  recheckSignals(t);
}

/** Is a signal deliverable now? What an interruptible call asks after it set a temporary mask. */
export function hasSignal(t: Thread): boolean {
  return t.pending.next(t.sigmask) !== 0 || t.proc.pending.next(t.sigmask) !== 0;
}

// ---- delivery ------------------------------------------------------------------------------------------------------

/** What a thread does before user mode when something is up. => it may be dead afterwards */
export function* userAst(k: Kern, t: Thread): KGen<void> {
  const p = t.proc;
  let delivered = false;
  for (;;) {
    if ((t.ast & AST_EXIT) !== 0 || (p.isExiting && !t.isDead)) {
      yield* exitThread(k, t, 0);
      return;
    }
    if (p.state === PS_STOPPED) {
      yield* k.ctx.sleep(p.actions, "stopped");
      continue;
    }
    if ((t.ast & AST_RSEQ) !== 0) {
      t.ast &= ~AST_RSEQ;
      if (yield* brokenRseq(k, t)) return;
    }
    const info = takeSignal(t);
    if (!info) break;
    const r = yield* actOn(k, t, info);
    if (t.isDead) return;
    delivered ||= r;
  }
  t.ast &= ~AST_SIGNAL;
  if (p.threads.length > 1 && p.pending.infos.length > 0) retarget(k, p);
  if (delivered) return;
  resumeCall(k, t);
  if (t.savedMask) {
    const m = t.savedMask;
    t.savedMask = null;
    t.sigmask.set(m.lo, m.hi);
    if (hasSignal(t)) t.ast |= AST_SIGNAL;
  }
}

/** Moves the thread out of its restartable sequence. => whether that was broken, and the process is gone */
function* brokenRseq(k: Kern, t: Thread): KGen<boolean> {
  if (t.rseq.va === 0 || (yield* rseqInterrupted(k, t)) >= 0) return false;
  yield* exitProcess(k, t, SIGSEGV);
  return true;
}

function takeSignal(t: Thread): SigInfo | null {
  const own = t.pending.next(t.sigmask);
  if (own !== 0) return t.pending.take(own);
  const sig = t.proc.pending.next(t.sigmask);
  return sig === 0 ? null : t.proc.pending.take(sig);
}

/** => whether a handler was set up */
function* actOn(k: Kern, t: Thread, info: SigInfo): KGen<boolean> {
  const p = t.proc, { sig } = info, act = p.actions.of(sig);
  if (sig === SIGKILL) {
    yield* exitProcess(k, t, SIGKILL);
    return false;
  }
  if (act.handler !== SIG_DFL && act.handler !== SIG_IGN && sig !== SIGSTOP) {
    const mask = t.savedMask ?? t.sigmask.copy(), { handler, flags } = act, blocked = act.mask.copy();
    t.savedMask = null;
    if (yield* brokenRseq(k, t)) return false;
    interruptedCall(k, t, flags);
    if ((flags & SA_RESETHAND) !== 0) act.handler = SIG_DFL;
    const err = yield* sendSignalFrame(k, t, info, handler, flags, mask);
    if (err < 0) {
      // No stack for the frame: as Linux, SIGSEGV with the default action.
      yield* exitProcess(k, t, SIGSEGV);
      return false;
    }
    if ((flags & SA_NODEFER) === 0) blocked.add(sig);
    setSigmask(t, t.sigmask.lo | blocked.lo, t.sigmask.hi | blocked.hi);
    return true;
  }
  if (p.actions.isIgnored(sig)) return false;
  if (isStopSignal(sig)) {
    if (sig === SIGSTOP || !p.pgrp.isOrphaned) stopProcess(k, p, sig);
    return false;
  }
  if (p.pid === 1) k.say(`init: killed by signal ${sig}`);
  yield* exitProcess(k, t, sig);
  return false;
}

function stopProcess(k: Kern, p: Process, sig: number): void {
  p.state = PS_STOPPED;
  p.stopSignal = sig;
  p.isStopReported = false;
  p.isContinued = false;
  for (const t of p.threads) {
    t.ast |= AST_SIGNAL;
    k.ctx.interrupt(t);
  }
  tellParent(k, p, CLD_STOPPED, sig);
}

/** A handler runs: the call it interrupted is made again after it, or ends with EINTR. */
function interruptedCall(k: Kern, t: Thread, flags: number): void {
  const kind = t.pendingRestart;
  if (kind === 0) return;
  if (kind === RESTART_SA && (flags & SA_RESTART) !== 0) return resumeCall(k, t);
  t.pendingRestart = 0;
  t.restartDeadline = NaN;
  setResult(t, -EINTR);
}

/** No handler ran: the call is made again. pc is behind the ecall; a0 still holds its argument. */
function resumeCall(k: Kern, t: Thread): void {
  if (t.pendingRestart === 0) return;
  if (t.pendingRestart !== RESTART_NOHAND) t.restartDeadline = NaN;
  t.pendingRestart = 0;
  k.sched.setPc(t, k.sched.getPc(t) - 4);
}
