// Open files: what a descriptor names, and the operations every kind of file has.
//
//   fd ─► FdTable slot ─► OpenFile { ops, flags, offset, refs } ─► ops: vnode | pipe | socket | tty | …
//                                                └─ data: whatever the ops keep for this open file
//
// dup and fork share an OpenFile: one offset, one set of flags. A kind of file is an object that implements FileOps; there is
// one such object a kind (it holds the kernel), or one a file when that is simpler.
import { EINVAL, ENOTTY, ESPIPE } from "../lib/errno.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import type { Uio } from "../uvm/uio.ts";
import type { UvmObject } from "../uvm/object.ts";
import type { Attr, Attributed, Vnode } from "../vfs/vnode.ts";
import { dropFileLocks } from "./filelock.ts";
import type { Thread } from "./proc.ts";

/** Open flags, Linux riscv64 (asm-generic) numbers. */
export const O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_ACCMODE = 3, O_CREAT = 0o100, O_EXCL = 0o200, O_NOCTTY = 0o400, O_TRUNC = 0o1000;
export const O_APPEND = 0o2000, O_NONBLOCK = 0o4000, O_DSYNC = 0o10000, O_ASYNC = 0o20000, O_DIRECT = 0o40000, O_LARGEFILE = 0o100000;
export const O_DIRECTORY = 0o200000, O_NOFOLLOW = 0o400000, O_NOATIME = 0o1000000, O_CLOEXEC = 0o2000000, O_SYNC = 0o4010000, O_PATH = 0o10000000;
export const O_TMPFILE = 0o20200000;
/** Flags that F_SETFL may change. */
export const O_SETTABLE = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

/** poll(2) events. */
export const POLLIN = 1, POLLPRI = 2, POLLOUT = 4, POLLERR = 8, POLLHUP = 16, POLLNVAL = 32, POLLRDNORM = 64, POLLRDBAND = 128;
export const POLLWRNORM = 256, POLLWRBAND = 512, POLLRDHUP = 0x2000;

/** One thread in poll or select: it sleeps on this object, and stands in the queue of each file it asked about. So does an item of an epoll. */
export class PollWaiter {
  readonly queues: PollQueue[] = [];
  /** Some file became ready after it was asked: do not sleep. */
  isFired = false;

  /** Of those that say so one is enough to be told. */
  get isExclusive(): boolean {
    return false;
  }

  /** A file changed. `key`: which of POLL* it may be about; 0 unknown. => somebody was asleep for it, and wakes */
  notify(ctx: KContext, _key: number): boolean {
    this.isFired = true;
    return ctx.wakeup(this);
  }

  /** A file that it watches is closed. */
  fileClosed(): void { /* who polls holds the file */ }

  /** Leaves every queue. */
  done(): void {
    for (const q of this.queues) q.waiters.delete(this);
    this.queues.length = 0;
  }
}

/** Pollers of one file, embedded in pipe, socket, tty. BSD: selinfo. */
export class PollQueue {
  readonly waiters = new Set<PollWaiter>();

  /** BSD: selrecord. */
  record(w: PollWaiter): void {
    if (this.waiters.has(w)) return;
    this.waiters.add(w);
    w.queues.push(this);
  }

  /** State changed: pollers look again. BSD: selnotify. */
  notify(ctx: KContext, key = 0): void {
    let isServed = false;
    for (const w of this.waiters) if (!(w.isExclusive && isServed)) isServed = (w.notify(ctx, key) && w.isExclusive) || isServed;
  }
}

/** What one kind of file does. Errors are -errno. Functions that are left out answer as the comment says. */
export interface FileOps {
  /** "vnode", "pipe", "socket", "tty", …: for /proc/N/fd and traces. */
  readonly kind: string;
  /** It has a position: lseek, pread and pwrite work. */
  readonly isSeekable?: boolean;
  /**
   * Transfers up to uio.resid bytes. `offset` -1: at f.offset, which moves; else there, and f.offset stays.
   *
   * => bytes done; -EAGAIN when it would block and f is O_NONBLOCK; -EINTR (the caller decides about restarts)
   */
  read(f: OpenFile, uio: Uio, t: Thread, offset: number): KGen<number>;
  write(f: OpenFile, uio: Uio, t: Thread, offset: number): KGen<number>;
  /**
   * The same for one user buffer when it can be done now without sleeping and without faulting.
   *
   * => -ERESTART: nothing was changed, use the generator (also where the answer would be -EFAULT)
   */
  readFast?(f: OpenFile, t: Thread, va: number, len: number): number;
  writeFast?(f: OpenFile, t: Thread, va: number, len: number): number;
  /** Absent: -ENOTTY. `arg` is the third argument as a signed number, often a user address. */
  ioctl?(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number>;
  /** POLL* bits of `events` (and ERR, HUP) that hold now; with `w`, stands in the queues that will tell of a change. Absent: ready to read and write. */
  poll?(f: OpenFile, events: number, w: PollWaiter | null): number;
  /** The last reference went. */
  close(f: OpenFile): KGen<void>;
  /** A reference went, and those that are left are all in flight (inflight.ts). */
  orphaned?(f: OpenFile): KGen<void>;
  /** Of a file without a name: what fchmod and the like change. Absent: they fail. */
  inode?(f: OpenFile): Attributed | null;
  /** For fstat. */
  stat(f: OpenFile): KGen<Attr | number>;
  /** Absent: -ESPIPE. The new position. */
  seek?(f: OpenFile, offset: number, whence: number): KGen<number>;
  /** Absent: -ENODEV. An object to map, referenced for the caller, at byte `offset` of it. */
  mmap?(f: OpenFile, offset: number, size: number, prot: number, isShared: boolean): KGen<{ uobj: UvmObject; offset: number } | number>;
  /** Directories. Absent: -ENOTDIR. Fills `into` with dirent64 records. */
  getdents?(f: OpenFile, into: Uint8Array): KGen<number>;
  /** Absent: -EINVAL. */
  fsync?(f: OpenFile): KGen<number>;
  truncate?(f: OpenFile, size: number): KGen<number>;
  /** fcntl F_SETPIPE_SZ, F_GETPIPE_SZ and others of one kind's own. Absent: -EINVAL. */
  fcntl?(f: OpenFile, cmd: number, arg: number, t: Thread): number;
  /** What /proc/N/fd/n reads as: "pipe:[5]". */
  describe?(f: OpenFile): string;
}

/** A message with what travels beside the data. */
export interface SockMsg {
  /** sendmsg: the destination, null none. recvmsg: filled with the sender's address, null none. */
  name: Uint8Array | null;
  /** SCM_RIGHTS. sendmsg: references owned by the message. recvmsg: filled; references pass to the caller. */
  files: OpenFile[];
  /** MSG_* in; recvmsg: MSG_TRUNC, MSG_CTRUNC, … out. */
  flags: number;
  /** SCM_CREDENTIALS. sendmsg: what the sender says it is, checked. recvmsg: filled when SO_PASSCRED. */
  creds?: { pid: number; uid: number; gid: number } | null;
}

/** Files that are sockets. Addresses are raw sockaddr bytes. */
export interface SocketOps extends FileOps {
  readonly kind: "socket";
  bind(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number>;
  connect(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number>;
  listen(f: OpenFile, backlog: number, t: Thread): number;
  /** A new open file with one reference. */
  accept(f: OpenFile, t: Thread): KGen<OpenFile | number>;
  shutdown(f: OpenFile, how: number): number;
  getsockname(f: OpenFile): Uint8Array | number;
  getpeername(f: OpenFile): Uint8Array | number;
  sendmsg(f: OpenFile, uio: Uio, msg: SockMsg, t: Thread): KGen<number>;
  recvmsg(f: OpenFile, uio: Uio, msg: SockMsg, t: Thread): KGen<number>;
  setsockopt(f: OpenFile, level: number, name: number, value: Uint8Array, t: Thread): number;
  getsockopt(f: OpenFile, level: number, name: number): Uint8Array | number;
}

/** An open file. */
export class OpenFile {
  readonly ops: FileOps;
  /** O_ACCMODE, O_APPEND, O_NONBLOCK, O_DIRECTORY, O_PATH: as F_GETFL shows. */
  flags: number;
  /** Position in bytes. */
  offset = 0;
  /** Descriptors, calls in progress, and messages that carry it. */
  refs = 1;
  /** Of a socket: how many of them are messages that wait in a queue. */
  inFlight = 0;
  /** Items of epolls that watch it; they do not count as references. */
  watchers: Set<PollWaiter> | null = null;
  /** Advisory locks (LockList) of a file without vnode, or null. */
  locks: unknown = null;
  /** The file system object, when there is one: files, directories, device nodes, named pipes. */
  readonly vnode: Vnode | null;
  /** Absolute path it was opened by, for /proc/N/fd; "" unknown. */
  path = "";
  /** The ops' own. */
  data: unknown;

  constructor(ops: FileOps, flags: number, data: unknown = null, vnode: Vnode | null = null) {
    this.ops = ops;
    this.flags = flags;
    this.data = data;
    this.vnode = vnode;
  }

  get isReadable(): boolean {
    return (this.flags & O_ACCMODE) !== O_WRONLY && (this.flags & O_PATH) === 0;
  }

  get isWritable(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY && (this.flags & O_PATH) === 0;
  }

  get isNonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  hold(): OpenFile {
    this.refs++;
    return this;
  }
}

/** One reference fewer; the last closes. => may sleep */
export function* fileRelease(f: OpenFile): KGen<void> {
  if (--f.refs === 0) {
    for (const w of f.watchers ?? []) w.fileClosed();
    if ((f.vnode ?? f).locks !== null) dropFileLocks(f);
    yield* f.ops.close(f);
  } else if (f.refs === f.inFlight && f.ops.orphaned) yield* f.ops.orphaned(f);
}

/** ioctl of any file. */
export function* fileIoctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
  return f.ops.ioctl ? yield* f.ops.ioctl(f, cmd, arg, t) : -ENOTTY;
}

/** lseek of any file. */
export function* fileSeek(f: OpenFile, offset: number, whence: number): KGen<number> {
  if (!f.ops.seek) return -ESPIPE;
  return whence < 0 || whence > 4 ? -EINVAL : yield* f.ops.seek(f, offset, whence);
}

/** poll of any file. */
export function filePoll(f: OpenFile, events: number, w: PollWaiter | null): number {
  return f.ops.poll ? f.ops.poll(f, events, w) : events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}
