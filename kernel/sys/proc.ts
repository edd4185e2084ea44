// System calls about processes: clone, execve, exit, wait, ids, groups and sessions, usage, prctl.
import { EACCES, EBADF, EFAULT, EINVAL, ENOENT, EPERM, ESRCH, E2BIG } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { CAP_LAST, CAP_SETGID, CAP_SETPCAP, CAP_SETUID } from "../kern/caps.ts";
import { execve } from "../kern/exec.ts";
import { exitProcess, exitThread } from "../kern/exit.ts";
import { clone, type CloneRequest } from "../kern/fork.ts";
import { ROBUST_HEAD_BYTES } from "../kern/futexexit.ts";
import type { Kern } from "../kern/kern.ts";
import { enterPgrp, Pgrp, Session } from "../kern/pgrp.ts";
import { type Process, type Thread, Usage } from "../kern/proc.ts";
import { rseqRegister } from "../kern/rseq.ts";
import { NO_RETURN, RESTART_SA } from "../kern/trap.ts";
import { type WaitResult, waitForChild, WCONTINUED, WEXITED, WNOHANG, WNOWAIT, WSTOPPED } from "../kern/wait.ts";
import { encodeSigInfo } from "../kern/sigframe.ts";
import { SIGCHLD } from "../kern/sigset.ts";
import { AT_EMPTY_PATH, AT_FDCWD, rusageBytes } from "./abi.ts";
import { argUOf, fast, getBytes, getPath, getView, intOf, put64, putBytes, putInt, type Row, slow, u64At } from "./args.ts";

const CLONE_LEGACY_MASK = 0xffffff00;

function* cloneCall(k: Kern, t: Thread): KGen<number> {
  const flags = argUOf(t, 0);
  const r: CloneRequest = {
    flags: (flags & CLONE_LEGACY_MASK) >>> 0, exitSignal: flags & 0xff, stack: argUOf(t, 1), parentTid: argUOf(t, 2), tls: argUOf(t, 3), childTid: argUOf(t, 4),
  };
  return yield* clone(k, t, r);
}

const CLONE_ARGS_MIN = 64;

function* clone3(k: Kern, t: Thread): KGen<number> {
  const size = argUOf(t, 1);
  if (size < CLONE_ARGS_MIN) return -EINVAL;
  if (size > 4096) return -E2BIG;
  const d = yield* getView(k, t, argUOf(t, 0), size);
  if (typeof d === "number") return d;
  const stack = u64At(d, 40), stackSize = u64At(d, 48);
  if ((stack === 0) !== (stackSize === 0)) return -EINVAL;
  return yield* clone(k, t, { flags: u64At(d, 0), childTid: u64At(d, 16), parentTid: u64At(d, 24), exitSignal: u64At(d, 32) & 0xff, stack: stack + stackSize, tls: u64At(d, 56) });
}

// ---- execve --------------------------------------------------------------------------------------------------------

const MAX_STRINGS = 65536, MAX_STRING = 131072;

/** A NULL-terminated array of strings. */
function* getStrings(k: Kern, t: Thread, va: number): KGen<string[] | number> {
  const out: string[] = [];
  if (va === 0) return out;
  for (let at = va; ; at += 8) {
    const d = yield* getView(k, t, at, 8);
    if (typeof d === "number") return d;
    const p = u64At(d, 0);
    if (p === 0) return out;
    if (out.length >= MAX_STRINGS) return -E2BIG;
    const s = yield* getPath(k, t, p, MAX_STRING);
    if (typeof s === "number") return s === -EFAULT ? s : -E2BIG;
    out.push(s);
  }
}

function* execCall(k: Kern, t: Thread, first: number, dirfd: number, flags: number): KGen<number> {
  const path = yield* getPath(k, t, argUOf(t, first));
  if (typeof path === "number") return path;
  const argv = yield* getStrings(k, t, argUOf(t, first + 1));
  if (typeof argv === "number") return argv;
  const envp = yield* getStrings(k, t, argUOf(t, first + 2));
  if (typeof envp === "number") return envp;
  let start = t.proc.cwd!, name = path;
  if (path[0] !== "/" && dirfd !== AT_FDCWD) {
    const v = t.proc.fds.get(dirfd)?.vnode;
    if (!v) return -EBADF;
    if (path === "" && (flags & AT_EMPTY_PATH) !== 0) name = `/proc/self/fd/${dirfd}`;
    else start = v;
  }
  if (name === "") return -ENOENT;
  const r = yield* execve(k, t, { path: name, argv, envp, start });
  return r === 0 ? NO_RETURN : r;
}

// ---- exit and wait -------------------------------------------------------------------------------------------------

function* exit(k: Kern, t: Thread): KGen<number> {
  yield* exitThread(k, t, (intOf(t, 0) & 0xff) << 8);
  return NO_RETURN;
}

function* exitGroup(k: Kern, t: Thread): KGen<number> {
  yield* exitProcess(k, t, (intOf(t, 0) & 0xff) << 8);
  return NO_RETURN;
}

function* wait4(k: Kern, t: Thread): KGen<number> {
  const pid = intOf(t, 0), options = intOf(t, 2), statusVa = argUOf(t, 1), usageVa = argUOf(t, 3);
  if ((options & ~(WNOHANG | WSTOPPED | WCONTINUED | 0xe0000000)) !== 0) return -EINVAL;
  const who = { pid: Math.max(pid, 0), pgid: pid === 0 ? t.proc.pgrp.pgid : pid < -1 ? -pid : 0 };
  const r = yield* waitForChild(k, t, who, options | WEXITED);
  if (typeof r === "number") return r;
  let err = statusVa === 0 ? 0 : yield* putInt(k, t, statusVa, r.status);
  if (err === 0 && usageVa !== 0) err = yield* putBytes(k, t, usageVa, rusageBytes(r.usage));
  return err < 0 ? err : r.pid;
}

const P_ALL = 0, P_PID = 1, P_PGID = 2;

function* waitid(k: Kern, t: Thread): KGen<number> {
  const type = intOf(t, 0), id = intOf(t, 1), va = argUOf(t, 2), options = intOf(t, 3), usageVa = argUOf(t, 4);
  if ((options & ~(WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT | 0xe0000000)) !== 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) === 0) return -EINVAL;
  if (type < P_ALL || type > P_PGID) return -EINVAL;
  const r = yield* waitForChild(k, t, { pid: type === P_PID ? id : 0, pgid: type === P_PGID ? id || t.proc.pgrp.pgid : 0 }, options);
  if (typeof r === "number" && r < 0) return r;
  if (va !== 0) {
    const bytes = new Uint8Array(128);
    if (typeof r !== "number") encodeSigInfo({ sig: SIGCHLD, code: r.code, pid: r.pid, uid: r.uid, status: r.value }, new DataView(bytes.buffer));
    const err = yield* putBytes(k, t, va, bytes);
    if (err < 0) return err;
  }
  if (typeof r !== "number" && usageVa !== 0) return yield* putBytes(k, t, usageVa, rusageBytes((r as WaitResult).usage));
  return 0;
}

// ---- groups and sessions -------------------------------------------------------------------------------------------

function setpgid(k: Kern, t: Thread): number {
  const me = t.proc, pid = intOf(t, 0) || me.pid, pgid = intOf(t, 1) || pid, p = k.procs.get(pid);
  if (intOf(t, 1) < 0) return -EINVAL;
  if (!p || p.isZombie || (p !== me && p.parent !== me)) return -ESRCH;
  if (p !== me && p.didExec) return -EACCES;
  const { session } = p.pgrp;
  if (session !== me.pgrp.session || session.leader === p) return -EPERM;
  let g = k.pgrps.get(pgid) ?? null;
  if (g && g.session !== session) return -EPERM;
  if (!g && pgid !== pid) return -EPERM;
  if (g === p.pgrp) return 0;
  if (!g) k.pgrps.set(pgid, (g = new Pgrp(pgid, session)));
  moveTo(k, p, g);
  return 0;
}

function moveTo(k: Kern, p: Process, g: Pgrp): void {
  const old = p.pgrp;
  enterPgrp(p, g);
  if (old.members.size === 0 && old !== g) k.pgrps.delete(old.pgid);
}

function setsid(k: Kern, t: Thread): number {
  const p = t.proc;
  if (k.pgrps.has(p.pid)) return -EPERM;
  const g = new Pgrp(p.pid, new Session(p));
  k.pgrps.set(p.pid, g);
  moveTo(k, p, g);
  return p.pid;
}

const targetOf = (k: Kern, t: Thread): Process | null => (intOf(t, 0) === 0 ? t.proc : k.procs.get(intOf(t, 0)) ?? null);

// ---- credentials ---------------------------------------------------------------------------------------------------

function setIds(t: Thread, real: "uid" | "gid", r: number, e: number, s: number): number {
  const c = t.proc.cred, [cr, ce, cs] = real === "uid" ? [c.uid, c.euid, c.suid] : [c.gid, c.egid, c.sgid];
  const allowed = (v: number): boolean => v === -1 || c.can(real === "uid" ? CAP_SETUID : CAP_SETGID) || [cr, ce, cs].includes(v >>> 0);
  if (!allowed(r) || !allowed(e) || !allowed(s)) return -EPERM;
  const pick = (v: number, old: number): number => (v === -1 ? old : v >>> 0), n = { r: pick(r, cr), e: pick(e, ce), s: pick(s, cs) };
  t.proc.cred = real === "uid" ? c.with({ uid: n.r, euid: n.e, suid: n.s }) : c.with({ gid: n.r, egid: n.e, sgid: n.s });
  return 0;
}

function setId(t: Thread, real: "uid" | "gid"): number {
  const v = intOf(t, 0);
  if (v === -1) return -EINVAL;
  return t.proc.cred.can(real === "uid" ? CAP_SETUID : CAP_SETGID) ? setIds(t, real, v, v, v) : setIds(t, real, -1, v, -1);
}

function setReIds(t: Thread, real: "uid" | "gid"): number {
  const r = intOf(t, 0), e = intOf(t, 1), c = t.proc.cred, cr = real === "uid" ? c.uid : c.gid;
  return setIds(t, real, r, e, r !== -1 || (e !== -1 && e >>> 0 !== cr) ? (e === -1 ? -1 : e) : -1);
}

function* putThree(k: Kern, t: Thread, a: number, b: number, c: number): KGen<number> {
  return (yield* putInt(k, t, argUOf(t, 0), a)) || (yield* putInt(k, t, argUOf(t, 1), b)) || (yield* putInt(k, t, argUOf(t, 2), c));
}

function* getgroups(k: Kern, t: Thread): KGen<number> {
  const { groups } = t.proc.cred, size = intOf(t, 0);
  if (size === 0) return groups.length;
  if (size < groups.length) return -EINVAL;
  const err = yield* putBytes(k, t, argUOf(t, 1), new Uint8Array(Int32Array.from(groups).buffer));
  return err < 0 ? err : groups.length;
}

function* setgroups(k: Kern, t: Thread): KGen<number> {
  const n = intOf(t, 0);
  if (!t.proc.cred.can(CAP_SETGID)) return -EPERM;
  if (n < 0 || n > 65536) return -EINVAL;
  const b = yield* getBytes(k, t, argUOf(t, 1), 4 * n);
  if (typeof b === "number") return b;
  t.proc.cred = t.proc.cred.with({ groups: [...new Uint32Array(b.buffer)] });
  return 0;
}

// ---- usage ---------------------------------------------------------------------------------------------------------

function* getrusage(k: Kern, t: Thread): KGen<number> {
  const who = intOf(t, 0), p = t.proc, u = new Usage();
  if (who !== 0 && who !== -1 && who !== 1) return -EINVAL;
  k.sched.charge();
  u.add(who === -1 ? p.childUsage : p.usage);
  if (who !== -1) u.maxRssPages = Math.max(u.maxRssPages, p.vmspace.map.pmap.residentPeak);
  return yield* putBytes(k, t, argUOf(t, 1), rusageBytes(u));
}

// ---- prctl ---------------------------------------------------------------------------------------------------------

const PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15, PR_GET_NAME = 16, PR_CAPBSET_READ = 23, PR_CAPBSET_DROP = 24;
const PR_SET_TIMERSLACK = 29, PR_GET_TIMERSLACK = 30, PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39;

function* prctl(k: Kern, t: Thread): KGen<number> {
  const p = t.proc, arg = intOf(t, 1), va = argUOf(t, 1);
  switch (intOf(t, 0)) {
    case PR_SET_PDEATHSIG:
      if (arg < 0 || arg > 64) return -EINVAL;
      p.pdeathsig = arg;
      return 0;
    case PR_GET_PDEATHSIG: return yield* putInt(k, t, va, p.pdeathsig);
    case PR_GET_DUMPABLE: return p.isDumpable ? 1 : 0;
    case PR_SET_DUMPABLE:
      if (arg !== 0 && arg !== 1) return -EINVAL;
      p.isDumpable = arg === 1;
      return 0;
    case PR_SET_NAME: {
      const b = yield* getBytes(k, t, va, 16);
      if (typeof b === "number") return b;
      p.comm = String.fromCharCode(...b).split("\0")[0]!.slice(0, 15);
      return 0;
    }
    case PR_GET_NAME: {
      const b = new Uint8Array(16);
      for (let i = 0; i < Math.min(15, p.comm.length); i++) b[i] = p.comm.charCodeAt(i);
      return yield* putBytes(k, t, va, b);
    }
    case PR_CAPBSET_READ: return arg >= 0 && arg <= CAP_LAST ? Number(p.cred.caps.bounding.has(arg)) : -EINVAL;
    case PR_CAPBSET_DROP: {
      if (!p.cred.can(CAP_SETPCAP)) return -EPERM;
      if (arg < 0 || arg > CAP_LAST) return -EINVAL;
      p.cred = p.cred.withCaps({ ...p.cred.caps, bounding: p.cred.caps.bounding.without(arg) });
      return 0;
    }
    case PR_SET_NO_NEW_PRIVS:
      if (arg !== 1 || argUOf(t, 2) !== 0 || argUOf(t, 3) !== 0 || argUOf(t, 4) !== 0) return -EINVAL;
      p.noNewPrivs = true;
      return 0;
    case PR_GET_NO_NEW_PRIVS: return Number(p.noNewPrivs);
    case PR_SET_TIMERSLACK: return 0;
    case PR_GET_TIMERSLACK: return 50000;
    default: return -EINVAL;
  }
}

/** Another's list tells where its locks are: for who may control it. */
function* getRobustList(k: Kern, t: Thread): KGen<number> {
  const of = intOf(t, 0) === 0 ? t : k.threads.get(intOf(t, 0));
  if (!of) return -ESRCH;
  if (of.proc !== t.proc && !t.proc.cred.maySignal(of.proc.cred)) return -EPERM;
  const pair = new DataView(new ArrayBuffer(16));
  put64(pair, 0, of.robustList);
  put64(pair, 8, ROBUST_HEAD_BYTES);
  const err = yield* putBytes(k, t, argUOf(t, 2), new Uint8Array(pair.buffer, 8));
  return err < 0 ? err : yield* putBytes(k, t, argUOf(t, 1), new Uint8Array(pair.buffer, 0, 8));
}

export const PROC_CALLS: readonly Row[] = [
  slow(220, "clone", "xxxxx", cloneCall), slow(435, "clone3", "xu", clone3), slow(221, "execve", "xxx", (k, t) => execCall(k, t, 0, AT_FDCWD, 0)),
  slow(281, "execveat", "dxxxx", (k, t) => execCall(k, t, 1, intOf(t, 0), intOf(t, 4))), slow(93, "exit", "d", exit), slow(94, "exit_group", "d", exitGroup),
  slow(260, "wait4", "dxxx", wait4, RESTART_SA), slow(95, "waitid", "ddxxx", waitid, RESTART_SA),
  fast(172, "getpid", "", (_k, t) => t.proc.pid), fast(173, "getppid", "", (_k, t) => t.proc.parent?.pid ?? 0), fast(178, "gettid", "", (_k, t) => t.tid),
  fast(174, "getuid", "", (_k, t) => t.proc.cred.uid), fast(175, "geteuid", "", (_k, t) => t.proc.cred.euid),
  fast(176, "getgid", "", (_k, t) => t.proc.cred.gid), fast(177, "getegid", "", (_k, t) => t.proc.cred.egid),
  fast(154, "setpgid", "dd", setpgid), fast(157, "setsid", "", setsid), fast(155, "getpgid", "d", (k, t) => targetOf(k, t)?.pgrp.pgid ?? -ESRCH),
  fast(156, "getsid", "d", (k, t) => targetOf(k, t)?.pgrp.session.sid ?? -ESRCH),
  fast(146, "setuid", "d", (_k, t) => setId(t, "uid")), fast(144, "setgid", "d", (_k, t) => setId(t, "gid")),
  fast(145, "setreuid", "dd", (_k, t) => setReIds(t, "uid")), fast(143, "setregid", "dd", (_k, t) => setReIds(t, "gid")),
  fast(147, "setresuid", "ddd", (_k, t) => setIds(t, "uid", intOf(t, 0), intOf(t, 1), intOf(t, 2))),
  fast(149, "setresgid", "ddd", (_k, t) => setIds(t, "gid", intOf(t, 0), intOf(t, 1), intOf(t, 2))),
  slow(148, "getresuid", "xxx", (k, t) => putThree(k, t, t.proc.cred.uid, t.proc.cred.euid, t.proc.cred.suid)),
  slow(150, "getresgid", "xxx", (k, t) => putThree(k, t, t.proc.cred.gid, t.proc.cred.egid, t.proc.cred.sgid)),
  slow(158, "getgroups", "dx", getgroups), slow(159, "setgroups", "dx", setgroups),
  slow(165, "getrusage", "dx", getrusage),
  slow(167, "prctl", "dxxxx", prctl),
  fast(166, "umask", "o", (_k, t) => {
    const old = t.proc.umask;
    t.proc.umask = intOf(t, 0) & 0o777;
    return old;
  }),
  fast(96, "set_tid_address", "x", (_k, t) => {
    t.clearTid = argUOf(t, 0);
    return t.tid;
  }),
  fast(99, "set_robust_list", "xu", (_k, t) => {
    if (argUOf(t, 1) !== ROBUST_HEAD_BYTES) return -EINVAL;
    t.robustList = argUOf(t, 0);
    return 0;
  }),
  slow(100, "get_robust_list", "dxx", getRobustList),
  slow(293, "rseq", "xudx", (k, t) => rseqRegister(k, t, argUOf(t, 0), intOf(t, 1) >>> 0, intOf(t, 2), intOf(t, 3))),
  fast(92, "personality", "x", (_k, t) => {
    const old = t.proc.personality, neu = intOf(t, 0);
    if (neu !== -1) t.proc.personality = neu;
    return old;
  }),
];
