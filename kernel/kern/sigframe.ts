// The signal frame, as Linux riscv64 lays it out on the user's stack, and the way back.
//
//   sp ─► +0    siginfo_t                                  128
//         +128  ucontext_t: flags, link, stack (+16), sigmask (+40), pad to 176
//         +304    mcontext: pc x1 … x31 (256)              784
//         +560      f0 … f31, fcsr, reserved, end header   528
//         +1088
//
// The handler returns to the kernel's own page at SIGCODE_VA: `li a7,139; ecall`.
import { EFAULT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { VM_MAX_USER } from "../uvm/vmspace.ts";
import { copyin, copyout } from "../uvm/uio.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { SA_ONSTACK, type SigInfo, type SigSet, SIGCHLD, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, SI_TIMER, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK } from "./sigset.ts";
import { setSigmask } from "./signal.ts";

/** Where every process has the return instructions. */
export const SIGCODE_VA = VM_MAX_USER - 0x1000;
/** li a7,139; ecall */
export const SIGCODE = Uint32Array.of(0x08b00893, 0x00000073);

export const FRAME_BYTES = 1088, UC = 128, UC_STACK = UC + 16, UC_SIGMASK = UC + 40, MC = UC + 176, MC_F = MC + 256, MC_FCSR = MC_F + 256;

const putU64 = (d: DataView, at: number, v: number): void => {
  d.setInt32(at, v | 0, true);
  d.setInt32(at + 4, Math.floor(v / 2 ** 32), true);
};
const getU64 = (d: DataView, at: number): number => d.getInt32(at + 4, true) * 2 ** 32 + d.getUint32(at, true);

/** siginfo_t, 128 bytes. */
export function encodeSigInfo(info: SigInfo, d: DataView, at = 0): void {
  const { sig, code } = info;
  d.setInt32(at, sig, true);
  d.setInt32(at + 4, info.errno ?? 0, true);
  d.setInt32(at + 8, code, true);
  if (code === SI_TIMER) {
    d.setInt32(at + 16, info.timerId ?? 0, true);
    d.setInt32(at + 20, info.overrun ?? 0, true);
    d.setInt32(at + 24, info.valueLo ?? 0, true);
    d.setInt32(at + 28, info.valueHi ?? 0, true);
  } else if (code > 0 && (sig === SIGSEGV || sig === SIGBUS || sig === SIGILL || sig === SIGFPE || sig === SIGTRAP)) putU64(d, at + 16, info.addr ?? 0);
  else {
    d.setInt32(at + 16, info.pid ?? 0, true);
    d.setInt32(at + 20, info.uid ?? 0, true);
    if (sig === SIGCHLD && code > 0) {
      d.setInt32(at + 24, info.status ?? 0, true);
      putU64(d, at + 32, info.utime ?? 0);
      putU64(d, at + 40, info.stime ?? 0);
    } else {
      d.setInt32(at + 24, info.valueLo ?? 0, true);
      d.setInt32(at + 28, info.valueHi ?? 0, true);
    }
  }
}

/** Registers of a thread as mcontext at `at`. */
function saveContext(k: Kern, t: Thread, d: DataView): void {
  putU64(d, MC, k.sched.getPc(t));
  for (let r = 1; r < 32; r++) {
    d.setInt32(MC + 8 * r, t.x[2 * r]!, true);
    d.setInt32(MC + 8 * r + 4, t.x[2 * r + 1]!, true);
  }
  for (let i = 0; i < 64; i++) d.setInt32(MC_F + 4 * i, t.f[i]!, true);
  d.setUint32(MC_FCSR, k.sched.getFcsr(t), true);
}

/**
 * Puts a frame on the user's stack and points the thread at the handler.
 *
 * => mask: what sigreturn goes back to
 * => 0, or -EFAULT: no stack there
 */
export function* sendSignalFrame(k: Kern, t: Thread, info: SigInfo, handler: number, flags: number, mask: SigSet): KGen<number> {
  const bytes = new Uint8Array(FRAME_BYTES), d = new DataView(bytes.buffer), sp = regOf(t, 2), alt = t.altStack;
  const onAlt = (flags & SA_ONSTACK) !== 0 && alt.size > 0 && !alt.holds(sp);
  const top = onAlt ? alt.sp + alt.size : sp, frame = Math.floor((top - FRAME_BYTES) / 16) * 16;
  if (alt.holds(sp) && frame < alt.sp) return -EFAULT;
  encodeSigInfo(info, d);
  putU64(d, UC_STACK, alt.sp);
  d.setInt32(UC_STACK + 8, alt.size === 0 ? SS_DISABLE : alt.holds(sp) ? SS_ONSTACK : 0, true);
  putU64(d, UC_STACK + 16, alt.size);
  d.setInt32(UC_SIGMASK, mask.lo, true);
  d.setInt32(UC_SIGMASK + 4, mask.hi, true);
  saveContext(k, t, d);
  const err = yield* copyout(k.uvm, t.proc.vmspace.map, frame, bytes);
  if (err < 0) return err;
  if ((alt.flags & SS_AUTODISARM) !== 0) {
    alt.size = 0;
    alt.flags = SS_DISABLE;
  }
  setReg(t, 1, SIGCODE_VA);
  setReg(t, 2, frame);
  setReg(t, 10, info.sig);
  setReg(t, 11, frame);
  setReg(t, 12, frame + UC);
  k.sched.setPc(t, handler);
  return 0;
}

/** rt_sigreturn: everything as the frame at sp says. => 0, or -EFAULT: the caller kills the process */
export function* sigreturn(k: Kern, t: Thread): KGen<number> {
  const bytes = new Uint8Array(FRAME_BYTES), d = new DataView(bytes.buffer), { map } = t.proc.vmspace;
  const err = yield* copyin(k.uvm, map, regOf(t, 2), bytes);
  if (err < 0) return -EFAULT;
  for (let r = 1; r < 32; r++) {
    t.x[2 * r] = d.getInt32(MC + 8 * r, true);
    t.x[2 * r + 1] = d.getInt32(MC + 8 * r + 4, true);
  }
  for (let i = 0; i < 64; i++) t.f[i] = d.getInt32(MC_F + 4 * i, true);
  k.sched.setFcsr(t, d.getUint32(MC_FCSR, true) & 0xff);
  k.sched.setPc(t, Math.floor(getU64(d, MC) / 2) * 2);
  const alt = t.altStack, flags = d.getInt32(UC_STACK + 8, true), size = getU64(d, UC_STACK + 16);
  if ((flags & SS_DISABLE) === 0 && !alt.holds(regOf(t, 2))) {
    alt.sp = getU64(d, UC_STACK);
    alt.size = size;
    alt.flags = 0;
  }
  setSigmask(t, d.getInt32(UC_SIGMASK, true), d.getInt32(UC_SIGMASK + 4, true));
  return 0;
}

/** A register as a signed number. */
export function regOf(t: Thread, r: number): number {
  return t.x[2 * r + 1]! * 2 ** 32 + (t.x[2 * r]! >>> 0);
}

export function setReg(t: Thread, r: number, v: number): void {
  t.x[2 * r] = v | 0;
  t.x[2 * r + 1] = Math.floor(v / 2 ** 32);
}
