// The inode of a pipe or socket that has no name: what fchmod, fchown and futimens change, and fstat tells.
import { EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type FileTimes, timesOf } from "../vfs/filetimes.ts";
import type { Attr, AttrChange, Attributed, VType } from "../vfs/vnode.ts";

const BLOCK_SIZE = 4096;

export class AnonInode implements Attributed {
  readonly type: VType;
  readonly isReadOnly = false;
  readonly ino: number;
  readonly times: FileTimes;
  private mode: number;
  private uid: number;
  private gid: number;

  constructor(type: VType, ino: number, mode: number, owner: { readonly uid: number; readonly gid: number }, times: FileTimes) {
    this.type = type;
    this.ino = ino;
    this.mode = mode;
    this.uid = owner.uid;
    this.gid = owner.gid;
    this.times = times;
  }

  getattr(): Attr {
    const { type, mode, uid, gid, ino } = this;
    return { type, mode, nlink: 1, uid, gid, ino, dev: 0, rdev: 0, size: 0, blockSize: BLOCK_SIZE, blocks: 0, ...timesOf(this.times) };
  }

  /** => -EINVAL: it has no size */
  *setattr(c: AttrChange): KGen<number> {
    if (c.size !== undefined) return -EINVAL;
    this.mode = c.mode ?? this.mode;
    this.uid = c.uid ?? this.uid;
    this.gid = c.gid ?? this.gid;
    this.times.setTo(c);
    return 0;
  }
}
