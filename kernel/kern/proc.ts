// Processes and threads.
//
//   Process   vmspace, descriptors, directories, credentials, signal actions, children, exit status
//     └──< Thread   registers, signal mask, its sleep
//
// While a thread's registers are in the hart, `t.x` and `t.f` are the hart's own arrays; else they are the thread's saved copy.
// So kernel code reads and writes `t.x` and never asks where they are (sched.ts switches them, pc included).
import type { KGen } from "../lib/kthread.ts";
import { KThread } from "../lib/kthread.ts";
import type { Vmspace } from "../uvm/vmspace.ts";
import type { Vnode } from "../vfs/vnode.ts";
import { Cred } from "./cred.ts";
import { FdTable } from "./fdtable.ts";
import { Pgrp, Session } from "./pgrp.ts";
import { Limits } from "./rlimit.ts";
import { NO_RSEQ, type Rseq } from "./rseq.ts";
import { SchedParams } from "./schedpolicy.ts";
import { AltStack, SigActions, SigQueue, SigSet } from "./sigset.ts";

/** Where a process is in its life. */
export const PS_ALIVE = 0, PS_STOPPED = 1, PS_ZOMBIE = 2, PS_DEAD = 3;

/** Why a thread must enter the kernel before user mode: bits of Thread.ast. */
export const AST_SIGNAL = 1, AST_EXIT = 2, AST_STOP = 4, AST_RSEQ = 8;

/** Registers by their ABI names: index into Thread.x is 2 * n. */
export const REG_RA = 1, REG_SP = 2, REG_TP = 4, REG_A0 = 10, REG_A1 = 11, REG_A2 = 12, REG_A7 = 17;

/** Times a process used, in ns; what of it is the kernel's, and when none is, systime.ts says. */
export class Usage {
  userNs = 0;
  sysNs = 0;
  minorFaults = 0;
  majorFaults = 0;
  voluntary = 0;
  involuntary = 0;
  maxRssPages = 0;

  add(u: Usage): void {
    this.userNs += u.userNs;
    this.sysNs += u.sysNs;
    this.minorFaults += u.minorFaults;
    this.majorFaults += u.majorFaults;
    this.voluntary += u.voluntary;
    this.involuntary += u.involuntary;
    this.maxRssPages = Math.max(this.maxRssPages, u.maxRssPages);
  }
}

/** A timer on CPU time. It is no callout: it can only become due while what it measures runs. */
export interface CpuTimer {
  /** CPU time until it is due if `t` runs; Infinity: that is not what it measures. */
  cpuLeftNs(t: Thread): number;
  /** Fires if it is due. */
  checkDue(): void;
}

export class Process {
  readonly pid: number;
  parent: Process | null;
  readonly children = new Set<Process>();
  readonly threads: Thread[] = [];
  state = PS_ALIVE;
  vmspace: Vmspace;
  fds = new FdTable();
  cwd: Vnode | null = null;
  /** The program, counted in its `texts`; see setText. */
  text: Vnode | null = null;
  root: Vnode | null = null;
  umask = 0o022;
  cred = new Cred();
  /** Programs give no more rights than it has; see prctl(2). */
  noNewPrivs = false;
  /** Its real user when it began its program: RLIMIT_NPROC let it. */
  admittedUid = 0;
  pgrp: Pgrp;
  limits: Limits;
  /** Last component of the program's name, at most 15 bytes. */
  comm = "kernel";
  /** Absolute path of the program, for /proc/N/exe. */
  exePath = "";
  /** Path of the working directory when it was set, for /proc/N/cwd. */
  cwdPath = "/";
  /** Where argv and envp strings lie on the stack, for /proc/N/cmdline and environ. */
  argStart = 0;
  argEnd = 0;
  envStart = 0;
  envEnd = 0;
  readonly startNs: number;
  readonly usage = new Usage();
  /** Of children that were waited for. */
  readonly childUsage = new Usage();
  // ---- signals
  actions = new SigActions();
  readonly pending = new SigQueue();
  /** Signal that stopped it, not yet reported to wait; 0 none. */
  stopSignal = 0;
  isStopReported = true;
  isContinued = false;
  // ---- end
  /** wait4's status word. */
  exitStatus = 0;
  /** exit_group or a fatal signal is under way. */
  isExiting = false;
  /** Signal for the parent at exit; 0 none (clone). */
  exitSignal = 17;
  /** vfork: the parent waits until this child execs or exits. */
  vforkParent: Thread | null = null;
  didExec = false;
  /** prctl PR_SET_PDEATHSIG, PR_SET_DUMPABLE. */
  pdeathsig = 0;
  isDumpable = true;
  personality = 0;
  /** setitimer and timer_create (timer.ts). */
  timers: unknown = null;
  /** Timers that measure this process or a thread of it. */
  readonly cpuTimers = new Set<CpuTimer>();

  constructor(pid: number, parent: Process | null, vmspace: Vmspace, nowNs: number) {
    this.pid = pid;
    this.parent = parent;
    this.vmspace = vmspace;
    this.startNs = nowNs;
    this.limits = new Limits(parent?.limits);
    this.pgrp = parent ? parent.pgrp : new Pgrp(pid, new Session(this));
    this.pgrp.members.add(this);
    parent?.children.add(this);
  }

  /** Of its first thread. */
  get nice(): number {
    return this.threads[0]?.sched.nice ?? 0;
  }

  get isZombie(): boolean {
    return this.state >= PS_ZOMBIE;
  }

  /** The thread whose tid is the pid; after it exited, any. */
  get mainThread(): Thread {
    return this.threads[0]!;
  }
}

const threadName = (p: Process, tid: number): string => `pid ${p.pid}${tid === p.pid ? "" : `/${tid}`}`;

export class Thread extends KThread {
  /** Changes once: when another thread than the first execs, it becomes the first. */
  tid: number;
  readonly proc: Process;
  /** Integer registers: r at [2r] low, [2r+1] high. The hart's array while loaded. */
  x: Int32Array;
  /** Floating-point registers, same shape. */
  f: Int32Array;
  /** Saved copies. */
  readonly savedX = new Int32Array(64);
  readonly savedF = new Int32Array(64);
  /** pc and fcsr while not loaded; sched.ts' getPc and setPc know where it is. */
  savedPc = 0;
  savedFcsr = 0;
  /** AST_* bits: looked at before each return to user mode. */
  ast = 0;
  sigmask = new SigSet();
  /** The mask to return to after sigsuspend's or ppoll's signal; null none. */
  savedMask: SigSet | null = null;
  readonly pending = new SigQueue();
  altStack = new AltStack();
  /** The system call in progress, for restarts; -1 none. */
  syscallNr = -1;
  /** RESTART_* of an interrupted call, decided on the way to user mode; 0 none. */
  pendingRestart = 0;
  /** Deadline that a restarted sleep goes on with; NaN none. */
  restartDeadline = NaN;
  /** CLONE_CHILD_CLEARTID, set_tid_address. */
  clearTid = 0;
  robustList = 0;
  rseq: Rseq = NO_RSEQ;
  /** Signals sigtimedwait waits for. */
  waitSet: SigSet | null = null;
  /** It sits in the run queue. */
  isQueued = false;
  isDead = false;
  sched = new SchedParams();
  /** CPU time, and the kernel's part of it. */
  usedNs = 0;
  sysNs = 0;

  constructor(tid: number, proc: Process) {
    super(threadName(proc, tid), false);
    this.tid = tid;
    this.proc = proc;
    this.x = this.savedX;
    this.f = this.savedF;
    proc.threads.push(this);
  }

  /** Another tid; k.threads is the caller's. */
  rename(tid: number): void {
    this.tid = tid;
    this.name = threadName(this.proc, tid);
  }
}

/** A kernel thread's body. */
export type KernelThreadBody = () => KGen<void>;

/** The program that a process executes, or none: nobody may write to it meanwhile. */
export function* setText(p: Process, v: Vnode | null): KGen<void> {
  const before = p.text;
  if (v !== null) {
    v.vref();
    v.texts++;
  }
  p.text = v;
  if (before === null) return;
  before.texts--;
  yield* before.vrele();
}
