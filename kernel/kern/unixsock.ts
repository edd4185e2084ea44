// AF_UNIX sockets: making, naming, connecting, closing. Data is in unixdata.ts, names are in unixname.ts, options in sockopt.ts,
// the collector of sockets that only lie in each other's queues in inflight.ts.
//
//   socket ─► bind ─► listen ─► accept ──┐
//   socket ───────────────────► connect ─┴─► Socket ── peer ⇄ peer ── Socket
//
// A connection is made by connect alone: the end that accept will return exists from then on, in the listener's `pending`.
import {
  EAFNOSUPPORT, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EPROTOTYPE, ESOCKTNOSUPPORT,
} from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import type { Uio } from "../uvm/uio.ts";
import { FileTimes, NO_TIMES } from "../vfs/filetimes.ts";
import { type Attr, VSOCK } from "../vfs/vnode.ts";
import {
  fileRelease, O_RDWR, OpenFile, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM, type PollWaiter, type SocketOps, type SockMsg,
} from "./file.ts";
import { InFlight } from "./inflight.ts";
import { argOut } from "./ioctlarg.ts";
import { AnonInode } from "./anoninode.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { AF_UNIX, AF_UNSPEC, credsOf, SHUT_RD, SHUT_RDWR, SHUT_WR, Socket, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, socketOf, SOMAXCONN } from "./socket.ts";
import { getSocketOption, setSocketOption, SOL_SOCKET } from "./sockopt.ts";
import { mayReach, UnixData } from "./unixdata.ts";
import { UnixNames } from "./unixname.ts";

const FIONREAD = 0x541b, TIOCOUTQ = 0x5411, ENOTTY = 25;

export class UnixSockets implements SocketOps {
  readonly kind = "socket";
  readonly inFlight: InFlight;
  private readonly k: Kern;
  private readonly names: UnixNames;
  private readonly data: UnixData;
  private nextIno = 1;

  constructor(k: Kern) {
    this.k = k;
    this.names = new UnixNames(k);
    this.inFlight = new InFlight((s) => this.changed(s));
    this.data = new UnixData(k, this.names, this.inFlight);
  }

  // ---- making ----

  private check(domain: number, type: number, protocol: number): number {
    if (domain !== AF_UNIX) return -EAFNOSUPPORT;
    if (type !== SOCK_STREAM && type !== SOCK_DGRAM && type !== SOCK_SEQPACKET) return -ESOCKTNOSUPPORT;
    return protocol === 0 || protocol === AF_UNIX ? 0 : -EPROTONOSUPPORT;
  }

  private make(t: Thread, type: number): Socket {
    const s = new Socket(type, this.nextIno++);
    s.owner = credsOf(t);
    return s;
  }

  socket(t: Thread, domain: number, type: number, protocol: number): OpenFile | number {
    return this.check(domain, type, protocol) || new OpenFile(this, O_RDWR, this.make(t, type));
  }

  socketpair(t: Thread, domain: number, type: number, protocol: number): readonly [OpenFile, OpenFile] | number {
    const error = this.check(domain, type, protocol);
    if (error < 0) return error;
    const a = this.make(t, type), b = this.make(t, type);
    this.join(a, b);
    a.peerCreds = b.peerCreds = credsOf(t);
    return [new OpenFile(this, O_RDWR, a), new OpenFile(this, O_RDWR, b)];
  }

  private join(a: Socket, b: Socket): void {
    a.peer = b;
    b.peer = a;
    a.wasConnected = b.wasConnected = true;
  }

  private changed(s: Socket): void {
    this.data.changed(s);
  }

  // ---- names ----

  bind(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number> {
    return this.names.bind(socketOf(f), addr, t);
  }

  getsockname(f: OpenFile): Uint8Array {
    return socketOf(f).name;
  }

  /** The peer's name, also after it closed. */
  getpeername(f: OpenFile): Uint8Array | number {
    return socketOf(f).peer?.name ?? -ENOTCONN;
  }

  // ---- connecting ----

  listen(f: OpenFile, backlog: number, t: Thread): number {
    const s = socketOf(f);
    if (s.type === SOCK_DGRAM) return -EOPNOTSUPP;
    if (!s.isBound || s.wasConnected) return -EINVAL;
    s.pending ??= [];
    s.backlog = Math.min(backlog < 0 ? SOMAXCONN : backlog, SOMAXCONN);
    s.peerCreds = credsOf(t);
    this.changed(s);
    return 0;
  }

  *connect(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number> {
    const s = socketOf(f);
    if (s.isDatagram && addr.length >= 2 && addr[0] === AF_UNSPEC) {
      s.peer = null;
      return 0;
    }
    if (!s.isDatagram && s.pending) return -EINVAL;
    if (!s.isDatagram && s.wasConnected) return -EISCONN;
    const deadline = this.data.deadline(f, s.sndTimeoutNs);
    for (;;) {
      const to = yield* this.names.lookup(addr, t);
      if (typeof to === "number") return to;
      if (to.type !== s.type) return -EPROTOTYPE;
      if (s.passCreds) this.names.autobind(s);
      if (s.isDatagram) {
        if (!mayReach(s, to)) return -EPERM;
        s.peer = to;
        return 0;
      }
      if (!to.pending || to.isReadShut) return -ECONNREFUSED;
      if (to.pending.length <= to.backlog) return this.enqueue(s, to, t);
      const r = yield* this.data.wait(to, "connect", deadline);
      if (r < 0) return r;
    }
  }

  /** A connection is made at once; accept only takes it. */
  private enqueue(s: Socket, to: Socket, t: Thread): number {
    const end = this.make(t, s.type);
    end.name = to.name;
    end.passCreds = to.passCreds;
    end.owner = to.owner;
    end.peerCreds = credsOf(t);
    s.peerCreds = to.peerCreds;
    this.join(s, end);
    to.pending!.push(end);
    this.changed(to);
    this.changed(s);
    return 0;
  }

  *accept(f: OpenFile): KGen<OpenFile | number> {
    const s = socketOf(f), deadline = this.data.deadline(f, s.rcvTimeoutNs);
    if (s.type === SOCK_DGRAM) return -EOPNOTSUPP;
    for (;;) {
      if (!s.pending) return -EINVAL;
      const end = s.pending.shift();
      if (end) {
        this.changed(s);
        return new OpenFile(this, O_RDWR, end);
      }
      if (s.isReadShut) return -EINVAL;
      const r = yield* this.data.wait(s, "accept", deadline);
      if (r < 0) return r;
    }
  }

  shutdown(f: OpenFile, how: number): number {
    const s = socketOf(f);
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (how !== SHUT_WR) s.isReadShut = true;
    if (how !== SHUT_RD) s.isWriteShut = true;
    this.changed(s);
    if (s.peer) this.changed(s.peer);
    return 0;
  }

  // ---- data ----

  sendmsg(f: OpenFile, uio: Uio, msg: SockMsg, t: Thread): KGen<number> {
    return this.data.sendmsg(f, uio, msg, t);
  }

  recvmsg(f: OpenFile, uio: Uio, msg: SockMsg): KGen<number> {
    return this.data.recvmsg(f, uio, msg);
  }

  *read(f: OpenFile, uio: Uio): KGen<number> {
    if (uio.resid === 0) return 0;
    const msg: SockMsg = { name: null, files: [], flags: 0 }, n = yield* this.recvmsg(f, uio, msg);
    for (const g of msg.files) yield* fileRelease(g);
    return n;
  }

  *write(f: OpenFile, uio: Uio, t: Thread): KGen<number> {
    return yield* this.sendmsg(f, uio, { name: null, files: [], flags: 0 }, t);
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const s = socketOf(f), to = s.peer;
    if (w) {
      s.readable.record(w);
      s.writable.record(w);
      if (to && s.isDatagram) to.writable.record(w);
    }
    const isAlone = !s.isDatagram && !s.pending && !s.wasConnected;
    let ready = 0;
    if (!s.rcv.isEmpty || (s.pending?.length ?? 0) > 0 || s.isInputOver) ready |= POLLIN | POLLRDNORM;
    if (s.isInputOver) ready |= POLLRDHUP;
    if (!s.pending && s.hasSendRoom && !to?.isFullFor(s)) ready |= POLLOUT | POLLWRNORM | POLLWRBAND;
    if (s.error) ready |= POLLERR;
    if (isAlone || (s.isInputOver && s.isOutputOver)) ready |= POLLHUP;
    return ready & (events | POLLERR | POLLHUP);
  }

  // ---- the end ----

  *close(f: OpenFile): KGen<void> {
    const s = socketOf(f), { peer } = s, orphans = s.pending ?? [], unread = s.rcv.flush();
    s.pending = null;
    s.isClosed = true;
    if (peer?.peer === s && !s.isDatagram) this.cut(peer, unread.length > 0);
    else if (peer) this.changed(peer);
    for (const end of orphans) {
      end.isClosed = true;
      unread.push(...end.rcv.flush());
      if (end.peer) this.cut(end.peer, true);
    }
    for (const m of unread) if (m.sender !== peer) this.changed(m.sender);
    this.changed(s);
    yield* this.names.release(s);
    yield* this.inFlight.drop(unread);
  }

  /** A connection loses its other end; when that had not read everything, it is told. */
  private cut(s: Socket, isReset: boolean): void {
    if (isReset) s.error = ECONNRESET;
    this.changed(s);
  }

  /** Only queues hold it now, one of which may be its own. */
  *orphaned(): KGen<void> {
    yield* this.inFlight.collect();
  }

  // ---- the rest ----

  *stat(f: OpenFile): KGen<Attr | number> {
    return this.inode(f).getattr();
  }

  inode(f: OpenFile): AnonInode {
    const s = socketOf(f);
    if (s.inode === null) {
      s.inode = new AnonInode(VSOCK, s.ino, 0o777, s.owner, new FileTimes(this.k.ctx.wall));
      // As on Linux a socket has no times until somebody sets some.
      for (const which of ["atime", "mtime", "ctime"] as const) s.inode.times[which].set(NO_TIMES[which]);
    }
    return s.inode;
  }

  *ioctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    const s = socketOf(f);
    if (cmd === TIOCOUTQ) return yield* argOut(this.k, t, arg, s.charged);
    if (cmd !== FIONREAD) return -ENOTTY;
    return s.pending ? -EINVAL : yield* argOut(this.k, t, arg, s.isDatagram ? s.rcv.firstBytes : s.rcv.lenBytes);
  }

  setsockopt(f: OpenFile, level: number, name: number, value: Uint8Array, t: Thread): number {
    return level === SOL_SOCKET ? setSocketOption(socketOf(f), name, value, t.proc.cred.isRoot) : -EOPNOTSUPP;
  }

  getsockopt(f: OpenFile, level: number, name: number): Uint8Array | number {
    return level === SOL_SOCKET ? getSocketOption(socketOf(f), name) : -EOPNOTSUPP;
  }

  describe(f: OpenFile): string {
    return `socket:[${socketOf(f).ino}]`;
  }
}
