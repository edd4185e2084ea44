// HTIF: two words of RAM through which bare test programs end, print and ask, as in Spike.
//
//   tohost    63:56 device | 55:48 command | 47:0 payload        written by the program, zeroed when it was taken
//   fromhost  the same shape                                     written here as the answer, zeroed by the program
//
//   device 0, command 0    payload & 1: end, with status payload >> 1. Else the address of eight 64-bit words, number, arguments:
//                          a proxied system call. Its result goes to the first word, then 1 to fromhost. write(1 or 2) and exit
//                          are there; others answer ENOSYS.
//   device 1, command 1    write the low byte to the console. No answer, as in Spike: the zeroed tohost is enough
//   device 1, command 0    read a byte: answered with 0x100 | byte; a byte that is not there yet is looked for at each later request
import type { ByteStream } from "./device.ts";
import type { PowerSwitch } from "./finisher.ts";
import type { Ram } from "../bus/ram.ts";

const SYSCALL = 0x0000, CONSOLE_READ = 0x0100, CONSOLE_WRITE = 0x0101, SYS_WRITE = 64, SYS_EXIT = 93, EBADF = 9, EFAULT = 14, ENOSYS = 38;

export class Htif {
  private readonly ram: Ram;
  private readonly at: number;
  private readonly fromAt: number;
  private readonly power: PowerSwitch;
  private readonly console: ByteStream;
  private isReading = false;

  /** => the addresses are of 8 aligned bytes in RAM each; fromhostPa null: nothing is answered */
  constructor(ram: Ram, tohostPa: number, fromhostPa: number | null, power: PowerSwitch, console: ByteStream) {
    this.ram = ram;
    this.at = (tohostPa - ram.base) / 4;
    this.fromAt = fromhostPa === null ? -1 : (fromhostPa - ram.base) / 4;
    this.power = power;
    this.console = console;
  }

  /** Something was stored on the page of `tohost`. */
  look(): void {
    const { i32 } = this.ram, lo = i32[this.at]!, hi = i32[this.at + 1]!;
    if (this.isReading) this.readByte();
    if (lo === 0 && hi === 0) return;
    const kind = hi >>> 16;
    if (kind === SYSCALL && (lo & 1) !== 0) return this.power.halt(lo >>> 1);
    if (kind !== SYSCALL && kind !== CONSOLE_WRITE && kind !== CONSOLE_READ) return;
    i32[this.at] = i32[this.at + 1] = 0;
    if (kind === CONSOLE_WRITE) this.console.write(Uint8Array.of(lo & 0xff));
    else if (kind === CONSOLE_READ) {
      this.isReading = true;
      this.readByte();
    } else this.proxy((lo >>> 0) + (hi & 0xffff) * 2 ** 32);
  }

  private answer(kind: number, payload: number): void {
    if (this.fromAt < 0) return;
    this.ram.i32[this.fromAt] = payload;
    this.ram.i32[this.fromAt + 1] = kind << 16;
  }

  private readByte(): void {
    const byte = new Uint8Array(1);
    // The last answer was not taken yet.
    if (this.fromAt < 0 || this.ram.i32[this.fromAt] !== 0 || this.ram.i32[this.fromAt + 1] !== 0 || this.console.read(byte) !== 1) return;
    this.isReading = false;
    this.answer(CONSOLE_READ, 0x100 | byte[0]!);
  }

  /** A system call whose number and arguments lie at `pa`. A wild address is not answered. */
  private proxy(pa: number): void {
    const { ram } = this, at = (pa - ram.base) / 8;
    if (!Number.isInteger(at) || at < 0 || 8 * at + 64 > ram.size) return;
    const [nr, a0, a1, a2] = ram.i64.subarray(at, at + 4) as unknown as bigint[];
    if (nr === BigInt(SYS_EXIT)) return this.power.halt(Number(BigInt.asUintN(31, a0!)));
    ram.i64[at] = BigInt(nr === BigInt(SYS_WRITE) ? this.write(Number(a0), Number(a1), Number(a2)) : -ENOSYS);
    this.answer(SYSCALL, 1);
  }

  private write(fd: number, pa: number, len: number): number {
    const { ram } = this, from = pa - ram.base;
    if (fd !== 1 && fd !== 2) return -EBADF;
    if (from < 0 || len < 0 || from + len > ram.size) return -EFAULT;
    this.console.write(ram.u8.slice(from, from + len));
    return len;
  }
}
