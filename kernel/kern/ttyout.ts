// The output side of a terminal: what OPOST does to bytes, where the cursor stands, and how input is echoed.
import {
  ECHO, ECHOCTL, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, type Termios, XTABS,
} from "./termios.ts";

const BS = 8, TAB = 9, NL = 10, CR = 13, SPACE = 32, DEL = 127;

export const isControl = (c: number): boolean => c < SPACE || c === DEL;
/** The second and later bytes of a UTF-8 character. */
export const isContinuation = (c: number): boolean => (c & 0xc0) === 0x80;

export class TtyOutput {
  /** Column of the cursor, from 0; it is a guess where programs send escape sequences. */
  column = 0;
  private readonly termios: Termios;
  private readonly send: (bytes: Uint8Array) => void;
  private readonly buffer = new Uint8Array(256);
  private used = 0;

  constructor(termios: Termios, send: (bytes: Uint8Array) => void) {
    this.termios = termios;
    this.send = send;
  }

  /** Sends bytes as a program wrote them, through OPOST. */
  write(bytes: Uint8Array): void {
    if ((this.termios.oflag & OPOST) === 0) {
      for (const c of bytes) this.emit(c);
    } else for (const c of bytes) this.process(c);
    this.flush();
  }

  flush(): void {
    if (this.used === 0) return;
    this.send(this.buffer.slice(0, this.used));
    this.used = 0;
  }

  private raw(c: number): void {
    if (this.used === this.buffer.length) this.flush();
    this.buffer[this.used++] = c;
  }

  /** A byte to the device, and what it does to the cursor. */
  private emit(c: number): void {
    if (c === CR) this.column = 0;
    else if (c === BS) this.column = Math.max(0, this.column - 1);
    else if (c === TAB) this.column = (this.column | 7) + 1;
    else if (c >= SPACE && c !== DEL && !isContinuation(c)) this.column++;
    this.raw(c);
  }

  private process(c: number): void {
    const { oflag } = this.termios;
    if (c === NL) {
      if ((oflag & ONLCR) !== 0) this.emit(CR);
      else if ((oflag & ONLRET) !== 0) this.column = 0;
      this.emit(NL);
    } else if (c === CR) {
      if ((oflag & ONOCR) !== 0 && this.column === 0) return;
      if ((oflag & OCRNL) !== 0) this.process1(NL);
      else this.emit(CR);
    } else if (c === TAB && (oflag & TABDLY) === XTABS) {
      do this.emit(SPACE); while ((this.column & 7) !== 0);
    } else this.emit((oflag & OLCUC) !== 0 && c >= 97 && c <= 122 ? c - 32 : c);
  }

  /** A newline made of a carriage return. */
  private process1(c: number): void {
    if ((this.termios.oflag & ONLRET) !== 0) this.column = 0;
    this.emit(c);
  }

  /** A byte for the other side, not for the screen. */
  control(c: number): void {
    this.raw(c);
    this.flush();
  }

  // ---- echo; the caller flushes ----

  /** Echoes an input byte that is kept: control characters as ^X. */
  echo(c: number): void {
    const { lflag } = this.termios;
    if ((lflag & ECHO) === 0) return;
    if ((lflag & ECHOCTL) !== 0 && isControl(c) && c !== TAB) {
      this.emit(94);
      this.emit(c ^ 0x40);
    } else this.processed(c);
  }

  /** A byte through OPOST if that is on. */
  processed(c: number): void {
    if ((this.termios.oflag & OPOST) !== 0) this.process(c);
    else this.emit(c);
  }

  /** Columns that `echo` of c takes with the cursor at `column`. */
  widthOf(c: number, column: number): number {
    if (c === TAB) return ((column | 7) + 1) - column;
    if (isControl(c)) return (this.termios.lflag & ECHOCTL) !== 0 ? 2 : 0;
    return isContinuation(c) ? 0 : 1;
  }

  /** Takes n columns off the screen, to the left of the cursor; a tab is only stepped back over. */
  rubOut(n: number, isTab: boolean): void {
    for (let i = 0; i < n; i++) {
      this.emit(BS);
      if (isTab) continue;
      this.emit(SPACE);
      this.emit(BS);
    }
  }
}
