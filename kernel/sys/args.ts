// Decoding: arguments of system calls, and structures in user memory.
import { EFAULT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyin, copyinstr, copyout } from "../uvm/uio.ts";
import { PATH_MAX } from "../vfs/namei.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RESTART_NEVER, type SyscallEntry } from "../kern/trap.ts";

const TWO32 = 2 ** 32;

/** Argument i as a signed number: exact below 2^53. */
export const argOf = (t: Thread, i: number): number => t.x[21 + 2 * i]! * TWO32 + (t.x[20 + 2 * i]! >>> 0);
/** As an unsigned number: sizes and addresses. */
export const argUOf = (t: Thread, i: number): number => (t.x[21 + 2 * i]! >>> 0) * TWO32 + (t.x[20 + 2 * i]! >>> 0);
/** Its low word, signed: descriptors, flags. */
export const intOf = (t: Thread, i: number): number => t.x[20 + 2 * i]!;

/** A row of the table. */
export interface Row {
  readonly nr: number;
  readonly entry: SyscallEntry;
}

type Fast = (k: Kern, t: Thread) => number;
type Slow = (k: Kern, t: Thread) => KGen<number>;

/** A call that never sleeps. `sig`: a letter an argument for the trace: d int, u unsigned, x hex, o octal. */
export function fast(nr: number, name: string, sig: string, f: Fast): Row {
  return { nr, entry: { name, sig, fast: f, restart: RESTART_NEVER } };
}

/** A call that may sleep. */
export function slow(nr: number, name: string, sig: string, s: Slow, restart = RESTART_NEVER): Row {
  return { nr, entry: { name, sig, slow: s, restart } };
}

/** A call that tries without sleeping first. */
export function both(nr: number, name: string, sig: string, f: Fast, s: Slow, restart = RESTART_NEVER): Row {
  return { nr, entry: { name, sig, fast: f, slow: s, restart } };
}

// ---- user memory ---------------------------------------------------------------------------------------------------

/** A structure's bytes. => -EFAULT */
export function* getBytes(k: Kern, t: Thread, va: number, len: number): KGen<Uint8Array | number> {
  const bytes = new Uint8Array(len), err = yield* copyin(k.uvm, t.proc.vmspace.map, va, bytes);
  return err < 0 ? -EFAULT : bytes;
}

export function* getView(k: Kern, t: Thread, va: number, len: number): KGen<DataView | number> {
  const b = yield* getBytes(k, t, va, len);
  return typeof b === "number" ? b : new DataView(b.buffer);
}

/** => 0 or -EFAULT */
export function* putBytes(k: Kern, t: Thread, va: number, bytes: Uint8Array): KGen<number> {
  return yield* copyout(k.uvm, t.proc.vmspace.map, va, bytes);
}

/** The same without sleeping. => false: use the generator */
export function putBytesFast(k: Kern, t: Thread, va: number, bytes: Uint8Array): boolean {
  return k.uvm.user.copyoutFast(t.proc.vmspace.map.pmap, va, bytes, 0, bytes.length) === bytes.length;
}

export function* putInt(k: Kern, t: Thread, va: number, v: number): KGen<number> {
  return yield* putBytes(k, t, va, new Uint8Array(Int32Array.of(v).buffer));
}

/** A path or name. => -EFAULT, -ENAMETOOLONG */
export function* getPath(k: Kern, t: Thread, va: number, max = PATH_MAX): KGen<string | number> {
  return yield* copyinstr(k.uvm, t.proc.vmspace.map, va, max);
}

/** A 64-bit word of a structure as a signed number. */
export const i64At = (d: DataView, at: number): number => d.getInt32(at + 4, true) * TWO32 + d.getUint32(at, true);
export const u64At = (d: DataView, at: number): number => d.getUint32(at + 4, true) * TWO32 + d.getUint32(at, true);
export function put64(d: DataView, at: number, v: number): void {
  d.setInt32(at, v | 0, true);
  d.setInt32(at + 4, Math.floor(v / TWO32), true);
}
