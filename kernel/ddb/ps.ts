// Processes and threads, what they wait for, and where they are.
import type { KThread } from "../lib/kthread.ts";
import { PS_ALIVE, PS_STOPPED, Thread } from "../kern/proc.ts";
import type { Kernel } from "../kernel.ts";

/** A thread, kernel or user. */
export interface ThreadLine {
  readonly pid: number;
  readonly tid: number;
  readonly ppid: number;
  /** run, sleep, stop, zombie */
  readonly state: string;
  /** Sleep point, or empty. */
  readonly wait: string;
  readonly cpuNs: number;
  readonly command: string;
}

/** Every process' threads, and the kernel's own with pid 0. */
export function ps(kernel: Kernel): ThreadLine[] {
  const lines: ThreadLine[] = [];
  for (const p of kernel.kern.procs.values()) {
    const common = { pid: p.pid, ppid: p.parent?.pid ?? 0, cpuNs: p.usage.userNs + p.usage.sysNs, command: p.comm };
    if (p.threads.length === 0) lines.push({ ...common, tid: p.pid, state: "zombie", wait: "" });
    for (const t of p.threads) {
      const state = p.state === PS_STOPPED ? "stop" : p.state !== PS_ALIVE ? "zombie" : t.sleep !== null ? "sleep" : "run";
      lines.push({ ...common, tid: t.tid, state, wait: t.sleep?.tag ?? "" });
    }
  }
  for (const t of threads(kernel)) {
    if (t instanceof Thread || t === kernel.ctx.bootThread) continue;
    lines.push({ pid: 0, tid: 0, ppid: 0, cpuNs: 0, command: `[${t.name}]`, state: t.sleep !== null ? "sleep" : "run", wait: t.sleep?.tag ?? "" });
  }
  return lines;
}

/** Every thread that exists: users' and the kernel's own that sleep or wait to run. */
export function threads(kernel: Kernel): KThread[] {
  const all = new Set<KThread>(kernel.kern.threads.values());
  for (const t of kernel.kern.sched.runQueue()) all.add(t);
  for (const t of kernel.ctx.sleeping()) all.add(t);
  all.add(kernel.ctx.cur);
  return [...all];
}
