// Mounted file systems.
import type { KGen } from "../lib/kthread.ts";
import type { Vfs } from "./vfs.ts";
import type { Vnode } from "./vnode.ts";

export const MNT_RDONLY = 1, MNT_NOSUID = 2, MNT_NODEV = 4, MNT_NOEXEC = 8, MNT_SYNCHRONOUS = 16;

/** What statfs tells. */
export interface FsStat {
  /** Linux' magic number of the type. */
  magic: number;
  blockSize: number;
  blocks: number;
  blocksFree: number;
  blocksAvailable: number;
  files: number;
  filesFree: number;
  nameMax: number;
}

export abstract class Mount {
  readonly vfs: Vfs;
  /** "ext2", "tmpfs", … and what is mounted, as /proc/mounts shows. */
  readonly fsType: string;
  readonly source: string;
  /** st_dev. */
  readonly dev: number;
  flags: number;
  /** The directory it covers, referenced; null for the root. */
  covered: Vnode | null = null;
  /** Where it is mounted. */
  path = "/";

  constructor(vfs: Vfs, fsType: string, source: string, flags: number) {
    this.vfs = vfs;
    this.fsType = fsType;
    this.source = source;
    this.flags = flags;
    this.dev = vfs.nextDev++;
  }

  get isReadOnly(): boolean {
    return (this.flags & MNT_RDONLY) !== 0;
  }

  /** The root directory, with a reference for the caller. => may sleep */
  abstract root(): KGen<Vnode | number>;
  abstract statfs(): FsStat;

  /** Writes everything out. */
  *sync(): KGen<number> {
    return 0;
  }

  /** Before it goes away: -EBUSY while files are in use. */
  *unmount(): KGen<number> {
    return 0;
  }

  /** Changes flags: read-only to writable and back. */
  *remount(flags: number): KGen<number> {
    this.flags = flags;
    return 0;
  }
}
