// What AF_UNIX sockets send and receive: streams, datagrams, sequenced packets; with descriptors and credentials.
//
// A sender puts mbufs into the receiver's queue; there is one queue a socket. A stream's mbufs run into each other, of a datagram
// or packet one mbuf is one message. An mbuf holds its bytes now; a loaned page will be another kind of mbuf. Nothing is held over
// a sleep: what was sent is in the queue, what is left is in the uio.
import { EAGAIN, ECONNREFUSED, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE, EPROTOTYPE, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import { fileRelease, type OpenFile, POLLIN, POLLOUT, POLLRDNORM, POLLWRBAND, POLLWRNORM, type SockMsg } from "./file.ts";
import type { InFlight } from "./inflight.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { type Creds, type Mbuf, mbufCost, STREAM_PIECE } from "./sockbuf.ts";
import { MSG_DONTWAIT, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, NO_CREDS, realCredsOf, type Socket, SOCK_DGRAM, socketOf } from "./socket.ts";
import type { UnixNames } from "./unixname.ts";

/** The address of a sender that has none. */
const NO_NAME = new Uint8Array(0);
/** What Linux keeps of SO_SNDBUF for itself. */
const RESERVED = 32;

/** A socket with a peer takes datagrams from that one only. */
export const mayReach = (s: Socket, to: Socket): boolean => to.peer === null || to.peer === s;

const areSame = (a: Creds | null, b: Creds | null): boolean => a === b || (a !== null && b !== null && a.pid === b.pid && a.uid === b.uid && a.gid === b.gid);

export class UnixData {
  private readonly k: Kern;
  private readonly names: UnixNames;
  private readonly inFlight: InFlight;

  constructor(k: Kern, names: UnixNames, inFlight: InFlight) {
    this.k = k;
    this.names = names;
    this.inFlight = inFlight;
  }

  /** Something about a socket changed: who sleeps on it or polls it looks again. */
  changed(s: Socket): void {
    const { ctx } = this.k;
    ctx.wakeup(s);
    s.readable.notify(ctx);
    s.writable.notify(ctx);
  }

  /** It has more to receive. */
  private arrived(s: Socket): void {
    this.k.ctx.wakeup(s);
    s.readable.notify(this.k.ctx, POLLIN | POLLRDNORM);
  }

  /** What it sent was taken, or it takes more. */
  private drained(s: Socket): void {
    this.k.ctx.wakeup(s);
    s.writable.notify(this.k.ctx, POLLOUT | POLLWRNORM | POLLWRBAND);
  }

  /** When a call that begins now gives up waiting. */
  deadline(f: OpenFile, timeoutNs: number, flags = 0): number {
    return f.isNonblocking || (flags & MSG_DONTWAIT) !== 0 ? -Infinity : this.k.now() + timeoutNs;
  }

  /** Waits for a change of a socket. => 0; -EAGAIN at the deadline; -EINTR */
  *wait(s: Socket, tag: string, deadlineNs: number): KGen<number> {
    const timeoutNs = deadlineNs - this.k.now();
    if (timeoutNs <= 0) return -EAGAIN;
    const r = yield* this.k.ctx.sleep(s, tag, { interruptible: true, timeoutNs });
    return r === -ETIMEDOUT ? -EAGAIN : r < 0 ? -EINTR : 0;
  }

  // ---- sending ----

  /** Who gets what is sent, or why nobody does. */
  private *receiver(s: Socket, msg: SockMsg, t: Thread): KGen<Socket | number> {
    if (!s.isDatagram) {
      if (msg.name && s.isStream) return s.wasConnected ? -EISCONN : -EOPNOTSUPP;
      if (!s.wasConnected) return -ENOTCONN;
      return s.peer && !s.peer.isClosed ? s.peer : -EPIPE;
    }
    if (msg.name) {
      const to = yield* this.names.lookup(msg.name, t);
      if (typeof to === "number") return to;
      return to.type !== SOCK_DGRAM ? -EPROTOTYPE : mayReach(s, to) ? to : -EPERM;
    }
    if (!s.peer) return -ENOTCONN;
    if (!s.peer.isClosed) return s.peer;
    s.peer = null;
    return -ECONNREFUSED;
  }

  *sendmsg(f: OpenFile, uio: Uio, msg: SockMsg, t: Thread): KGen<number> {
    const s = socketOf(f), deadline = this.deadline(f, s.sndTimeoutNs, msg.flags), total = uio.resid;
    if ((msg.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (!s.isStream && total > s.sndbuf - RESERVED) return -EMSGSIZE;
    if (s.passCreds && s.isDatagram) this.names.autobind(s);
    let done = 0;
    do {
      const to = s.isWriteShut ? -EPIPE : yield* this.receiver(s, msg, t);
      if (typeof to === "number") return done > 0 ? done : to;
      if (to.isReadShut) return done > 0 ? done : -EPIPE;
      if (s.isStream && total === 0) return yield* this.dropFiles(msg);
      const full = s.charged >= s.sndbuf ? s : to.isFullFor(s) ? to : null;
      if (full) {
        const r = yield* this.wait(full, "sosend", deadline);
        if (r < 0) return done > 0 ? done : r;
        continue;
      }
      const piece = Math.min(STREAM_PIECE, (s.sndbuf >> 1) - 64), bytes = new Uint8Array(s.isStream ? Math.min(uio.resid, piece) : total);
      const before = uio.resid, error = yield* uiomove(bytes, 0, bytes.length, uio), got = before - uio.resid;
      if (error < 0 && (got === 0 || !s.isStream)) return done > 0 ? done : error;
      // The copy may have slept: who closed meanwhile gets nothing.
      if (to.isClosed || to.isReadShut) {
        uio.unmove(got);
        continue;
      }
      this.put(s, to, bytes.subarray(0, got), msg, t);
      done += got;
    } while (done < total);
    return done;
  }

  /** Queues a message or piece. References of descriptors pass with the first. */
  private put(s: Socket, to: Socket, bytes: Uint8Array, msg: SockMsg, t: Thread): void {
    const files = msg.files.splice(0);
    this.inFlight.enter(files);
    const creds = msg.creds ?? (s.passCreds || to.passCreds ? realCredsOf(t) : null);
    to.rcv.put({ bytes, at: 0, from: s.isBound ? s.name : NO_NAME, files, creds, sender: s, cost: mbufCost(bytes.length, s.isStream) });
    this.arrived(to);
  }

  /** No byte is sent, so nothing can travel with one. */
  private *dropFiles(msg: SockMsg): KGen<number> {
    for (const g of msg.files.splice(0)) yield* fileRelease(g);
    return 0;
  }

  // ---- receiving ----

  *recvmsg(f: OpenFile, uio: Uio, msg: SockMsg): KGen<number> {
    const s = socketOf(f), flags = msg.flags, deadline = this.deadline(f, s.rcvTimeoutNs, flags), isPeek = (flags & MSG_PEEK) !== 0;
    const all = s.isStream && (flags & MSG_WAITALL) !== 0;
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (!s.isDatagram && !s.wasConnected) return s.isStream ? -EINVAL : -ENOTCONN;
    let done = 0, seen = 0, last: Mbuf | null = null;
    msg.flags = 0;
    for (;;) {
      const m = s.rcv.mbufs[isPeek ? seen : 0];
      if (m) {
        // Bytes of two senders do not come in one read when the reader wants to know who they are.
        if (last && s.passCreds && !areSame(last.creds, m.creds)) return done;
        last = m;
        seen++;
        const n = yield* this.take(s, m, uio, msg, flags);
        if (n < 0) return done > 0 ? done : n;
        done += n;
        // Descriptors end what one read gets, with the bytes they came with.
        if (!s.isStream || uio.resid === 0 || msg.files.length > 0) return done;
        if (s.rcv.mbufs.length > (isPeek ? seen : 0)) continue;
        if (!all || isPeek) return done;
      }
      if (s.error && done === 0) {
        const { error } = s;
        s.error = 0;
        return -error;
      }
      if (s.isInputOver) return done;
      const r = yield* this.wait(s, "soreceive", deadline);
      if (r < 0) return done > 0 ? done : r;
    }
  }

  /** Takes from an mbuf, the first unless it only looks. => bytes; of a message the whole length with MSG_TRUNC */
  private *take(s: Socket, m: Mbuf, uio: Uio, msg: SockMsg, flags: number): KGen<number> {
    const left = m.bytes.length - m.at, before = uio.resid, error = yield* uiomove(m.bytes, m.at, Math.min(left, uio.resid), uio), got = before - uio.resid;
    if (error < 0 && got === 0) return error;
    const result = !s.isStream && (flags & MSG_TRUNC) !== 0 ? left : got;
    msg.name = m.from;
    if (!s.isStream && got < left) msg.flags |= MSG_TRUNC;
    if (s.passCreds) msg.creds = m.creds ?? NO_CREDS;
    if ((flags & MSG_PEEK) !== 0) {
      msg.files.push(...m.files.map((g) => g.hold()));
      return result;
    }
    const files = m.files.splice(0);
    this.inFlight.leave(files);
    msg.files.push(...files);
    if (s.rcv.consume(m, s.isStream ? got : left)) {
      this.drained(m.sender);
      if (s.isDatagram) this.drained(s);
    }
    return result;
  }
}
