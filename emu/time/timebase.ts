// mtime, and the comparators that interrupt when it reaches a value: CLINT's mtimecmp and the hart's stimecmp.
import { type Alarm, NS_PER_TICK, type VirtualClock } from "./clock.ts";
import type { IrqLine } from "../dev/device.ts";

const TWO32 = 4294967296;
/** High words from here on mean "never": 2^53 ticks are 28 years. */
const NEVER_HIGH = 0x200000;

/** The 10 MHz counter: the virtual clock in ticks, moved by what software wrote to mtime. */
export class Timebase {
  readonly clock: VirtualClock;
  private offsetTicks = 0;
  private readonly comparators: Comparator[] = [];

  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  /** Exact below 2^53. */
  mtime(): number {
    return this.clock.mtime() + this.offsetTicks;
  }

  /** => the clock's nanosecond at which mtime first reaches `ticks` */
  nsOfTick(ticks: number): number {
    return (ticks - this.offsetTicks) * NS_PER_TICK;
  }

  setTime(ticks: number): void {
    this.offsetTicks = ticks - this.clock.mtime();
    for (const comparator of this.comparators) comparator.update();
  }

  comparator(line: IrqLine): Comparator {
    const comparator = new Comparator(this, line);
    this.comparators.push(comparator);
    return comparator;
  }
}

/** Drives a line high while mtime >= its value. */
export class Comparator {
  lo = 0xffffffff;
  hi = 0xffffffff;
  private readonly timebase: Timebase;
  private readonly line: IrqLine;
  private readonly alarm: Alarm;

  constructor(timebase: Timebase, line: IrqLine) {
    this.timebase = timebase;
    this.line = line;
    this.alarm = timebase.clock.alarm(() => this.update());
  }

  set(lo: number, hi: number): void {
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
    this.update();
  }

  /** Drives the line for this instant, and arms the alarm for the instant it rises. */
  update(): void {
    const compare = this.hi * TWO32 + this.lo;
    const pending = this.timebase.mtime() >= compare;
    if (pending || this.hi >= NEVER_HIGH) this.alarm.cancel();
    else this.alarm.set(this.timebase.nsOfTick(compare));
    this.line(pending);
  }
}
