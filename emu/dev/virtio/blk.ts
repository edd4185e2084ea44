// virtio-blk: a disk. A request is a chain of header, data, status byte, cut into buffers in any way:
//
//   readable  type u32 | reserved u32 | sector u64 | data to write, or ranges to discard
//   writable  data read | status u8 (0 done, 1 I/O error, 2 not supported)
//
// Requests are taken when an alarm on the virtual clock fires, LATENCY_NS after the driver's notification, all that are
// there by then, in order.
import type { BlockBackend } from "../device.ts";
import type { Alarm } from "../../time/clock.ts";
import type { VirtioFunction, VirtioPort } from "./mmio.ts";
import type { VirtChain } from "./queue.ts";

/** How long the disk takes: about what a fast one does. */
const LATENCY_NS = 10_000;
/** After so many bytes the rest of the queue waits for another alarm, so that no guest holds the host up. */
const BATCH_BYTES = 16 << 20;
const SECTOR = 512;
const HEADER_BYTES = 16, ID_BYTES = 20, RANGE_BYTES = 16;

const T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13;
const S_OK = 0, S_IOERR = 1, S_UNSUPP = 2;
const F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13, F_WRITE_ZEROES = 14;
const SEG_MAX = 126, RANGE_SECTORS_MAX = 1 << 15, RANGES_MAX = 16;
const RANGE_UNMAP = 1;
const TWO32 = 4294967296;

export class VirtioBlk implements VirtioFunction {
  readonly name = "virtio-blk";
  readonly deviceId = 2;
  readonly queueCount = 1;
  readonly features: number;
  readonly config = new Uint8Array(60);
  /** Requests served, bytes moved and errors; for the inspector. */
  readonly stats = { reads: 0, writes: 0, bytesRead: 0, bytesWritten: 0, errors: 0 };
  private readonly disk: BlockBackend;
  private readonly id: string;
  private readonly sectors: number;
  private port!: VirtioPort;
  private alarm!: Alarm;

  constructor(disk: BlockBackend, id = "loanword") {
    this.disk = disk;
    this.id = id;
    this.sectors = Math.floor(disk.sizeBytes / SECTOR);
    const changes = disk.readOnly ? 1 << F_RO : (1 << F_DISCARD) | (1 << F_WRITE_ZEROES);
    this.features = (1 << F_SEG_MAX) | (1 << F_BLK_SIZE) | (1 << F_FLUSH) | changes;
    const c = new DataView(this.config.buffer);
    c.setUint32(0, this.sectors % TWO32, true);
    c.setUint32(4, Math.floor(this.sectors / TWO32), true);
    c.setUint32(12, SEG_MAX, true);
    c.setUint32(20, SECTOR, true);
    c.setUint16(34, 1, true);
    c.setUint32(36, RANGE_SECTORS_MAX, true);
    c.setUint32(40, RANGES_MAX, true);
    c.setUint32(44, 1, true);
    c.setUint32(48, RANGE_SECTORS_MAX, true);
    c.setUint32(52, RANGES_MAX, true);
    c.setUint8(56, 1);
  }

  attach(port: VirtioPort): void {
    this.port = port;
    this.alarm = port.clock.alarm(() => this.serve());
  }

  notify(_queueIndex: number): void {
    if (this.alarm.atNs === Infinity) this.alarm.set(this.port.clock.now + LATENCY_NS);
  }

  reset(): void {
    this.alarm.cancel();
  }

  private serve(): void {
    const queue = this.port.queue(0), status = new Uint8Array(1), before = this.bytesMoved();
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      if (chain.readableBytes < HEADER_BYTES) return queue.fail("a request without a header");
      if (chain.writableBytes < 1) return queue.fail("a request without a status byte");
      const header = new Uint8Array(HEADER_BYTES);
      chain.load(0, header);
      const request = new DataView(header.buffer), type = request.getUint32(0, true);
      if (type === T_IN && chain.writableBytes === 1 && chain.readableBytes > HEADER_BYTES) return queue.fail("a read into a readable buffer");
      if (type === T_OUT && chain.readableBytes === HEADER_BYTES && chain.writableBytes > 1) return queue.fail("a write from a writable buffer");
      const sector = request.getUint32(8, true) + request.getUint32(12, true) * TWO32;
      const dataBytes = chain.writableBytes - 1;
      try {
        status[0] = this.perform(type, sector, chain);
      } catch {
        // The backend's failures are the guest's I/O errors, whatever they were on the host.
        status[0] = S_IOERR;
      }
      if (status[0] !== S_OK) this.stats.errors++;
      chain.store(dataBytes, status);
      queue.push(chain, type === T_IN || type === T_GET_ID ? dataBytes + 1 : 1);
      if (this.bytesMoved() - before >= BATCH_BYTES) {
        this.notify(0);
        break;
      }
    }
    this.port.announce(queue);
  }

  private bytesMoved(): number {
    return this.stats.bytesRead + this.stats.bytesWritten;
  }

  private perform(type: number, sector: number, chain: VirtChain): number {
    switch (type) {
      case T_IN: return this.readSectors(sector, chain);
      case T_OUT: return this.writeSectors(sector, chain);
      case T_FLUSH:
        this.disk.flush();
        return S_OK;
      case T_GET_ID: {
        const id = new Uint8Array(Math.min(ID_BYTES, chain.writableBytes - 1));
        for (let i = 0; i < id.length && i < this.id.length; i++) id[i] = this.id.charCodeAt(i);
        chain.store(0, id);
        return S_OK;
      }
      case T_DISCARD: case T_WRITE_ZEROES: return this.disk.readOnly ? S_UNSUPP : this.changeRanges(type, chain);
      default: return S_UNSUPP;
    }
  }

  private onDisk(sector: number, count: number): boolean {
    return sector + count <= this.sectors;
  }

  private readSectors(sector: number, chain: VirtChain): number {
    const len = chain.writableBytes - 1;
    if (len % SECTOR !== 0 || !this.onDisk(sector, len / SECTOR)) return S_IOERR;
    let at = sector * SECTOR;
    chain.eachWritable(0, len, (bytes) => {
      this.disk.read(at, bytes);
      at += bytes.length;
    });
    this.stats.reads++;
    this.stats.bytesRead += len;
    return S_OK;
  }

  private writeSectors(sector: number, chain: VirtChain): number {
    const len = chain.readableBytes - HEADER_BYTES;
    if (this.disk.readOnly || len % SECTOR !== 0 || !this.onDisk(sector, len / SECTOR)) return S_IOERR;
    let at = sector * SECTOR;
    chain.eachReadable(HEADER_BYTES, len, (bytes) => {
      this.disk.write(at, bytes);
      at += bytes.length;
    });
    // A driver that cannot ask for a flush takes a finished write to be on the disk.
    if (!this.port.negotiated(F_FLUSH)) this.disk.flush();
    this.stats.writes++;
    this.stats.bytesWritten += len;
    return S_OK;
  }

  /** Discards or zeroes. Every range is checked before the first is changed. */
  private changeRanges(type: number, chain: VirtChain): number {
    const len = chain.readableBytes - HEADER_BYTES;
    if (len === 0 || len % RANGE_BYTES !== 0 || len / RANGE_BYTES > RANGES_MAX) return S_IOERR;
    const bytes = new Uint8Array(len), ranges: [number, number][] = [];
    chain.load(HEADER_BYTES, bytes);
    const table = new DataView(bytes.buffer);
    for (let i = 0; i < len; i += RANGE_BYTES) {
      const sector = table.getUint32(i, true) + table.getUint32(i + 4, true) * TWO32;
      const count = table.getUint32(i + 8, true), flags = table.getUint32(i + 12, true);
      if ((flags & ~RANGE_UNMAP) !== 0 || (type === T_DISCARD && flags !== 0)) return S_UNSUPP;
      if (count > RANGE_SECTORS_MAX || !this.onDisk(sector, count)) return S_IOERR;
      ranges.push([sector, count]);
    }
    for (const [sector, count] of ranges) {
      if (type === T_WRITE_ZEROES) this.zero(sector * SECTOR, count * SECTOR);
      else this.disk.discard?.(sector * SECTOR, count * SECTOR);
    }
    return S_OK;
  }

  private zero(offset: number, lenBytes: number): void {
    const zeros = new Uint8Array(Math.min(lenBytes, 65536));
    for (let done = 0; done < lenBytes; done += zeros.length) {
      this.disk.write(offset + done, zeros.subarray(0, Math.min(zeros.length, lenBytes - done)));
    }
  }
}
