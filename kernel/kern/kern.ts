// The state of kern: every table, and the parts below it. One per kernel; handed to whoever needs it. No module-level state.
import type { KContext, KGen } from "../lib/kthread.ts";
import type { Hal } from "../hal/hal.ts";
import type { Uvm } from "../uvm/uvm.ts";
import type { UvmObject } from "../uvm/object.ts";
import type { Vfs } from "../vfs/vfs.ts";
import type { Vnode } from "../vfs/vnode.ts";
import { Callouts } from "./callout.ts";
import { type OpenFile, PollQueue } from "./file.ts";
import { LockTable } from "./filelock.ts";
import type { FutexQueue } from "./futex.ts";
import type { Pgrp } from "./pgrp.ts";
import type { Process, Thread } from "./proc.ts";
import type { Random } from "./random.ts";
import { Scheduler } from "./sched.ts";
import type { SyscallEntry } from "./trap.ts";

/** Largest pid, and how many threads may exist: 32-bit programs keep pids in shorts. */
export const PID_MAX = 32768, MAX_THREADS = 4096;

/** Opens a special file. The vnode's reference passes to the open file on success. */
export type DeviceOpen = (k: Kern, vnode: Vnode, flags: number, t: Thread) => KGen<OpenFile | number>;

export interface KernOptions {
  readonly ctx: KContext;
  readonly hal: Hal;
  readonly uvm: Uvm;
  readonly random: Random;
  /** Seconds since 1970 at power-on. */
  readonly epochSec: number;
  readonly syscalls: readonly (SyscallEntry | undefined)[];
  /** What is traced, and where to; null: nothing. */
  readonly trace: Trace | null;
}

export const TRACE_KINDS = ["syscall", "enosys", "signal", "fault", "exec", "exit"] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];
export interface Trace { readonly kinds: ReadonlySet<TraceKind>; line(text: string): void }

export class Kern {
  readonly ctx: KContext;
  readonly hal: Hal;
  readonly uvm: Uvm;
  readonly random: Random;
  readonly callouts = new Callouts();
  readonly sched: Scheduler;
  /** Advisory locks. */
  readonly locks: LockTable;
  readonly syscalls: readonly (SyscallEntry | undefined)[];
  readonly trace: Trace | null;
  /** Set once the root is mounted. */
  vfs!: Vfs;
  readonly procs = new Map<number, Process>();
  readonly threads = new Map<number, Thread>();
  readonly pgrps = new Map<number, Pgrp>();
  /** pid 1. */
  init: Process | null = null;
  private lastPid = 0;
  hostname = "loanword";
  domainname = "(none)";
  /** The page with the signal return instructions. */
  sigcode: UvmObject | null = null;
  /** Waiters by what they share (an address space or an object), then by address or offset. */
  readonly futexes = new WeakMap<object, Map<number, FutexQueue>>();
  /** What opens a character device, by major number. */
  readonly cdevsw = new Map<number, DeviceOpen>();
  /** Opens a named pipe. */
  openFifo: DeviceOpen | null = null;
  /** Opens a block device. */
  openBlock: DeviceOpen | null = null;
  /** pipe2, socket and socketpair: kernel.ts connects them. */
  makePipe: ((k: Kern, flags: number) => readonly [OpenFile, OpenFile] | number) | null = null;
  makeSocket: ((k: Kern, t: Thread, domain: number, type: number, protocol: number) => OpenFile | number) | null = null;
  makeSocketPair: ((k: Kern, t: Thread, domain: number, type: number, protocol: number) => readonly [OpenFile, OpenFile] | number) | null = null;
  /** Who waits for signals to read. */
  readonly signalPollers = new PollQueue();
  /** How many threads this much memory supports. */
  readonly maxThreads: number;
  /** Processes made since boot. */
  forks = 0;
  contextSwitches = 0;
  /** pid 1 ended with this wait status; null while it lives. */
  haltStatus: number | null = null;
  /** reboot(2) was called. */
  haltRequested = false;
  /** Lines of the kernel's log, for syslog(2). */
  readonly log: string[] = [];

  constructor(o: KernOptions) {
    this.ctx = o.ctx;
    this.locks = new LockTable(o.ctx);
    this.hal = o.hal;
    this.uvm = o.uvm;
    this.random = o.random;
    o.ctx.wall.virtualNs = () => this.now();
    o.ctx.wall.epochSec = o.epochSec;
    this.syscalls = o.syscalls;
    this.trace = o.trace;
    this.maxThreads = Math.min(MAX_THREADS, Math.max(32, o.uvm.exp.npages >> 6));
    this.sched = new Scheduler(this);
  }

  /** Virtual time in ns since power-on. */
  now(): number {
    return this.hal.machine.clock.now;
  }

  /** A signal became pending somewhere. */
  signalPosted(): void {
    this.ctx.wakeup(this.signalPollers);
    this.signalPollers.notify(this.ctx);
  }

  /** A free pid or tid, or 0 when the table is full. */
  allocPid(): number {
    if (this.threads.size >= this.maxThreads) return 0;
    for (let i = 0; i < PID_MAX; i++) {
      this.lastPid = this.lastPid + 1 >= PID_MAX ? 2 : this.lastPid + 1;
      const pid = this.lastPid;
      if (!this.threads.has(pid) && !this.procs.has(pid) && !this.pgrps.has(pid)) return pid;
    }
    return 0;
  }

  /** Where programs and mapped files were found, for /proc/N/maps. */
  private readonly vnodePaths = new WeakMap<Vnode, string>();

  notePath(v: Vnode, path: string): void {
    this.vnodePaths.set(v, path);
  }

  pathOfVnode(v: Vnode): string {
    return this.vnodePaths.get(v) ?? `${v.mount.fsType}:[${v.ino}]`;
  }

  /** A line of the trace, if this kind is traced. => `text` is only called then */
  traced(kind: TraceKind, text: () => string): void {
    if (this.trace !== null && this.trace.kinds.has(kind)) this.trace.line(text());
  }

  say(line: string): void {
    this.log.push(line);
    if (this.log.length > 500) this.log.shift();
  }
}
