// TtyBox: a terminal without a device, whose keyboard is the test and whose screen is a string.
import { type OpenFile, O_NONBLOCK, O_RDWR } from "../../kernel/kern/file.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import { ECHO, ICANON, ISIG, TERMIOS_BYTES, VMIN, VTIME } from "../../kernel/kern/termios.ts";
import { Tty } from "../../kernel/kern/tty.ts";
import { openTty } from "../../kernel/kern/ttyops.ts";
import { latin1, toBytes } from "../../kernel/uvm/uio.ts";
import { KernBox, USER_VA } from "./kernbox.ts";

export class TtyBox extends KernBox {
  readonly tty: Tty;
  readonly file: OpenFile;
  private screen = "";

  constructor() {
    super();
    this.mapUser(1);
    this.tty = new Tty(this.k, "console", 0x501, (bytes) => (this.screen += latin1(bytes)));
    this.file = openTty(this.k, this.tty, null, O_RDWR, this.me.mainThread) as OpenFile;
  }

  type(text: string): void {
    this.tty.input(toBytes(text));
    this.sched.settle();
  }

  /** What appeared since it was asked last. */
  get shown(): string {
    const s = this.screen;
    this.screen = "";
    return s;
  }

  /** What typing shows. */
  echo(text: string): string {
    this.screen = "";
    this.type(text);
    return this.shown;
  }

  /** Changes modes: flags to set, flags to clear. */
  modes(on: { i?: number; o?: number; l?: number }, off: { i?: number; o?: number; l?: number } = {}, cc: readonly (readonly [number, number])[] = []): void {
    const b = this.tty.termios.save(TERMIOS_BYTES), d = new DataView(b.buffer);
    (["i", "o", "", "l"] as const).forEach((k, n) => k !== "" && d.setUint32(4 * n, (d.getUint32(4 * n, true) & ~(off[k] ?? 0)) | (on[k] ?? 0), true));
    for (const [at, c] of cc) b[17 + at] = c;
    this.tty.setModes(b);
  }

  raw(min: number, time: number): void {
    this.modes({}, { l: ICANON | ECHO | ISIG }, [[VMIN, min], [VTIME, time]]);
  }

  reader(n = 100) { return this.begin(this.reading(this.file, n)); }
  get now(): string | number { return this.with(O_NONBLOCK, () => this.read(this.file, 5000)); }
  with<T>(flags: number, act: () => T): T {
    this.file.flags |= flags;
    const r = act();
    this.file.flags &= ~flags;
    return r;
  }

  ioctl(cmd: number, arg = USER_VA, p: Process = this.me): number {
    return this.run(this.file.ops.ioctl!(this.file, cmd, arg, p.mainThread), p);
  }

  int(cmd: number): number {
    const r = this.ioctl(cmd);
    return r < 0 ? r : this.peek(USER_VA, 4).getInt32(0, true);
  }

  /** Signals that wait for a process, taken off. */
  signals(p: Process): number[] {
    const list = Array.from({ length: 31 }, (_, i) => i + 1).filter((s) => p.pending.set.has(s));
    for (const s of list) p.pending.discard(s);
    return list;
  }
}
