// execve: another program in the same process.
//
//   look up, `#!` ─► read headers ─► check everything ─║─► empty the address space ─► map segments, stack, sigcode ─► registers
//                                                      ║ point of no return: an error after it kills the process
//
// User addresses:  0x10000 static | 0x2a_aaaa_a000 PIE, break | … mmap, downward | room | stack, grows down | sigcode | end
import { EAGAIN, E2BIG, EACCES, EFAULT, EINTR, EINVAL, ELOOP, ENOEXEC, ENOMEM, ETXTBSY } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { uaoCreate } from "../uvm/aobj.ts";
import { uvmMap } from "../uvm/mmap.ts";
import { uvmMapProtect } from "../uvm/mapops.ts";
import { copyout, copyzero, latin1, Uio, UIO_READ } from "../uvm/uio.ts";
import { uvmMapStack } from "../uvm/stack.ts";
import { uvmspaceExec, type Vmspace } from "../uvm/vmspace.ts";
import { uvnMarkExec } from "../uvm/vnode.ts";
import { namei } from "../vfs/namei.ts";
import { MNT_NOEXEC } from "../vfs/mount.ts";
import { VREG, type Vnode } from "../vfs/vnode.ts";
import { type ElfHeader, ET_DYN, ET_EXEC, loadRange, PHDR_BYTES, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR, readElfHeader, readSegments, type Segment } from "./elf.ts";
import {
  AT_BASE, AT_CACHE_FIRST, AT_CACHE_LAST, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_FLAGS, AT_GID, AT_HWCAP, AT_MINSIGSTKSZ, AT_PAGESZ, AT_PHDR, AT_PHENT,
  AT_PHNUM, AT_RSEQ_ALIGN, AT_RSEQ_FEATURE_SIZE, AT_SECURE, AT_UID, buildStack, HWCAP,
} from "./execstack.ts";
import { exitProcess, killOthers, releaseVfork } from "./exit.ts";
import { isOverNproc } from "./fork.ts";
import { futexExit } from "./futexexit.ts";
import { dropTimers } from "./itimer.ts";
import type { Kern } from "./kern.ts";
import type { Cred } from "./cred.ts";
import { AST_EXIT, type Process, setText, type Thread } from "./proc.ts";
import { NO_RSEQ } from "./rseq.ts";
import { RLIMIT_AS, RLIMIT_STACK } from "./rlimit.ts";
import { setReg, SIGCODE, SIGCODE_VA } from "./sigframe.ts";
import { credOfProgram, isSecure } from "./setid.ts";
import { AltStack, SIGKILL, SigActions } from "./sigset.ts";

const PAGE = 4096, PIE_BASE = 0x2aaaaaa000, INTERP_BASE = 0x3000000000, MAX_SCRIPTS = 4, HEAD_BYTES = 4096, MAX_INTERP = 256;
/** argv and envp with their pointers may use a quarter of the stack. */
const ARG_BYTES_MAX = 2 << 20;
/** Arguments are always given this much. */
const STACK_MIN = 32 * PAGE;

export interface ExecRequest {
  /** As given: AT_EXECFN, and relative to the working directory. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  /** Where a relative path begins; absent: the working directory. */
  readonly start?: Vnode;
}

/** A program file with its headers. */
interface Image {
  readonly vnode: Vnode;
  readonly header: ElfHeader;
  readonly segments: readonly Segment[];
}

/** What is to be run once scripts are resolved. */
interface Program {
  readonly image: Image;
  readonly interp: Image | null;
  readonly path: string;
  readonly argv: readonly string[];
}

/** Reads up to `len` bytes of a file into kernel memory. */
export function* readVnode(k: Kern, v: Vnode, offset: number, len: number): KGen<Uint8Array | number> {
  const bytes = new Uint8Array(len);
  let done = 0;
  while (done < len) {
    const n = yield* v.read(Uio.kernel(k.uvm, bytes.subarray(done), UIO_READ), offset + done);
    if (n < 0) return n;
    if (n === 0) break;
    done += n;
  }
  return bytes.subarray(0, done);
}

/** execve(2). => 0: the thread's registers are those of the new program; -errno: nothing changed; dead on an error too late */
export function* execve(k: Kern, t: Thread, r: ExecRequest): KGen<number> {
  const total = [...r.argv, ...r.envp].reduce((n, s) => n + s.length + 9, 0);
  if (total > Math.min(ARG_BYTES_MAX, t.proc.limits.get(RLIMIT_STACK) / 4)) return -E2BIG;
  if (isOverNproc(k, t.proc)) return -EAGAIN;
  const prog = yield* resolve(k, t.proc, r);
  if (typeof prog === "number") return prog;
  const err = yield* replace(k, t, r, prog);
  yield* release(prog.image.vnode);
  if (prog.interp) yield* release(prog.interp.vnode);
  return err;
}

// ---- before the point of no return ---------------------------------------------------------------------------------

/** Follows `#!` lines to a program. => its vnodes referenced */
function* resolve(k: Kern, p: Process, r: ExecRequest): KGen<Program | number> {
  let { path } = r, argv: readonly string[] = r.argv.length > 0 ? r.argv : [""];
  for (let depth = 0; depth <= MAX_SCRIPTS; depth++) {
    const v = yield* openProgram(k, p, path, r.start);
    if (typeof v === "number") return v;
    const head = yield* readVnode(k, v, 0, HEAD_BYTES);
    if (typeof head === "number") return yield* refuse(v, head);
    v.accessed();
    if (head[0] !== 0x23 || head[1] !== 0x21) return yield* loadImages(k, p, v, head, path, argv);
    yield* release(v);
    const line = latin1(head.subarray(2, 2 + 254)), m = /^[ \t]*([^ \t\n\0]+)(?:[ \t]+([^\n\0]*))?/.exec(line.split("\n")[0]!);
    if (!m) return -ENOEXEC;
    const arg = (m[2] ?? "").replace(/[ \t]+$/, "");
    argv = [m[1]!, ...(arg === "" ? [] : [arg]), path, ...argv.slice(1)];
    path = m[1]!;
  }
  return -ELOOP;
}

function* drop(v: Vnode, err: number): KGen<number> {
  yield* v.vrele();
  return err;
}

/** Gives back a program that was opened. */
function* release(v: Vnode): KGen<void> {
  v.texts--;
  yield* v.vrele();
}

function* refuse(v: Vnode, err: number): KGen<number> {
  yield* release(v);
  return err;
}

/** A regular file that the process may execute, referenced, and held so that nobody opens it for writing. */
function* openProgram(k: Kern, p: Process, path: string, start?: Vnode): KGen<Vnode | number> {
  const found = yield* namei(k.vfs, start ?? p.cwd!, path, { follow: true, root: p.root!, cred: p.cred });
  if (typeof found === "number") return found;
  const v = yield* found.keepVnode(), a = v.getattr();
  if (v.type !== VREG || !p.cred.mayAccess(1, a.uid, a.gid, a.mode, false) || (v.mount.flags & MNT_NOEXEC) !== 0) return yield* drop(v, -EACCES);
  // Whoever may write to it could change what runs.
  if (v.writers > 0) return yield* drop(v, -ETXTBSY);
  v.texts++;
  return v;
}

function* readImage(k: Kern, v: Vnode, head: Uint8Array): KGen<Image | number> {
  const header = readElfHeader(head);
  if (typeof header === "number") return header;
  const size = header.phnum * PHDR_BYTES, end = header.phoff + size;
  const table = end <= head.length ? head.subarray(header.phoff, end) : yield* readVnode(k, v, header.phoff, size);
  if (typeof table === "number") return table;
  const segments = readSegments(table, header.phnum);
  return typeof segments === "number" ? segments : { vnode: v, header, segments };
}

/** The program's headers, and its interpreter's. Takes over the vnode's reference. */
function* loadImages(k: Kern, p: Process, v: Vnode, head: Uint8Array, path: string, argv: readonly string[]): KGen<Program | number> {
  const image = yield* readImage(k, v, head);
  if (typeof image === "number") return yield* refuse(v, image);
  const pt = image.segments.find((s) => s.type === PT_INTERP);
  if (!pt) return { image, interp: null, path, argv };
  if (pt.fileBytes < 2 || pt.fileBytes > MAX_INTERP) return yield* refuse(v, -ENOEXEC);
  const name = yield* readVnode(k, v, pt.offset, pt.fileBytes);
  if (typeof name === "number") return yield* refuse(v, name);
  const iv = yield* openProgram(k, p, latin1(name).split("\0")[0]!);
  if (typeof iv === "number") return yield* refuse(v, iv);
  const ihead = yield* readVnode(k, iv, 0, HEAD_BYTES), interp = typeof ihead === "number" ? ihead : yield* readImage(k, iv, ihead);
  if (typeof interp !== "number") return { image, interp, path, argv };
  yield* release(iv);
  return yield* refuse(v, interp);
}

// ---- the new address space -----------------------------------------------------------------------------------------

function* replace(k: Kern, t: Thread, r: ExecRequest, prog: Program): KGen<number> {
  const p = t.proc;
  // Another thread was faster with its own exec or exit: this one ends before it is in user mode again.
  if ((t.ast & AST_EXIT) !== 0) return -EINTR;
  if (p.threads.length > 1) {
    killOthers(k, t);
    while (p.threads.length > 1) yield* k.ctx.sleep(p.threads, "execthreads");
  }
  yield* futexExit(k, t);
  if (t.tid !== p.pid) becomeFirst(k, t);
  if (k.sched.loaded === t) k.sched.unload();
  p.usage.maxRssPages = Math.max(p.usage.maxRssPages, p.vmspace.map.pmap.residentPeak);
  const vm = yield* uvmspaceExec(p.vmspace);
  if (typeof vm === "number") return vm;
  p.vmspace = vm;
  releaseVfork(k, p);
  const cred = credOfProgram(p, prog.image.vnode);
  const err = yield* build(k, t, r, prog, vm, cred);
  if (err < 0) {
    k.say(`exec of ${prog.path}: error ${-err} after the point of no return`);
    yield* exitProcess(k, t, SIGKILL);
    return err;
  }
  yield* resetProcess(k, t, prog, cred);
  return 0;
}

/** The only thread left is the process's first, whichever it was. */
function becomeFirst(k: Kern, t: Thread): void {
  k.threads.delete(t.tid);
  t.rename(t.proc.pid);
  k.threads.set(t.tid, t);
}

function* build(k: Kern, t: Thread, r: ExecRequest, prog: Program, vm: Vmspace, cred: Cred): KGen<number> {
  const p = t.proc, { image, interp } = prog, main = yield* mapImage(k, vm, image, image.header.type === ET_DYN ? PIE_BASE : 0);
  if (main < 0) return main;
  const bias = image.header.type === ET_DYN ? main : 0;
  vm.brkBase = vm.brkEnd = loadRange(image.segments).hi + bias;
  let entry = image.header.entry + bias, base = 0;
  if (interp) {
    const at = yield* mapImage(k, vm, interp, INTERP_BASE);
    if (at < 0) return at;
    base = interp.header.type === ET_EXEC ? 0 : at;
    entry = interp.header.entry + base;
  }
  const stackErr = yield* mapStack(k, p, vm, image);
  if (stackErr < 0) return stackErr;
  const random = new Uint8Array(16);
  k.random.fill(random);
  const stack = buildStack({ top: SIGCODE_VA, argv: prog.argv, envp: r.envp, execfn: prog.path, random, auxv: auxvOf(cred, image, bias, base) });
  const copied = yield* copyout(k.uvm, vm.map, stack.sp, stack.bytes);
  if (copied < 0) return -ENOMEM;
  p.argStart = stack.argStart;
  p.argEnd = stack.argEnd;
  p.envStart = stack.envStart;
  p.envEnd = stack.envEnd;
  t.savedX.fill(0);
  t.savedF.fill(0);
  t.savedFcsr = 0;
  t.savedPc = entry;
  setReg(t, 2, stack.sp);
  return 0;
}

function auxvOf(cred: Cred, image: Image, bias: number, base: number): [number, number][] {
  const { header, segments } = image, phdr = segments.find((s) => s.type === PT_PHDR);
  const holder = segments.find((s) => s.type === PT_LOAD && s.offset <= header.phoff && header.phoff < s.offset + s.fileBytes);
  const phdrVa = phdr ? phdr.va + bias : holder ? holder.va + (header.phoff - holder.offset) + bias : 0;
  const cache: [number, number][] = [];
  for (let key = AT_CACHE_FIRST; key <= AT_CACHE_LAST; key++) cache.push([key, 0]);
  return [
    ...cache, [AT_MINSIGSTKSZ, 1088], [AT_HWCAP, HWCAP], [AT_PAGESZ, PAGE], [AT_CLKTCK, 100], [AT_PHDR, phdrVa], [AT_PHENT, PHDR_BYTES], [AT_PHNUM, header.phnum],
    [AT_BASE, base], [AT_FLAGS, 0], [AT_ENTRY, header.entry + bias], [AT_UID, cred.uid], [AT_EUID, cred.euid], [AT_GID, cred.gid],
    [AT_EGID, cred.egid], [AT_SECURE, Number(isSecure(cred))], [AT_RSEQ_FEATURE_SIZE, 28], [AT_RSEQ_ALIGN, 32],
  ];
}

/** Maps an image's segments. `base`: where its lowest page goes when it can move. => the bias (base - lowest va); -errno */
function* mapImage(k: Kern, vm: Vmspace, image: Image, base: number): KGen<number> {
  const { lo } = loadRange(image.segments), bias = image.header.type === ET_DYN ? base - lo : 0;
  uvnMarkExec(k.uvm, image.vnode.uobj);
  for (const s of image.segments) {
    if (s.type !== PT_LOAD || s.memBytes === 0) continue;
    const err = yield* mapSegment(k, vm, image.vnode, s, s.va + bias);
    if (err < 0) return err;
  }
  return bias;
}

function* mapSegment(k: Kern, vm: Vmspace, v: Vnode, s: Segment, va: number): KGen<number> {
  const { map } = vm, from = Math.floor(va / PAGE) * PAGE, fileEnd = va + s.fileBytes, end = Math.ceil((va + s.memBytes) / PAGE) * PAGE;
  const mapped = s.fileBytes === 0 ? from : Math.ceil(fileEnd / PAGE) * PAGE;
  if (from < map.min) return -EINVAL;
  if (mapped > from) {
    v.vref();
    const r = yield* uvmMap(map, {
      va: from, fixed: true, noReplace: true, size: mapped - from, prot: s.prot, maxprot: 7, uobj: v.uobj, offset: s.offset - (va - from), copyOnWrite: true,
    });
    if (r < 0) {
      yield* v.vrele();
      return r;
    }
    if (mapped > fileEnd && (s.prot & PROT_WRITE) !== 0) {
      const err = yield* copyzero(k.uvm, map, fileEnd, mapped - fileEnd);
      if (err < 0) return err;
    }
  }
  if (end <= mapped) return 0;
  const r = yield* uvmMap(map, { va: mapped, fixed: true, noReplace: true, size: end - mapped, prot: s.prot, maxprot: 7, copyOnWrite: true });
  return Math.min(r, 0);
}

function* mapStack(k: Kern, p: Process, vm: Vmspace, image: Image): KGen<number> {
  const gnu = image.segments.find((s) => s.type === PT_GNU_STACK), prot = PROT_READ | PROT_WRITE | (gnu ? gnu.prot & PROT_EXEC : 0);
  const err = yield* uvmMapStack(vm, SIGCODE_VA, Math.max(p.limits.get(RLIMIT_STACK), STACK_MIN), prot);
  vm.map.sizeLimit = p.limits.get(RLIMIT_AS);
  return err < 0 ? err : yield* mapSigcode(k, vm);
}

/** The page of the signal return instructions: one for all processes, filled by the first. */
function* mapSigcode(k: Kern, vm: Vmspace): KGen<number> {
  const { map } = vm, isNew = k.sigcode === null, uobj = (k.sigcode ??= uaoCreate(k.uvm, PAGE));
  uobj.pgops.reference(uobj);
  const r = yield* uvmMap(map, { va: SIGCODE_VA, fixed: true, size: PAGE, prot: isNew ? PROT_READ | PROT_WRITE : PROT_READ | PROT_EXEC, maxprot: 7, uobj, offset: 0, inherit: 0 });
  if (r < 0 || !isNew) return Math.min(r, 0);
  const err = yield* copyout(k.uvm, map, SIGCODE_VA, new Uint8Array(SIGCODE.buffer));
  return err < 0 ? -EFAULT : yield* uvmMapProtect(map, SIGCODE_VA, SIGCODE_VA + PAGE, PROT_READ | PROT_EXEC);
}

/** What else of the process ends with its program. */
function* resetProcess(k: Kern, t: Thread, prog: Program, cred: Cred): KGen<void> {
  const p = t.proc, actions = new SigActions(p.actions);
  actions.resetForExec();
  p.actions = actions;
  t.altStack = new AltStack();
  t.rseq = NO_RSEQ;
  dropTimers(p, true);
  p.comm = prog.path.slice(prog.path.lastIndexOf("/") + 1).slice(0, 15);
  p.exePath = prog.path[0] === "/" ? prog.path : (yield* pathOf(k, p, prog.path));
  k.notePath(prog.image.vnode, p.exePath);
  p.didExec = true;
  p.isDumpable = !isSecure(cred);
  if (isSecure(cred)) p.pdeathsig = 0;
  p.cred = cred;
  p.admittedUid = p.cred.uid;
  yield* setText(p, prog.image.vnode);
  k.traced("exec", () => `[${p.pid}] exec ${prog.path}`);
  p.exitSignal = 17;
  if (p.fds.refs > 1) {
    // Another process has the same table (CLONE_FILES), and keeps it.
    const shared = p.fds;
    p.fds = shared.copy();
    yield* shared.release();
  }
  yield* p.fds.closeOnExec();
}

function* pathOf(k: Kern, p: Process, path: string): KGen<string> {
  const cwd = yield* cwdPath(k, p.cwd!, p.root!);
  return typeof cwd === "number" ? path : `${cwd === "/" ? "" : cwd}/${path.replace(/^\.\//, "")}`;
}

/** The path of a directory, found upward. => -ENOENT: it was removed */
export function* cwdPath(k: Kern, dir: Vnode, root: Vnode): KGen<string | number> {
  const names: string[] = [];
  let v = dir;
  v.vref();
  while (v !== root) {
    const up = yield* k.vfs.parent(v, root);
    if (typeof up === "number") return yield* drop(v, up);
    if (up === v) {
      yield* up.vrele();
      break;
    }
    const covered = up.mount === v.mount ? null : v.mount.covered, ino = covered ? covered.ino : v.ino;
    let name = "";
    yield* up.readdir(0, (i, _type, n) => {
      if (i === ino && n !== "." && n !== "..") name = n;
      return name === "";
    });
    if (name === "" && covered) name = v.mount.path.slice(v.mount.path.lastIndexOf("/") + 1);
    yield* v.vrele();
    v = up;
    if (name === "") return yield* drop(v, -2);
    names.unshift(name);
  }
  yield* v.vrele();
  return `/${names.join("/")}`;
}
