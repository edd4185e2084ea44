// Disks as file systems see them.
import type { KGen } from "../lib/kthread.ts";

/** Units of transfer. */
export const SECTOR = 512;

/** A disk. Transfers go between it and frames of RAM. */
export interface BlockDev {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Major and minor number of its node. */
  readonly rdev: number;
  /**
   * Reads or writes at a byte offset; `segments` is pa, length, pa, length, … in multiples of 512 bytes.
   *
   * => 0, -EIO, or -EROFS; sleeps at SP-IO
   */
  transfer(write: boolean, offset: number, segments: readonly number[]): KGen<number>;
  /** Everything written before is on the disk afterwards. */
  flush(): KGen<number>;
}
