// Puts images into RAM, a piece at a time.
//
// RAM comes as zeros, and a page of the host is there only once it was written. So pages of zeros are left out where RAM has not
// been written yet; a kernel's image has many between its sections.
import type { ByteSource } from "../bytesource.ts";
import type { Ram } from "./ram.ts";

const PAGE_BYTES = 4096, PIECE_BYTES = 16 * PAGE_BYTES;

export class RamFiller {
  private readonly ram: Ram;
  private readonly piece = new Uint8Array(PIECE_BYTES);
  private readonly words = new Int32Array(this.piece.buffer);
  /** Physical address from which on RAM is still zero. */
  private zeroFrom: number;

  /** => isFresh: nobody has written RAM yet */
  constructor(ram: Ram, isFresh: boolean) {
    this.ram = ram;
    this.zeroFrom = isFresh ? ram.base : Infinity;
  }

  /** Reads `lenBytes` from a place of the source to a physical address. => all of it is RAM; throws what the source throws */
  put(source: ByteSource, offset: number, pa: number, lenBytes: number): void {
    for (let done = 0; done < lenBytes; done += PIECE_BYTES) {
      const pieceBytes = Math.min(PIECE_BYTES, lenBytes - done);
      source.read(offset + done, this.piece.subarray(0, pieceBytes));
      for (let at = 0; at < pieceBytes; at += PAGE_BYTES) this.putPage(at, Math.min(PAGE_BYTES, pieceBytes - at), pa + done + at);
    }
    this.zeroFrom = Math.max(this.zeroFrom, pa + lenBytes);
  }

  /** Makes a stretch of RAM zero. */
  clear(pa: number, lenBytes: number): void {
    const written = Math.min(Math.max(this.zeroFrom - pa, 0), lenBytes);
    this.ram.bytes(pa, written).fill(0);
  }

  /** => at: of the piece */
  private putPage(at: number, lenBytes: number, pa: number): void {
    if (pa < this.zeroFrom || !this.isZero(at, lenBytes)) this.ram.bytes(pa, lenBytes).set(this.piece.subarray(at, at + lenBytes));
  }

  private isZero(at: number, lenBytes: number): boolean {
    // The last word may hold bytes of an earlier piece: then the page is written although it need not be.
    for (let i = at / 4; i < (at + lenBytes) / 4; i++) if (this.words[i] !== 0) return false;
    return true;
  }
}
