// uvm_map_clean: what msync and madvise do to the pages of a range.
import { EBUSY, EFAULT, EINVAL, ENOMEM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { amapCopy } from "./amapcopy.ts";
import type { VmMap } from "./map.ts";
import type { VmMapEntry } from "./mapentry.ts";
import { isMapped } from "./mapops.ts";
import { PGO_CLEANIT, PGO_DEACTIVATE, PGO_FREE } from "./object.ts";
import { PAGE_SIZE, PG_BUSY } from "./page.ts";

/**
 * Cleans, deactivates or frees the pages of a range. BSD: uvm_map_clean.
 *
 *   CLEANIT [SYNCIO]        msync                     file pages are written
 *   CLEANIT|FREE            msync(MS_INVALIDATE)      and then dropped
 *   DEACTIVATE              madvise (BSD DONTNEED)
 *   FREE                    madvise(MADV_FREE)        anonymous pages lose their contents
 *
 * => map unlocked; [start, end) page aligned; may sleep
 * => -EFAULT a hole: pages before it are done; -EBUSY FREE on a wired entry: nothing changed; or the pager's error
 */
export function* uvmMapClean(map: VmMap, start: number, end: number, flags: number): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockRead();
  for (let e = map.firstFrom(start); e !== map.header && e.start < end; e = e.next) {
    if ((flags & PGO_FREE) !== 0 && e.wiredCount > 0) {
      map.unlock();
      return -EBUSY;
    }
  }
  map.unlock();
  for (let at = start; at < end; ) {
    yield* map.lockRead();
    const e = map.lookup(at);
    if (!e) {
      map.unlock();
      return -EFAULT;
    }
    const to = Math.min(e.end, end);
    const err = yield* cleanEntry(map, e, at, to, flags);
    if (err < 0) return err;
    at = to;
  }
  return 0;
}

/** => map read-locked in, unlocked out */
function* cleanEntry(map: VmMap, e: VmMapEntry, from: number, to: number, flags: number): KGen<number> {
  const { amap, object } = e, slot = amap ? e.slotOf(from) : 0, n = (to - from) / PAGE_SIZE, off = e.offsetOf(from), isCow = e.isCopyOnWrite;
  if (object) object.pgops.reference(object);
  // Only this entry's own anons may go; those others share are deactivated.
  const isOwn = amap !== null && amap.ref === 1 && !e.needsCopy;
  if (amap && (flags & (PGO_FREE | PGO_DEACTIVATE)) !== 0 && (flags & PGO_CLEANIT) === 0) {
    if ((flags & PGO_FREE) !== 0 && isOwn) yield* amap.discard(slot, n);
    else deactivateAnons(map, e, slot, n);
  }
  map.unlock();
  let err = 0;
  // Dropping an object's page that a private mapping sees, without writing it first, would change the file.
  const objFlags = isCow ? flags & ~PGO_FREE : flags;
  if (object) {
    object.lock.enter();
    // A file's pages are never dropped unwritten, whatever the caller says.
    if (objFlags !== 0 && (objFlags !== PGO_FREE || object.isSwapBacked)) err = yield* object.pgops.put(object, off, off + n * PAGE_SIZE, objFlags);
    else object.lock.exit();
    yield* object.pgops.detach(object);
  }
  return err;
}

/** => map read-locked */
function deactivateAnons(map: VmMap, e: VmMapEntry, slot: number, n: number): void {
  const { anons, pages } = map.uvm, am = e.amap!;
  am.lock.enter();
  for (let s = slot; s < slot + n; s++) {
    const an = am.anons[s]!;
    if (an === 0) continue;
    const lock = anons.lockOf(an);
    lock.enter();
    const pg = anons.page[an]!;
    if (pg !== 0 && (pages.flags[pg]! & PG_BUSY) === 0 && pages.loanCount[pg] === 0 && pages.wireCount[pg] === 0) {
      pages.lockQueues();
      pages.pageDeactivate(pg);
      pages.unlockQueues();
    }
    lock.exit();
  }
  am.lock.exit();
}

/**
 * Forgets what the range holds, as Linux's MADV_DONTNEED must: private memory reads as zeros or as the file again, shared memory
 * is only unmapped.
 *
 * => map unlocked; [start, end) page aligned; may sleep
 * => -ENOMEM a hole, or no memory; -EINVAL a wired entry: nothing changed then
 */
export function* uvmMapDiscard(map: VmMap, start: number, end: number): KGen<number> {
  if (!map.isRange(start, end)) return -EINVAL;
  yield* map.lockWrite();
  let err = isMapped(map, start, end) ? 0 : -ENOMEM;
  for (let e = map.firstFrom(start); err === 0 && e !== map.header && e.start < end; e = e.next) if (e.wiredCount > 0) err = -EINVAL;
  for (let e = map.firstFrom(start); err === 0 && e !== map.header && e.start < end; e = e.next) {
    if (e.amap && e.needsCopy && !amapCopy(map, e)) err = -ENOMEM;
  }
  for (let e = map.firstFrom(start); err === 0 && e !== map.header && e.start < end; e = e.next) {
    const from = Math.max(e.start, start), to = Math.min(e.end, end);
    map.uvm.pmap.pmapRemove(map.pmap, from, to);
    if (e.amap) yield* e.amap.discard(e.slotOf(from), (to - from) / PAGE_SIZE);
  }
  map.uvm.pmap.pmapUpdate(map.pmap);
  map.unlock();
  return err;
}
