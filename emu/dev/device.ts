// What a device is, and the small interfaces it gets. A device sees an interrupt line, guest RAM through Dma, an
// alarm of the clock and a host side; never the hart, the machine or the host itself.

/** Access widths of the bus in bytes. */
export type AccessSize = 1 | 2 | 4 | 8;

/**
 * A range of registers on the bus.
 *
 * => offsets lie in 0 .. sizeBytes - 1 and are aligned to `size`
 * => values are the low 32 bits; `read` may return any number congruent to them
 * => 8-byte accesses reach a device as two 4-byte ones, low half first
 */
export interface Device {
  readonly name: string;
  readonly sizeBytes: number;
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
  /** Widths the registers answer to, as a mask of sizes (1|2|4|8). Other widths are access faults. Absent: 1|2|4|8. */
  readonly widths?: number;
  reset?(): void;
}

/** Drives one interrupt wire. Calling it twice with one level changes nothing. */
export type IrqLine = (level: boolean) => void;

/** The host side of a disk. Failures throw; the device turns them into an I/O error of the guest. */
export interface BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  read(offset: number, into: Uint8Array): void;
  write(offset: number, from: Uint8Array): void;
  flush(): void;
  discard?(offset: number, lenBytes: number): void;
}

/** The host side of a console: bytes in, bytes out, nothing waits. */
export interface ByteStream {
  /** => bytes placed in `into` now, 0 for none yet, -1 at the end of input */
  read(into: Uint8Array): number;
  write(bytes: Uint8Array): void;
  /** Set by the device; the host calls it when input arrived. */
  onReadable?: () => void;
}

/** Guest RAM as devices see it: every access is checked against its bounds, and stores drop translated code. */
export interface Dma {
  /** => a view of RAM, or null when any byte of the range is outside */
  read(pa: number, lenBytes: number): Uint8Array | null;
  /** => false, and nothing stored, when any byte of the range is outside */
  write(pa: number, bytes: Uint8Array): boolean;
  /** Tells that the caller stored through a view that `read` gave. */
  wrote(pa: number, lenBytes: number): void;
}
