// Where a thread is: what it waits for, the kernel functions it waits in, the system call, then its user frames.
//
//   pc ─► frame by frame where the files say how frames are laid out (.eh_frame), signal frames included                   sure
//      ── ra, when its call leads to the function that pc is in
//      ├─ frame pointers, where s0 leads from frame to frame                                   sure
//      └─ else the words of the stack that follow a call instruction in executable memory      sure when the call's target is
//         the function of the frame before; "?" when the call is indirect or nothing has symbols; left out when it leads elsewhere
//
// Only memory that is resident is looked at.
import { Process, Thread } from "../kern/proc.ts";
import { MC, SIGCODE, SIGCODE_VA } from "../kern/sigframe.ts";
import type { SyscallEntry } from "../kern/trap.ts";
import type { Kernel } from "../kernel.ts";
import { PROT_EXEC } from "../hal/prot.ts";
import { KRwLock } from "../lib/klock.ts";
import { KThread } from "../lib/kthread.ts";
import { entryAt } from "./anon.ts";
import { type Caller, type Registers, unwind } from "./cfi.ts";
import { sleepChain } from "./chain.ts";
import { rwLocks } from "./locks.ts";
import type { Symbols } from "./symbols.ts";

/** A place on a thread's way: kernel code it is in the middle of, or a user address. */
export interface Frame {
  readonly where: "kernel" | "user";
  readonly what: string;
  readonly pc: number | null;
  /** Address of the frame, or of the stack word that the return address was found in. */
  readonly fp: number | null;
  /** name+offset, or "". */
  readonly symbol: string;
  /** False for a return address that may be left from an earlier call. */
  readonly isSure: boolean;
}

const FRAMES_MAX = 32, SCAN_BYTES = 64 << 10, REG_RA = 1, REG_SP = 2, REG_S0 = 8, REG_A0 = 10, ECALL = 0x73;
/** Functions that nobody called. */
const OUTERMOST = new Set(["_start", "_start_c", "__start", "start_thread", "__thread_start", "start"]);

const hex = (n: number): string => (n < 0 ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`);

/** The way of a thread, innermost first. */
export function trace(kernel: Kernel, symbols: Symbols, t: Thread): Frame[] {
  return [...kernelFrames(kernel, t), ...new UserStack(kernel, symbols, t).frames()];
}

// ---- kernel ----

/** The system call as the thread made it, with the arguments of the table's signature. */
export function callText(entry: SyscallEntry | undefined, t: Thread): string {
  const args = Array.from({ length: entry?.sig.length ?? 6 }, (_, i) => {
    const lo = t.x[2 * (REG_A0 + i)]!, v = t.x[2 * (REG_A0 + i) + 1]! * 2 ** 32 + (lo >>> 0), kind = entry?.sig[i] ?? "x";
    return kind === "d" ? String(lo) : kind === "u" ? String(v) : kind === "o" ? `0${(lo >>> 0).toString(8)}` : hex(v);
  });
  return `${entry?.name ?? `syscall_${t.syscallNr}`}(${args.join(", ")})`;
}

/** What a sleeping thread waits for, in words. */
function channelText(kernel: Kernel, chan: object): string {
  if (chan instanceof KRwLock) {
    const held = chan.writer !== null ? `held by ${chan.writer.name}` : `held by ${chan.readers} reader${chan.readers === 1 ? "" : "s"}`;
    return `${rwLocks(kernel).get(chan) ?? chan.name}, ${held}`;
  }
  const { pg } = chan as { pg?: unknown };
  if (typeof pg === "number") return `page 0x${kernel.uvm.paOf(pg).toString(16)}, busy by ${kernel.uvm.pages.busyOwner[pg]?.name ?? "nobody"}`;
  if (chan instanceof Process) return `pid ${chan.pid}`;
  if (chan instanceof KThread) return chan.name;
  const { name } = chan.constructor;
  return name === "Object" ? "" : name;
}

/** The kernel's part of the way, for its own threads too. */
export function kernelFrames(kernel: Kernel, t: KThread): Frame[] {
  if (t.coroutine === null) return [];
  const say = (what: string): Frame => ({ where: "kernel", what, pc: null, fp: null, symbol: "", isSure: true }), frames: Frame[] = [];
  if (t.sleep === null) frames.push(say("running"));
  else {
    const on = channelText(kernel, t.sleep.chan);
    frames.push(say(`asleep at ${t.sleep.tag}${on === "" ? "" : ` on ${on}`}${t.sleep.interruptible ? "" : ", signals wait"}`));
    for (const f of sleepChain(kernel.ctx, t)) frames.push(say(`in ${f.name} (${f.place})`));
  }
  if (!(t instanceof Thread)) return frames;
  const pc = kernel.kern.sched.getPc(t);
  if (userHalves(kernel, t, pc - 4, 2) === ECALL && t.syscallNr >= 0) frames.push(say(`system call ${callText(kernel.kern.syscalls[t.syscallNr], t)}`));
  return frames;
}

// ---- user ----

/** RAM byte offset of a thread's address, or -1: not resident. */
function ramOffset(kernel: Kernel, t: Thread, va: number): number {
  if (va <= 0 || va >= 2 ** 38) return -1;
  const pg = kernel.uvm.pageAt(t.proc.vmspace.map.pmap, va);
  return pg === 0 ? -1 : pg * 4096 + (va % 4096);
}

/** One or two halfwords of code; -1 where they are not resident. */
function userHalves(kernel: Kernel, t: Thread, va: number, count: 1 | 2): number {
  let v = 0;
  for (let i = 0; i < count; i++) {
    const at = va % 2 === 0 ? ramOffset(kernel, t, va + 2 * i) : -1;
    if (at < 0) return -1;
    v += (kernel.hal.mem.u8[at]! | (kernel.hal.mem.u8[at + 1]! << 8)) * 65536 ** i;
  }
  return v;
}

/** What calls: its target, or null when only the machine knew it. */
interface Call { readonly target: number | null }

class UserStack {
  private readonly kernel: Kernel;
  private readonly symbols: Symbols;
  private readonly t: Thread;
  private readonly found: Frame[] = [];
  /** Of the outermost frame so far. */
  private regs: Registers;
  /** Start of the function of the outermost frame so far; null without a symbol. */
  private inner: number | null = null;

  constructor(kernel: Kernel, symbols: Symbols, t: Thread) {
    this.kernel = kernel;
    this.symbols = symbols;
    this.t = t;
    this.regs = Array.from({ length: 32 }, (_, r) => t.x[2 * r + 1]! * 4294967296 + (t.x[2 * r]! >>> 0));
  }

  frames(): Frame[] {
    const pc = this.kernel.kern.sched.getPc(this.t);
    this.add("pc", pc, this.reg(REG_SP), true, pc);
    if (!this.byCallFrames(pc)) this.byReturnRegister(pc);
    if (!this.isDone && !this.byFramePointer()) this.byScan(this.reg(REG_SP));
    return this.found;
  }

  /** => false: nothing describes the first frame */
  private byCallFrames(from: number): boolean {
    for (let pc = from, inside = from, went = false; ; went = true) {
      const isSignal = pc >= SIGCODE_VA && pc < SIGCODE_VA + SIGCODE.byteLength, at = isSignal ? null : this.symbols.callFrame(this.t.proc, inside);
      if (this.isDone || (!isSignal && at === null)) return went;
      const next = at === null ? this.interrupted() : unwind(at.fde, at.va, this.regs, (va) => this.word(va));
      if (next === null || typeof next === "string") {
        if (next !== null) this.found.push({ where: "user", what: `(${next})`, pc: null, fp: null, symbol: "", isSure: true });
        return went;
      }
      this.regs = next.regs;
      pc = next.pc;
      // What a signal interrupted did not call: it is at pc itself.
      inside = isSignal || at?.fde.cie.isSignal ? pc : pc - 1;
      if (entryAt(this.t.proc, inside) === null) {
        this.isOutermost = true;
        return true;
      }
      this.add(isSignal ? "sig" : "cfi", pc, this.reg(REG_SP), true, inside);
    }
  }

  /** What a signal interrupted, from the frame that its handler returns through. */
  private interrupted(): Caller | null {
    const sp = this.reg(REG_SP), saved = Array.from({ length: 32 }, (_, r) => this.word(sp + MC + 8 * r)), pc = saved[0] ?? null;
    return pc === null ? null : { pc, regs: [0, ...saved.slice(1)] };
  }

  private byReturnRegister(pc: number): void {
    const ra = this.reg(REG_RA), first = this.symbolStart(pc), call = this.callBefore(ra);
    // Within a function that made calls ra is left from the last of them.
    if (call !== null && this.symbolStart(ra - 1) !== first && this.isCaller(call) !== "no") this.add("ra", ra, null, this.isCaller(call) === "sure", ra - 1);
  }

  private reg(r: number): number {
    return this.regs[r] ?? 0;
  }

  private symbolStart(va: number): number | null {
    return this.symbols.symbol(this.t.proc, va)?.start ?? null;
  }

  /** `inside`: an address within the calling instruction, so that a call at a function's end is not taken for the next function. */
  private add(what: string, pc: number, fp: number | null, isSure: boolean, inside: number): void {
    const s = this.symbols.symbol(this.t.proc, inside), name = s === null ? this.symbols.name(this.t.proc, pc) : `${s.name}+0x${(pc - s.start).toString(16)}`;
    this.found.push({ where: "user", what, pc, fp, symbol: name, isSure });
    this.inner = s?.start ?? null;
    if (s !== null && OUTERMOST.has(s.name)) this.isOutermost = true;
  }

  private isOutermost = false;

  private get isDone(): boolean {
    return this.isOutermost || this.found.length >= FRAMES_MAX;
  }

  /** Eight bytes of the stack. */
  private word(va: number): number | null {
    const at = va % 8 === 0 ? ramOffset(this.kernel, this.t, va) / 4 : -1, { i32 } = this.kernel.hal.mem;
    return at < 0 ? null : i32[at + 1]! * 4294967296 + (i32[at]! >>> 0);
  }

  /** The call before a return address in executable memory, or null. */
  private callBefore(ra: number): Call | null {
    const e = ra > 4 ? entryAt(this.t.proc, ra - 1) : null;
    if (e === null || (e.protection & PROT_EXEC) === 0) return null;
    const half = (va: number): number => userHalves(this.kernel, this.t, va, 1), short = half(ra - 2);
    // c.jalr
    if ((short & 0xf07f) === 0x9002 && (short >> 7 & 31) !== 0) return { target: null };
    const insn = userHalves(this.kernel, this.t, ra - 4, 2) | 0;
    if (half(ra - 4) < 0) return null;
    if ((insn & 0xfff) === 0xef) {
      const offset = ((insn >> 31) << 20) | (insn & 0xff000) | ((insn >>> 9) & 0x800) | ((insn >>> 20) & 0x7fe);
      return { target: ra - 4 + offset };
    }
    if ((insn & 0x7fff) !== 0xe7) return null;
    const before = half(ra - 8) < 0 ? 0 : userHalves(this.kernel, this.t, ra - 8, 2) | 0, base = (insn >>> 15) & 31;
    const isFar = (before & 0x7f) === 0x17 && ((before >>> 7) & 31) === base;
    return { target: isFar ? ra - 8 + (before & ~0xfff) + (insn >> 20) : null };
  }

  /** Whether a call leads to the function of the outermost frame so far. */
  private isCaller(call: Call): "sure" | "maybe" | "no" {
    if (call.target === null || this.inner === null) return "maybe";
    if (call.target === this.inner) return "sure";
    // A call of something without a symbol may be a jump table's entry.
    return this.symbolStart(call.target) === null ? "maybe" : "no";
  }

  /** => false: s0 is no frame pointer here */
  private byFramePointer(): boolean {
    const sp = this.reg(REG_SP), chain: { ra: number; fp: number }[] = [];
    for (let fp = this.reg(REG_S0), below = sp; chain.length < FRAMES_MAX; ) {
      const ra = fp > below ? this.word(fp - 8) : null, next = fp > below ? this.word(fp - 16) : null;
      if (ra === null || next === null || this.callBefore(ra) === null) break;
      chain.push({ ra, fp });
      below = fp;
      fp = next;
    }
    // A saved s0 that is no frame pointer passes for one frame by chance; two in a row do not.
    if (chain.length < 2) return false;
    const known = this.found.at(-1)!.pc;
    for (const { ra, fp } of chain) if (!this.isDone && ra !== known) this.add("frame", ra, fp, true, ra - 1);
    return true;
  }

  private byScan(sp: number): void {
    const e = entryAt(this.t.proc, sp), end = e === null ? 0 : Math.min(e.end, sp + SCAN_BYTES), known = this.found.at(-1)!.pc;
    for (let at = Math.ceil(sp / 8) * 8; at < end && !this.isDone; at += 8) {
      const ra = this.word(at), call = ra === null || ra === known ? null : this.callBefore(ra);
      if (ra === null || call === null) continue;
      const answer = this.isCaller(call);
      if (answer !== "no") this.add("stack", ra, at, answer === "sure", ra - 1);
    }
  }
}
