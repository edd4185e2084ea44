// The goldfish real-time clock: nanoseconds since 1970, from the virtual clock plus the epoch the machine was given.
//
//   0x00 TIME_LOW   reading latches TIME_HIGH     0x08 ALARM_LOW   writing arms     0x10 IRQ_ENABLED
//   0x04 TIME_HIGH                                0x0c ALARM_HIGH  write first      0x14 CLEAR_ALARM
//   0x18 ALARM_STATUS (armed)                     0x1c CLEAR_INTERRUPT
//
// Nanoseconds since 1970 do not fit a JS number exactly, and nobody reads this often: they are BigInts here.
import type { AccessSize, Device, IrqLine } from "./device.ts";
import type { Alarm, VirtualClock } from "../time/clock.ts";

const TIME_LOW = 0x00, TIME_HIGH = 0x04, ALARM_LOW = 0x08, ALARM_HIGH = 0x0c;
const IRQ_ENABLED = 0x10, CLEAR_ALARM = 0x14, ALARM_STATUS = 0x18, CLEAR_INTERRUPT = 0x1c;

/** 2026-01-01T00:00:00Z: where guests' clocks start when nobody says otherwise, so that runs repeat. */
export const DEFAULT_EPOCH_SECONDS = 1_767_225_600;

export class GoldfishRtc implements Device {
  readonly name = "rtc";
  readonly sizeBytes = 0x1000;
  readonly widths = 4;
  private readonly clock: VirtualClock;
  private readonly irq: IrqLine;
  private readonly alarm: Alarm;
  private offsetNs: bigint;
  private latchedHigh = 0;
  private setHigh = 0;
  private alarmHigh = 0;
  private alarmLow = 0;
  private irqEnabled = 0;
  private raised = false;

  constructor(clock: VirtualClock, irq: IrqLine, epochSeconds = DEFAULT_EPOCH_SECONDS) {
    this.clock = clock;
    this.irq = irq;
    this.offsetNs = BigInt(Math.round(epochSeconds * 1000)) * 1_000_000n;
    this.alarm = clock.alarm(() => {
      this.raised = true;
      this.update();
    });
  }

  private nowNs(): bigint {
    return BigInt(Math.floor(this.clock.now)) + this.offsetNs;
  }

  read(offset: number, _size: AccessSize): number {
    switch (offset) {
      case TIME_LOW: {
        const now = this.nowNs();
        this.latchedHigh = Number((now >> 32n) & 0xffffffffn);
        return Number(now & 0xffffffffn);
      }
      case TIME_HIGH: return this.latchedHigh;
      case ALARM_LOW: return this.alarmLow;
      case ALARM_HIGH: return this.alarmHigh;
      case IRQ_ENABLED: return this.irqEnabled;
      case ALARM_STATUS: return this.alarm.atNs === Infinity ? 0 : 1;
      default: return 0;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const word = value >>> 0;
    switch (offset) {
      case TIME_LOW: this.offsetNs = ((BigInt(this.setHigh) << 32n) | BigInt(word)) - BigInt(Math.floor(this.clock.now)); break;
      case TIME_HIGH: this.setHigh = word; break;
      case ALARM_LOW:
        this.alarmLow = word;
        this.arm();
        break;
      case ALARM_HIGH: this.alarmHigh = word; break;
      case IRQ_ENABLED: this.irqEnabled = word & 1; break;
      case CLEAR_ALARM: this.alarm.cancel(); break;
      case CLEAR_INTERRUPT: this.raised = false; break;
    }
    this.update();
  }

  reset(): void {
    this.alarm.cancel();
    this.irqEnabled = this.alarmHigh = this.alarmLow = 0;
    this.raised = false;
    this.update();
  }

  private arm(): void {
    const at = (BigInt(this.alarmHigh) << 32n) | BigInt(this.alarmLow), wait = at - this.nowNs();
    if (wait <= 0n) {
      this.alarm.cancel();
      this.raised = true;
    } else this.alarm.set(this.clock.now + Number(wait));
  }

  private update(): void {
    this.irq(this.raised && this.irqEnabled !== 0);
  }
}
