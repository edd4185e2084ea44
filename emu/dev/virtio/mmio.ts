// The virtio-mmio transport: one slot of the board, with the registers of version 2 or of the legacy version 1.
//
//   000 magic "virt"  004 version  008 device id  00c vendor     070 status (0 resets)
//   010 features      014 select   020 driver's   024 select     030 queue select
//   034 queue max     038 queue size  044 ready (2)  050 notify  060 interrupt status  064 acknowledge
//   028 page size (1) 03c align (1)   040 page frame (1)         080..0a4 ring addresses (2)
//   0fc config generation (2)         100.. the device's own configuration
//
// The version register cannot adapt to the guest, so the board is told which one to show. In version 1 a queue is one
// stretch of memory: descriptors, available ring, and from the next multiple of the alignment on the used ring. The page size
// is the transport's: drivers set it once, before they reset the device.
//
// A slot without a device shows id 0, and drivers pass it by.
import type { AccessSize, Device, Dma, IrqLine } from "../device.ts";
import type { VirtualClock } from "../../time/clock.ts";
import { QUEUE_NUM_MAX, VirtQueue } from "./queue.ts";

export const STATUS_FEATURES_OK = 8, STATUS_DRIVER_OK = 4, STATUS_NEEDS_RESET = 0x40;
export const F_INDIRECT_DESC = 28, F_EVENT_IDX = 29, F_VERSION_1 = 32;
export const INTERRUPT_USED = 1, INTERRUPT_CONFIG = 2;

/** The vendor is QEMU's: teaching kernels look for that board, and take no other disk. */
const MAGIC = 0x74726976, VENDOR = 0x554d4551;
const CONFIG = 0x100;
const TWO32 = 4294967296;

/** What a function gets to do its work with. */
export interface VirtioPort {
  readonly dma: Dma;
  readonly clock: VirtualClock;
  /** Whether the driver accepted a feature. */
  negotiated(bit: number): boolean;
  queue(index: number): VirtQueue;
  /** Announces what was pushed to a queue, if the driver wants to hear of it. */
  announce(queue: VirtQueue): void;
  configChanged(): void;
}

/** The device behind a slot: what it is, and what it does with its queues. */
export interface VirtioFunction {
  readonly name: string;
  readonly deviceId: number;
  readonly queueCount: number;
  /** Feature bits 0..27, as a mask. */
  readonly features: number;
  readonly config: Uint8Array;
  attach(port: VirtioPort): void;
  /** The driver says that a queue has something, and the device is running. */
  notify(queueIndex: number): void;
  writeConfig?(offset: number, size: AccessSize, value: number): void;
  reset(): void;
}

export interface VirtioSlotOptions {
  version: 1 | 2;
  dma: Dma;
  irq: IrqLine;
  clock: VirtualClock;
}

export class VirtioMmio implements Device, VirtioPort {
  readonly name: string;
  readonly sizeBytes = 0x1000;
  readonly dma: Dma;
  readonly clock: VirtualClock;
  readonly version: 1 | 2;
  /** Why the device needs a reset; empty while all is well. For the inspector and traces. */
  lastError = "";
  private readonly irq: IrqLine;
  private readonly fn: VirtioFunction | null;
  private readonly queues: VirtQueue[] = [];
  private status = 0;
  private interrupts = 0;
  private featureSelect = 0;
  private driverSelect = 0;
  private queueSelect = 0;
  /** What the driver accepted: low and high word. */
  private accepted: [number, number] = [0, 0];
  private generation = 0;
  private pageSize = 0;
  /** Legacy only, by queue. */
  private readonly align: number[] = [];
  private readonly pfn: number[] = [];

  constructor(fn: VirtioFunction | null, options: VirtioSlotOptions) {
    this.fn = fn;
    this.name = fn === null ? "virtio-none" : fn.name;
    this.version = options.version;
    this.dma = options.dma;
    this.irq = options.irq;
    this.clock = options.clock;
    for (let i = 0; fn !== null && i < fn.queueCount; i++) {
      this.queues.push(new VirtQueue(this.dma, (why) => this.fail(`queue ${i}: ${why}`)));
      this.align.push(4096);
      this.pfn.push(0);
    }
    fn?.attach(this);
  }

  negotiated(bit: number): boolean {
    return ((this.accepted[bit >> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  queue(index: number): VirtQueue {
    return this.queues[index]!;
  }

  announce(queue: VirtQueue): void {
    if (queue.wantsInterrupt()) this.raise(INTERRUPT_USED);
  }

  configChanged(): void {
    this.generation = (this.generation + 1) >>> 0;
    if ((this.status & STATUS_DRIVER_OK) !== 0) this.raise(INTERRUPT_CONFIG);
  }

  read(offset: number, size: AccessSize): number {
    const { fn } = this;
    if (offset >= CONFIG) return fn === null ? 0 : readLittle(fn.config, offset - CONFIG, size);
    if (size !== 4) return 0;
    switch (offset) {
      case 0x000: return MAGIC;
      case 0x004: return this.version;
      case 0x008: return fn === null ? 0 : fn.deviceId;
      case 0x00c: return VENDOR;
    }
    if (fn === null) return 0;
    switch (offset) {
      case 0x010: return this.offered(this.featureSelect);
      case 0x034: return this.selected() === null ? 0 : QUEUE_NUM_MAX;
      case 0x040: return this.version === 1 ? this.pfn[this.queueSelect] ?? 0 : 0;
      case 0x044: return this.version === 2 && this.selected()?.ready ? 1 : 0;
      case 0x060: return this.interrupts;
      case 0x070: return this.status;
      case 0x0fc: return this.version === 2 ? this.generation : 0;
      // Shared memory regions: none, which reads as a length of all ones.
      case 0x0b0: case 0x0b4: case 0x0b8: case 0x0bc: return this.version === 2 ? 0xffffffff : 0;
      default: return 0;
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    const { fn } = this, word = value >>> 0;
    if (fn === null) return;
    if (offset >= CONFIG) return fn.writeConfig?.(offset - CONFIG, size, value);
    if (size !== 4) return;
    switch (offset) {
      case 0x014: this.featureSelect = word; break;
      case 0x020: this.accept(word); break;
      case 0x024: this.driverSelect = word; break;
      case 0x030: this.queueSelect = word; break;
      case 0x038: this.setNum(word); break;
      case 0x050: this.notify(word); break;
      case 0x064:
        this.interrupts &= ~word;
        this.irq(this.interrupts !== 0);
        break;
      case 0x070: this.writeStatus(word & 0xff); break;
      default:
        if (this.version === 2) this.writeModern(offset, word);
        else this.writeLegacy(offset, word);
    }
  }

  reset(): void {
    this.pageSize = 0;
    this.resetFunction();
  }

  /** What the driver resets by writing status 0. */
  private resetFunction(): void {
    this.status = this.interrupts = 0;
    this.featureSelect = this.driverSelect = this.queueSelect = 0;
    this.accepted = [0, 0];
    this.lastError = "";
    this.queues.forEach((q) => q.reset());
    this.align.fill(4096);
    this.pfn.fill(0);
    this.fn?.reset();
    this.irq(false);
  }

  private raise(bits: number): void {
    this.interrupts |= bits;
    this.irq(true);
  }

  /** The driver broke the rules: it must reset the device before anything more happens. */
  private fail(why: string): void {
    this.lastError = why;
    this.status |= STATUS_NEEDS_RESET;
    this.configChanged();
  }

  private selected(): VirtQueue | null {
    return this.queues[this.queueSelect] ?? null;
  }

  private offered(word: number): number {
    if (word === 0) return (this.fn!.features | (1 << F_INDIRECT_DESC) | (1 << F_EVENT_IDX)) >>> 0;
    return word === 1 && this.version === 2 ? 1 : 0;
  }

  private accept(word: number): void {
    // After FEATURES_OK nothing changes any more.
    if ((this.status & STATUS_FEATURES_OK) !== 0) return;
    if (this.driverSelect < 2) this.accepted[this.driverSelect] = word;
    else if (word !== 0) this.accepted[1] |= ~1; // no such features: FEATURES_OK will be refused
  }

  private writeStatus(value: number): void {
    if (value === 0) return this.resetFunction();
    let status = value | (this.status & STATUS_NEEDS_RESET);
    if ((status & STATUS_FEATURES_OK) !== 0 && (this.status & STATUS_FEATURES_OK) === 0) {
      const excess = (this.accepted[0] & ~this.offered(0)) | (this.accepted[1] & ~this.offered(1));
      if (excess !== 0) status &= ~STATUS_FEATURES_OK;
    }
    // Legacy drivers do not ask whether their choice was accepted: what was not offered is not in force.
    if (this.version === 1) this.accepted = [this.accepted[0] & this.offered(0), 0];
    this.status = status;
  }

  private notify(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.ready) return;
    if ((this.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) !== STATUS_DRIVER_OK) return;
    this.fn!.notify(index);
  }

  private setNum(num: number): void {
    const queue = this.selected();
    if (queue !== null && !queue.ready) queue.num = num;
  }

  private enable(queue: VirtQueue): void {
    queue.features = { indirect: this.negotiated(F_INDIRECT_DESC), eventIdx: this.negotiated(F_EVENT_IDX) };
    queue.enable();
  }

  private writeModern(offset: number, word: number): void {
    const queue = this.selected();
    if (queue === null) return;
    if (offset === 0x044) {
      if ((word & 1) === 0) queue.disable();
      else if (!queue.ready) this.enable(queue);
      return;
    }
    if (queue.ready) return;
    switch (offset) {
      case 0x080: queue.descPa = setLow(queue.descPa, word); break;
      case 0x084: queue.descPa = setHigh(queue.descPa, word); break;
      case 0x090: queue.availPa = setLow(queue.availPa, word); break;
      case 0x094: queue.availPa = setHigh(queue.availPa, word); break;
      case 0x0a0: queue.usedPa = setLow(queue.usedPa, word); break;
      case 0x0a4: queue.usedPa = setHigh(queue.usedPa, word); break;
    }
  }

  private writeLegacy(offset: number, word: number): void {
    const queue = this.selected();
    if (offset === 0x028) this.pageSize = word;
    else if (offset === 0x03c && queue !== null) this.align[this.queueSelect] = word;
    else if (offset === 0x040 && queue !== null) this.setPageFrame(queue, word);
  }

  /** Version 1's way to enable a queue; frame 0 takes it down. */
  private setPageFrame(queue: VirtQueue, frame: number): void {
    const align = this.align[this.queueSelect]!;
    this.pfn[this.queueSelect] = frame;
    if (frame === 0) return queue.disable();
    if (align === 0 || (align & (align - 1)) !== 0) return queue.fail(`alignment ${align}`);
    queue.descPa = frame * this.pageSize;
    queue.availPa = queue.descPa + queue.num * 16;
    queue.usedPa = Math.ceil((queue.availPa + 6 + queue.num * 2) / align) * align;
    this.enable(queue);
  }
}

function setLow(pa: number, word: number): number {
  return Math.floor(pa / TWO32) * TWO32 + word;
}

function setHigh(pa: number, word: number): number {
  return (pa % TWO32) + word * TWO32;
}

function readLittle(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let i = Math.min(size, 4) - 1; i >= 0; i--) value = (value << 8) | (bytes[offset + i] ?? 0);
  return value >>> 0;
}
