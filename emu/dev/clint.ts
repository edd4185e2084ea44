// The core-local interruptor: software interrupts and the M-mode timer.
//
//   0x0000   msip       bit 0 raises the software interrupt
//   0x4000   mtimecmp   the timer interrupt is pending while mtime >= mtimecmp
//   0xbff8   mtime      10 MHz; writable
//
// Registers answer 4-byte accesses, and 8-byte ones as two halves. Those of harts that do not exist read 0.
import type { AccessSize, Device, IrqLine } from "./device.ts";
import type { Comparator, Timebase } from "../time/timebase.ts";

const MSIP = 0x0, MTIMECMP = 0x4000, MTIME = 0xbff8;
const TWO32 = 4294967296;

export class Clint implements Device {
  readonly name = "clint";
  readonly sizeBytes = 0x10000;
  readonly widths = 4;
  private readonly timebase: Timebase;
  private readonly softwareLine: IrqLine;
  private readonly compare: Comparator;
  private msip = 0;

  constructor(timebase: Timebase, softwareLine: IrqLine, timerLine: IrqLine) {
    this.timebase = timebase;
    this.softwareLine = softwareLine;
    this.compare = timebase.comparator(timerLine);
  }

  read(offset: number, _size: AccessSize): number {
    switch (offset) {
      case MSIP: return this.msip;
      case MTIMECMP: return this.compare.lo;
      case MTIMECMP + 4: return this.compare.hi;
      case MTIME: return this.timebase.mtime() % TWO32;
      case MTIME + 4: return Math.floor(this.timebase.mtime() / TWO32);
      default: return 0;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const { compare, timebase } = this, word = value >>> 0;
    switch (offset) {
      case MSIP:
        this.msip = word & 1;
        this.softwareLine(this.msip === 1);
        break;
      case MTIMECMP: compare.set(word, compare.hi); break;
      case MTIMECMP + 4: compare.set(compare.lo, word); break;
      case MTIME: timebase.setTime(Math.floor(timebase.mtime() / TWO32) * TWO32 + word); break;
      case MTIME + 4: timebase.setTime((word & 0x1fffff) * TWO32 + timebase.mtime() % TWO32); break;
    }
  }

  reset(): void {
    this.msip = 0;
    this.softwareLine(false);
    this.compare.set(0xffffffff, 0xffffffff);
  }
}
