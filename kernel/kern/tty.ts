// A terminal: the line discipline between a serial device and the programs that have it open.
//
//   device ─► input ─► signals | editing of the line ─► queue ─► read
//                └─► echo ─┐
//   write ─► OPOST ────────┴─► device
//
//   queue:  [ ......... lines that are complete ......... | the line that is edited ]      canonical
//                                                         └ readyCount
//           [ .............. every byte .................. ]                                raw: readyCount is not used
//
// A queued byte that ends a line carries DELIM; the end-of-file mark is EOF_MARK, which no read returns. Sleepers hold no
// state: what they wait for is looked at again. Output never waits for the device; ^S makes writers wait.
import { EAGAIN, EINTR, EIO } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PollQueue } from "./file.ts";
import type { Kern } from "./kern.ts";
import type { ControllingTty, Pgrp, Session } from "./pgrp.ts";
import { AST_SIGNAL, type Thread } from "./proc.ts";
import { pgsignal, psignal } from "./signal.ts";
import { SI_KERNEL, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH } from "./sigset.ts";
import {
  DISABLED, ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ICRNL, IEXTEN, IGNCR, INLCR, ISIG, ISTRIP, IUTF8, IXANY, IXON, NOFLSH, Termios, TOSTOP, VEOF,
  VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VMIN, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP, VTIME, VWERASE,
} from "./termios.ts";
import { isContinuation, TtyOutput } from "./ttyout.ts";

/** Most bytes of input that wait to be read; also the longest line, with its end. */
export const TTY_QUEUE = 4096;
const DELIM = 0x100, EOF_MARK = 0x200;
/** The line vanishes from the screen when all of these are set. */
const VISUAL_KILL = ECHOE | ECHOK | ECHOKE;
const BELL = 7, TAB = 9, NL = 10, CR = 13, TENTH_NS = 1e8;

const isWordByte = (c: number): boolean => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c >= 128;

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
  private queue: number[] = [];
  private readyCount = 0;
  /** ^S was typed. */
  private isStopped = false;
  /** ^V was typed: the next byte is taken as it is. */
  private isLiteral = false;
  /** Column at which the edited line began. */
  private lineColumn = 0;
  private lastInputNs = 0;
  /** What writers sleep on. */
  private readonly outChan = {};

  constructor(k: Kern, name: string, rdev: number, send: (bytes: Uint8Array) => void) {
    this.k = k;
    this.name = name;
    this.rdev = rdev;
    this.out = new TtyOutput(this.termios, send);
  }

  // ---- input from the device ---------------------------------------------------------------------------------------

  /** The device should hold its bytes back: the queue is full, and somebody can empty it by reading. */
  get isFull(): boolean {
    return this.queue.length >= TTY_QUEUE - 1 && this.available > 0;
  }

  /** Bytes arrived. => never sleeps */
  input(bytes: Uint8Array): void {
    for (const c of bytes) this.inputByte(c);
    this.lastInputNs = this.k.now();
    this.out.flush();
  }

  private inputByte(byte: number): void {
    const { iflag, lflag, cc, isCanonical } = this.termios;
    let c = (iflag & ISTRIP) !== 0 ? byte & 0x7f : byte;
    if (this.isLiteral) {
      this.isLiteral = false;
      return this.keep(c);
    }
    if ((iflag & IXON) !== 0 && this.flowControl(c, iflag)) return;
    if ((lflag & ISIG) !== 0 && this.signalByte(c)) return;
    if (c === CR) {
      if ((iflag & IGNCR) !== 0) return;
      if ((iflag & ICRNL) !== 0) c = NL;
    } else if (c === NL && (iflag & INLCR) !== 0) c = CR;
    if (!isCanonical) return this.keep(c);
    if (this.edit(c)) return;
    if (c === NL) return this.endLine(c, (lflag & (ECHO | ECHONL)) !== 0);
    if (c !== DISABLED && c === cc[VEOF]) {
      this.queue.push(EOF_MARK);
      return this.commit();
    }
    if (c !== DISABLED && (c === cc[VEOL] || (c === cc[VEOL2] && (lflag & IEXTEN) !== 0))) {
      this.out.echo(c);
      return this.endLine(c, false);
    }
    this.keep(c);
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

  /** Output goes on. */
  restart(): void {
    if (!this.isStopped) return;
    this.isStopped = false;
    this.k.ctx.wakeup(this.outChan);
    this.pollers.notify(this.k.ctx);
  }

  /** ^S of TCXONC. */
  stop(): void {
    this.isStopped = true;
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
    this.lineColumn = this.out.column;
    if (this.foreground) pgsignal(this.k, this.foreground, { sig, code: SI_KERNEL });
    return true;
  }

  /** Queues and echoes a byte; it is dropped when there is no room. */
  private keep(c: number): void {
    const { isCanonical } = this.termios;
    // The last place is for the end of the line.
    if (this.queue.length >= TTY_QUEUE - 1) {
      this.out.processed(BELL);
      return;
    }
    if (isCanonical && this.queue.length === this.readyCount) this.lineColumn = this.out.column;
    this.queue.push(c);
    if (c === NL && !isCanonical && (this.termios.lflag & ECHO) !== 0) this.out.processed(c);
    else this.out.echo(c);
    if (!isCanonical) this.wakeReaders();
  }

  private endLine(c: number, doEcho: boolean): void {
    this.queue.push(c | DELIM);
    if (doEcho) this.out.processed(c);
    this.commit();
  }

  private commit(): void {
    this.readyCount = this.queue.length;
    this.lineColumn = this.out.column;
    this.wakeReaders();
  }

  private wakeReaders(): void {
    this.k.ctx.wakeup(this);
    this.pollers.notify(this.k.ctx);
  }

  // ---- editing -----------------------------------------------------------------------------------------------------

  /** => the byte was one that edits the line */
  private edit(c: number): boolean {
    const { cc, lflag } = this.termios, isExtended = (lflag & IEXTEN) !== 0;
    if (c === DISABLED) return false;
    if (c === cc[VERASE]) this.eraseChar();
    else if (c === cc[VKILL]) this.eraseLine();
    else if (c === cc[VWERASE] && isExtended) this.eraseWord();
    else if (c === cc[VREPRINT] && isExtended) this.reprint(c);
    else if (c === cc[VLNEXT] && isExtended) {
      this.isLiteral = true;
      if ((lflag & ECHO) !== 0 && (lflag & ECHOCTL) !== 0) this.out.write(Uint8Array.of(94, 8));
    } else return false;
    return true;
  }

  private get lineLength(): number {
    return this.queue.length - this.readyCount;
  }

  /** The last byte of the edited line, -1 none. */
  private get lastByte(): number {
    return this.lineLength > 0 ? this.queue[this.queue.length - 1]! : -1;
  }

  private eraseChar(): void {
    if (this.lineLength === 0) return;
    let c = this.queue.pop()!;
    if ((this.termios.iflag & IUTF8) !== 0) {
      while (isContinuation(c) && this.lineLength > 0) c = this.queue.pop()!;
    }
    const { lflag, cc } = this.termios;
    if ((lflag & ECHO) === 0) return;
    if ((lflag & ECHOE) === 0) return this.out.echo(cc[VERASE]!);
    let column = this.lineColumn;
    for (let i = this.readyCount; i < this.queue.length; i++) column += this.out.widthOf(this.queue[i]!, column);
    const width = (this.termios.iflag & IUTF8) === 0 && c >= 0x80 ? 1 : this.out.widthOf(c, column);
    this.out.rubOut(width, c === TAB);
  }

  /** Spaces before the cursor, then the word before them. */
  private eraseWord(): void {
    while (this.lastByte >= 0 && !isWordByte(this.lastByte)) this.eraseChar();
    while (isWordByte(this.lastByte)) this.eraseChar();
  }

  private eraseLine(): void {
    const { lflag, cc } = this.termios;
    if ((lflag & ECHO) !== 0 && (lflag & VISUAL_KILL) === VISUAL_KILL) {
      while (this.lineLength > 0) this.eraseChar();
      return;
    }
    this.queue.length = this.readyCount;
    this.out.echo(cc[VKILL]!);
    if ((lflag & ECHO) !== 0 && (lflag & ECHOK) !== 0) this.out.processed(NL);
    this.lineColumn = this.out.column;
  }

  private reprint(c: number): void {
    if ((this.termios.lflag & ECHO) === 0) return;
    this.out.echo(c);
    this.out.processed(NL);
    this.lineColumn = this.out.column;
    for (let i = this.readyCount; i < this.queue.length; i++) this.out.echo(this.queue[i]!);
  }

  // ---- reading -----------------------------------------------------------------------------------------------------

  /** Bytes a read could take now; in canonical mode an end-of-file mark counts as one. */
  get available(): number {
    return this.termios.isCanonical ? this.readyCount : this.queue.length;
  }

  /** FIONREAD: bytes of input, end-of-file marks not counted. */
  get readableBytes(): number {
    let n = 0;
    for (let i = 0; i < this.available; i++) if (this.queue[i] !== EOF_MARK) n++;
    return n;
  }

  /** Readable in the sense of poll. */
  get isReadable(): boolean {
    const { cc, isCanonical } = this.termios, least = isCanonical || cc[VTIME] !== 0 ? 1 : Math.max(1, cc[VMIN]!);
    return this.isHungUp || this.available >= least;
  }

  /** Takes up to n bytes: in canonical mode no more than one line. => at least one is available, or none was waited for */
  take(n: number): Uint8Array {
    const { isCanonical } = this.termios, bytes: number[] = [];
    let used = 0;
    const limit = this.available;
    while (used < limit && bytes.length < n) {
      const c = this.queue[used++]!;
      if (c !== EOF_MARK) bytes.push(c & 0xff);
      if (isCanonical && c >= DELIM) break;
    }
    // A mark right behind a full read belongs to it: else the next read would see an end of file that was not typed there.
    if (isCanonical && bytes.length === n && used < limit && this.queue[used] === EOF_MARK && this.queue[used - 1]! < DELIM) used++;
    this.queue.splice(0, used);
    this.readyCount = Math.max(0, this.readyCount - used);
    if (used > 0) this.onRoom?.();
    return Uint8Array.from(bytes);
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
      if (this.available >= (isCanonical ? 1 : least)) return 0;
      // Who asks for neither bytes nor time gets what there is, which may be nothing.
      if (!isCanonical && cc[VMIN] === 0 && timeNs === 0) return 0;
      if (isNonblocking) return !isCanonical && this.available > 0 ? 0 : -EAGAIN;
      let timeoutNs = Infinity;
      if (!isCanonical && cc[VMIN] === 0) timeoutNs = startNs + timeNs - this.k.now();
      else if (!isCanonical && timeNs > 0 && this.available > 0) timeoutNs = Math.max(startNs, this.lastInputNs) + timeNs - this.k.now();
      if (timeoutNs <= 0) return 0;
      const r = yield* this.k.ctx.sleep(this, "ttyin", { interruptible: true, timeoutNs });
      if (r === -EINTR) return r;
    }
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  get isWritable(): boolean {
    return !this.isStopped;
  }

  /** Sends bytes. => the terminal is not stopped */
  write(bytes: Uint8Array): void {
    this.out.write(bytes);
    this.lineColumn = this.out.column;
  }

  /** => 0: write; -EAGAIN, -EINTR, -EIO */
  *waitOutput(t: Thread, isNonblocking: boolean): KGen<number> {
    for (;;) {
      const error = this.checkWrite(t);
      if (error < 0) return error;
      if (!this.isStopped) return 0;
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
    this.restart();
    this.wakeReaders();
    this.k.ctx.wakeup(this.outChan);
  }

  // ---- modes -------------------------------------------------------------------------------------------------------

  /** Sets modes from a termios structure of 36 or 44 bytes. */
  setModes(bytes: Uint8Array): void {
    const was = this.termios.isCanonical;
    this.termios.load(bytes);
    this.isLiteral = false;
    if (was !== this.termios.isCanonical) {
      // What is queued can be read at once, whichever the new mode; marks mean nothing to raw readers.
      if (was) this.queue = this.queue.filter((c) => c !== EOF_MARK).map((c) => c & 0xff);
      this.readyCount = this.queue.length;
    }
    if ((this.termios.iflag & IXON) === 0) this.restart();
    this.wakeReaders();
  }

  flushInput(): void {
    this.queue.length = 0;
    this.readyCount = 0;
    this.isLiteral = false;
    this.onRoom?.();
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
