// The files /dev/vport0p0 and /dev/vport0p1: reads and writes of the host's byte streams.
import { EAGAIN, EINTR, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import type { VPort, VPorts } from "../dev/vport.ts";
import { PAGE_SIZE } from "../hal/physmem.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import type { Attr, Vnode } from "../vfs/vnode.ts";
import { type FileOps, OpenFile, POLLHUP, POLLIN, POLLOUT, PollQueue, POLLRDNORM, POLLWRNORM, type PollWaiter } from "./file.ts";
import { argOut } from "./ioctlarg.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

const FIONREAD = 0x541b, ENOTTY = 25;

export class VPortOps implements FileOps {
  readonly kind = "vport";
  private readonly k: Kern;
  private readonly ports: VPorts;
  private readonly queues = new Map<VPort, PollQueue>();

  constructor(k: Kern, ports: VPorts) {
    this.k = k;
    this.ports = ports;
    for (const p of ports.ports) {
      const queue = new PollQueue();
      this.queues.set(p, queue);
      p.onChange = () => {
        k.ctx.wakeup(p);
        queue.notify(k.ctx);
      };
    }
  }

  /** Opens port `minor`. => the vnode's reference passes to the file */
  open(vnode: Vnode, flags: number, minor: number): OpenFile | null {
    const p = this.ports.ports[minor];
    return p ? new OpenFile(this, flags, p, vnode) : null;
  }

  *read(f: OpenFile, uio: Uio): KGen<number> {
    const p = f.data as VPort;
    if (uio.resid === 0) return 0;
    while (p.input.length === 0) {
      if (p.isEnded) return 0;
      if (f.isNonblocking) return -EAGAIN;
      if ((yield* this.k.ctx.sleep(p, "vport", { interruptible: true })) < 0) return -EINTR;
    }
    const chunk = p.input[0]!.subarray(p.inputAt), before = uio.resid, error = yield* uiomove(chunk, 0, chunk.length, uio), got = before - uio.resid;
    this.ports.consumed(p, got);
    return got > 0 ? got : error;
  }

  *write(f: OpenFile, uio: Uio): KGen<number> {
    const p = f.data as VPort;
    let done = 0;
    while (uio.resid > 0) {
      const b = p.freeTx.pop();
      if (!b) {
        if (f.isNonblocking) return done > 0 ? done : -EAGAIN;
        if ((yield* this.k.ctx.sleep(p, "vport", { interruptible: true })) < 0) return done > 0 ? done : -EINTR;
        continue;
      }
      const before = uio.resid, error = yield* uiomove(b.bytes, 0, Math.min(PAGE_SIZE, uio.resid), uio), got = before - uio.resid;
      if (got > 0) this.ports.send(p, b, got);
      else p.freeTx.push(b);
      done += got;
      if (error < 0) return done > 0 ? done : error;
    }
    return done;
  }

  writeFast(f: OpenFile, t: Thread, va: number, len: number): number {
    const p = f.data as VPort, b = len > 0 && len <= PAGE_SIZE ? p.freeTx.pop() : undefined;
    if (!b) return -ERESTART;
    if (this.k.uvm.user.copyinFast(t.proc.vmspace.map.pmap, va, b.bytes, 0, len) < len) {
      p.freeTx.push(b);
      return -ERESTART;
    }
    this.ports.send(p, b, len);
    return len;
  }

  *ioctl(f: OpenFile, cmd: number, arg: number, t: Thread): KGen<number> {
    return cmd === FIONREAD ? yield* argOut(this.k, t, arg, (f.data as VPort).inputBytes) : -ENOTTY;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const p = f.data as VPort;
    if (w) this.queues.get(p)!.record(w);
    const ready = (p.input.length > 0 || p.isEnded ? POLLIN | POLLRDNORM : 0) | (p.freeTx.length > 0 ? POLLOUT | POLLWRNORM : 0);
    return (ready & events) | (p.isEnded && p.input.length === 0 ? POLLHUP & events : 0);
  }

  *close(f: OpenFile): KGen<void> {
    yield* f.vnode!.vrele();
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return f.vnode!.getattr();
  }
}
