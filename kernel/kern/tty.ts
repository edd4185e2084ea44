// A terminal: the line discipline between a serial device and the programs that have it open.
//
//   device ─► input ─► signals | editing of the line ─► queue ─► read
//                └─► echo ─┐
//   write ─► OPOST ────────┴─► device
//
// What is typed waits in a TtyLine (ttyline.ts). Sleepers hold no state: what they wait for is looked at again. Output never
// waits for the device; ^S makes writers wait.
import { EAGAIN, EINTR, EIO } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PollQueue } from "./file.ts";
import type { Kern } from "./kern.ts";
import type { ControllingTty, Pgrp, Session } from "./pgrp.ts";
import { AST_SIGNAL, type Thread } from "./proc.ts";
import { pgsignal, psignal } from "./signal.ts";
import { SI_KERNEL, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH } from "./sigset.ts";
import {
  DISABLED, ECHO, ECHONL, ICRNL, IEXTEN, IGNCR, INLCR, ISIG, ISTRIP, IUCLC, IXANY, IXOFF, IXON, NOFLSH, PARMRK, Termios, TOSTOP, VEOF, VEOL, VEOL2, VINTR, VMIN,
  VQUIT, VSTART, VSTOP, VSUSP, VTIME,
} from "./termios.ts";
import { TTY_QUEUE, TtyLine } from "./ttyline.ts";
import { TtyOutput } from "./ttyout.ts";

const NL = 10, CR = 13, TENTH_NS = 1e8;
/** With IXOFF the other side is stopped when so many places are left, and goes on when there are more again. */
const THROTTLE_BYTES = 128;

export class Tty implements ControllingTty {
  readonly name: string;
  readonly rdev: number;
  readonly termios = new Termios();
  readonly out: TtyOutput;
  rows = 24;
  cols = 80;
  xpixel = 0;
  ypixel = 0;
  session: Session | null = null;
  foreground: Pgrp | null = null;
  isHungUp = false;
  /** TIOCEXCL: only the superuser may open it. */
  isExclusive = false;
  readonly pollers = new PollQueue();
  /** The device may send again what it held back: the queue has room. */
  onRoom: (() => void) | null = null;
  private readonly k: Kern;
  private readonly line: TtyLine;
  /** ^S was typed; TCXONC stopped it: then only TCXONC lets it go on. */
  private isStopped = false;
  private isSuspended = false;
  /** IXOFF: the other side was told to stop. */
  private isThrottled = false;
  private lastInputNs = 0;
  /** What writers sleep on. */
  private readonly outChan = {};

  constructor(k: Kern, name: string, rdev: number, send: (bytes: Uint8Array) => void) {
    this.k = k;
    this.name = name;
    this.rdev = rdev;
    this.out = new TtyOutput(this.termios, send);
    this.line = new TtyLine(this.termios, this.out);
  }

  // ---- input from the device ---------------------------------------------------------------------------------------

  /** The device should hold its bytes back: the queue is full, and somebody can empty it by reading. */
  get isFull(): boolean {
    return this.line.isFull && this.line.available > 0;
  }

  /** Bytes arrived. => never sleeps */
  input(bytes: Uint8Array): void {
    for (const c of bytes) this.inputByte(c);
    this.throttle();
    this.lastInputNs = this.k.now();
    this.out.flush();
  }

  private inputByte(byte: number): void {
    const { iflag, lflag, cc, isCanonical } = this.termios;
    let c = (iflag & ISTRIP) !== 0 ? byte & 0x7f : byte;
    if ((iflag & IUCLC) !== 0 && (lflag & IEXTEN) !== 0 && c >= 65 && c <= 90) c += 32;
    if (this.line.isLiteral) {
      this.line.isLiteral = false;
      return this.keep(c);
    }
    if ((iflag & IXON) !== 0 && this.flowControl(c, iflag)) return;
    if ((lflag & ISIG) !== 0 && this.signalByte(c)) return;
    if (c === CR) {
      if ((iflag & IGNCR) !== 0) return;
      if ((iflag & ICRNL) !== 0) c = NL;
    } else if (c === NL && (iflag & INLCR) !== 0) c = CR;
    if (!isCanonical) return this.keep(c);
    if (this.line.edit(c)) return;
    if (c === NL) return this.endLine(c, (lflag & (ECHO | ECHONL)) !== 0);
    if (c !== DISABLED && c === cc[VEOF]) {
      this.line.endFile();
      return this.wakeReaders();
    }
    if (c !== DISABLED && (c === cc[VEOL] || (c === cc[VEOL2] && (lflag & IEXTEN) !== 0))) {
      this.out.echo(c);
      return this.endLine(c, false);
    }
    this.keep(c);
  }

  /** A byte that is only itself. With PARMRK one that could begin a mark comes twice. */
  private keep(c: number): void {
    this.line.keep(c);
    if (c === 0xff && (this.termios.iflag & PARMRK) !== 0) this.line.keepMark(c);
    if (!this.termios.isCanonical) this.wakeReaders();
  }

  private endLine(c: number, doEcho: boolean): void {
    this.line.endLine(c, doEcho);
    this.wakeReaders();
  }

  /** => the byte was ^S or ^Q */
  private flowControl(c: number, iflag: number): boolean {
    const { cc } = this.termios;
    if (c !== DISABLED && c === cc[VSTOP] && (c !== cc[VSTART] || !this.isStopped)) {
      this.isStopped = true;
      return true;
    }
    const isStart = c !== DISABLED && c === cc[VSTART];
    if (isStart || (this.isStopped && (iflag & IXANY) !== 0)) this.restart();
    return isStart;
  }

  /** Output goes on, unless TCXONC stopped it. */
  private restart(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    this.k.ctx.wakeup(this.outChan);
    this.pollers.notify(this.k.ctx);
  }

  /** TCXONC: output stops, or goes on. */
  suspend(doStop: boolean): void {
    if (doStop) this.isSuspended = true;
    else if (this.isSuspended) {
      this.isSuspended = false;
      this.isStopped = true;
      this.restart();
    }
  }

  /** Tells the other side with VSTOP or VSTART that it should stop or go on. */
  sendFlow(which: typeof VSTOP | typeof VSTART): void {
    const c = this.termios.cc[which]!;
    if (c !== DISABLED) this.out.control(c);
  }

  /** IXOFF: before the queue is full the other side is told, if somebody can empty it by reading. */
  private throttle(): void {
    const isLong = this.line.lenBytes >= TTY_QUEUE - THROTTLE_BYTES && this.line.available > 0;
    if (this.isThrottled || !isLong || (this.termios.iflag & IXOFF) === 0) return;
    this.isThrottled = true;
    this.sendFlow(VSTOP);
  }

  /** The other side goes on when there is room again, or IXOFF is off. */
  private unthrottle(): void {
    if (!this.isThrottled || (this.line.lenBytes > THROTTLE_BYTES && (this.termios.iflag & IXOFF) !== 0)) return;
    this.isThrottled = false;
    this.sendFlow(VSTART);
  }

  private roomMade(): void {
    this.unthrottle();
    this.onRoom?.();
  }

  /** => the byte was one that sends a signal to the foreground group */
  private signalByte(c: number): boolean {
    const { cc, lflag } = this.termios;
    if (c === DISABLED) return false;
    const sig = c === cc[VINTR] ? SIGINT : c === cc[VQUIT] ? SIGQUIT : c === cc[VSUSP] ? SIGTSTP : 0;
    if (sig === 0) return false;
    if ((lflag & NOFLSH) === 0) this.flushInput();
    this.restart();
    this.out.echo(c);
    this.line.noteColumn();
    if (this.foreground) pgsignal(this.k, this.foreground, { sig, code: SI_KERNEL });
    return true;
  }

  private wakeReaders(): void {
    this.k.ctx.wakeup(this);
    this.pollers.notify(this.k.ctx);
  }

  // ---- reading -----------------------------------------------------------------------------------------------------

  /** FIONREAD. */
  get readableBytes(): number {
    return this.line.readableBytes;
  }

  /** Readable in the sense of poll. */
  get isReadable(): boolean {
    const { cc, isCanonical } = this.termios, least = isCanonical || cc[VTIME] !== 0 ? 1 : Math.max(1, cc[VMIN]!);
    return this.isHungUp || this.line.available >= least;
  }

  /** Takes up to n bytes: in canonical mode no more than one line. => at least one is available, or none was waited for */
  take(n: number): Uint8Array {
    const before = this.line.lenBytes, bytes = this.line.take(n);
    if (this.line.lenBytes < before) this.roomMade();
    return bytes;
  }

  /**
   * Waits until a read of n bytes may take what is there.
   *
   * => 0: take; -EAGAIN, -EINTR, -EIO; the caller sees isHungUp as the end of the file
   */
  *waitInput(n: number, t: Thread, isNonblocking: boolean): KGen<number> {
    const startNs = this.k.now();
    for (;;) {
      const error = this.checkForeground(t, SIGTTIN);
      if (error < 0) return error;
      if (this.isHungUp) return 0;
      const { isCanonical, cc } = this.termios;
      const timeNs = cc[VTIME]! * TENTH_NS, least = Math.max(1, Math.min(cc[VMIN]!, n));
      if (this.line.available >= (isCanonical ? 1 : least)) return 0;
      // Who asks for neither bytes nor time gets what there is, which may be nothing.
      if (!isCanonical && cc[VMIN] === 0 && timeNs === 0) return 0;
      if (isNonblocking) return !isCanonical && this.line.available > 0 ? 0 : -EAGAIN;
      let timeoutNs = Infinity;
      if (!isCanonical && cc[VMIN] === 0) timeoutNs = startNs + timeNs - this.k.now();
      else if (!isCanonical && timeNs > 0 && this.line.available > 0) timeoutNs = Math.max(startNs, this.lastInputNs) + timeNs - this.k.now();
      if (timeoutNs <= 0) return 0;
      const r = yield* this.k.ctx.sleep(this, "ttyin", { interruptible: true, timeoutNs });
      if (r === -EINTR) return r;
    }
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  get isWritable(): boolean {
    return this.isHungUp || !(this.isStopped || this.isSuspended);
  }

  /** Sends bytes. => the terminal is not stopped */
  write(bytes: Uint8Array): void {
    this.out.write(bytes);
    this.line.noteColumn();
  }

  /** => 0: write; -EAGAIN, -EINTR, -EIO */
  *waitOutput(t: Thread, isNonblocking: boolean): KGen<number> {
    for (;;) {
      const error = this.checkWrite(t);
      if (error < 0) return error;
      if (this.isWritable) return 0;
      if (isNonblocking) return -EAGAIN;
      const r = yield* this.k.ctx.sleep(this.outChan, "ttyout", { interruptible: true });
      if (r === -EINTR) return r;
    }
  }

  /** May this thread write here now? Signals its group when not. => 0, -EIO, -EINTR */
  checkWrite(t: Thread): number {
    if (this.isHungUp) return -EIO;
    return (this.termios.lflag & TOSTOP) !== 0 ? this.checkForeground(t, SIGTTOU) : 0;
  }

  /** The same without a signal: less than 0 means that checkWrite has something to say. */
  checkWriteQuietly(t: Thread): number {
    if (this.isHungUp) return -EIO;
    const isBackground = t.proc.pgrp.session === this.session && this.foreground !== null && this.foreground !== t.proc.pgrp;
    return isBackground && (this.termios.lflag & TOSTOP) !== 0 ? -EIO : 0;
  }

  // ---- job control -------------------------------------------------------------------------------------------------

  /**
   * A group in the background may not use its terminal: SIGTTIN or SIGTTOU stops it.
   *
   * => 0: go on; -EIO: nobody would continue it, or it does not want the signal; -EINTR: the signal was sent
   */
  checkForeground(t: Thread, sig: number): number {
    const { proc } = t, { pgrp } = proc;
    if (pgrp.session !== this.session || this.foreground === null || this.foreground === pgrp) return 0;
    if (proc.actions.isIgnored(sig) || t.sigmask.has(sig)) return sig === SIGTTOU ? 0 : -EIO;
    if (pgrp.isOrphaned) return -EIO;
    pgsignal(this.k, pgrp, { sig, code: SI_KERNEL });
    t.ast |= AST_SIGNAL;
    return -EINTR;
  }

  /** The terminal becomes the session's. => its leader asks; neither has one yet */
  attach(session: Session, foreground: Pgrp): void {
    this.session = session;
    this.foreground = foreground;
    session.tty = this;
  }

  detach(): void {
    if (this.session?.tty === this) this.session.tty = null;
    this.session = null;
    this.foreground = null;
  }

  /** TIOCNOTTY of the session's leader: the session loses its terminal and the foreground group is told. */
  leaderLeaves(): void {
    const { foreground } = this;
    this.detach();
    if (!foreground) return;
    pgsignal(this.k, foreground, { sig: SIGHUP, code: SI_KERNEL });
    pgsignal(this.k, foreground, { sig: SIGCONT, code: SI_KERNEL });
  }

  /** Is there such a group, in whatever session? */
  hasGroup(pgid: number): boolean {
    return this.k.pgrps.has(pgid);
  }

  /** The line is gone: readers see the end, writers fail, the session is told. */
  hangup(): void {
    if (this.isHungUp) return;
    this.isHungUp = true;
    const leader = this.session?.leader, { foreground } = this;
    if (leader) {
      psignal(this.k, leader, { sig: SIGHUP, code: SI_KERNEL });
      psignal(this.k, leader, { sig: SIGCONT, code: SI_KERNEL });
    }
    if (foreground && foreground !== leader?.pgrp) pgsignal(this.k, foreground, { sig: SIGHUP, code: SI_KERNEL });
    this.detach();
    this.flushInput();
    this.suspend(false);
    this.restart();
    this.wakeReaders();
    this.k.ctx.wakeup(this.outChan);
  }

  // ---- modes -------------------------------------------------------------------------------------------------------

  /** Sets modes from a termios structure of 36 or 44 bytes. */
  setModes(bytes: Uint8Array): void {
    const was = this.termios.isCanonical;
    this.termios.load(bytes);
    this.line.isLiteral = false;
    if (was !== this.termios.isCanonical) this.line.modeChanged();
    if ((this.termios.iflag & IXON) === 0) this.restart();
    this.unthrottle();
    this.wakeReaders();
  }

  flushInput(): void {
    this.line.flush();
    this.roomMade();
  }

  setWindow(rows: number, cols: number, xpixel: number, ypixel: number): void {
    const isSame = rows === this.rows && cols === this.cols && xpixel === this.xpixel && ypixel === this.ypixel;
    this.rows = rows;
    this.cols = cols;
    this.xpixel = xpixel;
    this.ypixel = ypixel;
    if (!isSame && this.foreground) pgsignal(this.k, this.foreground, { sig: SIGWINCH, code: SI_KERNEL });
  }
}
