// Guest RAM for devices: bounds checked on every access, and stores told to whoever keeps decoded code.
import type { Dma } from "../dev/device.ts";
import type { Ram } from "./ram.ts";

/** Drops what was decoded or translated from a page of RAM. */
export interface CodeKeeper {
  codeWritten(pfn: number): void;
}

export class RamDma implements Dma {
  private readonly ram: Ram;
  private readonly keeper: CodeKeeper;

  constructor(ram: Ram, keeper: CodeKeeper) {
    this.ram = ram;
    this.keeper = keeper;
  }

  read(pa: number, lenBytes: number): Uint8Array | null {
    if (!this.inside(pa, lenBytes)) return null;
    const at = pa - this.ram.base;
    return this.ram.u8.subarray(at, at + lenBytes);
  }

  write(pa: number, bytes: Uint8Array): boolean {
    if (!this.inside(pa, bytes.length)) return false;
    this.ram.u8.set(bytes, pa - this.ram.base);
    this.wrote(pa, bytes.length);
    return true;
  }

  wrote(pa: number, lenBytes: number): void {
    if (lenBytes <= 0) return;
    const last = Math.floor((pa + lenBytes - 1) / 4096);
    for (let pfn = Math.floor(pa / 4096); pfn <= last; pfn++) this.keeper.codeWritten(pfn);
  }

  private inside(pa: number, lenBytes: number): boolean {
    return Number.isInteger(pa) && lenBytes >= 0 && this.ram.has(pa, lenBytes);
  }
}
