// struct termios of Linux riscv64: flags, control characters, and their bytes.
//
//   0 c_iflag   4 c_oflag   8 c_cflag   12 c_lflag   16 c_line   17 c_cc[19]   = 36    termios2: 36 c_ispeed   40 c_ospeed = 44
export const IGNBRK = 1, BRKINT = 2, PARMRK = 8, ISTRIP = 0x20, INLCR = 0x40, IGNCR = 0x80, ICRNL = 0x100, IUCLC = 0x200, IXON = 0x400, IXANY = 0x800;
export const IXOFF = 0x1000, IMAXBEL = 0x2000, IUTF8 = 0x4000;
export const OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 8, ONOCR = 0x10, ONLRET = 0x20, TABDLY = 0x1800, XTABS = 0x1800;
export const CBAUD = 0x100f, CS8 = 0x30, CREAD = 0x80, HUPCL = 0x400, CLOCAL = 0x800, B115200 = 0x1002;
export const ISIG = 1, ICANON = 2, ECHO = 8, ECHOE = 0x10, ECHOK = 0x20, ECHONL = 0x40, NOFLSH = 0x80, TOSTOP = 0x100, ECHOCTL = 0x200;
export const ECHOPRT = 0x400, ECHOKE = 0x800, IEXTEN = 0x8000;

/** Indices of c_cc. */
export const VINTR = 0, VQUIT = 1, VERASE = 2, VKILL = 3, VEOF = 4, VTIME = 5, VMIN = 6, VSTART = 8, VSTOP = 9, VSUSP = 10, VEOL = 11;
export const VREPRINT = 12, VDISCARD = 13, VWERASE = 14, VLNEXT = 15, VEOL2 = 16, NCC = 19;

/** ioctl requests of terminals. */
export const TCGETS = 0x5401, TCSETS = 0x5402, TCSETSW = 0x5403, TCSETSF = 0x5404, TCSBRK = 0x5409, TCXONC = 0x540a, TCFLSH = 0x540b;
export const TIOCEXCL = 0x540c, TIOCNXCL = 0x540d, TIOCSCTTY = 0x540e, TIOCGPGRP = 0x540f, TIOCSPGRP = 0x5410, TIOCOUTQ = 0x5411, TIOCSTI = 0x5412;
export const TIOCGWINSZ = 0x5413, TIOCSWINSZ = 0x5414, FIONREAD = 0x541b, TIOCNOTTY = 0x5422, TIOCSETD = 0x5423, TIOCGETD = 0x5424, TCSBRKP = 0x5425;
export const TIOCGSID = 0x5429, TCGETS2 = 0x802c542a, TCSETS2 = 0x402c542b, TCSETSW2 = 0x402c542c, TCSETSF2 = 0x402c542d;

export const TERMIOS_BYTES = 36, TERMIOS2_BYTES = 44, WINSIZE_BYTES = 8;

/** A control character that is off. */
export const DISABLED = 0;

const DEFAULT_CC: readonly (readonly [number, number])[] = [[VINTR, 3], [VQUIT, 28], [VERASE, 127], [VKILL, 21], [VEOF, 4], [VMIN, 1], [VSTART, 17],
  [VSTOP, 19], [VSUSP, 26], [VREPRINT, 18], [VDISCARD, 15], [VWERASE, 23], [VLNEXT, 22]];

/** Modes of a terminal; as new: canonical, with echo and signals, 115200 baud. */
export class Termios {
  iflag = ICRNL | IXON;
  oflag = OPOST | ONLCR;
  cflag = B115200 | CS8 | CREAD | HUPCL | CLOCAL;
  lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  line = 0;
  readonly cc = new Uint8Array(NCC);
  ispeed = 115200;
  ospeed = 115200;

  constructor() {
    for (const [i, c] of DEFAULT_CC) this.cc[i] = c;
  }

  get isCanonical(): boolean {
    return (this.lflag & ICANON) !== 0;
  }

  /** The structure: 36 bytes, or 44 for termios2. */
  save(lenBytes: number): Uint8Array {
    const bytes = new Uint8Array(lenBytes), d = new DataView(bytes.buffer);
    [this.iflag, this.oflag, this.cflag, this.lflag].forEach((v, i) => d.setUint32(4 * i, v, true));
    bytes[16] = this.line;
    bytes.set(this.cc, 17);
    if (lenBytes < TERMIOS2_BYTES) return bytes;
    d.setUint32(36, this.ispeed, true);
    d.setUint32(40, this.ospeed, true);
    return bytes;
  }

  /** => 36 or 44 bytes */
  load(bytes: Uint8Array): void {
    const d = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.iflag = d.getUint32(0, true);
    this.oflag = d.getUint32(4, true);
    this.cflag = d.getUint32(8, true);
    this.lflag = d.getUint32(12, true);
    this.line = bytes[16]!;
    this.cc.set(bytes.subarray(17, 17 + NCC));
    if (bytes.length < TERMIOS2_BYTES) return;
    this.ispeed = d.getUint32(36, true);
    this.ospeed = d.getUint32(40, true);
  }
}
