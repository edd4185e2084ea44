// A split virtqueue as its driver sees it, laid out in guest RAM (virtio 1.2, section 2.7).
//
//   one page    descriptors: 16 bytes each (pa, length, flags, next)
//   same page   available ring after them (legacy: used ring on the next page, as version 1 wants it contiguous)
//
// Completion is told by `take`, which the interrupt handler calls. The queue never sleeps: who has no descriptors waits on it.
import type { Hal } from "../hal/hal.ts";
import { PAGE_SIZE, RAM_BASE } from "../hal/physmem.ts";
import { PRIV_KMEM } from "../uvm/page.ts";
import type { Uvm } from "../uvm/uvm.ts";
import { panic } from "../lib/kassert.ts";

/** Descriptors of a queue: all three parts fit two pages. */
export const QUEUE_SIZE = 64;
const DESC = 16, NEXT = 1, WRITE = 2;
const AVAIL_AT = QUEUE_SIZE * DESC;

/** A part of a request: where, how long, and whether the device writes it. */
export interface Segment { pa: number; len: number; deviceWrites: boolean }

export class Virtqueue {
  readonly descPa: number;
  readonly availPa: number;
  readonly usedPa: number;
  private readonly hal: Hal;
  private readonly view: DataView;
  private readonly free: number[] = [];
  /** What to tell when the chain that begins here is done. */
  private readonly owners: (object | null)[] = new Array(QUEUE_SIZE).fill(null);
  private usedIndex = 0;
  private availIndex = 0;

  constructor(hal: Hal, uvm: Uvm) {
    this.hal = hal;
    const pg = contiguousPair(uvm);
    this.descPa = RAM_BASE + pg * PAGE_SIZE;
    this.availPa = this.descPa + AVAIL_AT;
    this.usedPa = this.descPa + PAGE_SIZE;
    hal.mem.zeroPage(pg);
    hal.mem.zeroPage(pg + 1);
    const bytes = hal.mem.bytes(this.descPa, 2 * PAGE_SIZE);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = QUEUE_SIZE - 1; i >= 0; i--) this.free.push(i);
  }

  get freeDescriptors(): number {
    return this.free.length;
  }

  /** Queues a request. => enough free descriptors; notify the device afterwards; `owner` comes back from take */
  add(segments: readonly Segment[], owner: object): void {
    const ids = segments.map(() => this.free.pop() ?? panic("virtqueue: no free descriptor"));
    segments.forEach((s, i) => {
      const at = ids[i]! * DESC, last = i === segments.length - 1;
      this.view.setBigUint64(at, BigInt(s.pa), true);
      this.view.setUint32(at + 8, s.len, true);
      this.view.setUint16(at + 12, (s.deviceWrites ? WRITE : 0) | (last ? 0 : NEXT), true);
      this.view.setUint16(at + 14, last ? 0 : ids[i + 1]!, true);
    });
    this.owners[ids[0]!] = owner;
    this.view.setUint16(AVAIL_AT + 4 + 2 * (this.availIndex % QUEUE_SIZE), ids[0]!, true);
    this.availIndex = (this.availIndex + 1) & 0xffff;
    this.view.setUint16(AVAIL_AT + 2, this.availIndex, true);
    this.hal.mem.touched(this.descPa - RAM_BASE, PAGE_SIZE);
  }

  /** The next finished request, with the bytes the device wrote, or null. */
  take(): { owner: object; len: number } | null {
    if (this.view.getUint16(PAGE_SIZE + 2, true) === this.usedIndex) return null;
    const at = PAGE_SIZE + 4 + 8 * (this.usedIndex % QUEUE_SIZE), head = this.view.getUint32(at, true), len = this.view.getUint32(at + 4, true);
    this.usedIndex = (this.usedIndex + 1) & 0xffff;
    const owner = this.owners[head] ?? panic(`virtqueue: the device finished chain ${head}, which was not queued`);
    this.owners[head] = null;
    for (let id = head; ;) {
      const flags = this.view.getUint16(id * DESC + 12, true), next = this.view.getUint16(id * DESC + 14, true);
      this.free.push(id);
      if ((flags & NEXT) === 0) break;
      id = next;
    }
    return { owner, len };
  }
}

/** Two neighbouring frames. => at boot, when memory is not in pieces */
function contiguousPair(uvm: Uvm): number {
  const taken: number[] = [];
  let pair = 0;
  for (let last = -1; pair === 0;) {
    const pg = uvm.pages.allocPrivate(PRIV_KMEM, 0);
    if (pg === 0) panic("virtqueue: no memory");
    if (last === pg - 1) pair = last;
    else if (last === pg + 1) pair = pg;
    else {
      if (last > 0) taken.push(last);
      last = pg;
    }
  }
  for (const pg of taken) uvm.pages.freePrivate(pg);
  return pair;
}
