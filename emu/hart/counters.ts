// Cycle, instruction and time counters. A cycle is an instruction; time is the board's mtime.
//
// A counter is the hart's retired instructions plus an offset that writes set, or a frozen value while inhibited.
import { CYCLE, INSTRET, MCOUNTINHIBIT, MCYCLE, MINSTRET, STIMECMP, TIME } from "./csrnum.ts";
import type { InsnCounter } from "../time/clock.ts";
import type { Comparator, Timebase } from "../time/timebase.ts";

const TWO32 = 4294967296;
const INHIBIT_CYCLE = 1, INHIBIT_INSTRET = 4;

export class Counters {
  /** The halves of the last read. */
  lo = 0;
  hi = 0;
  mcountinhibit = 0;
  /** 1 while a CSR instruction writes: it retires after the write, which must not count it. */
  bias = 0;
  readonly stimecmp: Comparator;
  private readonly counter: InsnCounter;
  private readonly timebase: Timebase;
  /** [cycle, instret]: offset to the retired count, or the value itself while frozen; halves. */
  private readonly offset = new Int32Array(4);

  constructor(counter: InsnCounter, timebase: Timebase, stimecmp: Comparator) {
    this.counter = counter;
    this.timebase = timebase;
    this.stimecmp = stimecmp;
  }

  reset(): void {
    this.mcountinhibit = 0;
    this.offset.fill(0);
    this.stimecmp.set(0xffffffff, 0xffffffff);
  }

  /** => false when the register is not one of these */
  read(n: number): boolean {
    switch (n) {
      case CYCLE: case MCYCLE: this.current(0, 0); return true;
      case INSTRET: case MINSTRET: this.current(1, 0); return true;
      case TIME: return this.split(this.timebase.mtime());
      case STIMECMP:
        this.lo = this.stimecmp.lo | 0;
        this.hi = this.stimecmp.hi | 0;
        return true;
      case MCOUNTINHIBIT: return this.split(this.mcountinhibit);
      default: return false;
    }
  }

  write(n: number, lo: number, hi: number): boolean {
    switch (n) {
      case MCYCLE: this.setCurrent(0, lo, hi); return true;
      case MINSTRET: this.setCurrent(1, lo, hi); return true;
      case STIMECMP: this.stimecmp.set(lo, hi); return true;
      case MCOUNTINHIBIT: this.inhibit(lo & (INHIBIT_CYCLE | INHIBIT_INSTRET)); return true;
      case CYCLE: case INSTRET: case TIME: return true;
      default: return false;
    }
  }

  private split(n: number): true {
    this.lo = n % TWO32 | 0;
    this.hi = Math.floor(n / TWO32) | 0;
    return true;
  }

  private frozen(which: number): boolean {
    return (this.mcountinhibit & (which === 0 ? INHIBIT_CYCLE : INHIBIT_INSTRET)) !== 0;
  }

  /** Puts a counter into lo and hi. */
  private current(which: number, bias: number): void {
    const offLo = this.offset[2 * which]!, offHi = this.offset[2 * which + 1]!;
    if (this.frozen(which)) {
      this.lo = offLo;
      this.hi = offHi;
      return;
    }
    this.split(this.counter.instret + bias);
    const sum = (this.lo >>> 0) + (offLo >>> 0);
    this.hi = (this.hi + offHi + (sum >= TWO32 ? 1 : 0)) | 0;
    this.lo = sum | 0;
  }

  private setCurrent(which: number, lo: number, hi: number): void {
    if (!this.frozen(which)) {
      const now = this.counter.instret + this.bias;
      const nowLo = now % TWO32, difference = (lo >>> 0) - nowLo;
      hi = (hi - Math.floor(now / TWO32) - (difference < 0 ? 1 : 0)) | 0;
      lo = difference | 0;
    }
    this.offset[2 * which] = lo;
    this.offset[2 * which + 1] = hi;
  }

  private inhibit(bits: number): void {
    for (let which = 0; which < 2; which++) {
      this.current(which, this.bias);
      const { lo, hi } = this, old = this.mcountinhibit;
      this.mcountinhibit = bits;
      this.setCurrent(which, lo, hi);
      if (which === 0) this.mcountinhibit = old;
    }
  }
}
