// Open files that are terminals, and the ioctl requests of terminals. f.data is the Tty.
import { EBUSY, EFAULT, EINVAL, EIO, ENOTTY, ENXIO, EPERM, ERESTART, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyin, copyout, type Uio, uiomove } from "../uvm/uio.ts";
import { NO_TIMES } from "../vfs/filetimes.ts";
import type { Attr, Vnode } from "../vfs/vnode.ts";
import { VCHR } from "../vfs/vnode.ts";
import {
  type FileOps, O_NOCTTY, OpenFile, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, type PollWaiter,
} from "./file.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { SIGTTOU } from "./sigset.ts";
import {
  FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2, TCXONC, TERMIOS2_BYTES, TERMIOS_BYTES,
  TIOCEXCL, TIOCGETD, TIOCGPGRP, TIOCGSID, TIOCGWINSZ, TIOCNOTTY, TIOCNXCL, TIOCOUTQ, TIOCSCTTY, TIOCSETD, TIOCSPGRP, TIOCSTI, TIOCSWINSZ,
  VSTART, VSTOP, WINSIZE_BYTES,
} from "./termios.ts";
import type { Tty } from "./tty.ts";

const CHUNK = 1024;
const ttyOf = (f: OpenFile): Tty => f.data as Tty;

function bytes32(v: number): Uint8Array {
  const b = new Uint8Array(4);
  new DataView(b.buffer).setInt32(0, v, true);
  return b;
}

class TtyOps implements FileOps {
  readonly kind = "tty";

  *read(f: OpenFile, uio: Uio, t: Thread, _offset: number): KGen<number> {
    const tty = ttyOf(f);
    if (uio.resid === 0) return 0;
    const error = yield* tty.waitInput(uio.resid, t, f.isNonblocking);
    if (error < 0) return error;
    if (tty.isHungUp) return 0;
    const bytes = tty.take(uio.resid), before = uio.resid, fault = yield* uiomove(bytes, 0, bytes.length, uio), done = before - uio.resid;
    f.vnode?.times?.used(false);
    return fault < 0 && done === 0 ? fault : done;
  }

  *write(f: OpenFile, uio: Uio, t: Thread, _offset: number): KGen<number> {
    const tty = ttyOf(f), chunk = new Uint8Array(Math.min(CHUNK, uio.resid)), all = uio.resid;
    f.vnode?.times?.used(true);
    while (uio.resid > 0) {
      const error = yield* tty.waitOutput(t, f.isNonblocking), done = all - uio.resid;
      if (error < 0) return done > 0 ? done : error;
      const before = uio.resid, fault = yield* uiomove(chunk, 0, chunk.length, uio), got = before - uio.resid;
      if (got > 0) tty.write(chunk.subarray(0, got));
      if (fault < 0) return all - uio.resid > 0 ? all - uio.resid : fault;
    }
    return all;
  }

  writeFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const tty = ttyOf(f), { map } = t.proc.vmspace;
    if (len > 4 * CHUNK || !tty.isWritable || tty.checkWriteQuietly(t) < 0) return -ERESTART;
    const bytes = new Uint8Array(len);
    if (map.uvm.user.copyinFast(map.pmap, va, bytes, 0, len) < len) return -ERESTART;
    tty.write(bytes);
    f.vnode?.times?.used(true);
    return len;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const tty = ttyOf(f);
    if (w) tty.pollers.record(w);
    let ready = 0;
    if (tty.isReadable) ready |= POLLIN | POLLRDNORM;
    if (tty.isWritable) ready |= POLLOUT | POLLWRNORM;
    return (ready & events) | (tty.isHungUp ? POLLHUP | POLLERR : 0);
  }

  *close(f: OpenFile): KGen<void> {
    if (f.vnode) yield* f.vnode.vrele();
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return f.vnode ? f.vnode.getattr() : ttyAttr(ttyOf(f));
  }

  describe(f: OpenFile): string {
    return `/dev/${ttyOf(f).name}`;
  }

  *ioctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    if (ttyOf(f).isHungUp) return cmd >>> 0 === TIOCSPGRP ? -ENOTTY : -EIO;
    return yield* ttyIoctl(ttyOf(f), cmd >>> 0, arg, t);
  }
}

/** All open terminals share this. */
export const TTY_OPS: FileOps = new TtyOps();

/** A terminal that was opened without a name. */
function ttyAttr(tty: Tty): Attr {
  return { type: VCHR, mode: 0o620, nlink: 1, uid: 0, gid: 5, ino: 1, dev: 0, rdev: tty.rdev, size: 0, blockSize: 1024, blocks: 0, ...NO_TIMES };
}

/**
 * Opens a terminal. The first a session leader opens becomes its session's, unless O_NOCTTY or mayControl is false.
 *
 * => the vnode's reference passes to the file
 */
export function openTty(_k: Kern, tty: Tty, vnode: Vnode | null, flags: number, t: Thread | null, mayControl = true): OpenFile | number {
  if (tty.isHungUp) return -EIO;
  if (tty.isExclusive && t && !t.proc.cred.isRoot) return -EBUSY;
  const session = t?.proc.pgrp.session;
  if (t && session && mayControl && (flags & O_NOCTTY) === 0 && session.leader === t.proc && !session.tty && !tty.session) {
    tty.attach(session, t.proc.pgrp);
  }
  return new OpenFile(TTY_OPS, flags & ~O_NOCTTY, tty, vnode);
}

/** Opens the terminal of the caller's session: /dev/tty. */
export function openControllingTty(k: Kern, vnode: Vnode | null, flags: number, t: Thread): OpenFile | number {
  const tty = t.proc.pgrp.session.tty;
  return tty ? openTty(k, tty as Tty, vnode, flags, t) : -ENXIO;
}

// ---- ioctl ---------------------------------------------------------------------------------------------------------

function* ttyIoctl(tty: Tty, cmd: number, arg: number, t: Thread): KGen<number> {
  const { map } = t.proc.vmspace, { uvm } = map, isMine = t.proc.pgrp.session.tty === tty;
  const put = (bytes: Uint8Array): KGen<number> => copyout(uvm, map, arg, bytes);
  switch (cmd) {
    case TCGETS: return yield* put(tty.termios.save(TERMIOS_BYTES));
    case TCGETS2: return yield* put(tty.termios.save(TERMIOS2_BYTES));
    case TCSETS: case TCSETSW: return yield* setModes(tty, arg, TERMIOS_BYTES, false, t);
    case TCSETSF: return yield* setModes(tty, arg, TERMIOS_BYTES, true, t);
    case TCSETS2: case TCSETSW2: return yield* setModes(tty, arg, TERMIOS2_BYTES, false, t);
    case TCSETSF2: return yield* setModes(tty, arg, TERMIOS2_BYTES, true, t);
    case TIOCGWINSZ: return yield* put(new Uint8Array(Uint16Array.of(tty.rows, tty.cols, tty.xpixel, tty.ypixel).buffer));
    case TIOCSWINSZ: return yield* setWindow(tty, arg, t);
    case TIOCGPGRP: return isMine ? yield* put(bytes32(tty.foreground?.pgid ?? 0)) : -ENOTTY;
    case TIOCSPGRP: return yield* setForeground(tty, arg, t);
    case TIOCGSID: return isMine ? yield* put(bytes32(tty.session!.sid)) : -ENOTTY;
    case TIOCSCTTY: return becomeControlling(tty, arg, t);
    case TIOCNOTTY: return isMine ? giveUp(tty, t) : -ENOTTY;
    case FIONREAD: return yield* put(bytes32(tty.readableBytes));
    case TIOCOUTQ: case TIOCGETD: return yield* put(bytes32(0));
    case TCFLSH: return flush(tty, arg, t);
    case TCXONC: return flow(tty, arg, t);
    case TCSBRK: case TCSBRKP: return tty.checkForeground(t, SIGTTOU);
    case TIOCSTI: return yield* typeFor(tty, arg, t);
    case TIOCEXCL: case TIOCNXCL:
      tty.isExclusive = cmd === TIOCEXCL;
      return 0;
    case TIOCSETD: return yield* setDiscipline(arg, t);
    default: return -ENOTTY;
  }
}

function* setModes(tty: Tty, va: number, lenBytes: number, doFlush: boolean, t: Thread): KGen<number> {
  const denied = tty.checkForeground(t, SIGTTOU), bytes = new Uint8Array(lenBytes), { map } = t.proc.vmspace;
  if (denied < 0) return denied;
  const error = yield* copyin(map.uvm, map, va, bytes);
  if (error < 0) return error;
  if (doFlush) tty.flushInput();
  tty.setModes(bytes);
  return 0;
}

function* setWindow(tty: Tty, va: number, t: Thread): KGen<number> {
  const bytes = new Uint8Array(WINSIZE_BYTES), { map } = t.proc.vmspace, error = yield* copyin(map.uvm, map, va, bytes);
  if (error < 0) return error;
  const [rows, cols, xpixel, ypixel] = new Uint16Array(bytes.buffer);
  tty.setWindow(rows!, cols!, xpixel!, ypixel!);
  return 0;
}

function* setForeground(tty: Tty, va: number, t: Thread): KGen<number> {
  const { session } = t.proc.pgrp, denied = session.tty === tty ? tty.checkForeground(t, SIGTTOU) : -ENOTTY, { map } = t.proc.vmspace;
  // An orphaned group in the background has no terminal to give.
  if (denied < 0) return denied === -EIO ? -ENOTTY : denied;
  const bytes = new Uint8Array(4), error = yield* copyin(map.uvm, map, va, bytes);
  if (error < 0) return -EFAULT;
  const pgid = new DataView(bytes.buffer).getInt32(0, true);
  if (pgid < 0) return -EINVAL;
  for (const g of session.groups) {
    if (g.pgid !== pgid) continue;
    tty.foreground = g;
    return 0;
  }
  return tty.hasGroup(pgid) ? -EPERM : -ESRCH;
}

/** TIOCSCTTY. With arg 1 the superuser takes it from another session. */
function becomeControlling(tty: Tty, arg: number, t: Thread): number {
  const { proc } = t, { session } = proc.pgrp;
  if (session.leader === proc && tty.session === session) return 0;
  if (session.leader !== proc || session.tty) return -EPERM;
  if (tty.session) {
    if (arg !== 1 || !proc.cred.isRoot) return -EPERM;
    tty.detach();
  }
  tty.attach(session, proc.pgrp);
  return 0;
}

/** TIOCNOTTY: a leader gives it up for the whole session; for others there is nothing to give. */
function giveUp(tty: Tty, t: Thread): number {
  if (t.proc.pgrp.session.leader !== t.proc) return 0;
  tty.leaderLeaves();
  return 0;
}

/** TCFLSH: 0 input, 1 output, 2 both. Output is never queued. */
function flush(tty: Tty, what: number, t: Thread): number {
  if (what < 0 || what > 2) return -EINVAL;
  const denied = tty.checkForeground(t, SIGTTOU);
  if (denied < 0) return denied;
  if (what !== 1) tty.flushInput();
  return 0;
}

/** TCXONC: 0 stop output, 1 go on, 2 and 3 tell the other side. */
function flow(tty: Tty, what: number, t: Thread): number {
  if (what < 0 || what > 3) return -EINVAL;
  const denied = tty.checkForeground(t, SIGTTOU);
  if (denied < 0) return denied;
  if (what <= 1) tty.suspend(what === 0);
  else tty.sendFlow(what === 2 ? VSTOP : VSTART);
  return 0;
}

/** TIOCSETD: there is one line discipline, number 0. */
function* setDiscipline(va: number, t: Thread): KGen<number> {
  const bytes = new Uint8Array(4), { map } = t.proc.vmspace, error = yield* copyin(map.uvm, map, va, bytes);
  return error < 0 ? error : bytes.some((b) => b !== 0) ? -EINVAL : 0;
}

/** TIOCSTI: a byte as if it had been typed. */
function* typeFor(tty: Tty, va: number, t: Thread): KGen<number> {
  const byte = new Uint8Array(1), { map } = t.proc.vmspace;
  if (t.proc.pgrp.session.tty !== tty && !t.proc.cred.isRoot) return -EPERM;
  const error = yield* copyin(map.uvm, map, va, byte);
  if (error < 0) return error;
  tty.input(byte);
  return 0;
}
