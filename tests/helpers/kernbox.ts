// KernBox: kern without programs. Processes are records with an empty address space; what a test does is a kernel function run by
// hand on a thread of one of them. The root is a tmpfs, /proc is mounted; pipes, sockets and FIFOs are the kernel's.
import { Machine } from "../../emu/machine.ts";
import { Hal } from "../../kernel/hal/hal.ts";
import { fileRelease, filePoll, type OpenFile, PollWaiter, type SockMsg, type SocketOps } from "../../kernel/kern/file.ts";
import { Kern } from "../../kernel/kern/kern.ts";
import { enterPgrp, Pgrp, Session } from "../../kernel/kern/pgrp.ts";
import { Pipes } from "../../kernel/kern/pipe.ts";
import { Process, Thread } from "../../kernel/kern/proc.ts";
import { procMount } from "../../kernel/kern/procfs.ts";
import { Random } from "../../kernel/kern/random.ts";
import { UnixSockets } from "../../kernel/kern/unixsock.ts";
import { KContext, type KGen } from "../../kernel/lib/kthread.ts";
import { openAt } from "../../kernel/sys/path.ts";
import { AT_FDCWD } from "../../kernel/sys/abi.ts";
import type { Row } from "../../kernel/sys/args.ts";
import { uvmMap } from "../../kernel/uvm/mmap.ts";
import { copyin, copyout, latin1, toBytes, Uio, UIO_READ, UIO_WRITE } from "../../kernel/uvm/uio.ts";
import { type Uvm, uvmInit } from "../../kernel/uvm/uvm.ts";
import { uvmspaceAlloc } from "../../kernel/uvm/vmspace.ts";
import { namei } from "../../kernel/vfs/namei.ts";
import { TmpMount } from "../../kernel/vfs/tmpfs/tmpfs.ts";
import { Vfs } from "../../kernel/vfs/vfs.ts";
import { VDIR, VFIFO, type VType } from "../../kernel/vfs/vnode.ts";
import { TestSched } from "./ksched.ts";
import { assert } from "./suite.ts";

const ALL_EVENTS = 0x23ff, A0 = 10;
/** Memory of a process that mapped some. */
export const USER_VA = 0x10000;

/** A call in progress. */
export class Call<T> {
  /** What it returned; undefined: not yet. */
  result: T | undefined;
  private readonly thread: Thread;
  private readonly box: KernBox;
  constructor(box: KernBox, thread: Thread) {
    this.box = box;
    this.thread = thread;
  }

  *body(g: KGen<T>): KGen<void> {
    this.result = yield* g;
  }

  /** Where it sleeps; "" it ended. */
  get sleepsAt(): string {
    return this.result === undefined ? this.thread.sleep?.tag ?? "" : "";
  }

  /** A signal arrives. => what it returns then */
  interrupt(): T | undefined {
    this.box.ctx.interrupt(this.thread);
    this.box.sched.settle();
    return this.result;
  }
}

export class KernBox {
  readonly ctx = new KContext();
  readonly sched = new TestSched(this.ctx);
  readonly k: Kern;
  readonly uvm: Uvm;
  readonly pipes: Pipes;
  readonly sockets: UnixSockets;
  /** Process 1, and a child of it in a session of its own. */
  readonly init: Process;
  readonly me: Process;

  constructor(npages = 1024) {
    const machine = new Machine({ ramBytes: npages * 4096, console: { read: () => 0, write() {} }, hosted: true, engine: "interp", bootargs: "quiet" });
    const { ctx } = this, hal = new Hal(machine, ctx);
    this.uvm = uvmInit(hal, ctx);
    this.k = new Kern({ ctx, hal, uvm: this.uvm, random: new Random(1), epochSec: 1_740_000_000, syscalls: [], trace: null });
    // The kernel's scheduler wants programs; time is the test scheduler's.
    ctx.sched = this.sched;
    this.k.now = () => this.sched.timeNs;
    const vfs = new Vfs(ctx, this.uvm, hal.mem);
    this.k.vfs = vfs;
    this.sched.run(vfs.mountRoot(new TmpMount(vfs, "tmpfs", 0)));
    this.init = this.newProcess(null, 1);
    this.k.init = this.init;
    this.me = this.child(this.init, true);
    this.mknod("/proc", VDIR, 0o755);
    this.onVnode("/proc", (dir) => vfs.mountOn(procMount(this.k, vfs, "proc", 0), dir, "/proc"));
    this.pipes = new Pipes(this.k);
    this.sockets = new UnixSockets(this.k);
    this.k.openFifo = (_k, vnode, flags) => this.pipes.open(vnode, flags);
  }

  // ---- processes ----

  private newProcess(parent: Process | null, pid: number): Process {
    const vm = uvmspaceAlloc(this.uvm);
    if (typeof vm === "number") throw new Error("no address space");
    const p = new Process(pid, parent, vm, this.sched.timeNs), { rootVnode } = this.k.vfs;
    for (const which of ["cwd", "root"] as const) {
      p[which] = rootVnode;
      rootVnode.vref();
    }
    this.k.procs.set(pid, p);
    this.thread(p, pid);
    this.k.pgrps.set(p.pgrp.pgid, p.pgrp);
    return p;
  }

  /** Another process; `lead`: with a session of its own. */
  child(parent: Process = this.me, lead = false): Process {
    const p = this.newProcess(parent, this.k.allocPid());
    return lead ? this.setsid(p) : p;
  }

  private setsid(p: Process): Process {
    enterPgrp(p, new Pgrp(p.pid, new Session(p)));
    this.k.pgrps.set(p.pid, p.pgrp);
    return p;
  }

  /** Puts a process in a group of its own in its session. */
  setpgid(p: Process): Pgrp {
    const g = new Pgrp(p.pid, p.pgrp.session);
    enterPgrp(p, g);
    this.k.pgrps.set(p.pid, g);
    return g;
  }

  /** A thread of a process that is in no call: the first, if it can be. */
  private idle(p: Process): Thread {
    return p.threads.find((t) => !t.coroutine) ?? this.thread(p);
  }

  private thread(p: Process, tid = this.k.allocPid()): Thread {
    const t = new Thread(tid, p);
    this.k.threads.set(tid, t);
    return t;
  }

  // ---- calls ----

  /** Runs a call of a process to its end. Fails when it has to wait for ever. */
  run<T>(body: KGen<T>, p: Process = this.me): T {
    return this.sched.finish<T>(this.sched.spawn("call", body, false, this.idle(p)));
  }

  /** Begins a call, and runs everybody until all sleep. */
  begin<T>(body: KGen<T> | ((t: Thread) => KGen<T>), p: Process = this.me): Call<T> {
    const t = this.idle(p), call = new Call<T>(this, t);
    this.sched.spawn("call", call.body(typeof body === "function" ? body(t) : body), false, t);
    this.sched.settle();
    return call;
  }

  /** read(2) into kernel memory. => what came, or -errno */
  *reading(f: OpenFile, n: number, t: Thread = this.me.mainThread): KGen<string | number> {
    const bytes = new Uint8Array(n), got = yield* f.ops.read(f, Uio.kernel(this.uvm, bytes, UIO_READ), t, -1);
    return got < 0 ? got : latin1(bytes.subarray(0, got));
  }

  writing(f: OpenFile, what: string | Uint8Array, t: Thread = this.me.mainThread): KGen<number> {
    return f.ops.write(f, Uio.kernel(this.uvm, typeof what === "string" ? toBytes(what) : what.slice(), UIO_WRITE), t, -1);
  }

  read(f: OpenFile, n = 100_000): string | number {
    return this.run(this.reading(f, n));
  }

  write(f: OpenFile, what: string | Uint8Array): number {
    return this.run(this.writing(f, what));
  }

  close(f: OpenFile): void {
    this.run(fileRelease(f));
    this.sched.settle();
  }

  poll(f: OpenFile, events = ALL_EVENTS): number {
    return filePoll(f, events, null);
  }

  /** Whether `act` makes a poller of the file look again. */
  wakesPoller(f: OpenFile, act: () => void): boolean {
    const w = new PollWaiter();
    filePoll(f, ALL_EVENTS, w);
    act();
    w.done();
    return w.isFired;
  }

  // ---- user memory, and system calls that need some ----

  mapUser(npages: number, p: Process = this.me): void {
    const { map } = p.vmspace, req = { va: USER_VA, fixed: true, size: npages * 4096, prot: 3, maxprot: 7, copyOnWrite: true };
    assert.is(this.run(uvmMap(map, req), p), USER_VA);
  }

  poke(va: number, bytes: ArrayBufferView, p: Process = this.me): void {
    assert.is(this.run(copyout(this.uvm, p.vmspace.map, va, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)), p), 0);
  }

  peek(va: number, len: number, p: Process = this.me): DataView {
    const bytes = new Uint8Array(len);
    assert.is(this.run(copyin(this.uvm, p.vmspace.map, va, bytes), p), 0);
    return new DataView(bytes.buffer);
  }

  /** A system call of a table, with its arguments in registers. */
  syscall(rows: readonly Row[], nr: number, t: Thread, ...args: number[]): KGen<number> {
    args.forEach((v, i) => {
      t.x[2 * (A0 + i)] = v | 0;
      t.x[2 * (A0 + i) + 1] = Math.floor(v / 2 ** 32);
    });
    return rows.find((r) => r.nr === nr)!.entry.slow!(this.k, t);
  }

  // ---- sockets ----

  *sending(f: OpenFile, what: string, more: Partial<SockMsg> = {}): KGen<number> {
    return yield* (f.ops as SocketOps).sendmsg(f, Uio.kernel(this.uvm, toBytes(what), UIO_WRITE), { name: null, files: [], flags: 0, ...more }, this.me.mainThread);
  }

  *receiving(f: OpenFile, n: number, flags = 0): KGen<{ n: number; text: string; msg: SockMsg }> {
    const bytes = new Uint8Array(n), msg: SockMsg = { name: null, files: [], flags };
    const got = yield* (f.ops as SocketOps).recvmsg(f, Uio.kernel(this.uvm, bytes, UIO_READ), msg, this.me.mainThread);
    return { n: got, text: latin1(bytes.subarray(0, Math.min(n, Math.max(0, got)))), msg };
  }

  // ---- names ----

  private make(path: string, type: VType, mode: number): KGen<number> {
    const { vfs } = this.k, { rootVnode } = vfs;
    return (function* () {
      const r = yield* namei(vfs, rootVnode, path, { follow: false, create: true, root: rootVnode, cred: { mayAccess: () => true } });
      if (typeof r === "number") return r;
      const v = yield* r.dir.create(r.leaf, { type, mode, uid: 0, gid: 0 });
      yield* r.done();
      if (typeof v === "number") return v;
      yield* v.vrele();
      return 0;
    })();
  }

  mknod(path: string, type: VType = VFIFO, mode = 0o644): void {
    assert.is(this.run(this.make(path, type, mode)), 0);
  }

  private onVnode(path: string, act: (v: NonNullable<Process["cwd"]>) => KGen<unknown>): void {
    const { vfs } = this.k, { rootVnode } = vfs;
    this.run((function* () {
      const r = yield* namei(vfs, rootVnode, path, { follow: false, root: rootVnode, cred: { mayAccess: () => true } });
      if (typeof r === "number") throw new Error(`${path}: ${r}`);
      yield* act(r.vnode!);
      yield* r.done();
    })());
  }

  unlink(path: string): number {
    const { vfs } = this.k, { rootVnode } = vfs;
    return this.run((function* () {
      const r = yield* namei(vfs, rootVnode, path, { follow: false, create: true, root: rootVnode, cred: { mayAccess: () => true } });
      if (typeof r === "number") return r;
      const n = yield* r.dir.unlink(r.leaf);
      yield* r.done();
      return n;
    })());
  }

  /** open(2) in a process. => the descriptor, or -errno */
  *opening(path: string, flags: number, p: Process = this.me, t: Thread = p.mainThread): KGen<number> {
    return yield* openAt(this.k, t, AT_FDCWD, path, flags, 0o666);
  }

  /** The file of a descriptor. */
  fileOf(fd: number, p: Process = this.me): OpenFile {
    const f = p.fds.get(fd);
    if (!f) throw new Error(`no descriptor ${fd}`);
    return f;
  }

  open(path: string, flags: number): OpenFile {
    return this.fileOf(this.run(this.opening(path, flags)));
  }

  /** Closes the descriptor. */
  closeFile(f: OpenFile, p: Process = this.me): void {
    const fd = p.fds.files.indexOf(f);
    assert.ok(fd >= 0 && p.fds.take(fd) === f);
    this.close(f);
  }

  /** The whole text of a file. */
  text(path: string): string {
    const f = this.open(path, 0);
    let all = "";
    for (;;) {
      const part = this.read(f, 512);
      if (typeof part === "number") throw new Error(`${path}: ${part}`);
      if (part === "") break;
      all += part;
    }
    this.closeFile(f);
    return all;
  }
}
