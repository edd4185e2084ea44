// The end of threads and processes.
//
//   exit_group or a fatal signal ─► isExiting, every other thread told to go ─► the last one out takes the process down:
//   descriptors, directories, address space ─► children to init ─► zombie ─► SIGCHLD ─► reaped by wait (wait.ts)
import { EINTR } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { uvmspaceFree } from "../uvm/vmspace.ts";
import { futexExit } from "./futexexit.ts";
import type { Kern } from "./kern.ts";
import { leavePgrp, type Pgrp } from "./pgrp.ts";
import { AST_EXIT, PS_DEAD, PS_STOPPED, PS_ZOMBIE, type Process, setText, type Thread } from "./proc.ts";
import { CLD_EXITED, CLD_KILLED, SA_NOCLDWAIT, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP, SI_KERNEL } from "./sigset.ts";
import { pgsignal, psignal, retarget } from "./signal.ts";
import { dropTimers } from "./itimer.ts";

/** exit_group, or death by a signal. `status` is wait's status word. => the calling thread is dead afterwards */
export function* exitProcess(k: Kern, t: Thread, status: number): KGen<void> {
  const p = t.proc;
  if (!p.isExiting) {
    p.isExiting = true;
    p.exitStatus = status;
    killOthers(k, t);
  }
  yield* exitThread(k, t, status);
}

/** Tells every other thread of the process to end. */
export function killOthers(k: Kern, t: Thread): void {
  for (const o of t.proc.threads) {
    if (o === t) continue;
    o.ast |= AST_EXIT;
    interruptToDie(k, o);
    k.ctx.wakeup(t.proc.actions);
  }
}

/** The sleep of vfork, which nothing but the child or death ends. */
export const VFORK_SLEEP = "vfork";

/** A thread is to die: sleeps that a signal ends do end, and vfork's. */
export function interruptToDie(k: Kern, t: Thread): void {
  if (t.sleep?.tag === VFORK_SLEEP) k.ctx.abortSleep(t, -EINTR);
  else k.ctx.interrupt(t);
}

/** One thread ends; the last takes the process with it. The process's status is its first thread's, whoever is the last. */
export function* exitThread(k: Kern, t: Thread, status: number): KGen<void> {
  const p = t.proc;
  yield* futexExit(k, t);
  if (k.sched.loaded === t) k.sched.unload();
  t.isDead = true;
  t.ast = 0;
  p.threads.splice(p.threads.indexOf(t), 1);
  k.threads.delete(t.tid);
  if (t.tid === p.pid && !p.isExiting) p.exitStatus = status;
  if (p.threads.length > 0) {
    k.ctx.wakeup(p.threads);
    retarget(k, p);
    return;
  }
  p.isExiting = true;
  yield* takeDown(k, p);
}

function* takeDown(k: Kern, p: Process): KGen<void> {
  dropTimers(p);
  yield* p.fds.release();
  yield* setText(p, null);
  if (p.cwd) yield* p.cwd.vrele();
  if (p.root) yield* p.root.vrele();
  p.cwd = p.root = null;
  releaseVfork(k, p);
  p.usage.maxRssPages = Math.max(p.usage.maxRssPages, p.vmspace.map.pmap.residentPeak);
  yield* uvmspaceFree(p.vmspace);
  leaveSession(k, p);
  adoptChildren(k, p);
  k.traced("exit", () => `[${p.pid}] ${p.comm}: exit status 0x${p.exitStatus.toString(16)}`);
  p.state = PS_ZOMBIE;
  if (p.pid === 1) {
    // The machine ends with it, so this is the last moment at which what was written gets to the disks.
    yield* k.vfs.syncAll();
    k.haltStatus = p.exitStatus;
  }
  tellParent(k, p);
}

/** vfork's parent goes on: the child has its own program, or is gone. */
export function releaseVfork(k: Kern, p: Process): void {
  const parent = p.vforkParent;
  if (!parent) return;
  p.vforkParent = null;
  k.ctx.wakeup(p);
}

/** A session leader takes its terminal along. */
function leaveSession(k: Kern, p: Process): void {
  const { session } = p.pgrp, hadParentHere = p.parent?.pgrp.session === session;
  if (session.leader === p) {
    session.leader = null;
    const { tty } = session;
    if (tty) {
      if (tty.foreground) pgsignal(k, tty.foreground, { sig: SIGHUP, code: SI_KERNEL });
      tty.session = null;
      tty.foreground = null;
      session.tty = null;
    }
  }
  // Groups that lose their last link to a shell: stopped jobs get SIGHUP and SIGCONT.
  const touched = new Set<Pgrp>();
  if (hadParentHere) touched.add(p.pgrp);
  for (const c of p.children) if (c.pgrp.session === session && c.pgrp !== p.pgrp) touched.add(c.pgrp);
  p.state = PS_ZOMBIE;
  const parents = [...p.children];
  for (const g of touched) {
    for (const c of parents) if (c.pgrp === g) c.parent = k.init;
    if (g.isOrphaned && [...g.members].some((m) => m.state === PS_STOPPED)) {
      pgsignal(k, g, { sig: SIGHUP, code: SI_KERNEL });
      pgsignal(k, g, { sig: SIGCONT, code: SI_KERNEL });
    }
  }
}

function adoptChildren(k: Kern, p: Process): void {
  const { init } = k;
  for (const c of p.children) {
    p.children.delete(c);
    if (c.pdeathsig !== 0) psignal(k, c, { sig: c.pdeathsig, code: SI_KERNEL });
    if (!init || init === p) {
      c.parent = null;
      if (c.state === PS_ZOMBIE) reap(k, c);
      else psignal(k, c, { sig: 9, code: SI_KERNEL });
      continue;
    }
    c.parent = init;
    init.children.add(c);
    if (c.state === PS_ZOMBIE) {
      psignal(k, init, { sig: SIGCHLD, code: CLD_EXITED, pid: c.pid, uid: c.cred.uid, status: c.exitStatus >> 8 });
      k.ctx.wakeup(init);
    }
  }
}

function tellParent(k: Kern, p: Process): void {
  const { parent } = p;
  if (!parent) return reap(k, p);
  const isKilled = (p.exitStatus & 0x7f) !== 0, act = parent.actions.of(SIGCHLD);
  const info = { sig: p.exitSignal, code: isKilled ? CLD_KILLED : CLD_EXITED, pid: p.pid, uid: p.cred.uid,
    status: isKilled ? p.exitStatus & 0x7f : p.exitStatus >> 8, utime: Math.floor(p.usage.userNs / 1e7), stime: Math.floor(p.usage.sysNs / 1e7) };
  const doesNotWait = p.exitSignal === SIGCHLD && (act.handler === SIG_IGN || (act.flags & SA_NOCLDWAIT) !== 0);
  if (p.exitSignal !== 0) psignal(k, parent, info);
  if (doesNotWait) reap(k, p);
  k.ctx.wakeup(parent);
}

/** The zombie's record goes. */
export function reap(k: Kern, p: Process): void {
  p.state = PS_DEAD;
  const { parent } = p;
  if (parent) {
    parent.childUsage.add(p.usage);
    parent.childUsage.add(p.childUsage);
    parent.children.delete(p);
  }
  const g = p.pgrp;
  leavePgrp(p);
  if (g.members.size === 0) k.pgrps.delete(g.pgid);
  k.procs.delete(p.pid);
}
