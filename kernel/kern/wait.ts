// wait4 and waitid: what became of children.
import { ECHILD, EINTR } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { reap } from "./exit.ts";
import type { Kern } from "./kern.ts";
import { PS_STOPPED, PS_ZOMBIE, type Process, type Thread, Usage } from "./proc.ts";
import { CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SIGCONT } from "./sigset.ts";

export const WNOHANG = 1, WUNTRACED = 2, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x01000000;
export const __WALL = 0x40000000, __WCLONE = 0x80000000;

/** Which children: by pid, by group, or all. */
export interface WaitFor {
  readonly pid: number;
  readonly pgid: number;
}

export interface WaitResult {
  readonly pid: number;
  readonly uid: number;
  /** wait4's status word. */
  readonly status: number;
  /** waitid's si_code and si_status. */
  readonly code: number;
  readonly value: number;
  readonly usage: Usage;
}

function totalUsage(p: Process): Usage {
  const u = new Usage();
  u.add(p.usage);
  u.add(p.childUsage);
  return u;
}

/** What this child has to report, or null. */
function reportOf(k: Kern, c: Process, options: number): WaitResult | null {
  const keep = (options & WNOWAIT) !== 0;
  if (c.state === PS_ZOMBIE && (options & WEXITED) !== 0) {
    const sig = c.exitStatus & 0x7f, usage = totalUsage(c);
    if (!keep) reap(k, c);
    return { pid: c.pid, uid: c.cred.uid, usage, status: c.exitStatus, code: sig === 0 ? CLD_EXITED : CLD_KILLED, value: sig === 0 ? c.exitStatus >> 8 : sig };
  }
  if (c.state === PS_STOPPED && (options & WSTOPPED) !== 0 && !c.isStopReported) {
    if (!keep) c.isStopReported = true;
    return { pid: c.pid, uid: c.cred.uid, usage: totalUsage(c), status: (c.stopSignal << 8) | 0x7f, code: CLD_STOPPED, value: c.stopSignal };
  }
  if (c.isContinued && (options & WCONTINUED) !== 0) {
    if (!keep) c.isContinued = false;
    return { pid: c.pid, uid: c.cred.uid, usage: totalUsage(c), status: 0xffff, code: CLD_CONTINUED, value: SIGCONT };
  }
  return null;
}

/** Waits for a child. => its report; 0 with WNOHANG and nothing to tell; -ECHILD; -EINTR */
export function* waitForChild(k: Kern, t: Thread, who: WaitFor, options: number): KGen<WaitResult | number> {
  const p = t.proc;
  for (;;) {
    let some = false;
    for (const c of p.children) {
      if ((who.pid !== 0 && c.pid !== who.pid) || (who.pgid !== 0 && c.pgrp.pgid !== who.pgid)) continue;
      some = true;
      const r = reportOf(k, c, options);
      if (r) return r;
    }
    if (!some) return -ECHILD;
    if ((options & WNOHANG) !== 0) return 0;
    const err = yield* k.ctx.sleep(p, "wait", { interruptible: true });
    if (err === -EINTR) return -EINTR;
  }
}
