// The core-local interruptor: software interrupts and the M-mode timer.
//
//   0x0000 + 4*hart   msip       bit 0 raises the software interrupt
//   0x4000 + 8*hart   mtimecmp   the timer interrupt is pending while mtime >= mtimecmp
//   0xbff8            mtime      10 MHz; writable, by an offset to the clock
//
// Registers answer 4-byte accesses, and 8-byte ones as two halves.
import type { AccessSize, Device, IrqLine } from "./device.ts";
import { type Alarm, NS_PER_TICK, type VirtualClock } from "../time/clock.ts";

const MSIP = 0x0, MTIMECMP = 0x4000, MTIME = 0xbff8;
const TWO32 = 4294967296;

export class Clint implements Device {
  readonly name = "clint";
  readonly sizeBytes = 0x10000;
  readonly widths = 4;
  private readonly clock: VirtualClock;
  private readonly softwareLine: IrqLine;
  private readonly timerLine: IrqLine;
  private readonly alarm: Alarm;
  private msip = 0;
  private cmpLo = 0xffffffff;
  private cmpHi = 0xffffffff;
  /** Ticks added to the clock's, after a write to mtime. */
  private offsetTicks = 0;
  /** Told when mtime was moved, since stimecmp compares with it too. */
  onTimeMoved: (() => void) | null = null;

  constructor(clock: VirtualClock, softwareLine: IrqLine, timerLine: IrqLine) {
    this.clock = clock;
    this.softwareLine = softwareLine;
    this.timerLine = timerLine;
    this.alarm = clock.alarm(() => this.updateTimer());
  }

  /** The value of mtime, which the `time` CSR shows. Exact below 2^53. */
  mtime(): number {
    return this.clock.mtime() + this.offsetTicks;
  }

  /** => the clock's nanosecond at which mtime first reaches `ticks` */
  nsOfTick(ticks: number): number {
    return (ticks - this.offsetTicks) * NS_PER_TICK;
  }

  read(offset: number, _size: AccessSize): number {
    switch (offset) {
      case MSIP: return this.msip;
      case MTIMECMP: return this.cmpLo;
      case MTIMECMP + 4: return this.cmpHi;
      case MTIME: return this.mtime() % TWO32;
      case MTIME + 4: return Math.floor(this.mtime() / TWO32);
      default: return 0;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const word = value >>> 0;
    switch (offset) {
      case MSIP:
        this.msip = word & 1;
        this.softwareLine(this.msip === 1);
        break;
      case MTIMECMP: this.cmpLo = word; this.updateTimer(); break;
      case MTIMECMP + 4: this.cmpHi = word; this.updateTimer(); break;
      case MTIME: this.setTime(Math.floor(this.mtime() / TWO32) * TWO32 + word); break;
      case MTIME + 4: this.setTime((word & 0x1fffff) * TWO32 + this.mtime() % TWO32); break;
    }
  }

  reset(): void {
    this.msip = 0;
    this.cmpLo = this.cmpHi = 0xffffffff;
    this.offsetTicks = 0;
    this.softwareLine(false);
    this.updateTimer();
  }

  private setTime(ticks: number): void {
    this.offsetTicks = ticks - this.clock.mtime();
    this.updateTimer();
    if (this.onTimeMoved !== null) this.onTimeMoved();
  }

  /** Drives the timer line for this instant, and arms the alarm for the instant it rises. */
  private updateTimer(): void {
    const compare = this.cmpHi * TWO32 + this.cmpLo;
    const pending = this.mtime() >= compare;
    this.timerLine(pending);
    // Beyond 2^53 ticks nothing comes: that is how guests say "never".
    if (pending || this.cmpHi >= 0x200000) this.alarm.cancel();
    else this.alarm.set(this.nsOfTick(compare));
  }
}
