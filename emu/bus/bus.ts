// The bus: which physical address is what. RAM, and a list of device ranges. Nothing there: an access fault.
//
// A fault is a field, never a throw: after each access `fault` says whether anything answered.
import type { AccessSize, Device } from "../dev/device.ts";
import type { Ram } from "./ram.ts";

const ALL_WIDTHS = 15;

/** A device and where it answers. */
export interface BusRange {
  readonly base: number;
  readonly end: number;
  readonly device: Device;
}

export class Bus {
  readonly ram: Ram;
  private readonly ranges: BusRange[] = [];
  /** The range that answered last: guests poll one device at a time. */
  private last: BusRange | null = null;
  /** Whether nothing answered the last access. */
  fault = false;
  private high = 0;
  /** Told of each store into RAM through the bus, which is a host store. */
  onRamStore: ((pa: number, lenBytes: number) => void) | null = null;

  constructor(ram: Ram) {
    this.ram = ram;
  }

  /** Adds a device. => the range is free */
  attach(base: number, device: Device): void {
    const end = base + device.sizeBytes;
    if (this.ranges.some((r) => base < r.end && r.base < end)) throw new Error(`bus: ${device.name} overlaps another device`);
    this.ranges.push({ base, end, device });
    this.ranges.sort((a, b) => a.base - b.base);
  }

  /** The board's devices, by address; for the device tree and the inspector. */
  devices(): readonly BusRange[] {
    return this.ranges;
  }

  find(pa: number): BusRange | null {
    const last = this.last;
    if (last !== null && pa >= last.base && pa < last.end) return last;
    for (const range of this.ranges) {
      if (pa >= range.base && pa < range.end) {
        this.last = range;
        return range;
      }
    }
    return null;
  }

  /** Whether a device answers at `pa`. */
  hasDevice(pa: number): boolean {
    return this.find(pa) !== null;
  }

  /**
   * Reads RAM or a device register.
   *
   * => returns the low 32 bits, unsigned; `readHigh()` has the rest of 8 bytes
   * => sets `fault`; the value is 0 then
   */
  read(pa: number, size: AccessSize): number {
    this.fault = false;
    this.high = 0;
    if (this.ram.has(pa, size)) return this.readRam(pa - this.ram.base, size);
    const range = this.range(pa, size);
    if (range === null) return 0;
    const { device, base } = range, widths = device.widths ?? ALL_WIDTHS;
    if ((widths & (size === 8 ? 12 : size)) === 0) return this.refuse();
    if (size === 8) {
      const low = device.read(pa - base, 4) >>> 0;
      this.high = device.read(pa - base + 4, 4) >>> 0;
      return low;
    }
    const value = device.read(pa - base, size) >>> 0;
    return size === 4 ? value : value & (size === 1 ? 0xff : 0xffff);
  }

  /** The high half of the last 8-byte read, unsigned. */
  readHigh(): number {
    return this.high;
  }

  /** Writes RAM or a device register. => sets `fault` */
  write(pa: number, size: AccessSize, value: number, high = 0): void {
    this.fault = false;
    if (this.ram.has(pa, size)) return this.writeRam(pa, size, value, high);
    const range = this.range(pa, size);
    if (range === null) return;
    const { device, base } = range, widths = device.widths ?? ALL_WIDTHS;
    if (size === 8) {
      if ((widths & 12) === 0) return void this.refuse();
      device.write(pa - base, 4, value >>> 0);
      device.write(pa - base + 4, 4, high >>> 0);
      return;
    }
    if ((widths & size) === 0) return void this.refuse();
    device.write(pa - base, size, size === 4 ? value >>> 0 : value & (size === 1 ? 0xff : 0xffff));
  }

  /** The device range that takes an aligned access of `size` bytes, else null and `fault`. */
  private range(pa: number, size: AccessSize): BusRange | null {
    const range = this.find(pa);
    if (range !== null && pa % size === 0 && pa + size <= range.end) return range;
    this.refuse();
    return null;
  }

  private refuse(): number {
    this.fault = true;
    return 0;
  }

  private readRam(offset: number, size: AccessSize): number {
    const { u8, view } = this.ram;
    switch (size) {
      case 1: return u8[offset]!;
      case 2: return view.getUint16(offset, true);
      case 4: return view.getUint32(offset, true);
      case 8:
        this.high = view.getUint32(offset + 4, true);
        return view.getUint32(offset, true);
    }
  }

  private writeRam(pa: number, size: AccessSize, value: number, high: number): void {
    const { u8, view, base } = this.ram, offset = pa - base;
    switch (size) {
      case 1: u8[offset] = value; break;
      case 2: view.setUint16(offset, value, true); break;
      case 4: view.setUint32(offset, value, true); break;
      case 8:
        view.setUint32(offset, value, true);
        view.setUint32(offset + 4, high, true);
        break;
    }
    if (this.onRamStore !== null) this.onRamStore(pa, size);
  }
}
