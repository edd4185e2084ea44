// AF_UNIX sockets: streams, datagrams and sequenced packets between processes of this machine.
//
//   Socket ── peer ⇄ peer ── Socket          receive queue: SockBuf ─► Mbuf ─► Mbuf …   (bytes, sender's address, files)
//      └── name: a VSOCK vnode's `special`, or an abstract name in the registry
//
// A sender puts mbufs into the receiver's queue; there is one queue a socket. A stream's mbufs run into each other, of a datagram
// or packet one mbuf is one message. An mbuf holds its bytes now; a loaned page will be another kind of mbuf. Nothing is held over
// a sleep: what was sent is in the queue, what is left is in the uio.
import {
  EACCES, EADDRINUSE, EAFNOSUPPORT, EAGAIN, ECONNREFUSED, ECONNRESET, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE,
  EPROTONOSUPPORT, EPROTOTYPE, ESOCKTNOSUPPORT,
} from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { latin1, toBytes, type Uio, uiomove } from "../uvm/uio.ts";
import { namei } from "../vfs/namei.ts";
import { type Attr, VDIR, VSOCK, type Vnode } from "../vfs/vnode.ts";
import {
  fileRelease, O_RDWR, OpenFile, POLLERR, POLLHUP, POLLIN, POLLOUT, PollQueue, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM, type PollWaiter, type SocketOps, type SockMsg,
} from "./file.ts";
import { argOut } from "./ioctlarg.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

export const AF_UNSPEC = 0, AF_UNIX = 1, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1, SO_TYPE = 3, SO_ERROR = 4, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_PASSCRED = 16, SO_PEERCRED = 17, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21;
const SO_ACCEPTCONN = 30, SO_PROTOCOL = 38, SO_DOMAIN = 39, SO_REUSEADDR = 2, SO_KEEPALIVE = 9, SO_LINGER = 13;
const MSG_PEEK = 2, MSG_TRUNC = 0x20, MSG_DONTWAIT = 0x40, MSG_WAITALL = 0x100, SHUT_RD = 0, SHUT_WR = 1, SHUT_RDWR = 2;
const BUFFER_BYTES = 212992, CHUNK = 65536, PATH_BYTES = 108, FIONREAD = 0x541b, ENOTTY = 25, SOMAXCONN = 4096;

/** A piece of a receive queue. */
interface Mbuf { bytes: Uint8Array; at: number; from: Uint8Array; files: OpenFile[]; creds: { pid: number; uid: number; gid: number } }

/** The address of a sender that has none. */
const NO_NAME = new Uint8Array(0);

interface Creds { pid: number; uid: number; gid: number }

export class Socket {
  readonly type: number;
  readonly ino: number;
  /** sockaddr of this end: family, and the name once it has one. */
  name: Uint8Array = Uint8Array.of(AF_UNIX, 0);
  /** The vnode that bind made, referenced. */
  vnode: Vnode | null = null;
  peer: Socket | null = null;
  /** A stream once had a peer. */
  wasConnected = false;
  /** Connections that nobody accepted yet; null: not listening. */
  pending: Socket[] | null = null;
  backlog = 0;
  readonly queue: Mbuf[] = [];
  queued = 0;
  limit = BUFFER_BYTES;
  isReadShut = false;
  isWriteShut = false;
  /** Closed; who has it as a peer for datagrams finds out when it sends. */
  isClosed = false;
  error = 0;
  passCreds = false;
  creds: Creds = { pid: 0, uid: 0, gid: 0 };
  peerCreds: Creds = { pid: 0, uid: -1, gid: -1 };
  readonly readable = new PollQueue();
  readonly writable = new PollQueue();

  constructor(type: number, ino: number) {
    this.type = type;
    this.ino = ino;
  }

  get isStream(): boolean {
    return this.type === SOCK_STREAM;
  }

  get isDatagram(): boolean {
    return this.type === SOCK_DGRAM;
  }

  /** Nothing more will come: this half was shut here or there, or the connection is gone. */
  get isInputOver(): boolean {
    return this.isReadShut || (!this.isDatagram && this.wasConnected && (!this.peer || this.peer.isWriteShut));
  }

  /** Nothing can be sent any more. */
  get isOutputOver(): boolean {
    return this.isWriteShut || (!this.isDatagram && this.wasConnected && (!this.peer || this.peer.isReadShut));
  }
}

const socketOf = (f: OpenFile): Socket => f.data as Socket;
const credsOf = (t: Thread): Creds => ({ pid: t.proc.pid, uid: t.proc.cred.euid, gid: t.proc.cred.egid });
const boundName = (s: Socket): string => latin1(s.name.subarray(2));

function mayOn(t: Thread, v: Vnode, want: number): boolean {
  const a = v.getattr();
  return t.proc.cred.mayAccess(want, a.uid, a.gid, a.mode, v.type === VDIR);
}

/** A socket with a peer takes datagrams from that one only. */
const mayReach = (s: Socket, to: Socket): boolean => to.peer === null || to.peer === s;

export class UnixSockets implements SocketOps {
  readonly kind = "socket";
  private readonly k: Kern;
  /** Names without a file: they begin with a NUL. */
  private readonly abstract = new Map<string, Socket>();
  private nextIno = 1;
  private nextAuto = 0;

  constructor(k: Kern) {
    this.k = k;
  }

  // ---- making ----

  private check(domain: number, type: number, protocol: number): number {
    if (domain !== AF_UNIX) return -EAFNOSUPPORT;
    if (type !== SOCK_STREAM && type !== SOCK_DGRAM && type !== SOCK_SEQPACKET) return -ESOCKTNOSUPPORT;
    return protocol === 0 || protocol === AF_UNIX ? 0 : -EPROTONOSUPPORT;
  }

  private make(t: Thread, type: number): Socket {
    const s = new Socket(type, this.nextIno++);
    s.creds = credsOf(t);
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
    return [new OpenFile(this, O_RDWR, a), new OpenFile(this, O_RDWR, b)];
  }

  private join(a: Socket, b: Socket): void {
    a.peer = b;
    b.peer = a;
    a.wasConnected = b.wasConnected = true;
    a.peerCreds = b.creds;
    b.peerCreds = a.creds;
  }

  private changed(s: Socket): void {
    const { ctx } = this.k;
    ctx.wakeup(s);
    s.readable.notify(ctx);
    s.writable.notify(ctx);
  }

  // ---- names ----

  /** The path or abstract name in a sockaddr. => "" for none; -EINVAL */
  private nameIn(addr: Uint8Array): string | number {
    if (addr.length < 2 || addr.length > PATH_BYTES + 2) return -EINVAL;
    if ((addr[0]! | (addr[1]! << 8)) !== AF_UNIX) return -EINVAL;
    const name = latin1(addr.subarray(2));
    return name === "" || name[0] === "\0" ? name : name.replace(/\0.*$/s, "");
  }

  *bind(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number> {
    const s = socketOf(f), name = this.nameIn(addr);
    if (typeof name === "number") return name;
    if (boundName(s) !== "") return -EINVAL;
    if (name === "" || name[0] === "\0") {
      const full = name === "" ? this.freeName() : name;
      if (this.abstract.has(full)) return -EADDRINUSE;
      this.abstract.set(full, s);
      s.name = Uint8Array.of(AF_UNIX, 0, ...toBytes(full));
      return 0;
    }
    const found = yield* namei(this.k.vfs, t.proc.cwd!, name, { follow: false, root: t.proc.root!, cred: t.proc.cred, create: true });
    if (typeof found === "number") return found;
    const { euid: uid, egid: gid } = t.proc.cred;
    const refusal = found.vnode ? -EADDRINUSE : mayOn(t, found.dir, 3) ? 0 : -EACCES;
    const v = refusal < 0 ? refusal : yield* found.dir.create(found.leaf, { type: VSOCK, mode: 0o777 & ~t.proc.umask, uid, gid });
    yield* found.done();
    if (typeof v === "number") return v;
    v.special = s;
    s.vnode = v;
    s.name = Uint8Array.of(AF_UNIX, 0, ...toBytes(name), 0);
    return 0;
  }

  /** An abstract name that nobody has. */
  private freeName(): string {
    for (;;) {
      const name = `\0${(this.nextAuto++).toString(16).padStart(5, "0")}`;
      if (!this.abstract.has(name)) return name;
    }
  }

  /** The socket that an address names. => -ECONNREFUSED when nobody has it bound */
  private *lookup(addr: Uint8Array, t: Thread): KGen<Socket | number> {
    const name = this.nameIn(addr);
    if (typeof name === "number") return name;
    if (name === "") return -EINVAL;
    if (name[0] === "\0") return this.abstract.get(name) ?? -ECONNREFUSED;
    const found = yield* namei(this.k.vfs, t.proc.cwd!, name, { follow: true, root: t.proc.root!, cred: t.proc.cred });
    if (typeof found === "number") return found;
    const v = found.vnode!, s = v.type === VSOCK ? (v.special as Socket | null) : null, isAllowed = mayOn(t, v, 2);
    yield* found.done();
    return isAllowed ? s ?? -ECONNREFUSED : -EACCES;
  }

  getsockname(f: OpenFile): Uint8Array {
    return socketOf(f).name;
  }

  getpeername(f: OpenFile): Uint8Array | number {
    return socketOf(f).peer?.name ?? -ENOTCONN;
  }

  // ---- connecting ----

  listen(f: OpenFile, backlog: number): number {
    const s = socketOf(f);
    if (s.type === SOCK_DGRAM) return -EOPNOTSUPP;
    if (boundName(s) === "" || s.peer) return -EINVAL;
    s.pending ??= [];
    s.backlog = Math.min(backlog < 0 ? SOMAXCONN : backlog, SOMAXCONN);
    return 0;
  }

  *connect(f: OpenFile, addr: Uint8Array, t: Thread): KGen<number> {
    const s = socketOf(f);
    if (s.type === SOCK_DGRAM && addr.length >= 2 && addr[0] === AF_UNSPEC) {
      s.peer = null;
      return 0;
    }
    if (s.type !== SOCK_DGRAM && s.pending) return -EINVAL;
    if (!s.isDatagram && s.wasConnected) return -EISCONN;
    for (;;) {
      const to = yield* this.lookup(addr, t);
      if (typeof to === "number") return to;
      if (to.type !== s.type) return -EPROTOTYPE;
      if (s.isDatagram) {
        if (!mayReach(s, to)) return -EPERM;
        s.peer = to;
        return 0;
      }
      if (!to.pending || to.isReadShut) return -ECONNREFUSED;
      if (to.pending.length <= to.backlog) return this.enqueue(s, to, t);
      if (f.isNonblocking) return -EAGAIN;
      if ((yield* this.k.ctx.sleep(to, "connect", { interruptible: true })) < 0) return -EINTR;
    }
  }

  /** A connection is made at once; accept only takes it. */
  private enqueue(s: Socket, to: Socket, t: Thread): number {
    const end = this.make(t, s.type);
    end.name = to.name;
    end.creds = to.creds;
    s.creds = credsOf(t);
    this.join(s, end);
    to.pending!.push(end);
    this.changed(to);
    return 0;
  }

  *accept(f: OpenFile): KGen<OpenFile | number> {
    const s = socketOf(f);
    if (s.type === SOCK_DGRAM) return -EOPNOTSUPP;
    for (;;) {
      if (!s.pending) return -EINVAL;
      const end = s.pending.shift();
      if (end) {
        this.changed(s);
        return new OpenFile(this, O_RDWR, end);
      }
      if (s.isReadShut) return -EINVAL;
      if (f.isNonblocking) return -EAGAIN;
      if ((yield* this.k.ctx.sleep(s, "accept", { interruptible: true })) < 0) return -EINTR;
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

  // ---- moving data ----

  /** Who gets what is sent, or why nobody does. */
  private *receiver(s: Socket, msg: SockMsg, t: Thread): KGen<Socket | number> {
    if (!s.isDatagram) {
      if (msg.name && s.isStream) return s.wasConnected ? -EISCONN : -EOPNOTSUPP;
      return s.peer ?? (s.wasConnected ? -EPIPE : -ENOTCONN);
    }
    if (msg.name) {
      const to = yield* this.lookup(msg.name, t);
      if (typeof to === "number") return to;
      return to.type !== SOCK_DGRAM ? -EPROTOTYPE : mayReach(s, to) ? to : -EPERM;
    }
    if (!s.peer) return -ENOTCONN;
    if (!s.peer.isClosed) return s.peer;
    s.peer = null;
    return -ECONNREFUSED;
  }

  *sendmsg(f: OpenFile, uio: Uio, msg: SockMsg, t: Thread): KGen<number> {
    const s = socketOf(f), wait = !f.isNonblocking && (msg.flags & MSG_DONTWAIT) === 0, total = uio.resid;
    if (!s.isStream && total > s.limit) return -EMSGSIZE;
    let done = 0, { files } = msg;
    do {
      const to = s.isWriteShut ? -EPIPE : yield* this.receiver(s, msg, t);
      if (typeof to === "number") return done > 0 ? done : to;
      if (to.isReadShut) return done > 0 ? done : -EPIPE;
      if (s.isStream && total === 0) return yield* this.dropFiles(msg);
      const room = to.limit - to.queued;
      if (s.isStream ? room <= 0 : room < total && to.queue.length > 0) {
        if (!wait) return done > 0 ? done : -EAGAIN;
        if ((yield* this.k.ctx.sleep(to, "sosend", { interruptible: true })) < 0) return done > 0 ? done : -EINTR;
        continue;
      }
      const bytes = new Uint8Array(s.isStream ? Math.min(uio.resid, room, CHUNK) : total), before = uio.resid, error = yield* uiomove(bytes, 0, bytes.length, uio);
      const got = before - uio.resid;
      if (error < 0 && (got === 0 || !s.isStream)) return done > 0 ? done : error;
      to.queue.push({ bytes: bytes.subarray(0, got), at: 0, from: boundName(s) === "" ? NO_NAME : s.name, files, creds: credsOf(t) });
      // References pass with the first piece.
      if (files.length > 0) msg.files = files = [];
      to.queued += got;
      done += got;
      this.changed(to);
    } while (done < total);
    return done;
  }

  /** No byte is sent, so nothing can travel with one. */
  private *dropFiles(msg: SockMsg): KGen<number> {
    for (const g of msg.files.splice(0)) yield* fileRelease(g);
    return 0;
  }

  *recvmsg(f: OpenFile, uio: Uio, msg: SockMsg): KGen<number> {
    const s = socketOf(f), wait = !f.isNonblocking && (msg.flags & MSG_DONTWAIT) === 0, all = s.isStream && (msg.flags & MSG_WAITALL) !== 0, wanted = msg.flags;
    if (!s.isDatagram && !s.wasConnected) return s.isStream ? -EINVAL : -ENOTCONN;
    let done = 0, seen = 0;
    const isPeek = (wanted & MSG_PEEK) !== 0;
    msg.flags = 0;
    for (;;) {
      const m = s.queue[isPeek ? seen++ : 0];
      if (m) {
        const n = yield* this.take(s, m, uio, msg, wanted);
        if (n < 0) return done > 0 ? done : n;
        done += n;
        // Files end what one read gets, with the bytes they came with.
        if (!s.isStream || uio.resid === 0 || msg.files.length > 0) return done;
        if (s.queue.length > (isPeek ? seen : 0)) continue;
        if (!all || isPeek) return done;
      }
      if (s.error && done === 0) {
        const { error } = s;
        s.error = 0;
        return -error;
      }
      if (s.isInputOver) return done;
      if (!wait) return done > 0 ? done : -EAGAIN;
      if ((yield* this.k.ctx.sleep(s, "soreceive", { interruptible: true })) < 0) return done > 0 ? done : -EINTR;
      seen = 0;
    }
  }

  /** Takes from an mbuf, the first unless it only looks. => bytes; of a message the whole length with MSG_TRUNC */
  private *take(s: Socket, m: Mbuf, uio: Uio, msg: SockMsg, flags: number): KGen<number> {
    const left = m.bytes.length - m.at, before = uio.resid, error = yield* uiomove(m.bytes, m.at, Math.min(left, uio.resid), uio), got = before - uio.resid;
    if (error < 0 && got === 0) return error;
    const result = !s.isStream && (flags & MSG_TRUNC) !== 0 ? left : got;
    msg.name = s.isStream ? msg.name : m.from;
    if (!s.isStream && got < left) msg.flags |= MSG_TRUNC;
    if (s.passCreds) msg.creds = m.creds;
    if ((flags & MSG_PEEK) !== 0) {
      msg.files.push(...m.files.map((g) => g.hold()));
      return result;
    }
    msg.files.push(...m.files);
    m.files = [];
    const gone = s.isStream ? got : left;
    m.at += gone;
    s.queued -= gone;
    if (m.at >= m.bytes.length && s.queue[0] === m) s.queue.shift();
    this.changed(s);
    if (s.peer) this.changed(s.peer);
    return result;
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

  // ---- the rest ----

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const s = socketOf(f), to = s.peer;
    if (w) {
      s.readable.record(w);
      to?.writable.record(w);
    }
    const isAlone = !s.isDatagram && !s.pending && !s.wasConnected;
    let ready = 0;
    if (s.queue.length > 0 || (s.pending?.length ?? 0) > 0 || s.isInputOver) ready |= POLLIN | POLLRDNORM;
    if (s.isInputOver) ready |= POLLRDHUP;
    if (!s.pending && (!to || to.queued < to.limit)) ready |= POLLOUT | POLLWRNORM | POLLWRBAND;
    if (s.error) ready |= POLLERR;
    if (isAlone || (s.isInputOver && s.isOutputOver)) ready |= POLLHUP;
    return ready & (events | POLLERR | POLLHUP);
  }

  *close(f: OpenFile): KGen<void> {
    const s = socketOf(f), { peer } = s, orphans = s.pending ?? [];
    s.pending = null;
    s.isClosed = true;
    // Accepted ends bear the listener's name; only who bound it gives it up.
    if (this.abstract.get(boundName(s)) === s) this.abstract.delete(boundName(s));
    const unread = s.queue.splice(0);
    s.queued = 0;
    if (peer?.peer === s && !s.isDatagram) this.cut(peer, unread.length > 0);
    if (peer) this.changed(peer);
    s.peer = null;
    for (const end of orphans) {
      if (end.peer) this.cut(end.peer, true);
      unread.push(...end.queue.splice(0));
    }
    for (const m of unread) for (const g of m.files) yield* fileRelease(g);
    this.changed(s);
    if (!s.vnode) return;
    s.vnode.special = null;
    yield* s.vnode.vrele();
  }

  /** A connection loses its other end; when that had not read everything, it is told. */
  private cut(s: Socket, isReset: boolean): void {
    s.peer = null;
    if (isReset) s.error = ECONNRESET;
    this.changed(s);
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    const s = socketOf(f);
    return {
      type: VSOCK, mode: 0o777, nlink: 1, uid: s.creds.uid, gid: s.creds.gid, ino: s.ino, dev: 0, rdev: 0, size: 0, blockSize: 4096, blocks: 0,
      atimeNs: 0, mtimeNs: 0, ctimeNs: 0,
    };
  }

  *ioctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    return cmd === FIONREAD ? yield* argOut(this.k, t, arg, socketOf(f).queued) : -ENOTTY;
  }

  setsockopt(f: OpenFile, level: number, name: number, value: Uint8Array): number {
    const s = socketOf(f), n = value.length >= 4 ? new DataView(value.buffer, value.byteOffset).getInt32(0, true) : 0;
    if (level !== SOL_SOCKET) return -EOPNOTSUPP;
    switch (name) {
      case SO_SNDBUF: case SO_RCVBUF:
        if (value.length < 4) return -EINVAL;
        // Linux doubles what it is told, for its own bookkeeping; the senders of both ends share one limit here.
        s.limit = Math.max(4608, Math.min(2 * n, 2 * BUFFER_BYTES));
        return 0;
      case SO_PASSCRED: s.passCreds = n !== 0; return 0;
      case SO_REUSEADDR: case SO_KEEPALIVE: case SO_LINGER: case SO_RCVTIMEO: case SO_SNDTIMEO: return 0;
      default: return -ENOPROTOOPT;
    }
  }

  getsockopt(f: OpenFile, level: number, name: number): Uint8Array | number {
    const s = socketOf(f), ints = (...v: number[]): Uint8Array => new Uint8Array(Int32Array.from(v).buffer);
    if (level !== SOL_SOCKET) return -EOPNOTSUPP;
    switch (name) {
      case SO_TYPE: return ints(s.type);
      case SO_DOMAIN: return ints(AF_UNIX);
      case SO_PROTOCOL: return ints(0);
      case SO_ERROR: {
        const { error } = s;
        s.error = 0;
        return ints(error);
      }
      case SO_SNDBUF: case SO_RCVBUF: return ints(s.limit);
      case SO_ACCEPTCONN: return ints(s.pending ? 1 : 0);
      case SO_PASSCRED: return ints(s.passCreds ? 1 : 0);
      case SO_PEERCRED: return ints(s.peerCreds.pid, s.peerCreds.uid, s.peerCreds.gid);
      case SO_REUSEADDR: case SO_KEEPALIVE: return ints(0);
      case SO_LINGER: return ints(0, 0);
      default: return -ENOPROTOOPT;
    }
  }

  describe(f: OpenFile): string {
    return `socket:[${socketOf(f).ino}]`;
  }
}
