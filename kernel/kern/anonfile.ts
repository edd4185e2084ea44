// Files without a name: eventfd, timerfd, signalfd, epoll. What they have in common.
import { EAGAIN, EINTR } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { NO_TIMES } from "../vfs/filetimes.ts";
import { type Attr, VREG } from "../vfs/vnode.ts";
import type { OpenFile } from "./file.ts";
import type { Kern } from "./kern.ts";

export function anonAttr(): Attr {
  return { type: VREG, mode: 0o600, nlink: 1, uid: 0, gid: 0, ino: 1, dev: 0, rdev: 0, size: 0, blockSize: 4096, blocks: 0, ...NO_TIMES };
}

/** Sleeps until `chan` is woken. => 0; -EAGAIN for a file that does not wait; -EINTR */
export function* waitFor(k: Kern, f: OpenFile, chan: object, tag: string): KGen<number> {
  if (f.isNonblocking) return -EAGAIN;
  return (yield* k.ctx.sleep(chan, tag, { interruptible: true })) < 0 ? -EINTR : 0;
}
