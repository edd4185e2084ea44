// ppoll and pselect6: ask every file; if none is ready, stand in their queues and sleep; ask again.
import { EBADF, EINTR, EINVAL, ETIMEDOUT } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { filePoll, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM, PollWaiter, POLLWRBAND, POLLWRNORM } from "../kern/file.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { hasSignal } from "../kern/signal.ts";
import { RLIMIT_NOFILE } from "../kern/rlimit.ts";
import { RESTART_NOHAND } from "../kern/trap.ts";
import { timespecBytes } from "./abi.ts";
import { argUOf, getView, getBytes, intOf, putBytes, type Row, slow, u64At } from "./args.ts";
import { getSigset, restoreMask, swapMask } from "./signal.ts";
import { getDeadline } from "./time.ts";

/** One descriptor asked about. */
export interface PollEntry {
  readonly fd: number;
  readonly events: number;
  /** Which answers end the wait: of what a file says unasked, select knows less than poll. */
  readonly counts: number;
  revents: number;
}

function scan(t: Thread, list: PollEntry[], w: PollWaiter | null): number {
  let ready = 0;
  for (const e of list) {
    const f = e.fd < 0 ? null : t.proc.fds.get(e.fd);
    e.revents = e.fd < 0 ? 0 : f ? filePoll(f, e.events | POLLERR | POLLHUP, w) & e.counts : POLLNVAL;
    if (e.revents !== 0) ready++;
  }
  return ready;
}

/** Waits until some entry has events. => how many have; 0 at the deadline; -EINTR */
export function* pollFiles(k: Kern, t: Thread, list: PollEntry[], deadlineNs: number): KGen<number> {
  const w = new PollWaiter();
  for (;;) {
    w.done();
    w.isFired = false;
    const isLast = k.now() >= deadlineNs, ready = scan(t, list, isLast ? null : w);
    if (ready > 0 || isLast) {
      w.done();
      return ready;
    }
    if (w.isFired) continue;
    const err = hasSignal(t) ? -EINTR : yield* k.ctx.sleep(w, "poll", { interruptible: true, timeoutNs: deadlineNs - k.now() });
    if (err === -EINTR) {
      w.done();
      t.restartDeadline = deadlineNs;
      t.ast |= 1;
      return -EINTR;
    }
    if (err !== 0 && err !== -ETIMEDOUT) return err;
  }
}

/** The call with its own signal mask. => -EINTR leaves the mask for userAst to restore */
function* masked(k: Kern, t: Thread, maskVa: number, size: number, list: PollEntry[], deadline: number): KGen<number> {
  if (maskVa !== 0) {
    const m = yield* getSigset(k, t, maskVa, size);
    if (typeof m === "number") return m;
    swapMask(t, m);
  }
  const n = yield* pollFiles(k, t, list, deadline);
  if (n !== -EINTR) restoreMask(t);
  return n;
}

/** Linux tells select and poll how much of the timeout was left. */
function* putLeft(k: Kern, t: Thread, va: number, deadline: number): KGen<void> {
  if (va !== 0) yield* putBytes(k, t, va, timespecBytes(Math.max(0, deadline - k.now())));
}

function* ppoll(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), n = argUOf(t, 1), deadline = yield* getDeadline(k, t, argUOf(t, 2));
  if (deadline < 0) return deadline;
  if (n > t.proc.limits.get(RLIMIT_NOFILE)) return -EINVAL;
  const d = yield* getView(k, t, va, 8 * n);
  if (typeof d === "number") return d;
  const list: PollEntry[] = [];
  for (let i = 0; i < n; i++) {
    const events = d.getInt16(8 * i + 4, true) & 0xffff;
    list.push({ fd: d.getInt32(8 * i, true), events, counts: events | POLLERR | POLLHUP, revents: 0 });
  }
  const ready = yield* masked(k, t, argUOf(t, 3), argUOf(t, 4), list, deadline);
  if (ready < 0) return ready;
  list.forEach((e, i) => d.setInt16(8 * i + 6, e.revents, true));
  const err = yield* putBytes(k, t, va, new Uint8Array(d.buffer));
  yield* putLeft(k, t, argUOf(t, 2), deadline);
  return err < 0 ? err : ready;
}

const READ_EVENTS = POLLRDNORM | POLLRDBAND | POLLIN, WRITE_EVENTS = POLLWRBAND | POLLWRNORM | POLLOUT;
const SETS = [
  { ask: READ_EVENTS, got: READ_EVENTS | POLLHUP | POLLERR }, { ask: WRITE_EVENTS, got: WRITE_EVENTS | POLLERR }, { ask: POLLPRI, got: POLLPRI },
] as const;

const hasBit = (s: Uint8Array | null, fd: number): boolean => s !== null && ((s[fd >> 3] ?? 0) & (1 << (fd & 7))) !== 0;

/** The three sets as a list of descriptors. => -EBADF */
function entriesOf(t: Thread, sets: readonly (Uint8Array | null)[], nfds: number): PollEntry[] | number {
  const list: PollEntry[] = [];
  for (let fd = 0; fd < nfds; fd++) {
    let events = 0, counts = 0;
    SETS.forEach((s, i) => {
      if (!hasBit(sets[i]!, fd)) return;
      events |= s.ask;
      counts |= s.got;
    });
    if (events === 0) continue;
    if (!t.proc.fds.get(fd)) return -EBADF;
    list.push({ fd, events, counts, revents: 0 });
  }
  return list;
}

function* pselect6(k: Kern, t: Thread): KGen<number> {
  const nfds = Math.min(intOf(t, 0), 65536), bytes = Math.ceil(nfds / 64) * 8, deadline = yield* getDeadline(k, t, argUOf(t, 4));
  if (deadline < 0) return deadline;
  if (nfds < 0) return -EINVAL;
  const sets: (Uint8Array | null)[] = [];
  for (const i of [1, 2, 3]) {
    const b = argUOf(t, i) === 0 ? null : yield* getBytes(k, t, argUOf(t, i), bytes);
    if (typeof b === "number") return b;
    sets.push(b);
  }
  const list = entriesOf(t, sets, nfds);
  if (typeof list === "number") return list;
  let maskVa = 0, maskSize = 0;
  if (argUOf(t, 5) !== 0) {
    const d = yield* getView(k, t, argUOf(t, 5), 16);
    if (typeof d === "number") return d;
    maskVa = u64At(d, 0);
    maskSize = u64At(d, 8);
  }
  const ready = yield* masked(k, t, maskVa, maskSize, list, deadline);
  if (ready < 0) return ready;
  const err = yield* putSets(k, t, sets, list);
  yield* putLeft(k, t, argUOf(t, 4), deadline);
  return err;
}

/** => how many bits are set in all three */
function* putSets(k: Kern, t: Thread, sets: readonly (Uint8Array | null)[], list: readonly PollEntry[]): KGen<number> {
  let total = 0;
  for (let i = 0; i < 3; i++) {
    const asked = sets[i];
    if (!asked) continue;
    const out = new Uint8Array(asked.length);
    for (const e of list) {
      if (!hasBit(asked, e.fd) || (e.revents & SETS[i]!.got) === 0) continue;
      out[e.fd >> 3]! |= 1 << (e.fd & 7);
      total++;
    }
    const err = yield* putBytes(k, t, argUOf(t, i + 1), out);
    if (err < 0) return err;
  }
  return total;
}

export const POLL_CALLS: readonly Row[] = [slow(73, "ppoll", "xuxxu", ppoll, RESTART_NOHAND), slow(72, "pselect6", "dxxxxx", pselect6, RESTART_NOHAND)];
