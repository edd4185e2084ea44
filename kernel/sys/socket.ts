// System calls on sockets: decoding addresses and messages; what a socket does is in its ops (kern/file.ts SocketOps).
import { EAFNOSUPPORT, EBADF, EFAULT, EINVAL, EMSGSIZE, ENOTSOCK, EPERM, EPIPE, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { Uio, UIO_READ, UIO_WRITE } from "../uvm/uio.ts";
import { fileRelease, O_CLOEXEC, O_NONBLOCK, type OpenFile, type SocketOps, type SockMsg } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import type { Creds } from "../kern/sockbuf.ts";
import { tsignal } from "../kern/signal.ts";
import { SI_USER, SIGPIPE } from "../kern/sigset.ts";
import { RESTART_SA } from "../kern/trap.ts";
import { argUOf, getBytes, getView, intOf, put64, putBytes, putInt, type Row, slow, u64At } from "./args.ts";
import { getIov, installFile, installPair, interrupted } from "./file.ts";

const SOCK_TYPE = 15, ADDR_MAX = 128, CONTROL_MAX = 16384, SOL_SOCKET = 1, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, MAX_FDS = 253;
const MSG_CTRUNC = 8, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000, MSG_WAITFORONE = 0x10000;

type SocketFile = OpenFile & { readonly ops: SocketOps };

/** Does something on the socket of argument 0, held meanwhile. */
function* onSocket(t: Thread, act: (f: SocketFile) => KGen<number>): KGen<number> {
  const f = t.proc.fds.get(intOf(t, 0));
  if (!f) return -EBADF;
  if (f.ops.kind !== "socket") return -ENOTSOCK;
  f.hold();
  const r = yield* act(f as SocketFile);
  yield* fileRelease(f);
  return r;
}

function* getAddr(k: Kern, t: Thread, va: number, len: number): KGen<Uint8Array | number> {
  if (len < 0 || len > ADDR_MAX) return -EINVAL;
  return yield* getBytes(k, t, va, len);
}

/** Tells an address: as much as fits, and its whole length. */
function* putAddr(k: Kern, t: Thread, va: number, lenVa: number, addr: Uint8Array | null): KGen<number> {
  if (va === 0 || lenVa === 0) return 0;
  const d = yield* getView(k, t, lenVa, 4);
  if (typeof d === "number") return d;
  const room = d.getInt32(0, true), bytes = addr ?? new Uint8Array(0);
  if (room < 0) return -EINVAL;
  return (yield* putBytes(k, t, va, bytes.subarray(0, room))) || (yield* putInt(k, t, lenVa, bytes.length));
}

function openFlags(type: number): { nonblock: number; isCloexec: boolean } {
  return { nonblock: type & O_NONBLOCK, isCloexec: (type & O_CLOEXEC) !== 0 };
}

function* socket(k: Kern, t: Thread): KGen<number> {
  const type = intOf(t, 1), { nonblock, isCloexec } = openFlags(type);
  if ((type & ~(SOCK_TYPE | O_NONBLOCK | O_CLOEXEC)) !== 0) return -EINVAL;
  const f = k.makeSocket ? k.makeSocket(k, t, intOf(t, 0), type & SOCK_TYPE, intOf(t, 2)) : -EAFNOSUPPORT;
  if (typeof f === "number") return f;
  f.flags |= nonblock;
  return yield* installFile(t, f, isCloexec);
}

function* socketpair(k: Kern, t: Thread): KGen<number> {
  const type = intOf(t, 1), { nonblock, isCloexec } = openFlags(type);
  if ((type & ~(SOCK_TYPE | O_NONBLOCK | O_CLOEXEC)) !== 0) return -EINVAL;
  const pair = k.makeSocketPair ? k.makeSocketPair(k, t, intOf(t, 0), type & SOCK_TYPE, intOf(t, 2)) : -EAFNOSUPPORT;
  if (typeof pair === "number") return pair;
  for (const f of pair) f.flags |= nonblock;
  return yield* installPair(k, t, pair, isCloexec, argUOf(t, 3));
}

function* accept(k: Kern, t: Thread, flags: number): KGen<number> {
  if ((flags & ~(O_NONBLOCK | O_CLOEXEC)) !== 0) return -EINVAL;
  return yield* onSocket(t, function* (f) {
    const neu = yield* f.ops.accept(f, t);
    if (typeof neu === "number") return interrupted(t, f, neu, false);
    neu.flags |= flags & O_NONBLOCK;
    const peer = (neu as SocketFile).ops.getpeername(neu), err = yield* putAddr(k, t, argUOf(t, 1), argUOf(t, 2), typeof peer === "number" ? null : peer);
    if (err < 0) {
      yield* fileRelease(neu);
      return err;
    }
    return yield* installFile(t, neu, (flags & O_CLOEXEC) !== 0);
  });
}

function* withAddr(k: Kern, t: Thread, act: (f: SocketFile, addr: Uint8Array) => KGen<number>): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const addr = yield* getAddr(k, t, argUOf(t, 1), intOf(t, 2));
    return typeof addr === "number" ? addr : yield* act(f, addr);
  });
}

function* name(k: Kern, t: Thread, which: "getsockname" | "getpeername"): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const addr = f.ops[which](f);
    return typeof addr === "number" ? addr : yield* putAddr(k, t, argUOf(t, 1), argUOf(t, 2), addr);
  });
}

function* connect(f: SocketFile, addr: Uint8Array, t: Thread): KGen<number> {
  return interrupted(t, f, yield* f.ops.connect(f, addr, t), true);
}

// ---- messages ------------------------------------------------------------------------------------------------------

function* send(k: Kern, t: Thread, f: SocketFile, uio: Uio, msg: SockMsg): KGen<number> {
  const n = interrupted(t, f, yield* f.ops.sendmsg(f, uio, msg, t), true);
  if (n === -EPIPE && (msg.flags & MSG_NOSIGNAL) === 0) tsignal(k, t, { sig: SIGPIPE, code: SI_USER, pid: t.proc.pid, uid: t.proc.cred.uid });
  return n;
}

function* sendto(k: Kern, t: Thread): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const addr = argUOf(t, 4) === 0 ? null : yield* getAddr(k, t, argUOf(t, 4), intOf(t, 5));
    if (typeof addr === "number") return addr;
    const uio = Uio.user(k.uvm, t.proc.vmspace.map, argUOf(t, 1), Math.min(argUOf(t, 2), 0x7ffff000), UIO_WRITE);
    return yield* send(k, t, f, uio, { name: addr, files: [], flags: intOf(t, 3) });
  });
}

function* recvfrom(k: Kern, t: Thread): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const uio = Uio.user(k.uvm, t.proc.vmspace.map, argUOf(t, 1), Math.min(argUOf(t, 2), 0x7ffff000), UIO_READ), msg: SockMsg = { name: null, files: [], flags: intOf(t, 3) };
    const n = interrupted(t, f, yield* f.ops.recvmsg(f, uio, msg, t), false);
    for (const g of msg.files) yield* fileRelease(g);
    if (n < 0) return n;
    const err = yield* putAddr(k, t, argUOf(t, 4), argUOf(t, 5), msg.name);
    return err < 0 ? err : n;
  });
}

/** struct msghdr, decoded. */
interface MsgHdr { nameVa: number; nameLen: number; iov: Float64Array; controlVa: number; controlLen: number }

function* getMsghdr(k: Kern, t: Thread, va: number): KGen<MsgHdr | number> {
  const d = yield* getView(k, t, va, 56);
  if (typeof d === "number") return d;
  const count = u64At(d, 24);
  if (count > 1024) return -EMSGSIZE;
  const iov = yield* getIov(k, t, u64At(d, 16), count);
  return typeof iov === "number" ? iov : { nameVa: u64At(d, 0), nameLen: d.getInt32(8, true), iov, controlVa: u64At(d, 32), controlLen: u64At(d, 40) };
}

/** What control messages carry; descriptors are held. */
interface Control { readonly files: OpenFile[]; creds: Creds | null }

/** May this thread say that it is that? => 0; -EPERM, -ESRCH */
function checkCreds(k: Kern, t: Thread, c: Creds): number {
  const { cred, pid } = t.proc;
  if (cred.isRoot) return k.procs.has(c.pid) ? 0 : -ESRCH;
  const isUid = [cred.uid, cred.euid, cred.suid].includes(c.uid), isGid = [cred.gid, cred.egid, cred.sgid].includes(c.gid);
  return c.pid === pid && isUid && isGid ? 0 : -EPERM;
}

/** => -EINVAL, -EBADF, and what checkCreds says */
function* getControl(k: Kern, t: Thread, va: number, len: number): KGen<Control | number> {
  if (va === 0 || len === 0) return { files: [], creds: null };
  if (len > CONTROL_MAX) return -EINVAL;
  const d = yield* getView(k, t, va, len), files: OpenFile[] = [];
  if (typeof d === "number") return d;
  let err = 0, creds: Creds | null = null;
  for (let at = 0; at + 16 <= len && err === 0;) {
    const size = u64At(d, at), level = d.getInt32(at + 8, true), type = d.getInt32(at + 12, true);
    if (size < 16 || at + size > len) err = -EINVAL;
    else if (level === SOL_SOCKET && type === SCM_RIGHTS) {
      for (let i = at + 16; i + 4 <= at + size && err === 0; i += 4) {
        const f = t.proc.fds.get(d.getInt32(i, true));
        if (!f || files.length >= MAX_FDS) err = f ? -EINVAL : -EBADF;
        else files.push(f.hold());
      }
    } else if (level === SOL_SOCKET && type === SCM_CREDENTIALS && size === 28) {
      creds = { pid: d.getInt32(at + 16, true), uid: d.getInt32(at + 20, true), gid: d.getInt32(at + 24, true) };
      err = checkCreds(k, t, creds);
    } else err = -EINVAL;
    at += Math.ceil(size / 8) * 8;
  }
  if (err === 0) return { files, creds };
  for (const f of files) yield* fileRelease(f);
  return err;
}

function* sendmsgOne(k: Kern, t: Thread, f: SocketFile, va: number, flags: number): KGen<number> {
  const h = yield* getMsghdr(k, t, va);
  if (typeof h === "number") return h;
  const addr = h.nameVa === 0 || h.nameLen === 0 ? null : yield* getAddr(k, t, h.nameVa, h.nameLen);
  if (typeof addr === "number") return addr;
  const control = yield* getControl(k, t, h.controlVa, h.controlLen);
  if (typeof control === "number") return control;
  const msg = { name: addr, flags, ...control }, n = yield* send(k, t, f, new Uio(k.uvm, t.proc.vmspace.map, h.iov, UIO_WRITE), msg);
  // On failure the message was not queued: what it would have carried comes back.
  if (n < 0) for (const g of msg.files) yield* fileRelease(g);
  return n;
}

/** Received descriptors and credentials as control messages. => bytes used; sets MSG_CTRUNC */
function* putControl(k: Kern, t: Thread, h: MsgHdr, msg: SockMsg, isCloexec: boolean): KGen<number> {
  const room = h.controlVa === 0 ? 0 : Math.min(h.controlLen, CONTROL_MAX), bytes = new Uint8Array(room), d = new DataView(bytes.buffer);
  let at = 0;
  if (msg.creds && room >= 16) {
    const c = new DataView(new ArrayBuffer(28)), { pid, uid, gid } = msg.creds;
    put64(c, 0, Math.min(28, room));
    [SOL_SOCKET, SCM_CREDENTIALS, pid, uid, gid].forEach((v, i) => c.setInt32(8 + 4 * i, v, true));
    bytes.set(new Uint8Array(c.buffer).subarray(0, Math.min(28, room)));
    at = Math.min(32, room);
  }
  if (msg.creds && room < 28) msg.flags |= MSG_CTRUNC;
  const fits = Math.max(0, Math.floor((room - at - 16) / 4)), fds: number[] = [];
  for (const f of msg.files) {
    const fd = fds.length < fits ? yield* installFile(t, f, isCloexec) : -1;
    if (fd >= 0) fds.push(fd);
    else {
      msg.flags |= MSG_CTRUNC;
      if (fd === -1) yield* fileRelease(f);
    }
  }
  if (fds.length > 0) {
    put64(d, at, 16 + 4 * fds.length);
    d.setInt32(at + 8, SOL_SOCKET, true);
    d.setInt32(at + 12, SCM_RIGHTS, true);
    fds.forEach((fd, i) => d.setInt32(at + 16 + 4 * i, fd, true));
    at = Math.min(room, Math.ceil((at + 16 + 4 * fds.length) / 8) * 8);
  }
  const err = at === 0 ? 0 : yield* putBytes(k, t, h.controlVa, bytes.subarray(0, at));
  return err < 0 ? -EFAULT : at;
}

function* recvmsgOne(k: Kern, t: Thread, f: SocketFile, va: number, flags: number): KGen<number> {
  const h = yield* getMsghdr(k, t, va);
  if (typeof h === "number") return h;
  const msg: SockMsg = { name: null, files: [], flags: flags & ~MSG_CMSG_CLOEXEC };
  const n = interrupted(t, f, yield* f.ops.recvmsg(f, new Uio(k.uvm, t.proc.vmspace.map, h.iov, UIO_READ), msg, t), false);
  if (n < 0) return n;
  msg.flags &= 0x20 | MSG_CTRUNC | 1;
  const used = yield* putControl(k, t, h, msg, (flags & MSG_CMSG_CLOEXEC) !== 0);
  if (used < 0) return used;
  const addr = msg.name ?? new Uint8Array(0), out = new DataView(new ArrayBuffer(8));
  if (h.nameVa !== 0 && (yield* putBytes(k, t, h.nameVa, addr.subarray(0, Math.max(0, h.nameLen)))) < 0) return -EFAULT;
  if ((yield* putInt(k, t, va + 8, h.nameVa === 0 ? 0 : addr.length)) < 0) return -EFAULT;
  put64(out, 0, used);
  if ((yield* putBytes(k, t, va + 40, new Uint8Array(out.buffer))) < 0) return -EFAULT;
  return (yield* putInt(k, t, va + 48, msg.flags)) < 0 ? -EFAULT : n;
}

/** sendmmsg and recvmmsg: an array of msghdr, each with the length done behind it. */
function* many(k: Kern, t: Thread, one: typeof sendmsgOne, flags: number): KGen<number> {
  const va = argUOf(t, 1), count = Math.min(argUOf(t, 2), 1024);
  return yield* onSocket(t, function* (f) {
    for (let i = 0; i < count; i++) {
      const n = yield* one(k, t, f, va + 64 * i, i > 0 && (flags & MSG_WAITFORONE) !== 0 ? flags | 0x40 : flags);
      if (n < 0) return i > 0 ? i : n;
      if ((yield* putInt(k, t, va + 64 * i + 56, n)) < 0) return -EFAULT;
    }
    return count;
  });
}

// ---- options -------------------------------------------------------------------------------------------------------

function* setsockopt(k: Kern, t: Thread): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const len = intOf(t, 4);
    if (len < 0 || len > 4096) return -EINVAL;
    const value = yield* getBytes(k, t, argUOf(t, 3), len);
    return typeof value === "number" ? value : f.ops.setsockopt(f, intOf(t, 1), intOf(t, 2), value, t);
  });
}

function* getsockopt(k: Kern, t: Thread): KGen<number> {
  return yield* onSocket(t, function* (f) {
    const d = yield* getView(k, t, argUOf(t, 4), 4), value = f.ops.getsockopt(f, intOf(t, 1), intOf(t, 2));
    if (typeof d === "number") return d;
    if (typeof value === "number") return value;
    const room = d.getInt32(0, true), part = value.subarray(0, Math.max(0, room));
    if (room < 0) return -EINVAL;
    return (yield* putBytes(k, t, argUOf(t, 3), part)) || (yield* putInt(k, t, argUOf(t, 4), part.length));
  });
}

function* plain(v: number): KGen<number> {
  return v;
}

export const SOCKET_CALLS: readonly Row[] = [
  slow(198, "socket", "dxd", socket), slow(199, "socketpair", "dxdx", socketpair), slow(200, "bind", "dxd", (k, t) => withAddr(k, t, (f, a) => f.ops.bind(f, a, t))),
  slow(203, "connect", "dxd", (k, t) => withAddr(k, t, (f, a) => connect(f, a, t)), RESTART_SA),
  slow(201, "listen", "dd", (_k, t) => onSocket(t, (f) => plain(f.ops.listen(f, intOf(t, 1), t)))),
  slow(202, "accept", "dxx", (k, t) => accept(k, t, 0), RESTART_SA), slow(242, "accept4", "dxxx", (k, t) => accept(k, t, intOf(t, 3)), RESTART_SA),
  slow(204, "getsockname", "dxx", (k, t) => name(k, t, "getsockname")), slow(205, "getpeername", "dxx", (k, t) => name(k, t, "getpeername")),
  slow(206, "sendto", "dxuxxd", sendto, RESTART_SA), slow(207, "recvfrom", "dxuxxx", recvfrom, RESTART_SA),
  slow(211, "sendmsg", "dxx", (k, t) => onSocket(t, (f) => sendmsgOne(k, t, f, argUOf(t, 1), intOf(t, 2))), RESTART_SA),
  slow(212, "recvmsg", "dxx", (k, t) => onSocket(t, (f) => recvmsgOne(k, t, f, argUOf(t, 1), intOf(t, 2))), RESTART_SA),
  slow(269, "sendmmsg", "dxdx", (k, t) => many(k, t, sendmsgOne, intOf(t, 3)), RESTART_SA),
  slow(243, "recvmmsg", "dxdxx", (k, t) => many(k, t, recvmsgOne, intOf(t, 3)), RESTART_SA),
  slow(208, "setsockopt", "dddxd", setsockopt), slow(209, "getsockopt", "dddxx", getsockopt),
  slow(210, "shutdown", "dd", (_k, t) => onSocket(t, (f) => plain(f.ops.shutdown(f, intOf(t, 1))))),
];
