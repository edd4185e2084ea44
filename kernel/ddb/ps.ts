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

/** A place on a thread's way: kernel code it is in the middle of, or a user address. */
export interface Frame { readonly where: "kernel" | "user"; readonly what: string; readonly pc: number | null; readonly fp: number | null }

const FRAMES_MAX = 32, REG_RA = 1, REG_SP = 2, REG_S0 = 8;

/** Where a thread is. User frames follow s0 where the program keeps frame pointers; without, pc and ra are all that is sure. */
export function backtrace(kernel: Kernel, t: Thread): Frame[] {
  const frames: Frame[] = [], pc = kernel.kern.sched.getPc(t), reg = (r: number): number => t.x[2 * r + 1]! * 4294967296 + (t.x[2 * r]! >>> 0);
  if (t.coroutine !== null) frames.push({ where: "kernel", what: t.sleep === null ? "running" : `asleep at ${t.sleep.tag}`, pc: null, fp: null });
  frames.push({ where: "user", what: "pc", pc, fp: reg(REG_SP) }, { where: "user", what: "ra", pc: reg(REG_RA), fp: null });
  for (let fp = reg(REG_S0), n = 0; n < FRAMES_MAX; n++) {
    const ra = userWord(kernel, t, fp - 8), next = userWord(kernel, t, fp - 16);
    if (ra === null || next === null || next <= fp) break;
    frames.push({ where: "user", what: "frame", pc: ra, fp });
    fp = next;
  }
  return frames;
}

/** Eight bytes of a thread's memory, if they are resident. */
function userWord(kernel: Kernel, t: Thread, va: number): number | null {
  if (va % 8 !== 0 || va <= 0) return null;
  const pg = kernel.uvm.pageAt(t.proc.vmspace.map.pmap, va);
  if (pg === 0) return null;
  const { i32 } = kernel.hal.mem, at = (pg * 4096 + (va % 4096)) / 4;
  return i32[at + 1]! * 4294967296 + (i32[at]! >>> 0);
}

/** Every thread that exists: users' and the kernel's own that sleep or wait to run. */
export function threads(kernel: Kernel): KThread[] {
  const all = new Set<KThread>(kernel.kern.threads.values());
  for (const t of kernel.kern.sched.runQueue()) all.add(t);
  for (const t of kernel.ctx.sleeping()) all.add(t);
  all.add(kernel.ctx.cur);
  return [...all];
}
