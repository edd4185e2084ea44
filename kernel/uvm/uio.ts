// Moving bytes between the kernel and whoever asked: user memory, in one piece or many, or a kernel buffer.
//
//   plain:  uio.moveFast(...)      as far as it goes without a fault
//   sleeps: yield* uiomove(...)    resolves faults by uvmFault; -EFAULT where that fails
//
// Progress is in the Uio (resid): after a sleep nothing has to be remembered elsewhere.
import { EFAULT, ENAMETOOLONG, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { uvmFaultFast } from "./fault.ts";
import { uvmFault } from "./faultslow.ts";
import type { VmMap } from "./map.ts";
import type { Uvm } from "./uvm.ts";

/** Directions, as read(2) and write(2) see them: UIO_READ fills the caller's buffer. */
export const UIO_READ = 0, UIO_WRITE = 1;

export class Uio {
  readonly uvm: Uvm;
  /** Whose memory; null: the kernel buffer. */
  readonly map: VmMap | null;
  readonly direction: number;
  /** Bytes left. */
  resid: number;
  /** Segments: va at [2i], length at [2i + 1]. For a kernel buffer va is an index into it. */
  private readonly iov: Float64Array;
  private readonly buffer: Uint8Array | null;
  private segment = 0;
  private offset = 0;

  constructor(uvm: Uvm, map: VmMap | null, iov: Float64Array, direction: number, buffer: Uint8Array | null = null) {
    this.uvm = uvm;
    this.map = map;
    this.iov = iov;
    this.direction = direction;
    this.buffer = buffer;
    this.resid = 0;
    for (let i = 1; i < iov.length; i += 2) this.resid += iov[i]!;
  }

  /** One piece of user memory. */
  static user(uvm: Uvm, map: VmMap, va: number, len: number, direction: number): Uio {
    return new Uio(uvm, map, Float64Array.of(va, len), direction);
  }

  /** A kernel buffer. */
  static kernel(uvm: Uvm, bytes: Uint8Array, direction: number): Uio {
    return new Uio(uvm, null, Float64Array.of(0, bytes.length), direction, bytes);
  }

  /** Length of the piece that comes next. */
  get segmentLeft(): number {
    this.skipEmpty();
    return this.resid === 0 ? 0 : this.iov[2 * this.segment + 1]! - this.offset;
  }

  private skipEmpty(): void {
    while (2 * this.segment < this.iov.length && this.offset >= this.iov[2 * this.segment + 1]!) {
      this.segment++;
      this.offset = 0;
    }
  }

  /**
   * Moves up to n bytes between bytes[off..] and the caller's memory without faulting.
   *
   * => bytes moved; fewer than min(n, resid): uvm.user.faultVa says why
   */
  moveFast(bytes: Uint8Array, off: number, n: number): number {
    let done = 0;
    while (done < n && this.resid > 0) {
      this.skipEmpty();
      const want = Math.min(n - done, this.iov[2 * this.segment + 1]! - this.offset), va = this.iov[2 * this.segment]! + this.offset;
      const moved = this.moveOne(bytes, off + done, va, want);
      this.offset += moved;
      this.resid -= moved;
      done += moved;
      if (moved < want) break;
    }
    return done;
  }

  private moveOne(bytes: Uint8Array, off: number, va: number, n: number): number {
    if (this.buffer) {
      if (this.direction === UIO_READ) this.buffer.set(bytes.subarray(off, off + n), va);
      else bytes.set(this.buffer.subarray(va, va + n), off);
      return n;
    }
    const { user } = this.uvm, pm = this.map!.pmap;
    return this.direction === UIO_READ ? user.copyoutFast(pm, va, bytes, off, n) : user.copyinFast(pm, va, bytes, off, n);
  }

  /** Puts back the last n bytes: they will be moved again. => n bytes of the current piece were moved */
  unmove(n: number): void {
    this.resid += n;
    while (n > this.offset) {
      n -= this.offset;
      this.segment--;
      this.offset = this.iov[2 * this.segment + 1]!;
    }
    this.offset -= n;
  }

  /** Steps over n bytes. */
  skip(n: number): void {
    while (n > 0 && this.resid > 0) {
      this.skipEmpty();
      const step = Math.min(n, this.iov[2 * this.segment + 1]! - this.offset);
      this.offset += step;
      this.resid -= step;
      n -= step;
    }
  }
}

/** Resolves the fault at which a copy stopped. => 0, or -EFAULT; may sleep */
export function* copyFault(uvm: Uvm, map: VmMap): KGen<number> {
  const va = uvm.user.faultVa, access = uvm.user.faultAccess;
  let error = uvmFaultFast(map, va, access);
  if (error === -ERESTART) error = yield* uvmFault(map, va, access);
  return error < 0 ? -EFAULT : 0;
}

/** Moves n bytes (or resid, if that is less) between bytes[off..] and the caller. => 0, or -EFAULT with resid telling how far it came */
export function* uiomove(bytes: Uint8Array, off: number, n: number, uio: Uio): KGen<number> {
  for (let left = Math.min(n, uio.resid); left > 0;) {
    const moved = uio.moveFast(bytes, off, left);
    off += moved;
    left -= moved;
    if (left === 0) break;
    const error = yield* copyFault(uio.uvm, uio.map!);
    if (error < 0) return error;
  }
  return 0;
}

/** User memory at va to all of `into`. => 0 or -EFAULT */
export function* copyin(uvm: Uvm, map: VmMap, va: number, into: Uint8Array): KGen<number> {
  for (let done = 0; ;) {
    done += uvm.user.copyinFast(map.pmap, va + done, into, done, into.length - done);
    if (done === into.length) return 0;
    const error = yield* copyFault(uvm, map);
    if (error < 0) return error;
  }
}

/** All of `from` to user memory at va. => 0 or -EFAULT */
export function* copyout(uvm: Uvm, map: VmMap, va: number, from: Uint8Array): KGen<number> {
  for (let done = 0; ;) {
    done += uvm.user.copyoutFast(map.pmap, va + done, from, done, from.length - done);
    if (done === from.length) return 0;
    const error = yield* copyFault(uvm, map);
    if (error < 0) return error;
  }
}

/** Zeroes user memory. => 0 or -EFAULT */
export function* copyzero(uvm: Uvm, map: VmMap, va: number, len: number): KGen<number> {
  for (let done = 0; ;) {
    done += uvm.user.zeroFast(map.pmap, va + done, len - done);
    if (done === len) return 0;
    const error = yield* copyFault(uvm, map);
    if (error < 0) return error;
  }
}

/** A NUL-terminated string, one character a byte. => -EFAULT, or -ENAMETOOLONG when there is no NUL in `max` bytes */
export function* copyinstr(uvm: Uvm, map: VmMap, va: number, max: number): KGen<string | number> {
  for (;;) {
    const n = uvm.user.strlenFast(map.pmap, va, max);
    if (n === max) return -ENAMETOOLONG;
    if (n >= 0) {
      const bytes = new Uint8Array(n);
      if (uvm.user.copyinFast(map.pmap, va, bytes, 0, n) === n) return latin1(bytes);
    }
    const error = yield* copyFault(uvm, map);
    if (error < 0) return error;
  }
}

/** Bytes as a string of one character each: how names and paths travel in the kernel. */
export function latin1(bytes: Uint8Array): string {
  let s = "";
  // apply takes a typed array as it is; spreading would iterate over it.
  for (let i = 0; i < bytes.length; i += 4096) s += String.fromCharCode.apply(null, bytes.subarray(i, i + 4096) as unknown as number[]);
  return s;
}

/** The reverse. */
export function toBytes(s: string): Uint8Array {
  const bytes = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) bytes[i] = s.charCodeAt(i);
  return bytes;
}
