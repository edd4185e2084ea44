// Traps from user mode: system calls, page faults, and what becomes a signal.
//
//   ecall ─► table[a7].fast, a plain function ─(-ERESTART)─► .slow, a generator ─► a0
//   page fault ─► pmapFixup ─► uvmFaultFast ─(-ERESTART)─► uvmFault ─► retry, or SIGSEGV / SIGBUS (uvm-spec 6.6)
import { EACCES, EINTR, EINVAL, EIO, ENOMEM, ENOSYS, ERESTART } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { uvmFaultFast } from "../uvm/fault.ts";
import { uvmFault } from "../uvm/faultslow.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { AST_SIGNAL } from "./proc.ts";
import { trapSignal } from "./signal.ts";
import { BUS_ADRALN, BUS_ADRERR, BUS_OBJERR, ILL_ILLOPC, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGILL, SIGKILL, SIGSEGV, SIGTRAP, TRAP_BRKPT } from "./sigset.ts";

/** What to do when a signal interrupted a call: nothing (-EINTR); again if SA_RESTART or no handler ran; again only if no handler ran. */
export const RESTART_NEVER = 0, RESTART_SA = 1, RESTART_NOHAND = 2;

/** A row of the system-call table. Arguments are in t.x. */
export interface SyscallEntry {
  readonly name: string;
  /** Finishes without sleeping, or answers -ERESTART having changed nothing. */
  readonly fast?: (k: Kern, t: Thread) => number;
  readonly slow?: (k: Kern, t: Thread) => KGen<number>;
  readonly restart: number;
  /** How the trace prints arguments: a letter each (sys/trace.ts). */
  readonly sig: string;
}

/** The call does not return to its caller: exec and sigreturn set all registers themselves. */
export const NO_RETURN = -513;

const CAUSE_IMISALIGNED = 0, CAUSE_IACCESS = 1, CAUSE_ILLEGAL = 2, CAUSE_BREAK = 3, CAUSE_LMISALIGNED = 4, CAUSE_LACCESS = 5;
const CAUSE_SMISALIGNED = 6, CAUSE_SACCESS = 7, CAUSE_ECALL_U = 8, CAUSE_IPAGE = 12, CAUSE_LPAGE = 13, CAUSE_SPAGE = 15;

/** The hart stopped with a trap. => true: go on with user code; false: the thread sleeps */
export function trapDispatch(k: Kern, t: Thread): boolean {
  const { hart } = k.hal.machine, { cause } = hart;
  if (cause === CAUSE_ECALL_U) {
    hart.pc += 4;
    return syscall(k, t);
  }
  if (cause === CAUSE_IPAGE || cause === CAUSE_LPAGE || cause === CAUSE_SPAGE) return pageFault(k, t, hart.tval, accessOf(cause));
  otherTrap(k, t, cause, hart.tval);
  return true;
}

const FAULT_NAMES: Readonly<Record<number, string>> = { [PROT_READ]: "read", [PROT_WRITE]: "write", [PROT_EXEC]: "fetch" };

const accessOf = (cause: number): number => (cause === CAUSE_SPAGE ? PROT_WRITE : cause === CAUSE_LPAGE ? PROT_READ : PROT_EXEC);

// ---- system calls --------------------------------------------------------------------------------------------------

function syscall(k: Kern, t: Thread): boolean {
  const nr = t.x[34]!, e = t.x[35] === 0 ? k.syscalls[nr] : undefined;
  t.syscallNr = nr;
  if (k.trace !== null && k.trace.kinds.has("syscall")) return k.sched.begin(t, tracedSyscall(k, t, e));
  if (e === undefined) {
    k.traced("enosys", () => `[${t.tid}] ${t.proc.comm}: system call ${nr} does not exist here: ENOSYS`);
    setResult(t, -ENOSYS);
    return true;
  }
  if (e.fast !== undefined) {
    const r = e.fast(k, t);
    if (r !== -ERESTART || e.slow === undefined) {
      finishSyscall(t, e, r);
      return true;
    }
  }
  return k.sched.begin(t, slowSyscall(k, t, e));
}

function* slowSyscall(k: Kern, t: Thread, e: SyscallEntry): KGen<void> {
  const r = yield* e.slow!(k, t);
  if (!t.isDead) finishSyscall(t, e, r);
}

/** The call as a line: name, arguments, result. */
function* tracedSyscall(k: Kern, t: Thread, e: SyscallEntry | undefined): KGen<void> {
  const { x } = t, nr = t.syscallNr, args: string[] = [];
  for (let i = 0; i < (e?.sig.length ?? 6); i++) args.push(traceArg(e?.sig[i] ?? "x", x[20 + 2 * i]!, x[21 + 2 * i]!));
  const call = `[${t.tid}] ${t.proc.comm}: ${e?.name ?? `syscall_${nr}`}(${args.join(", ")})`;
  let r = -ENOSYS;
  if (e) {
    r = e.fast ? e.fast(k, t) : -ERESTART;
    if (r === -ERESTART && e.slow) {
      if (e.name === "exit_group" || e.name === "exit") k.trace!.line(call);
      r = yield* e.slow(k, t);
    }
    if (t.isDead) return;
    finishSyscall(t, e, r);
  } else setResult(t, r);
  k.trace!.line(`${call} = ${r > 4096 ? `0x${r.toString(16)}` : r}${e ? "" : " (no such call)"}`);
}

function traceArg(kind: string, lo: number, hi: number): string {
  const v = hi * 2 ** 32 + (lo >>> 0);
  if (kind === "d") return String(lo);
  if (kind === "u") return String(v);
  if (kind === "o") return `0${(lo >>> 0).toString(8)}`;
  return v < 0 ? `-0x${(-v).toString(16)}` : `0x${v.toString(16)}`;
}

/** a0 gets the result; an interrupted call may be made again (userAst decides). */
function finishSyscall(t: Thread, e: SyscallEntry, r: number): void {
  if (r === NO_RETURN) return;
  if (r === -EINTR && e.restart !== RESTART_NEVER && t.ast !== 0) {
    // A wait to a moment (a futex's with a time limit) goes on only when no handler ran.
    t.pendingRestart = Number.isNaN(t.restartDeadline) ? e.restart : RESTART_NOHAND;
    t.ast |= AST_SIGNAL;
    return;
  }
  t.restartDeadline = NaN;
  setResult(t, r);
}

/** a0 as a 64-bit number. */
export function setResult(t: Thread, r: number): void {
  t.x[20] = r | 0;
  t.x[21] = Math.floor(r / 2 ** 32);
}

// ---- faults --------------------------------------------------------------------------------------------------------

function pageFault(k: Kern, t: Thread, va: number, access: number): boolean {
  const { map } = t.proc.vmspace;
  if (k.trace !== null) k.traced("fault", () => `[${t.tid}] ${t.proc.comm}: ${FAULT_NAMES[access] ?? "?"} fault at 0x${va.toString(16)} pc 0x${k.sched.getPc(t).toString(16)}`);
  if (va < map.min || va >= map.max) {
    trapSignal(k, t, { sig: SIGSEGV, code: SEGV_MAPERR, addr: va });
    return true;
  }
  if (k.uvm.pmap.pmapFixup(map.pmap, va, access)) return true;
  const r = uvmFaultFast(map, va, access);
  if (r === 0) {
    t.proc.usage.minorFaults++;
    return true;
  }
  if (r === -ERESTART) return k.sched.begin(t, slowFault(k, t, va, access));
  faultSignal(k, t, va, r);
  return true;
}

function* slowFault(k: Kern, t: Thread, va: number, access: number): KGen<void> {
  const r = yield* uvmFault(t.proc.vmspace.map, va, access);
  if (r === 0) t.proc.usage.majorFaults++;
  else faultSignal(k, t, va, r);
}

/** uvm-spec 6.6. */
function faultSignal(k: Kern, t: Thread, addr: number, err: number): void {
  if (err === -ENOMEM) {
    k.say(`out of memory: killed process ${t.proc.pid} (${t.proc.comm})`);
    trapSignal(k, t, { sig: SIGKILL, code: 0, addr });
  } else if (err === -EINVAL) trapSignal(k, t, { sig: SIGBUS, code: BUS_ADRERR, addr });
  else if (err === -EIO) trapSignal(k, t, { sig: SIGBUS, code: BUS_OBJERR, addr });
  else trapSignal(k, t, { sig: SIGSEGV, code: err === -EACCES ? SEGV_ACCERR : SEGV_MAPERR, addr });
}

/** The other exceptions. */
function otherTrap(k: Kern, t: Thread, cause: number, tval: number): void {
  const pc = k.sched.getPc(t);
  if (cause === CAUSE_ILLEGAL) trapSignal(k, t, { sig: SIGILL, code: ILL_ILLOPC, addr: pc });
  else if (cause === CAUSE_BREAK) trapSignal(k, t, { sig: SIGTRAP, code: TRAP_BRKPT, addr: pc });
  else if (cause === CAUSE_IACCESS || cause === CAUSE_LACCESS || cause === CAUSE_SACCESS) trapSignal(k, t, { sig: SIGSEGV, code: SEGV_ACCERR, addr: tval });
  else if (cause === CAUSE_IMISALIGNED || cause === CAUSE_LMISALIGNED || cause === CAUSE_SMISALIGNED) trapSignal(k, t, { sig: SIGBUS, code: BUS_ADRALN, addr: tval });
  else trapSignal(k, t, { sig: SIGILL, code: ILL_ILLOPC, addr: pc });
}
