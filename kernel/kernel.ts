// The kernel as a whole: puts the parts together on a hosted machine, boots, runs, and ends with process 1.
//
//   Machine ─► Hal ─► Uvm ─► Kern (scheduler, processes) ─► Vfs
//   boot thread: drivers ─► root file system ─► /dev /proc /tmp /run ─► initrd ─► process 1
import type { Machine } from "../emu/machine.ts";
import { ENOENT } from "./lib/errno.ts";
import { KernelPanic } from "./lib/kassert.ts";
import { KContext, type KGen } from "./lib/kthread.ts";
import { Devices, SHOWN } from "./devices.ts";
import { Hal } from "./hal/hal.ts";
import { unpackInitrd } from "./initrd.ts";
import { execve } from "./kern/exec.ts";
import { O_RDWR, O_WRONLY } from "./kern/file.ts";
import { Kern, type Trace } from "./kern/kern.ts";
import { Pipes } from "./kern/pipe.ts";
import { Process, Thread } from "./kern/proc.ts";
import { Random } from "./kern/random.ts";
import type { RunResult } from "./kern/sched.ts";
import { UnixSockets } from "./kern/unixsock.ts";
import { AT_FDCWD } from "./sys/abi.ts";
import { openAt } from "./sys/path.ts";
import { syscallTable } from "./sys/table.ts";
import { type Uvm, uvmInit } from "./uvm/uvm.ts";
import { uvmspaceAlloc } from "./uvm/vmspace.ts";
import { MNT_RDONLY } from "./vfs/mount.ts";
import { Vfs } from "./vfs/vfs.ts";

export interface KernelConfig {
  /** Program and arguments of process 1. */
  readonly init: readonly string[];
  readonly env?: readonly string[];
  /** What is traced, and where to; null: nothing. */
  readonly trace?: Trace | null;
  /** Directories that get a file system of their own for what the initial RAM disk has there, read-only afterwards. */
  readonly readOnlyDirs?: readonly string[];
  readonly seed?: number;
  /** Gets the kernel's own messages. */
  readonly log?: (line: string) => void;
}

const DEFAULT_ENV = ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=vt102"];

export class Kernel {
  readonly machine: Machine;
  readonly ctx = new KContext();
  readonly hal: Hal;
  readonly uvm: Uvm;
  readonly kern: Kern;
  readonly vfs: Vfs;
  readonly devices: Devices;
  /** Why it stopped, when a bug of the kernel stopped it. */
  panicked: KernelPanic | null = null;
  /** The wait status of process 1 as an exit code; null while it runs. */
  exitCode: number | null = null;
  private readonly config: KernelConfig;
  /** What a file system said of itself last: why boot failed, most likely. */
  private lastComplaint = "";

  constructor(machine: Machine, config: KernelConfig) {
    this.machine = machine;
    this.config = config;
    this.hal = new Hal(machine, this.ctx);
    this.uvm = uvmInit(this.hal, this.ctx);
    this.kern = new Kern({
      ctx: this.ctx, hal: this.hal, uvm: this.uvm, random: new Random(config.seed ?? machine.config.seed ?? 1), epochSec: machine.config.epochSeconds ?? 0,
      syscalls: syscallTable(), trace: config.trace ?? null,
    });
    this.ctx.sched = this.kern.sched;
    this.vfs = new Vfs(this.ctx, this.uvm, this.hal.mem);
    this.vfs.complain = (line) => {
      this.lastComplaint = line;
      this.say(line);
    };
    this.kern.vfs = this.vfs;
    const pipes = new Pipes(this.kern);
    this.kern.makePipe = (_k, flags) => pipes.create(flags);
    this.kern.openFifo = (_k, vnode, flags) => pipes.open(vnode, flags);
    const sockets = new UnixSockets(this.kern);
    this.kern.makeSocket = (_k, t, domain, type, protocol) => sockets.socket(t, domain, type, protocol);
    this.kern.makeSocketPair = (_k, t, domain, type, protocol) => sockets.socketpair(t, domain, type, protocol);
    this.devices = new Devices(this.kern);
    this.uvm.pdaemon.thread = this.kern.sched.spawnKernel("pagedaemon", this.uvm.pdaemon.main());
    this.kern.sched.spawnKernel("boot", this.boot());
  }

  /** A line of the kernel's log. */
  say(line: string): void {
    this.kern.say(line);
    this.config.log?.(line);
  }

  /**
   * Runs for about `maxInsns` instructions. Waiting costs none: virtual time skips to the next event, if that is not after `skipLimitNs`.
   *
   * => "idle": only outside input can go on, or time: see nextEventNs; "halted": see exitCode and panicked
   */
  run(maxInsns: number, skipLimitNs = Infinity): RunResult {
    if (this.panicked || this.exitCode !== null) return "halted";
    try {
      const r = this.kern.sched.run(maxInsns, skipLimitNs);
      if (r === "halted") this.halt();
      return r;
    } catch (e) {
      if (!(e instanceof KernelPanic)) throw e;
      this.panicked = e;
      this.exitCode = 255;
      this.say(`panic: ${e.message}`);
      return "halted";
    }
  }

  /** When something happens by itself next, in ns of virtual time; Infinity never. */
  nextEventNs(): number {
    return this.kern.sched.nextEventNs();
  }

  private halt(): void {
    const status = this.kern.haltStatus;
    if (status === null) {
      this.exitCode = this.machine.halted?.code ?? 0;
      return;
    }
    this.exitCode = (status & 0x7f) === 0 ? status >> 8 : 128 + (status & 0x7f);
    this.hal.halt(this.exitCode);
  }

  /** A fatal problem at boot: says why and powers off. */
  private fail(what: string): void {
    const why = this.lastComplaint === "" ? what : `${what} (${this.lastComplaint})`;
    this.say(`boot: ${why}`);
    this.devices.print(`loanword: ${why}\n`);
    this.kern.haltStatus = 1 << 8;
  }

  // ---- boot --------------------------------------------------------------------------------------------------------

  private *boot(): KGen<void> {
    const rootErr = yield* this.devices.mountAll(this.vfs);
    if (typeof rootErr === "string") return this.fail(rootErr);
    const { initrd } = this.machine, shown = this.config.readOnlyDirs ?? [];
    for (const path of shown) {
      const err = yield* this.devices.mountShown(this.vfs, path);
      if (err < 0) return this.fail(`nothing can be shown at ${path}: error ${-err}`);
    }
    if (initrd) {
      const err = yield* unpackInitrd(this.vfs, this.hal.mem.bytes(initrd.pa, initrd.len).slice());
      if (err < 0) return this.fail(`the initial RAM disk cannot be unpacked: error ${-err}`);
    }
    for (const m of this.vfs.mounts) if (m.source === SHOWN) yield* m.remount(m.flags | MNT_RDONLY);
    this.startInit();
  }

  /** Makes process 1; its first act is to execute init. */
  private startInit(): void {
    const { kern } = this, vm = uvmspaceAlloc(this.uvm);
    if (typeof vm === "number") return this.fail("no memory for process 1");
    const p = new Process(1, null, vm, kern.now());
    kern.init = p;
    kern.procs.set(1, p);
    kern.pgrps.set(1, p.pgrp);
    p.cwd = p.root = this.vfs.rootVnode;
    p.cwd.vref();
    p.root.vref();
    const t = new Thread(1, p);
    kern.threads.set(1, t);
    t.coroutine = this.initMain(t);
    kern.sched.setRunnable(t);
  }

  private *initMain(t: Thread): KGen<void> {
    const { kern } = this, { init, env } = this.config, path = init[0] ?? "/sbin/init";
    const usePorts = (this.machine.config.bootargs ?? "").split(" ").includes("stdio=ports");
    if (usePorts) {
      const a = yield* openAt(kern, t, AT_FDCWD, "/dev/vport0p0", O_RDWR, 0);
      if (a === 0) t.proc.fds.dup(0, 1, 64, false);
      yield* openAt(kern, t, AT_FDCWD, "/dev/vport0p1", O_WRONLY, 0);
    } else if ((yield* openAt(kern, t, AT_FDCWD, "/dev/console", O_RDWR | 0o400, 0)) === 0) {
      t.proc.fds.dup(0, 1, 64, false);
      t.proc.fds.dup(0, 2, 64, false);
    }
    const err = yield* execve(kern, t, { path, argv: init, envp: env ?? DEFAULT_ENV });
    if (err >= 0 || t.isDead) return;
    this.fail(`cannot start ${path}: ${err === -ENOENT ? "it, or what interprets it, is not on the root disk" : `error ${-err}`}`);
    // It has no program to go back to: the machine stops before it would run.
    yield* this.ctx.sleep(this, "failed");
  }
}
