// The virtio block driver: requests of at most 64 KiB, finished by interrupt.
//
//   request   header (16 bytes: type, reserved, sector) | data ... | status byte
//
// Whoever asks sleeps on its request (SP-IO). Before there is a scheduler the boot code polls.
import { EIO, EROFS } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import type { Hal } from "../hal/hal.ts";
import { PAGE_SIZE, RAM_BASE } from "../hal/physmem.ts";
import { PRIV_KMEM } from "../uvm/page.ts";
import type { Uvm } from "../uvm/uvm.ts";
import { type BlockDev, SECTOR } from "../vfs/blockdev.ts";
import { type Segment, Virtqueue } from "./virtqueue.ts";
import type { VirtioDevice } from "./virtiommio.ts";

const T_IN = 0, T_OUT = 1, T_FLUSH = 4, F_RO = 1 << 5, F_FLUSH = 1 << 9;
const HEADER = 16, SLOT_BYTES = 32, SLOTS = PAGE_SIZE / SLOT_BYTES, S_OK = 0;
/** Descriptors of the longest request: header, 16 pages, status. */
const MOST_SEGMENTS = 18;
const MAJOR = 254;

/** A request on its way. */
interface Request { isDone: boolean; slot: number }

export class VirtioBlk implements BlockDev {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly rdev: number;
  /** Counters for /proc/diskstats and ddb. */
  readonly stats = { reads: 0, writes: 0, bytesRead: 0, bytesWritten: 0, errors: 0 };
  private readonly ctx: KContext;
  private readonly hal: Hal;
  private readonly device: VirtioDevice;
  private readonly queue: Virtqueue;
  /** Headers and status bytes: a page of slots. */
  private readonly slotPa: number;
  private readonly view: DataView;
  private readonly freeSlots: number[] = [];
  private readonly canFlush: boolean;

  constructor(hal: Hal, ctx: KContext, uvm: Uvm, device: VirtioDevice, index: number) {
    this.hal = hal;
    this.ctx = ctx;
    this.device = device;
    this.name = `vd${String.fromCharCode(97 + index)}`;
    this.rdev = (MAJOR << 8) | (index * 16);
    const features = device.negotiate(F_RO | F_FLUSH), queue = features < 0 ? null : device.queue(uvm, 0);
    if (!queue) throw new Error(`virtio-blk in slot ${device.slot} does not work: the device refused its features or has no queue`);
    this.queue = queue;
    this.isReadOnly = (features & F_RO) !== 0;
    this.canFlush = (features & F_FLUSH) !== 0;
    this.sizeBytes = ((device.config32(4) >>> 0) * 2 ** 32 + (device.config32(0) >>> 0)) * SECTOR;
    const pg = uvm.pages.allocPrivate(PRIV_KMEM, 0);
    KASSERT(pg !== 0, "virtio-blk: no memory");
    this.slotPa = RAM_BASE + pg * PAGE_SIZE;
    const bytes = hal.mem.bytes(this.slotPa, PAGE_SIZE);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, PAGE_SIZE);
    for (let i = 0; i < SLOTS; i++) this.freeSlots.push(i);
    device.start(() => this.interrupt());
  }

  private interrupt(): void {
    let any = false;
    for (let done = this.queue.take(); done; done = this.queue.take()) {
      (done.owner as Request).isDone = true;
      this.ctx.wakeup(done.owner);
      any = true;
    }
    if (any) this.ctx.wakeup(this.queue);
  }

  *transfer(write: boolean, offset: number, segments: readonly number[]): KGen<number> {
    if (write && this.isReadOnly) return -EROFS;
    let len = 0;
    for (let i = 1; i < segments.length; i += 2) len += segments[i]!;
    if (offset % SECTOR !== 0 || len % SECTOR !== 0 || offset + len > this.sizeBytes) return -EIO;
    const data: Segment[] = [];
    for (let i = 0; i < segments.length; i += 2) data.push({ pa: segments[i]!, len: segments[i + 1]!, deviceWrites: !write });
    this.stats[write ? "writes" : "reads"]++;
    this.stats[write ? "bytesWritten" : "bytesRead"] += len;
    return yield* this.request(write ? T_OUT : T_IN, offset / SECTOR, data);
  }

  *flush(): KGen<number> {
    return this.canFlush && !this.isReadOnly ? yield* this.request(T_FLUSH, 0, []) : 0;
  }

  private *request(type: number, sector: number, data: Segment[]): KGen<number> {
    KASSERT(data.length + 2 <= MOST_SEGMENTS, "virtio-blk: a request of too many pieces");
    while (this.queue.freeDescriptors < data.length + 2 || this.freeSlots.length === 0) yield* this.wait(this.queue);
    const slot = this.freeSlots.pop()!, at = slot * SLOT_BYTES, pa = this.slotPa + at, request: Request = { isDone: false, slot };
    this.view.setUint32(at, type, true);
    this.view.setUint32(at + 4, 0, true);
    this.view.setBigUint64(at + 8, BigInt(sector), true);
    this.view.setUint8(at + HEADER, 0xff);
    this.queue.add([{ pa, len: HEADER, deviceWrites: false }, ...data, { pa: pa + HEADER, len: 1, deviceWrites: true }], request);
    this.device.notify(0);
    while (!request.isDone) yield* this.wait(request);
    const status = this.view.getUint8(at + HEADER);
    this.freeSlots.push(slot);
    this.ctx.wakeup(this.queue);
    if (status === S_OK) return 0;
    this.stats.errors++;
    return -EIO;
  }

  /** Sleeps on a request or the queue; at boot, lets time pass. */
  private *wait(chan: object): KGen<void> {
    if (this.ctx.cur !== this.ctx.bootThread) yield* this.ctx.sleep(chan, "biowait");
    else KASSERT(this.hal.waitInterrupt(), "virtio-blk: the device does not answer");
  }
}
