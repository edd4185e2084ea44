// Arguments of ioctl that lie in user memory.
import { EFAULT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { copyout } from "../uvm/uio.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";

/** Stores an int at user address `va`. => 0 or -EFAULT */
export function* argOut(k: Kern, t: Thread, va: number, value: number): KGen<number> {
  return (yield* copyout(k.uvm, t.proc.vmspace.map, va, new Uint8Array(Int32Array.of(value).buffer))) < 0 ? -EFAULT : 0;
}
