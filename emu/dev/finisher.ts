// SiFive's test finisher: one register with which a guest ends the machine.
//
//   0x5555            power off, status 0
//   code << 16 | 0x3333   power off, status code
//   0x7777            reset
import type { AccessSize, Device } from "./device.ts";

const PASS = 0x5555, FAIL = 0x3333, RESET = 0x7777;

/** What the finisher may do to its machine. */
export interface PowerSwitch {
  halt(code: number): void;
  requestReset(): void;
}

export class Finisher implements Device {
  readonly name = "finisher";
  readonly sizeBytes = 0x1000;
  readonly widths = 2 | 4;
  private readonly power: PowerSwitch;

  constructor(power: PowerSwitch) {
    this.power = power;
  }

  read(_offset: number, _size: AccessSize): number {
    return 0;
  }

  write(offset: number, _size: AccessSize, value: number): void {
    if (offset !== 0) return;
    const status = value & 0xffff;
    if (status === PASS) this.power.halt(0);
    else if (status === FAIL) this.power.halt(value >>> 16);
    else if (status === RESET) this.power.requestReset();
  }
}
