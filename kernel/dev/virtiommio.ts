// Finding and starting virtio devices on the board's virtio-mmio slots, version 2 and legacy version 1.
import { VIRTIO_BASE, VIRTIO_IRQ, VIRTIO_SLOTS, VIRTIO_STRIDE } from "../hal/board.ts";
import type { Hal } from "../hal/hal.ts";
import type { Uvm } from "../uvm/uvm.ts";
import { QUEUE_SIZE, Virtqueue } from "./virtqueue.ts";

const MAGIC = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014, DRIVER_FEATURES = 0x020,
  DRIVER_FEATURES_SEL = 0x024, GUEST_PAGE_SIZE = 0x028, QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038, QUEUE_ALIGN = 0x03c,
  QUEUE_PFN = 0x040, QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, STATUS = 0x070,
  QUEUE_DESC_LOW = 0x080, QUEUE_DRIVER_LOW = 0x090, QUEUE_DEVICE_LOW = 0x0a0, CONFIG = 0x100;
const MAGIC_VALUE = 0x74726976, VERSION_1_BIT = 1;
const S_ACKNOWLEDGE = 1, S_DRIVER = 2, S_DRIVER_OK = 4, S_FEATURES_OK = 8, S_FAILED = 128;

export const VIRTIO_ID_BLK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4;

/** One slot with a device. */
export class VirtioDevice {
  readonly slot: number;
  readonly deviceId: number;
  private readonly hal: Hal;
  private readonly base: number;
  private readonly isLegacy: boolean;

  constructor(hal: Hal, slot: number) {
    this.hal = hal;
    this.slot = slot;
    this.base = VIRTIO_BASE + slot * VIRTIO_STRIDE;
    this.isLegacy = this.read(VERSION) === 1;
    this.deviceId = this.read(DEVICE_ID);
  }

  private read(reg: number): number {
    return this.hal.mmioRead32(this.base + reg);
  }

  private write(reg: number, v: number): void {
    this.hal.mmioWrite32(this.base + reg, v);
  }

  /** Resets and negotiates: of `wanted` (low 32 feature bits) what the device has. => the features, or -1 */
  negotiate(wanted: number): number {
    this.write(STATUS, 0);
    this.write(STATUS, S_ACKNOWLEDGE);
    this.write(STATUS, S_ACKNOWLEDGE | S_DRIVER);
    this.write(DEVICE_FEATURES_SEL, 0);
    const features = this.read(DEVICE_FEATURES) & wanted;
    this.write(DRIVER_FEATURES_SEL, 0);
    this.write(DRIVER_FEATURES, features);
    if (this.isLegacy) this.write(GUEST_PAGE_SIZE, 4096);
    else {
      this.write(DRIVER_FEATURES_SEL, 1);
      this.write(DRIVER_FEATURES, VERSION_1_BIT);
      this.write(STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
      if ((this.read(STATUS) & S_FEATURES_OK) === 0) {
        this.write(STATUS, S_FAILED);
        return -1;
      }
    }
    return features;
  }

  /** Makes queue `index`. => null: the device has no such queue */
  queue(uvm: Uvm, index: number): Virtqueue | null {
    this.write(QUEUE_SEL, index);
    if (this.read(QUEUE_NUM_MAX) < QUEUE_SIZE) return null;
    const q = new Virtqueue(this.hal, uvm);
    this.write(QUEUE_NUM, QUEUE_SIZE);
    if (this.isLegacy) {
      this.write(QUEUE_ALIGN, 4096);
      this.write(QUEUE_PFN, q.descPa / 4096);
      return q;
    }
    for (const [reg, pa] of [[QUEUE_DESC_LOW, q.descPa], [QUEUE_DRIVER_LOW, q.availPa], [QUEUE_DEVICE_LOW, q.usedPa]] as const) {
      this.write(reg, pa | 0);
      this.write(reg + 4, Math.floor(pa / 2 ** 32));
    }
    this.write(QUEUE_READY, 1);
    return q;
  }

  /** The device may start. `onInterrupt` runs when it used a buffer or changed its configuration. */
  start(onInterrupt: () => void): void {
    this.hal.establish(VIRTIO_IRQ + this.slot, () => {
      this.write(INTERRUPT_ACK, this.read(INTERRUPT_STATUS));
      onInterrupt();
    });
    this.write(STATUS, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK | (this.isLegacy ? 0 : S_FEATURES_OK));
  }

  notify(index: number): void {
    this.write(QUEUE_NOTIFY, index);
  }

  config32(offset: number): number {
    return this.read(CONFIG + offset);
  }
}

/** The slots that hold a device. */
export function virtioProbe(hal: Hal): VirtioDevice[] {
  const found: VirtioDevice[] = [];
  for (let slot = 0; slot < VIRTIO_SLOTS; slot++) {
    if (hal.mmioRead32(VIRTIO_BASE + slot * VIRTIO_STRIDE + MAGIC) >>> 0 !== MAGIC_VALUE) continue;
    const d = new VirtioDevice(hal, slot);
    if (d.deviceId !== 0) found.push(d);
  }
  return found;
}
