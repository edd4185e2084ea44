// /proc/N/stat, status, statm and limits: what ps and top read, of a process or (in its task folder) of one thread.
import { UO_VNODE } from "../uvm/object.ts";
import { isStackEntry } from "../uvm/stack.ts";
import { NO_CAPS } from "./caps.ts";
import type { Cred } from "./cred.ts";
import type { Kern } from "./kern.ts";
import { type Process, PS_STOPPED, type Thread } from "./proc.ts";
import { RLIMIT_RSS, RLIMIT_SIGPENDING } from "./rlimit.ts";
import { SCHED_OTHER } from "./schedpolicy.ts";
import { signalsQueued } from "./signal.ts";
import { SIG_DFL, SIG_IGN, SigSet } from "./sigset.ts";

const PAGE = 4096;

/** Clock ticks: hundredths of a second. */
export const ticks = (ns: number): number => Math.floor(ns / 1e7);

/** Names and units of the limits. */
const LIMITS: readonly (readonly [name: string, unit: string])[] = [["cpu time", "seconds"], ["file size", "bytes"], ["data size", "bytes"], ["stack size", "bytes"],
  ["core file size", "bytes"], ["resident set", "bytes"], ["processes", "processes"], ["open files", "files"], ["locked memory", "bytes"], ["address space", "bytes"],
  ["file locks", "locks"], ["pending signals", "signals"], ["msgqueue size", "bytes"], ["nice priority", ""], ["realtime priority", ""], ["realtime timeout", "us"]];

function stateOf(k: Kern, p: Process, t: Thread | undefined): string {
  if (p.isZombie) return "Z";
  if (p.state === PS_STOPPED) return "T";
  return !t || k.ctx.cur === t || !t.sleep ? "R" : t.sleep.interruptible ? "S" : "D";
}

const STATES: Record<string, string> = { R: "running", S: "sleeping", D: "disk sleep", T: "stopped", Z: "zombie" };

// ---- memory --------------------------------------------------------------------------------------------------------

/** Bytes by kind, and where the program's own text and data lie. */
class Sizes {
  size = 0;
  peak = 0;
  rss = 0;
  rssPeak = 0;
  locked = 0;
  text = 0;
  library = 0;
  data = 0;
  stack = 0;
  codeStart = 0;
  codeEnd = 0;
  dataStart = 0;
  dataEnd = 0;

  constructor(p: Process) {
    if (p.isZombie) return;
    const { map } = p.vmspace;
    this.size = map.size;
    this.peak = map.sizePeak;
    this.rss = map.pmap.residentCount * PAGE;
    this.rssPeak = map.pmap.residentPeak * PAGE;
    for (let e = map.header.next; e !== map.header; e = e.next) {
      const bytes = e.end - e.start, isOwn = e.object?.kind === UO_VNODE && e.object.owner === p.text;
      if (e.wiredCount > 0) this.locked += bytes;
      if (isStackEntry(map, e)) this.stack += bytes;
      else if ((e.protection & 4) !== 0) {
        if (isOwn) this.text += bytes;
        else this.library += bytes;
      } else if ((e.protection & 2) !== 0 && e.isCopyOnWrite) this.data += bytes;
      if (isOwn && (e.protection & 4) !== 0) [this.codeStart, this.codeEnd] = [this.codeStart || e.start, e.end];
      else if (isOwn && (e.protection & 2) !== 0) [this.dataStart, this.dataEnd] = [this.dataStart || e.start, e.end];
    }
  }
}

// ---- signals -------------------------------------------------------------------------------------------------------

const hex64 = (s: SigSet): string => (s.hi >>> 0).toString(16).padStart(8, "0") + (s.lo >>> 0).toString(16).padStart(8, "0");
/** As stat has sets: the first 31 signals, in decimal. */
const first31 = (s: SigSet | undefined): number => (s?.lo ?? 0) & 0x7fffffff;

/** Signals that are ignored, and those that have a handler. */
function dispositions(p: Process): { ignored: SigSet; caught: SigSet } {
  const ignored = new SigSet(), caught = new SigSet();
  for (let sig = 1; sig <= 64; sig++) {
    const { handler } = p.actions.of(sig);
    if (handler === SIG_IGN) ignored.add(sig);
    else if (handler !== SIG_DFL) caught.add(sig);
  }
  return { ignored, caught };
}

// ---- the files. `only`: one thread of the process; null: all of it ----------------------------------------------------------

export function procStat(k: Kern, p: Process, only: Thread | null): string {
  k.sched.charge();
  const t = only ?? p.threads[0], s = new Sizes(p), { session, pgid } = p.pgrp, { tty } = session, u = p.usage, c = p.childUsage, { ignored, caught } = dispositions(p);
  const ttyNr = tty ? ((tty as { rdev?: number }).rdev ?? 0) : 0, priority = t && t.sched.rtPriority > 0 ? -1 - t.sched.rtPriority : 20 + (t?.sched.nice ?? 0);
  const rssLimit = p.limits.get(RLIMIT_RSS), pending = only ? only.pending.set : p.pending.set;
  const f = [only?.tid ?? p.pid, `(${p.comm})`, stateOf(k, p, t), p.parent?.pid ?? 0, pgid, session.sid, ttyNr, tty?.foreground?.pgid ?? -1, 0,
    u.minorFaults, c.minorFaults, u.majorFaults, c.majorFaults, ticks(only ? only.usedNs - only.sysNs : u.userNs), ticks((only ?? u).sysNs), ticks(c.userNs), ticks(c.sysNs),
    priority, t?.sched.nice ?? 0, p.threads.length, 0, ticks(p.startNs), s.size, s.rss / PAGE, rssLimit === Infinity ? "18446744073709551615" : rssLimit,
    s.codeStart, s.codeEnd, p.isZombie ? 0 : p.vmspace.stackTop, 0, 0, first31(pending), first31(t?.sigmask), first31(ignored), first31(caught), t?.sleep ? 1 : 0, 0, 0,
    p.exitSignal, 0, t?.sched.rtPriority ?? 0, t?.sched.policy ?? SCHED_OTHER, 0, 0, 0, s.dataStart, s.dataEnd, p.isZombie ? 0 : p.vmspace.brkBase,
    p.argStart, p.argEnd, p.envStart, p.envEnd, p.exitStatus];
  return `${f.join(" ")}\n`;
}

const kb = (name: string, bytes: number): string => `${name}:\t${String(bytes / 1024).padStart(8)} kB\n`;

function memoryLines(p: Process): string {
  if (p.isZombie) return "";
  const s = new Sizes(p);
  return kb("VmPeak", s.peak) + kb("VmSize", s.size) + kb("VmLck", s.locked) + kb("VmPin", 0) + kb("VmHWM", s.rssPeak) + kb("VmRSS", s.rss) + kb("VmData", s.data) +
    kb("VmStk", s.stack) + kb("VmExe", s.text) + kb("VmLib", s.library) + kb("VmPTE", PAGE * p.vmspace.map.pmap.tables.length) + kb("VmSwap", 0);
}

function signalLines(k: Kern, p: Process, t: Thread | undefined): string {
  const { ignored, caught } = dispositions(p), none = new SigSet(), limit = p.limits.get(RLIMIT_SIGPENDING);
  const queued = `${signalsQueued(k, p.cred.uid)}/${limit === Infinity ? "18446744073709551615" : limit}`;
  return `SigQ:\t${queued}\nSigPnd:\t${hex64(t?.pending.set ?? none)}\nShdPnd:\t${hex64(p.pending.set)}\n` +
    `SigBlk:\t${hex64(t?.sigmask ?? none)}\nSigIgn:\t${hex64(ignored)}\nSigCgt:\t${hex64(caught)}\n`;
}

export function procStatus(k: Kern, p: Process, only: Thread | null): string {
  const t = only ?? p.threads[0], state = stateOf(k, p, t), id = only?.tid ?? p.pid, { cred, usage } = p;
  return `Name:\t${p.comm}\nUmask:\t${p.umask.toString(8).padStart(4, "0")}\nState:\t${state} (${STATES[state]})\nTgid:\t${p.pid}\nNgid:\t0\nPid:\t${id}\n` +
    `PPid:\t${p.parent?.pid ?? 0}\nTracerPid:\t0\n${userIds(cred)}` +
    `FDSize:\t${Math.max(64, Math.ceil(p.fds.files.length / 64) * 64)}\n${groups(cred)}NStgid:\t${p.pid}\nNSpid:\t${id}\nNSpgid:\t${p.pgrp.pgid}\nNSsid:\t${p.pgrp.session.sid}\n` +
    `Kthread:\t0\n${memoryLines(p)}Threads:\t${p.threads.length}\n${signalLines(k, p, t)}${capabilities(cred)}NoNewPrivs:\t${Number(p.noNewPrivs)}\nSeccomp:\t0\n` +
    "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n" +
    `voluntary_ctxt_switches:\t${usage.voluntary}\nnonvoluntary_ctxt_switches:\t${usage.involuntary}\n`;
}

const userIds = (c: Cred): string => `Uid:\t${c.uid}\t${c.euid}\t${c.suid}\t${c.euid}\nGid:\t${c.gid}\t${c.egid}\t${c.sgid}\t${c.egid}\n`;
/** A space behind each, and one where there are none. */
const groups = (c: Cred): string => `Groups:\t${c.groups.map((g) => `${g} `).join("") || " "}\n`;

function capabilities({ caps }: Cred): string {
  return `CapInh:\t${caps.inheritable}\nCapPrm:\t${caps.permitted}\nCapEff:\t${caps.effective}\nCapBnd:\t${caps.bounding}\nCapAmb:\t${NO_CAPS}\n`;
}

export function procStatm(_k: Kern, p: Process): string {
  const s = new Sizes(p);
  return `${s.size / PAGE} ${s.rss / PAGE} 0 ${(s.text + s.library) / PAGE} 0 ${(s.data + s.stack) / PAGE} 0\n`;
}

export function limitsText(p: Process): string {
  const show = (v: number): string => (v === Infinity ? "unlimited" : String(v));
  const row = (name: string, soft: string, hard: string, unit: string): string => `${name.padEnd(26)}${soft.padEnd(20)} ${hard.padEnd(20)} ${unit === "" ? "" : unit.padEnd(10)}\n`;
  return row("Limit", "Soft Limit", "Hard Limit", "Units") + LIMITS.map(([n, unit], i) => row(`Max ${n}`, show(p.limits.soft[i]!), show(p.limits.hard[i]!), unit)).join("");
}
