// Guest RAM: one stretch of the machine's WebAssembly.Memory, seen at every width.

export const RAM_BASE = 0x8000_0000;

export class Ram {
  readonly base = RAM_BASE;
  readonly size: number;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i64: BigInt64Array;
  readonly view: DataView;

  /** => `offset` and `size` are multiples of 4096 */
  constructor(buffer: ArrayBufferLike, offset: number, size: number) {
    this.size = size;
    this.u8 = new Uint8Array(buffer, offset, size);
    this.i32 = new Int32Array(buffer, offset, size / 4);
    this.u32 = new Uint32Array(buffer, offset, size / 4);
    this.i64 = new BigInt64Array(buffer, offset, size / 8);
    this.view = new DataView(buffer as ArrayBuffer, offset, size);
  }

  /** Whether all of [pa, pa + lenBytes) is RAM. */
  has(pa: number, lenBytes: number): boolean {
    return pa >= RAM_BASE && pa + lenBytes <= RAM_BASE + this.size;
  }

  /** The bytes themselves from a physical address on. => has(pa, lenBytes) */
  bytes(pa: number, lenBytes: number): Uint8Array {
    return this.u8.subarray(pa - RAM_BASE, pa - RAM_BASE + lenBytes);
  }
}
