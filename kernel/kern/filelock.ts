// Advisory locks of a file: flock(2), the records of fcntl(2), and those of an open file (F_OFD_*).
//
//   Vnode.locks ─► LockList ─► locks, sorted by start      POSIX  owner: a descriptor table   gone when it closes any descriptor of the file
//                     └─► waiters                           OFDLCK owner: an open file         gone with its last reference
//                                                           FLOCK  owner: an open file         the same; whole files, and a world of its own
//
// A lock is a half-open range of bytes; ranges are 63 bits wide, so they are bigints (this is no hot path). Locks of one owner
// never overlap, and those that touch are one lock if they are of one type. Who finds a lock in his way sleeps on the list, and
// looks again whenever anything of it was given up. A list without locks and waiters does not exist.
import { EAGAIN, EDEADLK, EINTR, ENOLCK } from "../lib/errno.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import type { Vnode } from "../vfs/vnode.ts";
import type { FdTable } from "./fdtable.ts";
import type { OpenFile } from "./file.ts";

/** l_type. */
export const F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2;
export const LK_POSIX = 0, LK_OFD = 1, LK_FLOCK = 2;
/** Behind the last byte a file can have: up to its end, wherever that will be. */
export const LOCK_END = 1n << 63n;

/** Locks that a file can have: each look goes through all of them. */
export const LOCKS_MAX = 16384;

/** A lock, or the wish for one. */
export interface FileLock {
  /** F_*. */
  readonly type: number;
  /** LK_*. */
  readonly kind: number;
  readonly start: bigint;
  readonly end: bigint;
  /** Whose it is: compared by identity. */
  readonly owner: object;
  /** The process that asked, for F_GETLK and /proc/locks. */
  readonly pid: number;
}

const overlap = (a: FileLock, b: FileLock): boolean => a.start < b.end && b.start < a.end && (a.kind === LK_FLOCK) === (b.kind === LK_FLOCK);
const conflict = (a: FileLock, b: FileLock): boolean => a.owner !== b.owner && (a.type === F_WRLCK || b.type === F_WRLCK) && overlap(a, b);

/** Every list that there is, in order of creation: for deadlocks and /proc/locks. One per kernel. */
export class LockTable {
  readonly lists = new Set<LockList>();
  readonly ctx: KContext;
  constructor(ctx: KContext) {
    this.ctx = ctx;
  }

  /** Would a process that waits for `l` wait for itself? Whoever is in the way of a waiter must go before it can: follows all of them. */
  wouldDeadlock(list: LockList, l: FileLock): boolean {
    const seen = new Set<object>(), toVisit: [LockList, FileLock][] = [[list, l]];
    for (let next = toVisit.pop(); next !== undefined; next = toVisit.pop()) {
      const [where, wish] = next;
      for (const held of where.locks) {
        if (held.kind !== LK_POSIX || !conflict(held, wish)) continue;
        if (held.owner === l.owner) return true;
        if (seen.has(held.owner)) continue;
        seen.add(held.owner);
        for (const other of this.lists) for (const w of other.waiters) if (w.owner === held.owner && w.kind === LK_POSIX) toVisit.push([other, w]);
      }
    }
    return false;
  }
}

/** The locks of one file. */
export class LockList {
  locks: FileLock[] = [];
  readonly waiters = new Set<FileLock>();
  /** What it hangs on. */
  readonly place: Vnode | OpenFile;
  private readonly table: LockTable;

  constructor(table: LockTable, place: Vnode | OpenFile) {
    this.table = table;
    this.place = place;
    table.lists.add(this);
    place.locks = this;
  }

  /** The first lock that stands against one, or null. */
  blocker(l: FileLock): FileLock | null {
    return this.locks.find((held) => conflict(held, l)) ?? null;
  }

  /** The first lock of the same owner in its range, or null. */
  own(l: FileLock): FileLock | null {
    return this.locks.find((held) => held.owner === l.owner && overlap(held, l)) ?? null;
  }

  /** Makes a range of the owner's be of l.type. => nobody else's lock is in the way */
  apply(l: FileLock): void {
    const kept: FileLock[] = [];
    let { start, end } = l, didGiveUp = false;
    for (const held of this.locks) {
      const isOwn = held.owner === l.owner && (held.kind === LK_FLOCK) === (l.kind === LK_FLOCK);
      if (!isOwn || held.end < l.start || held.start > l.end) kept.push(held);
      else if (held.type === l.type) {
        if (held.start < start) start = held.start;
        if (held.end > end) end = held.end;
      } else {
        didGiveUp ||= l.type !== F_WRLCK && overlap(held, l);
        if (held.start < l.start) kept.push({ ...held, end: l.start < held.end ? l.start : held.end });
        if (held.end > l.end) kept.push({ ...held, start: l.end > held.start ? l.end : held.start });
      }
    }
    if (l.type !== F_UNLCK) kept.push({ ...l, start, end });
    this.locks = kept.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    if (didGiveUp) this.table.ctx.wakeup(this);
    this.endIfIdle();
  }

  /** Gives up all locks of an owner. */
  drop(owner: object): void {
    const kept = this.locks.filter((l) => l.owner !== owner);
    if (kept.length === this.locks.length) return;
    this.locks = kept;
    this.table.ctx.wakeup(this);
    this.endIfIdle();
  }

  /** Sleeps until something changed. => 0 or -EINTR */
  *wait(l: FileLock): KGen<number> {
    this.waiters.add(l);
    const err = yield* this.table.ctx.sleep(this, l.kind === LK_FLOCK ? "flock" : "fcntllk", { interruptible: true });
    this.waiters.delete(l);
    this.endIfIdle();
    return err;
  }

  endIfIdle(): void {
    if (this.locks.length > 0 || this.waiters.size > 0) return;
    this.table.lists.delete(this);
    if (this.place.locks === this) this.place.locks = null;
  }
}

const placeOf = (f: OpenFile): Vnode | OpenFile => f.vnode ?? f;
const listOf = (f: OpenFile): LockList | null => placeOf(f).locks as LockList | null;

/**
 * Takes, changes or gives up a lock.
 *
 * => f held; l.owner the descriptor table for LK_POSIX, f else; may sleep if `wait`
 * => 0; -ENOLCK the file has too many; -EAGAIN somebody's lock is in the way; -EDEADLK (LK_POSIX); -EINTR
 * => LK_FLOCK: a lock of the other type is gone at once, even when the new one does not come, as on Linux
 */
export function* setFileLock(table: LockTable, f: OpenFile, l: FileLock, opts: { wait: boolean }): KGen<number> {
  if (l.type === F_UNLCK) {
    listOf(f)?.apply(l);
    return 0;
  }
  if (l.kind === LK_FLOCK) {
    if (listOf(f)?.own(l)?.type === l.type) return 0;
    listOf(f)?.apply({ ...l, type: F_UNLCK });
  }
  for (;;) {
    const list = listOf(f) ?? new LockList(table, placeOf(f));
    if (list.locks.length >= LOCKS_MAX) return -ENOLCK;
    if (list.blocker(l) === null) {
      list.apply(l);
      return 0;
    }
    if (!opts.wait) return -EAGAIN;
    if (l.kind === LK_POSIX && table.wouldDeadlock(list, l)) return -EDEADLK;
    if ((yield* list.wait(l)) < 0) return -EINTR;
  }
}

/** F_GETLK: the lock that would stand against `l`; for F_UNLCK the owner's own. Null: none. */
export function testFileLock(f: OpenFile, l: FileLock): FileLock | null {
  const list = listOf(f);
  return list === null ? null : l.type === F_UNLCK ? list.own(l) : list.blocker(l);
}

/** A table closes a descriptor of the file: its records go, whichever descriptor they were made through. */
export function dropRecordLocks(f: OpenFile, fds: FdTable): void {
  listOf(f)?.drop(fds);
}

/** The last reference to an open file goes. */
export function dropFileLocks(f: OpenFile): void {
  listOf(f)?.drop(f);
}
