// /dev/null, zero, full and random.
import { ENOSPC, ENXIO } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Uio, uiomove } from "../uvm/uio.ts";
import type { UvmObject } from "../uvm/object.ts";
import { uaoCreate } from "../uvm/aobj.ts";
import type { Attr, Vnode } from "../vfs/vnode.ts";
import { type FileOps, OpenFile } from "./file.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

export const MEM_MAJOR = 1;
const NULL = 3, ZERO = 5, FULL = 7, RANDOM = 8, URANDOM = 9, CHUNK = 65536;

class MemOps implements FileOps {
  readonly kind = "mem";
  private readonly k: Kern;
  private readonly minor: number;
  private readonly zeros = new Uint8Array(CHUNK);

  constructor(k: Kern, minor: number) {
    this.k = k;
    this.minor = minor;
  }

  *read(_f: OpenFile, uio: Uio): KGen<number> {
    const total = uio.resid;
    if (this.minor === NULL) return 0;
    while (uio.resid > 0) {
      const n = Math.min(uio.resid, CHUNK), isRandom = this.minor === RANDOM || this.minor === URANDOM, bytes = isRandom ? new Uint8Array(n) : this.zeros;
      if (isRandom) this.k.random.fill(bytes);
      const error = yield* uiomove(bytes, 0, n, uio);
      if (error < 0) return total > uio.resid ? total - uio.resid : error;
    }
    return total;
  }

  *write(_f: OpenFile, uio: Uio): KGen<number> {
    const n = uio.resid;
    if (this.minor === FULL) return -ENOSPC;
    uio.skip(n);
    return n;
  }

  writeFast(_f: OpenFile, _t: Thread, _va: number, len: number): number {
    return this.minor === FULL ? -ENOSPC : len;
  }

  *seek(): KGen<number> {
    return 0;
  }

  /** Mapping /dev/zero is anonymous memory. */
  *mmap(_f: OpenFile, _offset: number, size: number): KGen<{ uobj: UvmObject; offset: number } | number> {
    return this.minor === ZERO ? { uobj: uaoCreate(this.k.uvm, size), offset: 0 } : -ENXIO;
  }

  *close(f: OpenFile): KGen<void> {
    yield* f.vnode!.vrele();
  }

  *stat(f: OpenFile): KGen<Attr | number> {
    return f.vnode!.getattr();
  }
}

/** What opens the devices of major 1. */
export function memDevices(k: Kern): (vnode: Vnode, flags: number, minor: number) => OpenFile | number {
  const ops = new Map([NULL, ZERO, FULL, RANDOM, URANDOM].map((minor) => [minor, new MemOps(k, minor)]));
  return (vnode, flags, minor) => {
    const found = ops.get(minor);
    return found ? new OpenFile(found, flags, null, vnode) : -ENXIO;
  };
}
