// mlock(2) and its kin: Linux's limits around uvm's wiring. Locks are not inherited by fork and do not survive exec.
import { EAGAIN, EINVAL, ENOMEM, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { MAP_WIREFUTURE, MAP_WIREONFAULT, type VmMap } from "../uvm/map.ts";
import { isMapped, mappedBytes } from "../uvm/mapops.ts";
import { uvmMapPageable } from "../uvm/mapwire.ts";
import { CAP_IPC_LOCK } from "../kern/caps.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RLIMIT_MEMLOCK } from "../kern/rlimit.ts";
import { argUOf, intOf, type Row, slow } from "./args.ts";

const PAGE = 4096, MLOCK_ONFAULT = 1, MCL_CURRENT = 1, MCL_FUTURE = 2, MCL_ONFAULT = 4;

const roundUp = (n: number): number => Math.ceil(n / PAGE) * PAGE;

/** Bytes of [start, end) that are locked. */
export const lockedBytes = (map: VmMap, start = map.min, end = map.max): number => mappedBytes(map, start, end, (e) => e.wiredCount > 0);

/** May a process lock at all? => 0 or -EPERM */
const mayLock = (t: Thread): number => (t.proc.cred.can(CAP_IPC_LOCK) || t.proc.limits.get(RLIMIT_MEMLOCK) > 0 ? 0 : -EPERM);

/** Bytes a process may have locked. */
const lockLimit = (t: Thread): number => (t.proc.cred.can(CAP_IPC_LOCK) ? Infinity : t.proc.limits.get(RLIMIT_MEMLOCK));

/** May new memory be mapped by a process that said MCL_FUTURE, or that asks for MAP_LOCKED? => 0, -EAGAIN, -EPERM */
export function mayMapLocked(t: Thread, size: number, isAsked: boolean): number {
  const { map } = t.proc.vmspace;
  if (!isAsked && (map.flags & MAP_WIREFUTURE) === 0) return 0;
  if (isAsked && mayLock(t) < 0) return -EPERM;
  return lockedBytes(map) + size > lockLimit(t) ? -EAGAIN : 0;
}

/** Pieces of a map with rights, that are locked or that are not. */
function pieces(map: VmMap, start: number, end: number, isLocked: boolean): [number, number][] {
  const out: [number, number][] = [];
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) {
    if (e.wiredCount > 0 === isLocked && (isLocked || e.protection !== 0)) out.push([Math.max(e.start, start), Math.min(e.end, end)]);
  }
  return out;
}

function* lockRange(_k: Kern, t: Thread, flags: number): KGen<number> {
  const va = Math.floor(argUOf(t, 0) / PAGE) * PAGE, end = roundUp(argUOf(t, 0) + argUOf(t, 1)), { map } = t.proc.vmspace, limit = lockLimit(t);
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  if (mayLock(t) < 0) return -EPERM;
  if (end === va) return 0;
  if (!map.isRange(va, end) || !isMapped(map, va, end)) return -ENOMEM;
  if (limit !== Infinity && lockedBytes(map) - lockedBytes(map, va, end) + (end - va) > limit) return -ENOMEM;
  const onFault = (flags & MLOCK_ONFAULT) !== 0;
  if (!onFault) yield* unlockOnFault(map, va, end);
  // Linux locks what comes before a page that cannot be had, and says so.
  for (const [from, to] of pieces(map, va, end, false)) {
    const r = yield* uvmMapPageable(map, from, to, { wire: true, onFault });
    if (r < 0) return r === -EAGAIN ? -EAGAIN : -ENOMEM;
  }
  return pieces(map, va, end, true).reduce((n, [from, to]) => n + to - from, 0) === end - va ? 0 : -ENOMEM;
}

function* unlockRange(_k: Kern, t: Thread): KGen<number> {
  const va = Math.floor(argUOf(t, 0) / PAGE) * PAGE, end = roundUp(argUOf(t, 0) + argUOf(t, 1)), { map } = t.proc.vmspace;
  if (end === va) return 0;
  if (!map.isRange(va, end)) return -ENOMEM;
  yield* unlockPieces(map, va, end);
  return isMapped(map, va, end) ? 0 : -ENOMEM;
}

/** What was to be locked on fault is to be locked now: it begins anew. */
function* unlockOnFault(map: VmMap, start: number, end: number): KGen<void> {
  const ranges: [number, number][] = [];
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) if (e.isWiredOnFault) ranges.push([Math.max(e.start, start), Math.min(e.end, end)]);
  for (const [from, to] of ranges) yield* uvmMapPageable(map, from, to, { wire: false });
}

function* unlockPieces(map: VmMap, start: number, end: number): KGen<void> {
  for (const [from, to] of pieces(map, start, end, true)) yield* uvmMapPageable(map, from, to, { wire: false });
}

function* lockAll(_k: Kern, t: Thread): KGen<number> {
  const flags = intOf(t, 0), { map } = t.proc.vmspace;
  if (flags === 0 || flags === MCL_ONFAULT || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0) return -EINVAL;
  if (mayLock(t) < 0) return -EPERM;
  if ((flags & MCL_CURRENT) !== 0 && map.size > lockLimit(t)) return -ENOMEM;
  const onFault = (flags & MCL_ONFAULT) !== 0;
  map.flags &= ~(MAP_WIREFUTURE | MAP_WIREONFAULT);
  if ((flags & MCL_FUTURE) !== 0) map.flags |= onFault ? MAP_WIREFUTURE | MAP_WIREONFAULT : MAP_WIREFUTURE;
  if ((flags & MCL_CURRENT) === 0) return 0;
  if (!onFault) yield* unlockOnFault(map, map.min, map.max);
  // As Linux: what cannot be brought in (behind the end of a file, say) stays as it is, without a word.
  for (const [from, to] of pieces(map, map.min, map.max, false)) yield* uvmMapPageable(map, from, to, { wire: true, onFault });
  return 0;
}

function* unlockAll(_k: Kern, t: Thread): KGen<number> {
  const { map } = t.proc.vmspace;
  map.flags &= ~(MAP_WIREFUTURE | MAP_WIREONFAULT);
  yield* unlockPieces(map, map.min, map.max);
  return 0;
}

export const MLOCK_CALLS: readonly Row[] = [
  slow(228, "mlock", "xu", (k, t) => lockRange(k, t, 0)), slow(284, "mlock2", "xux", (k, t) => lockRange(k, t, intOf(t, 2))),
  slow(229, "munlock", "xu", unlockRange), slow(230, "mlockall", "x", lockAll), slow(231, "munlockall", "", unlockAll),
];
