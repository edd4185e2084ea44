// Mounted file systems.
//
//   in the tree ── umount: nobody uses it ──────────────────────────► unmount()
//        └── MNT_DETACH ─► detached: no name leads there ── last user ─┘
//
// Who uses one has a reference to one of its vnodes: an open file, a working directory, a mapping, a mount on it.
import { EBUSY } from "../lib/errno.ts";
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
  /** Vnodes whose last reference went, and that are being written back: it does not go away before they are. */
  releasing = 0;
  /** Out of the tree, and still used. */
  isDetached = false;
  /** How often a path led into it; and at which of these MNT_EXPIRE found it unused last. */
  visits = 0;
  expiresAt = -1;

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

  /** Whether anybody uses it beside those who hold `rootRefs` references to its root directory. */
  abstract isBusy(rootRefs: number): boolean;

  /** A file is open for writing, or goes away when it is closed. => what keeps it from becoming read-only */
  abstract isBeingWritten(): boolean;

  /** Options of its own, as mount(2) takes them and /proc/mounts shows them. */
  options(): string[] {
    return [];
  }

  /** Writes everything out. */
  *sync(): KGen<number> {
    return 0;
  }

  /** It goes away. => nobody uses it: isBusy; an error keeps it */
  *unmount(): KGen<number> {
    return 0;
  }

  /** Changes flags: read-only to writable and back; and options. => -EBUSY while files are written, -EINVAL */
  *remount(flags: number, _data = ""): KGen<number> {
    if ((flags & MNT_RDONLY) !== 0 && !this.isReadOnly && this.isBeingWritten()) return -EBUSY;
    this.flags = flags;
    return 0;
  }
}
