// The input of a terminal that waits to be read, and the editing of the line that is typed.
//
//   queue:  [ ......... lines that are complete ......... | the line that is edited ]      canonical
//                                                         └ readyCount
//           [ .............. every byte .................. ]                                raw: readyCount is not used
//
// A queued byte that ends a line carries DELIM; the end-of-file mark is EOF_MARK, which no read returns.
import {
  DISABLED, ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHOPRT, IEXTEN, IUTF8, type Termios, VERASE, VKILL, VLNEXT, VREPRINT, VWERASE,
} from "./termios.ts";
import { isContinuation, type TtyOutput } from "./ttyout.ts";

/** Most bytes of input that wait to be read; also the longest line, with its end. */
export const TTY_QUEUE = 4096;
const DELIM = 0x100, EOF_MARK = 0x200;
/** The line vanishes from the screen when all of these are set. */
const VISUAL_KILL = ECHOE | ECHOK | ECHOKE;
const BELL = 7, TAB = 9, NL = 10, BACKSLASH = 92, SLASH = 47;

const isWordByte = (c: number): boolean => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95 || c >= 128;

export class TtyLine {
  private readonly termios: Termios;
  private readonly out: TtyOutput;
  private queue: number[] = [];
  private readyCount = 0;
  /** ^V was typed: the next byte is taken as it is. */
  isLiteral = false;
  /** Column at which the edited line began. */
  private lineColumn = 0;
  /** ECHOPRT: a backslash was shown, and what is erased is shown behind it. */
  private isErasing = false;

  constructor(termios: Termios, out: TtyOutput) {
    this.termios = termios;
    this.out = out;
  }

  /** Every place is taken, but for that of the end of the line. */
  get isFull(): boolean {
    return this.queue.length >= TTY_QUEUE - 1;
  }

  get lenBytes(): number {
    return this.queue.length;
  }

  // ---- what is typed ----

  /** Queues and echoes a byte; it is dropped when there is no room. */
  keep(c: number): void {
    const { isCanonical } = this.termios;
    this.finishErasing();
    // The last place is for the end of the line.
    if (this.isFull) {
      this.out.processed(BELL);
      return;
    }
    if (isCanonical && this.queue.length === this.readyCount) this.lineColumn = this.out.column;
    this.queue.push(c);
    if (c === NL && !isCanonical && (this.termios.lflag & ECHO) !== 0) this.out.processed(c);
    else this.out.echo(c);
  }

  /** A queued byte that is not shown again. */
  keepMark(c: number): void {
    if (!this.isFull) this.queue.push(c);
  }

  /** The line ends with c. */
  endLine(c: number, doEcho: boolean): void {
    this.finishErasing();
    this.queue.push(c | DELIM);
    if (doEcho) this.out.processed(c);
    this.commit();
  }

  /** The line ends here, without a byte: what was typed can be read, or an end of file. */
  endFile(): void {
    this.queue.push(EOF_MARK);
    this.commit();
  }

  private commit(): void {
    this.readyCount = this.queue.length;
    this.noteColumn();
  }

  /** The edited line begins where the cursor is now. */
  noteColumn(): void {
    this.lineColumn = this.out.column;
  }

  // ---- editing ----

  /** => the byte was one that edits the line */
  edit(c: number): boolean {
    const { cc, lflag } = this.termios, isExtended = (lflag & IEXTEN) !== 0;
    if (c === DISABLED) return false;
    if (c !== cc[VERASE] && (c !== cc[VWERASE] || !isExtended)) this.finishErasing();
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
    const erased = [c];
    if ((this.termios.iflag & IUTF8) !== 0) {
      while (isContinuation(c) && this.lineLength > 0) erased.unshift(c = this.queue.pop()!);
    }
    const { lflag, cc } = this.termios;
    if ((lflag & ECHO) === 0) return;
    if ((lflag & ECHOPRT) !== 0) return this.showErased(erased);
    if ((lflag & ECHOE) === 0) return this.out.echo(cc[VERASE]!);
    let column = this.lineColumn;
    for (let i = this.readyCount; i < this.queue.length; i++) column += this.out.widthOf(this.queue[i]!, column);
    const width = (this.termios.iflag & IUTF8) === 0 && c >= 0x80 ? 1 : this.out.widthOf(c, column);
    this.out.rubOut(width, c === TAB);
  }

  /** ECHOPRT, for paper: what is erased is printed again, between a backslash and a slash. */
  private showErased(erased: readonly number[]): void {
    if (!this.isErasing) this.out.processed(BACKSLASH);
    this.isErasing = true;
    for (const c of erased) this.out.echo(c);
  }

  private finishErasing(): void {
    if (this.isErasing) this.out.processed(SLASH);
    this.isErasing = false;
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

  // ---- reading ----

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
    return Uint8Array.from(bytes);
  }

  /** The mode changed: what is queued can be read at once, whichever the new one; marks mean nothing to raw readers. */
  modeChanged(): void {
    if (!this.termios.isCanonical) this.queue = this.queue.filter((c) => c !== EOF_MARK).map((c) => c & 0xff);
    this.readyCount = this.queue.length;
  }

  flush(): void {
    this.queue.length = 0;
    this.readyCount = 0;
    this.isLiteral = false;
    this.isErasing = false;
  }
}
