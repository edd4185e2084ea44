// ddb's commands about processes, threads and locks.
import { locks } from "../../kernel/ddb/locks.ts";
import { ps, threads } from "../../kernel/ddb/ps.ts";
import { type Frame, kernelFrames, trace } from "../../kernel/ddb/trace.ts";
import { columns, type Command, type Context, hex, processOf } from "./format.ts";

/** Where a thread's program is, as a symbol. */
function placeOf({ kernel, symbols }: Context, tid: number): string {
  const t = kernel.kern.threads.get(tid);
  return t === undefined || t.isDead ? "" : symbols.name(t.proc, kernel.kern.sched.getPc(t));
}

function psTable(c: Context): string[] {
  return columns([["pid", "tid", "ppid", "state", "wait", "cpu ms", "command", "at"], ...ps(c.kernel).map((t) =>
    [t.pid, t.tid, t.ppid, t.state, t.wait, Math.round(t.cpuNs / 1e6), t.command, t.pid === 0 || t.state === "zombie" ? "" : placeOf(c, t.tid)])]);
}

const frameText = (f: Frame): string => (f.pc === null ? `  ${f.where} ${f.what}`
  : `  ${f.where} ${f.what.padEnd(5)} 0x${hex(f.pc, 10)}${f.symbol === "" ? "" : ` ${f.symbol}`}${f.isSure ? "" : " ?"}${f.fp === null ? "" : ` (${f.what === "pc" ? "sp" : "at"} 0x${hex(f.fp)})`}`);

/** The ways of all threads of a process, or of one thread of the kernel. */
export function traceReport(c: Context, [word]: readonly string[]): string[] {
  const own = threads(c.kernel).find((t) => t.isKernel && t !== c.kernel.ctx.bootThread && t.name === word?.replace(/^\[(.*)\]$/, "$1"));
  if (own !== undefined) return [`kernel thread ${own.name}`, ...kernelFrames(c.kernel, own).map(frameText)];
  const p = processOf(c.kernel, word);
  if (p.threads.length === 0) return [`process ${p.pid} has no thread any more`];
  return p.threads.flatMap((t) => [`thread ${t.tid} of ${p.comm}`, ...trace(c.kernel, c.symbols, t).map(frameText)]);
}

function locksTable({ kernel }: Context): string[] {
  const held = locks(kernel);
  return held.length === 0 ? ["no lock is held"] : columns([["lock", "kind", "holder", "waiters"], ...held.map((l) => [l.lock, l.kind, l.holder, l.waiters.join(", ")])]);
}

export const THREAD_COMMANDS: readonly Command[] = [
  { name: "ps", args: "", help: "processes and threads, what they wait for and where they are", run: psTable },
  { name: "backtrace", args: "PID|NAME", help: "where a process' threads are: what they wait for, kernel functions, system call, user frames; NAME: of a kernel thread", run: traceReport },
  { name: "trace", args: "PID|NAME", help: "the same", run: traceReport },
  { name: "locks", args: "", help: "who holds which lock, and who waits for it", run: locksTable },
];
