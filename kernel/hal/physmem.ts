// Guest RAM as the kernel sees it: bytes at physical addresses, and frames by index (pg 0 is the first frame of RAM).
//
// Stores here are host stores: pages with decoded code have to hear of them, which `touched` sees to.
import type { Machine } from "../../emu/machine.ts";
import { KASSERT } from "../lib/kassert.ts";

export const PAGE_SIZE = 4096, RAM_BASE = 0x80000000;

export class PhysMem {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly i64: BigInt64Array;
  /** Frames of RAM. */
  readonly npages: number;
  private readonly machine: Machine;
  private readonly hasCode: Uint8Array;

  constructor(machine: Machine) {
    this.machine = machine;
    this.u8 = machine.ram.u8;
    this.i32 = machine.ram.i32;
    this.i64 = machine.ram.i64;
    this.npages = machine.ram.size / PAGE_SIZE;
    this.hasCode = machine.hart.code.hasCode;
  }

  /** A view of RAM for reading. => [pa, pa + len) lies in RAM */
  bytes(pa: number, len: number): Uint8Array {
    const at = pa - RAM_BASE;
    KASSERT(at >= 0 && at + len <= this.u8.length, "a physical address outside RAM");
    return this.u8.subarray(at, at + len);
  }

  /** Bytes of one frame, for reading; after writing through it call touched. */
  page(pg: number): Uint8Array {
    return this.u8.subarray(pg * PAGE_SIZE, (pg + 1) * PAGE_SIZE);
  }

  /** Host stores were made to [at, at + len) of RAM, `at` counted from its start. */
  touched(at: number, len: number): void {
    const last = (at + len - 1) >>> 12;
    for (let pg = at >>> 12; pg <= last; pg++) if (this.hasCode[pg] === 1) this.machine.hart.code.written(pg);
  }

  /** Nobody has the frame any more. */
  freed(pg: number): void {
    if (this.hasCode[pg] === 1) this.machine.hart.code.freed(pg);
  }

  store(pa: number, from: Uint8Array): void {
    this.u8.set(from, pa - RAM_BASE);
    this.touched(pa - RAM_BASE, from.length);
  }

  read32(pa: number): number {
    return this.i32[(pa - RAM_BASE) >>> 2]!;
  }

  write32(pa: number, v: number): void {
    this.i32[(pa - RAM_BASE) >>> 2] = v;
    this.touched(pa - RAM_BASE, 4);
  }

  zeroPage(pg: number): void {
    this.i32.fill(0, pg * (PAGE_SIZE / 4), (pg + 1) * (PAGE_SIZE / 4));
    this.touched(pg * PAGE_SIZE, PAGE_SIZE);
  }

  copyPage(from: number, to: number): void {
    this.u8.copyWithin(to * PAGE_SIZE, from * PAGE_SIZE, (from + 1) * PAGE_SIZE);
    this.touched(to * PAGE_SIZE, PAGE_SIZE);
  }
}
