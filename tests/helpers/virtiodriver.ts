// A driver for one virtio-mmio slot, as a guest would have it: registers by address, rings laid out in RAM by hand.
// Nothing is checked on the way, so tests can lay out nonsense.
import { RamDma } from "../../emu/bus/dma.ts";
import { RAM_BASE, Ram } from "../../emu/bus/ram.ts";
import { VirtioMmio, type VirtioFunction } from "../../emu/dev/virtio/mmio.ts";
import { VirtualClock } from "../../emu/time/clock.ts";

export const NEXT = 1, WRITE = 2, INDIRECT = 4;
export const RAM_BYTES = 1 << 20;

/** A descriptor: [address, length, flags, next]. */
export type Desc = readonly [pa: number, len: number, flags: number, next?: number];

export interface DriverOptions {
  version?: 1 | 2;
  num?: number;
  /** Feature bits of the low word to accept. */
  features?: number;
}

export class Driver {
  readonly ram = new Ram(new ArrayBuffer(RAM_BYTES), 0, RAM_BYTES);
  readonly clock = new VirtualClock({ instret: 0 });
  readonly slot: VirtioMmio;
  readonly version: 1 | 2;
  readonly num: number;
  /** How often the wire went from low to high. */
  interrupts = 0;
  wire = false;
  private readonly features: number;
  /** By queue: available index, and used index seen. */
  private readonly availIdx: number[] = [];
  private readonly usedSeen: number[] = [];

  constructor(fn: VirtioFunction | null, options: DriverOptions = {}) {
    this.version = options.version ?? 2;
    this.num = options.num ?? 8;
    this.features = options.features ?? 0;
    const irq = (level: boolean) => {
      if (level && !this.wire) this.interrupts++;
      this.wire = level;
    };
    this.slot = new VirtioMmio(fn, { version: this.version, dma: new RamDma(this.ram, { codeWritten() {} }), irq, clock: this.clock });
  }

  reg(offset: number): number {
    return this.slot.read(offset, 4) >>> 0;
  }

  set(offset: number, value: number): void {
    this.slot.write(offset, 4, value);
  }

  /** Queue q's rings: descriptors, available, used. In one page each, as version 1 has them too. */
  desc(q: number): number { return RAM_BASE + 0x10000 + q * 0x4000; }
  avail(q: number): number { return this.desc(q) + 16 * this.num; }
  used(q: number): number { return this.desc(q) + Math.ceil((16 * this.num + 6 + 2 * this.num) / 4096) * 4096; }

  /** Initialises the device as the specification says. */
  start(queues = 1): this {
    this.set(0x070, 0);
    this.set(0x070, 1);
    this.set(0x070, 3);
    this.set(0x024, 0);
    this.set(0x020, this.features);
    if (this.version === 2) {
      this.set(0x024, 1);
      this.set(0x020, 1);
      this.set(0x070, 11);
    } else this.set(0x028, 4096);
    for (let q = 0; q < queues; q++) this.setupQueue(q);
    this.set(0x070, this.version === 2 ? 15 : 7);
    return this;
  }

  setupQueue(q: number): void {
    this.availIdx[q] = this.usedSeen[q] = 0;
    this.ram.u8.fill(0, this.desc(q) - RAM_BASE, this.desc(q) - RAM_BASE + 0x4000);
    this.set(0x030, q);
    this.set(0x038, this.num);
    if (this.version === 1) {
      this.set(0x03c, 4096);
      return this.set(0x040, this.desc(q) / 4096);
    }
    [this.desc(q), 0, 0, 0, this.avail(q), 0, 0, 0, this.used(q)].forEach((pa, i) => {
      if (pa !== 0) this.set(0x080 + 4 * i, pa);
    });
    this.set(0x044, 1);
  }

  u16(pa: number): number { return this.ram.view.getUint16(pa - RAM_BASE, true); }
  u32(pa: number): number { return this.ram.view.getUint32(pa - RAM_BASE, true); }
  put16(pa: number, v: number): void { this.ram.view.setUint16(pa - RAM_BASE, v, true); }
  put32(pa: number, v: number): void { this.ram.view.setUint32(pa - RAM_BASE, v, true); }
  put64(pa: number, v: number): void {
    this.put32(pa, v % 4294967296);
    this.put32(pa + 4, Math.floor(v / 4294967296));
  }
  bytes(pa: number, len: number): Uint8Array { return this.ram.u8.subarray(pa - RAM_BASE, pa - RAM_BASE + len); }

  /** Writes one entry of a descriptor table. */
  putDesc(table: number, index: number, [pa, len, flags, next]: Desc): void {
    const at = table + 16 * index;
    this.put64(at, pa);
    this.put32(at + 8, len);
    this.put16(at + 12, flags);
    this.put16(at + 14, next ?? 0);
  }

  /** Lays out a chain from descriptor `head` on, linked as given or one after the other. */
  chain(q: number, descs: readonly Desc[], head = 0): void {
    descs.forEach(([pa, len, flags, next], i) => {
      const last = i === descs.length - 1;
      const linked = next === undefined && !last ? flags | NEXT : flags;
      this.putDesc(this.desc(q), head + i, [pa, len, linked, next ?? (last ? 0 : head + i + 1)]);
    });
  }

  /** Makes a head available and, unless told not to, notifies. */
  offer(q: number, head = 0, notify: "notify" | "quiet" = "notify"): void {
    const idx = this.availIdx[q]!;
    this.put16(this.avail(q) + 4 + 2 * (idx % this.num), head);
    this.availIdx[q] = (idx + 1) & 0xffff;
    this.put16(this.avail(q) + 2, this.availIdx[q]!);
    if (notify === "notify") this.set(0x050, q);
  }

  /** Lets time pass until nothing is due. */
  settle(): void {
    for (let i = 0; i < 1000 && this.clock.nextAlarm() < Infinity; i++) this.clock.skipTo(this.clock.nextAlarm());
  }

  /** => [head, written] of the next used element, or null */
  takeUsed(q: number): [number, number] | null {
    const seen = this.usedSeen[q]!;
    if (this.u16(this.used(q) + 2) === seen) return null;
    const at = this.used(q) + 4 + 8 * (seen % this.num);
    this.usedSeen[q] = (seen + 1) & 0xffff;
    return [this.u32(at), this.u32(at + 4)];
  }

  get needsReset(): boolean {
    return (this.reg(0x070) & 0x40) !== 0;
  }
}
