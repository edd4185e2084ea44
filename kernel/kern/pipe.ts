// Pipes and FIFOs: a ring of bytes between those who write and those who read.
//
//   write ─► [ ring: start, count of capacity ] ─► read
//
// As on Linux: 64 KiB unless F_SETPIPE_SZ says otherwise, writes of at most PIPE_BUF are not mixed with others, a write without
// readers is EPIPE (and SIGPIPE, which the system call sends), a read without writers is the end. Progress of a long write is in
// its uio and in the ring: nothing is held over a sleep. Pages will be lent past the ring by uvm_loan; what is here stays for
// short transfers.
import { EAGAIN, EBUSY, EINTR, EINVAL, ENOMEM, ENXIO, EPERM, EPIPE, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import { FileTimes, MNT_STRICTATIME } from "../vfs/filetimes.ts";
import type { Attr, Vnode } from "../vfs/vnode.ts";
import { VFIFO } from "../vfs/vnode.ts";
import {
  type FileOps, O_ACCMODE, O_NOATIME, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, OpenFile, POLLERR, POLLHUP, POLLIN, POLLOUT, PollQueue, POLLRDNORM, POLLWRNORM,
  type PollWaiter,
} from "./file.ts";
import { CAP_SYS_RESOURCE } from "./caps.ts";
import { AnonInode } from "./anoninode.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { argOut } from "./ioctlarg.ts";

export const PIPE_BUF = 4096, PIPE_CAPACITY = 65536, PIPE_CAPACITY_MAX = 1 << 20;
/** Not even the superuser gets more: the ring is memory of the host. */
const PIPE_CAPACITY_LIMIT = 1 << 26;
const F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032, FIONREAD = 0x541b, PAGE = 4096;

export class Pipe {
  ring = new Uint8Array(PIPE_CAPACITY);
  start = 0;
  count = 0;
  readers = 0;
  writers = 0;
  /** Opens since the beginning, for who waits for the other side of a FIFO. */
  readerOpens = 0;
  writerOpens = 0;
  /** Readers of a FIFO that opened without waiting, and no writer since: they have not been left by anybody. */
  readonly unmet = new Set<OpenFile>();
  readonly readable = new PollQueue();
  readonly writable = new PollQueue();
  /** Of a pipe without a name. */
  readonly inode: AnonInode;

  constructor(inode: AnonInode) {
    this.inode = inode;
  }

  get room(): number {
    return this.ring.length - this.count;
  }

  /** Where bytes can be added now, in one piece. */
  private tail(): { at: number; n: number } {
    const at = (this.start + this.count) % this.ring.length;
    return { at, n: Math.min(this.room, this.ring.length - at) };
  }

  /** Moves from the caller into the ring as far as there is room and no fault. => bytes */
  fillFast(uio: Uio, most: number): number {
    let done = 0;
    while (done < most) {
      const { at, n } = this.tail(), want = Math.min(n, most - done);
      if (want === 0) break;
      const moved = uio.moveFast(this.ring, at, want);
      this.count += moved;
      done += moved;
      if (moved < want) break;
    }
    return done;
  }

  /** Moves from the ring to the caller. => bytes */
  drainFast(uio: Uio): number {
    let done = 0;
    while (this.count > 0 && uio.resid > 0) {
      const want = Math.min(this.count, this.ring.length - this.start, uio.resid), moved = uio.moveFast(this.ring, this.start, want);
      this.start = (this.start + moved) % this.ring.length;
      this.count -= moved;
      done += moved;
      if (moved < want) break;
    }
    return done;
  }

  /** Takes bytes that are in kernel memory. => room for all of them */
  append(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const { at, n } = this.tail(), part = bytes.subarray(done, done + n);
      this.ring.set(part, at);
      this.count += part.length;
      done += part.length;
    }
  }

  resize(capacity: number): void {
    const ring = new Uint8Array(capacity);
    for (let i = 0; i < this.count; i++) ring[i] = this.ring[(this.start + i) % this.ring.length]!;
    this.ring = ring;
    this.start = 0;
  }
}

const pipeOf = (f: OpenFile): Pipe => f.data as Pipe;
const canRead = (f: OpenFile): boolean => (f.flags & O_ACCMODE) !== O_WRONLY;
const canWrite = (f: OpenFile): boolean => (f.flags & O_ACCMODE) !== O_RDONLY;

class PipeOps implements FileOps {
  readonly kind = "pipe";
  private readonly k: Kern;

  constructor(k: Kern) {
    this.k = k;
  }

  /** Bytes were read or written through an open file. */
  private took(f: OpenFile): void {
    if (f.vnode === null) pipeOf(f).inode.times.accessed(MNT_STRICTATIME, false);
    else if ((f.flags & O_NOATIME) === 0) f.vnode.accessed();
  }

  private gave(f: OpenFile): void {
    if (f.vnode === null) pipeOf(f).inode.times.modified();
    else f.vnode.modified();
  }

  private arrived(p: Pipe): void {
    this.k.ctx.wakeup(p.readable);
    p.readable.notify(this.k.ctx, POLLIN | POLLRDNORM | POLLHUP);
  }

  /** Bytes were taken. Pollers are told when it was too full to write before: an edge, as on Linux. */
  private left(p: Pipe, wasFull = true): void {
    this.k.ctx.wakeup(p.writable);
    if (wasFull) p.writable.notify(this.k.ctx, POLLOUT | POLLWRNORM | POLLERR);
  }

  readFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const p = pipeOf(f);
    if (p.count === 0) return p.writers === 0 || len === 0 ? 0 : (f.flags & O_NONBLOCK) !== 0 ? -EAGAIN : -ERESTART;
    const { user } = this.k.uvm, { pmap } = t.proc.vmspace.map, want = Math.min(len, p.count), first = Math.min(want, p.ring.length - p.start);
    if (user.copyoutFast(pmap, va, p.ring, p.start, first) < first || user.copyoutFast(pmap, va + first, p.ring, 0, want - first) < want - first) return -ERESTART;
    const wasFull = p.room < PIPE_BUF;
    p.start = (p.start + want) % p.ring.length;
    p.count -= want;
    this.took(f);
    this.left(p, wasFull);
    return want;
  }

  writeFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const p = pipeOf(f);
    if (p.readers === 0 || len > p.room) return -ERESTART;
    const { user } = this.k.uvm, { pmap } = t.proc.vmspace.map, at = (p.start + p.count) % p.ring.length, first = Math.min(len, p.ring.length - at);
    if (user.copyinFast(pmap, va, p.ring, at, first) < first || user.copyinFast(pmap, va + first, p.ring, 0, len - first) < len - first) return -ERESTART;
    p.count += len;
    this.gave(f);
    this.arrived(p);
    return len;
  }

  *read(f: OpenFile, uio: Uio): KGen<number> {
    const p = pipeOf(f);
    if (uio.resid === 0) return 0;
    while (p.count === 0) {
      if (p.writers === 0) return 0;
      if (f.isNonblocking) return -EAGAIN;
      if ((yield* this.k.ctx.sleep(p.readable, "piperd", { interruptible: true })) < 0) return -EINTR;
    }
    const wasFull = p.room < PIPE_BUF, moved = p.drainFast(uio);
    if (moved > 0) {
      this.took(f);
      this.left(p, wasFull);
      return moved;
    }
    // The caller's memory has to be faulted in: what is there now is taken out first, since others may read meanwhile.
    const bytes = new Uint8Array(Math.min(p.count, uio.resid, PAGE));
    for (let i = 0; i < bytes.length; i++) bytes[i] = p.ring[(p.start + i) % p.ring.length]!;
    const before = uio.resid, error = yield* uiomove(bytes, 0, bytes.length, uio), got = before - uio.resid;
    if (got === 0) return error;
    const gone = Math.min(got, p.count);
    p.start = (p.start + gone) % p.ring.length;
    p.count -= gone;
    this.took(f);
    this.left(p);
    return got;
  }

  *write(f: OpenFile, uio: Uio): KGen<number> {
    const p = pipeOf(f), total = uio.resid, atomic = total <= PIPE_BUF;
    let done = 0;
    while (uio.resid > 0) {
      if (p.readers === 0) return done > 0 ? done : -EPIPE;
      if (p.room < (atomic ? total : 1)) {
        if (f.isNonblocking) return done > 0 ? done : -EAGAIN;
        if ((yield* this.k.ctx.sleep(p.writable, "pipewr", { interruptible: true })) < 0) return done > 0 ? done : -EINTR;
        continue;
      }
      const n = atomic ? yield* this.writeAtomic(p, uio) : yield* this.writeSome(p, uio);
      if (n < 0) return done > 0 ? done : n;
      done += n;
      if (n === 0) continue;
      this.gave(f);
      this.arrived(p);
    }
    return done;
  }

  /** All of a short write, or nothing: it is copied before it goes in. => 0 when the room went while the copy slept */
  private *writeAtomic(p: Pipe, uio: Uio): KGen<number> {
    const bytes = new Uint8Array(uio.resid), error = yield* uiomove(bytes, 0, bytes.length, uio);
    if (error < 0) return error;
    if (p.room < bytes.length) {
      uio.unmove(bytes.length);
      return 0;
    }
    p.append(bytes);
    return bytes.length;
  }

  private *writeSome(p: Pipe, uio: Uio): KGen<number> {
    const moved = p.fillFast(uio, uio.resid);
    if (moved > 0) return moved;
    const bytes = new Uint8Array(Math.min(p.room, uio.resid, PAGE)), before = uio.resid, error = yield* uiomove(bytes, 0, bytes.length, uio), got = before - uio.resid;
    if (got === 0) return error;
    const fits = Math.min(got, p.room);
    uio.unmove(got - fits);
    p.append(bytes.subarray(0, fits));
    return fits;
  }

  *ioctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    if (cmd === FIONREAD) return yield* argOut(this.k, t, arg, pipeOf(f).count);
    return -25;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const p = pipeOf(f);
    let ready = 0;
    if (canRead(f)) {
      if (p.count > 0) ready |= POLLIN | POLLRDNORM;
      if (p.writers === 0 && !p.unmet.has(f)) ready |= POLLHUP;
      if (w) p.readable.record(w);
    }
    if (canWrite(f)) {
      if (p.room >= PIPE_BUF || p.room === p.ring.length) ready |= POLLOUT | POLLWRNORM;
      if (p.readers === 0) ready |= POLLERR;
      if (w) p.writable.record(w);
    }
    return ready & (events | POLLERR | POLLHUP);
  }

  *close(f: OpenFile): KGen<void> {
    const p = pipeOf(f);
    p.unmet.delete(f);
    if (canRead(f)) p.readers--;
    if (canWrite(f)) p.writers--;
    this.arrived(p);
    this.left(p);
    if (!f.vnode) return;
    if (p.readers === 0 && p.writers === 0) f.vnode.special = null;
    yield* f.vnode.vrele();
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return (f.vnode ?? this.inode(f)).getattr();
  }

  inode(f: OpenFile): AnonInode {
    return pipeOf(f).inode;
  }

  fcntl(f: OpenFile, cmd: number, arg: number, t: Thread): number {
    const p = pipeOf(f);
    if (cmd === F_GETPIPE_SZ) return p.ring.length;
    if (cmd !== F_SETPIPE_SZ || arg < 0) return -EINVAL;
    const capacity = Math.max(PAGE, 2 ** Math.ceil(Math.log2(Math.max(1, arg))));
    if (capacity > PIPE_CAPACITY_MAX && !t.proc.cred.can(CAP_SYS_RESOURCE)) return -EPERM;
    // Linux counts pages in use, not bytes.
    if (capacity < Math.ceil(p.count / PAGE) * PAGE) return -EBUSY;
    if (capacity > PIPE_CAPACITY_LIMIT) return -ENOMEM;
    p.resize(capacity);
    this.left(p);
    return capacity;
  }

  describe(f: OpenFile): string {
    return f.vnode ? "fifo" : `pipe:[${pipeOf(f).inode.ino}]`;
  }
}

/** The pipes of one kernel. */
export class Pipes {
  private readonly k: Kern;
  private readonly ops: PipeOps;
  private nextIno = 1;

  constructor(k: Kern) {
    this.k = k;
    this.ops = new PipeOps(k);
  }

  private newPipe(): Pipe {
    const cred = (this.k.ctx.cur as Thread | null)?.proc?.cred, owner = { uid: cred?.euid ?? 0, gid: cred?.egid ?? 0 };
    return new Pipe(new AnonInode(VFIFO, this.nextIno++, 0o600, owner, new FileTimes(this.k.ctx.wall)));
  }

  /** pipe2(2): the reading and the writing end, with a reference each. */
  create(flags: number): readonly [OpenFile, OpenFile] {
    const p = this.newPipe();
    p.readers = p.writers = p.readerOpens = p.writerOpens = 1;
    return [new OpenFile(this.ops, O_RDONLY | flags, p), new OpenFile(this.ops, O_WRONLY | flags, p)];
  }

  /** Opens a FIFO: waits for the other side unless O_NONBLOCK. => the vnode's reference passes to the open file on success */
  *open(vnode: Vnode, flags: number): KGen<OpenFile | number> {
    const p = (vnode.special as Pipe | null) ?? this.newPipe(), mode = flags & O_ACCMODE, { ctx } = this.k;
    vnode.special = p;
    if (mode === O_WRONLY && (flags & O_NONBLOCK) !== 0 && p.readers === 0) return -ENXIO;
    const f = new OpenFile(this.ops, flags, p, vnode);
    if (mode !== O_WRONLY) {
      p.readers++;
      p.readerOpens++;
    }
    if (mode !== O_RDONLY) {
      p.writers++;
      p.writerOpens++;
      p.unmet.clear();
    }
    if (mode === O_RDONLY && p.writers === 0) p.unmet.add(f);
    ctx.wakeup(p);
    if (mode === O_RDWR || (flags & O_NONBLOCK) !== 0) return f;
    const seen = mode === O_RDONLY ? p.writerOpens : p.readerOpens;
    while (mode === O_RDONLY ? p.writers === 0 && p.writerOpens === seen : p.readers === 0 && p.readerOpens === seen) {
      if ((yield* ctx.sleep(p, "fifo", { interruptible: true })) === 0) continue;
      vnode.vref();
      yield* this.ops.close(f);
      return -EINTR;
    }
    return f;
  }
}
