// A split virtqueue from the device's side: three tables in guest RAM, which the guest may have filled with anything.
//
//   descriptors  num * 16       addr u64 | len u32 | flags u16 (NEXT 1, WRITE 2, INDIRECT 4) | next u16
//   available    6 + num * 2    flags u16 | idx u16 | ring u16[num] | used_event u16
//   used         6 + num * 8    flags u16 | idx u16 | { id u32, len u32 }[num] | avail_event u16
//
// `pop` takes the next chain and checks all of it before anyone uses any of it: indices in range, no loop, every byte in
// RAM, readable parts before writable ones, nothing empty, a bounded total. What fails the check breaks the queue: the
// reason is kept, nothing more is popped, and the transport sets DEVICE_NEEDS_RESET.
import type { Dma } from "../device.ts";

export const QUEUE_NUM_MAX = 256;
/** More than any driver asks for at once, and little enough that the host copies it in a blink. */
const CHAIN_BYTES_MAX = 256 * 1024 * 1024;

const DESC_BYTES = 16;
const F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;
const TWO32 = 4294967296;

/** What a driver negotiated that changes how rings are read. */
export interface RingFeatures {
  indirect: boolean;
  eventIdx: boolean;
}

/** A stretch of guest RAM. */
interface Segment {
  readonly pa: number;
  readonly bytes: Uint8Array;
}

/** One request: bytes the device may read, then bytes it may write, both in pieces. */
export class VirtChain {
  readonly head: number;
  readableBytes = 0;
  writableBytes = 0;
  private readonly dma: Dma;
  private readonly readable: Segment[] = [];
  private readonly writable: Segment[] = [];

  constructor(head: number, dma: Dma) {
    this.head = head;
    this.dma = dma;
  }

  /** Adds a checked segment; for VirtQueue. */
  add(segment: Segment, writable: boolean): void {
    if (writable) {
      this.writable.push(segment);
      this.writableBytes += segment.bytes.length;
    } else {
      this.readable.push(segment);
      this.readableBytes += segment.bytes.length;
    }
  }

  /** Copies readable bytes from `at` on. => returns how many there were, at most `into.length` */
  load(at: number, into: Uint8Array): number {
    let done = 0;
    this.eachReadable(at, into.length, (bytes) => {
      into.set(bytes, done);
      done += bytes.length;
    });
    return done;
  }

  /** Copies `from` into the writable bytes from `at` on. => returns how many fitted */
  store(at: number, from: Uint8Array): number {
    let done = 0;
    this.eachWritable(at, from.length, (bytes) => {
      bytes.set(from.subarray(done, done + bytes.length));
      done += bytes.length;
    });
    return done;
  }

  /** Calls `visit` with each piece of the readable bytes [at, at + len). */
  eachReadable(at: number, lenBytes: number, visit: (bytes: Uint8Array) => void): void {
    slices(this.readable, at, lenBytes, (_pa, bytes) => visit(bytes));
  }

  /** Calls `visit`, which fills it, with each piece of the writable bytes [at, at + len). */
  eachWritable(at: number, lenBytes: number, visit: (bytes: Uint8Array) => void): void {
    slices(this.writable, at, lenBytes, (pa, bytes) => {
      visit(bytes);
      this.dma.wrote(pa, bytes.length);
    });
  }
}

function slices(segments: readonly Segment[], at: number, lenBytes: number, visit: (pa: number, bytes: Uint8Array) => void): void {
  let skip = at, left = lenBytes;
  for (const { pa, bytes } of segments) {
    if (left <= 0) return;
    if (skip >= bytes.length) {
      skip -= bytes.length;
      continue;
    }
    const part = bytes.subarray(skip, Math.min(bytes.length, skip + left));
    visit(pa + skip, part);
    left -= part.length;
    skip = 0;
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export class VirtQueue {
  /** Set by the transport before `enable`. */
  num = 0;
  descPa = 0;
  availPa = 0;
  usedPa = 0;
  ready = false;
  features: RingFeatures = { indirect: false, eventIdx: false };
  /** Why the queue is broken; empty while it works. */
  broken = "";
  private readonly dma: Dma;
  private readonly onBroken: (why: string) => void;
  private desc: DataView | null = null;
  private avail: DataView | null = null;
  private used: DataView | null = null;
  /** Both count modulo 2^16, as the rings do. */
  private lastAvail = 0;
  private usedIdx = 0;
  /** usedIdx when the driver was last interrupted. */
  private signalled = 0;

  constructor(dma: Dma, onBroken: (why: string) => void) {
    this.dma = dma;
    this.onBroken = onBroken;
  }

  reset(): void {
    this.num = this.descPa = this.availPa = this.usedPa = 0;
    this.features = { indirect: false, eventIdx: false };
    this.disable();
    this.broken = "";
  }

  disable(): void {
    this.ready = false;
    this.desc = this.avail = this.used = null;
    this.lastAvail = this.usedIdx = this.signalled = 0;
  }

  /** Begins to use the rings at the addresses set. Bad ones break the queue. */
  enable(): void {
    const { num } = this;
    this.disable();
    this.ready = true;
    if (num === 0 || num > QUEUE_NUM_MAX || (num & (num - 1)) !== 0) return this.fail(`queue size ${num}`);
    if (this.descPa % 16 !== 0 || this.availPa % 2 !== 0 || this.usedPa % 4 !== 0) return this.fail("a ring is not aligned");
    const desc = this.dma.read(this.descPa, num * DESC_BYTES), avail = this.dma.read(this.availPa, 6 + num * 2);
    const used = this.dma.read(this.usedPa, 6 + num * 8);
    if (desc === null || avail === null || used === null) return this.fail("a ring is outside RAM");
    this.desc = view(desc);
    this.avail = view(avail);
    this.used = view(used);
  }

  /** Marks the queue broken. Devices call it for requests that make no sense. */
  fail(why: string): void {
    if (this.broken !== "") return;
    this.broken = why;
    this.onBroken(why);
  }

  /**
   * The next chain the driver made available.
   *
   * => returns null when there is none, or when the queue is or just became broken
   * => with event-idx, an empty queue asks to be told of the next chain
   */
  pop(): VirtChain | null {
    const { avail, desc, num } = this;
    if (avail === null || desc === null || this.broken !== "") return null;
    const waiting = (avail.getUint16(2, true) - this.lastAvail) & 0xffff;
    if (this.features.eventIdx) this.askForNext();
    if (waiting === 0) return null;
    if (waiting > num) return this.refuse(`${waiting} chains available in a queue of ${num}`);
    const head = avail.getUint16(4 + 2 * (this.lastAvail & (num - 1)), true);
    if (head >= num) return this.refuse(`head descriptor ${head} in a queue of ${num}`);
    const chain = new VirtChain(head, this.dma);
    if (!this.collect(chain, desc, num, head)) return null;
    this.lastAvail = (this.lastAvail + 1) & 0xffff;
    if (this.features.eventIdx) this.askForNext();
    return chain;
  }

  /** Gives a chain back, `writtenBytes` of it filled. => the caller then asks `wantsInterrupt` */
  push(chain: VirtChain, writtenBytes: number): void {
    const { used, num } = this;
    if (used === null || this.broken !== "") return;
    const at = 4 + 8 * (this.usedIdx & (num - 1));
    used.setUint32(at, chain.head, true);
    used.setUint32(at + 4, writtenBytes, true);
    this.usedIdx = (this.usedIdx + 1) & 0xffff;
    used.setUint16(2, this.usedIdx, true);
    this.dma.wrote(this.usedPa, 6 + num * 8);
  }

  /** Whether what was pushed since the last call is to be announced; counts it as announced. */
  wantsInterrupt(): boolean {
    const { avail, num } = this;
    if (avail === null || this.broken !== "") return false;
    const before = this.signalled, now = this.usedIdx;
    this.signalled = now;
    if (before === now) return false;
    if (!this.features.eventIdx) return (avail.getUint16(0, true) & AVAIL_NO_INTERRUPT) === 0;
    const event = avail.getUint16(4 + 2 * num, true);
    return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  /** Sets avail_event, so that the driver tells of the chain after those taken. */
  private askForNext(): void {
    const { used, num } = this;
    if (used === null || used.getUint16(4 + 8 * num, true) === this.lastAvail) return;
    used.setUint16(4 + 8 * num, this.lastAvail, true);
    this.dma.wrote(this.usedPa + 4 + 8 * num, 2);
  }

  private refuse(why: string): null {
    this.fail(why);
    return null;
  }

  /** Walks a chain, or the indirect table that stands for it. => false when the queue broke */
  private collect(chain: VirtChain, ring: DataView, num: number, head: number): boolean {
    let table = ring, entries = num, at = head, inTable = false;
    for (let seen = 0; ; seen++) {
      if (seen >= entries) return this.stop("a descriptor chain loops");
      const offset = at * DESC_BYTES;
      const pa = table.getUint32(offset, true) + table.getUint32(offset + 4, true) * TWO32;
      const len = table.getUint32(offset + 8, true), flags = table.getUint16(offset + 12, true), next = table.getUint16(offset + 14, true);
      if ((flags & F_INDIRECT) !== 0) {
        if (!this.features.indirect) return this.stop("an indirect descriptor was not negotiated");
        if (inTable) return this.stop("an indirect table inside an indirect table");
        if ((flags & F_NEXT) !== 0) return this.stop("an indirect descriptor with a next one");
        if (len === 0 || len % DESC_BYTES !== 0 || len / DESC_BYTES > 1024) return this.stop(`an indirect table of ${len} bytes`);
        const bytes = this.dma.read(pa, len);
        if (bytes === null) return this.stop("an indirect table outside RAM");
        table = view(bytes);
        entries = len / DESC_BYTES;
        at = 0;
        seen = -1;
        inTable = true;
        continue;
      }
      if (!this.take(chain, pa, len, (flags & F_WRITE) !== 0)) return false;
      if ((flags & F_NEXT) === 0) return true;
      if (next >= entries) return this.stop(`next descriptor ${next} in a table of ${entries}`);
      at = next;
    }
  }

  /** Checks one buffer and adds it. */
  private take(chain: VirtChain, pa: number, len: number, writable: boolean): boolean {
    if (len === 0) return this.stop("an empty buffer");
    if (!writable && chain.writableBytes > 0) return this.stop("a readable buffer after a writable one");
    if (chain.readableBytes + chain.writableBytes + len > CHAIN_BYTES_MAX) return this.stop("a chain is too long");
    const bytes = this.dma.read(pa, len);
    if (bytes === null) return this.stop(`a buffer outside RAM: ${len} bytes at 0x${pa.toString(16)}`);
    chain.add({ pa, bytes }, writable);
    return true;
  }

  private stop(why: string): false {
    this.fail(why);
    return false;
  }
}
