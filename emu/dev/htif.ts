// HTIF: a word of RAM named `tohost` through which bare test programs end, and print.
//
//   value & 1                     end, with status value >> 1
//   device 1, command 1 (63:48)   write the low byte to the console
import type { ByteStream } from "./device.ts";
import type { PowerSwitch } from "./finisher.ts";
import type { Ram } from "../bus/ram.ts";

const CONSOLE_WRITE = 0x0101;

export class Htif {
  private readonly ram: Ram;
  private readonly at: number;
  private readonly power: PowerSwitch;
  private readonly console: ByteStream;

  /** => tohostPa is the address of 8 aligned bytes in RAM */
  constructor(ram: Ram, tohostPa: number, power: PowerSwitch, console: ByteStream) {
    this.ram = ram;
    this.at = (tohostPa - ram.base) / 4;
    this.power = power;
    this.console = console;
  }

  /** Something was stored on the page of `tohost`. */
  look(): void {
    const { i32 } = this.ram, lo = i32[this.at]!, hi = i32[this.at + 1]!;
    if (lo === 0 && hi === 0) return;
    if ((lo & 1) !== 0 && hi >>> 16 === 0) return this.power.halt(lo >>> 1);
    if (hi >>> 16 !== CONSOLE_WRITE) return;
    this.console.write(Uint8Array.of(lo & 0xff));
    i32[this.at] = i32[this.at + 1] = 0;
  }
}
