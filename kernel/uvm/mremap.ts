// mremap: a mapping gets longer, shorter, or another place. Nothing is copied: entries go to the new place with their amaps
// and objects, and the page table's leaves with them.
//
//   before   ……… | e1 | e2 |………………………         e1, e2: one mapping for the program, several entries for us
//   after    ……………………… | e1 | e2 | more |…      the same amaps and slots, the same objects and offsets; `more` is fresh
//
// Lock order: map, then as everywhere.
import { EFAULT, EINVAL, ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { UVM_AMAP_LARGE } from "./amap.ts";
import type { VmMap } from "./map.ts";
import { ET_NEEDSCOPY, type VmMapEntry } from "./mapentry.ts";
import { faultWiredIn } from "./faultwire.ts";
import { mappedBytes } from "./mapops.ts";
import { uvmMapPageable } from "./mapwire.ts";
import { uvmMapFindspace } from "./mmap.ts";
import { UO_DEVICE } from "./object.ts";
import { PAGE_SIZE } from "./page.ts";
import { uvmStackMoved } from "./stack.ts";
import { unmapDetach, unmapRemove } from "./unmap.ts";

/** No mapping of an object ends behind it: offsets stay exact numbers. */
const OFFSET_MAX = 2 ** 52;

/** What uvmMremap does. Addresses and sizes are page aligned. */
export interface RemapRequest {
  readonly from: number;
  /** 0: shared memory is mapped a second time. */
  readonly oldSize: number;
  readonly size: number;
  /** The new place when `fixed`, else a hint (0: none). The caller saw to it that it does not overlap the old one. */
  readonly to: number;
  /** Exactly there; what was mapped there goes. */
  readonly fixed: boolean;
  readonly mayMove: boolean;
  /** The old place stays mapped, and empty. => mayMove, and both sizes are equal */
  readonly keepOld: boolean;
  /**
   * Do the limits allow it? `grown`: bytes by which the mapping of `e` gets longer; `added`: bytes mapped more, what is replaced
   * not counted. => map write-locked; 0 or -errno
   */
  readonly limit?: (e: VmMapEntry, grown: number, added: number) => number;
}

/** Does `b` go on where `a` ends, so that a program takes both for one mapping? */
function continues(a: VmMapEntry, b: VmMapEntry): boolean {
  return a.end === b.start && a.isCopyOnWrite === b.isCopyOnWrite && a.protection === b.protection && a.maxProtection === b.maxProtection
    && a.inheritance === b.inheritance && a.advice === b.advice && a.wiredCount > 0 === b.wiredCount > 0 && a.isWiredOnFault === b.isWiredOnFault
    && a.object === b.object && (a.object === null || a.offsetOf(a.end) === b.offset);
}

/** The entry at `start`, when [start, end) lies in what a program takes for one mapping; else null. => map locked */
export function mappingAt(map: VmMap, start: number, end: number): VmMapEntry | null {
  const first = map.lookup(start);
  if (!first) return null;
  for (let e = first; e.end < end; e = e.next) if (e.next === map.header || !continues(e, e.next)) return null;
  return first;
}

/**
 * Changes size or place of a mapping. BSD: uvm_mremap, with Linux's rules.
 *
 * => map unlocked; may sleep. Limits are the caller's business
 * => the address; -EFAULT the range is not one mapping; -EINVAL not for this kind of memory; -ENOMEM no room: nothing changed then
 */
export function* uvmMremap(map: VmMap, r: RemapRequest): KGen<number> {
  KASSERT(r.size > 0 && r.from % PAGE_SIZE === 0 && r.size % PAGE_SIZE === 0 && r.oldSize % PAGE_SIZE === 0, "uvmMremap: unaligned");
  yield* map.lockWrite();
  const dead: VmMapEntry[] = [], source = map.lookup(r.from), isLocked = (source?.wiredCount ?? 0) > 0, onFault = source?.isWiredOnFault ?? false;
  const va = remapLocked(map, r, dead);
  map.unlock();
  yield* unmapDetach(dead);
  // What is locked stays locked, and what it grows by is. What cannot be (the end of a file, no memory left) is mapped all the same.
  if (va >= 0 && isLocked && r.size > r.oldSize) yield* uvmMapPageable(map, va + r.oldSize, va + r.size, { wire: true, onFault });
  return va;
}

/** => map write-locked; entries that went are added to `dead` */
function remapLocked(map: VmMap, r: RemapRequest, dead: VmMapEntry[]): number {
  const { from, oldSize, size } = r, stays = !r.fixed && !r.keepOld;
  if (!map.lookup(from)) return -EFAULT;
  if (size < oldSize && from + oldSize > map.max + PAGE_SIZE) return -EINVAL;
  if (!stays || size > oldSize) {
    const err = mayRemap(map, r);
    if (err < 0) return err;
  }
  // What is behind the new end goes first, be it one mapping or many.
  if (size < oldSize) dead.push(...unmapRemove(map, from + size, Math.min(from + oldSize, map.max)));
  if (stays && oldSize > 0 && (size <= oldSize || (from + size <= map.max && map.isFree(from + oldSize, from + size)))) {
    if (size > oldSize) lengthen(map, map.lookup(from + oldSize - PAGE_SIZE)!, size - oldSize);
    return from;
  }
  if (!r.mayMove) return -ENOMEM;
  const to = r.fixed ? r.to : uvmMapFindspace(map, r.to, size);
  if (to < 0) return -ENOMEM;
  if (r.fixed) {
    KASSERT(map.isRange(to, to + size) && (to >= from + oldSize || from >= to + size), "uvmMremap: a place that overlaps");
    dead.push(...unmapRemove(map, to, to + size));
  }
  if (oldSize > 0) move(map, r, to);
  else {
    // The new place may have been a part of what is doubled, or all of it.
    const source = map.lookup(from);
    if (!source) return -EFAULT;
    twin(map, source, from, to, size);
  }
  return to;
}

/** Changes nothing. => map write-locked; the mapping moves or grows, and is there at `from`; 0 or -errno, asked in Linux's order */
function mayRemap(map: VmMap, r: RemapRequest): number {
  const { from, size } = r, oldSize = Math.min(r.oldSize, size), grown = size - oldSize, e = mappingAt(map, from, from + oldSize);
  const isDevice = map.lookup(from)!.object?.kind === UO_DEVICE;
  if (oldSize === 0 && map.lookup(from)!.isCopyOnWrite) return -EINVAL;
  if (r.keepOld && isDevice) return -EINVAL;
  if (!e) return -EFAULT;
  if (grown > 0 && e.object && e.offsetOf(from) + size > OFFSET_MAX) return -EINVAL;
  if (grown > 0 && isDevice) return -EFAULT;
  const replaced = r.fixed ? mappedBytes(map, r.to, r.to + size) : 0;
  return r.limit?.(e, grown, (r.keepOld ? size : grown) - replaced) ?? 0;
}

/** A second mapping of the same object. => map write-locked; the new place is free */
function twin(map: VmMap, e: VmMapEntry, from: number, to: number, size: number): void {
  const c = e.clone();
  KASSERT(!c.amap, "shared memory with an amap");
  c.start = to;
  c.end = to + size;
  c.offset = e.offsetOf(from);
  c.clearWired();
  c.object!.pgops.reference(c.object!);
  map.link(c);
}

/**
 * Entries and leaves of the old place go to the new one. Without their leaves the pages would be found again by faults; but who
 * grows a large buffer goes on to use all of it, and walking the leaves costs less than a fault for every few of them.
 *
 * => map write-locked; the old place is one mapping, and not longer than the new one, which is free
 */
function move(map: VmMap, r: RemapRequest, to: number): void {
  const { from, size } = r, { pmap } = map.uvm, end = from + Math.min(r.oldSize, size), by = to - from;
  let e = map.clipStart(from), last = e;
  while (e !== map.header && e.start < end) {
    map.clipEnd(e, end);
    const { next } = e;
    last = r.keepOld ? moveContents(map, e, by) : moveEntry(map, e, by);
    e = next;
  }
  for (const va of faultWiredIn(map, from, end)) {
    map.faultWired.delete(va / PAGE_SIZE);
    map.faultWired.add((va + by) / PAGE_SIZE);
  }
  pmap.pmapMove(map.pmap, from, end, to);
  pmap.pmapUpdate(map.pmap);
  if (!r.keepOld) uvmStackMoved(map, from, end, by);
  if (to + size > last.end) lengthen(map, last, to + size - last.end);
  const behind = map.firstFrom(to + size);
  if (behind !== map.header) map.tryMergeBack(behind);
  map.tryMergeBack(map.lookup(to)!);
}

function moveEntry(map: VmMap, e: VmMapEntry, by: number): VmMapEntry {
  map.unlink(e);
  e.start += by;
  e.end += by;
  map.link(e);
  return e;
}

/** A new entry takes over what is private; the old one begins anew, and is not wired. */
function moveContents(map: VmMap, e: VmMapEntry, by: number): VmMapEntry {
  const c = e.clone();
  c.start += by;
  c.end += by;
  if (c.object) c.object.pgops.reference(c.object);
  e.clearWired();
  if (e.isCopyOnWrite) {
    e.amap = null;
    e.amapSlot = 0;
    e.etype |= ET_NEEDSCOPY;
  }
  map.tryMergeBack(e);
  map.link(c);
  return c;
}

/** Makes a mapping longer, whose last entry is `e`. => map write-locked; what follows is free */
function lengthen(map: VmMap, e: VmMapEntry, bytes: number): void {
  const end = e.end + bytes, npages = bytes / PAGE_SIZE;
  let last = e;
  if (e.wiredCount === 0 && (!e.amap || (!e.needsCopy && npages < UVM_AMAP_LARGE && e.amap.extendForwards(e.amapSlot, e.npages, npages)))) map.setEnd(e, end);
  else {
    last = e.clone();
    last.start = e.end;
    last.end = end;
    last.offset = e.object ? e.offsetOf(e.end) : 0;
    last.clearWired();
    last.amap = null;
    last.amapSlot = 0;
    if (last.isCopyOnWrite) last.etype |= ET_NEEDSCOPY;
    if (last.object) last.object.pgops.reference(last.object);
    map.link(last);
  }
  if (last.next !== map.header) map.tryMergeBack(last.next);
}
